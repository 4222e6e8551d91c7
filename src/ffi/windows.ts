/** Windows: kernel32's calls under POSIX names and values. */
import type { Constants, Platform } from "./platform.ts";
import type { Runtime } from "./runtime.ts";

/** Windows has no such constants: Linux's numbers where the idea exists, unused ones elsewhere. */
export const windowsConstants: Constants = {
  PROT_NONE: 0,
  PROT_READ: 1,
  PROT_WRITE: 2,
  PROT_EXEC: 4,
  MAP_FILE: 0,
  MAP_SHARED: 0x01,
  MAP_PRIVATE: 0x02,
  MAP_ANONYMOUS: 0x800,
  MAP_FIXED: 0x10,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x8000,
  MAP_LOCKED: 0x2000,
  MAP_HUGETLB: 0x40000,
  MAP_STACK: 0x20000,
  FILE_MAP_EXECUTE: 0x20, // memoryapi.h; asks for an executable view
  MS_ASYNC: 1,
  MS_SYNC: 4,
  MS_INVALIDATE: 2,
  MADV_NORMAL: 0,
  MADV_RANDOM: 1,
  MADV_SEQUENTIAL: 2,
  MADV_WILLNEED: 3,
  MADV_DONTNEED: 4,
  MADV_FREE: 8,
  MADV_REMOVE: -1,
  MADV_DONTFORK: -2,
  MADV_DOFORK: -3,
  MADV_MERGEABLE: -4,
  MADV_UNMERGEABLE: -5,
  MADV_HUGEPAGE: -6,
  MADV_NOHUGEPAGE: -7,
  MADV_DONTDUMP: -8,
  MADV_DODUMP: -9,
  MADV_WIPEONFORK: -10,
  MADV_KEEPONFORK: -11,
  MADV_COLD: -12,
  MADV_PAGEOUT: -13,
  MADV_POPULATE_READ: -14,
  MADV_POPULATE_WRITE: -15,
  MADV_DONTNEED_LOCKED: -16,
  MADV_COLLAPSE: -17,
};

/** Opens kernel32. */
export function openWindows(_runtime: Runtime): Platform {
  throw new Error("Cannot map memory: kernel32 is not bound yet");
}
