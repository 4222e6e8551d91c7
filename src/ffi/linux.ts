/** Linux: libc's calls and the kernel's constants, the same on x86-64 and arm64, glibc and musl. */
import { nodeFs } from "./builtin.ts";
import { type Guard, installGuard } from "../guard/guard.ts";
import { errnoName } from "./errno.ts";
import { guardRefusal } from "./guard_refusal.ts";
import { checkedCopies } from "./checked_copies.ts";
import { type NativeCalls, nativeCalls, openNative, openNativeMemory } from "./linux_native.ts";
import { namedPath, openNamed } from "./linux_named.ts";
import { readStats } from "./linux_stats.ts";
import {
  type Constants,
  type FileInfo,
  type MemfdOptions,
  type MemoryFunctions,
  type MemoryStats,
  type NamedMemory,
  type NamedOptions,
  type Platform,
  SystemCallError,
} from "./platform.ts";
import {
  checker,
  cString,
  dlopenFirst,
  errnoReader,
  fileKind,
  posixCalls,
  posixMemory,
  posixMemorySymbols,
  posixSymbols,
} from "./posix.ts";
import {
  type Functions,
  host,
  type OffThreadFunctions,
  type OffThreadResult,
  type Runtime,
  STABLE_LENGTH,
  type SymbolTable,
} from "./runtime.ts";

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

/** What the first map needs of libc. */
const libcSymbols = {
  /** {@link https://man7.org/linux/man-pages/man3/getauxval.3.html | getauxval(3)} */
  getauxval: {
    parameters: [
      "usize", // unsigned long type
    ],
    result: "usize", // unsigned long: the value, or 0
  },
} as const;

/** What else only libc has, bound at the first use: each symbol takes time, and most programs are short. */
const laterSymbols = {
  ...posixMemorySymbols,
  /** {@link https://man7.org/linux/man-pages/man3/posix_fallocate.3.html | posix_fallocate(3)} */
  posix_fallocate: {
    parameters: [
      "i32", // int fd
      "i64", // off_t offset
      "i64", // off_t len
    ],
    result: "i32", // int: 0 or an error number; errno is not set
  },
} as const;

