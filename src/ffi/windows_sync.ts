/**
 * Windows: no call waits on memory of several processes, but kernel objects have names. A thread waits on the
 * semaphore that is named after the place of its word, as far as all processes agree on it, and on
 * the end of the thread that owns the word.
 *
 * Other words may share the semaphore: then threads wake for no reason, or a wake-up goes to the wrong one;
 * nobody parks longer than a tick of the timer. Names hold for a session: a service and a user's program
 * cannot wake each other and wait for the next tick.
 */
import { SystemCallError } from "./platform.ts";
import type { Functions, OffThreadFunctions, Runtime } from "./runtime.ts";
import {
  type Fate,
  fingerprint,
  MAX_WATCHED,
  MECHANISM_WINDOWS,
  OWNER_MASK,
  type Self,
  type SyncPlatform,
} from "./sync_platform.ts";

const symbols = {
  /** {@link https://learn.microsoft.com/windows/win32/api/errhandlingapi/nf-errhandlingapi-getlasterror | GetLastError} */
  GetLastError: {
    parameters: [],
    result: "u32", // DWORD: the calling thread's last error
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getcurrentthreadid | GetCurrentThreadId} */
  GetCurrentThreadId: {
    parameters: [],
    result: "u32", // DWORD
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-openthread | OpenThread} */
  OpenThread: {
    parameters: [
      "u32", // DWORD dwDesiredAccess
      "i32", // BOOL bInheritHandle
      "u32", // DWORD dwThreadId
    ],
    result: "usize", // HANDLE: NULL on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getthreadtimes | GetThreadTimes} */
  GetThreadTimes: {
    parameters: [
      "usize", //  HANDLE hThread
      "buffer", // LPFILETIME lpCreationTime
      "buffer", // LPFILETIME lpExitTime
      "buffer", // LPFILETIME lpKernelTime
      "buffer", // LPFILETIME lpUserTime
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-waitforsingleobject | WaitForSingleObject} */
  WaitForSingleObject: {
    parameters: [
      "usize", // HANDLE hHandle
      "u32", //   DWORD dwMilliseconds   0: only look
    ],
    result: "u32", // DWORD: WAIT_OBJECT_0 when the thread has ended
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-waitformultipleobjects | WaitForMultipleObjects} */
  WaitForMultipleObjects: {
    parameters: [
      "u32", //   DWORD nCount            up to 64
      "usize", // const HANDLE *lpHandles  all different
      "i32", //   BOOL bWaitAll
      "u32", //   DWORD dwMilliseconds
    ],
    result: "u32", // DWORD: which one, WAIT_TIMEOUT, or WAIT_FAILED and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-createsemaphorew | CreateSemaphoreW} */
  CreateSemaphoreW: {
    parameters: [
      "usize", //  LPSECURITY_ATTRIBUTES lpSemaphoreAttributes   0
      "i32", //    LONG lInitialCount
      "i32", //    LONG lMaximumCount
      "buffer", // LPCWSTR lpName
    ],
    result: "usize", // HANDLE, also of one that exists: NULL on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-releasesemaphore | ReleaseSemaphore} */
  ReleaseSemaphore: {
    parameters: [
      "usize", // HANDLE hSemaphore
      "i32", //   LONG lReleaseCount
      "usize", // LPLONG lpPreviousCount   0
    ],
    result: "i32", // BOOL: 0 if the count would pass its maximum
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/handleapi/nf-handleapi-closehandle | CloseHandle} */
  CloseHandle: {
    parameters: [
      "usize", // HANDLE hObject
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
} as const;

const slowSymbols = { WaitForMultipleObjects: symbols.WaitForMultipleObjects } as const;

const SYNCHRONIZE = 0x00100000;
const THREAD_QUERY_LIMITED_INFORMATION = 0x0800;
const ERROR_INVALID_PARAMETER = 87;
const WAIT_OBJECT_0 = 0;

/** Views begin at multiples of this, in memory and in the file: the rest of an address is the same everywhere. */
const GRANULARITY = 65536;
/** What a semaphore counts at most: threads that one call wakes. */
const MAX_TOKENS = 31;
const HALF_OF_TOKENS = 16;
/** The longest time parked, as long as a tick of Windows' timer. */
const PARK_MS = 15;

/** Gives the semaphore that stands for a word in all processes of the session; each stays open. */
function openSemaphores(kernel32: Functions<typeof symbols>): (address: number) => bigint {
  const semaphores = new Map<number, bigint>();
  return (address) => {
    const place = address % GRANULARITY;
    const known = semaphores.get(place);
    if (known !== undefined) return known;
    const name = `Local\\mman-wait-1-${place.toString(16)}`;
    const text = Uint16Array.from(`${name}\0`, (character) => character.charCodeAt(0));
    const semaphore = BigInt(kernel32.CreateSemaphoreW(0n, 0, MAX_TOKENS, text));
    if (semaphore === 0n) {
      const error = kernel32.GetLastError();
      throw new SystemCallError("CreateSemaphoreW", error, `error ${error}`);
    }
    semaphores.set(place, semaphore);
    return semaphore;
  };
}

/** Opens kernel32. */
export function openWindowsSync(runtime: Runtime): SyncPlatform {
  const kernel32 = runtime.dlopen("kernel32.dll", symbols);
  const semaphoreOf = openSemaphores(kernel32);
  // Creation, exit, kernel and user time.
  const times = Array.from({ length: 4 }, () => new BigUint64Array(new ArrayBuffer(128)));
  const handles = new BigUint64Array(new ArrayBuffer(128));
  let offThread: OffThreadFunctions<typeof slowSymbols> | undefined;
  const watched = new BigUint64Array(MAX_WATCHED);

  const openThread = (number: number): bigint =>
    BigInt(kernel32.OpenThread(SYNCHRONIZE | THREAD_QUERY_LIMITED_INFORMATION, 0, number));
  /** The thread's identity; 0 if the system does not tell. */
  const identityOf = (number: number, handle: bigint): number => {
    const [created, exited, kernel, user] = times as [
      BigUint64Array,
      BigUint64Array,
      BigUint64Array,
      BigUint64Array,
    ];
    const known = kernel32.GetThreadTimes(handle, created, exited, kernel, user) !== 0;
    return known ? fingerprint(`${number} ${created[0]}`) : 0;
  };
  const ownSelf = (): Self => {
    // Thread numbers are multiples of 4 and small.
    const number = kernel32.GetCurrentThreadId() & OWNER_MASK;
    const handle = openThread(number);
    try {
      return { number, identity: identityOf(number, handle), boot: 0, namespace: 0 };
    } finally {
      kernel32.CloseHandle(handle);
    }
  };
  const ticks = (timeoutMs: number): number => Math.ceil(Math.min(Math.max(timeoutMs, 0), PARK_MS));

  return {
    name: "Windows",
    runtime,
    mechanism: MECHANISM_WINDOWS,
    self: ownSelf(),
    wait(address: number, _expected: number, timeoutMs: number, owner: number = 0): void {
      // A wake-up since the caller looked at the word is still in the semaphore.
      const thread = owner === 0 ? 0n : openThread(owner);
      handles[0] = semaphoreOf(address);
      handles[1] = thread;
      const count = thread === 0n ? 1 : 2;
      kernel32.WaitForMultipleObjects(count, runtime.addressOf(handles), 0, ticks(timeoutMs));
      if (thread !== 0n) kernel32.CloseHandle(thread);
    },
    wake(address: number, count: number): number {
      const semaphore = semaphoreOf(address);
      // Up to the number asked for, or until the semaphore is full.
      let left = Math.min(count, MAX_TOKENS);
      for (let some = HALF_OF_TOKENS; some > 0; some >>= 1) {
        if (some <= left && kernel32.ReleaseSemaphore(semaphore, some, 0n) !== 0) left -= some;
      }
      return Math.min(count, 1);
    },
    async waitForAny(words, timeoutMs): Promise<void> {
      const semaphores = new Set(words.map(({ address }) => semaphoreOf(address)));
      watched.set([...semaphores]);
      offThread ??= runtime.dlopenOffThread("kernel32.dll", slowSymbols);
      const at = runtime.addressOf(watched);
      await offThread.WaitForMultipleObjects(semaphores.size, at, 0, ticks(timeoutMs));
    },
    lookAfter(number: number, identity: number): Fate {
      const handle = openThread(number);
      if (handle === 0n) {
        // Another user's thread may exist and not be opened.
        return kernel32.GetLastError() === ERROR_INVALID_PARAMETER ? "dead" : "alive";
      }
      try {
        const found = identityOf(number, handle);
        if (identity !== 0 && found !== 0 && identity !== found) return "replaced";
        const ended = kernel32.WaitForSingleObject(handle, 0) === WAIT_OBJECT_0;
        return ended ? "dead" : "alive";
      } finally {
        kernel32.CloseHandle(handle);
      }
    },
  };
}
