/**
 * Where everything lies in the memory of a MessageQueue, and why no death can harm it: the one
 * descriptor of this layout. Native byte order; numbers are 32-bit words unless said otherwise. What
 * different threads write lies in different 128 bytes, because processors fetch lines in pairs.
 *
 *   0                             64           128                                        256
 *   +-----------------------------+------------+-------------------------------------------+
 *   | header (header.ts)          | (0)        | tail: where the next message goes         |
 *   +-----------------------------+------------+-------------------------------------------+
 *   | room: what producers know of the head    | head: what lies before it is zero again   |  512
 *   +------------------------------------------+-------------------------------------------+
 *   | taken: what lies before it was handed out|  (0)                                      |  1024
 *   +------------------------------------------+-------------------------------------------+
 *   | owners: lock header (src/sync/layout.ts) | consumer: owner, identity                 |  1280
 *   +------------------------------------------+-------------------------------------------+
 *   | message bell                             | room bell                                 |  1536
 *   +------------------------------------------+-------------------------------------------+
 *   | 256 producers: owner, identity, announcement, (0) to 128                             |  34304
 *   +--------------------------------------------------------------------------------------+
 *   | (0) to 65536, a multiple of every page size                                          |
 *   +--------------------------------------------------------------------------------------+
 *   | messages, `capacity` bytes; in a mirrored queue mapped a second time behind the end  |
 *   +--------------------------------------------------------------------------------------+
 *
 * Tail, head and taken are positions: bytes since the queue was made, modulo 2^32. The place of a
 * position is the position modulo the capacity, a power of two. head <= taken <= tail <= head + capacity.
 * The header's parameter tells whether there is a mirror. A bell is 1 while somebody waits, parked.
 *
 * A message begins at a multiple of 8:
 *
 *   0            4            8
 *   +------------+------------+---------------------------+-----+
 *   | length     | type       | bytes                     | (0) |  to a multiple of 8
 *   +------------+------------+---------------------------+-----+
 *
 *   length      8 and the bytes; 0: nothing yet; negative: claimed, being written
 *   type        the user's, from 1; PADDING: nothing to be read, but skipped
 *
 * Without a mirror no message crosses the end: one that would begins at place 0, and padding fills what is
 * left; padding and message are one claim, and one negative length covers both until both are there.
 *
 * Producing: (1) look at tail; (2) announce that position in the producer's own slot; (3) move the
 * tail by compare-and-swap: that claims the bytes; (4) store the negative length; (5) bytes and type;
 * (6) store the length: that hands the message over; (7) look at the message bell, and ring it;
 * (8) withdraw the announcement.
 *
 * Consuming: while the length at `taken` is positive, move `taken` and hand the message out. Later fill
 * what was handed out with zeros and move the head. So a consumer's successor hands nothing out
 * twice, and every word between tail and head + capacity is zero when it is claimed.
 *
 * A producer that dies in (1) or (2) leaves an announcement of a position that it never got, from (6) on
 * a complete message. In between, the message at `taken` never comes. Then the consumer, having
 * found tail beyond `taken`, looks at the slots, then at the length once more:
 *
 * - A living producer announces that position: the claim may be its own. It is waited for, however slow it
 *   is. That producer may also have lost the race in (3); then it withdraws or announces another
 *   position as soon as it runs. A claim is announced from before (3) to after (6), so no claim of
 *   the living is ever taken from them.
 * - None does, and the length is still negative: whoever stored it is dead, and the length says how much it
 *   had claimed. The claim becomes padding.
 * - None does, and the length is still 0: whoever moved the tail died before (4), and has not written to
 *   its bytes: they are zeros up to where the next claim begins. That is where the first word is
 *   that is not 0 (a claim whose (4) is done), where a slot announces a position before the tail
 *   (a claim whose (4) may not be done), or at the tail. The zeros become padding. An announcement that was
 *   left behind can only split them in two.
 *
 * The look at the slots comes after the look at the tail: who announces `taken` later finds the tail moved
 * and fails in (3). A change of the length goes by compare-and-swap, against a (6) in between. (8)
 * comes after the seq-cst load of (7), which comes after the seq-cst store of (6): who sees a claim
 * withdrawn sees its length. The dead do nothing late: a slot's owner is taken for dead only when the system
 * says so, by thread number and start (src/sync/owners.ts).
 *
 * Positions come round after 4 GiB. A producer that sleeps between (1) and (3) for exactly that long claims
 * a place that is right, but perhaps not free. So `room` is looked at again after (3): all claims before
 * have made it true for theirs. If there is no room, (4) waits until there is.
 */
import { RING_HEADER_LENGTH, WORD } from "./header.ts";

export const VERSION = 1;

/** What one thread writes and another reads is so far apart. */
const APART: number = 2 * RING_HEADER_LENGTH;

export const TAIL_OFFSET: number = APART;
export const ROOM_OFFSET: number = TAIL_OFFSET + APART;
export const HEAD_OFFSET: number = ROOM_OFFSET + APART;
export const TAKEN_OFFSET: number = HEAD_OFFSET + APART;

export const OWNERS_OFFSET = 1024;
/** From the start of the owners. */
export const CONSUMER_OFFSET: number = APART;
export const MESSAGE_BELL_OFFSET: number = CONSUMER_OFFSET + APART;
export const ROOM_BELL_OFFSET: number = MESSAGE_BELL_OFFSET + APART;
export const PRODUCERS_OFFSET: number = ROOM_BELL_OFFSET + APART;
export const PRODUCER_LENGTH: number = APART;
/** From the start of a producer's slot: behind its owner and identity. */
export const ANNOUNCEMENT_OFFSET: number = 2 * WORD;
/** Claims that can be open at the same time; a producer has one of its own. */
export const MAX_PRODUCERS = 256;
export const OWNERS_LENGTH: number = PRODUCERS_OFFSET + MAX_PRODUCERS * PRODUCER_LENGTH;

/** Set in an announcement: positions are multiples of 8, and 0 announces nothing. */
export const ANNOUNCED = 1;

export const DATA_OFFSET = 65536;

/** From the start of a message. */
export const LENGTH_OFFSET = 0;
export const TYPE_OFFSET: number = LENGTH_OFFSET + WORD;
export const BYTES_OFFSET: number = TYPE_OFFSET + WORD;
/** What messages begin at a multiple of. */
export const ALIGNMENT = 8;
/** The type of what is skipped. */
export const PADDING = -1;
