/** The writing side of a journal: appends, flushes, starts segments and takes old ones away. */
import { MMapError, MMapInvalidParameterError } from "../errors.ts";
import { HEADER_LENGTH, KIND_BYTES, maxLength, recordLength } from "./layout.ts";
import { publish, setWriter } from "./live.ts";
import type { Readable } from "./cursor.ts";
import { cut, type OpenSegment, openSegment, type Place, survey, walkToEnd } from "./recovery.ts";
import { type Header, writeHeader, writeOldest, writeRecord } from "./segment.ts";
import type { SegmentFile, Storage } from "./storage.ts";

/** Bytes of a segment by default. */
export const DEFAULT_SIZE: number = 16 << 20;

function randomWords(count: number): number[] {
  return [...crypto.getRandomValues(new Int32Array(count))];
}

/** Makes a file that only has to be settled to be a segment: the disk has room for all of it. */
function prepareSegment(storage: Storage, header: Header): void {
  try {
    const file = storage.make(header.size);
    try {
      writeHeader(file, header);
      file.flush(0, HEADER_LENGTH);
    } finally {
      file.close();
    }
  } catch (error) {
    storage.abandon();
    throw error;
  }
}

/** Makes a journal without records, in place of one that is there. */
export function createJournal(storage: Storage, size: number = DEFAULT_SIZE): void {
  // The last segments first: what a loss of power leaves is the beginning of the old journal.
  for (const number of storage.list().reverse()) if (number > 0) storage.remove(number);
  storage.flushNames();
  const [a = 0, b = 0, salt = 0] = randomWords(3);
  prepareSegment(storage, { identity: [a, b], first: 0, size, number: 0, salt, oldest: 0 });
  storage.settle(0);
  storage.flushNames();
}

/** A journal that is open for writing. Its owner holds the lock. */
export class Writer implements Readable {
  readonly storage: Storage;
  /** Segment 0, for its header. */
  readonly control: SegmentFile;
  /** The segments that count, ascending; the last one is written. */
  readonly #segments: Place[];
  readonly identity: Header["identity"];
  /** Of the segments to come. */
  readonly #size: number;
  #file: SegmentFile;
  #salt: number;
  #position: number;
  /** What lies before it in this segment, and all of the segments before, is on the storage. */
  #flushed: number;
  #failure: unknown;

  /** Sequence of the next record. */
  next: number;
  /** The records before it are on the storage. */
  durable: number;
  /** Bytes that recovery has dropped. */
  readonly droppedBytes: number;

