/** How far the writer of a RecordRing is, as a reader in any process sees it. */
import { MMapInvalidParameterError } from "../errors.ts";
import { loadFence, storeInOrder } from "./fence.ts";
import { WORD } from "./header.ts";
import {
  COUNT_OFFSET,
  EPOCH_OFFSET,
  halfPeriod,
  POSITION_OFFSET,
  STARTED_OFFSET,
  VOID,
} from "./record_layout.ts";
import { unwrap } from "./wide.ts";

export const POSITION: number = POSITION_OFFSET / WORD;
export const COUNT: number = COUNT_OFFSET / WORD;

/**
 * A look at the writer. Records have numbers that count up from the first that was written: record n
 * lies at place n modulo the capacity.
 */
export interface Progress {
  /** Number of the oldest record that is whole. */
  readonly oldest: number;
  /** Number of the record that comes after the newest. */
  readonly end: number;
  /** Number of the record that comes after the last that was begun. */
  readonly started: number;
  /** Looks again. @throws {MMapInvalidParameterError} If the header cannot be true. */
  look(): void;
}

/**
 * The progress that the 16 bytes of the header tell: all that is known of a writer in another language. It
 * is exact as long as that writer does not come around between two looks.
 */
export class HeaderProgress implements Progress {
  readonly #words: Int32Array;
  readonly #capacity: number;
  oldest = 0;
  end = 0;

  constructor(words: Int32Array, capacity: number) {
    this.#words = words;
    this.#capacity = capacity;
    this.end = capacity; // so that no number is negative
  }

  get started(): number {
    return this.end;
  }

  look(): void {
    const capacity = this.#capacity;
    const position = readWide(this.#words, POSITION);
    const count = readWide(this.#words, COUNT);
    if (position >= capacity || count > capacity) {
      throw new MMapInvalidParameterError(
        `Cannot read the ring: its header has write position ${position} and count ${count}, and ` +
          `${capacity} records fit; the file is damaged, or its records have another size`,
      );
    }
    this.end += (position - this.end % capacity + capacity) % capacity;
    this.oldest = this.end - count;
  }
}

/** The progress that the trailer tells, exactly. */
export class CountedProgress implements Progress {
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #half: number;
  readonly #started: number;
  readonly #epoch: number;
  readonly #header: HeaderProgress;
  /** Whether the header goes with the counter: else somebody has written who does not know the trailer. */
  #agrees = true;
  oldest = 0;
  end = 0;
  started = 0;

  /** @param trailer Index of the trailer's first word. */
  constructor(words: Int32Array, capacity: number, trailer: number) {
    this.#words = words;
    this.#capacity = capacity;
    this.#half = halfPeriod(capacity);
    this.#started = trailer + STARTED_OFFSET / WORD;
    this.#epoch = trailer + EPOCH_OFFSET / WORD;
    this.#header = new HeaderProgress(words, capacity);
  }

  look(): void {
    const words = this.#words;
    for (;;) {
      const epoch = words[this.#epoch]! >>> 0;
      const started = words[this.#started]!;
      loadFence();
      const position = words[POSITION]!;
      const count = words[COUNT]!;
      loadFence();
      // Unless both are as they were, position and count may be of another write.
      if (words[this.#started] !== started || words[this.#epoch]! >>> 0 !== epoch) continue;
      this.#agrees = started !== VOID &&
        this.#take(unwrap(started, epoch, this.#half), position, count);
      if (!this.#agrees) this.#takeFromHeader();
      return;
    }
  }

  /**
   * For a new writer: sets a counter right that does not go with the header. A write that was begun and
   * not finished stays begun: its place is not whole before it was written again.
   *
   * @returns Whether the counter counts from now on; else the header says something that it cannot.
   */
  resume(): boolean {
    this.look();
    if (this.#agrees) return true;
    const count = this.end - this.oldest;
    const total = count === this.#capacity ? this.end : count;
    const counts = total % this.#capacity === this.#words[POSITION];
    Atomics.store(this.#words, this.#started, VOID);
    if (!counts) return false;
    Atomics.store(this.#words, this.#epoch, Math.floor(total / this.#half));
    Atomics.store(this.#words, this.#started, total % (2 * this.#half));
    return true;
  }

  /** Announces a write, before its first byte, after which there are so many. */
  start(total: number): void {
    const words = this.#words;
    if (total % this.#half === 0) storeInOrder(words, this.#epoch, total / this.#half);
    storeInOrder(words, this.#started, total % (2 * this.#half));
  }

  /** Takes over what counter and header say, if they go together. */
  #take(started: number, position: number, count: number): boolean {
    const capacity = this.#capacity;
    const isFinished = position === started % capacity &&
      (capacity > 1 || count === Math.min(started, 1));
    const end = isFinished ? started : started - 1;
    // The count changes before a write, and after it: it may be one off.
    const agrees = end >= 0 && position === end % capacity && count <= capacity &&
      Math.abs(count - Math.min(end, capacity)) <= 1;
    if (!agrees) return false;
    this.started = started;
    this.end = end;
    this.oldest = Math.max(started - capacity, 0);
    return true;
  }

  #takeFromHeader(): void {
    this.#header.end = Math.max(this.end, this.#header.end); // numbers go on
    this.#header.look();
    this.oldest = this.#header.oldest;
    this.end = this.#header.end;
    this.started = this.end;
  }
}

/** An unsigned number of two words. */
function readWide(words: Int32Array, index: number): number {
  return (words[index]! >>> 0) + (words[index + 1]! >>> 0) * 2 ** 32;
}
