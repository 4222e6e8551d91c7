/** macOS: libSystem's calls and the kernel's constants. Written to the documented ABI; not run yet. */
import { checkedCopies } from "./checked_copies.ts";
import { errnoName } from "./errno.ts";
import { openNamed, type ShmCalls, shmName } from "./darwin_named.ts";
import {
  type Constants,
  type FileInfo,
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
  host,
  type OffThreadFunctions,
  type OffThreadResult,
  type Runtime,
  STABLE_LENGTH,
} from "./runtime.ts";

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
  ...posixMemorySymbols,
  /** {@link https://man7.org/linux/man-pages/man3/sysconf.3.html | sysconf(3)} */
  sysconf: {
    parameters: [
      "i32", // int name
    ],
    result: "isize", // long: the value, or -1
  },
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
  /** {@link https://keith.github.io/xcode-man-pages/shm_open.2.html | shm_open(2)} */
  shm_open: {
    parameters: [
      "buffer", // const char *name
      "i32", //    int oflag
      "usize", // as with fcntl: six words fill the registers
      "usize",
      "usize",
      "usize",
      "usize",
      "usize",
      "usize", // the variadic argument: mode_t mode
    ],
    result: "i32", // int: a descriptor, or -1 and errno
  },
  /** {@link https://keith.github.io/xcode-man-pages/shm_unlink.2.html | shm_unlink(2)} */
  shm_unlink: {
    parameters: [
      "buffer", // const char *name
    ],
    result: "i32", // int: 0, or -1 and errno
  },
  /** {@link https://developer.apple.com/documentation/kernel/1402127-mach_vm_read_overwrite | mach_vm_read_overwrite} */
  mach_vm_read_overwrite: {
    parameters: [
      "u32", //    vm_map_read_t target_task
      "usize", //  mach_vm_address_t address
      "usize", //  mach_vm_size_t size
      "usize", //  mach_vm_address_t data
      "buffer", // mach_vm_size_t *outsize
    ],
    result: "i32", // kern_return_t: KERN_SUCCESS (0), or why not
  },
  /** The function behind the macro `mach_task_self()` of `mach/mach_init.h`. */
  task_self_trap: {
    parameters: [],
    result: "u32", // mach_port_t: this process
  },
  /** {@link https://keith.github.io/xcode-man-pages/minherit.2.html | minherit(2)} */
  minherit: {
    parameters: [
      "usize", // void *addr     page-aligned
      "usize", // size_t len
      "i32", //   int inherit
    ],
    result: "i32", // int: 0, or -1 and errno
  },
} as const;

/** The calls that may take long, for other threads. */
const slowSymbols = {
  msync: symbols.msync,
  fcntl: symbols.fcntl,
} as const;

const _SC_PAGESIZE = 29;
const F_PREALLOCATE = 42;
const F_FULLFSYNC = 51;
const F_DUPFD_CLOEXEC = 67;
const F_PUNCHHOLE = 99;
const STAT_LENGTH = 144;
const ST_MODE_OFFSET = 4;
const ST_SIZE_OFFSET = 96;
const ST_BLKSIZE_OFFSET = 112;
const VM_INHERIT_COPY = 1;
const VM_INHERIT_NONE = 2;

/**
 * `fstore_t` of `fcntl` F_PREALLOCATE.
 *
 *   0            4            8            16           24           32
 *   +------------+------------+------------+------------+------------+
 *   | flags u32  | mode i32   | offset i64 | length i64 | got i64    |
 *   +------------+------------+------------+------------+------------+
 */
const FST_FLAGS_OFFSET = 0;
const FST_POSMODE_OFFSET = FST_FLAGS_OFFSET + 4;
const FST_OFFSET_OFFSET = FST_POSMODE_OFFSET + 4;
const FST_LENGTH_OFFSET = FST_OFFSET_OFFSET + 8;
const FST_LENGTH = FST_LENGTH_OFFSET + 16;
const F_ALLOCATEALL = 4;
const F_PEOFPOSMODE = 3;

/** `fpunchhole_t` of `fcntl` F_PUNCHHOLE: flags u32, reserved u32, offset i64, length i64. */
const FP_OFFSET_OFFSET = 8;
const FP_LENGTH_OFFSET = FP_OFFSET_OFFSET + 8;
const FP_LENGTH = FP_LENGTH_OFFSET + 8;

/** The `fstat` of 64-bit inodes: Intel Macs keep the old one under the plain name. */
function fstatSymbol(): string {
  return host().arch === "x64" ? "fstat$INODE64" : "fstat";
}

