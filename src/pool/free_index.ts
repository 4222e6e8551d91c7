/** The index over the states: where free blocks may be. See layout.ts on how far it can be trusted. */
import { type Geometry, OWNER_MASK } from "./layout.ts";

const FULL = -1;

/** Runs that fit and are compared: more of them make a pool no fuller. */
const COMPARED = 8;
/** Blocks beyond those wanted up to which a run is measured. */
const MEASURED = 1 << 15;

/** The place of the lowest bit that is set. */
function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** The first block from a place on that looks free, or -1. */
export function nextFree(words: Int32Array, geometry: Geometry, from: number): number {
  const { levels, levelWords, blocks } = geometry;
  for (let level = 0, at = from;;) {
    const word = at >>> 5;
    if (word >= levelWords[level]!) return -1;
    const open = ~words[levels[level]! + word]! & (-1 << (at & 31)); // a hint: no need for Atomics
    if (open === 0) {
      // Nothing more in this word: the level above knows the next one that is not full.
      if (++level === levels.length) return -1;
      at = word + 1;
      continue;
    }
    at = (word << 5) + lowestBit(open);
    if (level === 0) return at < blocks ? at : -1;
    level--;
    at <<= 5;
  }
}

/** The first block of a range that looks taken, or `end`. */
function nextTaken(words: Int32Array, { levels }: Geometry, from: number, end: number): number {
  for (let at = from; at < end;) {
    const taken = words[levels[0]! + (at >>> 5)]! & (-1 << (at & 31));
    if (taken !== 0) return Math.min((at & ~31) + lowestBit(taken), end);
    at = (at & ~31) + 32;
  }
  return end;
}

/** What a run must be like: `first`, or later by a multiple of `step`. */
export interface Places {
  readonly first: number;
  readonly step: number;
}

/**
 * A run of blocks that look free, or -1: the shortest of the first few that fit, so that long ones stay long.
 * One that is much too long, such as what nobody has used yet, is not measured, and is the last one looked at.
 */
export function findRun(
  words: Int32Array,
  geometry: Geometry,
  count: number,
  { first, step }: Places,
): number {
  const longest = count + MEASURED;
  let best = -1;
  let least = longest + 1;
  for (let at = 0, seen = 0; seen < COMPARED;) {
    at = nextFree(words, geometry, at);
    if (at === -1) break;
    at = first + Math.max(Math.ceil((at - first) / step), 0) * step;
    if (at + count > geometry.blocks) break;
    const end = nextTaken(words, geometry, at, Math.min(at + longest, geometry.blocks));
    const length = end - at;
    if (length >= count) {
      seen++;
      if (length < least) [best, least] = [at, length];
      if (length === count || length === longest) break;
    }
    at = end + 1;
  }
  return best;
}

/** Notes that a block is taken. */
export function markTaken(words: Int32Array, geometry: Geometry, index: number): void {
  setBit(words, geometry, 0, index, true);
}

/** Makes the bit of a block say what its state says. */
export function settle(words: Int32Array, geometry: Geometry, index: number): void {
  const state = geometry.states + index;
  const isTaken = () => (Atomics.load(words, state) & OWNER_MASK) !== 0;
  settleBit(words, geometry, 0, index, isTaken);
}

function setBit(
  words: Int32Array,
  geometry: Geometry,
  level: number,
  index: number,
  value: boolean,
): void {
  const at = geometry.levels[level]! + (index >>> 5);
  const bit = 1 << (index & 31);
  const before = value ? Atomics.or(words, at, bit) : Atomics.and(words, at, ~bit);
  const after = value ? before | bit : before & ~bit;
  const changed = (before === FULL) !== (after === FULL);
  if (!changed || level + 1 === geometry.levels.length) return;
  settleBit(words, geometry, level + 1, index >>> 5, () => Atomics.load(words, at) === FULL);
}

/** Writes a bit until it is true: whatever it stands for may change at any time. */
function settleBit(
  words: Int32Array,
  geometry: Geometry,
  level: number,
  index: number,
  truth: () => boolean,
): void {
  for (let value = truth();;) {
    setBit(words, geometry, level, index, value);
    const now = truth();
    if (now === value) return;
    value = now;
  }
}

/** A bit of the index that says something else than what it stands for. */
export interface WrongBit {
  readonly level: number;
  readonly index: number;
  readonly value: boolean;
}

/** What a word of the index should be. */
function truthOf(words: Int32Array, geometry: Geometry, level: number, word: number): number {
  const { states, levels, levelWords, blocks } = geometry;
  const first = word << 5;
  const count = Math.min((level === 0 ? blocks : levelWords[level - 1]!) - first, 32);
  const below = (level === 0 ? states : levels[level - 1]!) + first;
  let truth = 0;
  for (let i = 0; i < count; i++) {
    const set = level === 0 ? (words[below + i]! & OWNER_MASK) !== 0 : words[below + i] === FULL;
    if (set) truth |= 1 << i;
  }
  return truth;
}

/** Looks for bits that are wrong, level by level, as it goes: whoever sets them right may go on. */
export function* wrongBits(words: Int32Array, geometry: Geometry): Generator<WrongBit> {
  const { levels, levelWords } = geometry;
  for (let level = 0; level < levels.length; level++) {
    for (let word = 0; word < levelWords[level]!; word++) {
      const now = words[levels[level]! + word]!;
      for (let wrong = now ^ truthOf(words, geometry, level, word); wrong !== 0;) {
        const bit = lowestBit(wrong);
        wrong &= wrong - 1;
        yield { level, index: (word << 5) + bit, value: (now >>> bit & 1) === 1 };
      }
    }
  }
}

/** Makes the index anew from the states, beside whoever uses it. */
export function rebuild(words: Int32Array, geometry: Geometry): void {
  const { blocks, levels, levelWords } = geometry;
  for (const { level, index } of wrongBits(words, geometry)) {
    if (index >= (level === 0 ? blocks : levelWords[level - 1]!)) {
      setBit(words, geometry, level, index, false); // it stands for nothing
    } else if (level === 0) settle(words, geometry, index);
    else {
      const below = levels[level - 1]! + index;
      settleBit(words, geometry, level, index, () => Atomics.load(words, below) === FULL);
    }
  }
}
