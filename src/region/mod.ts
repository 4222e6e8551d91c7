/**
 * One interface over every kind of memory: files, shared memory, plain heap. The backend is chosen by one
 * word, in the program or from outside.
 *
 * @example
 * ```ts
 * import { createRegion } from "@mman/mman/region";
 * import { assertEquals } from "@std/assert";
 *
 * using region = createRegion(1 << 16); // MMAN_BACKEND=heap puts it elsewhere
 * region.fill(7, 0, 100);
 * assertEquals(region.bytes[99], 7);
 * ```
 *
 * @module
 */
export { type Backend, createRegion, type RegionFor, type RegionOptions } from "./create.ts";
export { type MemoryRegion } from "./region.ts";
