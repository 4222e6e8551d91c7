/** Raw files as arrays: NumPy's `memmap`. */
import { checkInteger, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { OpenOptions } from "../file.ts";
import { MemoryMap } from "../memory_map.ts";
import { type DType, dtypeOf } from "./dtype.ts";
import type { DTypeLike } from "./element_types.ts";
import { Growth } from "./growth.ts";
import { NdArray } from "./ndarray.ts";
import { openingArray, readArrayOptions, readFileOptions } from "./options.ts";
import { resolveShape, sizeOf, stridesOf } from "./shape.ts";

/** How the elements of an array are to be found in bytes. */
export interface ArrayOptions<D extends DTypeLike = DTypeLike> {
  /** The type of the elements, as NumPy spells it (`"f4"`, `">i2"`, `"complex64"`), or a record type. */
  dtype: D;
  /** The size of each axis; one may be -1. Default: one axis of as many elements as there are. */
  shape?: readonly number[] | undefined;
  /** Whether the first axis runs fastest in memory instead of the last. Default false. */
  fortranOrder?: boolean;
}

/** Options of {@link MappedArray.open}. */
export interface MappedArrayOptions<D extends DTypeLike = DTypeLike>
  extends ArrayOptions<D>, Omit<OpenOptions, "size"> {
}

/** Options of {@link MappedArray.over}. */
export interface OverOptions<D extends DTypeLike = DTypeLike> extends ArrayOptions<D> {
  /** Bytes from the start of the map to the first element, any. Default 0. */
  byteOffset?: number;
}

/** Arrays in raw files, without a header, and anywhere in a map. */
export class MappedArray {
  private constructor() {}

  /**
   * Maps a file of elements and nothing else, from some offset on: NumPy's `memmap`.
   *
   * @param path A path or a `file:` URL.
   * @param options The type of the elements; the shape; `mode` as in {@link MemoryMap.open} (default
   * `"r"`), where `"w+"` needs a shape and `"r+"` makes the file grow to it; `offset`, any byte.
   * @returns The array; close it, or declare it with `using`.
   * @throws {MMapInvalidParameterError} If the dtype is unknown, the shape does not fit, or the file is
   * too short for it.
   * @throws {MMapError} If the file cannot be opened; `code` says why (`ENOENT`, ...).
   *
   * @example
   * ```ts
   * import { MappedArray } from "@mman/mman/ndarray";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/vectors`;
   * {
   *   using vectors = MappedArray.open(path, { mode: "w+", dtype: "f4", shape: [1000, 128] });
   *   vectors.set(0.5, 999, 127);
   * }
   * using vectors = MappedArray.open(path, { dtype: "f4", shape: [-1, 128] });
   * assertEquals(vectors.shape, [1000, 128]);
   * assertEquals(vectors.row(999)[127], 0.5);
   * ```
   */
  static open<const D extends DTypeLike>(
    path: string | URL,
    options: MappedArrayOptions<D>,
  ): NdArray<D> {
    const read = readFileOptions("MappedArray.open", options, "mode", "offset");
    const { dtype: given, shape, fortranOrder = false, ...how } = read;
    const { mode = "r", offset = 0 } = how;
    const dtype = dtypeOf(given);
    checkInteger("an offset in bytes", offset, 0);
    const cure = 'make it with mode "w+" and a shape';
    const map = openingArray(path, cure, () => openFor(path, how, dtype, shape, mode, offset));
    try {
      const resolved = resolveShape(shape, elementsIn(map.size, dtype, shape));
      return new NdArray<D>({
        map,
        dtype,
        byteOffset: 0,
        shape: resolved,
        strides: stridesOf(resolved, fortranOrder),
        growth: new Growth(map, dtype, 0, fortranOrder),
      });
    } catch (error) {
      map.close();
      throw error;
    }
  }

  /**
   * An array over bytes of a map: a tensor in a file of some other format, or shared memory.
   *
   * @param map Where the bytes are.
   * @param options The type of the elements, the shape, and where they start.
   * @throws {MMapInvalidParameterError} If the dtype is unknown, or the shape does not fit.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { MappedArray } from "@mman/mman/ndarray";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * const image = MappedArray.over(map, { dtype: "u1", shape: [32, 32, 3], byteOffset: 100 });
   * image.set(255, 31, 31, 2);
   * assertEquals(map.bytes[100 + 32 * 32 * 3 - 1], 255);
   * ```
   */
  static over<const D extends DTypeLike>(map: MemoryMap, options: OverOptions<D>): NdArray<D> {
    const read = readArrayOptions("MappedArray.over", options, "byteOffset");
    const { dtype: given, shape, fortranOrder = false, byteOffset = 0 } = read;
    if (!(map instanceof MemoryMap)) {
      throw new MMapInvalidParameterError(`Cannot find an array in ${show(map)}: give a MemoryMap`);
    }
    const dtype = dtypeOf(given);
    // A check of the map's state and of the offset, with the map's own messages.
    map.asDataView(byteOffset, 0);
    const left = map.size - byteOffset;
    const resolved = resolveShape(shape, elementsIn(left, dtype, shape));
    const bytes = sizeOf(resolved) * dtype.shape.byteLength;
    if (bytes > left) {
      throw new MMapInvalidParameterError(
        `Cannot find ${bytes} bytes of elements at offset ${byteOffset}: the map has ${left} from ` +
          "there; give another shape",
      );
    }
    const strides = stridesOf(resolved, fortranOrder);
    return new NdArray<D>({ map, dtype, byteOffset, shape: resolved, strides });
  }
}

/** The elements that so many bytes are. They must be whole if a shape is to follow from them. */
function elementsIn(bytes: number, dtype: DType, shape: readonly number[] | undefined): number {
  const itemSize = dtype.shape.byteLength;
  const follows = shape === undefined || (Array.isArray(shape) && shape.includes(-1));
  if (follows && bytes % itemSize !== 0) {
    throw new MMapInvalidParameterError(
      `Cannot tell the shape of ${bytes} bytes: they are not a multiple of ${itemSize} bytes, the ` +
        `size of an element of ${dtype.name}`,
    );
  }
  return Math.floor(bytes / itemSize);
}

function openFor(
  path: string | URL,
  how: Omit<OpenOptions, "size">,
  dtype: DType,
  shape: readonly number[] | undefined,
  mode: string,
  offset: number,
): MemoryMap {
  const fixed = shape !== undefined && !(Array.isArray(shape) && shape.includes(-1));
  if (!fixed && mode !== "w+") return MemoryMap.open(path, how);
  // A file that is to be made has no elements that the shape could follow from.
  const size = sizeOf(resolveShape(shape, undefined)) * dtype.shape.byteLength;
  checkInteger("a size in bytes", size, 0);
  if (size > 0) return MemoryMap.open(path, { ...how, size });
  if (mode !== "w+") return MemoryMap.open(path, how);
  // Empty: nothing to map, but the file is made, with the bytes before the array.
  const making = { offset: 0, size: Math.max(offset, 1), truncateOnClose: offset };
  MemoryMap.open(path, { ...how, ...making }).close();
  return MemoryMap.open(path, { ...how, mode: "r+" });
}
