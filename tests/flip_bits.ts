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
export type Notice = "not opened" | "verify()" | "not";

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
    }
    const { ok, clean } = journal.verify();
    return ok && clean ? "not" : "verify()";
  } catch (error) {
    if (!(error instanceof MMapError)) throw error;
    return "not opened";
  }
}

/**
 * Flips bits of a closed journal, in its records, its headers and what lies behind its end.
 *
 * @param records How many there are.
 * @param stride Every bit of every so many bytes, and of the headers.
 */
export function flipBits(records: number, stride: number): { bits: number; detected: number } {
  const disk = new SimulatedDisk();
  const appended = contents(records);
  {
    using journal = openJournal(disk, "flipped", { mode: "w+", size: 1 << 15, durability: "none" });
    for (const bytes of appended) journal.append(bytes);
  }
  return disk.list().reduce(({ bits, detected }, number) => {
    const bytes = disk.bytes(number);
    for (let at = 0; at < bytes.length; at += at < 128 ? 1 : stride) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[at]! ^= 1 << bit;
        bits++;
        if (look(disk, appended) !== "not") detected++;
        bytes[at]! ^= 1 << bit;
      }
    }
    return { bits, detected };
  }, { bits: 0, detected: 0 });
}
