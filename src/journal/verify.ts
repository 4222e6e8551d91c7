/** Looks at every byte of a journal. */
import { MMapError } from "../errors.ts";
import type { Readable } from "./cursor.ts";
import { HEADER_LENGTH } from "./layout.ts";
import { oddWords, published, writerOf } from "./live.ts";
import { openIfThere, segmentNumbers, walkToEnd } from "./recovery.ts";
import type { SegmentFile, Storage } from "./storage.ts";

/** Where a journal is not what was written. */
export interface JournalDamage {
  /** Sequence of the first record that is not to be had, or would be next. */
  readonly sequence: number;
  /** The file. */
  readonly path: string;
  /** Bytes from its start. */
  readonly offset: number;
  /** What is wrong there. */
  readonly reason: string;
}

/** What {@link Journal.verify} has found. */
export interface JournalReport {
  /** Whether there is no damage. */
  readonly ok: boolean;
  /** Records that are there and whole, before the damage if there is one. */
  readonly records: number;
  /** Their bytes. */
  readonly bytes: number;
  /**
   * Whether a writer closed the journal, or has it open right now in this `Journal`. If not, the end of
   * the last segment may be torn; opening for writing drops that.
   */
  readonly clean: boolean;
  /** The first damage; undefined if there is none. */
  readonly damage: JournalDamage | undefined;
}

/** What has been seen so far. */
interface Seen {
  records: number;
  bytes: number;
  /** Sequence that comes next; undefined before the first segment. */
  sequence: number | undefined;
  /** Where it would be. */
  at: { number: number; offset: number };
}

/** Looks at all segments that count. @param writing Whether this process is the writer. */
export function verifyJournal(journal: Readable, writing: boolean): JournalReport {
  const { storage } = journal;
  const seen: Seen = {
    records: 0,
    bytes: 0,
    sequence: undefined,
    at: { number: 0, offset: 0 },
  };
  let clean = writing;
  const look = (control: SegmentFile): string | undefined => {
    clean ||= writerOf(control) === 0;
    const before = published(control);
    return findDamage(journal, control, clean, seen) ??
      // Not if a writer has come in the meantime.
      (clean && before !== seen.sequence && published(control) === before
        ? `the header counts ${before} records`
        : undefined);
  };
  const reason = withHeader(storage, look);
  return {
    ok: reason === undefined,
    records: seen.records,
    bytes: seen.bytes,
    clean,
    damage: reason === undefined ? undefined : {
      sequence: seen.sequence ?? 0,
      path: storage.name(seen.at.number),
      offset: seen.at.offset,
      reason,
    },
  };
}

/**
 * What a look finds wrong. It has a map of its own: one that has touched a page that is gone does not get it
 * back when the file is whole again, and the journal is to go on then.
 */
function withHeader(
  storage: Storage,
  look: (control: SegmentFile) => string | undefined,
): string | undefined {
  try {
    const control = storage.open(0, false);
    try {
      return look(control);
    } finally {
      control.close();
    }
  } catch (error) {
    if (error instanceof MMapError) return error.message;
    throw error;
  }
}

/** Walks through everything; says what is wrong where it had to stop. */
function findDamage(
  journal: Readable,
  control: SegmentFile,
  clean: boolean,
  seen: Seen,
): string | undefined {
  const { storage, identity } = journal;
  for (const number of segmentNumbers(storage, control)) {
    const here = { number, offset: 0 };
    const segment = openIfThere(storage, number, identity);
    if (segment === undefined) { // removed just now
      seen.sequence = undefined;
      continue;
    }
    try {
      const { header, file } = segment;
      seen.sequence ??= header.first;
      if (header.first !== seen.sequence) {
        return `no valid record, and the next segment starts at record ${header.first}`;
      }
      seen.at = here;
      const odd = oddWords(file, number);
      if (odd !== undefined) return odd;
      const walk = walkToEnd(segment);
      seen.records += walk.sequence - header.first;
      seen.bytes += walk.position - HEADER_LENGTH;
      seen.sequence = walk.sequence;
      here.offset = walk.position;
      // Where somebody may be writing, what follows may be a record that is not complete yet.
      const complete = clean || storage.list().includes(number + 1);
      const traces = complete ? walk.traces() : 0;
      if (traces > 0) return `no valid record, but ${traces} bytes that are not zero`;
    } finally {
      segment.file.close();
    }
  }
  return walkedTooShort(journal, seen);
}

/** Whether records are missing that were readable. */
function walkedTooShort({ next }: Readable, { sequence }: Seen): string | undefined {
  return sequence! < next ? `no valid record, and there were ${next}` : undefined;
}
