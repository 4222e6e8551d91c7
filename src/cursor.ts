/**
 * Cursor: a MemoryMap with a position, read and written like a file. The behaviour is that of
 * Python's mmap object.
 */
import { checkInteger, show } from "./check.ts";
import { PROT_READ, PROT_WRITE, SEEK_CUR, SEEK_END, SEEK_SET } from "./constants.ts";
import { MMapClosedError, MMapInvalidParameterError, MMapProtectionError } from "./errors.ts";
import { inspectable, mapFacts } from "./inspect.ts";
import type { Mapping } from "./mapping.ts";
import { mappingOf, type MemoryMap } from "./memory_map.ts";
import type { Needle } from "./memory_operations.ts";

const NEWLINE = 10;

/** Bytes of a stream's chunk, where the reader does not bring its own buffer. */
const CHUNK_BYTES = 65536;

/** Bytes of the view that `lines()` cuts its lines from. */
const WINDOW_BYTES = 65536;

/** Bytes that are searched for a newline in one call. */
const SEARCH_BYTES = 65536;

/** Bytes that a loop searches for a newline before a call is worth its price (all runtimes). */
const LOOP_BYTES = 128;

/** Bytes of text that fit in a string of every runtime: V8 has the shortest, and Bun gives an empty one. */
const TEXT_BYTES = 2 ** 29 - 24;

/** Encodings in which a byte 10 can be something else than a newline, or lines depend on each other. */
const UNSPLITTABLE: readonly string[] = ["utf-16le", "utf-16be", "iso-2022-jp"];

/**
 * A position in a map, and the reading, writing and searching that go on from it: what a file or
 * Python's mmap object offers. Several cursors over one map are independent.
 *
 * Every method except the iterations and streams that it has already handed out throws
 * {@link MMapClosedError} after the map's `close()`; those end in that error at their next step.
 * After the map was resized to less than the position, reads find nothing and writes throw.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createAnonymous(4096);
 * const cursor = map.cursor();
 * cursor.write("first\nsecond\n");
 * cursor.seek(0);
 * assertEquals(new TextDecoder().decode(cursor.readLine()), "first\n");
 * assertEquals(cursor.tell(), 6);
 * ```
 */
