/** How far the writer of a RecordRing is, as a reader in any process sees it. */
import { MMapInvalidParameterError } from "../errors.ts";
import { loadFence } from "./fence.ts";
import { WORD } from "./header.ts";
import {
  COUNT_OFFSET,
  EPOCH_OFFSET,
  FINISHED_OFFSET,
  halfPeriod,
  POSITION_OFFSET,
  STARTED_OFFSET,
  VOID,
} from "./record_layout.ts";

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
  readonly #finished: number;
  readonly #epoch: number;
  readonly #header: HeaderProgress;
  /** Whether the header says the same: else somebody has written who does not know the trailer. */
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
    this.#finished = trailer + FINISHED_OFFSET / WORD;
    this.#epoch = trailer + EPOCH_OFFSET / WORD;
    this.#header = new HeaderProgress(words, capacity);
  }

  look(): void {
    const words = this.#words;
    for (;;) {
      const epoch = words[this.#epoch]! >>> 0;
      loadFence();
      const finished = words[this.#finished]!;
      const started = words[this.#started]!;
      const position = words[POSITION]!;
      const count = words[COUNT]!;
      loadFence();
      if (words[this.#epoch]! >>> 0 !== epoch || words[this.#started] !== started) continue;
      const end = this.#total(finished, epoch);
      const begun = this.#total(started, epoch);
      const oldest = Math.max(begun - this.#capacity, 0);
      this.#agrees = finished !== VOID &&
        (started === finished
          ? this.#isConfirmed(end, end - oldest, position, count)
          : position === end % this.#capacity || position === begun % this.#capacity);
      if (this.#agrees) [this.oldest, this.end, this.started] = [oldest, end, begun];
      else this.#takeFromHeader();
      return;
    }
  }

  /**
   * For a new writer: sets counters right that do not agree with the header. A write that was begun and
   * not finished stays begun: its place is not whole before it was written again.
   *
   * @returns Whether the counters count from now on; else the header says something that they cannot.
   */
  resume(): boolean {
    this.look();
    if (this.#agrees) return true;
    const count = this.end - this.oldest;
    const total = count === this.#capacity ? this.end : count;
    const counts = total % this.#capacity === this.#words[POSITION];
    this.#settle(counts ? total : undefined);
    return counts;
  }

  /** Announces a write, before its first byte, after which there are so many. */
  start(total: number): void {
    const words = this.#words;
    if (total % this.#half === 0) Atomics.store(words, this.#epoch, total / this.#half);
    Atomics.store(words, this.#started, total % (2 * this.#half));
    Atomics.load(words, this.#started); // keeps the bytes behind the announcement
  }

  /** Says that it is complete. */
  finish(total: number): void {
    Atomics.store(this.#words, this.#finished, total % (2 * this.#half));
  }

  /** Whether the header of 16 bytes says what the counters say while nobody writes. */
  #isConfirmed(end: number, stored: number, position: number, count: number): boolean {
    const capacity = this.#capacity;
    // One less: a write to a full ring begins with that.
    return position === end % capacity &&
      (count === stored || (stored === capacity && count === capacity - 1));
  }

  /** A counter's full value. The epoch changes first, and may be one ahead of the counter. */
  #total(counter: number, epoch: number): number {
    const late = (counter < this.#half ? 0 : 1) !== (epoch & 1) ? 1 : 0;
    const halves = epoch - late;
    return (halves - (halves & 1)) * this.#half + counter;
  }

  /** Makes the counters say that so many records were written, or that they do not count. */
  #settle(total: number | undefined): void {
    const words = this.#words;
    const counter = total === undefined ? VOID : total % (2 * this.#half);
    Atomics.store(words, this.#finished, VOID);
    if (total !== undefined) Atomics.store(words, this.#epoch, Math.floor(total / this.#half));
    Atomics.store(words, this.#started, counter);
    Atomics.store(words, this.#finished, counter);
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
