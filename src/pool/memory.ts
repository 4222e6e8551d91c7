/** The memory of a pool: found in a map, checked, named by its header; and the owners it knows. */
import { show } from "../check.ts";
import { MMapAllocationError, MMapInvalidParameterError } from "../errors.ts";
import type { SyncPlatform } from "../ffi/sync_platform.ts";
import { hostConstants } from "../ffi/host.ts";
import type { Mapping } from "../mapping.ts";
import { mappingOf, MemoryMap } from "../memory_map.ts";
import { checkAligned, pairOf, requireSyncPlatform, wordsOf } from "../sync/memory.ts";
import {
  BLOCK_SIZE_OFFSET,
  BLOCKS_OFFSET,
  BOOT_OFFSET,
  byteLengthOf,
  fit,
  FOREIGN_MAGIC,
  type Geometry,
  geometryOf,
  MAGIC,
  MAGIC_OFFSET,
  MAX_BLOCKS,
  OWNERS,
  OWNERS_OFFSET,
  SALT_BITS,
  SALT_OFFSET,
  STATES_OFFSET,
  VERSION,
  VERSION_OFFSET,
  WORD,
} from "./layout.ts";

const { PROT_READ, PROT_WRITE } = hostConstants;

const WHAT = "Cannot put a pool";
const VERB = "use a pool in";
const NO_WORDS = new Int32Array(0);
const MAGIC_WORD = MAGIC_OFFSET / WORD;
const NAME_PAIR = MAGIC_OFFSET / (2 * WORD);
const SIZE_PAIR = BLOCK_SIZE_OFFSET / (2 * WORD);
const BOOT_PAIR = BOOT_OFFSET / (2 * WORD);
const SALT_WORD = SALT_OFFSET / WORD;
const OWNER_PAIR = OWNERS_OFFSET / (2 * WORD);

/** The smallest block: blocks of 8 bytes keep 64-bit numbers aligned. */
const UNIT = 8;
const MAX_BLOCK_SIZE = 2 ** 31 - UNIT;

function checkBlockSize(blockSize: unknown): asserts blockSize is number {
  const isWhole = typeof blockSize === "number" && blockSize % UNIT === 0;
  if (isWhole && blockSize >= UNIT && blockSize <= MAX_BLOCK_SIZE) return;
  throw new MMapInvalidParameterError(
    `Cannot use ${
      show(blockSize)
    } as a block size in bytes: it must be a multiple of ${UNIT} from ` +
      `${UNIT} to ${MAX_BLOCK_SIZE}`,
  );
}

/** The memory of one pool in one thread. Places in it are indices of 32-bit words. */
export class PoolMemory {
  readonly mapping: Mapping;
  readonly byteOffset: number;
  readonly geometry: Geometry;
  readonly #byteLength: number;
  readonly salt: number;
  readonly platform: SyncPlatform;
  /** All words; empty when the map was closed, or moved and not looked up again yet. */
  words: Int32Array = NO_WORDS;
  /** The number of this thread; 0 until it owns something. */
  owner = 0;

  constructor(map: MemoryMap, blockSize: number, byteOffset: number, byteLength?: number) {
    if (!(map instanceof MemoryMap)) {
      throw new MMapInvalidParameterError(`${WHAT} in ${show(map)}: give a MemoryMap`);
    }
    checkBlockSize(blockSize);
    const mapping = mappingOf(map);
    mapping.use("put a pool in", byteOffset, byteLength ?? 0, 0);
    const length = byteLength ?? mapping.size - byteOffset;
    const fitting = fit(blockSize, length);
    if (fitting === undefined) {
      throw new MMapInvalidParameterError(
        `${WHAT} in ${length} bytes: not even one block of ${blockSize} bytes fits, with ` +
          `${geometryOf(blockSize, 1).start} bytes of its own; give it more`,
      );
    }
    mapping.use("put a pool in", byteOffset, fitting.start, PROT_READ);
    mapping.use("put a pool in", byteOffset, fitting.start, PROT_WRITE);
    checkAligned(WHAT, mapping, byteOffset, 2 * WORD);
    this.mapping = mapping;
    this.byteOffset = byteOffset;
    this.platform = requireSyncPlatform(WHAT);
    // First with the geometry that would be made; an older pool may have another number of blocks.
    this.geometry = this.#settle(fitting, length);
    this.#byteLength = byteLengthOf(this.geometry);
    mapping.closing.add(() => this.words = NO_WORDS);
    this.salt = this.sound(this.current()[SALT_WORD]!) & (2 ** SALT_BITS - 1);
  }

  /** The words, wherever they are now. @throws {MMapClosedError} If the map is closed. */
  current(): Int32Array {
    if (this.words.length !== 0) return this.words;
    const length = this.geometry.words * WORD;
    this.mapping.use(VERB, this.byteOffset, length, PROT_WRITE);
    return this.words = wordsOf(this.mapping, this.byteOffset, length, 2 * WORD);
  }

  /**
   * What was read from the pool, or came of a change there: zeros in the place of a lost page look like
   * free blocks.
   *
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  sound<T>(result: T): T {
    // Plain, which is fast everywhere: between two of these there are always atomic accesses.
    if (this.mapping.touched[0] !== 0) {
      this.mapping.intact(VERB, this.byteOffset, this.#byteLength, PROT_WRITE);
    }
    return result;
  }

  /** The number of this thread among the owners. @throws {MMapAllocationError} If there is none left. */
  join(recover: () => unknown): number {
    if (this.owner !== 0) return this.owner;
    const pairs = this.pairs();
    const { self } = this.platform;
    const mine = pairOf(self.number, self.identity);
    for (const free of [mine, 0n, 0n]) {
      for (let number = 1; number < OWNERS; number++) {
        const found = Atomics.compareExchange(pairs, OWNER_PAIR + number, free, mine);
        if (found === free) return this.owner = number;
      }
      if (free === 0n) recover();
    }
    throw new MMapAllocationError(
      `Cannot allocate from a pool that ${
        OWNERS - 1
      } threads use already: let some of them end, and ` +
        "call recover()",
      { code: "EUSERS" },
    );
  }

