/** One segment of a journal: its header, and the way from record to record. */
import { show } from "../check.ts";
import { MMapError, MMapInvalidParameterError } from "../errors.ts";
import { crc32cByTables } from "./crc32c.ts";
import {
  BYTES_OFFSET,
  CRC_OFFSET,
  FIRST_OFFSET,
  HEADER_CRC_OFFSET,
  HEADER_LENGTH,
  highOf,
  IDENTITY_OFFSET,
  join,
  KIND_BYTES,
  KIND_OFFSET,
  KIND_SALT,
  LENGTH_OFFSET,
  lowOf,
  MAGIC,
  MAGIC_OFFSET,
  MAGIC_SWAPPED,
  NEW_SALT_LENGTH,
  NUMBER_OFFSET,
  OLDEST_OFFSET,
  RECORD_SALT_OFFSET,
  recordLength,
  SALT_OFFSET,
  SEQUENCE_OFFSET,
  SIZE_OFFSET,
  VERSION,
  VERSION_OFFSET,
} from "./layout.ts";
import type { SegmentFile, Storage } from "./storage.ts";

/** What the header of a segment says. */
export interface Header {
  readonly identity: readonly [number, number];
  readonly first: number;
  readonly size: number;
  readonly number: number;
  readonly salt: number;
  readonly oldest: number;
}

/** An error for content that is not what was written. */
export function damaged(message: string): MMapError {
  return new MMapError(message, { code: "EBADMSG" });
}

function putNumber(file: SegmentFile, offset: number, value: number): void {
  file.putWord(offset, lowOf(value));
  file.putWord(offset + 4, highOf(value));
}

function numberAt({ words }: SegmentFile, offset: number): number {
  return join(words[offset / 4]!, words[offset / 4 + 1]!);
}

/** Writes the header of a file of zeros. */
export function writeHeader(file: SegmentFile, header: Header): void {
  file.putWord(MAGIC_OFFSET, MAGIC);
  file.putWord(VERSION_OFFSET, VERSION);
  header.identity.forEach((word, i) => file.putWord(IDENTITY_OFFSET + 4 * i, word));
  putNumber(file, FIRST_OFFSET, header.first);
  putNumber(file, SIZE_OFFSET, header.size);
  file.putWord(NUMBER_OFFSET, header.number);
  file.putWord(SALT_OFFSET, header.salt);
  file.putWord(OLDEST_OFFSET, header.oldest);
  file.putWord(HEADER_CRC_OFFSET, file.crc(0, HEADER_CRC_OFFSET));
}

/** Changes the oldest segment in the header of segment 0. */
export function writeOldest(file: SegmentFile, oldest: number): void {
  const copy = new Int32Array(file.words.slice(0, HEADER_CRC_OFFSET / 4));
  copy[OLDEST_OFFSET / 4] = oldest;
  file.putPair(OLDEST_OFFSET, oldest, crc32cByTables(new Uint8Array(copy.buffer)) | 0);
}

/**
 * The header of a segment, checked.
 *
 * @throws {MMapInvalidParameterError} If this is no journal, or one of another version or byte order.
 * @throws {MMapError} EBADMSG if it is damaged, or says what cannot be.
 */
