/** What Linux and macOS share: libc's calls with one prototype on both, and how they report errors. */
import { errnoName } from "./errno.ts";
import {
  type Constants,
  type FileInfo,
  type MemoryFunctions,
  type Platform,
  SystemCallError,
} from "./platform.ts";
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
  /** {@link https://man7.org/linux/man-pages/man2/madvise.2.html | madvise(2)} */
  madvise: {
    parameters: [
      "usize", // void *addr     page-aligned
      "usize", // size_t length
      "i32", //   int advice
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/mincore.2.html | mincore(2)} */
  mincore: {
    parameters: [
      "usize", //  void *addr           page-aligned
      "usize", //  size_t length
      "buffer", // unsigned char *vec   one byte a page
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/flock.2.html | flock(2)} */
  flock: {
    parameters: [
      "i32", // int fd
      "i32", // int op
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
} as const;

/** The memory functions of a C library. */
export const posixMemorySymbols = {
  /** {@link https://man7.org/linux/man-pages/man3/memchr.3.html | memchr(3)} */
  memchr: {
    parameters: [
      "usize", // const void *s
      "i32", //   int c
      "usize", // size_t n
    ],
    result: "isize", // void *: the address, or NULL
  },
  /** {@link https://man7.org/linux/man-pages/man3/memmem.3.html | memmem(3)} */
  memmem: {
    parameters: [
      "usize", //  const void *haystack
      "usize", //  size_t haystacklen
      "buffer", // const void *needle
      "usize", //  size_t needlelen
    ],
    result: "isize", // void *: the address, or NULL
  },
  /** {@link https://man7.org/linux/man-pages/man3/memcmp.3.html | memcmp(3)} */
  memcmp: {
    parameters: [
      "usize", // const void *s1
      "usize", // const void *s2
      "usize", // size_t n
    ],
    result: "i32", // int: negative, 0 or positive
  },
  /** {@link https://man7.org/linux/man-pages/man3/memset.3.html | memset(3)} */
  memset: {
    parameters: [
      "usize", // void *s
      "i32", //   int c
      "usize", // size_t n
    ],
    result: "void", // void *: s, not needed
  },
  /** {@link https://man7.org/linux/man-pages/man3/memmove.3.html | memmove(3)} */
  memmove: {
    parameters: [
      "usize", // void *dest
      "usize", // const void *src
      "usize", // size_t n
    ],
    result: "void", // void *: dest, not needed
  },
} as const;

/** Opens the first of several libraries that is there, the way a C library is found. */
export function dlopenFirst<const T extends SymbolTable>(
  runtime: Runtime,
  names: readonly string[],
  table: T,
): { library: string; functions: Functions<T> } {
  let failure: unknown;
  for (const library of names) {
    try {
      return { library, functions: runtime.dlopen(library, table) };
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

const encoder = new TextEncoder();

/** A string as C wants it: UTF-8 and a NUL. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${text}\0`);
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
  | "map"
  | "mapOver"
  | "unmap"
  | "blank"
  | "reserve"
  | "protect"
  | "lock"
  | "unlock"
  | "advise"
  | "resident"
  | "truncate"
  | "lockFile"
  | "closeDuplicate"
>;

/** Those methods over an open libc. */
export function posixCalls(
  libc: Functions<typeof posixSymbols>,
  constants: Constants,
  check: (result: number, syscall: string) => number,
): PosixCalls {
  const { PROT_NONE, PROT_READ, PROT_WRITE } = constants;
  const replacing = constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_FIXED |
    constants.MAP_NORESERVE;
  const map = (at: bigint, length: number, prot: number, flags: number, fd: number, offset = 0) => {
    const address = BigInt(libc.mmap(at, BigInt(length), prot, flags, fd, BigInt(offset)));
    if (address === -1n) check(-1, "mmap");
    return address;
  };
  return {
    map(length: number, prot: number, flags: number, fd: number, offset: number): bigint {
      return map(0n, length, prot, flags, fd, offset);
    },
    mapOver(
      address: bigint,
      length: number,
      prot: number,
      flags: number,
      fd: number,
      offset: number,
    ): void {
      // Tried elsewhere first: a fixed mapping that is refused leaves a hole, which somebody else's
      // mapping takes, and which the owner of the pages around it unmaps with them.
      const elsewhere = map(0n, length, prot, flags, fd, offset);
      check(libc.munmap(elsewhere, BigInt(length)), "munmap");
      map(address, length, prot, flags | constants.MAP_FIXED, fd, offset);
    },
    unmap(address: bigint, length: number): void {
      check(libc.munmap(address, BigInt(length)), "munmap");
    },
    blank(address: bigint, length: number): void {
      map(address, length, PROT_READ | PROT_WRITE, replacing, -1);
    },
    reserve(address: bigint, length: number): void {
      map(address, length, PROT_NONE, replacing, -1);
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
    advise(address: bigint, length: number, advice: number): void {
      check(libc.madvise(address, BigInt(length), advice), "madvise");
    },
    resident(address: bigint, length: number, pages: Uint8Array): void {
      check(libc.mincore(address, BigInt(length), pages), "mincore");
      // Only the lowest bit is defined.
      for (let i = 0; i < pages.length; i++) pages[i]! &= 1;
    },
    truncate(fd: number, size: number): void {
      check(libc.ftruncate(fd, BigInt(size)), "ftruncate");
    },
    lockFile(fd: number, exclusive: boolean): boolean {
      try {
        check(libc.flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB), "flock");
        return true;
      } catch (error) {
        if (error instanceof SystemCallError && error.code === "EAGAIN") return false;
        throw error;
      }
    },
    closeDuplicate(fd: number): void {
      check(libc.close(fd), "close");
    },
  };
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** libc's memory functions, with offsets instead of addresses as results. */
export function posixMemory(
  libc: Functions<typeof posixMemorySymbols>,
): MemoryFunctions {
  const offset = (found: number | bigint, address: bigint): number =>
    found === 0 || found === 0n ? -1 : Number(BigInt(found) - address);
  const memmem = (address: bigint, length: number, needle: Uint8Array): number =>
    offset(libc.memmem(address, BigInt(length), needle, BigInt(needle.length)), address);
  return {
    memchr(address: bigint, length: number, byte: number): number {
      return offset(libc.memchr(address, byte, BigInt(length)), address);
    },
    memmem,
    memcmp(a: bigint, b: bigint, length: number): number {
      return Math.sign(libc.memcmp(a, b, BigInt(length)));
    },
    memset(address: bigint, byte: number, length: number): void {
      libc.memset(address, byte, BigInt(length));
    },
    memmove(target: bigint, source: bigint, length: number): void {
      libc.memmove(target, source, BigInt(length));
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
