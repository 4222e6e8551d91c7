/**
 * Where everything lies in the files of a journal: the one descriptor of this layout. Numbers are of
 * 32 bits in the byte order of the machine; those of 64 bits are two, the lower half first.
 *
 * A journal is the file at its path and, once that is full, `path.000001`, `path.000002`, ...: its
 * segments, numbered from 0. Each has its full size from the beginning. It starts with a header, records
 * follow, zeros fill the rest.
 *
 *   0            4            8                         16                        24
 *   +------------+------------+-------------------------+-------------------------+
 *   | magic      | version    | identity                | first sequence          |
 *   +------------+------------+------------+------------+-------------------------+
 *   | size                    | number     | salt       | (0)                     |   24 to 48
 *   +-------------------------+------------+------------+------------+------------+
 *   | (0)                                  | oldest     | CRC        |                48 to 64
 *   +-------------------------+------------+------------+------------+------------+
 *   | published               | waiting    | writer     | (0)                     |   64 to 128
 *   +-------------------------+------------+------------+-------------------------+
 *
 *   identity    the same, random, in all segments of a journal
 *   first       sequence of the first record in this segment
 *   size        bytes of this file
 *   salt        of the first records; random
 *   oldest      in segment 0: the number of the oldest segment whose records count
 *   CRC         CRC-32C of the 60 bytes before it
 *   published   in segment 0: the sequence after the last record that readers may see
 *   waiting     in segment 0: WAITING while a reader is parked on `published`, else 0
 *   writer      in segment 0: process that has the journal open for writing; 0 after `close()`
 *
 * `oldest` and its CRC change together, by one store of 64 bits. The words from 64 on are only there for
 * processes that run: nothing that must outlive a crash is read from them.
 */

/** "mjnl" where the lower byte comes first. */
export const MAGIC = 0x6c6e6a6d;
/** The magic as a machine of the other byte order writes it. */
export const MAGIC_SWAPPED = 0x6d6a6e6c;
/** Changes with every change of this layout. */
export const VERSION = 1;

const WORD = 4;

export const MAGIC_OFFSET = 0;
export const VERSION_OFFSET: number = MAGIC_OFFSET + WORD;
export const IDENTITY_OFFSET: number = VERSION_OFFSET + WORD;
export const FIRST_OFFSET: number = IDENTITY_OFFSET + 2 * WORD;
export const SIZE_OFFSET: number = FIRST_OFFSET + 2 * WORD;
export const NUMBER_OFFSET: number = SIZE_OFFSET + 2 * WORD;
export const SALT_OFFSET: number = NUMBER_OFFSET + WORD;
/** The last two words of the first cache line, so that both can be stored at once. */
export const OLDEST_OFFSET = 56;
export const HEADER_CRC_OFFSET: number = OLDEST_OFFSET + WORD;

export const PUBLISHED_OFFSET: number = HEADER_CRC_OFFSET + WORD;
export const WAITING_OFFSET: number = PUBLISHED_OFFSET + 2 * WORD;
export const WRITER_OFFSET: number = WAITING_OFFSET + WORD;
export const RESERVED_OFFSET: number = WRITER_OFFSET + WORD;

/** Bytes of the header: the first record comes next. */
export const HEADER_LENGTH = 128;
/** "WAIT": no single bit makes it of 0. */
export const WAITING = 0x54494157;

/**
 * A record. It starts at a multiple of 8 bytes and is as long as one.
 *
 *   0            4            8                         16           20           24
 *   +------------+------------+-------------------------+------------+------------+
 *   | CRC        | length     | sequence                | salt       | kind       |
 *   +------------+------------+-------------------------+------------+------------+
 *   | the bytes, and zeros to a multiple of 8                                 ...
 *   +-----------------------------------------------------------------------------+
 *
 *   CRC         CRC-32C of everything after it
 *   length      of the bytes, without the zeros
 *   salt        the header's, and one more after every recovery that dropped something
 *   kind        KIND_BYTES, or KIND_SALT
 *
 * A record of KIND_SALT has the salt of what comes before it, the sequence of what comes after it, and
 * the salt of what comes after it as its four bytes. Recovery puts it where it has cut.
 */
export const CRC_OFFSET = 0;
export const LENGTH_OFFSET: number = CRC_OFFSET + WORD;
export const SEQUENCE_OFFSET: number = LENGTH_OFFSET + WORD;
export const RECORD_SALT_OFFSET: number = SEQUENCE_OFFSET + 2 * WORD;
export const KIND_OFFSET: number = RECORD_SALT_OFFSET + WORD;
export const BYTES_OFFSET: number = KIND_OFFSET + WORD;

/** The user's bytes. */
export const KIND_BYTES = 0x61746164;
/** Another salt from here on. */
export const KIND_SALT = 0x746c6173;
/** Bytes of the content of a record of KIND_SALT. */
export const NEW_SALT_LENGTH: number = WORD;

const ALIGNMENT = 8;

/** Bytes that a record of so many bytes takes. */
export function recordLength(length: number): number {
  return Math.ceil((BYTES_OFFSET + length) / ALIGNMENT) * ALIGNMENT;
}

/** A number of 64 bits from its halves. */
export function join(low: number, high: number): number {
  return (high >>> 0) * 2 ** 32 + (low >>> 0);
}

/** The lower half of a number. */
export function lowOf(value: number): number {
  return value | 0; // modulo 2^32, for any safe integer
}

/** The upper half of a number. */
export function highOf(value: number): number {
  return Math.floor(value / 2 ** 32);
}

/** Bytes of a segment at least: room for a few small records. */
export const MIN_SIZE = 4096;
/** Bytes of a segment at most: places in it fit into 31 bits. */
export const MAX_SIZE: number = 2 ** 31 - ALIGNMENT;

/** Bytes of the largest record that a segment of so many bytes holds. */
export function maxLength(size: number): number {
  return size - HEADER_LENGTH - BYTES_OFFSET;
}
