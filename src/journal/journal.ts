/** Journal: the public face of an append-only log that survives crashes. */
import { checkInteger, readOptions, show } from "../check.ts";
import {
  MMapClosedError,
  MMapError,
  MMapFaultError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "../errors.ts";
import { pathOf } from "../file.ts";
import { inspectable } from "../inspect.ts";
import { asByteArray, lengthOf } from "../memory_operations.ts";
import { Cursor, type JournalRecord } from "./cursor.ts";
import { Disk } from "./disk.ts";
import { GroupCommit } from "./group_commit.ts";
import { checkOptions, type Durability, type JournalOptions } from "./options.ts";
import { Reader } from "./reader.ts";
import { damaged } from "./segment.ts";
import type { Storage, Watch } from "./storage.ts";
import { type JournalReport, verifyJournal } from "./verify.ts";
import { createJournal, Writer } from "./writer.ts";

const encoder = new TextEncoder();

/** Opens a journal in any storage, for tests. */
export let openJournal: (
  storage: Storage,
  name: string,
  options: JournalOptions,
) => Journal;

/**
 * An append-only log of records in mapped files that keeps what it has promised to keep: records that were
 * acknowledged as durable survive a loss of power, all others the end of the process, and nothing torn,
 * repeated or out of order is ever read.
 *
 * One process writes at a time, any number read. The journal is the file at its path, and files beside
 * it: `path.000001` and so on once the first is full, `path.lock`, and `path.new` for a moment. Each is
 * allocated as a whole before it is used, so that a full disk is an error of `append()` that leaves
 * everything as it was.
 *
 * Every record has a salt, its sequence, its length and a CRC-32C. Opening for writing keeps all records
 * up to the first one that is not whole, in the last segment, and drops the rest; `recovered` tells.
 *
 * Linux, macOS and Windows; in Deno it needs the permissions for the folder, because of the files beside
 * `path`. Byte order is the machine's: a file of the other one is refused.
 *
 * @example
 * ```ts
 * import { Journal } from "@mman/mman/journal";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/orders`;
 * {
 *   using journal = Journal.open(path);
 *   journal.append("first"); // on the storage when it returns
 *   journal.append("second");
 * }
 * using journal = Journal.open(path);
 * assertEquals(journal.recovered, { records: 2, droppedBytes: 0 });
 * const texts = Array.from(journal.readFrom(0), ({ bytes }) => new TextDecoder().decode(bytes));
 * assertEquals(texts, ["first", "second"]);
 * assertEquals(journal.append("third"), 2);
 * ```
 */
export class Journal implements Disposable {
  static {
    openJournal = (storage, name, options) => new Journal(storage, name, options);
    inspectable(this, (journal) => ({
      path: show(journal.path),
      mode: show(journal.#state instanceof Writer ? "a+" : "r"),
      durability: show(journal.durability),
      closed: journal.#closed || undefined,
    }));
  }

  /** The path, as it was given. */
  readonly path: string;
  /** When an appended record is on the storage. */
  readonly durability: Durability;
  /**
   * What was found when the journal was opened: how many records there are, and how many bytes behind
   * them were no whole record. A writer has dropped those; a reader sees them as long as no writer does.
   */
  readonly recovered: { readonly records: number; readonly droppedBytes: number };

  readonly #storage: Storage;
  readonly #state: Writer | Reader;
  readonly #lock: { close(): void } | undefined;
  readonly #group: GroupCommit | undefined;
  readonly #watches = new Set<Watch>();
  #closed = false;
  /** Whether a method has thrown that a page was lost. */
  #toldOfLoss = false;

  private constructor(storage: Storage, name: string, options: JournalOptions) {
    if (typeof storage?.settle !== "function") {
      throw new MMapInvalidParameterError(
        "Cannot make a Journal with new: use Journal.open()",
      );
    }
    const { mode, size, durability, batchMs, batchBytes } = checkOptions(options);
    this.path = name;
    this.durability = durability;
    this.#storage = storage;
    this.#lock = mode === "r" ? undefined : storage.lock();
    let state: Writer | Reader | undefined;
    try {
      if (mode === "w+" || (mode === "a+" && isMissing(storage))) createJournal(storage, size);
      state = mode === "r" ? new Reader(storage) : new Writer(storage, size);
      const { first, next, droppedBytes } = state;
      this.recovered = { records: next - first, droppedBytes };
      this.#state = state;
      if (state instanceof Writer) {
        this.#group = new GroupCommit(state, { milliseconds: batchMs, bytes: batchBytes });
      }
    } catch (error) {
      try {
        state?.close();
      } finally {
        this.#lock?.close();
      }
      throw error;
    }
  }

  /**
   * Opens a journal.
   *
   * @param path Of its first file; a path or a `file:` URL.
   * @param options Default: read and append, made if it is not there, durable at every append.
   * @returns The journal; close it, or declare it with `using`.
   * @throws {MMapInvalidParameterError} If an option is wrong, or the file is no journal, or one of
   * another version or byte order.
   * @throws {MMapError} `EWOULDBLOCK` if another writer has it open, `ENOENT` if it is not there,
   * `EBADMSG` if a header is damaged or a segment is missing.
   * @throws {MMapAllocationError} If the disk has no room for the first segment.
   */
  static open(path: string | URL, options: JournalOptions = {}): Journal {
    const name = pathOf(path);
    const { permissions } = checkOptions(options);
    return new Journal(new Disk(name, permissions), name, options);
  }

  /** Sequence of the oldest record that is there; `nextSequence` if there is none. */
  get firstSequence(): number {
    return this.#usable("ask").first;
  }

  /** Sequence of the next record to be appended: the number of records there ever were. */
  get nextSequence(): number {
    return this.#usable("ask").next;
  }

  /** The records before this sequence are on the storage, as far as this `Journal` knows; 0 for readers. */
  get durableSequence(): number {
    const state = this.#usable("ask");
    return state instanceof Writer ? state.durable : 0;
  }

  /**
   * Appends a record. When it returns, readers of other processes can read it and it survives the end of
   * this process; with the durability `"every"` also a loss of power.
   *
   * @param bytes The content, of any length that fits into a segment; text as UTF-8.
   * @returns The record's sequence: 0 for the first one that was ever appended, then 1, ...
   * @throws {MMapInvalidParameterError} If the record is larger than a segment can hold.
   * @throws {MMapAllocationError} If the disk has no room for another segment. Nothing was appended;
   * it may be tried again.
   * @throws {MMapProtectionError} If the journal is open for reading.
   * @throws {MMapError} If a flush fails. The journal can only be closed then, and opened again.
   */
  append(bytes: ArrayBufferView | ArrayBufferLike | string): number {
    const writer = this.#writing("append to");
    return this.#told(() => {
      const sequence = this.#store(writer, bytes);
      if (this.durability === "every") this.#group!.flush();
      else if (this.durability === "batch") this.#group!.added();
      writer.publish();
      return sequence;
    });
  }

  /**
   * Appends a record and waits until it is on the storage, together with others: one flush serves all
   * that wait. With `"every"` each has its own flush.
   *
   * @param bytes The content.
   * @returns The record's sequence, once it is durable.
   * @throws As {@link Journal.append}. The promise is rejected.
   *
   * @example
   * ```ts
   * import { Journal } from "@mman/mman/journal";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/events`;
   * using journal = Journal.open(path, { durability: "batch", batchMs: 2 });
   * const events = ["a", "b", "c"].map((text) => journal.appendAsync(text));
   * assertEquals(await Promise.all(events), [0, 1, 2]); // all durable, after one flush
   * assertEquals(journal.durableSequence, 3);
   * ```
   */
  async appendAsync(bytes: ArrayBufferView | ArrayBufferLike | string): Promise<number> {
    if (this.durability === "every") return this.append(bytes);
    const writer = this.#writing("append to");
    try {
      const sequence = this.#store(writer, bytes);
      writer.publish();
      this.#group!.added();
      await this.#group!.durable(sequence);
      return sequence;
    } catch (error) {
      throw this.#telling(error);
    }
  }

  /**
   * Puts everything that was appended on the storage.
   *
   * @throws {MMapProtectionError} If the journal is open for reading.
   * @throws {MMapError} If the flush fails.
   */
  sync(): void {
    this.#writing("flush");
    this.#told(() => this.#group!.flush());
  }

  /**
   * The records from a sequence on that are there now, oldest first. Where older ones were removed it
   * starts with the oldest that is left: look at `sequence`.
   *
   * @param sequence Of the first record wanted.
   * @returns An iterator; each record is a copy.
   * @throws {MMapError} `EBADMSG` on the way, if a record is damaged.
   */
  readFrom(sequence: number): Generator<JournalRecord, void, void> {
    const journal = this.#usable("read");
    checkInteger("a sequence", sequence, 0);
    return this.#read(new Cursor(journal, sequence));
  }

  *#read(cursor: Cursor): Generator<JournalRecord, void, void> {
    try {
      for (;;) {
        this.#usable("read");
        const record = this.#told(() => cursor.next());
        if (record === undefined) return;
        yield record;
      }
    } finally {
      cursor.close();
    }
  }

  /**
   * The records from a sequence on, those that are there and then those that are appended, in whatever
   * process: between two it waits, parked in the kernel. The writer learns that somebody waits from a
   * word in the file; where this process may not write the file, it looks every 100 ms.
   *
   * @param sequence Of the first record wanted. Default: the next one that is appended.
   * @param options An AbortSignal that ends it.
   * @throws What the signal's reason is, once it is aborted.
   * @throws {MMapInvalidParameterError} If the sequence or an option is wrong.
   * @throws {MMapClosedError} If the journal is closed.
   *
   * @example
   * ```ts
   * import { Journal } from "@mman/mman/journal";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/events`;
   * using writer = Journal.open(path);
   * using reader = Journal.open(path, { mode: "r" }); // usually in another process
   * setTimeout(() => writer.append("news"), 10);
   * for await (const { sequence, bytes } of reader.tail(0)) {
   *   assertEquals([sequence, new TextDecoder().decode(bytes)], [0, "news"]);
   *   break;
   * }
   * ```
   */
  async *tail(
    sequence: number = this.nextSequence,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<JournalRecord, void, void> {
    const journal = this.#usable("read");
    checkInteger("a sequence", sequence, 0);
    const { signal } = readOptions("tail", options, ["signal"]);
    const cursor = new Cursor(journal, sequence);
    const watch = this.#storage.watch();
    const end = () => watch.close();
    this.#watches.add(watch);
    signal?.addEventListener("abort", end);
    try {
      for (;;) {
        signal?.throwIfAborted();
        this.#usable("read");
        // Of the file that is there now: where it lies, or is another one, only a change ends the wait.
        const seen = watch.look();
        const record = this.#told(() => cursor.next());
        if (record !== undefined) yield record;
        else await watch.changed(seen);
      }
    } catch (error) {
      signal?.throwIfAborted(); // not that the watch was closed
      throw error;
    } finally {
      signal?.removeEventListener("abort", end);
      this.#watches.delete(watch);
      watch.close();
      cursor.close();
    }
  }

  /**
   * Takes the oldest segments away, as far as they have only records before a sequence. Readers go on
   * with what is left.
   *
   * @param sequence Of the first record to keep.
   * @throws {MMapProtectionError} If the journal is open for reading.
   */
  removeBefore(sequence: number): void {
    const writer = this.#writing("remove records of");
    checkInteger("a sequence", sequence, 0);
    this.#told(() => writer.removeBefore(sequence));
  }

  /**
   * Looks at every byte, of all segments. A journal that nobody has damaged is `ok`; if it was not
   * closed, what is torn at its end is no damage.
   *
   * @returns How much there is, and where it is damaged.
   */
  verify(): JournalReport {
    const state = this.#usable("verify");
    return verifyJournal(state, state instanceof Writer);
  }

  /**
   * Puts everything on the storage and ends the journal; may be called again.
   *
   * @throws {MMapError} If the flush fails. Everything is given back all the same.
   * @throws {MMapFaultError} If the file was truncated, unless another method has said so already.
   */
  close(): void {
    if (this.#closed) return;
    try {
      this.#end();
    } catch (error) {
      // Who knows that a page was lost does not need to hear it in place of the error that told.
      if (!this.#toldOfLoss || !isLoss(error)) throw error;
    }
  }

  #end(): void {
    try {
      if (this.#state instanceof Writer) this.#group!.close();
    } finally {
      this.#closed = true;
      for (const watch of this.#watches) watch.close();
      try {
        this.#state.close();
      } finally {
        this.#lock?.close();
      }
    }
  }

  /** Notes that the caller gets to know of a lost page. */
  #telling(error: unknown): unknown {
    if (isLoss(error)) this.#toldOfLoss = true;
    return error;
  }

  #told<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw this.#telling(error);
    }
  }

  /** Calls `close()`; for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #store(writer: Writer, data: ArrayBufferView | ArrayBufferLike | string): number {
    const bytes = typeof data === "string" ? encoder.encode(data) : asByteArray(data);
    return writer.append(bytes, lengthOf(bytes));
  }

  #usable(verb: string): Writer | Reader {
    if (!this.#closed) return this.#state;
    throw new MMapClosedError(
      `Cannot ${verb} journal ${show(this.path)}: it was closed; open it again`,
    );
  }

  #writing(verb: string): Writer {
    const state = this.#usable(verb);
    if (state instanceof Writer) return state;
    throw new MMapProtectionError(
      `Cannot ${verb} journal ${show(this.path)}: it is open for reading; open it with mode "r+"`,
    );
  }
}

/** Whether an error says that a page was lost, or follows from one that does. */
function isLoss(error: unknown): boolean {
  return error instanceof MMapFaultError ||
    (error instanceof MMapError && error.cause instanceof MMapFaultError);
}

/** Whether there is no journal yet. @throws {MMapError} EBADMSG if only its first segment is gone. */
function isMissing(storage: Storage): boolean {
  const numbers = storage.list();
  if (numbers.length === 0) return true;
  if (numbers[0] === 0) return false;
  throw damaged(
    `Cannot open journal ${show(storage.name(0))}: it is missing, and ${numbers.length} of its ` +
      "segments are there; take it from a backup, or move them away",
  );
}
