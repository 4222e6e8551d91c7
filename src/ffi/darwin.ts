/** macOS: libSystem's calls and the kernel's constants. Written to the documented ABI; not run yet. */
import type { Constants, FileInfo, Platform } from "./platform.ts";
import { checker, dlopenFirst, errnoReader, fileKind, posixCalls, posixSymbols } from "./posix.ts";
import type { Runtime } from "./runtime.ts";

/** From `sys/mman.h` of the macOS SDK. What Darwin lacks has a bit or a number that it never uses. */
export const darwinConstants: Constants = {
  PROT_NONE: 0,
  PROT_READ: 1,
  PROT_WRITE: 2,
  PROT_EXEC: 4,
  MAP_FILE: 0,
  MAP_SHARED: 0x0001,
  MAP_PRIVATE: 0x0002,
  MAP_ANONYMOUS: 0x1000,
  MAP_FIXED: 0x0010,
  MAP_NORESERVE: 0x0040,
  MAP_POPULATE: 0x01000000, // Linux only
  MAP_LOCKED: 0x02000000, // Linux only
  MAP_HUGETLB: 0x04000000, // Linux only
  MAP_STACK: 0x08000000, // Linux only
  FILE_MAP_EXECUTE: 0x10000000, // Windows only
  MS_ASYNC: 0x0001,
  MS_SYNC: 0x0010,
  MS_INVALIDATE: 0x0002,
  MADV_NORMAL: 0,
  MADV_RANDOM: 1,
  MADV_SEQUENTIAL: 2,
  MADV_WILLNEED: 3,
  MADV_DONTNEED: 4,
  MADV_FREE: 5,
  MADV_PAGEOUT: 10,
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
  MADV_POPULATE_READ: -13,
  MADV_POPULATE_WRITE: -14,
  MADV_DONTNEED_LOCKED: -15,
  MADV_COLLAPSE: -16,
};

const symbols = {
  ...posixSymbols,
  /** The address of `errno` behind the macro in `sys/errno.h`. */
  __error: {
    parameters: [],
    result: "isize", // int *: the calling thread's errno
  },
  /** {@link https://developer.apple.com/library/archive/documentation/System/Conceptual/ManPages_iPhoneOS/man2/fcntl.2.html | fcntl(2)} */
  fcntl: {
    parameters: [
      "i32", // int fd
      "i32", // int cmd
      // Apple's arm64 ABI passes variadic arguments on the stack: six words fill the registers.
      "usize",
      "usize",
      "usize",
      "usize",
      "usize",
      "usize",
      "usize", // the variadic argument
    ],
    result: "i32", // int: depends on cmd, or -1 and errno
  },
} as const;

const _SC_PAGESIZE = 29;
const F_FULLFSYNC = 51;
const F_DUPFD_CLOEXEC = 67;
const STAT_LENGTH = 144;
const ST_MODE_OFFSET = 4;
const ST_SIZE_OFFSET = 96;

/** The `fstat` of 64-bit inodes: Intel Macs keep the old one under the plain name. */
function fstatSymbol(): string {
  return globalThis.process?.arch === "x64" ? "fstat$INODE64" : "fstat";
}

/** Opens libSystem. @throws {Error} The runtime's own error if it cannot be opened. */
export function openDarwin(runtime: Runtime): Platform {
  const libraries = ["/usr/lib/libSystem.B.dylib"];
  const libc = dlopenFirst(runtime, libraries, symbols);
  const fstat = dlopenFirst(runtime, libraries, {
    /** {@link https://keith.github.io/xcode-man-pages/fstat.2.html | fstat(2)} */
    [fstatSymbol()]: {
      parameters: [
        "i32", //    int fildes
        "buffer", // struct stat *buf
      ],
      result: "i32", // int: 0, or -1 and errno
    },
  })[fstatSymbol()]!;
  const check = checker(errnoReader(runtime, BigInt(libc.__error())));
  const fcntl = (fd: number, cmd: number, arg: bigint): number =>
    // Intel reads the argument from the third register, arm64 from the stack.
    check(libc.fcntl(fd, cmd, arg, 0n, 0n, 0n, 0n, 0n, arg), "fcntl");
  const stat = new Uint8Array(STAT_LENGTH);
  const statFields = new DataView(stat.buffer);
  const pageSize = Number(libc.sysconf(_SC_PAGESIZE));

  return {
    name: "macOS",
    runtime,
    constants: darwinConstants,
    pageSize,
    allocationGranularity: pageSize,
    mapFlags: darwinConstants.MAP_SHARED | darwinConstants.MAP_PRIVATE |
      darwinConstants.MAP_ANONYMOUS | darwinConstants.MAP_NORESERVE,

    ...posixCalls(libc, darwinConstants, check),
    sync(address: bigint, length: number, flags: number, fd: number): void {
      check(libc.msync(address, BigInt(length), flags), "msync");
      // msync hands the pages to the drive; only F_FULLFSYNC makes the drive keep them.
      if (fd !== -1 && (flags & darwinConstants.MS_SYNC) !== 0) fcntl(fd, F_FULLFSYNC, 0n);
    },
    fileInfo(fd: number): FileInfo {
      check(fstat(fd, stat), "fstat");
      const kind = fileKind(statFields.getUint16(ST_MODE_OFFSET, true));
      const size = Number(statFields.getBigInt64(ST_SIZE_OFFSET, true));
      return { kind, size: kind === "file" ? size : 0 };
    },
    duplicate(fd: number): number {
      return fcntl(fd, F_DUPFD_CLOEXEC, 0n);
    },
  };
}
