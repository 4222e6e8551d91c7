/**
 * What a journal stores in: the seam between its logic and the system. `disk.ts` is the real one; a test
 * has one that records every store and flush, and loses power in between.
 */

/** One file, mapped. Offsets and lengths are bytes; words lie at multiples of 4, pairs of 8. */
export interface SegmentFile {
  /** Bytes. */
  readonly size: number;
  /** The content, for reading only. */
  readonly words: Int32Array;
  /** The content, for reading only. */
  readonly bytes: Uint8Array;
  /** Stores bytes. */
  put(offset: number, bytes: Uint8Array): void;
  /** Stores a word. */
  putWord(offset: number, value: number): void;
  /** Stores a word; nobody who sees it misses what was stored before. */
  release(offset: number, value: number): void;
  /** A word, after all that was stored before. */
  acquire(offset: number): number;
  /** Stores two words at once: whoever looks, or is killed, has both or none. */
  putPair(offset: number, first: number, second: number): void;
  /** Stores zeros. */
  zero(offset: number, length: number): void;
  /** The CRC-32C of a range, as a signed word. */
  crc(offset: number, length: number): number;
  /** Returns when the range is on the storage. */
  flush(offset: number, length: number): void;
  /** {@link flush}, with the event loop free. */
  flushAsync(offset: number, length: number): Promise<void>;
  /** Gives the blocks of a range back where the system can; it may read as zeros from then on. */
  discard(offset: number, length: number): void;
  /** Wakes those who wait for a word to change, in all processes. */
  wake(offset: number): void;
  /** Ends the mapping. */
  close(): void;
}

/** Waits until a journal has more to read. */
export interface Watch {
  /** What {@link changed} waits for a change of: to be asked before it is looked what there is. */
  look(): number;
  /**
   * Waits until {@link look} gives something else, with the event loop free.
   *
   * @throws {MMapClosedError} If it was closed. The promise is rejected.
   */
  changed(seen: number): Promise<void>;
  /** Ends the wait. */
  close(): void;
}

/** The files of one journal. */
export interface Storage {
  /** The name of a segment, for messages. */
  name(number: number): string;
  /** The numbers of the segments that are there, ascending. */
  list(): number[];
  /** Maps a segment. */
  open(number: number, writable: boolean): SegmentFile;
  /** Makes a file of zeros that is not a segment yet, with blocks on the disk for all of it. */
  make(size: number): SegmentFile;
  /** Makes it a segment, in place of the one that has the number; it is closed by now. */
  settle(number: number): void;
  /** Takes what {@link make} made away, if it is there. */
  abandon(): void;
  /** Takes a segment away; who has it mapped keeps it. */
  remove(number: number): void;
  /** Returns when the names of the files are on the storage. */
  flushNames(): void;
  /** Keeps other writers out until it is closed. @throws {MMapError} EWOULDBLOCK if there is one. */
  lock(): { close(): void };
  /** Waits for more. */
  watch(): Watch;
}