/** Opens libSystem. @throws {Error} The runtime's own error if it cannot be opened. */
export function openDarwin(runtime: Runtime): Platform {
  const libraries = ["/usr/lib/libSystem.B.dylib"];
  const { library, functions: libc } = dlopenFirst(runtime, libraries, symbols);
  const fstat = runtime.dlopen(library, {
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
  const stat = new Uint8Array(STAT_LENGTH);
  const statFields = new DataView(stat.buffer);
  const pageSize = Number(libc.sysconf(_SC_PAGESIZE));

  /** Intel reads the variadic argument from the third register, arm64 from the stack. */
  const variadic = (arg: bigint) => [arg, 0n, 0n, 0n, 0n, 0n, arg] as const;
  const fcntl = (fd: number, cmd: number, arg: bigint): number =>
    check(libc.fcntl(fd, cmd, ...variadic(arg)), "fcntl");
  let offThread: OffThreadFunctions<typeof slowSymbols> | undefined;
  const later = (): OffThreadFunctions<typeof slowSymbols> =>
    offThread ??= runtime.dlopenOffThread(library, slowSymbols, "__error");
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
  const structAddress = (view: Uint8Array): bigint => runtime.addressOf(view);
  /** The argument of F_PREALLOCATE for what a file lacks to reach `end`, or undefined for nothing. */
  const fstore = (fd: number, end: number): Uint8Array | undefined => {
    const { size } = darwin.fileInfo(fd);
    if (end <= size) return undefined;
    const bytes = new Uint8Array(FST_LENGTH);
    const fields = new DataView(bytes.buffer);
    fields.setUint32(FST_FLAGS_OFFSET, F_ALLOCATEALL, true);
    fields.setInt32(FST_POSMODE_OFFSET, F_PEOFPOSMODE, true);
    fields.setBigInt64(FST_LENGTH_OFFSET, BigInt(end - size), true);
    return bytes;
  };
  /** Has the drive keep what it was given. Shared memory has no drive, and says that it is no file. */
  const fullSync = (fd: number): void => {
    try {
      fcntl(fd, F_FULLFSYNC, 0n);
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code !== "EBADF") throw error;
    }
  };
  const syncsDrive = (flags: number, fd: number): boolean =>
    // msync hands the pages to the drive; only F_FULLFSYNC makes the drive keep them.
    fd !== -1 && (flags & darwinConstants.MS_SYNC) !== 0;

  const shm: ShmCalls = {
    open: (name, flags, permissions) =>
      check(libc.shm_open(cString(name), flags, ...variadic(BigInt(permissions))), "shm_open"),
    unlink: (name) => void check(libc.shm_unlink(cString(name)), "shm_unlink"),
    sizeOf(fd: number): number {
      check(fstat(fd, stat), "fstat");
      return Number(statFields.getBigInt64(ST_SIZE_OFFSET, true));
    },
    truncate: (fd, size) => darwin.truncate(fd, size),
    closeDuplicate: (fd) => darwin.closeDuplicate(fd),
  };
  let self: number | undefined;
  const copied = new BigUint64Array(STABLE_LENGTH / 8);
  const darwin: Platform = {
    name: "macOS",
    runtime,
    constants: darwinConstants,
    pageSize,
    allocationGranularity: pageSize,
    mapFlags: darwinConstants.MAP_SHARED | darwinConstants.MAP_PRIVATE |
      darwinConstants.MAP_ANONYMOUS | darwinConstants.MAP_NORESERVE,
    truncatesMapped: true,
    locksOnFault: false,
    dontNeedDrops: false,

    memory: posixMemory(libc),
    ...posixCalls(libc, darwinConstants, check),
    sync(address: bigint, length: number, flags: number, fd: number): void {
      check(libc.msync(address, BigInt(length), flags), "msync");
      if (syncsDrive(flags, fd)) fullSync(fd);
    },
    inherit(address: bigint, length: number, inherited: boolean): void {
      const how = inherited ? VM_INHERIT_COPY : VM_INHERIT_NONE;
      check(libc.minherit(address, BigInt(length), how), "minherit");
    },

    ...checkedCopies(runtime, (from, to, length) => {
      const task = self ??= libc.task_self_trap();
      const failure = libc.mach_vm_read_overwrite(task, from, BigInt(length), to, copied);
      // It copies all or nothing: the caller asks for the pages one by one.
      return failure === 0 ? length : 0;
    }),

    fileInfo(fd: number): FileInfo {
      check(fstat(fd, stat), "fstat");
      const kind = fileKind(statFields.getUint16(ST_MODE_OFFSET, true));
      const size = Number(statFields.getBigInt64(ST_SIZE_OFFSET, true));
      return { kind, size: kind === "file" ? size : 0 };
    },
    allocate(fd: number, offset: number, length: number): void {
      const store = fstore(fd, offset + length);
      if (store === undefined) return;
      fcntl(fd, F_PREALLOCATE, structAddress(store));
      darwin.truncate(fd, offset + length);
    },
    punchHole(fd: number, offset: number, length: number): void {
      check(fstat(fd, stat), "fstat");
      const block = statFields.getInt32(ST_BLKSIZE_OFFSET, true);
      const start = Math.ceil(offset / block) * block;
      const end = Math.floor((offset + length) / block) * block;
      if (end <= start) return;
      const bytes = new Uint8Array(FP_LENGTH);
      const fields = new DataView(bytes.buffer);
      fields.setBigInt64(FP_OFFSET_OFFSET, BigInt(start), true);
      fields.setBigInt64(FP_LENGTH_OFFSET, BigInt(end - start), true);
      fcntl(fd, F_PUNCHHOLE, structAddress(bytes));
    },
    duplicate(fd: number): number {
      return fcntl(fd, F_DUPFD_CLOEXEC, 0n);
    },
    openNamed(name: string, options: NamedOptions): NamedMemory {
      return openNamed(shm, name, options);
    },
    unlinkNamed(name: string): void {
      shm.unlink(shmName(name));
    },

    async syncAsync(address: bigint, length: number, flags: number, fd: number): Promise<void> {
      await settle(
        later().msync(address, BigInt(length), flags),
        "msync",
        () => darwin.sync(address, length, flags, -1),
      );
      if (!syncsDrive(flags, fd)) return;
      await settle(
        later().fcntl(fd, F_FULLFSYNC, ...variadic(0n)),
        "fcntl",
        () => fullSync(fd),
      );
    },
    async allocateAsync(fd: number, offset: number, length: number): Promise<void> {
      const store = fstore(fd, offset + length);
      if (store === undefined) return;
      await settle(
        later().fcntl(fd, F_PREALLOCATE, ...variadic(structAddress(store))),
        "fcntl",
        () => darwin.allocate!(fd, offset, length),
      );
      darwin.truncate(fd, offset + length);
    },
  };
  return darwin;
}
