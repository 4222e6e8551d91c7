/** What Linux and macOS share: libc's calls with one prototype on both, and how they report errors. */
import { errnoName } from "./errno.ts";
import { type Constants, type FileInfo, type Platform, SystemCallError } from "./platform.ts";
import type { Functions, Runtime, SymbolTable } from "./runtime.ts";

/** libc calls whose prototype is the same on Linux and macOS (64-bit). */
export const posixSymbols = {
  /** {@link https://man7.org/linux/man-pages/man2/mmap.2.html | mmap(2)} */
  mmap: {
    parameters: [
      "usize", // void *addr     0: the system chooses
      "usize", // size_t length
      "i32", //   int prot
      "i32", //   int flags
      "i32", //   int fd         -1 with MAP_ANONYMOUS
      "i64", //   off_t offset   page-aligned
    ],
    result: "isize", // void *: the address, or MAP_FAILED (-1) and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/munmap.2.html | munmap(2)} */
  munmap: {
    parameters: [
      "usize", // void *addr     page-aligned
      "usize", // size_t length
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/mprotect.2.html | mprotect(2)} */
  mprotect: {
    parameters: [
      "usize", // void *addr     page-aligned
      "usize", // size_t len
      "i32", //   int prot
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/msync.2.html | msync(2)} */
  msync: {
    parameters: [
      "usize", // void *addr     page-aligned
      "usize", // size_t length
      "i32", //   int flags      MS_SYNC or MS_ASYNC, MS_INVALIDATE
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/mlock.2.html | mlock(2)} */
  mlock: {
    parameters: [
      "usize", // const void *addr
      "usize", // size_t len
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/mlock.2.html | munlock(2)} */
  munlock: {
    parameters: [
      "usize", // const void *addr
      "usize", // size_t len
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man3/ftruncate.3p.html | ftruncate(2)} */
  ftruncate: {
    parameters: [
      "i32", // int fd
      "i64", // off_t length
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/close.2.html | close(2)} */
  close: {
    parameters: [
      "i32", // int fd
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man3/sysconf.3.html | sysconf(3)} */
  sysconf: {
    parameters: [
      "i32", // int name
    ],
    result: "isize", // long: the value, or -1
  },
} as const satisfies SymbolTable;

/** Opens the first of several libraries that is there, the way a C library is found. */
export function dlopenFirst<const T extends SymbolTable>(
  runtime: Runtime,
  names: readonly string[],
  table: T,
): Functions<T> {
  let failure: unknown;
  for (const name of names) {
    try {
      return runtime.dlopen(name, table);
    } catch (error) {
      failure ??= error;
      // A refused permission is the user's to hear about, not a reason to look further.
      if (isPermissionError(error)) break;
    }
  }
  throw failure;
}

function isPermissionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "NotCapable" || error.name === "PermissionDenied" ||
    (error as { code?: unknown }).code === "ERR_ACCESS_DENIED";
}

/** Reads the calling thread's `errno` at its address, which never changes in a thread. */
export function errnoReader(runtime: Runtime, address: bigint): () => number {
  const view = new Int32Array(runtime.bufferAt(address, 4));
  return () => view[0]!;
}

/** A check for results of `int` calls: throws what `errno` says when the result is -1. */
export function checker(errno: () => number): (result: number, syscall: string) => number {
  return (result, syscall) => {
    if (result === -1) {
      const number = errno();
      throw new SystemCallError(syscall, number, errnoName(number));
    }
    return result;
  };
}

/** The methods whose calls are the same on every POSIX system. */
export type PosixCalls = Pick<
  Platform,
  "map" | "unmap" | "blank" | "protect" | "lock" | "unlock" | "truncate" | "closeDuplicate"
>;

/** Those methods over an open libc. */
export function posixCalls(
  libc: Functions<typeof posixSymbols>,
  constants: Constants,
  check: (result: number, syscall: string) => number,
): PosixCalls {
  return {
    map(length: number, prot: number, flags: number, fd: number, offset: number): bigint {
      const address = BigInt(libc.mmap(0n, BigInt(length), prot, flags, fd, BigInt(offset)));
      if (address === -1n) check(-1, "mmap");
      return address;
    },
    unmap(address: bigint, length: number): void {
      check(libc.munmap(address, BigInt(length)), "munmap");
    },
    blank(address: bigint, length: number): void {
      const { PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE } =
        constants;
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
      const result = libc.mmap(address, BigInt(length), PROT_READ | PROT_WRITE, flags, -1, 0n);
      if (BigInt(result) === -1n) check(-1, "mmap");
    },
    protect(address: bigint, length: number, prot: number): void {
      check(libc.mprotect(address, BigInt(length), prot), "mprotect");
    },
    lock(address: bigint, length: number): void {
      check(libc.mlock(address, BigInt(length)), "mlock");
    },
    unlock(address: bigint, length: number): void {
      check(libc.munlock(address, BigInt(length)), "munlock");
    },
    truncate(fd: number, size: number): void {
      check(libc.ftruncate(fd, BigInt(size)), "ftruncate");
    },
    closeDuplicate(fd: number): void {
      check(libc.close(fd), "close");
    },
  };
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

/** The kind of a file from its `st_mode`. */
export function fileKind(mode: number): FileInfo["kind"] {
  const type = mode & S_IFMT;
  return type === S_IFREG ? "file" : type === S_IFDIR ? "directory" : "other";
}
