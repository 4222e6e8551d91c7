/**
 * Linux: futexes ({@link https://man7.org/linux/man-pages/man2/futex.2.html | futex(2)}), never with
 * FUTEX_PRIVATE_FLAG, so that they work between processes. Owner words are priority-inheritance
 * futexes: the one kind whose owner the kernel knows without a list of pointers in shared memory.
 */
import { errnoName } from "./errno.ts";
import { linuxLibraries } from "./linux.ts";
import { type NativeSync, openNativeSync } from "./linux_native.ts";
import { SystemCallError } from "./platform.ts";
import { cString, dlopenFirst, errnoReader } from "./posix.ts";
import { type Functions, host, type OffThreadFunctions, type Runtime } from "./runtime.ts";
import {
  type Claim,
  type Fate,
  fingerprint,
  type KernelOwnership,
  MAX_WATCHED,
  MECHANISM_LINUX_FUTEX,
  MECHANISM_LINUX_PI,
  type Self,
  type SyncPlatform,
  type WatchedWord,
} from "./sync_platform.ts";

const symbols = {
  /** {@link https://man7.org/linux/man-pages/man2/syscall.2.html | syscall(2)}; libc has no `futex` */
  syscall: {
    parameters: [
      "isize", // long number
      "isize", // ...: up to six integers or pointers
      "isize",
      "isize",
      "isize",
      "isize",
      "isize",
    ],
    result: "isize", // long: depends on the call, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man3/errno.3.html | errno(3)} */
  __errno_location: {
    parameters: [],
    result: "isize", // int *: the calling thread's errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/clock_gettime.2.html | clock_gettime(2)} */
  clock_gettime: {
    parameters: [
      "i32", //    clockid_t clockid
      "buffer", // struct timespec *tp
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/open.2.html | open(2)}; variadic, harmless on Linux */
  open: {
    parameters: [
      "buffer", // const char *pathname
      "i32", //    int flags
    ],
    result: "i32", // int: a descriptor, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/read.2.html | read(2)} */
  read: {
    parameters: [
      "i32", //    int fd
      "buffer", // void *buf
      "usize", //  size_t count
    ],
    result: "isize", // ssize_t: bytes, 0 at the end, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/close.2.html | close(2)} */
  close: {
    parameters: [
      "i32", // int fd
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/readlink.2.html | readlink(2)} */
  readlink: {
    parameters: [
      "buffer", // const char *pathname
      "buffer", // char *buf
      "usize", //  size_t bufsiz
    ],
    result: "isize", // ssize_t: bytes, or -1 and errno
  },
} as const;

const slowSymbols = { syscall: symbols.syscall } as const;

type Numbers = Readonly<Record<"futex" | "futex_waitv" | "gettid" | "tkill", number>>;

/** From the kernel's `syscall_64.tbl`. */
const x64: Numbers = {
  futex: 202,
  futex_waitv: 449,
  gettid: 186,
  tkill: 200,
};

/** From the kernel's `asm-generic/unistd.h`. */
const arm64: Numbers = {
  futex: 98,
  futex_waitv: 449,
  gettid: 178,
  tkill: 130,
};

/** By the processor's name in Node. */
const callNumbers: Readonly<Record<string, Numbers>> = { x64, arm64 };

const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const FUTEX_LOCK_PI = 6;
const FUTEX_UNLOCK_PI = 7;
const FUTEX_TRYLOCK_PI = 8;
const FUTEX_LOCK_PI2 = 13; // as FUTEX_LOCK_PI, by the monotonic clock; since Linux 5.14
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const O_RDONLY_CLOEXEC = 0o2000000;
const INT_MAX = 2 ** 31 - 1;

const ESRCH = 3;
const EINTR = 4;
const EAGAIN = 11;
const EDEADLK = 35;
const ENOSYS = 38;
const ETIMEDOUT = 110;

/** Bytes of `struct timespec`: seconds and nanoseconds, 64 bits each. */
const TIMESPEC_LENGTH = 16;

/**
 * `struct futex_waitv`.
 *
 *   0                 8                 16         20         24
 *   +-----------------+-----------------+----------+----------+
 *   | expected u64    | address u64     | flags    | reserved |
 *   +-----------------+-----------------+----------+----------+
 */
const WAITV_VAL_OFFSET = 0;
const WAITV_UADDR_OFFSET = WAITV_VAL_OFFSET + 8;
const WAITV_FLAGS_OFFSET = WAITV_UADDR_OFFSET + 8;
const WAITV_LENGTH = WAITV_FLAGS_OFFSET + 8;
const FUTEX2_SIZE_U32 = 2;

/** Words that the collector never moves, with their address. */
function pinnedWords(runtime: Runtime, length: number): { words: Uint32Array; address: number } {
  // A small typed array without a buffer of its own lives in the engine's moving heap.
  const words = new Uint32Array(new ArrayBuffer(Math.max(length, 128)));
  return { words, address: Number(runtime.addressOf(words)) };
}

/** Longer times than thirty years are that long: the callers look again. */
const MAX_MS = 1e12;

/**
 * Sets a `struct timespec`, seconds and nanoseconds of 64 bits each, whose upper halves stay 0. Time that is
 * over already is no time: a negative one would read as centuries.
 */
function setTimespec(words: Uint32Array, index: number, milliseconds: number): void {
  const time = Math.max(Math.min(milliseconds, MAX_MS), 0);
  const seconds = Math.floor(time / 1000);
  words[index] = seconds;
  words[index + 2] = Math.floor((time - seconds * 1000) * 1e6);
}

/** Milliseconds of a `struct timespec`. */
function getTimespec(words: Uint32Array): number {
  return words[0]! * 1000 + words[2]! / 1e6;
}

/** A system call by number: the kernel's result, a negative error number on failure. */
type Call = (number: number, a?: number, b?: number, c?: number, d?: number) => number;

/** The kernel, through our machine code or, where that is refused, through libc and errno. */
function kernel(
  runtime: Runtime,
  libc: Functions<typeof symbols>,
  native: NativeSync | undefined,
): Call {
  if (native !== undefined) {
    return (number, a = 0, b = 0, c = 0, d = 0) => native.mman_syscall(number, a, b, c, d, 0, 0);
  }
  const errno = errnoReader(runtime, BigInt(libc.__errno_location()));
  return (number, a = 0, b = 0, c = 0, d = 0) => {
    const result = Number(
      libc.syscall(BigInt(number), BigInt(a), BigInt(b), BigInt(c), BigInt(d), 0n, 0n),
    );
    return result === -1 ? -errno() : result;
  };
}

/** Opens libc; undefined on a processor whose system call numbers are not known here. */
export function openLinuxSync(runtime: Runtime): SyncPlatform | undefined {
  const numbers = callNumbers[host().arch];
  if (numbers === undefined) return undefined;
  const { library, functions: libc } = dlopenFirst(runtime, linuxLibraries, symbols);
  const native = openNativeSync(runtime, linuxLibraries);
  const call = kernel(runtime, libc, native);
  const time = pinnedWords(runtime, TIMESPEC_LENGTH);
  const futex = (address: number, operation: number, value = 0, timeout = 0): number =>
    call(numbers.futex, address, operation, value, timeout);
  const clock = (which: number): number => {
    libc.clock_gettime(which, time.words);
    return getTimespec(time.words);
  };
  const proc = openProc(runtime, libc, native);

  const ownSelf = (): Self => {
    const number = call(numbers.gettid);
    const namespace = proc.link("/proc/self/ns/pid");
    return {
      number,
      identity: proc.identity(number, proc.status(number)?.start ?? ""),
      boot: proc.bootId === "" ? 0 : fingerprint(proc.bootId),
      namespace: namespace === "" ? 0 : fingerprint(namespace),
    };
  };

  let lockOperation = FUTEX_LOCK_PI2;
  const claimed = (result: number): Claim => {
    switch (result) {
      case 0:
      case -EAGAIN:
      case -EINTR:
      case -ETIMEDOUT:
        return "look";
      case -ESRCH:
        return "dead";
      case -EDEADLK:
        return "deadlock";
      default:
        return "confused";
    }
  };
  const ownership: KernelOwnership = {
    claim(address: number, timeoutMs: number): Claim {
      const which = lockOperation === FUTEX_LOCK_PI2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
      setTimespec(time.words, 0, clock(which) + timeoutMs);
      const result = futex(address, lockOperation, 0, time.address);
      if (result !== -ENOSYS || lockOperation === FUTEX_LOCK_PI) return claimed(result);
      lockOperation = FUTEX_LOCK_PI;
      return "look";
    },
    tryClaim: (address: number): Claim => claimed(futex(address, FUTEX_TRYLOCK_PI)),
    release: (address: number): boolean => futex(address, FUTEX_UNLOCK_PI) === 0,
  };
  /** Whether this kernel has owners, tried on a word of our own. */
  const hasOwnership = (): boolean => {
    const { address } = pinnedWords(runtime, 4);
    return ownership.tryClaim(address) === "look" && ownership.release(address);
  };
  const owned = hasOwnership();
  const hasWaitv = call(numbers.futex_waitv) !== -ENOSYS; // since Linux 5.16

  return {
    name: "Linux",
    runtime,
    mechanism: owned ? MECHANISM_LINUX_PI : MECHANISM_LINUX_FUTEX,
    self: ownSelf(),
    ...(owned ? { ownership } : {}),
    wait(address: number, expected: number, timeoutMs: number): void {
      setTimespec(time.words, 0, timeoutMs);
      futex(address, FUTEX_WAIT, expected, time.address);
    },
    wake(address: number, count: number): number {
      const woken = futex(address, FUTEX_WAKE, Math.min(count, INT_MAX));
      if (woken >= 0) return woken;
      throw new SystemCallError("futex", -woken, errnoName(-woken));
    },
    ...(hasWaitv
      ? {
        waitForAny: anyWaiter(runtime, library, numbers.futex_waitv, () => clock(CLOCK_MONOTONIC)),
      }
      : {}),
    lookAfter(number: number, identity: number): Fate {
      const status = proc.status(number);
      // No such thread, no /proc, or a /proc that hides other users' processes.
      if (status === undefined) return call(numbers.tkill, number, 0) === -ESRCH ? "dead" : "alive";
      if (identity !== 0 && identity !== proc.identity(number, status.start)) return "replaced";
      return status.state === "Z" || status.state === "X" ? "dead" : "alive";
    },
  };
}

/** What `/proc` says; empty where it says nothing. */
interface Proc {
  /** Different each time that the machine starts. */
  readonly bootId: string;
  /** Where a link leads. */
  link(path: string): string;
  /** State and start of a thread; undefined if there is none, or none for us. */
  status(thread: number): { readonly state: string; readonly start: string } | undefined;
  /** Tells a thread from others, also later ones with its number. */
  identity(thread: number, start: string): number;
}

/**
 * The library's own looks at `/proc`: by `node:fs`, Deno would ask for every permission there is. What is
 * read, and why that is in order, is said in docs/platforms.md.
 */
function openProc(
  runtime: Runtime,
  libc: Functions<typeof symbols>,
  native: NativeSync | undefined,
): Proc {
  const chunk = new Uint8Array(new ArrayBuffer(512));
  const textOf = (length: number | bigint): string =>
    String.fromCharCode(...chunk.subarray(0, Math.max(Number(length), 0)));
  // Neither moves.
  const name = new Uint8Array(new ArrayBuffer(256));
  const [nameAt, chunkAt] = [name, chunk].map((bytes) => Number(runtime.addressOf(bytes)));
  const readText = (path: string): string => {
    if (native !== undefined) {
      name.set(cString(path));
      return textOf(native.mman_read_file(nameAt!, chunkAt!, chunk.length));
    }
    // A Worker that is terminated between the calls leaves the descriptor open.
    const fd = libc.open(cString(path), O_RDONLY_CLOEXEC);
    if (fd === -1) return "";
    try {
      return textOf(libc.read(fd, chunk, BigInt(chunk.length)));
    } finally {
      libc.close(fd);
    }
  };
  const bootId = readText("/proc/sys/kernel/random/boot_id").trim();
  return {
    bootId,
    link: (path) => textOf(libc.readlink(cString(path), chunk, BigInt(chunk.length))),
    status(thread) {
      // The thread's own lines: QEMU answers `/proc/PID/stat` itself, with the start of the thread that asks.
      const text = readText(`/proc/${thread}/task/${thread}/stat`);
      // The name before the last parenthesis may hold anything. Fields count from 3 after it.
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      const [state = "", start] = [fields[0], fields[22 - 3]];
      return start === undefined ? undefined : { state, start };
    },
    identity: (thread, start) => fingerprint(`${bootId} ${thread} ${start}`),
  };
}

/** Parks on many words on another thread; one call at a time. */
function anyWaiter(
  runtime: Runtime,
  library: string,
  number: number,
  now: () => number,
): (watched: readonly WatchedWord[], timeoutMs: number) => Promise<void> {
  const timespec = MAX_WATCHED * WAITV_LENGTH;
  const { words, address } = pinnedWords(runtime, timespec + TIMESPEC_LENGTH);
  let offThread: OffThreadFunctions<typeof slowSymbols> | undefined;
  return async (watched, timeoutMs) => {
    watched.forEach((word, i) => {
      const at = i * WAITV_LENGTH / 4;
      words[at + WAITV_VAL_OFFSET / 4] = word.expected;
      words[at + WAITV_UADDR_OFFSET / 4] = word.address;
      words[at + WAITV_UADDR_OFFSET / 4 + 1] = word.address / 2 ** 32;
      words[at + WAITV_FLAGS_OFFSET / 4] = FUTEX2_SIZE_U32;
    });
    setTimespec(words, timespec / 4, now() + timeoutMs);
    offThread ??= runtime.dlopenOffThread(library, slowSymbols);
    // Woken, timed out or refused: the caller looks at the words again.
    await offThread.syscall(
      BigInt(number),
      BigInt(address),
      BigInt(watched.length),
      0n,
      BigInt(address + timespec),
      BigInt(CLOCK_MONOTONIC),
      0n,
    );
  };
}
