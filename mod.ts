/**
 * Memory mapping for TypeScript: files, anonymous and shared memory as zero-copy ArrayBuffers,
 * straight through the runtime's own FFI. Deno, Bun and Node; Linux, macOS and Windows.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/counter`;
 * using map = MemoryMap.open(path, { mode: "w+", size: 8 });
 * const counter = map.asTypedArray(BigInt64Array);
 * counter[0]! += 1n;
 * map.msync();
 * assertEquals(counter[0], 1n);
 * ```
 *
 * @module
 */
export * from "./src/constants.ts";
export * from "./src/errors.ts";
export {
  allocationGranularity,
  type AnonymousOptions,
  type MapFor,
  type MemfdMapOptions,
  MemoryMap,
  mlockAll,
  mmapRegion,
  munlockAll,
  pageSize,
  type SharedMemoryMap,
  type TypedArrayConstructor,
} from "./src/memory_map.ts";
export type { AsyncOptions } from "./src/background.ts";
export { Cursor } from "./src/cursor.ts";
export type { MemoryStats } from "./src/ffi/platform.ts";
export type { OpenOptions } from "./src/file.ts";
export type { MapHandle } from "./src/sharing.ts";
export type { CreateNamedOptions, OpenNamedOptions } from "./src/named.ts";
export type { Needle } from "./src/memory_operations.ts";
export type { Hint } from "./src/paging.ts";
