/**
 * The layout of the memory that the fault guard's handler and JavaScript share: one region per
 * process, the handler's code first, the table of guarded ranges behind it. x86_64.s and aarch64.s
 * repeat these numbers; a test compares them.
 *
 *   region
 *   +---------------------+----------------+----------------------+---------------------------+
 *   | code, read and exec | header, 4 KiB  | keys, 16 bytes each  | details, 128 bytes each   |
 *   +---------------------+----------------+----------------------+---------------------------+
 *   0                TABLE_DISTANCE    + KEYS            + KEYS + capacity * KEY_LENGTH
 *
 *   header     12         16           20         24       28
 *              +----------+------------+----------+--------+------------+
 *              | capacity | high water | last hit | events | free slots |
 *              +----------+------------+----------+--------+------------+
 *             64: the handlers before ours, of SIGBUS, then of SIGSEGV, as the kernel wrote them
 *
 *   key        start (double), end (double); an unused slot ends at 0
 *
 *   details    0       4      8       12           16       20           24              48
 *              +-------+------+-------+------------+--------+------------+---------------+-------
 *              | state | busy | flags | page shift | events | violations | fault offsets | violation
 *              +-------+------+-------+------------+--------+------------+---------------+ offsets
 *             72: touched
 *
 *   offsets    first (double), lowest (double), end (double)
 *
 * Addresses and offsets are doubles, exact up to 2^53, because JavaScript stores a double in one
 * instruction and a 64-bit integer only through a bigint.
 */

/** Bytes from the start of the code to the table: one page where pages are largest. */
export const TABLE_DISTANCE: number = 0x10000;

/** In the handler's first bytes: by it another copy of the library knows the handler. */
export const MARK: string = "mmanGURD";
/**
 * Version of this page. A guard of another version is chained to, not shared; its mark and its
 * previous handlers are still read, so `TABLE_DISTANCE`, `HANDLER_` and `PREVIOUS_` stay for ever.
 */
export const LAYOUT: number = 2;

/** Within the handler's first bytes. */
export const HANDLER_MARK_OFFSET: number = 8;
/** u32: {@link LAYOUT}. */
export const HANDLER_LAYOUT_OFFSET: number = HANDLER_MARK_OFFSET + 8;
/** u32: bytes from the start of the region to the handler. */
export const HANDLER_DISTANCE_OFFSET: number = HANDLER_LAYOUT_OFFSET + 4;
/** The handler is aligned to this, so that its first bytes lie in one page. */
export const HANDLER_ALIGNMENT: number = 64;

/** u32: number of slots. */
export const CAPACITY: number = 12;
/** i32: slots that were ever claimed; the handler looks no further. */
export const HIGH_WATER: number = CAPACITY + 4;
/** i32: slot of the latest fault. */
export const LAST_HIT: number = HIGH_WATER + 4;
/** u32: pages replaced in all slots since the start. */
export const TOTAL_EVENTS: number = LAST_HIT + 4;
/** i32: free slots below the high water. */
export const FREE_SLOTS: number = TOTAL_EVENTS + 4;
/** The kernel's `struct sigaction` of SIGBUS before ours. */
export const PREVIOUS_BUS: number = 64;
/** Bytes of it. */
export const PREVIOUS_LENGTH: number = 32;
/** The same of SIGSEGV. */
export const PREVIOUS_SEGV: number = PREVIOUS_BUS + PREVIOUS_LENGTH;
/** u64, within a previous handler, whose address comes first: its `sa_flags`. */
export const PREVIOUS_FLAGS: number = 8;
/** u64: the address of its `sa_restorer`. */
export const PREVIOUS_RESTORER: number = PREVIOUS_FLAGS + 8;
/** u64: its `sa_mask`. */
export const PREVIOUS_MASK: number = PREVIOUS_RESTORER + 8;

/** Where the keys begin, and the length of the header. */
export const KEYS: number = 4096;
/** Bytes of a key. */
export const KEY_LENGTH: number = 16;
/** Bytes of a slot's details. */
export const DETAILS_LENGTH: number = 128;
/** log2 of it. */
export const DETAILS_SHIFT: number = 7;

/** i32: one of the `STATE_` values. */
export const STATE: number = 0;
/** i32: 1 while a handler works on the slot. */
export const BUSY: number = STATE + 4;
/** i32: `FLAG_` bits. */
export const FLAGS: number = BUSY + 4;
/** i32: log2 of the page size of the range. */
export const PAGE_SHIFT: number = FLAGS + 4;
/** u32: pages replaced since the range was registered. */
export const EVENTS: number = PAGE_SHIFT + 4;
/** u32: those of them that became copies because of a store to a read-only page. */
export const VIOLATIONS: number = EVENTS + 4;
/** Where the other faults were: {@link FIRST}, {@link LOWEST}, {@link END}. */
export const FAULT_OFFSETS: number = VIOLATIONS + 4;
/** Where the violations were, in the same form. */
export const VIOLATION_OFFSETS: number = FAULT_OFFSETS + 24;
/** u32: 1 as soon as a page of the range is about to be replaced. */
export const TOUCHED: number = VIOLATION_OFFSETS + 24;

/** Within offsets, a double: the first access that failed; negative: none. */
export const FIRST: number = 0;
/** A double: where the lowest page that was replaced starts; infinite: none. */
export const LOWEST: number = FIRST + 8;
/** A double: where the highest one ends; 0: none. */
export const END: number = LOWEST + 8;

/** Nobody's. */
export const STATE_FREE: number = 0;
/** Somebody's, but not to be looked at: being filled in or taken back. */
export const STATE_CLAIMED: number = 1;
/** A range that the handler guards. */
export const STATE_ACTIVE: number = 2;

/** A store to a page that can only be read makes it a private, writable copy. */
export const FLAG_COPY_BIT: number = 0;
/** The range is mapped MAP_PRIVATE: such a copy is one `mprotect`. */
export const FLAG_PRIVATE_BIT: number = 1;
/** A page that cannot be accessed at all, or is not mapped, becomes zeros too. */
export const FLAG_HOLES_BIT: number = 2;
