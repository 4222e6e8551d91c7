/**
 * Arrays of any number of axes over files, zero copy: what NumPy's `memmap` and `.npy` files give.
 *
 * @example
 * ```ts
 * import { createNpy, openNpy } from "@mman/mman/ndarray";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/vectors.npy`;
 * {
 *   using vectors = createNpy(path, { dtype: "f4", shape: [1000, 128] });
 *   vectors.row(3).fill(0.25); // a Float32Array over the file
 * }
 * using vectors = openNpy(path, { dtype: "f4" }); // np.load(path, mmap_mode="r") reads it, too
 * assertEquals(vectors.sum(), 32);
 * ```
 *
 * @module
 */
export type {
  AnyElement,
  ByteOrderMark,
  Complex,
  DataOf,
  DTypeLike,
  ElementInput,
  ElementOf,
} from "./element_types.ts";
export {
  type ArrayOptions,
  MappedArray,
  type MappedArrayOptions,
  type OverOptions,
} from "./mapped_array.ts";
export { NdArray } from "./ndarray.ts";
export { createNpy, type CreateNpyOptions, openNpy, type OpenNpyOptions } from "./npy.ts";
