/**
 * Linux calls by our own machine code (`src/guard/*.s`): system calls whose error number comes back
 * with the result, so that nothing can change it in between, and memory functions that libc lacks.
 */
import { withStubLibrary } from "../guard/stub.ts";
import { type Functions, host, type Runtime, STABLE_LENGTH, type SymbolTable } from "./runtime.ts";

/** Doubles at the border: the cheapest type in all three runtimes, exact up to 2^53. */
const nativeSymbols = {
  /** A system call by number; the kernel's result, a negative error number on failure. */
  mman_syscall: { parameters: ["f64", "f64", "f64", "f64", "f64", "f64", "f64"], result: "f64" },
} as const;

const nativeSyncSymbols = {
  /** As above. */
  mman_syscall: { parameters: ["f64", "f64", "f64", "f64", "f64", "f64", "f64"], result: "f64" },
  /** Reads the start of a file: path, address, length; how many bytes, or a negative error number. */
  mman_read_file: { parameters: ["f64", "f64", "f64"], result: "f64" },
} as const;

const nativeMemorySymbols = {
  /** How often a byte occurs: address, length, byte. */
  mman_count: { parameters: ["f64", "f64", "f64"], result: "f64" },
  /** Whether `mman_crc32c` can run: AT_HWCAP of getauxval(3); 1 or 0. */
  mman_has_crc32c: { parameters: ["f64"], result: "f64" },
  /** The CRC-32C of memory: address, length, the CRC of what comes before it. */
  mman_crc32c: { parameters: ["f64", "f64", "f64"], result: "f64" },
  /** The sum of doubles: address, how many. */
  mman_sum_f64: { parameters: ["f64", "f64"], result: "f64" },
} as const;

/** The system calls of our machine code. */
export type Native = Functions<typeof nativeSymbols>;

/** Its memory functions. */
export type NativeMemory = Functions<typeof nativeMemorySymbols>;

/** What locks need of it. */
export type NativeSync = Functions<typeof nativeSyncSymbols>;

/** Opens it. @returns Undefined where the system refuses it: libc does everything then. */
export function openNative(runtime: Runtime, libraries: readonly string[]): Native | undefined {
  return open(runtime, libraries, nativeSymbols);
}

/** Opens it for locks. */
export function openNativeSync(
  runtime: Runtime,
  libraries: readonly string[],
): NativeSync | undefined {
  return open(runtime, libraries, nativeSyncSymbols);
}

/** Opens it for the memory functions: only whoever calls one waits until they are bound. */
export function openNativeMemory(
  runtime: Runtime,
  libraries: readonly string[],
): NativeMemory | undefined {
  return open(runtime, libraries, nativeMemorySymbols);
}

function open<S extends SymbolTable>(
  runtime: Runtime,
  libraries: readonly string[],
  symbols: S,
): Functions<S> | undefined {
  const opened = withStubLibrary(runtime, libraries, (path) => runtime.dlopen(path, symbols));
  return typeof opened === "string" ? undefined : opened;
}

type Call =
  | "close"
  | "fallocate"
  | "fcntl"
  | "flock"
  | "ftruncate"
  | "ioctl"
  | "madvise"
  | "memfd_create"
  | "mincore"
  | "mlock"
  | "mlock2"
  | "mmap"
  | "mprotect"
  | "mremap"
  | "msync"
  | "munlock"
  | "munlockall"
  | "munmap"
  | "prctl"
  | "process_vm_readv";

/** From the kernel's `syscall_64.tbl`. */
const x64: Readonly<Record<Call, number>> = {
  close: 3,
  fallocate: 285,
  fcntl: 72,
  flock: 73,
  ftruncate: 77,
  ioctl: 16,
  madvise: 28,
  memfd_create: 319,
  mincore: 27,
  mlock: 149,
  mlock2: 325,
  mmap: 9,
  mprotect: 10,
  mremap: 25,
  msync: 26,
  munlock: 150,
  munlockall: 152,
  munmap: 11,
  prctl: 157,
  process_vm_readv: 310,
};

/** From the kernel's `asm-generic/unistd.h`. */
const arm64: Readonly<Record<Call, number>> = {
  close: 57,
  fallocate: 47,
  fcntl: 25,
  flock: 32,
  ftruncate: 46,
  ioctl: 29,
  madvise: 233,
  memfd_create: 279,
  mincore: 232,
  mlock: 228,
  mlock2: 284,
  mmap: 222,
  mprotect: 226,
  mremap: 216,
  msync: 227,
  munlock: 229,
  munlockall: 231,
  munmap: 215,
  prctl: 167,
  process_vm_readv: 270,
};

/** Bytes of structures that pass through memory of our own because they are shorter. */
const SCRATCH_LENGTH = 4096;

