/**
 * Where everything lies in the memory of a pool: the one descriptor of this layout. Native byte order, told
 * by the magic; all numbers are 32-bit words. Zeroed memory is a pool that nobody has named yet, with all
 * blocks free.
 *
 *   0            4            8            12           16           20           24           28           32
 *   +------------+------------+------------+------------+------------+------------+------------+------------+
 *   | magic      | version    | block size | blocks     | boot       | namespace  | salt       | hidden     |  (0)
 *   +------------+------------+------------+------------+------------+------------+------------+------------+
 *   | owners: 256 pairs of thread number and identity; the first is nobody                            |
 *   +-------------------------------------------------------------------------------------------------+
 *   | states: one word a block                                                                        |
 *   +-------------------------------------------------------------------------------------------------+
 *   | slacks: one word a block; at the first of a run, the bytes at its end that nobody asked for     |
 *   +-------------------------------------------------------------------------------------------------+
 *   | index, level 0: one bit a block, 1 if it is taken; level n: one bit a word of level n - 1, 1 if  |
 *   | all its bits are 1; the last level is one word                                                  |
 *   +-------------------------------------------------------------------------------------------------+
 *   | blocks                                                                                          |
 *   +-------------------------------------------------------------------------------------------------+
 *
 * A state:
 *
 *    31                                  9   8   7                0
 *   +--------------------------------------+---+-------------------+
 *   | generation, counts how often freed   | t | owner, 0 if free  |    t: goes on the block before
 *   +--------------------------------------+---+-------------------+
 *
 * The states are the truth. One compare-and-swap of a state takes a block and says whose it is; one frees
 * it and makes all handles stale. So a process that is killed, at whatever instruction, holds what its
 * owner number says and nothing else:
 *
 * - A run is its first block, the head, and all blocks right behind it with `t`. It is taken from the first
 *   block to the last, and freed from the last to the first: at every moment the blocks of a run follow
 *   their head. A kill in between leaves a shorter run of a dead owner.
 * - Who frees a run first takes its head over under the next generation. That decides who of several frees
 *   it; whoever is killed afterwards leaves a run of a dead owner again.
 * - `recover()` does the same with heads of dead owners. An owner's number is given away again only when a
 *   whole pass has left nothing of it. A pass that is late may know a number as dead that is somebody
 *   else's by now: it looks at the number again after it has read a state, and any block of the new owner
 *   has a later generation than the state that was read, so that the compare-and-swap fails.
 *
 * The index is a hint and may be wrong both ways. A bit that is 0 at a taken block costs the one who tries it
 * a failed compare-and-swap, and is put right then. A bit that is 1 at a free block hides it. Threads make use
 * of that: what they free they hide and keep at hand, up to a few blocks, and say so in `hidden`: a number
 * of the one who does, or HIDDEN_BY_MANY. Whoever finds nothing shows what it hides itself; if others
 * do, it sets `hidden` to 0 and makes the index anew from the states, before the pool counts as full. A thread
 * first frees and then looks at `hidden`: either it finds 0 there, or the other one finds the block. What a
 * thread that was killed has hidden without saying so, recover() shows.
 *
 * Whoever writes a bit looks at what it stands for once more afterwards, and writes again if that has changed.
 */

/** "mmPL" in the byte order of the writer. */
export const MAGIC = 0x4c506d6d;
/** The same, written in the other byte order. */
export const FOREIGN_MAGIC = 0x6d6d504c;
/** Changes with every change of this layout. */
export const VERSION = 1;

/** Bytes of a word. */
export const WORD = 4;

export const MAGIC_OFFSET = 0;
export const VERSION_OFFSET: number = MAGIC_OFFSET + WORD;
export const BLOCK_SIZE_OFFSET: number = VERSION_OFFSET + WORD;
export const BLOCKS_OFFSET: number = BLOCK_SIZE_OFFSET + WORD;
export const BOOT_OFFSET: number = BLOCKS_OFFSET + WORD;
export const NAMESPACE_OFFSET: number = BOOT_OFFSET + WORD;
export const SALT_OFFSET: number = NAMESPACE_OFFSET + WORD;
export const HIDDEN_OFFSET: number = SALT_OFFSET + WORD;
/** Several threads hide blocks. */
export const HIDDEN_BY_MANY = -1;
export const OWNERS_OFFSET = 64;
export const OWNER_LENGTH: number = 2 * WORD;
/** Numbers of owners, with 0 for nobody. */
export const OWNERS = 256;
export const STATES_OFFSET: number = OWNERS_OFFSET + OWNERS * OWNER_LENGTH;

