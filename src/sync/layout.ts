/**
 * Where everything lies in the memory of a lock: the one descriptor of these layouts. Native (little)
 * endian; every number is a 32-bit word. Zeroed memory is a free lock that nobody has named yet.
 *
 * All kinds start alike:
 *
 *   0            4            8            12           16           20           24
 *   +------------+------------+------------+------------+------------+------------+
 *   | tag        | parameter  | boot       | namespace  | turn       | (0)        | ...
 *   +------------+------------+------------+------------+------------+------------+
 *
 *   tag         0x6d6d, kind, mechanism and version: 16, 8, 4 and 4 bits
 *   parameter   permits, parties, or whether an event resets itself
 *   boot        start of the machine in which the lock was used last; threads of others are dead
 *   namespace   PID namespace of its users; 0 where there are none
 *   turn        counts releases that somebody waits for; odd while somebody does
 *
 * An owner is a pair of words, 8-byte aligned so that both can be read at once:
 *
 *   0            4            8
 *   +------------+------------+
 *   | owner      | identity   |
 *   +------------+------------+
 *
 *   owner       thread number, WAITERS, OWNER_DIED (src/ffi/sync_platform.ts); the kernel's, too
 *   identity    tells the owner from later threads of its number; 0 while free or not known,
 *               ABANDONED when a living owner let go without releasing
 */

/** First half of the tag: "mm". */
export const MAGIC = 0x6d6d;
/** Changes with every change of these layouts. */
export const VERSION = 2;

export const KIND_MUTEX = 1;
export const KIND_RW_LOCK = 2;
export const KIND_SEMAPHORE = 3;
export const KIND_EVENT = 4;
export const KIND_BARRIER = 5;
/** Owners of parts of something larger, which lays them out itself. */
export const KIND_OWNERS = 6;

/** Kinds by their number, for messages. */
export const kindNames: Readonly<Record<number, string>> = {
  [KIND_MUTEX]: "Mutex",
  [KIND_RW_LOCK]: "RwLock",
  [KIND_SEMAPHORE]: "Semaphore",
  [KIND_EVENT]: "Event",
  [KIND_BARRIER]: "Barrier",
  [KIND_OWNERS]: "set of owners",
};

/** Bytes of a word. */
export const WORD = 4;
/** Bytes of a cache line: what different threads write lies in different ones where it can. */
const LINE = 64;

export const TAG_OFFSET = 0;
export const PARAMETER_OFFSET: number = TAG_OFFSET + WORD;
export const BOOT_OFFSET: number = PARAMETER_OFFSET + WORD;
export const NAMESPACE_OFFSET: number = BOOT_OFFSET + WORD;
export const TURN_OFFSET: number = NAMESPACE_OFFSET + WORD;
/** Where the kinds begin to differ. */
const BODY_OFFSET = TURN_OFFSET + 2 * WORD;

/** Bytes of an owner and its identity. */
export const OWNER_LENGTH: number = 2 * WORD;
/** From the owner to its identity. */
export const IDENTITY_OFFSET: number = WORD;
/** An identity that no thread has. */
export const ABANDONED = 1;

/**
 * Mutex.
 *
 *   0                        24           28           32                       64
 *   +------------------------+------------+------------+------------------------+
 *   | header                 | owner      | identity   | (0)                    |
 *   +------------------------+------------+------------+------------------------+
 */
export const MUTEX_OWNER_OFFSET: number = BODY_OFFSET;
export const MUTEX_LENGTH: number = LINE;

