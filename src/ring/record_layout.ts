/**
 * Where everything lies in the file of a RecordRing: the one descriptor of this layout.
 *
 *   0                       8                       16
 *   +-----------------------+-----------------------+------------+------------+-----
 *   | write position u64    | count u64             | record 0   | record 1   | ...
 *   +-----------------------+-----------------------+------------+------------+-----
 *   ... | last record | (0) to a multiple of 64 | trailer, 128 bytes |
 *   ----+-------------+-------------------------+--------------------+
 *
 *   write position   index of the record that is written next, below the capacity
 *   count            records that can be read: those before the write position, around the end
 *
 * Up to the last record this is what programs in other languages know, who need to be told the size
 * of a record. The trailer, which they do not look at, tells it, and makes it certain that nobody
 * takes a half-written record for a whole one:
 *
 *   0                             64           68           72                        128
 *   +-----------------------------+------------+------------+-------------------------+
 *   | header (header.ts)          | started    | epoch      | (0)                     |
 *   +-----------------------------+------------+------------+-------------------------+
 *
 *   started     writes that were begun, modulo the period
 *   epoch       how often `started` has passed a half of its period; changes before it does
 *
 * The period is a multiple of twice the capacity, so that a count modulo the capacity is a place.
 *
 * A write is: count - 1 if the ring is full, epoch if it is time, started + 1, the bytes, write
 * position, count. Whatever store a writer dies after, the header of 16 bytes names whole records
 * only, and the record that it died in is the one written next. The write that was begun last is finished if
 * the write position is its end; in a ring of one record, where there is one position only, if the
 * count says so.
 *
 * A reader looks how far the writer is, copies record number n, and looks at `started`: write number m
 * (from 0) touches the bytes of record m - capacity, so the copy is whole if started <= n + capacity.
 * The epoch makes the counter exact, however long the reader slept: if it is the same before
 * and after, less than half a period has passed, and it is the upper part of the count.
 *
 * Where write position and count do not go with the counter, a program has written that does not know
 * the trailer: then the counter does not count until the next writer has set it right.
 */
import { RING_HEADER_LENGTH, WORD } from "./header.ts";

export const VERSION = 1;

export const POSITION_OFFSET = 0;
export const COUNT_OFFSET: number = POSITION_OFFSET + 2 * WORD;
export const RECORDS_OFFSET: number = COUNT_OFFSET + 2 * WORD;

/** From the start of the trailer. */
export const STARTED_OFFSET: number = RING_HEADER_LENGTH;
export const EPOCH_OFFSET: number = STARTED_OFFSET + WORD;
/** In the place of the counter: it does not count, only the first 16 bytes do. */
export const VOID = -1;
export const TRAILER_LENGTH: number = 2 * RING_HEADER_LENGTH;

/** The most records that a ring can have: a half of a period. */
export const MAX_CAPACITY: number = 2 ** 29;
/** The most bytes of a record: what the trailer's parameter can hold. */
export const MAX_RECORD_SIZE: number = 2 ** 31 - 1;

/** Where the trailer of a ring begins. */
export function trailerOffset(capacity: number, recordSize: number): number {
  const end = RECORDS_OFFSET + capacity * recordSize;
  return Math.ceil(end / RING_HEADER_LENGTH) * RING_HEADER_LENGTH;
}

/** Half of the period of the counter: a multiple of the capacity, the largest up to 2^30. */
export function halfPeriod(capacity: number): number {
  return Math.floor(2 ** 30 / capacity) * capacity;
}