/** The bits of a state that hold the owner. */
export const OWNER_MASK: number = OWNERS - 1;
/** Set in the state of a block that goes on the one before. */
export const TAIL = 0x100;
const GENERATION_SHIFT = 9;
export const GENERATION_BITS = 23;

/** Blocks that a pool has at most: as many as a handle can tell apart. */
export const INDEX_BITS = 26;
export const MAX_BLOCKS: number = 2 ** INDEX_BITS;
export const SALT_BITS = 15;

/** The largest alignment of the first block: a page of most systems. */
const MAX_START_UNIT = 4096;

/** How often a block was freed, from its state. */
export function generationOf(state: number): number {
  return state >>> GENERATION_SHIFT;
}

/** The state of a free block after one of a generation. */
export function freeAfter(state: number): number {
  return ((state >>> GENERATION_SHIFT) + 1) << GENERATION_SHIFT;
}

/** The parts of a handle: which block, how often it was freed before, and a number of the pool's. */
export interface HandleParts {
  readonly index: number;
  readonly generation: number;
  readonly salt: number;
}

/** One number of up to 64 bits for the parts. */
export function handleOf({ index, generation, salt }: HandleParts): bigint {
  return BigInt(salt) << BigInt(GENERATION_BITS + INDEX_BITS) |
    BigInt(generation) << BigInt(INDEX_BITS) | BigInt(index);
}

/** The parts of a handle. */
export function partsOf(handle: bigint): HandleParts {
  const bits = (from: number, count: number) =>
    Number(BigInt.asUintN(count, handle >> BigInt(from)));
  return {
    index: bits(0, INDEX_BITS),
    generation: bits(INDEX_BITS, GENERATION_BITS),
    salt: bits(INDEX_BITS + GENERATION_BITS, SALT_BITS),
  };
}

/** Places in a pool. All but the last are indices of words. */
export interface Geometry {
  readonly blockSize: number;
  readonly blocks: number;
  readonly states: number;
  readonly slacks: number;
  /** Where each level of the index begins. */
  readonly levels: readonly number[];
  /** Words of each level. */
  readonly levelWords: readonly number[];
  /** Words before the blocks. */
  readonly words: number;
  /** Bytes from the pool's start to the first block. */
  readonly start: number;
}

/** Where everything lies in a pool of so many blocks. */
export function geometryOf(blockSize: number, blocks: number): Geometry {
  const states = STATES_OFFSET / WORD;
  const slacks = states + blocks;
  const levels: number[] = [];
  const levelWords: number[] = [];
  let end = slacks + blocks;
  for (let bits = blocks; levels.length === 0 || bits > 1;) {
    const words = Math.ceil(bits / 32);
    levels.push(end);
    levelWords.push(words);
    end += words;
    bits = words;
  }
  // Blocks of a power of two lie at multiples of it, as far as pages do.
  const unit = Math.min(blockSize & -blockSize, MAX_START_UNIT);
  const start = Math.ceil(end * WORD / unit) * unit;
  return { blockSize, blocks, states, slacks, levels, levelWords, words: end, start };
}

/** Bytes of a pool. */
export function byteLengthOf(geometry: Geometry): number {
  return geometry.start + geometry.blocks * geometry.blockSize;
}

/** As many blocks as fit into so many bytes; none if not even one does. */
export function fit(blockSize: number, byteLength: number): Geometry | undefined {
  const fits = (blocks: number) => byteLengthOf(geometryOf(blockSize, blocks)) <= byteLength;
  let low = 0;
  let high = Math.min(Math.floor(byteLength / blockSize), MAX_BLOCKS);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? undefined : geometryOf(blockSize, low);
}