export class Cursor {
  static {
    inspectable(this, (cursor) => ({ position: cursor.position, ...mapFacts(cursor.#mapping) }));
  }

  readonly #map: MemoryMap;
  readonly #mapping: Mapping;
  readonly #byte: Uint8Array<ArrayBuffer> = new Uint8Array(1);
  #position = 0;

  /** What `lines()` saw last: a view, where it starts in the map, and the version of its ground. */
  #window: Uint8Array = new Uint8Array();
  #windowStart = 0;
  #windowVersion = 0;

  /**
   * A cursor at the start of a map; `map.cursor()` says the same.
   *
   * @param map The map; it stays open for as long as its owner keeps it open.
   * @throws {MMapClosedError} If the map is closed.
   */
  constructor(map: MemoryMap) {
    this.#map = map;
    this.#mapping = mappingOf(map);
    this.#size("make a cursor of");
  }

  /**
   * Bytes from the start of the map to where the next read or write happens. Setting it is
   * {@link Cursor.seek} from the start.
   *
   * @throws {MMapInvalidParameterError} If it is set to less than 0 or more than the map's size.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(100);
   * const cursor = map.cursor();
   * cursor.position = 10;
   * cursor.position += 5;
   * assertEquals(cursor.position, 15);
   * ```
   */
  get position(): number {
    this.#size("take the position in");
    return this.#position;
  }

  set position(position: number) {
    this.seek(position);
  }

  /**
   * The position, as {@link Cursor.position}.
   *
   * @throws {MMapClosedError} If the map is closed.
   */
  tell(): number {
    return this.position;
  }

  /**
   * Moves the position.
   *
   * @param offset Bytes, negative ones backwards.
   * @param whence From where: `SEEK_SET` the start (default), `SEEK_CUR` the position, `SEEK_END`
   * the end of the map.
   * @returns The new position.
   * @throws {MMapInvalidParameterError} If it would be less than 0 or more than the map's size; the
   * position stays.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap, SEEK_CUR, SEEK_END } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(100);
   * const cursor = map.cursor();
   * assertEquals(cursor.seek(10), 10);
   * assertEquals(cursor.seek(-3, SEEK_CUR), 7);
   * assertEquals(cursor.seek(-1, SEEK_END), 99);
   * ```
   */
  seek(offset: number, whence: number = SEEK_SET): number {
    const size = this.#size("seek in");
    checkInteger("an offset in bytes", offset, Number.MIN_SAFE_INTEGER);
    const position = this.#origin(whence, size) + offset;
    if (position < 0 || position > size) {
      throw new MMapInvalidParameterError(
        `Cannot seek to ${position}: a position is a number from 0 to the map's ${size} bytes`,
      );
    }
    return this.#position = position;
  }

  /**
   * Copies bytes from the position on, and moves it behind them.
   *
   * @param n Bytes; by default, or if negative, all up to the end of the map.
   * @returns A copy, shorter than `n` where the map ends before; empty at the end.
   * @throws {MMapInvalidParameterError} If `n` is not a whole number.
   * @throws {MMapProtectionError} If the bytes may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(10);
   * const cursor = map.cursor();
   * assertEquals(cursor.read(8).length, 8);
   * assertEquals(cursor.read(8).length, 2);
   * assertEquals(cursor.read(8).length, 0);
   * ```
   */
  read(n: number | null = -1): Uint8Array<ArrayBuffer> {
    const start = Math.min(this.#position, this.#size("read"));
    const left = this.#map.size - start;
    if (n !== null) checkInteger("a count of bytes", n, Number.MIN_SAFE_INTEGER);
    const length = n === null || n < 0 ? left : Math.min(n, left);
    const copy = this.#map.read(length, start);
    this.#position += length;
    return copy;
  }

  /**
   * Reads the byte at the position, and moves it behind it.
   *
   * @throws {MMapInvalidParameterError} At the end of the map.
   * @throws {MMapProtectionError} If the byte may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(2);
   * map.write("ab");
   * const cursor = map.cursor();
   * assertEquals([cursor.readByte(), cursor.readByte()], [97, 98]);
   * ```
   */
  readByte(): number {
    const size = this.#size("read");
    if (this.#position >= size) {
      throw new MMapInvalidParameterError(
        `Cannot read a byte at position ${this.#position}: map has ${size} bytes; seek() back`,
      );
    }
    this.#map.readInto(this.#byte, this.#position);
    this.#position++;
    return this.#byte[0]!;
  }

  /**
   * Copies the line at the position, and moves it behind the line. Lines end with `\n`; the last
   * one may do without.
   *
   * @returns A copy with its `\n`; empty at the end of the map.
   * @throws {MMapProtectionError} If the bytes may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(5);
   * map.write("ab\n\nc");
   * const cursor = map.cursor();
   * assertEquals([1, 2, 3, 4].map(() => cursor.readLine().length), [3, 1, 1, 0]);
   * ```
   */
  readLine(): Uint8Array<ArrayBuffer> {
    const start = this.#position;
    return this.read(Math.max(this.#lineEnd(start) - start, 0));
  }

  /**
   * Copies bytes to the position, and moves it behind them: all, or none.
   *
   * @param data Bytes, or text that is written as UTF-8.
   * @returns The bytes written.
   * @throws {MMapInvalidParameterError} If the data does not fit, or is of another kind.
   * @throws {MMapProtectionError} If the map may not be written.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap, MMapInvalidParameterError } from "@mman/mman";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4);
   * const cursor = map.cursor();
   * assertEquals(cursor.write("abc"), 3);
   * assertThrows(() => cursor.write("de"), MMapInvalidParameterError);
   * assertEquals(cursor.position, 3);
   * ```
   */
  write(data: ArrayBufferView | ArrayBufferLike | string): number {
    const written = this.#map.write(data, this.#position);
    // A map has a byte to refuse only if there is one; Python refuses the empty write, too.
    if (written === 0 && (this.#map.prot & PROT_WRITE) === 0) {
      throw new MMapProtectionError(
        'Cannot write to a read-only map: open it with mode "r+" or "c", or use mprotect()',
      );
    }
    this.#position += written;
    return written;
  }

  /**
   * Writes a byte at the position, and moves it behind it.
   *
   * @param value From 0 to 255.
   * @throws {MMapInvalidParameterError} If the value is another one, or at the end of the map.
   * @throws {MMapProtectionError} If the map may not be written.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(2);
   * const cursor = map.cursor();
   * cursor.writeByte(255);
   * assertEquals(map.bytes, new Uint8Array([255, 0]));
   * ```
   */
  writeByte(value: number): void {
    this.#size("write to");
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      throw new MMapInvalidParameterError(
        `Cannot write ${show(value)} as a byte: give a whole number from 0 to 255`,
      );
    }
    this.#byte[0] = value;
    this.write(this.#byte);
  }

  /**
   * Where bytes occur first. The position stays.
   *
   * @param needle Bytes, or text that is searched as UTF-8. An empty one occurs everywhere.
   * @param start Where the search begins. Default: the position. Negative: from the end of the map.
   * @param end Where an occurrence must end. Default: the end of the map. Negative: from there.
   * @returns Bytes from the start of the map to the occurrence, or -1.
   * @throws {MMapInvalidParameterError} If `start` or `end` is not a whole number, or the needle is
   * of another kind. Beyond the map they are taken for its ends.
   * @throws {MMapProtectionError} If the range may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(11);
   * map.write("hello hello");
   * const cursor = map.cursor();
   * cursor.seek(1);
   * assertEquals(cursor.find("hello"), 6);
   * assertEquals(cursor.find("hello", 0), 0);
   * assertEquals(cursor.find("lo", -2), 9);
   * assertEquals(cursor.find("world"), -1);
   * ```
   */
  find(needle: Needle, start: number = this.#position, end?: number): number {
    const range = this.#searched(start, end);
    return this.#map.find(needle, range.start, range.end);
  }

  /**
   * Where bytes occur last, between `start` and `end` as in {@link Cursor.find}. The position stays.
   *
   * @param needle Bytes, or text that is searched as UTF-8. An empty one occurs everywhere.
   * @param start Where an occurrence may begin. Default: the position. Negative: from the end.
   * @param end Where an occurrence must end. Default: the end of the map. Negative: from there.
   * @returns Bytes from the start of the map to the occurrence, or -1.
   * @throws {MMapInvalidParameterError} If `start` or `end` is not a whole number, or the needle is
   * of another kind. Beyond the map they are taken for its ends.
   * @throws {MMapProtectionError} If the range may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(11);
   * map.write("hello hello");
   * assertEquals(map.cursor().rfind("hello"), 6);
   * assertEquals(map.cursor().rfind("hello", 0, -1), 0);
   * ```
   */
  rfind(needle: Needle, start: number = this.#position, end?: number): number {
    const range = this.#searched(start, end);
    return this.#map.rfind(needle, range.start, range.end);
  }

  /**
   * The lines from the position on, each with its `\n`; the last one may do without. Every step
   * reads the line at the position and moves it behind the line, so that reading, writing and
   * seeking may be mixed with it; what was not asked for was not read.
   *
   * The lines are **views of the map, not copies**: they show what is written there later, and are
   * empty once the map is closed or resized. `slice()` keeps one.
   *
   * @throws {MMapProtectionError} If the bytes may not be read; from the iterator.
   * @throws {MMapInvalidParameterError} If a line is longer than one ArrayBuffer can be (4 GiB in
   * Bun); from the iterator.
   * @throws {MMapClosedError} If the map is closed; from the iterator, if it happens later.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(10);
   * map.write("one\ntwo\n3\n");
   * const lengths = [...map.cursor().lines()].map((line) => line.length);
   * assertEquals(lengths, [4, 4, 2]);
   * ```
   */
  lines(): Generator<Uint8Array, void, undefined> {
    this.#size("read lines of");
    return this.#lines();
  }

  /**
   * The lines from the position on as text, otherwise as {@link Cursor.lines}: with their `\n`, and
   * the position moves along. Together they are the text that the bytes decode to: nothing is
   * removed, neither `\r` nor a byte order mark, and what is no valid text becomes U+FFFD.
   *
   * @param encoding A label that TextDecoder knows. Default `"utf-8"`.
   * @throws {MMapInvalidParameterError} If the encoding is unknown, or is one in which lines cannot
   * be told apart by the byte `\n` (UTF-16, ISO-2022-JP); from the iterator, if a line has more than
   * 2^29 - 24 bytes.
   * @throws {MMapProtectionError} If the bytes may not be read; from the iterator.
   * @throws {MMapClosedError} If the map is closed; from the iterator, if it happens later.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(9);
   * map.write("é\n日本");
   * assertEquals([...map.cursor().textLines()], ["é\n", "日本"]);
   * ```
   */
  textLines(encoding: string = "utf-8"): Generator<string, void, undefined> {
    this.#size("read lines of");
    return this.#textLines(lineDecoder(encoding));
  }

  /**
   * A byte stream of copies from the position on, which moves along with what the stream hands out.
   * Nothing is read before it is asked for. A reader with its own buffers (`mode: "byob"`) decides
   * how much it gets at a time; others get 64 KiB. After `cancel()` the cursor goes on from where the
   * stream stopped.
   *
   * A step that finds the map closed, or unreadable, fails with that error.
   *
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(5);
   * map.write("hello");
   * assertEquals(await new Response(map.cursor().readable()).text(), "hello");
   * ```
   */
  readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#size("stream");
    return new ReadableStream({
      type: "bytes",
      pull: (controller) => {
        const request = controller.byobRequest;
        const target = request?.view;
        if (request && target) {
          const start = Math.min(this.#position, this.#size("stream"));
          const length = this.#map.readInto(target, start);
          if (length === 0) controller.close();
          this.#position += length;
          request.respond(length);
        } else {
          const chunk = this.read(CHUNK_BYTES);
          if (chunk.length === 0) controller.close();
          else controller.enqueue(chunk);
        }
      },
    });
  }

  /**
   * A stream that writes what it gets at the position, which moves along. A chunk that does not fit
   * is not written at all and fails the stream, as does a map that was closed or is read-only.
   *
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(5);
   * await new Blob(["hello"]).stream().pipeTo(map.cursor().writable());
   * assertEquals(new TextDecoder().decode(map.bytes), "hello");
   * ```
   */
  writable(): WritableStream<ArrayBufferView | ArrayBufferLike | string> {
    this.#size("stream to");
    return new WritableStream({
      write: (chunk) => {
        this.write(chunk);
      },
    });
  }

  /** The map's size; throws if the map is closed. */
  #size(verb: string): number {
    if (this.#map.isValid) return this.#map.size;
    throw new MMapClosedError(`Cannot ${verb} a closed map: open it again`);
  }

  /** What `whence` stands for. */
  #origin(whence: number, size: number): number {
    switch (whence) {
      case SEEK_SET:
        return 0;
      case SEEK_CUR:
        return this.#position;
      case SEEK_END:
        return size;
      default:
        throw new MMapInvalidParameterError(
          `Cannot seek from ${show(whence)}: give SEEK_SET, SEEK_CUR or SEEK_END`,
        );
    }
  }

  /** The range of a search, from arguments as Python takes them. */
  #searched(start: number, end: number | undefined): { start: number; end: number } {
    const size = this.#size("search");
    return { start: placeIn(size, "a start", start), end: placeIn(size, "an end", end ?? size) };
  }

  /** The end of the line that covers `from`: behind its newline, or the end of the map. */
  #lineEnd(from: number): number {
    const size = this.#map.size;
    // In steps: what lies behind the line need not be readable.
    for (let at = from; at < size; at += SEARCH_BYTES) {
      const found = this.#map.indexOfByte(NEWLINE, at, Math.min(at + SEARCH_BYTES, size));
      if (found !== -1) return found + 1;
    }
    return size;
  }

  *#lines(): Generator<Uint8Array, void, undefined> {
    for (let line; (line = this.#nextLine()) !== undefined;) yield line;
  }

  *#textLines(decoder: TextDecoder): Generator<string, void, undefined> {
    for (let line; (line = this.#nextLine()) !== undefined;) {
      if (line.length > TEXT_BYTES) {
        this.#position -= line.length;
        throw new MMapInvalidParameterError(
          `Cannot make a string of a line of ${line.length} bytes at ${this.#position}: ` +
            `${TEXT_BYTES} are the most; use lines()`,
        );
      }
      const text = decoder.decode(line);
      this.#mapping.intact("read", this.#position - line.length, line.length, PROT_READ);
      yield text;
    }
  }

  /** A view of the line at the position, which moves behind it; undefined at the end. */
  #nextLine(): Uint8Array | undefined {
    const size = this.#size("read a line of");
    const start = this.#position;
    if (start >= size) return undefined;
    if (this.#mapping.checked) return this.#nextCheckedLine(start);

    let searched = start;
    if (this.#windowHolds(start)) {
      const window = this.#window;
      const first = start - this.#windowStart;
      const stop = Math.min(first + LOOP_BYTES, window.length);
      let next = first;
      while (next < stop) {
        if (window[next++] !== NEWLINE) continue;
        this.#mapping.intact("read", start, next - first, PROT_READ);
        this.#position = this.#windowStart + next;
        return window.subarray(first, next);
      }
      searched = this.#windowStart + next;
    }
    const end = this.#lineEnd(searched);
    if (!this.#windowHolds(end - 1) || start < this.#windowStart) {
      const ahead = Math.max(end - start, Math.min(WINDOW_BYTES, size - start));
      this.#openWindow(start, this.#mapping.isReadable(start, ahead) ? ahead : end - start);
    }
    this.#mapping.intact("read", start, end - start, PROT_READ);
    this.#position = end;
    return this.#window.subarray(start - this.#windowStart, end - this.#windowStart);
  }

  /** The same where no guard is: a view is not touched before the system has found its pages there. */
  #nextCheckedLine(start: number): Uint8Array {
    const { length } = this.readLine();
    return this.#map.asTypedArray(Uint8Array, start, length);
  }

  /** Whether the byte at `offset` is in the window, and may still be touched there. */
  #windowHolds(offset: number): boolean {
    // A view that was emptied by close(), resize() or unmapRange() has length 0 and holds nothing.
    const at = offset - this.#windowStart;
    return at >= 0 && at < this.#window.length && this.#windowVersion === this.#mapping.version;
  }

  /** Lays the window over a range that was found readable. */
  #openWindow(start: number, length: number): void {
    this.#window = this.#map.asTypedArray(Uint8Array, start, length);
    this.#windowStart = start;
    this.#windowVersion = this.#mapping.version;
  }
}

/** A place in a map of `size` bytes, from an argument that counts from the end if negative. */
function placeIn(size: number, what: string, place: number): number {
  checkInteger(what, place, Number.MIN_SAFE_INTEGER);
  return place < 0 ? Math.max(place + size, 0) : Math.min(place, size);
}

/** A decoder whose results, line by line, are those of the whole. */
function lineDecoder(encoding: string): TextDecoder {
  let decoder: TextDecoder | undefined;
  try {
    decoder = new TextDecoder(encoding, { ignoreBOM: true });
  } catch {
    // RangeError: the runtime knows no such encoding.
  }
  if (decoder === undefined || UNSPLITTABLE.includes(decoder.encoding)) {
    throw new MMapInvalidParameterError(
      `Cannot read lines of ${show(encoding)}: give an encoding that the runtime knows and in ` +
        'which byte 10 is always a newline, such as "utf-8"',
    );
  }
  return decoder;
}
