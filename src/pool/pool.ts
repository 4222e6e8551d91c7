/** MemoryPool: pieces of a map for whoever asks, in any thread or process that has it. */
import { checkInteger, checkOptionKeys, show } from "../check.ts";
import { MMapAllocationError, MMapClosedError, MMapInvalidParameterError } from "../errors.ts";
import { inspectable, mapFacts } from "../inspect.ts";
import type { MemoryMap } from "../memory_map.ts";
import { type Block, makeBlock } from "./block.ts";
import { Blocks } from "./blocks.ts";
import type { Places } from "./free_index.ts";
import { generationOf, OWNER_MASK, partsOf, TAIL } from "./layout.ts";
import { Leaks } from "./leaks.ts";
import { PoolMemory } from "./memory.ts";
import { pictureOf, type PoolProblem, type PoolStats, problemsOf, statsOf } from "./report.ts";

/** Where a pool lies and what its blocks are. */
export interface PoolOptions {
  /** Bytes of a block, a multiple of 8; the same for all who use the pool. Larger requests take several. */
  blockSize: number;
  /** Bytes from the start of the map, a multiple of 8. Default 0. */
  byteOffset?: number;
  /** Bytes of the pool with its own tables. Default: to the end of the map. */
  byteLength?: number;
}

/** How to allocate. */
export interface AllocateOptions {
  /** Bytes that the block's address is a multiple of: a power of two, up to a page. Default 8. */
  align?: number;
}

/**
 * A memory pool in a map. All of it lies in the map: who opens the same file or shared memory, in whatever
 * runtime, allocates from the same pool and finds the blocks of the others. Zeroed memory becomes a pool at
 * the first use.
 *
 * What a thread allocates belongs to it. If it dies, `recover()` gives its blocks back; a process that is
 * killed, at any moment, loses nothing else.
 *
 * Bytes are not cleared between one owner and the next. A handle stays safe until its block was freed
 * 8,388,608 times.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { MemoryPool } from "@mman/mman/pool";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(1 << 20);
 * const pool = new MemoryPool(map, { blockSize: 4096 });
 * {
 *   using block = pool.allocate(10_000); // three blocks in a row
 *   block.bytes.fill(1);
 *   assertEquals(pool.stats().used, 3 * 4096);
 *
 *   const other = new MemoryPool(map, { blockSize: 4096 }); // or in another process
 *   assertEquals(other.at(block.handle).bytes[9_999], 1);
 * }
 * assertEquals(pool.stats().used, 0);
 * ```
 */
