/**
 * The C constants, with the values of the running operating system. A constant that the system
 * lacks has a value that every call refuses by name.
 */
import { hostConstants } from "./ffi/host.ts";

/** Pages that may not be touched. */
export const PROT_NONE: number = hostConstants.PROT_NONE;
/** Pages that may be read. */
export const PROT_READ: number = hostConstants.PROT_READ;
/** Pages that may be written. */
export const PROT_WRITE: number = hostConstants.PROT_WRITE;
/** Pages whose content may be executed. */
export const PROT_EXEC: number = hostConstants.PROT_EXEC;
/** Zero; for compatibility with old C code. */
export const MAP_FILE: number = hostConstants.MAP_FILE;
/** Writes reach the file and every other mapping of it. */
export const MAP_SHARED: number = hostConstants.MAP_SHARED;
/** Writes stay in this mapping (copy on write). */
export const MAP_PRIVATE: number = hostConstants.MAP_PRIVATE;
/** Memory of its own, zero-filled, no file behind it. */
export const MAP_ANONYMOUS: number = hostConstants.MAP_ANONYMOUS;
/** Another name of {@link MAP_ANONYMOUS}. */
export const MAP_ANON: number = MAP_ANONYMOUS;
/** C's flag for a fixed address; refused, because no call here takes one. */
export const MAP_FIXED: number = hostConstants.MAP_FIXED;
/** Do not reserve swap space for the mapping. Linux, macOS. */
export const MAP_NORESERVE: number = hostConstants.MAP_NORESERVE;
/** Fault the pages in at once. Linux. */
export const MAP_POPULATE: number = hostConstants.MAP_POPULATE;
/** Keep the pages in memory, as `mlock` does. Linux. */
export const MAP_LOCKED: number = hostConstants.MAP_LOCKED;
/** Use huge pages of the reserved pool. Linux. */
export const MAP_HUGETLB: number = hostConstants.MAP_HUGETLB;
/** Suitable for a stack; no effect today. Linux. */
export const MAP_STACK: number = hostConstants.MAP_STACK;
/** An executable view of a file. Windows. */
export const FILE_MAP_EXECUTE: number = hostConstants.FILE_MAP_EXECUTE;
/** Start writing back; return at once. */
export const MS_ASYNC: number = hostConstants.MS_ASYNC;
/** Write back and wait until it is done. */
export const MS_SYNC: number = hostConstants.MS_SYNC;
/** Let other mappings of the file see the change. */
export const MS_INVALIDATE: number = hostConstants.MS_INVALIDATE;
/** No special treatment. */
export const MADV_NORMAL: number = hostConstants.MADV_NORMAL;
/** Expect access in random order: no read-ahead. */
export const MADV_RANDOM: number = hostConstants.MADV_RANDOM;
/** Expect access in order: read far ahead. */
export const MADV_SEQUENTIAL: number = hostConstants.MADV_SEQUENTIAL;
/** Start reading the range now. */
export const MADV_WILLNEED: number = hostConstants.MADV_WILLNEED;
/** Drop the pages; private changes are **lost**. */
export const MADV_DONTNEED: number = hostConstants.MADV_DONTNEED;
/** The content may be dropped when memory is short; it is **lost** then. */
export const MADV_FREE: number = hostConstants.MADV_FREE;
/** Free the pages and the blocks behind them; the content is **lost**. Linux. */
export const MADV_REMOVE: number = hostConstants.MADV_REMOVE;
/** Child processes made by `fork` do not get the range. Linux. */
export const MADV_DONTFORK: number = hostConstants.MADV_DONTFORK;
/** Undoes `MADV_DONTFORK`. Linux. */
export const MADV_DOFORK: number = hostConstants.MADV_DOFORK;
/** Equal pages may be merged (KSM). Linux. */
export const MADV_MERGEABLE: number = hostConstants.MADV_MERGEABLE;
/** Undoes `MADV_MERGEABLE`. Linux. */
export const MADV_UNMERGEABLE: number = hostConstants.MADV_UNMERGEABLE;
/** Use transparent huge pages. Linux. */
export const MADV_HUGEPAGE: number = hostConstants.MADV_HUGEPAGE;
/** Use no transparent huge pages. Linux. */
export const MADV_NOHUGEPAGE: number = hostConstants.MADV_NOHUGEPAGE;
/** Leave the range out of core dumps. Linux. */
export const MADV_DONTDUMP: number = hostConstants.MADV_DONTDUMP;
/** Undoes `MADV_DONTDUMP`. Linux. */
export const MADV_DODUMP: number = hostConstants.MADV_DODUMP;
/** Child processes see zeros. Linux. */
export const MADV_WIPEONFORK: number = hostConstants.MADV_WIPEONFORK;
/** Undoes `MADV_WIPEONFORK`. Linux. */
export const MADV_KEEPONFORK: number = hostConstants.MADV_KEEPONFORK;
/** Reclaim these pages first. Linux 5.4. */
export const MADV_COLD: number = hostConstants.MADV_COLD;
/** Reclaim these pages now. Linux 5.4, macOS. */
export const MADV_PAGEOUT: number = hostConstants.MADV_PAGEOUT;
/** Fault the pages in for reading. Linux 5.14. */
export const MADV_POPULATE_READ: number = hostConstants.MADV_POPULATE_READ;
/** Fault the pages in for writing. Linux 5.14. */
export const MADV_POPULATE_WRITE: number = hostConstants.MADV_POPULATE_WRITE;
/** `MADV_DONTNEED` for locked pages too; content is **lost**. Linux 5.18. */
export const MADV_DONTNEED_LOCKED: number = hostConstants.MADV_DONTNEED_LOCKED;
/** Collapse the range into huge pages now. Linux 6.1. */
export const MADV_COLLAPSE: number = hostConstants.MADV_COLLAPSE;

/** Whence of a seek: from the start. */
export const SEEK_SET = 0;
/** Whence of a seek: from the position. */
export const SEEK_CUR = 1;
/** Whence of a seek: from the end. */
export const SEEK_END = 2;
