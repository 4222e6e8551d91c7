/** Positions of a Broadcast, which never come round, and numbers of its messages. */
import {
  ALIGNMENT,
  DATA_OFFSET,
  EPOCH_OFFSET,
  HALF,
  INTENT_OFFSET,
  LATEST_OFFSET,
  NEXT_OFFSET,
  NUMBER_OFFSET,
  PADDING,
  TAIL_OFFSET,
  TYPE_OFFSET,
} from "./broadcast_layout.ts";
import { loadFence } from "./fence.ts";
import { WORD } from "./header.ts";
import type { RingMemory } from "./ring_memory.ts";
import { unwrap } from "./wide.ts";

const EPOCH = EPOCH_OFFSET / WORD;
const INTENT = INTENT_OFFSET / WORD;
const TAIL = TAIL_OFFSET / WORD;
const LATEST = LATEST_OFFSET / WORD;
const TYPE = TYPE_OFFSET / WORD;
const NUMBER = NUMBER_OFFSET / WORD;
const NEXT = NEXT_OFFSET / WORD;

/** A position that somebody else may move. */
export function loadPosition(words: Int32Array, index: number): number {
  for (;;) {
    const epoch = Atomics.load(words, index + EPOCH) >>> 0;
    const position = Atomics.load(words, index) >>> 0;
    if (Atomics.load(words, index + EPOCH) >>> 0 === epoch) return unwrap(position, epoch, HALF);
  }
}

/** The full position of the latest message before the tail. */
export function latestBefore(words: Int32Array, tail: number): number {
  return tail - (tail - (Atomics.load(words, LATEST) >>> 0) >>> 0);
}

/** The word at which a message begins. */
export function wordAt(position: number, capacity: number): number {
  return (DATA_OFFSET + (position & capacity - 1)) >> 2;
}

/** A number of two words: of a message that begins at a word, or of the next one. */
export function loadNumber(words: Int32Array, index: number): number {
  return (words[index]! >>> 0) + (words[index + 1]! >>> 0) * 2 ** 32;
}

/** Bytes that a message takes. */
export function sizeOf(length: number): number {
  return length + ALIGNMENT - 1 & -ALIGNMENT;
}

/** Whether what was read at a position, before this call, is what was written there. */
export function isWhole(memory: RingMemory, position: number): boolean {
  loadFence();
  return loadPosition(memory.words, INTENT) <= position + memory.capacity;
}

/** How often a reader tries to find out which message comes next. */
const MAX_TRIES = 100;

/** Where the tail is, and the number of the message that comes there. */
export function findTail(memory: RingMemory): { position: number; next: number } {
  const { words, capacity } = memory;
  for (let tries = 0;; tries++) {
    const position = loadPosition(words, TAIL);
    if (position === 0) return { position, next: 0 };
    const latest = latestBefore(words, position);
    const at = wordAt(latest, capacity);
    const next = loadNumber(words, at + NUMBER) + (words[at + TYPE] === PADDING ? 0 : 1);
    const isOfTail = latest < position && loadPosition(words, TAIL) === position;
    if (isOfTail && isWhole(memory, latest)) return { position, next };
    // The producer is fast, or has died over its latest message.
    if (tries === MAX_TRIES) return { position, next: loadNumber(words, NEXT) };
  }
}