  /** Who has a number: 0n if nobody. */
  ownerPair(number: number): bigint {
    return Atomics.load(this.pairs(), OWNER_PAIR + number);
  }

  /** The owners that do not live any more, by number. */
  deadOwners(): Map<number, bigint> {
    const dead = new Map<number, bigint>();
    for (let number = 1; number < OWNERS; number++) {
      const pair = this.ownerPair(number);
      const thread = Number(BigInt.asIntN(32, pair));
      const identity = Number(BigInt.asIntN(32, pair >> 32n));
      if (pair !== 0n && this.platform.lookAfter(thread, identity) !== "alive") {
        dead.set(number, pair);
      }
    }
    return dead;
  }

  /** Gives the number of a dead owner away, of whom nothing is left. */
  forget(number: number, pair: bigint): void {
    Atomics.compareExchange(this.pairs(), OWNER_PAIR + number, pair, 0n);
  }

  /** The header and the owners, two words at once: the first in the lower half. */
  pairs(): BigInt64Array {
    const { buffer, byteOffset } = this.current();
    return new BigInt64Array(buffer, byteOffset, STATES_OFFSET / (2 * WORD));
  }

  /** Writes the header, or checks the one that is there; returns the pool's geometry. */
  #settle(fitting: Geometry, length: number): Geometry {
    const words = wordsOf(this.mapping, this.byteOffset, fitting.words * WORD, 2 * WORD);
    const pairs = new BigInt64Array(words.buffer, words.byteOffset, STATES_OFFSET / (2 * WORD));
    const { self } = this.platform;
    const place = pairOf(self.boot, self.namespace);
    if (Atomics.load(words, MAGIC_WORD) === 0) {
      // Not ours to name if there is something; unless somebody has named it meanwhile.
      const used = words.some((word, i) => word !== 0 && i >= OWNERS_OFFSET / WORD);
      if (used && Atomics.load(words, MAGIC_WORD) === 0) throw this.#notAPool(length);
      // Each for itself and the name last: whoever is killed in between, the next one goes on.
      Atomics.compareExchange(pairs, SIZE_PAIR, 0n, pairOf(fitting.blockSize, fitting.blocks));
      Atomics.compareExchange(pairs, BOOT_PAIR, 0n, place);
      Atomics.compareExchange(words, SALT_WORD, 0, 1 + Math.floor(Math.random() * 0x7ffffffe));
      Atomics.compareExchange(pairs, NAME_PAIR, 0n, pairOf(MAGIC, VERSION));
    }
    const geometry = this.#checkHeader(words, fitting.blockSize, length);
    this.#checkPlace(pairs, place);
    return geometry;
  }

  #checkHeader(words: Int32Array, blockSize: number, length: number): Geometry {
    const at = (offset: number) => words[offset / WORD]!;
    const here = `Cannot use the pool at offset ${this.byteOffset}`;
    const refuse = (why: string) => new MMapInvalidParameterError(`${here}: ${why}`);
    if (at(MAGIC_OFFSET) === FOREIGN_MAGIC) {
      throw refuse("it was written in the other byte order; make a new one on this machine");
    }
    if (at(MAGIC_OFFSET) !== MAGIC) throw this.#notAPool(length);
    if (at(VERSION_OFFSET) !== VERSION) {
      throw refuse(
        `it has version ${
          at(VERSION_OFFSET)
        }, this library ${VERSION}; use the same version on all ` +
          "sides",
      );
    }
    if (at(BLOCK_SIZE_OFFSET) !== blockSize) {
      throw refuse(
        `it has blocks of ${at(BLOCK_SIZE_OFFSET)} bytes, not ${blockSize}; give the same number`,
      );
    }
    const blocks = at(BLOCKS_OFFSET);
    if (blocks < 1 || blocks > MAX_BLOCKS) {
      throw refuse(`its header says ${blocks} blocks, which cannot be; it is damaged`);
    }
    const geometry = geometryOf(blockSize, blocks);
    if (byteLengthOf(geometry) <= length) return geometry;
    throw refuse(
      `it has ${blocks} blocks, ${byteLengthOf(geometry)} bytes in all, and the range only ` +
        `${length}; map all of it`,
    );
  }

  /** Threads are known by numbers that hold for one start of the machine and one namespace. */
  #checkPlace(pairs: BigInt64Array, place: bigint): void {
    const found = Atomics.load(pairs, BOOT_PAIR);
    if (found === place) return;
    if (BigInt.asUintN(32, found) !== BigInt.asUintN(32, place)) {
      // Whoever it knows of did not survive the machine's end: their identities tell.
      Atomics.compareExchange(pairs, BOOT_PAIR, found, place);
      return;
    }
    throw new MMapInvalidParameterError(
      `Cannot use the pool at offset ${this.byteOffset}: it belongs to another PID namespace ` +
        "(container), where threads have other numbers; use one namespace",
    );
  }

  #notAPool(length: number): MMapInvalidParameterError {
    return new MMapInvalidParameterError(
      `${WHAT} at offset ${this.byteOffset}: the ${length} bytes there hold something else; give ` +
        "zeroed memory, or the offset of a pool",
    );
  }
}
