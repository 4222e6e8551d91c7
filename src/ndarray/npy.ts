/** `.npy` files: arrays with a header, as `np.save` writes them. */
import { readOptions, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { OpenOptions } from "../file.ts";
import { MemoryMap } from "../memory_map.ts";
import { dtypeOf, expectedDType } from "./dtype.ts";
import type { DTypeLike } from "./element_types.ts";
import { Growth } from "./growth.ts";
import type { ArrayOptions } from "./mapped_array.ts";
import { NdArray } from "./ndarray.ts";
import { formatHeader, parseHeader } from "./npy_header.ts";
import { FILE_OPTIONS, openingArray, readFileOptions } from "./options.ts";
import { isContiguous, resolveShape, sizeOf, stridesOf } from "./shape.ts";

/** Options of {@link openNpy}. */
export interface OpenNpyOptions<D extends DTypeLike = DTypeLike>
  extends Omit<OpenOptions, "mode" | "size" | "offset" | "preallocate"> {
  /** `"r"` (default), `"r+"`, or `"c"`: see {@link MemoryMap.open}. */
  mode?: "r" | "r+" | "c";
  /** The dtype that the file must have. It also tells TypeScript the type of the elements. */
  dtype?: D;
  /** Headers longer than this are refused, as parsing them takes long. Default 10000 bytes. */
  maxHeaderSize?: number;
}

/** Options of {@link createNpy}. */
export interface CreateNpyOptions<D extends DTypeLike = DTypeLike>
  extends ArrayOptions<D>, Omit<OpenOptions, "mode" | "size" | "offset"> {
  /** The size of each axis. */
  shape: readonly number[];
}

/**
 * Opens a `.npy` file of version 1.0, 2.0 or 3.0 as an array over the file's bytes. Structured arrays
 * have `records`.
 *
 * @param path A path or a `file:` URL.
 * @param options Mode; the dtype that is expected.
 * @returns The array; close it, or declare it with `using`.
 * @throws {MMapInvalidParameterError} If the file is no `.npy` file, its header lies, is too long or asks
 * for Python objects, the file is shorter than its header says, or the dtype is not the expected one.
 * @throws {MMapError} If the file cannot be opened; `code` says why (`ENOENT`, ...).
 *
 * @example
 * ```ts
 * import { createNpy, openNpy } from "@mman/mman/ndarray";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/a.npy`;
 * createNpy(path, { dtype: "<f8", shape: [100, 3] }).close();
 * using array = openNpy(path, { mode: "r+", dtype: "f8" });
 * array.data[0] = 1.5; // a Float64Array
 * assertEquals(array.get(0, 0) + array.get(99, 2), 1.5);
 * ```
 */
export function openNpy<const D extends DTypeLike = DTypeLike>(
  path: string | URL,
  options: OpenNpyOptions<D> = {},
): NdArray<D> {
  const known = ["dtype", "mode", "maxHeaderSize", ...FILE_OPTIONS];
  const { dtype: expected, maxHeaderSize = 10_000, ...how } = readOptions(
    "openNpy",
    options,
    known,
  );
  const { mode = "r" } = how;
  if (mode !== "r" && mode !== "r+" && mode !== "c") {
    throw new MMapInvalidParameterError(
      `Cannot open a .npy file with mode ${show(mode)}: it must be "r", "r+" or "c"; make a new ` +
        "file with createNpy()",
    );
  }
  const wanted = expected === undefined ? undefined : dtypeOf(expected);
  const map = openingArray(path, "make it with createNpy()", () => MemoryMap.open(path, how));
  try {
    const what = `Cannot open ${show(String(path))}`;
    const parsed = parseHeader(what, map, maxHeaderSize);
    const { shape, fortranOrder, version, byteLength } = parsed;
    const dtype = wanted === undefined ? parsed.dtype : expectedDType(parsed.dtype, wanted);
    if (dtype === undefined) {
      throw new MMapInvalidParameterError(
        `${what}: its elements are ${parsed.dtype.name}, not ${wanted?.name}`,
      );
    }
    const bytes = sizeOf(shape) * dtype.shape.byteLength;
    if (!(bytes <= map.size - byteLength)) {
      throw new MMapInvalidParameterError(
        `${what}: its header tells of ${bytes} bytes of elements, but ` +
          `${map.size - byteLength} follow; the file was cut off`,
      );
    }
    const header = (grown: readonly number[]) =>
      formatHeader({ dtype, shape: grown, fortranOrder }, version, byteLength);
    return new NdArray<D>({
      map,
      dtype,
      byteOffset: byteLength,
      shape,
      strides: stridesOf(shape, fortranOrder),
      growth: new Growth(map, dtype, byteLength, fortranOrder, header),
    });
  } catch (error) {
    map.close();
    throw error;
  }
}

/**
 * Creates a `.npy` file of zeros, or empties an existing file, and opens it for writing. It is the
 * file that `np.save` writes for such an array, byte by byte, and sparse until it is filled.
 *
 * @param path A path or a `file:` URL.
 * @param options The type of the elements, the shape, the order.
 * @returns The array; close it, or declare it with `using`.
 * @throws {MMapInvalidParameterError} If the dtype is unknown or the shape is none.
 * @throws {MMapAllocationError} If the disk or the system refuses the size.
 *
 * @example
 * ```ts
 * import { createNpy } from "@mman/mman/ndarray";
 * import { defineRecord } from "@mman/mman/records";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/ticks.npy`;
 * const Tick = defineRecord({ index: "u32", value: "f64" }, { packed: true });
 * using ticks = createNpy(path, { dtype: Tick, shape: [1000] });
 * ticks.records.set(7, { index: 1, value: 0.5 });
 * assertEquals(ticks.get(7), { index: 1, value: 0.5 });
 * assertEquals(ticks.dtype, "[('index', '<u4'), ('value', '<f8')]"); // as np.load will tell
 * ```
 */
export function createNpy<const D extends DTypeLike>(
  path: string | URL,
  options: CreateNpyOptions<D>,
): NdArray<D> {
  const given = readFileOptions("createNpy", options);
  const { dtype: wantedType, shape: wanted, fortranOrder: asked = false, ...how } = given;
  const dtype = dtypeOf(wantedType);
  const shape = resolveShape(wanted, undefined);
  // Where the order makes no difference NumPy says C.
  const fortranOrder = asked && !isContiguous(shape, stridesOf(shape, true), false);
  const header = formatHeader({ dtype, shape, fortranOrder });
  const size = header.length + sizeOf(shape) * dtype.shape.byteLength;
  const map = MemoryMap.open(path, { ...how, mode: "w+", size });
  try {
    map.write(header);
    const version = header[6]!;
    return new NdArray<D>({
      map,
      dtype,
      byteOffset: header.length,
      shape,
      strides: stridesOf(shape, fortranOrder),
      growth: new Growth(
        map,
        dtype,
        header.length,
        fortranOrder,
        (grown) => formatHeader({ dtype, shape: grown, fortranOrder }, version, header.length),
      ),
    });
  } catch (error) {
    map.close();
    throw error;
  }
}
