/**
 * What every file of this folder says of itself: the one descriptor of the header, and its check.
 *
 * 64 bytes of 32-bit words in the byte order of the machine that made the file:
 *
 *   0            4            8            12           16           20           24
 *   +------------+------------+------------+------------+-------------------------+
 *   | magic      | kind       | version    | parameter  | capacity                | (0) to 64
 *   +------------+------------+------------+------------+-------------------------+
 *
 *   magic       "ring" as bytes on a little-endian machine; written last, so that a header that has
 *               it is complete
 *   kind        what follows: one of the `KIND_*` numbers
 *   version     of the kind's layout
 *   parameter   a number of the kind's own, such as the bytes of a record
 *   capacity    two words, the lower one first; what it counts is up to the kind
 */
import { MMapInvalidParameterError } from "../errors.ts";

/** Bytes of a word. */
export const WORD = 4;

export const MAGIC_OFFSET = 0;
export const KIND_OFFSET: number = MAGIC_OFFSET + WORD;
export const VERSION_OFFSET: number = KIND_OFFSET + WORD;
export const PARAMETER_OFFSET: number = VERSION_OFFSET + WORD;
export const CAPACITY_OFFSET: number = PARAMETER_OFFSET + WORD;
/** Bytes of the header: a cache line. */
export const RING_HEADER_LENGTH = 64;

/** "ring", read as a little-endian word. */
export const MAGIC = 0x676e6972;
/** The same as a machine of the other byte order writes it. */
const FOREIGN_MAGIC = 0x72696e67;

export const KIND_RECORDS = 1;
export const KIND_QUEUE = 2;
export const KIND_BROADCAST = 3;
export const KIND_JOURNAL = 4;

/** Kinds by their number, for messages. */
const kindNames: Readonly<Record<number, string>> = {
  [KIND_RECORDS]: "RecordRing",
  [KIND_QUEUE]: "MessageQueue",
  [KIND_BROADCAST]: "Broadcast",
  [KIND_JOURNAL]: "Journal",
};

/** What a header says. */
export interface RingHeader {
  readonly kind: number;
  readonly version: number;
  readonly parameter: number;
  /** A safe integer. */
  readonly capacity: number;
}

/** Writes a header to the start of zeroed words. */
export function writeRingHeader(words: Int32Array, header: RingHeader): void {
  words[KIND_OFFSET / WORD] = header.kind;
  words[VERSION_OFFSET / WORD] = header.version;
  words[PARAMETER_OFFSET / WORD] = header.parameter;
  words[CAPACITY_OFFSET / WORD] = header.capacity;
  words[CAPACITY_OFFSET / WORD + 1] = header.capacity / 2 ** 32;
  Atomics.store(words, MAGIC_OFFSET / WORD, MAGIC);
}

/** Whether there is a header, of whatever kind and byte order. */
export function hasRingHeader(words: Int32Array): boolean {
  const magic = words[MAGIC_OFFSET / WORD];
  return magic === MAGIC || magic === FOREIGN_MAGIC;
}

/** Whether words begin with a header of a kind and version. */
export function isOfKind(words: Int32Array, kind: number, version: number): boolean {
  return words[MAGIC_OFFSET / WORD] === MAGIC && words[KIND_OFFSET / WORD] === kind &&
    words[VERSION_OFFSET / WORD] === version;
}

/**
 * Reads the header at the start of some words.
 *
 * @param what The request, for an error message, such as `Cannot open "a" as a MessageQueue`.
 * @param words The bytes that there are: fewer than a header has are too few.
 * @param kind The kind that is expected.
 * @param version The version that is expected.
 * @throws {MMapInvalidParameterError} If there is no such header.
 */
export function readRingHeader(
  what: string,
  words: Int32Array,
  kind: number,
  version: number,
): RingHeader {
  const refuse = (why: string): never => {
    throw new MMapInvalidParameterError(`${what}: ${why}`);
  };
  const bytes = words.length * WORD;
  if (bytes < RING_HEADER_LENGTH) {
    refuse(`it has ${bytes} bytes, and the header alone ${RING_HEADER_LENGTH}; it was cut off`);
  }
  // Not Atomics: Bun compiles those to instructions that write, which a read-only map refuses.
  const magic = words[MAGIC_OFFSET / WORD]!;
  if (magic === FOREIGN_MAGIC) {
    refuse("it was made on a machine of the other byte order; read it on such a machine");
  }
  if (magic === 0) {
    refuse(
      "it begins with 0x00000000: it is not complete yet, or no ring; wait for who creates it",
    );
  }
  if (magic !== MAGIC) {
    refuse(
      `it begins with 0x${
        (magic >>> 0).toString(16).padStart(8, "0")
      }, so it is no ring; give one ` +
        `that ${kindNames[kind]}.create() has made`,
    );
  }
  const found: RingHeader = {
    kind: words[KIND_OFFSET / WORD]!,
    version: words[VERSION_OFFSET / WORD]!,
    parameter: words[PARAMETER_OFFSET / WORD]!,
    capacity: (words[CAPACITY_OFFSET / WORD]! >>> 0) +
      (words[CAPACITY_OFFSET / WORD + 1]! >>> 0) * 2 ** 32,
  };
  if (found.kind !== kind) {
    refuse(`it is a ${kindNames[found.kind] ?? `ring of kind ${found.kind}`}; open it as that`);
  }
  if (found.version !== version) {
    refuse(
      `its layout has version ${found.version}, this library reads ${version}; use the version ` +
        "of the library that made it",
    );
  }
  if (!Number.isSafeInteger(found.capacity) || found.capacity < 1) {
    refuse(`its header says that its capacity is ${found.capacity}; the header is damaged`);
  }
  return found;
}
