/**
 * A structured log that keeps the last entries of a program, also of one that crashes: each entry is a record
 * of a RecordRing, which costs no system call to write.
 *
 *   0                8          12         14       15       16                          256
 *   +----------------+----------+----------+--------+--------+--------------------------+
 *   | time f64       | pid u32  | length   | level  | cut    | fields, JSON in UTF-8    |
 *   +----------------+----------+----------+--------+--------+--------------------------+
 *
 *   time     milliseconds since 1970
 *   length   bytes of the fields
 *   cut      1 if the fields did not fit: then there is only as much of the message as fits
 */
import process from "node:process";
import { RecordRing } from "../../src/ring/mod.ts";

/** Levels by their number. */
export const LEVELS = ["debug", "info", "warn", "error"] as const;
/** The name of a level. */
export type Level = typeof LEVELS[number];

const TIME_OFFSET = 0;
const PID_OFFSET: number = TIME_OFFSET + 8;
const LENGTH_OFFSET: number = PID_OFFSET + 4;
const LEVEL_OFFSET: number = LENGTH_OFFSET + 2;
const CUT_OFFSET: number = LEVEL_OFFSET + 1;
const FIELDS_OFFSET: number = CUT_OFFSET + 1;
/** Bytes of an entry. */
export const ENTRY_LENGTH = 256;
const MAX_FIELDS: number = ENTRY_LENGTH - FIELDS_OFFSET;

/** What an entry says besides its message. */
export type Fields = Readonly<Record<string, unknown>>;

/** An entry, read. */
export interface Entry {
  readonly time: Date;
  readonly pid: number;
  readonly level: Level;
  /** Whether there was more than fits. */
  readonly cut: boolean;
  readonly message: string;
  readonly fields: Fields;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes entries to a ring. */
export class Logger implements Disposable {
  readonly #ring: RecordRing;
  readonly #entry = new Uint8Array(ENTRY_LENGTH);
  readonly #view: DataView = new DataView(this.#entry.buffer);

  /** @param path The file of the ring, made anew. @param entries How many it keeps. */
  constructor(path: string, entries: number) {
    this.#ring = RecordRing.create(path, { capacity: entries, recordSize: ENTRY_LENGTH });
    this.#view.setUint32(PID_OFFSET, process.pid, true);
  }

  /** Writes an entry. */
  log(level: Level, message: string, fields: Fields = {}): void {
    let text = encoder.encode(JSON.stringify({ message, ...fields }));
    const cut = text.length > MAX_FIELDS;
    for (let length = MAX_FIELDS; text.length > MAX_FIELDS; length -= 8) {
      text = encoder.encode(JSON.stringify({ message: message.slice(0, length) }));
    }
    this.#view.setFloat64(TIME_OFFSET, Date.now(), true);
    this.#view.setUint16(LENGTH_OFFSET, text.length, true);
    this.#view.setUint8(LEVEL_OFFSET, LEVELS.indexOf(level));
    this.#view.setUint8(CUT_OFFSET, cut ? 1 : 0);
    this.#entry.set(text, FIELDS_OFFSET);
    this.#ring.write(this.#entry);
  }

  /** Closes the ring; what was written stays in the file. */
  [Symbol.dispose](): void {
    this.#ring.close();
  }
}

/** The entries of a ring, from the oldest to the newest. */
export function* readEntries(path: string): Generator<Entry> {
  using ring = RecordRing.open(path);
  for (const bytes of ring) {
    const view = new DataView(bytes.buffer);
    const length = view.getUint16(LENGTH_OFFSET, true);
    const text = decoder.decode(bytes.subarray(FIELDS_OFFSET, FIELDS_OFFSET + length));
    const { message, ...fields } = JSON.parse(text);
    yield {
      time: new Date(view.getFloat64(TIME_OFFSET, true)),
      pid: view.getUint32(PID_OFFSET, true),
      level: LEVELS[view.getUint8(LEVEL_OFFSET)] ?? "error",
      cut: view.getUint8(CUT_OFFSET) === 1,
      message,
      fields,
    };
  }
}