/** libc's functions of the same names, as the kernel's calls; {@link NativeCalls.errno} tells why one failed. */
export interface NativeCalls {
  /** The error number of the last call that returned -1. */
  errno(): number;
  mmap(a: bigint, length: bigint, prot: number, flags: number, fd: number, at: bigint): number;
  munmap(address: bigint, length: bigint): number;
  mprotect(address: bigint, length: bigint, prot: number): number;
  msync(address: bigint, length: bigint, flags: number): number;
  munlock(address: bigint, length: bigint): number;
  mlock(address: bigint, length: bigint): number;
  mlock2(address: bigint, length: bigint, flags: number): number;
  munlockall(): number;
  madvise(address: bigint, length: bigint, advice: number): number;
  mincore(address: bigint, length: bigint, pages: ArrayBufferView | null): number;
  mremap(address: bigint, length: bigint, newLength: bigint, flags: number): number;
  flock(fd: number, operation: number): number;
  ftruncate(fd: number, length: bigint): number;
  fallocate(fd: number, mode: number, offset: bigint, length: bigint): number;
  fcntl(fd: number, operation: number, argument: number): number;
  ioctl(fd: number, operation: bigint, structure: ArrayBufferView | null): number;
  prctl(
    operation: number,
    attribute: bigint,
    address: bigint,
    length: bigint,
    text: ArrayBufferView | null,
  ): number;
  process_vm_readv(
    pid: number,
    local: bigint,
    localCount: bigint,
    remote: bigint,
    remoteCount: bigint,
    flags: bigint,
  ): number;
  memfd_create(name: ArrayBufferView | null, flags: number): number;
  close(fd: number): number;
  syscall(
    number: bigint,
    fd: bigint,
    path: ArrayBufferView | null,
    flags: bigint,
    mask: bigint,
    structure: ArrayBufferView | null,
  ): number;
}

/** The calls over our machine code. */
export function nativeCalls(native: Native, runtime: Runtime): NativeCalls {
  const numbers = host().arch === "arm64" ? arm64 : x64;
  const { mman_syscall } = native;
  const scratch = new Uint8Array(SCRATCH_LENGTH);
  const scratchAddress = Number(runtime.addressOf(scratch));
  let errno = 0;

  const made = (result: number): number => {
    if (result >= 0 || result < -4095) return result;
    errno = -result;
    return -1;
  };
  const call = (number: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number =>
    made(mman_syscall(number, a, b, c, d, e, f));
  /** Calls with the address of a view, or of a copy that does not move and is copied back. */
  const through = (view: ArrayBufferView | null, use: (address: number) => number): number => {
    if (view === null || view.byteLength >= STABLE_LENGTH) {
      return use(view === null ? 0 : Number(runtime.addressOf(view)));
    }
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    scratch.set(bytes);
    const result = use(scratchAddress);
    bytes.set(scratch.subarray(0, bytes.length));
    return result;
  };

  return {
    errno: () => errno,
    mmap: (address, length, prot, flags, fd, offset) =>
      call(numbers.mmap, Number(address), Number(length), prot, flags, fd, Number(offset)),
    munmap: (address, length) => call(numbers.munmap, Number(address), Number(length)),
    mprotect: (address, length, prot) =>
      call(numbers.mprotect, Number(address), Number(length), prot),
    msync: (address, length, flags) => call(numbers.msync, Number(address), Number(length), flags),
    munlock: (address, length) => call(numbers.munlock, Number(address), Number(length)),
    mlock: (address, length) => call(numbers.mlock, Number(address), Number(length)),
    mlock2: (address, length, flags) =>
      call(numbers.mlock2, Number(address), Number(length), flags),
    munlockall: () => call(numbers.munlockall),
    madvise: (address, length, advice) =>
      call(numbers.madvise, Number(address), Number(length), advice),
    mincore: (address, length, pages) =>
      through(pages, (to) => call(numbers.mincore, Number(address), Number(length), to)),
    mremap: (address, length, newLength, flags) =>
      call(numbers.mremap, Number(address), Number(length), Number(newLength), flags),
    flock: (fd, operation) => call(numbers.flock, fd, operation),
    ftruncate: (fd, length) => call(numbers.ftruncate, fd, Number(length)),
    fallocate: (fd, mode, offset, length) =>
      call(numbers.fallocate, fd, mode, Number(offset), Number(length)),
    fcntl: (fd, operation, argument) => call(numbers.fcntl, fd, operation, argument),
    ioctl: (fd, operation, structure) =>
      through(structure, (at) => call(numbers.ioctl, fd, Number(operation), at)),
    prctl: (operation, attribute, address, length, text) =>
      through(
        text,
        (at) =>
          call(numbers.prctl, operation, Number(attribute), Number(address), Number(length), at),
      ),
    process_vm_readv: (pid, local, localCount, remote, remoteCount, flags) =>
      call(
        numbers.process_vm_readv,
        pid,
        Number(local),
        Number(localCount),
        Number(remote),
        Number(remoteCount),
        Number(flags),
      ),
    memfd_create: (name, flags) => through(name, (at) => call(numbers.memfd_create, at, flags)),
    close: (fd) => call(numbers.close, fd),
    syscall: (number, fd, path, flags, mask, structure) =>
      through(
        path,
        (from) =>
          through(structure, (to) =>
            call(Number(number), Number(fd), from, Number(flags), Number(mask), to)),
      ),
  };
}
