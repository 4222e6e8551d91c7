/** Reads the records of a journal one after the other, through all its segments. */
import { show } from "../check.ts";
import { OLDEST_OFFSET } from "./layout.ts";
import { openIfThere, type OpenSegment, segmentNumbers, walkToEnd } from "./recovery.ts";
import { damaged, type Header, Walk } from "./segment.ts";
import type { SegmentFile, Storage } from "./storage.ts";

/** A journal that is read. */
export interface Readable {
  readonly storage: Storage;
  /** Segment 0, for its header. */
  readonly control: SegmentFile;
  readonly identity: Header["identity"];
  /** Sequence after the last record that may be read. */
  readonly next: number;
}

/** One record of a journal. */
export interface JournalRecord {
  /** Its place among all records that were ever appended, from 0. */
  readonly sequence: number;
  /** A copy of what was appended. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const fence = new Int32Array(new SharedArrayBuffer(4));

/** A place in a journal. */
export class Cursor {
  readonly #journal: Readable;
  readonly #from: number;
  #segment: OpenSegment | undefined;
  #walk: Walk | undefined;

  /** @param from Sequence of the first record wanted. */
  constructor(journal: Readable, from: number) {
    this.#journal = journal;
    this.#from = from;
  }

  /**
   * The next record; undefined if there is none yet. Records that were removed are passed over.
   *
   * @throws {MMapError} EBADMSG if the record is damaged.
   */
  next(): JournalRecord | undefined {
    const walk = this.#walk ?? this.#seek(this.#from);
    if (walk.sequence >= this.#journal.next) return undefined;
    // What only lies on the way needs no checking.
    while (walk.next(walk.sequence >= this.#from)) {
      if (walk.sequence <= this.#from) {
        if (walk.sequence < this.#journal.next) continue;
        return undefined;
      }
      const { start, length, sequence } = walk;
      const bytes = new Uint8Array(this.#segment!.file.bytes.subarray(start, start + length));
      if (this.#isRemoved()) break;
      return { sequence: sequence - 1, bytes };
    }
    this.#advance(walk);
    return this.next();
  }

  /** Ends its map. */
  close(): void {
    this.#segment?.file.close();
    this.#segment = undefined;
    this.#walk = undefined;
  }

  /** Goes to the segment that holds a record, or else the first one after it. */
  #seek(sequence: number): Walk {
    for (;;) {
      const { storage, control } = this.#journal;
      const numbers = segmentNumbers(storage, control);
      let low = 0;
      let high = numbers.length - 1;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        const segment = this.#open(numbers[middle]!);
        if (segment === undefined) break; // removed just now
        segment.file.close();
        if (segment.header.first <= sequence) low = middle;
        else high = middle - 1;
      }
      const segment = low === high ? this.#open(numbers[low]!) : undefined;
      if (segment !== undefined) return this.#enter(segment);
    }
  }

  /** Goes on behind the last record of a segment. */
  #advance(walk: Walk): void {
    const { number } = this.#segment!.header;
    const { sequence } = walk;
    const following = this.#open(number + 1);
    if (following?.header.first === sequence) {
      this.#enter(following);
      return;
    }
    following?.file.close();
    if (this.#isRemoved()) {
      this.close();
      this.#seek(sequence);
      return;
    }
    // A processor may have shown the count of records before the record.
    Atomics.add(fence, 0, 1);
    const again = walkToEnd(this.#segment!);
    if (again.sequence > sequence) return;
    const { storage } = this.#journal;
    throw damaged(
      `Cannot read record ${again.sequence}: ${show(storage.name(number))} is damaged at offset ` +
        `${again.position}; take the file from a backup, or try readFrom() of a later record`,
    );
  }

  #enter(segment: OpenSegment): Walk {
    const left = this.#segment;
    this.#segment = segment;
    left?.file.close(); // which may throw: the new one is closed with the cursor then
    return this.#walk = new Walk(segment.file, segment.header);
  }

  /** Maps a segment; undefined if it is not there. */
  #open(number: number): OpenSegment | undefined {
    const { storage, identity } = this.#journal;
    return openIfThere(storage, number, identity);
  }

  /** Whether the segment does not count any more. */
  #isRemoved(): boolean {
    const oldest = this.#journal.control.words[OLDEST_OFFSET / 4]! >>> 0;
    return this.#segment!.header.number < oldest;
  }
}