export function readHeader(file: SegmentFile, storage: Storage, number: number): Header {
  const { words } = file;
  const name = show(storage.name(number));
  const refuse = (why: string): never => {
    // A file that follows the first of a journal is the journal's.
    if (number > 0) throw damaged(`Cannot open journal file ${name}: ${why}`);
    throw new MMapInvalidParameterError(`Cannot open journal file ${name}: ${why}`);
  };
  const lies = (why: string): never => {
    throw damaged(`Cannot open journal file ${name}: ${why}; take it from a backup`);
  };
  if (file.size < HEADER_LENGTH) {
    refuse(`it has ${file.size} bytes and a journal at least ${HEADER_LENGTH}; give a journal`);
  }
  file.crc(0, HEADER_CRC_OFFSET); // throws if the page of a file that is open was lost
  const magic = words[MAGIC_OFFSET / 4];
  if (magic === MAGIC_SWAPPED) {
    refuse("it is from a machine of the other byte order; read it there");
  }
  if (magic !== MAGIC) refuse("it does not start as a journal does; give a journal");
  const version = words[VERSION_OFFSET / 4]! >>> 0;
  if (version !== VERSION) {
    refuse(`it has version ${version} and this library ${VERSION}; use the one that wrote it`);
  }
  // Once more: a writer may have changed the oldest segment, and its CRC, in the middle.
  const intact = () => file.crc(0, HEADER_CRC_OFFSET) === words[HEADER_CRC_OFFSET / 4];
  if (!intact() && !intact()) lies("its header is damaged (CRC)");
  const header: Header = {
    identity: [words[IDENTITY_OFFSET / 4]!, words[IDENTITY_OFFSET / 4 + 1]!],
    first: numberAt(file, FIRST_OFFSET),
    size: numberAt(file, SIZE_OFFSET),
    number: words[NUMBER_OFFSET / 4]! >>> 0,
    salt: words[SALT_OFFSET / 4]!,
    oldest: words[OLDEST_OFFSET / 4]! >>> 0,
  };
  if (header.size !== file.size) {
    lies(`its header says ${header.size} bytes, and it has ${file.size}`);
  }
  if (header.number !== number) lies(`its header says that it is segment ${header.number}`);
  if (!Number.isSafeInteger(header.first)) lies("its first sequence is beyond 2^53");
  return header;
}

/** Writes a record at a place; returns where the next one goes. */
export function writeRecord(
  file: SegmentFile,
  at: number,
  kind: number,
  bytes: Uint8Array,
  length: number,
  sequence: number,
  salt: number,
): number {
  const total = recordLength(length);
  file.put(at + BYTES_OFFSET, bytes);
  file.zero(at + BYTES_OFFSET + length, total - BYTES_OFFSET - length);
  file.putWord(at + LENGTH_OFFSET, length);
  file.putWord(at + SEQUENCE_OFFSET, lowOf(sequence));
  file.putWord(at + SEQUENCE_OFFSET + 4, highOf(sequence));
  file.putWord(at + RECORD_SALT_OFFSET, salt);
  file.putWord(at + KIND_OFFSET, kind);
  file.putWord(at + CRC_OFFSET, file.crc(at + LENGTH_OFFSET, total - LENGTH_OFFSET));
  return at + total;
}

/** Walks from record to record in a segment. */
export class Walk {
  readonly file: SegmentFile;
  /** Where the next record is. */
  position: number = HEADER_LENGTH;
  /** Sequence of the next record. */
  sequence: number;
  /** Salt of the next record. */
  salt: number;
  /** Where the bytes of the record are that {@link next} has passed. */
  start = 0;
  /** How many they are. */
  length = 0;

  constructor(file: SegmentFile, { first, salt }: Header) {
    this.file = file;
    this.sequence = first;
    this.salt = salt;
  }

  /**
   * Passes the next record; false if there is none that is valid.
   *
   * @param checked Whether its CRC is looked at.
   */
  next(checked: boolean = true): boolean {
    const { file } = this;
    const { words } = file;
    for (;;) {
      const at = this.position;
      const left = file.size - at;
      if (left < BYTES_OFFSET) return false;
      const word = at / 4;
      const length = words[word + LENGTH_OFFSET / 4]! >>> 0;
      const kind = words[word + KIND_OFFSET / 4]!;
      if (
        words[word + RECORD_SALT_OFFSET / 4] !== this.salt ||
        words[word + SEQUENCE_OFFSET / 4] !== lowOf(this.sequence) ||
        words[word + SEQUENCE_OFFSET / 4 + 1] !== highOf(this.sequence) ||
        length > left - BYTES_OFFSET
      ) return false;
      const total = recordLength(length);
      if (total > left) return false;
      if (
        checked &&
        file.crc(at + LENGTH_OFFSET, total - LENGTH_OFFSET) !== words[word + CRC_OFFSET / 4]
      ) return false;
      if (kind === KIND_BYTES) {
        this.start = at + BYTES_OFFSET;
        this.length = length;
        this.sequence++;
        this.position = at + total;
        return true;
      }
      if (kind !== KIND_SALT || length !== NEW_SALT_LENGTH) return false;
      this.salt = words[word + BYTES_OFFSET / 4]!;
      this.position = at + total;
    }
  }

  /** Bytes from here to the last one that is not zero. */
  traces(): number {
    const { words } = this.file;
    const first = this.position / 4;
    let last = words.length;
    while (last > first && words[last - 1] === 0) last--;
    return (last - first) * 4;
  }
}
