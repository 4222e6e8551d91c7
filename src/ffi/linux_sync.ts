/**
 * Linux: futexes ({@link https://man7.org/linux/man-pages/man2/futex.2.html | futex(2)}), never with
 * FUTEX_PRIVATE_FLAG, so that they work between processes. Owner words are priority-inheritance
 * futexes: the one kind whose owner the kernel knows without a list of pointers in shared memory.
 */
import { errnoName } from "./errno.ts";
import { linuxLibraries } from "./linux.ts";
import { SystemCallError } from "./platform.ts";
import { cString, dlopenFirst, errnoReader } from "./posix.ts";
import type { OffThreadFunctions, Runtime } from "./runtime.ts";
import {
  type Claim,
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

/** Numbers of system calls, by the processor's name in Node. */
const callNumbers: Readonly<
  Record<string, { readonly futex: bigint; readonly gettid: bigint; readonly tkill: bigint }>
> = {
  x64: { futex: 202n, gettid: 186n, tkill: 200n },
  arm64: { futex: 98n, gettid: 178n, tkill: 130n },
};
/** The same on every processor, as all calls since Linux 5.1. */
const SYS_FUTEX_WAITV = 449n;

const FUTEX_WAIT = 0n;
const FUTEX_WAKE = 1n;
const FUTEX_LOCK_PI = 6n;
const FUTEX_UNLOCK_PI = 7n;
const FUTEX_TRYLOCK_PI = 8n;
const FUTEX_LOCK_PI2 = 13n; // as FUTEX_LOCK_PI, by the monotonic clock; since Linux 5.14
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

/** A buffer that the collector never moves, with its address. */
function pinnedBytes(runtime: Runtime, length: number): { fields: DataView; address: bigint } {
  // A small typed array without a buffer of its own lives in the engine's moving heap.
  const bytes = new Uint8Array(new ArrayBuffer(Math.max(length, 128)));
  return { fields: new DataView(bytes.buffer), address: runtime.addressOf(bytes) };
}

/** Longer times than thirty years are that long: the callers look again. */
const MAX_MS = 1e12;

function setTimespec(fields: DataView, offset: number, milliseconds: number): void {
  const time = Math.min(milliseconds, MAX_MS);
  const seconds = Math.floor(time / 1000);
  fields.setBigInt64(offset, BigInt(seconds), true);
  fields.setBigInt64(offset + 8, BigInt(Math.floor((time - seconds * 1000) * 1e6)), true);
}

/** Opens libc; undefined on a processor whose system call numbers are not known here. */
export function openLinuxSync(runtime: Runtime): SyncPlatform | undefined {
  const numbers = callNumbers[globalThis.process.arch];
  if (numbers === undefined) return undefined;
  const { library, functions: libc } = dlopenFirst(runtime, linuxLibraries, symbols);
  const errno = errnoReader(runtime, BigInt(libc.__errno_location()));
  const time = pinnedBytes(runtime, TIMESPEC_LENGTH);
  const call = (
    number: bigint,
    a1 = 0n,
    a2 = 0n,
    a3 = 0n,
    a4 = 0n,
    a5 = 0n,
  ): number => Number(libc.syscall(number, a1, a2, a3, a4, a5, 0n));
  const futex = (address: bigint, operation: bigint, value = 0n, timeout = 0n): number =>
    call(numbers.futex, address, operation, value, timeout);
  const clock = (which: number): number => {
    const { fields } = time;
    libc.clock_gettime(which, fields);
    return Number(fields.getBigInt64(0, true)) * 1000 + Number(fields.getBigInt64(8, true)) / 1e6;
  };

  // The library's own look at /proc: node:fs would make Deno ask for every permission there is.
  const chunk = new Uint8Array(new ArrayBuffer(512));
  const textOf = (length: number | bigint): string =>
    String.fromCharCode(...chunk.subarray(0, Math.max(Number(length), 0)));
  const readProc = (path: string): string => {
    const fd = libc.open(cString(path), O_RDONLY_CLOEXEC);
    if (fd === -1) return "";
    try {
      return textOf(libc.read(fd, chunk, BigInt(chunk.length)));
    } finally {
      libc.close(fd);
    }
  };
  /** State and start of a thread from its `stat`; undefined if there is none, or none for us. */
  const statusOf = (number: number): { state: string; start: string } | undefined => {
    const text = readProc(`/proc/${number}/stat`);
    // The name before the last parenthesis may hold anything. Fields count from 3 after it.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = "", start] = [fields[0], fields[22 - 3]];
    return text === "" || start === undefined ? undefined : { state, start };
  };
  const bootId = readProc("/proc/sys/kernel/random/boot_id").trim();
  const identityOf = (number: number, start: string): number =>
    fingerprint(`${bootId} ${number} ${start}`);

  const ownSelf = (): Self => {
    const number = call(numbers.gettid);
    const namespace = textOf(libc.readlink(cString("/proc/self/ns/pid"), chunk, 512n));
    return {
      number,
      identity: identityOf(number, statusOf(number)?.start ?? ""),
      boot: bootId === "" ? 0 : fingerprint(bootId),
      namespace: namespace === "" ? 0 : fingerprint(namespace),
    };
  };

  let lockOperation = FUTEX_LOCK_PI2;
  const claimed = (result: number): Claim => {
    if (result !== -1) return "look";
    switch (errno()) {
      case ESRCH:
        return "dead";
      case EDEADLK:
        return "deadlock";
      case EAGAIN:
      case EINTR:
      case ETIMEDOUT:
        return "look";
      default:
        return "confused";
    }
  };
  const ownership: KernelOwnership = {
    claim(address: bigint, timeoutMs: number): Claim {
      let timeout = 0n;
      if (timeoutMs !== Infinity) {
        const which = lockOperation === FUTEX_LOCK_PI2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
        setTimespec(time.fields, 0, clock(which) + timeoutMs);
        timeout = time.address;
      }
      const result = futex(address, lockOperation, 0n, timeout);
      if (result === -1 && lockOperation === FUTEX_LOCK_PI2 && errno() === ENOSYS) {
        lockOperation = FUTEX_LOCK_PI;
        return "look";
      }
      return claimed(result);
    },
    tryClaim: (address: bigint): Claim => claimed(futex(address, FUTEX_TRYLOCK_PI)),
    release: (address: bigint): boolean => futex(address, FUTEX_UNLOCK_PI) === 0,
  };
  /** Whether this kernel has owners, tried on a word of our own. */
  const hasOwnership = (): boolean => {
    const word = pinnedBytes(runtime, 4);
    return futex(word.address, FUTEX_TRYLOCK_PI) === 0 && ownership.release(word.address);
  };
  const hasWaitv = call(SYS_FUTEX_WAITV) !== -1 || errno() !== ENOSYS; // since Linux 5.16
  const owned = hasOwnership();

  return {
    name: "Linux",
    runtime,
    mechanism: owned ? MECHANISM_LINUX_PI : MECHANISM_LINUX_FUTEX,
    self: ownSelf(),
    ...(owned ? { ownership } : {}),
    wait(address: bigint, expected: number, timeoutMs: number): void {
      let timeout = 0n;
      if (timeoutMs !== Infinity) {
        setTimespec(time.fields, 0, timeoutMs);
        timeout = time.address;
      }
      futex(address, FUTEX_WAIT, BigInt(expected), timeout);
    },
    wake(address: bigint, count: number): number {
      const woken = futex(address, FUTEX_WAKE, BigInt(Math.min(count, INT_MAX)));
      if (woken !== -1) return woken;
      throw new SystemCallError("futex", errno(), errnoName(errno()));
    },
    ...(hasWaitv ? { waitForAny: anyWaiter(runtime, library, () => clock(CLOCK_MONOTONIC)) } : {}),
    isAlive(number: number, identity: number): boolean {
      const status = statusOf(number);
      if (status === undefined) {
        // No such thread, no /proc, or a /proc that hides other users' processes.
        return call(numbers.tkill, BigInt(number), 0n) !== -1 || errno() !== ESRCH;
      }
      if (status.state === "Z" || status.state === "X") return false;
      return identity === 0 || identity === identityOf(number, status.start);
    },
  };
}

/** Parks on many words on another thread; one call at a time. */
function anyWaiter(
  runtime: Runtime,
  library: string,
  now: () => number,
): (words: readonly WatchedWord[], timeoutMs: number) => Promise<void> {
  const timespecOffset = MAX_WATCHED * WAITV_LENGTH;
  const { fields, address } = pinnedBytes(runtime, timespecOffset + TIMESPEC_LENGTH);
  let offThread: OffThreadFunctions<typeof slowSymbols> | undefined;
  return async (words, timeoutMs) => {
    words.forEach((word, i) => {
      const at = i * WAITV_LENGTH;
      fields.setUint32(at + WAITV_VAL_OFFSET, word.expected, true);
      fields.setBigUint64(at + WAITV_UADDR_OFFSET, word.address, true);
      fields.setUint32(at + WAITV_FLAGS_OFFSET, FUTEX2_SIZE_U32, true);
    });
    setTimespec(fields, timespecOffset, now() + timeoutMs);
    offThread ??= runtime.dlopenOffThread(library, slowSymbols);
    // Woken, timed out or refused: the caller looks at the words again.
    await offThread.syscall(
      SYS_FUTEX_WAITV,
      address,
      BigInt(words.length),
      0n,
      address + BigInt(timespecOffset),
      BigInt(CLOCK_MONOTONIC),
      0n,
    );
  };
}
