/** What a pool looks like: totals, a picture, contradictions. */
import { wrongBits } from "./free_index.ts";
import { OWNER_MASK, TAIL } from "./layout.ts";
import type { PoolMemory } from "./memory.ts";

/** Totals of a pool, in bytes. While others allocate they are those of no single moment. */
export interface PoolStats {
  /** All blocks. */
  readonly size: number;
  /** Blocks that are taken. */
  readonly used: number;
  /** Blocks that are free. */
  readonly free: number;
  /** The longest run of free blocks: the largest allocation that can succeed. */
  readonly largestFree: number;
  /** The part of the free bytes that is not in the longest run: 0 if all are in one piece. */
  readonly fragmentation: number;
}

function isTaken({ geometry }: PoolMemory, words: Int32Array, index: number): boolean {
  return (words[geometry.states + index]! & OWNER_MASK) !== 0;
}

/** Counts a pool's blocks. */
export function statsOf(memory: PoolMemory): PoolStats {
  const words = memory.current();
  const { blocks, blockSize } = memory.geometry;
  let used = 0;
  let longest = 0;
  for (let index = 0, run = 0; index < blocks; index++) {
    const taken = isTaken(memory, words, index);
    if (taken) used++;
    run = taken ? 0 : run + 1;
    if (run > longest) longest = run;
  }
  const free = blocks - used;
  return {
    size: blocks * blockSize,
    used: used * blockSize,
    free: free * blockSize,
    largestFree: longest * blockSize,
    fragmentation: free === 0 ? 0 : 1 - longest / free,
  };
}

/** Draws a pool: `.` is free, `#` is taken, `+` is in part. */
export function pictureOf(memory: PoolMemory, cells: number, columns: number): string {
  const words = memory.current();
  const { blocks } = memory.geometry;
  const each = Math.max(Math.ceil(blocks / cells), 1);
  let text = "";
  for (let from = 0, cell = 0; from < blocks; from += each, cell++) {
    const end = Math.min(from + each, blocks);
    let taken = 0;
    for (let index = from; index < end; index++) if (isTaken(memory, words, index)) taken++;
    if (cell > 0 && cell % columns === 0) text += "\n";
    text += taken === 0 ? "." : taken === end - from ? "#" : "+";
  }
  return text;
}

/** Something in a pool's memory that cannot be, or that makes the pool slower. */
export interface PoolProblem {
  /**
   * - `"summary"`: a bit above level 0 says something else than the level below
   * - `"hidden"`: a free block counts as taken; it is kept at hand by a thread, or its thread was killed
   * - `"stale"`: a taken block counts as free; whoever tries it puts that right
   * - `"run"`: a block goes on a run that has no head
   * - `"owner"`: a block belongs to a number that nobody has
   */
  readonly kind: "summary" | "hidden" | "stale" | "run" | "owner";
  /** What contradicts what, in words. */
  readonly message: string;
}

/** Looks for what cannot be. */
export function problemsOf(memory: PoolMemory): PoolProblem[] {
  const problems: PoolProblem[] = [];
  const words = memory.current();
  const { states, blocks } = memory.geometry;
  for (const { level, index, value } of wrongBits(words, memory.geometry)) {
    problems.push(
      level > 0
        ? {
          kind: "summary",
          message: `level ${level} of the index says that word ${index} of level ${level - 1} is ` +
            `${value ? "full, which has free bits" : "not full, which is"}`,
        }
        : value
        ? { kind: "hidden", message: `block ${index} is free, and the index says taken` }
        : { kind: "stale", message: `block ${index} is taken, and the index says free` },
    );
  }
  for (let index = 0; index < blocks; index++) {
    const state = words[states + index]!;
    if ((state & TAIL) !== 0 && (index === 0 || !isTaken(memory, words, index - 1))) {
      problems.push({
        kind: "run",
        message: `block ${index} goes on block ${index - 1}, which is free`,
      });
    }
    const owner = state & OWNER_MASK;
    if (owner !== 0 && memory.ownerPair(owner) === 0n && (state & TAIL) === 0) {
      problems.push({
        kind: "owner",
        message: `block ${index} is owner ${owner}'s, who is nobody`,
      });
    }
  }
  return problems;
}
