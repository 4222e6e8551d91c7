/**
 * macOS 14.4 and later: `os_sync_wait_on_address`, with the flag for memory of several processes.
 * Written to the documented ABI; not run yet. The kernel knows nobody's owner: those who wait look after them,
 * as processes; a lock of a thread that ended in a living process stays taken.
 */
import { errnoName } from "./errno.ts";
import { SystemCallError } from "./platform.ts";
import { cString, errnoReader } from "./posix.ts";
import type { Functions, Runtime } from "./runtime.ts";
import {
  type Fate,
  fingerprint,
  MECHANISM_DARWIN,
  type Self,
  type SyncPlatform,
} from "./sync_platform.ts";

const LIBRARY = "/usr/lib/libSystem.B.dylib";

const symbols = {
  /** The address of `errno` behind the macro in `sys/errno.h`. */
  __error: {
    parameters: [],
    result: "isize", // int *: the calling thread's errno
  },
  /** {@link https://keith.github.io/xcode-man-pages/getpid.2.html | getpid(2)} */
  getpid: {
    parameters: [],
    result: "i32", // pid_t
  },
  /** {@link https://keith.github.io/xcode-man-pages/kill.2.html | kill(2)} */
  kill: {
    parameters: [
      "i32", // pid_t pid
      "i32", // int sig   0: only look
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** The thread's number, unique in the system; from `pthread.h`. */
  pthread_threadid_np: {
    parameters: [
      "usize", //  pthread_t thread      0: the calling one
      "buffer", // uint64_t *thread_id
    ],
    result: "i32", // int: 0 or an error number
  },
  /** What the system knows of a process; from `libproc.h`. */
  proc_pidinfo: {
    parameters: [
      "i32", //    int pid
      "i32", //    int flavor
      "usize", //  uint64_t arg
      "buffer", // void *buffer
      "i32", //    int buffersize
    ],
    result: "i32", // int: bytes, 0 on failure and errno
  },
  /** {@link https://keith.github.io/xcode-man-pages/sysctlbyname.3.html | sysctlbyname(3)} */
  sysctlbyname: {
    parameters: [
      "buffer", // const char *name
      "buffer", // void *oldp
      "buffer", // size_t *oldlenp
      "usize", //  void *newp       0
      "usize", //  size_t newlen
    ],
    result: "i32", // int: 0, or -1 and errno
  },
} as const;

/** From `os/os_sync_wait_on_address.h`. */
const waitSymbols = {
  os_sync_wait_on_address_with_timeout: {
    parameters: [
      "usize", // void *addr
      "usize", // uint64_t value
      "usize", // size_t size         4
      "u32", //   os_sync_wait_on_address_flags_t flags
      "u32", //   os_clockid_t clockid
      "usize", // uint64_t timeout_ns  at least 1
    ],
    result: "i32", // int: how many still wait, or -1 and errno
  },
  os_sync_wake_by_address_any: {
    parameters: [
      "usize", // void *addr
      "usize", // size_t size         4
      "u32", //   os_sync_wake_by_address_flags_t flags
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  os_sync_wake_by_address_all: {
    parameters: [
      "usize", // void *addr
      "usize", // size_t size         4
      "u32", //   os_sync_wake_by_address_flags_t flags
    ],
    result: "i32", // int: 0, or -1 and errno
  },
} as const;

const OS_SYNC_SHARED = 1;
const OS_CLOCK_MACH_ABSOLUTE_TIME = 32;
const PROC_PIDTBSDINFO = 3;
/** `struct proc_bsdinfo`: where state and start of the process are, and its length. */
const PBI_STATUS_OFFSET = 4;
const PBI_START_OFFSET = 120;
const PBI_LENGTH = 136;
const SZOMB = 5;
const ENOENT = 2;
const ESRCH = 3;
/** Nanoseconds of the longest wait: the callers look again. */
const MAX_NS = 2 ** 62;

/** An owner's number: the process in the lower bits, which hold every PID, and some of the thread. */
const PID_BITS = 17;
const PID_MASK = 2 ** PID_BITS - 1;
const THREAD_MASK = 2 ** (30 - PID_BITS) - 1;

/** The calls, or undefined before macOS 14.4. */
function openWaiting(runtime: Runtime): Functions<typeof waitSymbols> | undefined {
  try {
    return runtime.dlopen(LIBRARY, waitSymbols);
  } catch {
    return undefined; // permissions are in order: the other symbols were found
  }
}

/** Opens libSystem; undefined before macOS 14.4. */
export function openDarwinSync(runtime: Runtime): SyncPlatform | undefined {
  const libc = runtime.dlopen(LIBRARY, symbols);
  const waiting = openWaiting(runtime);
  if (waiting === undefined) return undefined;
  const errno = errnoReader(runtime, BigInt(libc.__error()));
  const info = new DataView(new ArrayBuffer(PBI_LENGTH));
  const text = new Uint8Array(64);
  const session = sessionOf(libc, text);

  /** State and start of a process; undefined if there is none, or none for us. */
  const statusOf = (pid: number): { zombie: boolean; start: string } | undefined => {
    if (libc.proc_pidinfo(pid, PROC_PIDTBSDINFO, 0n, info, PBI_LENGTH) !== PBI_LENGTH) {
      return undefined;
    }
    const start = info.getBigUint64(PBI_START_OFFSET, true) * 1_000_000n +
      info.getBigUint64(PBI_START_OFFSET + 8, true);
    return { zombie: info.getUint32(PBI_STATUS_OFFSET, true) === SZOMB, start: String(start) };
  };
  const identityOf = (pid: number, start: string): number =>
    fingerprint(`${session} ${pid} ${start}`);
  const ownSelf = (): Self => {
    const thread = new BigUint64Array(1);
    libc.pthread_threadid_np(0n, thread);
    const pid = libc.getpid();
    return {
      number: (Number(thread[0]) & THREAD_MASK) << PID_BITS | pid & PID_MASK,
      identity: identityOf(pid, statusOf(pid)?.start ?? ""),
      boot: session === "" ? 0 : fingerprint(session),
      namespace: 0,
    };
  };

  return {
    name: "macOS",
    runtime,
    mechanism: MECHANISM_DARWIN,
    self: ownSelf(),
    wait(address: number, expected: number, timeoutMs: number): void {
      const timeout = Math.min(Math.max(Math.ceil(timeoutMs * 1e6), 1), MAX_NS);
      // Woken, timed out, interrupted: the caller looks at the word again.
      waiting.os_sync_wait_on_address_with_timeout(
        BigInt(address),
        BigInt(expected >>> 0),
        4n,
        OS_SYNC_SHARED,
        OS_CLOCK_MACH_ABSOLUTE_TIME,
        BigInt(timeout),
      );
    },
    wake(address: number, count: number): number {
      const { os_sync_wake_by_address_any: any, os_sync_wake_by_address_all: all } = waiting;
      const wakeBy = (call: typeof any): boolean => {
        if (call(BigInt(address), 4n, OS_SYNC_SHARED) === 0) return true;
        const error = errno();
        if (error === ENOENT) return false; // nobody waits
        throw new SystemCallError("os_sync_wake_by_address", error, errnoName(error));
      };
      if (count === Infinity) return wakeBy(all) ? 1 : 0;
      let woken = 0;
      while (woken < count && wakeBy(any)) woken++;
      return woken;
    },
    lookAfter(number: number, identity: number): Fate {
      const pid = number & PID_MASK;
      const status = statusOf(pid);
      // No such process, or one of another user.
      if (status === undefined) {
        return libc.kill(pid, 0) !== 0 && errno() === ESRCH ? "dead" : "alive";
      }
      if (identity !== 0 && identity !== identityOf(pid, status.start)) return "replaced";
      return status.zombie ? "dead" : "alive";
    },
  };
}

/** Different each time that the machine starts. */
function sessionOf(libc: Functions<typeof symbols>, text: Uint8Array): string {
  const length = BigUint64Array.of(BigInt(text.length));
  if (libc.sysctlbyname(cString("kern.bootsessionuuid"), text, length, 0n, 0n) !== 0) return "";
  return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
}
