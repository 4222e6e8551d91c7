/** What is found when a journal is opened: which segments count, where the last one ends, what is torn. */
import { show } from "../check.ts";
import { MMapError } from "../errors.ts";
import { HEADER_LENGTH, KIND_SALT, NEW_SALT_LENGTH, recordLength } from "./layout.ts";
import { damaged, type Header, readHeader, Walk, writeRecord } from "./segment.ts";
import type { SegmentFile, Storage } from "./storage.ts";

/** A segment that is mapped. */
export interface OpenSegment {
  readonly file: SegmentFile;
  readonly header: Header;
}

/**
 * Maps a segment and checks its header.
 *
 * @param identity Of the journal, if that is known.
 */
export function openSegment(
  storage: Storage,
  number: number,
  writable: boolean,
  identity?: Header["identity"],
): OpenSegment {
  const file = storage.open(number, writable);
  try {
    const header = readHeader(file, storage, number);
    if (identity !== undefined && identity.some((word, i) => header.identity[i] !== word)) {
      throw damaged(
        `Cannot open journal file ${show(storage.name(number))}: it belongs to another journal ` +
          "than the segments before it; move it away",
      );
    }
    return { file, header };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** {@link openSegment} for reading; undefined if a writer has removed the segment. */
export function openIfThere(
  storage: Storage,
  number: number,
  identity: Header["identity"],
): OpenSegment | undefined {
  try {
    return openSegment(storage, number, false, identity);
  } catch (error) {
    if (error instanceof MMapError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** The numbers of the segments that count, ascending. @throws {MMapError} EBADMSG if one is missing. */
export function segmentNumbers(storage: Storage, control: SegmentFile): number[] {
  for (;;) {
    const { oldest } = readHeader(control, storage, 0);
    const numbers = storage.list().filter((number) => number >= oldest);
    const missing = numbers.findIndex((number, i) => number !== oldest + i);
    if (missing === -1 && numbers.length > 0) return numbers;
    // Removed by a writer, perhaps, since its header was read.
    if (readHeader(control, storage, 0).oldest !== oldest) continue;
    const name = show(storage.name(oldest + Math.max(missing, 0)));
    throw damaged(`Cannot open journal file ${name}: it is missing; take it from a backup`);
  }
}

/** Where a segment is in the journal. */
export interface Place {
  readonly number: number;
  /** Sequence of its first record. */
  readonly first: number;
}

/** The segments that count, ascending, with their headers checked. */
export function survey(
  storage: Storage,
  control: SegmentFile,
  identity: Header["identity"],
): Place[] {
  const places: Place[] = [];
  for (const number of segmentNumbers(storage, control)) {
    const segment = openIfThere(storage, number, identity);
    if (segment === undefined) return survey(storage, control, identity); // removed just now
    segment.file.close();
    const { first } = segment.header;
    const before = places.at(-1)?.first ?? 0;
    if (first < before) {
      throw damaged(
        `Cannot open journal file ${show(storage.name(number))}: its header says that it starts ` +
          `at record ${first}, and the one before it at ${before}; take them from a backup`,
      );
    }
    places.push({ number, first });
  }
  return places;
}

/** Walks to the end of a segment. */
export function walkToEnd({ file, header }: OpenSegment): Walk {
  const walk = new Walk(file, header);
  while (walk.next());
  return walk;
}

/**
 * Makes the end of the last segment one that records can follow: what is torn becomes zeros, and a new
 * salt sees to it that bytes which a loss of power brings back are no records. All that is left is on
 * the storage then.
 *
 * @returns How many bytes were dropped.
 */
export function cut(walk: Walk): number {
  const { file } = walk;
  const dropped = walk.traces();
  const end = walk.position + dropped;
  if (dropped > 0) {
    file.zero(walk.position, dropped);
    if (recordLength(NEW_SALT_LENGTH) > file.size - walk.position) {
      walk.position = file.size; // no room: the next record starts a segment
    } else {
      const salt = walk.salt + 1 | 0;
      const bytes = new Uint8Array(Int32Array.of(salt).buffer);
      const { position, sequence } = walk;
      walk.position = writeRecord(
        file,
        position,
        KIND_SALT,
        bytes,
        NEW_SALT_LENGTH,
        sequence,
        walk.salt,
      );
      walk.salt = salt;
    }
  }
  file.flush(0, Math.max(walk.position, end, HEADER_LENGTH));
  return dropped;
}