  /** Recovers a journal. @param size Of the segments to come; default: that of the last one. */
  constructor(storage: Storage, size?: number) {
    this.storage = storage;
    storage.abandon();
    const { file: control, header } = openSegment(storage, 0, true);
    this.control = control;
    this.identity = header.identity;
    let last: OpenSegment | undefined;
    try {
      this.#segments = survey(storage, control, header.identity);
      // What a writer has declared removed and was killed before it removed it.
      for (const number of storage.list()) if (number < header.oldest) this.#drop(number);
      last = openSegment(storage, this.#segments.at(-1)!.number, true, header.identity);
      const walk = walkToEnd(last);
      this.droppedBytes = cut(walk);
      storage.flushNames(); // whoever made the last segment may have been killed before
      this.#file = last.file;
      this.#size = size ?? last.header.size;
      this.#salt = walk.salt;
      this.#position = this.#flushed = walk.position;
      this.next = this.durable = walk.sequence;
      setWriter(control, globalThis.process.pid);
      publish(control, this.next);
    } catch (error) {
      try {
        last?.file.close();
      } finally {
        control.close();
      }
      throw error;
    }
  }

  /** Sequence of the first record that is there. */
  get first(): number {
    return this.#segments[0]!.first;
  }

  /** Bytes of the last segment that are not on the storage yet. */
  get unflushed(): number {
    return this.#position - this.#flushed;
  }

  /** Stores a record; returns its sequence. Nobody sees it before {@link publish}. */
  append(bytes: Uint8Array, length: number): number {
    this.#checkUsable("append to");
    const total = recordLength(length);
    if (total > this.#file.size - this.#position) this.#roll(total, length);
    const sequence = this.next;
    this.#position = writeRecord(
      this.#file,
      this.#position,
      KIND_BYTES,
      bytes,
      length,
      sequence,
      this.#salt,
    );
    this.next = sequence + 1;
    return sequence;
  }

  /** Lets readers see what was appended. */
  publish(): void {
    publish(this.control, this.next);
  }

  /** Puts everything on the storage. */
  flush(): void {
    this.#checkUsable("flush");
    if (this.#position > this.#flushed) {
      this.#mustWork(() => this.#file.flush(this.#flushed, this.#position - this.#flushed));
      this.#flushed = this.#position;
    }
    this.durable = this.next;
  }

  /** Puts everything that is there now on the storage, with the event loop free. */
  async flushAsync(): Promise<void> {
    this.#checkUsable("flush");
    const file = this.#file;
    const start = this.#flushed;
    const end = this.#position;
    const { next } = this;
    try {
      if (end > start) await file.flushAsync(start, end - start);
    } catch (error) {
      // Another flush was faster, and what was flushed here is a segment that is closed.
      if (this.durable >= next) return;
      this.#failure ??= error;
      throw error;
    }
    if (this.#file === file) this.#flushed = Math.max(this.#flushed, end);
    this.durable = Math.max(this.durable, next);
  }

  /** Takes away the segments that have only records before a sequence. */
  removeBefore(sequence: number): void {
    this.#checkUsable("remove records of");
    let count = 0;
    while (count + 1 < this.#segments.length && this.#segments[count + 1]!.first <= sequence) {
      count++;
    }
    if (count === 0) return;
    const removed = this.#segments.slice(0, count);
    // First nobody counts on them any more.
    writeOldest(this.control, this.#segments[count]!.number);
    this.#mustWork(() => this.control.flush(0, HEADER_LENGTH));
    this.#segments.splice(0, count);
    for (const { number } of removed) this.#drop(number);
    this.storage.flushNames();
  }

  /** Ends writing: everything is on the storage, and the journal says that it was closed. */
  close(): void {
    try {
      if (this.#failure === undefined) {
        this.flush();
        setWriter(this.control, 0);
        this.control.flush(0, HEADER_LENGTH);
      }
    } finally {
      try {
        this.#file.close();
      } finally {
        this.control.close();
      }
    }
  }

  /** Gives the space of a segment back. Segment 0 stays, for its header. */
  #drop(number: number): void {
    if (number > 0) this.storage.remove(number);
    else this.control.discard(HEADER_LENGTH, this.control.size - HEADER_LENGTH);
  }

  /** Goes on in a new segment. Nothing has changed if there is no room for one. */
  #roll(total: number, length: number): void {
    if (total > this.#size - HEADER_LENGTH) {
      throw new MMapInvalidParameterError(
        `Cannot append ${length} bytes: a segment of ${this.#size} bytes holds records of up to ` +
          `${maxLength(this.#size)}; open the journal with a larger size`,
      );
    }
    // A segment that is followed by another one is complete: recovery only looks at the last.
    this.flush();
    const number = this.#segments.at(-1)!.number + 1;
    const [salt = 0] = randomWords(1);
    const { next: first } = this;
    const [identity, size] = [this.identity, this.#size];
    prepareSegment(this.storage, { identity, first, size, number, salt, oldest: 0 });
    const { file } = this.#mustWork(() => {
      this.storage.settle(number);
      this.storage.flushNames();
      return openSegment(this.storage, number, true, identity);
    });
    const left = this.#file;
    this.#file = file;
    this.#salt = salt;
    this.#position = this.#flushed = HEADER_LENGTH;
    this.#segments.push({ number, first });
    left.close(); // which may throw
  }

  #checkUsable(verb: string): void {
    if (this.#failure === undefined) return;
    throw new MMapError(
      `Cannot ${verb} the journal: the storage has failed, and what is on it is not known; ` +
        "close the journal and open it again",
      { code: "EIO", cause: this.#failure },
    );
  }

  /** After a flush that failed, the system may have dropped what was to be flushed. */
  #mustWork<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }
}
