/** RecordRing: records of one size in a file, the newest in the place of the oldest. */
import { checkInteger, checkOptionKeys, show } from "../check.ts";
import {
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "../errors.ts";
import { explainLoss, explainMissing } from "../explain.ts";
import { pathOf } from "../file.ts";
import { inspectable, memoryFacts } from "../inspect.ts";
import type { Mapping } from "../mapping.ts";
import { mappingOf, MemoryMap } from "../memory_map.ts";
import { lengthOf, setBytes } from "../memory_operations.ts";
import { loadFence, storeInOrder } from "./fence.ts";
import {
  hasRingHeader,
  KIND_RECORDS,
  readRingHeader,
  RING_HEADER_LENGTH,
  WORD,
  writeRingHeader,
} from "./header.ts";
import {
  MAX_CAPACITY,
  MAX_RECORD_SIZE,
  RECORDS_OFFSET,
  TRAILER_LENGTH,
  trailerOffset,
  VERSION,
} from "./record_layout.ts";
import {
  COUNT,
  CountedProgress,
  HeaderProgress,
  POSITION,
  type Progress,
} from "./record_progress.ts";
import { bytesOf, type MessageData } from "./messages.ts";
import { createFile, placeOf } from "./place.ts";

/** What {@link RecordRing.create} makes. */
export interface RecordRingOptions {
  /** Records that the ring holds, 1 to 2^29. */
  capacity: number;
  /** Bytes of a record, 1 to 2^31 - 1. */
  recordSize: number;
}

/** How {@link RecordRing.open} opens. */
export interface OpenRecordRingOptions {
  /** `"r"` (default) reads only, `"r+"` reads and writes. */
  mode?: "r" | "r+";
  /**
   * Bytes of a record. Needed for files of other programs, which have nothing behind their last
   * record; else it must be what the file says, if given.
   */
  recordSize?: number;
}

/** How often a record is copied again because it was overwritten meanwhile. */
const MAX_TRIES = 10_000;

/**
 * A ring of fixed-size records in a file: a log that keeps the last `capacity` records. One writer, any
 * number of readers in any processes; what was written survives the writer, however it ends. It is not
 * on the storage before {@link RecordRing.flush}.
 *
 * The file is a header of 16 bytes (write position and count, u64 each) and the records, as other
 * languages write it, too, and 128 bytes behind the records that say how it was made. A reader never gets
 * a half-written record: it copies and then looks whether it was overtaken. With a writer in another
 * language, or a file without those 128 bytes, it can tell only if the writer has moved on.
 *
 * Linux, macOS and Windows.
 *
 * @example
 * ```ts
 * import { RecordRing } from "@mman/mman/ring";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/log`;
 * using ring = RecordRing.create(path, { capacity: 3, recordSize: 8 });
 * for (let i = 0; i < 5; i++) ring.write(new Float64Array([i]));
 *
 * using reader = RecordRing.open(path); // in any process
 * assertEquals([...reader].map((bytes) => new Float64Array(bytes.buffer)[0]), [2, 3, 4]);
 * ```
 */
export class RecordRing implements Disposable, Iterable<Uint8Array<ArrayBuffer>> {
  static {
    inspectable(this, (ring) => ({
      capacity: ring.capacity,
      recordSize: ring.recordSize,
      ...memoryFacts(ring.#mapping),
    }));
  }

  /** Records that the ring holds. */
  readonly capacity: number;
  /** Bytes of a record. */
  readonly recordSize: number;
  readonly #map: MemoryMap;
  readonly #mapping: Mapping;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #progress: Progress;
  /** The trailer's counter, if there is one. */
  #counter: CountedProgress | undefined;
  #isWriter = false;
  /** Records written so far, and those of them that the ring holds, as the only writer knows. */
  #total = 0;
  #stored = 0;
  /** Place of the next record. */
  #next = 0;

  private constructor(map: MemoryMap, capacity: number, recordSize: number, trailer: number) {
    this.#map = map;
    this.#mapping = mappingOf(map);
    this.capacity = capacity;
    this.recordSize = recordSize;
    // Words as far as there are whole ones: other programs' files end anywhere.
    this.#bytes = map.bytes;
    this.#words = wordsOf(this.#bytes, 0);
    this.#counter = trailer === 0
      ? undefined
      : new CountedProgress(this.#words, capacity, trailer / WORD);
    this.#progress = this.#counter ?? new HeaderProgress(this.#words, capacity);
  }

  /**
   * Makes an empty ring in a new file, and opens it for writing. A file that is there is replaced if it is
   * empty, or a ring of the same size that nobody writes: its readers keep the old one. On Windows it is not
   * replaced while anybody has it open.
   *
   * @param path A path or a `file:` URL.
   * @param options How many records of which size: exactly so many and so large, nothing is rounded. The file
   * has a header of 16 bytes more, and 128 bytes behind the records, at a multiple of 64.
   * @throws {MMapInvalidParameterError} If an option is wrong.
   * @throws {MMapError} If the file cannot be made; `code` says why. `EEXIST`: there is a file that is
   * not empty, and no ring of this capacity and record size, or one that has been written by somebody who
   * has it open still. `EBUSY`: on Windows, it is open.
   */
  static create(path: string | URL, options: RecordRingOptions): RecordRing {
    checkOptionKeys("RecordRing.create", options, ["capacity", "recordSize"]);
    const { capacity, recordSize } = options;
    checkBetween("a capacity in records", capacity, MAX_CAPACITY);
    checkRecordSize(recordSize);
    const trailer = trailerOffset(capacity, recordSize);
    const map = createFile(
      "Cannot create a RecordRing",
      path,
      trailer + TRAILER_LENGTH,
      (file) => RecordRing.#whyItStays(file, { capacity, recordSize }),
    );
    try {
      const header = { kind: KIND_RECORDS, version: VERSION, parameter: recordSize, capacity };
      writeRingHeader(wordsOf(map.bytes, trailer), header);
      return new RecordRing(map, capacity, recordSize, trailer);
    } catch (error) {
      map.close();
      throw error;
    }
  }

  /**
   * Opens the ring in a file.
   *
   * @param path A path or a `file:` URL.
   * @param options Mode, and the size of a record where the file does not tell.
   * @throws {MMapInvalidParameterError} If the file is no ring, is damaged, or has records of another size.
   * @throws {MMapError} If the file cannot be opened; `code` says why.
   *
   * @example
   * ```ts
   * import { RecordRing } from "@mman/mman/ring";
   * import { assertEquals } from "@std/assert";
   *
   * // A file of another program: two of three records of 4 bytes are there.
   * const path = `${Deno.makeTempDirSync()}/theirs`;
   * const file = new Uint8Array(16 + 3 * 4);
   * file.set([2], 0); // write position
   * file.set([2], 8); // count
   * file.set([1, 2, 3, 4, 5, 6, 7, 8], 16);
   * Deno.writeFileSync(path, file);
   *
   * using ring = RecordRing.open(path, { mode: "r+", recordSize: 4 });
   * ring.write(new Uint8Array([9, 9, 9, 9]));
   * assertEquals([...ring.get(2)], [9, 9, 9, 9]);
   * ```
   */
  static open(path: string | URL, options: OpenRecordRingOptions = {}): RecordRing {
    checkOptionKeys("RecordRing.open", options, ["mode", "recordSize"]);
    const { mode = "r", recordSize } = options;
    const what = `Cannot open ${show(pathOf(path))} as a RecordRing`;
    if (mode !== "r" && mode !== "r+") {
      throw new MMapInvalidParameterError(
        `${what} with mode ${show(mode)}: it must be "r" or "r+"`,
      );
    }
    if (recordSize !== undefined) checkRecordSize(recordSize);
    const map = openFile(what, path, mode);
    try {
      const found = findRecords(what, map.bytes, recordSize);
      const ring = new RecordRing(map, found.capacity, found.recordSize, found.trailer);
      ring.#progress.look();
      return ring;
    } catch (error) {
      map.close();
      throw error;
    }
  }

  /** Why a file that is there must not be replaced by a ring of that size; undefined if it may be. */
  static #whyItStays(
    path: string,
    { capacity, recordSize }: RecordRingOptions,
  ): string | undefined {
    const other =
      `the file there is no ring of ${capacity} records of ${recordSize} bytes; open it with ` +
      "RecordRing.open() if it is one of another size, or remove it";
    try {
      using ring = RecordRing.open(path, { recordSize });
      if (ring.capacity !== capacity) return other;
      const { platform, fd } = ring.#mapping;
      // Shared, so that two who ask at once are not in each other's way; it ends with this map.
      return platform.lockFile(fd, false)
        ? undefined
        : "somebody writes the RecordRing there; open it with RecordRing.open(), or remove it";
    } catch (error) {
      if (error instanceof MMapInvalidParameterError) return other;
      throw error;
    }
  }

  /** Records that can be read now; the oldest is not one of them while it is overwritten. */
  get count(): number {
    this.#look();
    return this.#progress.end - this.#progress.oldest;
  }

  /** Place of the record that is written next, from 0. */
  get writePosition(): number {
    this.#look();
    return this.#progress.end % this.capacity;
  }

  /**
   * Writes a record in the place of the oldest if the ring is full.
   *
   * @param record Up to `recordSize` bytes, or text; zeros fill what is left.
   * @throws {MMapInvalidParameterError} If it is longer.
   * @throws {MMapProtectionError} If the ring was opened for reading.
   * @throws {MMapError} With code `EWOULDBLOCK` if another writer has the ring open.
   * @throws {MMapClosedError} If the ring is closed.
   * @throws {MMapFaultError} If the file was truncated.
   */
  write(record: MessageData): void {
    const bytes = bytesOf(record);
    const length = lengthOf(bytes);
    const { recordSize, capacity } = this;
    if (length > recordSize) {
      throw new MMapInvalidParameterError(
        `Cannot write a record of ${length} bytes: the ring has records of ${recordSize}`,
      );
    }
    if (!this.#isWriter || this.#words.length === 0) this.#becomeWriter();
    const words = this.#words;
    const place = this.#next;
    const stored = this.#stored;
    const start = RECORDS_OFFSET + place * recordSize;
    const next = place + 1 === capacity ? 0 : place + 1;
    if (stored === capacity) words[COUNT] = capacity - 1; // the oldest is not whole from now on
    this.#counter?.start(++this.#total);
    setBytes(this.#bytes, bytes, start, length);
    if (length < recordSize) this.#bytes.fill(0, start + length, start + recordSize);
    storeInOrder(words, POSITION, next);
    this.#stored = stored === capacity ? capacity : stored + 1;
    if (capacity > 1) words[COUNT] = this.#stored;
    else storeInOrder(words, COUNT, 1); // nothing else says that the only record is whole
    this.#next = next;
    // Plain, which is fast everywhere: no engine moves it across the call that has written the bytes.
    if (this.#mapping.touched[0] !== 0) this.#checkFaults("write to", start, recordSize);
  }

  /**
   * A copy of a record.
   *
   * @param index 0 is the oldest, `count - 1` the newest. {@link RecordRing.at} counts from the newest, too.
   * @throws {MMapInvalidParameterError} If there are not so many records.
   * @throws {MMapError} With code `EAGAIN` if the writer overwrites it again and again meanwhile.
   * @throws {MMapClosedError} If the ring is closed.
   * @throws {MMapFaultError} If the file was truncated.
   */
  get(index: number): Uint8Array<ArrayBuffer> {
    if (Number.isSafeInteger(index) && index < 0) {
      throw new MMapInvalidParameterError(
        `Cannot get record ${index}: the oldest is 0; at(${index}) counts from the newest`,
      );
    }
    checkInteger("the index of a record", index, 0);
    const copy = this.#get(index);
    if (copy !== undefined) return copy;
    throw new MMapInvalidParameterError(
      `Cannot get record ${index}: the ring has ${this.count}, the oldest is 0`,
    );
  }

  /**
   * A copy of a record, counted from the newest if the index is negative, as `Array.prototype.at` does.
   *
   * @param index 0 is the oldest, -1 the newest.
   * @returns Undefined if there are not so many records.
   * @throws {MMapInvalidParameterError} If it is no whole number.
   * @throws {MMapError} With code `EAGAIN` if the writer overwrites it again and again meanwhile.
   * @throws {MMapClosedError} If the ring is closed.
   * @throws {MMapFaultError} If the file was truncated.
   *
   * @example
   * ```ts
   * import { RecordRing } from "@mman/mman/ring";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/log`;
   * using ring = RecordRing.create(path, { capacity: 3, recordSize: 1 });
   * assertEquals(ring.at(-1), undefined);
   * for (let i = 0; i < 5; i++) ring.write(Uint8Array.of(i));
   * assertEquals(ring.at(-1), Uint8Array.of(4));
   * ```
   */
  at(index: number): Uint8Array<ArrayBuffer> | undefined {
    checkInteger("the index of a record", index, Number.MIN_SAFE_INTEGER);
    return this.#get(index);
  }

  /** A copy of a record, counted from the end of those there are if negative; undefined if it is not there. */
  #get(index: number): Uint8Array<ArrayBuffer> | undefined {
    const progress = this.#progress;
    const copy = new Uint8Array(this.recordSize);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      this.#look();
      const number = (index < 0 ? progress.end : progress.oldest) + index;
      if (number < progress.oldest || number >= progress.end) return undefined;
      if (this.#copy(number, copy)) return copy;
    }
    throw new MMapError(
      `Cannot get record ${index}: the writer overwrites it faster than it can be copied; get a ` +
        "newer one, or make the capacity larger",
      { code: "EAGAIN" },
    );
  }

  /**
   * Copies of the records that are there when it begins, from the oldest to the newest. Those that are
   * overwritten before their turn are left out.
   *
   * @throws {MMapClosedError} If the ring is closed, also meanwhile.
   */
  *[Symbol.iterator](): IterableIterator<Uint8Array<ArrayBuffer>> {
    const progress = this.#progress;
    this.#look();
    const { end } = progress;
    for (let number = progress.oldest; number < end; number++) {
      const copy = new Uint8Array(this.recordSize);
      while (!this.#copy(number, copy)) {
        number = Math.max(progress.oldest, number + 1);
        if (number >= end) return;
      }
      yield copy;
      if (this.#words.length === 0) throw closed("Cannot read a closed RecordRing");
    }
  }

  /**
   * Writes what has changed to the storage, and returns when it is there.
   *
   * @throws {MMapProtectionError} If the ring was opened for reading.
   * @throws {MMapError} If the storage fails; `code` says why.
   * @throws {MMapClosedError} If the ring is closed.
   */
  flush(): void {
    this.#map.flush();
  }

  /** Closes the file; another writer may open it then. Idempotent. */
  close(): void {
    this.#map.close();
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Throws if a page of a range was not there when it was touched. */
  #checkFaults(verb: string, start: number, length: number): void {
    try {
      this.#mapping.intact(verb, start, length, 0);
    } catch (error) {
      throw explainLoss(`Cannot ${verb} the RecordRing${placeOf(this.#map)}`, error);
    }
  }

  /** Looks how far the writer is. */
  #look(): void {
    if (this.#words.length === 0) throw closed("Cannot read a closed RecordRing");
    this.#progress.look();
    this.#checkFaults("read", 0, this.#mapping.size);
  }

  /** Copies a record by its number; whether the copy is whole. */
  #copy(number: number, target: Uint8Array): boolean {
    const start = RECORDS_OFFSET + number % this.capacity * this.recordSize;
    target.set(this.#bytes.subarray(start, start + this.recordSize));
    loadFence();
    this.#look();
    return this.#progress.started <= number + this.capacity;
  }

  /** Makes sure that there is one writer, and goes on where the last one stopped. */
  #becomeWriter(): void {
    const what = "Cannot write to a RecordRing";
    if (this.#words.length === 0) throw closed(what);
    const mapping = this.#mapping;
    if (this.#map.prot !== (this.#map.prot | mapping.platform.constants.PROT_WRITE)) {
      throw new MMapProtectionError(`${what} that was opened for reading: use mode "r+"`);
    }
    if (!mapping.call(what, () => mapping.platform.lockFile(mapping.fd, true))) {
      throw new MMapError(`${what}: another writer has it open; close that one first`, {
        code: "EWOULDBLOCK",
        syscall: "flock",
      });
    }
    if (this.#counter?.resume() === false) this.#counter = undefined;
    const progress = this.#progress;
    progress.look();
    this.#total = progress.end;
    this.#stored = progress.end - progress.oldest;
    this.#next = progress.end % this.capacity;
    this.#words[COUNT] = this.#stored;
    this.#words[POSITION] = this.#next;
    this.#isWriter = true;
  }
}

function openFile(what: string, path: string | URL, mode: "r" | "r+"): MemoryMap {
  try {
    return MemoryMap.open(path, { mode });
  } catch (error) {
    throw explainMissing(what, error, "make it with RecordRing.create()");
  }
}

/** What a file has to say of its records. */
function findRecords(
  what: string,
  bytes: Uint8Array,
  recordSize: number | undefined,
): { capacity: number; recordSize: number; trailer: number } {
  const trailer = bytes.length - TRAILER_LENGTH;
  const words = trailer >= RECORDS_OFFSET && trailer % RING_HEADER_LENGTH === 0
    ? wordsOf(bytes, trailer)
    : new Int32Array(0);
  if (words.length > 0 && hasRingHeader(words)) {
    const { capacity, parameter } = readRingHeader(what, words, KIND_RECORDS, VERSION);
    if (recordSize !== undefined && recordSize !== parameter) {
      throw new MMapInvalidParameterError(
        `${what}: its records have ${parameter} bytes, not ${recordSize}`,
      );
    }
    if (
      capacity <= MAX_CAPACITY && parameter > 0 && trailerOffset(capacity, parameter) === trailer
    ) {
      return { capacity, recordSize: parameter, trailer };
    }
    throw new MMapInvalidParameterError(
      `${what}: it has ${bytes.length} bytes, and says that it has ${capacity} records of ` +
        `${parameter}; it was cut off, or is damaged`,
    );
  }
  if (recordSize === undefined) {
    throw new MMapInvalidParameterError(
      `${what}: it does not say what size its records have; give { recordSize } if another program ` +
        "has made it",
    );
  }
  const capacity = (bytes.length - RECORDS_OFFSET) / recordSize;
  if (Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_CAPACITY) {
    return { capacity, recordSize, trailer: 0 };
  }
  throw new MMapInvalidParameterError(
    `${what}: ${bytes.length} bytes are not a header of ${RECORDS_OFFSET} and whole records of ` +
      `${recordSize}; it was cut off, or its records have another size`,
  );
}

/** Whole words from an offset to the end. */
function wordsOf({ buffer, byteOffset, length }: Uint8Array, offset: number): Int32Array {
  return new Int32Array(buffer, byteOffset + offset, Math.floor((length - offset) / WORD));
}

function checkRecordSize(recordSize: number): void {
  checkBetween("a record size in bytes", recordSize, MAX_RECORD_SIZE);
}

/** Throws unless a number is from 1 to a maximum. */
function checkBetween(what: string, value: number, maximum: number): void {
  checkInteger(what, value, 1);
  if (value <= maximum) return;
  throw new MMapInvalidParameterError(`Cannot use ${value} as ${what}: it must be 1 to ${maximum}`);
}

function closed(what: string): MMapClosedError {
  return new MMapClosedError(`${what}: open it again`);
}
