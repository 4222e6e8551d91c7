/** Linux: libc's calls and the kernel's constants, the same on x86-64 and arm64, glibc and musl. */
import type { Constants, FileInfo, Platform } from "./platform.ts";
import { checker, dlopenFirst, errnoReader, fileKind, posixCalls, posixSymbols } from "./posix.ts";
import type { Runtime } from "./runtime.ts";

/** From the kernel's `asm-generic/mman-common.h` and `mman.h`. */
export const linuxConstants: Constants = {
  PROT_NONE: 0,
  PROT_READ: 1,
  PROT_WRITE: 2,
  PROT_EXEC: 4,
  MAP_FILE: 0,
  MAP_SHARED: 0x01,
  MAP_PRIVATE: 0x02,
  MAP_ANONYMOUS: 0x20,
  MAP_FIXED: 0x10,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x8000,
  MAP_LOCKED: 0x2000,
  MAP_HUGETLB: 0x40000,
  MAP_STACK: 0x20000,
  FILE_MAP_EXECUTE: 0x400000, // Windows only
  MS_ASYNC: 1,
  MS_SYNC: 4,
  MS_INVALIDATE: 2,
  MADV_NORMAL: 0,
  MADV_RANDOM: 1,
  MADV_SEQUENTIAL: 2,
  MADV_WILLNEED: 3,
  MADV_DONTNEED: 4,
  MADV_FREE: 8,
  MADV_REMOVE: 9,
  MADV_DONTFORK: 10,
  MADV_DOFORK: 11,
  MADV_MERGEABLE: 12,
  MADV_UNMERGEABLE: 13,
  MADV_HUGEPAGE: 14,
  MADV_NOHUGEPAGE: 15,
  MADV_DONTDUMP: 16,
  MADV_DODUMP: 17,
  MADV_WIPEONFORK: 18,
  MADV_KEEPONFORK: 19,
  MADV_COLD: 20,
  MADV_PAGEOUT: 21,
  MADV_POPULATE_READ: 22,
  MADV_POPULATE_WRITE: 23,
  MADV_DONTNEED_LOCKED: 24,
  MADV_COLLAPSE: 25,
};

/** The bits above are the size of a huge page (`MAP_HUGE_SHIFT`), free for every value. */
const HUGE_PAGE_SIZE_BITS = 0x3f << 26;

const symbols = {
  ...posixSymbols,
  /** {@link https://man7.org/linux/man-pages/man3/errno.3.html | errno(3)} */
  __errno_location: {
    parameters: [],
    result: "isize", // int *: the calling thread's errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/statx.2.html | statx(2)}, alike on every architecture */
  statx: {
    parameters: [
      "i32", //    int dirfd
      "buffer", // const char *pathname   "" with AT_EMPTY_PATH: dirfd itself
      "i32", //    int flags
      "u32", //    unsigned int mask
      "buffer", // struct statx *statxbuf
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/fcntl.2.html | fcntl(2)}; variadic, harmless on Linux */
  fcntl: {
    parameters: [
      "i32", // int fd
      "i32", // int op
      "i32", // int arg
    ],
    result: "i32", // int: depends on op, or -1 and errno
  },
} as const;

const _SC_PAGESIZE = 30;
const F_DUPFD_CLOEXEC = 1030;
const AT_EMPTY_PATH = 0x1000;
const STATX_TYPE = 0x1;
const STATX_SIZE = 0x200;
const STATX_LENGTH = 256;
const STX_MODE_OFFSET = 28;
const STX_SIZE_OFFSET = 40;

/** Where the C library is found: glibc, then musl by architecture. */
export const linuxLibraries: readonly string[] = [
  "libc.so.6",
  "libc.musl-x86_64.so.1",
  "libc.musl-aarch64.so.1",
];

/** Opens libc. @throws {Error} The runtime's own error if it cannot be opened. */
export function openLinux(runtime: Runtime): Platform {
  const libc = dlopenFirst(runtime, linuxLibraries, symbols);
  const errno = errnoReader(runtime, BigInt(libc.__errno_location()));
  const check = checker(errno);
  const statx = new Uint8Array(STATX_LENGTH);
  const statxFields = new DataView(statx.buffer);
  const emptyPath = new Uint8Array(1);
  const pageSize = Number(libc.sysconf(_SC_PAGESIZE));

  return {
    name: "Linux",
    runtime,
    constants: linuxConstants,
    pageSize,
    allocationGranularity: pageSize,
    mapFlags: HUGE_PAGE_SIZE_BITS | linuxConstants.MAP_SHARED | linuxConstants.MAP_PRIVATE |
      linuxConstants.MAP_ANONYMOUS | linuxConstants.MAP_NORESERVE | linuxConstants.MAP_POPULATE |
      linuxConstants.MAP_LOCKED | linuxConstants.MAP_HUGETLB | linuxConstants.MAP_STACK,

    ...posixCalls(libc, linuxConstants, check),
    sync(address: bigint, length: number, flags: number, _fd: number): void {
      check(libc.msync(address, BigInt(length), flags), "msync");
    },
    fileInfo(fd: number): FileInfo {
      check(libc.statx(fd, emptyPath, AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, statx), "statx");
      const kind = fileKind(statxFields.getUint16(STX_MODE_OFFSET, true));
      const size = Number(statxFields.getBigUint64(STX_SIZE_OFFSET, true));
      return { kind, size: kind === "file" ? size : 0 };
    },
    duplicate(fd: number): number {
      return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl");
    },
  };
}
