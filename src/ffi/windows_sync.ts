/**
 * Windows: `WaitOnAddress`, which wakes at once those who wait in the same process. No call of Windows
 * waits on memory of several processes, so others look at the word at every tick of the timer. The
 * kernel knows nobody's owner: those who wait look after them, as threads.
 */
import type { Runtime } from "./runtime.ts";
import {
  fingerprint,
  MECHANISM_WINDOWS,
  OWNER_MASK,
  type Self,
  type SyncPlatform,
} from "./sync_platform.ts";

const kernel32Symbols = {
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
  /** {@link https://learn.microsoft.com/windows/win32/api/handleapi/nf-handleapi-closehandle | CloseHandle} */
  CloseHandle: {
    parameters: [
      "usize", // HANDLE hObject
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
} as const;

/** Of `kernelbase.dll`, Windows 8 and later. */
const waitSymbols = {
  /** {@link https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-waitonaddress | WaitOnAddress} */
  WaitOnAddress: {
    parameters: [
      "usize", //  volatile VOID *Address
      "buffer", // PVOID CompareAddress
      "usize", //  SIZE_T AddressSize     4
      "u32", //    DWORD dwMilliseconds
    ],
    result: "i32", // BOOL: 0 when the time is over
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-wakebyaddressall | WakeByAddressAll} */
  WakeByAddressAll: {
    parameters: [
      "usize", // PVOID Address
    ],
    result: "void",
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-wakebyaddresssingle | WakeByAddressSingle} */
  WakeByAddressSingle: {
    parameters: [
      "usize", // PVOID Address
    ],
    result: "void",
  },
} as const;

const SYNCHRONIZE = 0x00100000;
const THREAD_QUERY_LIMITED_INFORMATION = 0x0800;
const ERROR_INVALID_PARAMETER = 87;
const WAIT_OBJECT_0 = 0;
/** How long a word of another process goes unseen; Windows rounds it up to its timer. */
const LOOK_MS = 1;

/** Opens kernel32 and kernelbase. */
export function openWindowsSync(runtime: Runtime): SyncPlatform {
  const kernel32 = runtime.dlopen("kernel32.dll", kernel32Symbols);
  const waiting = runtime.dlopen("kernelbase.dll", waitSymbols);
  const value = new Int32Array(new ArrayBuffer(128));
  // Creation, exit, kernel and user time.
  const times = Array.from({ length: 4 }, () => new BigUint64Array(new ArrayBuffer(128)));

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

  return {
    name: "Windows",
    runtime,
    mechanism: MECHANISM_WINDOWS,
    self: ownSelf(),
    wait(address: number, expected: number, timeoutMs: number): void {
      value[0] = expected;
      const end = performance.now() + timeoutMs;
      const at = BigInt(address);
      do {
        const left = Math.max(end - performance.now(), 0);
        const slice = Math.ceil(Math.min(left, LOOK_MS));
        if (waiting.WaitOnAddress(at, value, 4n, slice) !== 0) return;
      } while (performance.now() < end);
    },
    wake(address: number, count: number): number {
      if (count === Infinity) waiting.WakeByAddressAll(BigInt(address));
      else for (let i = 0; i < count; i++) waiting.WakeByAddressSingle(BigInt(address));
      return Math.min(count, 1);
    },
    isAlive(number: number, identity: number): boolean {
      const handle = openThread(number);
      // Another user's thread may exist and not be opened.
      if (handle === 0n) return kernel32.GetLastError() !== ERROR_INVALID_PARAMETER;
      try {
        if (kernel32.WaitForSingleObject(handle, 0) === WAIT_OBJECT_0) return false;
        const found = identityOf(number, handle);
        return identity === 0 || found === 0 || identity === found;
      } finally {
        kernel32.CloseHandle(handle);
      }
    },
  };
}
