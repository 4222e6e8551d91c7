/** Files that grow along the first axis of the array in them. */
import { checkInteger, show } from "../check.ts";
import {
  MMapAllocationError,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "../errors.ts";
import { hostConstants } from "../ffi/host.ts";
import { mappingOf, type MemoryMap } from "../memory_map.ts";
import { asBytes } from "../memory_operations.ts";
import { encoderOf } from "../records/codec.ts";
import { isNative, TYPED_ARRAYS } from "../records/typed.ts";
import type { DType } from "./dtype.ts";
import { sizeOf } from "./shape.ts";

const { PROT_WRITE } = hostConstants;

/** Makes the header of a file for another shape; throws if the file has no room for it. */
export type Header = (shape: readonly number[]) => Uint8Array;

/** What a file needs to grow. */
export class Growth {
  readonly #map: MemoryMap;
  readonly #dtype: DType;
  readonly #byteOffset: number;
  readonly #fortranOrder: boolean;
  readonly #header: Header | undefined;

  /**
   * @param byteOffset Bytes from the start of the map to the first element.
   * @param header Missing for files that are the elements and nothing else.
   */
  constructor(
    map: MemoryMap,
    dtype: DType,
    byteOffset: number,
    fortranOrder: boolean,
    header?: Header,
  ) {
    this.#map = map;
    this.#dtype = dtype;
    this.#byteOffset = byteOffset;
    this.#fortranOrder = fortranOrder;
    this.#header = header;
  }

  /** Writes elements behind those of a shape. Returns the shape of all. */
  append(shape: readonly number[], elements: ArrayLike<unknown>): readonly number[] {
    const map = this.#map;
    const refuse = (why: string): never => {
      throw new MMapInvalidParameterError(`Cannot append to an array: ${why}`);
    };
    this.#checkOpen();
    if (typeof elements !== "object" || elements === null) {
      refuse(`${show(elements)} is no array of elements`);
    }
    const [length, ...rest] = shape;
    if (length === undefined) return refuse("it has no axes");
    if (this.#fortranOrder && rest.length > 0) {
      refuse("in Fortran order a new row belongs between all the others; use C order");
    }
    const bytes = this.#encode(elements);
    this.#checkOpen(); // looking at the elements may run code of the user's
    const rowBytes = sizeOf(rest) * this.#dtype.shape.byteLength;
    if (rowBytes === 0 ? bytes.length > 0 : bytes.length % rowBytes !== 0) {
      refuse(`${elements.length} elements are no whole rows of ${sizeOf(rest)}`);
    }
    if (bytes.length === 0) return shape;
    const end = this.#byteOffset + length * rowBytes;
    const grown = [length + bytes.length / rowBytes, ...rest];
    const header = this.#header?.(grown);
    // Looked up before the file changes.
    const { fd, platform } = mappingOf(map);
    const fileSize = fd === -1 ? 0 : platform.fileInfo(fd).size;
    if (map.size > end || fileSize > map.offset + end) {
      refuse("the file goes on behind it");
    }
    if ((map.prot & PROT_WRITE) === 0) {
      throw new MMapProtectionError(
        'Cannot append to an array: it is read-only; open it with mode "r+"',
      );
    }
    map.resize(end + bytes.length);
    map.write(bytes, end);
    // Last, so that the header never tells of rows that are not there.
    if (header !== undefined) map.write(header);
    return grown;
  }

  #checkOpen(): void {
    if (this.#map.isValid) return;
    throw new MMapClosedError("Cannot append to an array: its map is closed; open it again");
  }

  #encode(elements: ArrayLike<unknown>): Uint8Array {
    const { shape, kind } = this.#dtype;
    const part = kind === "c" && shape.kind === "array" ? shape.element : shape;
    if (part.kind === "scalar" && ArrayBuffer.isView(elements)) {
      const type = TYPED_ARRAYS[part.scalar] as unknown as new () => unknown;
      if (isNative(part) && part.scalar !== "bool" && elements instanceof type) {
        return asBytes(elements);
      }
    }
    const size = shape.byteLength;
    const { length } = elements;
    checkInteger("a number of elements", length, 0);
    const view = newView(length * size);
    const encode = encoderOf(shape);
    for (let k = 0; k < length; k++) encode(view, k * size, elements[k]);
    return new Uint8Array(view.buffer);
  }
}

function newView(bytes: number): DataView<ArrayBuffer> {
  try {
    return new DataView(new ArrayBuffer(bytes));
  } catch (error) {
    throw new MMapAllocationError(
      `Cannot append ${bytes} bytes to an array at once: the runtime has no memory for them; append less`,
      { cause: error },
    );
  }
}
