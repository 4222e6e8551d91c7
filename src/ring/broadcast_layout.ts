/**
 * Where everything lies in the memory of a Broadcast: the one descriptor of this layout. Native byte
 * order; numbers are 32-bit words. What different threads write lies in different 128 bytes.
 *
 *   0                             64           128                                        256
 *   +-----------------------------+------------+-------------------------------------------+
 *   | header (header.ts)          | (0)        | intent, its epoch                         |
 *   +-----------------------------+------------+-------------------------------------------+
 *   | tail, its epoch, latest, next (2 words)  | (0)                                       |  1024
 *   +------------------------------------------+-------------------------------------------+
 *   | owners: lock header (src/sync/layout.ts) | producer: owner, identity                 |  1280
 *   +------------------------------------------+-------------------------------------------+
 *   | bell                                     | (0)                                       |  65536
 *   +------------------------------------------+-------------------------------------------+
 *   | messages, `capacity` bytes; in a mirrored ring mapped a second time behind the end   |
 *   +--------------------------------------------------------------------------------------+
 *
 *   intent      what lies before it is written, or being written
 *   tail        what lies before it is there
 *   latest      where the message begins that ends at the tail
 *   next        number of the message that comes at the tail, or of the one after it
 *   epoch       how often the position passed a multiple of 2^31; changes before it does
 *   bell        1 while a reader waits, parked
 *
 * Intent, tail and latest are positions: bytes since the ring was made, modulo 2^32. With their epochs
 * they never come round. The place of a position is the position modulo the capacity, a power of two. The header's
 * parameter tells whether there is a mirror.
 *
 * A message begins at a multiple of 16, so that there is always room for a header before the end:
 *
 *   0            4            8            12           16
 *   +------------+------------+------------+------------+---------------------------+-----+
 *   | length     | type       | number, lower word first| bytes                     | (0) |
 *   +------------+------------+------------+------------+---------------------------+-----+
 *
 *   length      16 and the bytes
 *   type        the user's, from 1; PADDING: nothing to be read
 *   number      of messages before this one
 *
 * Without a mirror no message crosses the end: padding before it fills what is left.
 *
 * Writing: move the intent, then write, then set latest and next, move the tail, ring. A reader at position p
 * copies the message there if the tail is beyond p, and then looks at the intent: the copy is whole if
 * intent <= p + capacity, because who writes over p has moved the intent beyond that before. Else it has
 * been overtaken, and goes on at `latest`; the numbers tell how many it has missed.
 *
 * A producer that dies leaves an intent beyond the tail. What lies between may be half-written over what
 * readers still count on, so the intent never goes back: the successor makes it padding.
 */
import { RING_HEADER_LENGTH, WORD } from "./header.ts";

export const VERSION = 1;

/** What one thread writes and another reads is so far apart. */
const APART: number = 2 * RING_HEADER_LENGTH;

export const INTENT_OFFSET: number = APART;
export const TAIL_OFFSET: number = INTENT_OFFSET + APART;
/** From a position to its epoch. */
export const EPOCH_OFFSET: number = WORD;
export const LATEST_OFFSET: number = TAIL_OFFSET + 2 * WORD;
export const NEXT_OFFSET: number = LATEST_OFFSET + WORD;

export const OWNERS_OFFSET = 1024;
/** From the start of the owners. */
export const PRODUCER_OFFSET: number = APART;
export const BELL_OFFSET: number = PRODUCER_OFFSET + APART;
export const OWNERS_LENGTH: number = BELL_OFFSET + APART;

export const DATA_OFFSET = 65536;

/** From the start of a message. */
export const LENGTH_OFFSET = 0;
export const TYPE_OFFSET: number = LENGTH_OFFSET + WORD;
export const NUMBER_OFFSET: number = TYPE_OFFSET + WORD;
export const BYTES_OFFSET: number = NUMBER_OFFSET + 2 * WORD;
/** What messages begin at a multiple of: whatever is left before the end has room for a header. */
export const ALIGNMENT = 16;
/** The type of what is skipped. */
export const PADDING = -1;

/** Half of the range of a position. */
export const HALF: number = 2 ** 31;
