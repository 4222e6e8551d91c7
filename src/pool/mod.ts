/**
 * A memory pool that lives in a map: allocate and free pieces of a file or of shared memory, from several
 * threads and processes at once; pass them on as numbers; lose nothing when a process is killed.
 *
 * Not promised: that a program which keeps a view of a freed block, or writes past its own, harms nobody.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { MemoryPool } from "@mman/mman/pool";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(1 << 20);
 * const pool = new MemoryPool(map, { blockSize: 1024 });
 * const block = pool.allocate(5000, { align: 4096 });
 * assertEquals(block.offset % 4096, 0);
 * assertEquals(block.bytes.length, 5000);
 * block.free();
 * assertEquals(pool.stats().free, pool.stats().size);
 * ```
 *
 * @module
 */
export { type Block } from "./block.ts";
export { type AllocateOptions, MemoryPool, type PoolOptions } from "./pool.ts";
export { type PoolProblem, type PoolStats } from "./report.ts";
