/**
 * Flips bits of a journal, one at a time, and looks whether that is noticed. Used by a test, for some of
 * the bits, and by `tests/soak/journal.ts`, for all of them.
 */
import { MMapError } from "../mod.ts";
import { openJournal } from "../src/journal/journal.ts";
import { pattern } from "./helpers.ts";
import { SimulatedDisk } from "./simulated_disk.ts";

/** Short, so that most bits are those of what the journal adds. */
function contents(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => pattern(i % 11, i));
}

/** How a flipped bit is noticed; `"not"` if it is not. */
export type Notice = "not opened" | "readFrom()" | "verify()" | "not";

/** Reads a journal that somebody has changed. @throws {Error} If it yields what was not appended. */
function look(disk: SimulatedDisk, appended: readonly Uint8Array[]): Notice {
  try {
    using journal = openJournal(disk, "flipped", { mode: "r" });
    let expected = 0;
    try {
      for (const { sequence, bytes } of journal.readFrom(0)) {
        const content = appended[expected]!;
        const same = bytes.length === content.length &&
          bytes.every((byte, i) => byte === content[i]);
        if (sequence !== expected++ || !same) {
          throw new Error(`Record ${sequence} is not what was appended`);
        }
      }
    } catch (error) {
      if (!(error instanceof MMapError && error.code === "EBADMSG")) throw error;
      return "readFrom()";
    }
    const { ok, clean } = journal.verify();
    return ok && clean ? "not" : "verify()";
  } catch (error) {
    if (!(error instanceof MMapError)) throw error;
    return "not opened";
  }
}

/** Which bytes of each file. */
export interface Bytes {
  /** Every so many. Default 1. */
  readonly stride?: number;
  /** The first one. Default 0. */
  readonly from?: number;
  /** Behind the last one. Default: the end of the file. */
  readonly to?: number;
}

/**
 * Flips bits of a closed journal, in its records, its headers and what lies behind its end.
 *
 * @param records How many there are.
 */
export function flipBits(
  records: number,
  { stride = 1, from = 0, to = Infinity }: Bytes = {},
): { bits: number; detected: number } {
  const disk = new SimulatedDisk();
  const appended = contents(records);
  {
    using journal = openJournal(disk, "flipped", { mode: "w+", size: 1 << 15, durability: "none" });
    for (const bytes of appended) journal.append(bytes);
  }
  let bits = 0;
  let detected = 0;
  for (const number of disk.list()) {
    const bytes = disk.bytes(number);
    for (let at = from; at < Math.min(to, bytes.length); at += stride) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[at]! ^= 1 << bit;
        bits++;
        if (look(disk, appended) !== "not") detected++;
        bytes[at]! ^= 1 << bit;
      }
    }
  }
  return { bits, detected };
}