/** System calls by way of libc, where our own machine code cannot make them: each costs time to bind. */
const systemCallSymbols = {
  ...posixSymbols,
  /** {@link https://man7.org/linux/man-pages/man3/errno.3.html | errno(3)} */
  __errno_location: {
    parameters: [],
    result: "isize", // int *: the calling thread's errno
  },
  /**
   * {@link https://man7.org/linux/man-pages/man2/syscall.2.html | syscall(2)}, for calls that older C
   * libraries have no function for: {@link https://man7.org/linux/man-pages/man2/statx.2.html | statx(2)},
   * whose structure is the same on every architecture,
   * {@link https://man7.org/linux/man-pages/man2/gettid.2.html | gettid(2)} and
   * {@link https://man7.org/linux/man-pages/man2/tkill.2.html | tkill(2)}
   */
  syscall: {
    parameters: [
      "isize", //  long number            SYS_statx; the rest as statx has it
      "isize", //  int dirfd              tkill: pid_t tid
      "buffer", // const char *pathname   "" with AT_EMPTY_PATH: dirfd itself
      "isize", //  int flags
      "isize", //  unsigned int mask
      "buffer", // struct statx *statxbuf
    ],
    result: "isize", // long: 0, or -1 and errno
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
  /** {@link https://man7.org/linux/man-pages/man2/ioctl.2.html | ioctl(2)}; variadic, harmless on Linux */
  ioctl: {
    parameters: [
      "i32", //    int fd
      "usize", //  unsigned long op
      "buffer", // void *argp
    ],
    result: "i32", // int: depends on op, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/mlock.2.html | mlock2(2)} */
  mlock2: {
    parameters: [
      "usize", // const void *addr
      "usize", // size_t len
      "u32", //   unsigned int flags   0 or MLOCK_ONFAULT
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/mlockall.2.html | munlockall(2)} */
  munlockall: {
    parameters: [],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/mremap.2.html | mremap(2)} */
  mremap: {
    parameters: [
      "usize", // void *old_address
      "usize", // size_t old_size
      "usize", // size_t new_size
      "i32", //   int flags
    ],
    result: "isize", // void *: the address, or MAP_FAILED (-1) and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/process_vm_readv.2.html | process_vm_readv(2)} */
  process_vm_readv: {
    parameters: [
      "i32", //   pid_t pid
      "usize", // const struct iovec *local_iov
      "usize", // unsigned long liovcnt
      "usize", // const struct iovec *remote_iov
      "usize", // unsigned long riovcnt
      "usize", // unsigned long flags   0
    ],
    result: "isize", // ssize_t: bytes copied, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/PR_SET_VMA.2const.html | prctl(2)} */
  prctl: {
    parameters: [
      "i32", //    int op
      "usize", //  unsigned long attr
      "usize", //  unsigned long addr
      "usize", //  unsigned long size
      "buffer", // const char *val
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/fallocate.2.html | fallocate(2)} */
  fallocate: {
    parameters: [
      "i32", // int fd
      "i32", // int mode
      "i64", // off_t offset
      "i64", // off_t len
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://man7.org/linux/man-pages/man2/memfd_create.2.html | memfd_create(2)} */
  memfd_create: {
    parameters: [
      "buffer", // const char *name
      "u32", //    unsigned int flags
    ],
    result: "i32", // int: a descriptor, or -1 and errno
  },
} as const;

/** The calls that may take long, for other threads. */
const slowSymbols = {
  madvise: systemCallSymbols.madvise,
  msync: systemCallSymbols.msync,
  posix_fallocate: laterSymbols.posix_fallocate,
} as const;

/** The tables that are bound at their first use, if ever. */
export const linuxLaterTables: readonly SymbolTable[] = [laterSymbols, systemCallSymbols];

const AT_PAGESZ = 6n;
const F_DUPFD_CLOEXEC = 1030;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
const F_SEAL_SHRINK = 2;
const AT_HWCAP = 16n;
const AT_EMPTY_PATH = 0x1000n;
/** Numbers of calls, which every architecture has its own. */
const SYS_STATX = host().arch === "arm64" ? 291n : 332n;
const SYS_GETTID = host().arch === "arm64" ? 178n : 186n;
const SYS_TKILL = host().arch === "arm64" ? 130n : 200n;
const STATX_TYPE = 0x1n;
const STATX_SIZE = 0x200n;
const STATX_LENGTH = 256;
const STX_MODE_OFFSET = 28;
const STX_BLKSIZE_OFFSET = 4;
const STX_SIZE_OFFSET = 40;
const MLOCK_ONFAULT = 1;
const MREMAP_MAYMOVE = 1;
const PR_SET_VMA = 0x53564d41;
const PR_SET_VMA_ANON_NAME = 0n;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_HUGETLB = 4;

/** Where the C library is found: glibc, then musl by architecture. */
export const linuxLibraries: readonly string[] = [
  "libc.so.6",
  "libc.musl-x86_64.so.1",
  "libc.musl-aarch64.so.1",
];

/** The calls over libc. */
function libcCalls(runtime: Runtime, library: string): NativeCalls {
  const { __errno_location, ...calls } = runtime.dlopen(library, systemCallSymbols);
  return { ...calls, errno: errnoReader(runtime, BigInt(__errno_location())) } as NativeCalls;
}

/** libc's memory functions and our own; `open` binds them at the first use. */
function linuxMemory(open: () => MemoryFunctions): MemoryFunctions {
  let opened: MemoryFunctions | undefined;
  const bound = (): MemoryFunctions => opened ??= open();
  return {
    memchr: (address, length, byte) => bound().memchr(address, length, byte),
    memmem: (address, length, needle) => bound().memmem(address, length, needle),
    memcmp: (a, b, length) => bound().memcmp(a, b, length),
    memset: (address, byte, length) => bound().memset(address, byte, length),
    memmove: (target, source, length) => bound().memmove(target, source, length),
    get count() {
      return bound().count;
    },
    get crc32c() {
      return bound().crc32c;
    },
    get sumDoubles() {
      return bound().sumDoubles;
    },
  };
}

/** Opens libc. @throws {Error} The runtime's own error if it cannot be opened. */
export function openLinux(runtime: Runtime): Platform {
  const { library, functions } = dlopenFirst(runtime, linuxLibraries, libcSymbols);
  const native = openNative(runtime, [library]);
  // errno may change between a call and its reading, when the engine collects garbage: then 1 of
  // millions is wrong. The kernel's own result cannot.
  const libc = native ? nativeCalls(native, runtime) : libcCalls(runtime, library);
  let laterBound: Functions<typeof laterSymbols> | undefined;
  const laterLibc = () => laterBound ??= runtime.dlopen(library, laterSymbols);
  const memory = linuxMemory(() => {
    const own = native && openNativeMemory(runtime, [library]);
    if (!own) return posixMemory(laterLibc());
    return {
      ...posixMemory(laterLibc()),
      count: (address, length, byte) => own.mman_count(Number(address), length, byte),
      ...(own.mman_has_crc32c(Number(functions.getauxval(AT_HWCAP))) === 1 &&
        { crc32c: own.mman_crc32c }),
      sumDoubles: (address, count) => own.mman_sum_f64(Number(address), count),
    };
  });
  const { errno } = libc;
  const check = checker(errno);
  const statx = new Uint8Array(STATX_LENGTH);
  const statxFields = new DataView(statx.buffer);
  const emptyPath = new Uint8Array(STABLE_LENGTH);
  const pageSize = Number(functions.getauxval(AT_PAGESZ));
  const { MADV_POPULATE_READ, MADV_POPULATE_WRITE } = linuxConstants;

  const fillStatx = (fd: number): void => {
    const mask = STATX_TYPE | STATX_SIZE;
    const result = libc.syscall(SYS_STATX, BigInt(fd), emptyPath, AT_EMPTY_PATH, mask, statx);
    check(Number(result), "statx");
  };
  const checkFallocate = (error: number): void => {
    if (error !== 0) throw new SystemCallError("posix_fallocate", error, errnoName(error));
  };
  let thread: number | undefined;
  let offThread: OffThreadFunctions<typeof slowSymbols> | undefined;
  const later = (): OffThreadFunctions<typeof slowSymbols> =>
    offThread ??= runtime.dlopenOffThread(library, slowSymbols, "__errno_location");
  /** Waits for a call on another thread; `again` makes it here where errno did not come back. */
  const settle = async (
    call: Promise<OffThreadResult>,
    syscall: string,
    again: () => void,
  ): Promise<void> => {
    const { result, errno } = await call;
    if (result !== -1) return;
    if (errno === undefined) return again();
    throw new SystemCallError(syscall, errno, errnoName(errno));
  };

  const posix = posixCalls(libc, linuxConstants, check);
  let guard: Guard | string | undefined;
  const vectors = new BigUint64Array(STABLE_LENGTH / 8); // struct iovec there, struct iovec here
  /** Copies within the process through the kernel; returns the bytes copied. */
  const copy = (from: bigint, to: bigint, length: number): number => {
    vectors.set([to, BigInt(length), from, BigInt(length)]);
    const local = runtime.addressOf(vectors);
    const { pid } = globalThis.process;
    const copied = Number(libc.process_vm_readv(pid, local, 1n, local + 16n, 1n, 0n));
    if (copied >= 0) return copied;
    if (errnoName(errno()) === "EFAULT") return 0;
    // Refused altogether (seccomp): then bytes are touched as everywhere else.
    memory.memmove(to, from, length);
    return length;
  };

  const linux: Platform = {
    name: "Linux",
    runtime,
    constants: linuxConstants,
    pageSize,
    allocationGranularity: pageSize,
    mapFlags: HUGE_PAGE_SIZE_BITS | linuxConstants.MAP_SHARED | linuxConstants.MAP_PRIVATE |
      linuxConstants.MAP_ANONYMOUS | linuxConstants.MAP_NORESERVE | linuxConstants.MAP_POPULATE |
      linuxConstants.MAP_LOCKED | linuxConstants.MAP_HUGETLB | linuxConstants.MAP_STACK,
    truncatesMapped: true,
    locksOnFault: true,
    dontNeedDrops: true,

    ...posix,
    memory,
    remap(address: bigint, length: number, newLength: number): bigint {
      const moved = BigInt(
        libc.mremap(address, BigInt(length), BigInt(newLength), MREMAP_MAYMOVE),
      );
      if (moved === -1n) check(-1, "mremap");
      return moved;
    },
    sync(address: bigint, length: number, flags: number, _fd: number): void {
      check(libc.msync(address, BigInt(length), flags), "msync");
    },
    lock(address: bigint, length: number, onFault: boolean): void {
      if (!onFault) return posix.lock(address, length, false); // kernels without mlock2 have mlock
      check(libc.mlock2(address, BigInt(length), MLOCK_ONFAULT), "mlock");
    },
    inherit(address: bigint, length: number, inherited: boolean): void {
      const { MADV_DOFORK, MADV_DONTFORK } = linuxConstants;
      linux.advise(address, length, inherited ? MADV_DOFORK : MADV_DONTFORK);
    },
    unlockAll(): void {
      check(libc.munlockall(), "munlockall");
    },
    populate(address: bigint, length: number, write: boolean): void {
      linux.advise(address, length, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    },
    label(address: bigint, length: number, name: string): void {
      check(
        libc.prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, address, BigInt(length), cString(name)),
        "prctl",
      );
    },
    guard(): Guard | string {
      return guard ??= guardRefusal() ??
        installGuard({
          runtime,
          pageSize,
          libraries: [library],
          systemCall: native?.mman_syscall,
        });
    },
    ...checkedCopies(runtime, copy),
    stats(address: bigint, length: number): MemoryStats {
      return readStats(Number(address), length, pageSize, {
        call: (fd, request, structure) => libc.ioctl(fd, BigInt(request), structure),
        addressOf: (view) => runtime.addressOf(view),
      });
    },

    fileInfo(fd: number): FileInfo {
      fillStatx(fd);
      const kind = fileKind(statxFields.getUint16(STX_MODE_OFFSET, true));
      const size = Number(statxFields.getBigUint64(STX_SIZE_OFFSET, true));
      return { kind, size: kind === "file" ? size : 0 };
    },
    allocate(fd: number, offset: number, length: number): void {
      checkFallocate(laterLibc().posix_fallocate(fd, BigInt(offset), BigInt(length)));
    },
    punchHole(fd: number, offset: number, length: number): void {
      const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
      check(libc.fallocate(fd, mode, BigInt(offset), BigInt(length)), "fallocate");
    },
    memfd(name: string, { hugePages, sealable }: MemfdOptions): number {
      const flags = MFD_CLOEXEC | (hugePages ? MFD_HUGETLB : 0) |
        (sealable ? MFD_ALLOW_SEALING : 0);
      return check(libc.memfd_create(cString(name), flags), "memfd_create");
    },
    sealShrink(fd: number): void {
      check(libc.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), "fcntl");
    },
    isShrinkSealed(fd: number): boolean {
      const seals = libc.fcntl(fd, F_GET_SEALS, 0);
      return seals !== -1 && (seals & F_SEAL_SHRINK) !== 0; // -1: nothing that can be sealed
    },
    openNamed(name: string, options: NamedOptions): NamedMemory {
      return openNamed(linux, name, options);
    },
    unlinkNamed(name: string): void {
      nodeFs().unlinkSync(namedPath(name));
    },
    threadId(): number {
      return thread ??= Number(libc.syscall(SYS_GETTID, 0n, null, 0n, 0n, null));
    },
    isThreadAlive(number: number): boolean {
      // Signal 0 is none: only whether it could be sent. A number that another process has by now
      // counts as alive.
      const result = Number(libc.syscall(SYS_TKILL, BigInt(number), null, 0n, 0n, null));
      return result !== -1 || errnoName(errno()) !== "ESRCH";
    },
    hugePageSize(): number {
      // The block size of hugetlbfs is its page size; asking /proc would need a permission.
      const fd = linux.memfd!("mman-huge-page-size", { hugePages: true, sealable: false });
      try {
        fillStatx(fd);
        return statxFields.getUint32(STX_BLKSIZE_OFFSET, true);
      } finally {
        linux.closeDuplicate(fd);
      }
    },
    duplicate(fd: number): number {
      return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl");
    },

    populateAsync(address: bigint, length: number, write: boolean): Promise<void> {
      return settle(
        later().madvise(address, BigInt(length), write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ),
        "madvise",
        () => linux.populate!(address, length, write),
      );
    },
    syncAsync(address: bigint, length: number, flags: number, fd: number): Promise<void> {
      return settle(
        later().msync(address, BigInt(length), flags),
        "msync",
        () => linux.sync(address, length, flags, fd),
      );
    },
    async allocateAsync(fd: number, offset: number, length: number): Promise<void> {
      const { result } = await later().posix_fallocate(fd, BigInt(offset), BigInt(length));
      checkFallocate(result);
    },
  };
  return linux;
}