export class MemoryPool {
  static {
    inspectable(this, (pool) => ({
      blockSize: pool.blockSize,
      byteOffset: pool.#memory.byteOffset,
      ...mapFacts(pool.#memory.mapping),
    }));
  }

  readonly #memory: PoolMemory;
  readonly #blocks: Blocks;
  readonly #leaks: Leaks;
  readonly #blockSize: number;

  /**
   * The pool at a place of a map; made there if the memory is zeroed.
   *
   * @param map Readable and writable; shared, if others are to use it, too.
   * @param options The size of a block, and the place.
   * @throws {MMapInvalidParameterError} If an option is wrong, the place is too small, something else is
   * there, or a pool of another version, byte order or size of block.
   * @throws {MMapProtectionError} If the map cannot be written.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  constructor(map: MemoryMap, options: PoolOptions) {
    checkOptionKeys("MemoryPool", options, ["blockSize", "byteOffset", "byteLength"]);
    const { blockSize, byteOffset = 0, byteLength } = options;
    this.#memory = new PoolMemory(map, blockSize, byteOffset, byteLength);
    this.#blocks = new Blocks(this.#memory);
    this.#leaks = new Leaks(this.#blocks);
    this.#blockSize = blockSize;
  }

  /** Bytes of a block. */
  get blockSize(): number {
    return this.#blockSize;
  }

  /**
   * Allocates bytes: one block, or as many in a row as they need. They are not cleared.
   *
   * @param size Bytes, at least 1.
   * @param options An alignment.
   * @throws {MMapAllocationError} If no such run of blocks is free.
   * @throws {MMapInvalidParameterError} If the size is not a number from 1 to the pool's, or the alignment
   * cannot be had.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  allocate(size: number, options?: AllocateOptions): Block {
    const block = this.tryAllocate(size, options);
    if (block !== undefined) return block;
    const { free, largestFree } = this.stats();
    throw new MMapAllocationError(
      `Cannot allocate ${size} bytes: the pool has ${free} bytes free, at most ${largestFree} in a row; ` +
        "free blocks, or recover() those of threads that died",
      { code: "ENOMEM" },
    );
  }

  /**
   * As {@link MemoryPool.allocate}, but without an error when the pool is full.
   *
   * @param size Bytes, at least 1.
   * @param options An alignment.
   * @returns The block, or undefined if no such run of blocks is free.
   * @throws {MMapInvalidParameterError} If the size is not a number from 1 to the pool's, or the alignment
   * cannot be had.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  tryAllocate(size: number, options?: AllocateOptions): Block | undefined {
    const blockSize = this.#blockSize;
    const small = options === undefined && Number.isInteger(size) && size > 0 && size <= blockSize;
    const index = small ? this.#blocks.takeOne() : this.#takeRun(size, options);
    if (index === -1) return this.#memory.sound(undefined);
    const { words, geometry } = this.#memory;
    words[geometry.slacks + index] = small
      ? blockSize - size
      : Math.ceil(size / blockSize) * blockSize - size;
    return this.#memory.sound(makeBlock(this.#blocks, index, size, this.#leaks.batch()));
  }

  /**
   * The block of a handle, zero copy: what another thread or process allocated. It stays that one's; see
   * {@link Block.adopt}.
   *
   * @param handle What `block.handle` gave there.
   * @throws {MMapClosedError} If the block was freed meanwhile, or the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   * @throws {MMapInvalidParameterError} If this is no handle of this pool.
   */
  at(handle: bigint): Block {
    if (typeof handle !== "bigint" || handle < 0n || handle >= 1n << 64n) {
      throw new MMapInvalidParameterError(
        `Cannot use ${show(handle)} as a handle: give what block.handle is, a bigint`,
      );
    }
    const { index, generation, salt } = partsOf(handle);
    const { geometry } = this.#memory;
    const words = this.#memory.current();
    if (salt !== this.#memory.salt || index >= geometry.blocks) {
      throw new MMapInvalidParameterError(
        `Cannot use ${handle}n as a handle: it is of another pool; use the pool that made it`,
      );
    }
    const isThere = () => {
      const state = this.#memory.sound(Atomics.load(words, geometry.states + index));
      return generationOf(state) === generation && (state & OWNER_MASK) !== 0 &&
        (state & TAIL) === 0;
    };
    if (isThere()) {
      const capacity = this.#blocks.lengthOf(index) * geometry.blockSize;
      const size = capacity - (words[geometry.slacks + index]! >>> 0);
      // Once more: somebody may have freed it while we measured.
      if (isThere()) return makeBlock(this.#blocks, index, size);
    }
    throw new MMapClosedError(
      `Cannot use ${handle}n as a handle: its block was freed; allocate again`,
    );
  }

  /**
   * Gives the blocks of threads that died back, and makes the index anew.
   *
   * @returns Bytes that were given back.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  recover(): number {
    return this.#memory.sound(this.#blocks.recover()) * this.#blockSize;
  }

  /**
   * Totals, counted block by block.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  stats(): PoolStats {
    return this.#memory.sound(statsOf(this.#memory));
  }

  /**
   * Draws the pool in lines of 64: `.` is free, `#` is taken, `+` is in part.
   *
   * @param cells Characters at most, without line breaks; each stands for equally many blocks. Default 512.
   * @throws {MMapInvalidParameterError} If that is not a number from 1 on.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  picture(cells: number = 512): string {
    checkInteger("a number of cells", cells, 1);
    return this.#memory.sound(pictureOf(this.#memory, cells, 64));
  }

  /**
   * Looks for contradictions between the blocks, the index and its summary levels. Blocks that threads keep
   * at hand count as `"hidden"`; others who allocate meanwhile may be caught in the middle of something.
   *
   * @returns What was found, nothing if all is well. `recover()` puts the index right.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  verify(): PoolProblem[] {
    return this.#memory.sound(problemsOf(this.#memory));
  }

  /** Checks a request that is more than one block, or wrong. */
  #takeRun(size: number, options?: AllocateOptions): number {
    const { blocks, blockSize } = this.#memory.geometry;
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new MMapInvalidParameterError(
        `Cannot use ${show(size)} as a size in bytes: it must be a whole number from 1 to ` +
          `${blocks * blockSize}, what the pool has`,
      );
    }
    const count = Math.ceil(size / blockSize);
    if (count > blocks) {
      throw new MMapInvalidParameterError(
        `Cannot allocate ${size} bytes: the pool has ${blocks * blockSize} bytes in all`,
      );
    }
    if (options !== undefined) checkOptionKeys("allocate", options, ["align"]);
    return this.#blocks.takeRun(count, this.#placesFor(options?.align ?? 1));
  }

  /** The blocks that begin at a multiple of so many bytes. */
  #placesFor(align: number): Places {
    const { mapping, byteOffset, geometry } = this.#memory;
    const { pageSize } = mapping.platform;
    checkInteger("an alignment in bytes", align, 1);
    if ((align & (align - 1)) !== 0 || align > pageSize) {
      throw new MMapInvalidParameterError(
        `Cannot use ${align} as an alignment in bytes: it must be a power of two, up to ${pageSize}`,
      );
    }
    const begin = Number((mapping.addr + BigInt(byteOffset + geometry.start)) % BigInt(align));
    for (let first = 0; first < align; first++) {
      if ((begin + first * geometry.blockSize) % align !== 0) continue;
      return { first, step: align / Math.min(geometry.blockSize & -geometry.blockSize, align) };
    }
    throw new MMapInvalidParameterError(
      `Cannot allocate at multiples of ${align} bytes: no block of this pool begins at one; put the ` +
        "pool at such an offset, with such a block size",
    );
  }
}
