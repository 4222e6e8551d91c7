/** The words that a writer and the readers of other processes share while they run. */
import {
  HEADER_LENGTH,
  highOf,
  join,
  lowOf,
  PUBLISHED_OFFSET,
  RESERVED_OFFSET,
  WAITING,
  WAITING_OFFSET,
  WRITER_OFFSET,
} from "./layout.ts";
import type { SegmentFile } from "./storage.ts";

/** The sequence after the last record that readers may see, as the writer left it. */
export function published({ words }: SegmentFile): number {
  return join(words[PUBLISHED_OFFSET / 4]!, words[PUBLISHED_OFFSET / 4 + 1]!);
}

/** Lets readers see the records before `next`, and wakes those who wait. */
export function publish(control: SegmentFile, next: number): void {
  const high = highOf(next);
  if (control.words[PUBLISHED_OFFSET / 4 + 1] !== high) {
    control.putWord(PUBLISHED_OFFSET + 4, high);
  }
  control.release(PUBLISHED_OFFSET, lowOf(next));
  // A reader sets it first and looks at the count then: one of the two sees the other.
  if (control.acquire(WAITING_OFFSET) !== 0) {
    control.release(WAITING_OFFSET, 0);
    control.wake(PUBLISHED_OFFSET);
  }
}

/** The process that has the journal open for writing; 0 if it was closed. */
export function writerOf({ words }: SegmentFile): number {
  return words[WRITER_OFFSET / 4]! >>> 0;
}

/** Notes the process that writes; 0 for none. */
export function setWriter(control: SegmentFile, pid: number): void {
  control.release(WRITER_OFFSET, pid);
}

/** What is wrong with the words of a header that no CRC covers; undefined if nothing is. */
export function oddWords({ words }: SegmentFile, number: number): string | undefined {
  const waiting = words[WAITING_OFFSET / 4]!;
  if (number === 0 && waiting !== 0 && waiting !== WAITING) {
    return "the word for waiting readers has another value";
  }
  const unused = number === 0 ? RESERVED_OFFSET : PUBLISHED_OFFSET;
  const rest = words.subarray(unused / 4, HEADER_LENGTH / 4);
  return rest.some((word) => word !== 0) ? "reserved bytes of the header are not zero" : undefined;
}