/**
 * RwLock. A reader owns one slot; a writer owns the gate, and waits until no slot has an owner. Who
 * finds the gate taken waits for it before it reads. So that a writer need not look at all slots, those
 * in use have a mark; those that were in use may have it still.
 *
 *   0                 24           28           32           36      40           48           64
 *   +-----------------+------------+------------+------------+-------+------------+------------+
 *   | header          | gate owner | identity   | writing    | (0)   | marks      | (0)        |
 *   +-----------------+------------+------------+------------+-------+------------+------------+
 *   | slot owner      | identity   | (0) to the end of the line                                |
 *   +-----------------+------------+-----------------------------------------------------------+
 *   ... 62 more slots, to 4096
 *
 *   writing     1 from a writer's first to its last change
 *   marks       bit i of the 64: slot i may have an owner
 *
 * A reader (1) takes its slot, (2) sets its mark unless it is set, (3) goes in if the gate is free. A writer
 * (4) takes the gate, (5) reads the marks, (6) looks at the slots that have one. If the reader found the
 * gate free, then (3) was before (4), and the writer sees mark and slot.
 *
 * Only the owner of the gate takes marks away: it (7) clears them all, (8) looks at all slots, and (9) sets
 * the marks of those that have an owner. A reader that found its mark set at (2) has it for good: either
 * that was after (7), and somebody had set it again, or it had its slot before (8), and gets the mark
 * back by (9) before the gate is free. Whoever takes the gate of one who died sets all marks first: that
 * one may have come to (7) and not to (9). A reader that dies between (1) and (2) leaves a slot that
 * keeps nobody out; a writer that waits looks at all slots and finds it.
 */
export const GATE_OFFSET: number = BODY_OFFSET;
export const WRITING_OFFSET: number = GATE_OFFSET + OWNER_LENGTH;
export const MARKS_OFFSET: number = WRITING_OFFSET + 2 * WORD;
export const READERS_OFFSET: number = LINE;
export const READER_LENGTH: number = LINE;
export const RW_LOCK_LENGTH = 4096;
/** Threads that read at the same time. */
export const READERS: number = (RW_LOCK_LENGTH - READERS_OFFSET) / READER_LENGTH;

/**
 * Semaphore. Each permit is an owner.
 *
 *   0                                                                 64
 *   +-----------------------------------------------------------------+
 *   | header                                                          |
 *   +------------+------------+------------+------------+-------------+
 *   | owner      | identity   | owner      | identity   | ...             to 4096
 *   +------------+------------+------------+------------+-------------+
 */
export const PERMITS_OFFSET: number = LINE;
export const SEMAPHORE_LENGTH = 4096;
export const MAX_PERMITS: number = (SEMAPHORE_LENGTH - PERMITS_OFFSET) / OWNER_LENGTH;

/**
 * Event.
 *
 *   0                        24           28                                    64
 *   +------------------------+------------+-------------------------------------+
 *   | header                 | state      | (0)                                 |
 *   +------------------------+------------+-------------------------------------+
 *
 *   state       bit 0: set; bit 1: somebody waits; above: how often it was set
 */
export const STATE_OFFSET: number = BODY_OFFSET;
export const EVENT_LENGTH: number = LINE;

/**
 * Barrier. Each party owns a place from its first arrival on.
 *
 *   0                        24           28                                    64
 *   +------------------------+------------+-------------------------------------+
 *   | header                 | phase      | (0)                                 |
 *   +------------+-----------++-----------+------------+------------------------+
 *   | owner      | identity   | arrived   | (0)        | ...                        to 4096
 *   +------------+------------+-----------+------------+------------------------+
 *
 *   phase       bit 0: somebody was missing; above: how often all have arrived
 *   arrived     the phase that the party's arrival leads to; -1: it has died
 */
export const PHASE_OFFSET: number = BODY_OFFSET;
export const PLACES_OFFSET: number = LINE;
export const ARRIVED_OFFSET: number = OWNER_LENGTH;
export const PLACE_LENGTH: number = OWNER_LENGTH + 2 * WORD;
export const BARRIER_LENGTH = 4096;
export const MAX_PARTIES: number = (BARRIER_LENGTH - PLACES_OFFSET) / PLACE_LENGTH;

/** The tag of a lock. */
export function tagOf(kind: number, mechanism: number): number {
  return MAGIC << 16 | kind << 8 | mechanism << 4 | VERSION;
}

/** What a tag says; undefined if it is none. */
export function readTag(
  tag: number,
): { kind: number; mechanism: number; version: number } | undefined {
  if (tag >>> 16 !== MAGIC) return undefined;
  return { kind: tag >>> 8 & 0xff, mechanism: tag >>> 4 & 0xf, version: tag & 0xf };
}
