/**
 * The symbol tables, constants and structures of src/ffi against what the systems document: prototypes
 * and values as their headers have them. A C compiler for the system, where there is one, says whether
 * this file quotes the headers right. No call reaches the system: a Runtime that only listens stands in.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { darwinConstants, openDarwin } from "../src/ffi/darwin.ts";
import { openDarwinSync } from "../src/ffi/darwin_sync.ts";
import { linuxConstants, linuxLaterTables, openLinux } from "../src/ffi/linux.ts";
import { openLinuxSync } from "../src/ffi/linux_sync.ts";
import { type Constants, type Platform, SystemCallError } from "../src/ffi/platform.ts";
import type { Runtime, SymbolTable } from "../src/ffi/runtime.ts";
import type { SyncPlatform } from "../src/ffi/sync_platform.ts";
import { openWindows, windowsConstants } from "../src/ffi/windows.ts";
import { discardSymbols, libuvSymbols } from "../src/ffi/windows_symbols.ts";
import { openWindowsSync } from "../src/ffi/windows_sync.ts";
import { type Skip, tempDir } from "./helpers.ts";

type Value = number | bigint;

/** What one operating system documents. */
interface System {
  readonly name: string;
  /** Below src/ffi: where the constants are. */
  readonly sources: readonly string[];
  readonly constants: Constants;
  open(runtime: Runtime): Platform;
  openSync(runtime: Runtime): SyncPlatform | undefined;
  /** Tables that are bound at their first use. */
  readonly later?: readonly SymbolTable[];
  /** Compilers that know the system's headers, and their options. */
  readonly compilers: readonly (readonly string[])[];
  readonly headers: readonly string[];
  /** One declaration a line, without names of parameters. */
  readonly prototypes: string;
  /** By the name in our sources; a pair where C says it in other words. */
  readonly values: Readonly<Record<string, Value | readonly [expression: string, Value]>>;
  /** Names in our sources that are no constants of C. */
  readonly own: readonly string[];
  /** Values that only newer headers have. */
  readonly recent: readonly string[];
}

const sharedConstants = { PROT_NONE: 0, PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4, MAP_FILE: 0 };

const posixPrototypes = `
void *mmap(void *, size_t, int, int, int, off_t);
int munmap(void *, size_t);
int mprotect(void *, size_t, int);
int msync(void *, size_t, int);
int mlock(const void *, size_t);
int munlock(const void *, size_t);
int madvise(void *, size_t, int);
int flock(int, int);
int fcntl(int, int, ...);
int ftruncate(int, off_t);
int close(int);
long sysconf(int);
void *memchr(const void *, int, size_t);
void *memmem(const void *, size_t, const void *, size_t);
int memcmp(const void *, const void *, size_t);
void *memset(void *, int, size_t);
void *memmove(void *, const void *, size_t);
`;

const posixValues = {
  LOCK_SH: 1,
  LOCK_EX: 2,
  LOCK_NB: 4,
  S_IFMT: 0o170000,
  S_IFREG: 0o100000,
  S_IFDIR: 0o040000,
};

/** {@link https://man7.org/linux/man-pages/ | man-pages}; values of the kernel's uapi headers, the same on x86-64 and arm64. */
const linux: System = {
  name: "Linux",
  sources: [
    "linux.ts",
    "linux_native.ts",
    "linux_stats.ts",
    "linux_named.ts",
    "linux_sync.ts",
    "posix.ts",
  ],
  constants: linuxConstants,
  later: linuxLaterTables,
  open: openLinux,
  openSync: openLinuxSync,
  compilers: process.platform === "linux" ? [["cc"], ["aarch64-linux-gnu-gcc"]] : [],
  headers: [
    "errno.h",
    "fcntl.h",
    "limits.h",
    "linux/fs.h",
    "linux/futex.h",
    "linux/prctl.h",
    "string.h",
    "sys/auxv.h",
    "sys/file.h",
    "sys/ioctl.h",
    "sys/mman.h",
    "sys/prctl.h",
    "sys/stat.h",
    "sys/uio.h",
    "time.h",
    "unistd.h",
  ],
  prototypes: `${posixPrototypes}
int *__errno_location(void);
int clock_gettime(clockid_t, struct timespec *);
int fallocate(int, int, off_t, off_t);
unsigned long getauxval(unsigned long);
int ioctl(int, unsigned long, ...);
int memfd_create(const char *, unsigned int);
int mincore(void *, size_t, unsigned char *);
int mlock2(const void *, size_t, unsigned int);
void *mremap(void *, size_t, size_t, int, ...);
int munlockall(void);
int open(const char *, int, ...);
int posix_fallocate(int, off_t, off_t);
int prctl(int, ...);
ssize_t process_vm_readv(pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long, unsigned long);
ssize_t read(int, void *, size_t);
ssize_t readlink(const char *, char *, size_t);
long syscall(long, ...);
`,
  values: {
    ...sharedConstants,
    ...posixValues,
    MAP_SHARED: 0x01,
    MAP_PRIVATE: 0x02,
    MAP_FIXED: 0x10,
    MAP_ANONYMOUS: 0x20,
    MAP_LOCKED: 0x2000,
    MAP_NORESERVE: 0x4000,
    MAP_POPULATE: 0x8000,
    MAP_STACK: 0x20000,
    MAP_HUGETLB: 0x40000,
    HUGE_PAGE_SIZE_BITS: ["(int)(MAP_HUGE_MASK << MAP_HUGE_SHIFT)", 0x3f << 26],
    MS_ASYNC: 1,
    MS_INVALIDATE: 2,
    MS_SYNC: 4,
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
    F_DUPFD_CLOEXEC: 1030,
    F_ADD_SEALS: 1033,
    F_GET_SEALS: 1034,
    F_SEAL_SHRINK: 2,
    AT_EMPTY_PATH: 0x1000,
    AT_HWCAP: 16,
    AT_PAGESZ: 6,
    STATX_TYPE: 0x1,
    STATX_SIZE: 0x200,
    STATX_LENGTH: ["sizeof(struct statx)", 256],
    STX_BLKSIZE_OFFSET: ["offsetof(struct statx, stx_blksize)", 4],
    STX_MODE_OFFSET: ["offsetof(struct statx, stx_mode)", 28],
    STX_SIZE_OFFSET: ["offsetof(struct statx, stx_size)", 40],
    MLOCK_ONFAULT: 1,
    MREMAP_MAYMOVE: 1,
    PR_SET_VMA: 0x53564d41,
    PR_SET_VMA_ANON_NAME: 0n,
    FALLOC_FL_KEEP_SIZE: 1,
    FALLOC_FL_PUNCH_HOLE: 2,
    MFD_CLOEXEC: 1,
    MFD_ALLOW_SEALING: 2,
    MFD_HUGETLB: 4,
    ENODEV: 19,
    PAGEMAP_SCAN: 0xc0606610,
    PAGE_IS_PRESENT: 1n << 3n,
    PAGE_IS_HUGE: 1n << 6n,
    FUTEX_WAIT: 0,
    FUTEX_WAKE: 1,
    FUTEX_LOCK_PI: 6,
    FUTEX_UNLOCK_PI: 7,
    FUTEX_TRYLOCK_PI: 8,
    FUTEX_LOCK_PI2: 13,
    FUTEX2_SIZE_U32: 2,
    CLOCK_REALTIME: 0,
    CLOCK_MONOTONIC: 1,
    O_RDONLY_CLOEXEC: ["O_RDONLY | O_CLOEXEC", 0o2000000],
    INT_MAX: 2 ** 31 - 1,
    ESRCH: 3,
    EINTR: 4,
    EAGAIN: 11,
    EDEADLK: 35,
    ENOSYS: 38,
    ETIMEDOUT: 110,
    TIMESPEC_LENGTH: ["sizeof(struct timespec)", 16],
    WAITV_VAL_OFFSET: ["offsetof(struct futex_waitv, val)", 0],
    WAITV_UADDR_OFFSET: ["offsetof(struct futex_waitv, uaddr)", 8],
    WAITV_FLAGS_OFFSET: ["offsetof(struct futex_waitv, flags)", 16],
    WAITV_LENGTH: ["sizeof(struct futex_waitv)", 24],
  },
  own: [
    "FILE_MAP_EXECUTE",
    ...["OWNED_BIT", "PERMISSION_BITS", "DRAFT_LIFE_MS", "MAX_MS"],
    ...["PAGEMAP_ENTRY", "PRESENT", "SWAPPED", "EXCLUSIVE"],
    ...["SCAN_FIELDS", "SCAN_START", "SCAN_WALK_END", "SCAN_VECTOR", "SCAN_ALL_OF"],
    ...["SCAN_RETURNED", "REGION_FIELDS", "REGIONS", "STABLE_LENGTH", "SCRATCH_LENGTH"],
  ],
  recent: [
    ...["MADV_COLLAPSE", "PAGEMAP_SCAN", "PAGE_IS_PRESENT", "PAGE_IS_HUGE", "FUTEX2_SIZE_U32"],
  ],
};

/**
 * {@link https://github.com/apple-oss-distributions/xnu | xnu}: bsd/sys/mman.h, fcntl.h, stat.h, errno.h,
 * osfmk/mach/vm_inherit.h; unistd.h and string.h of the macOS SDK.
 */
const darwin: System = {
  name: "macOS",
  sources: ["darwin.ts", "darwin_named.ts", "darwin_sync.ts", "posix.ts"],
  constants: darwinConstants,
  open: openDarwin,
  openSync: openDarwinSync,
  compilers: process.platform === "darwin" ? [["cc"]] : [],
  headers: [
    "errno.h",
    "fcntl.h",
    "libproc.h",
    "mach/mach_traps.h",
    "mach/mach_vm.h",
    "mach/vm_inherit.h",
    "os/clock.h",
    "os/os_sync_wait_on_address.h",
    "pthread.h",
    "signal.h",
    "string.h",
    "sys/file.h",
    "sys/mman.h",
    "sys/proc.h",
    "sys/proc_info.h",
    "sys/stat.h",
    "sys/sysctl.h",
    "unistd.h",
  ],
  prototypes: `${posixPrototypes}
int *__error(void);
pid_t getpid(void);
kern_return_t mach_vm_read_overwrite(vm_map_read_t, mach_vm_address_t, mach_vm_size_t, mach_vm_address_t, mach_vm_size_t *);
mach_port_t task_self_trap(void);
int kill(pid_t, int);
int os_sync_wait_on_address_with_timeout(void *, uint64_t, size_t, os_sync_wait_on_address_flags_t, os_clockid_t, uint64_t);
int os_sync_wake_by_address_all(void *, size_t, os_sync_wake_by_address_flags_t);
int os_sync_wake_by_address_any(void *, size_t, os_sync_wake_by_address_flags_t);
int proc_pidinfo(int, int, uint64_t, void *, int);
int pthread_threadid_np(pthread_t, uint64_t *);
int sysctlbyname(const char *, void *, size_t *, void *, size_t);
int fstat(int, struct stat *);
int mincore(const void *, size_t, char *);
int minherit(void *, size_t, int);
int shm_open(const char *, int, ...);
int shm_unlink(const char *);
`,
  values: {
    ...sharedConstants,
    ...posixValues,
    MAP_SHARED: 0x0001,
    MAP_PRIVATE: 0x0002,
    MAP_FIXED: 0x0010,
    MAP_NORESERVE: 0x0040,
    MAP_ANONYMOUS: 0x1000,
    MS_ASYNC: 0x0001,
    MS_INVALIDATE: 0x0002,
    MS_SYNC: 0x0010,
    MADV_NORMAL: 0,
    MADV_RANDOM: 1,
    MADV_SEQUENTIAL: 2,
    MADV_WILLNEED: 3,
    MADV_DONTNEED: 4,
    MADV_FREE: 5,
    MADV_PAGEOUT: 10,
    _SC_PAGESIZE: 29,
    F_PREALLOCATE: 42,
    F_FULLFSYNC: 51,
    F_DUPFD_CLOEXEC: 67,
    F_PUNCHHOLE: 99,
    F_ALLOCATEALL: 4,
    F_PEOFPOSMODE: 3,
    O_RDONLY: 0,
    O_RDWR: 2,
    O_CREAT: 0x200,
    O_EXCL: 0x800,
    ENOTSUP: 45,
    ENAMETOOLONG: 63,
    VM_INHERIT_COPY: 1,
    VM_INHERIT_NONE: 2,
    STAT_LENGTH: ["sizeof(struct stat)", 144],
    ST_MODE_OFFSET: ["offsetof(struct stat, st_mode)", 4],
    ST_SIZE_OFFSET: ["offsetof(struct stat, st_size)", 96],
    ST_BLKSIZE_OFFSET: ["offsetof(struct stat, st_blksize)", 112],
    FST_FLAGS_OFFSET: ["offsetof(fstore_t, fst_flags)", 0],
    FST_POSMODE_OFFSET: ["offsetof(fstore_t, fst_posmode)", 4],
    FST_OFFSET_OFFSET: ["offsetof(fstore_t, fst_offset)", 8],
    FST_LENGTH_OFFSET: ["offsetof(fstore_t, fst_length)", 16],
    FST_LENGTH: ["sizeof(fstore_t)", 32],
    FP_OFFSET_OFFSET: ["offsetof(fpunchhole_t, fp_offset)", 8],
    FP_LENGTH_OFFSET: ["offsetof(fpunchhole_t, fp_length)", 16],
    FP_LENGTH: ["sizeof(fpunchhole_t)", 24],
    OS_SYNC_SHARED: ["OS_SYNC_WAIT_ON_ADDRESS_SHARED", 1],
    OS_CLOCK_MACH_ABSOLUTE_TIME: 32,
    PROC_PIDTBSDINFO: 3,
    PBI_STATUS_OFFSET: ["offsetof(struct proc_bsdinfo, pbi_status)", 4],
    PBI_START_OFFSET: ["offsetof(struct proc_bsdinfo, pbi_start_tvsec)", 120],
    PBI_LENGTH: ["sizeof(struct proc_bsdinfo)", 136],
    SZOMB: 5,
    ENOENT: 2,
    ESRCH: 3,
  },
  own: ["MAX_NS", "PID_BITS", "PID_MASK", "PSHMNAMLEN", "THREAD_MASK"],
  recent: [],
};

/** {@link https://learn.microsoft.com/windows/win32/api/ | Windows API reference}, 64 bits. */
const windows: System = {
  name: "Windows",
  sources: [
    ...["windows.ts", "windows_handles.ts", "windows_named.ts", "windows_symbols.ts"],
    "windows_sync.ts",
  ],
  constants: windowsConstants,
  open: openWindows,
  openSync: openWindowsSync,
  later: [discardSymbols],
  compilers: [["x86_64-w64-mingw32-gcc", "-D_WIN32_WINNT=0x0a00"]],
  headers: ["windows.h", "winioctl.h", "psapi.h", "string.h"],
  prototypes: `
DWORD GetLastError(void);
void GetSystemInfo(LPSYSTEM_INFO);
void Sleep(DWORD);
LPVOID VirtualAlloc(LPVOID, SIZE_T, DWORD, DWORD);
BOOL VirtualFree(LPVOID, SIZE_T, DWORD);
SIZE_T VirtualQuery(LPCVOID, PMEMORY_BASIC_INFORMATION, SIZE_T);
BOOL VirtualProtect(LPVOID, SIZE_T, DWORD, PDWORD);
BOOL VirtualLock(LPVOID, SIZE_T);
BOOL VirtualUnlock(LPVOID, SIZE_T);
BOOL PrefetchVirtualMemory(HANDLE, ULONG_PTR, PWIN32_MEMORY_RANGE_ENTRY, ULONG);
BOOL K32QueryWorkingSetEx(HANDLE, PVOID, DWORD);
SIZE_T GetLargePageMinimum(void);
BOOL ReadProcessMemory(HANDLE, LPCVOID, LPVOID, SIZE_T, SIZE_T *);
HANDLE CreateFileMappingW(HANDLE, LPSECURITY_ATTRIBUTES, DWORD, DWORD, DWORD, LPCWSTR);
HANDLE OpenFileMappingW(DWORD, BOOL, LPCWSTR);
DWORD DiscardVirtualMemory(PVOID, SIZE_T);
LPVOID MapViewOfFile(HANDLE, DWORD, DWORD, DWORD, SIZE_T);
BOOL UnmapViewOfFile(LPCVOID);
BOOL FlushViewOfFile(LPCVOID, SIZE_T);
BOOL FlushFileBuffers(HANDLE);
DWORD GetFileType(HANDLE);
BOOL GetFileInformationByHandle(HANDLE, LPBY_HANDLE_FILE_INFORMATION);
BOOL SetFileInformationByHandle(HANDLE, FILE_INFO_BY_HANDLE_CLASS, LPVOID, DWORD);
BOOL SetFilePointerEx(HANDLE, LARGE_INTEGER, PLARGE_INTEGER, DWORD);
BOOL LockFileEx(HANDLE, DWORD, DWORD, DWORD, DWORD, LPOVERLAPPED);
BOOL DeviceIoControl(HANDLE, DWORD, LPVOID, DWORD, LPVOID, DWORD, LPDWORD, LPOVERLAPPED);
BOOL GetProcessHandleCount(HANDLE, PDWORD);
BOOL GetHandleInformation(HANDLE, LPDWORD);
BOOL DuplicateHandle(HANDLE, HANDLE, HANDLE, LPHANDLE, DWORD, BOOL, DWORD);
BOOL CloseHandle(HANDLE);
HANDLE CreateSemaphoreW(LPSECURITY_ATTRIBUTES, LONG, LONG, LPCWSTR);
DWORD GetCurrentThreadId(void);
BOOL GetThreadTimes(HANDLE, LPFILETIME, LPFILETIME, LPFILETIME, LPFILETIME);
HANDLE OpenThread(DWORD, BOOL, DWORD);
BOOL ReleaseSemaphore(HANDLE, LONG, LPLONG);
DWORD WaitForMultipleObjects(DWORD, const HANDLE *, BOOL, DWORD);
DWORD WaitForSingleObject(HANDLE, DWORD);
void *memchr(const void *, int, size_t);
int memcmp(const void *, const void *, size_t);
void *memset(void *, int, size_t);
void *memmove(void *, const void *, size_t);
`,
  values: {
    FILE_MAP_EXECUTE: 0x20,
    PAGE_NOACCESS: 0x01,
    PAGE_READONLY: 0x02,
    PAGE_READWRITE: 0x04,
    PAGE_WRITECOPY: 0x08,
    PAGE_EXECUTE: 0x10,
    PAGE_EXECUTE_READ: 0x20,
    PAGE_EXECUTE_READWRITE: 0x40,
    PAGE_EXECUTE_WRITECOPY: 0x80,
    MEM_COMMIT: 0x1000,
    MEM_RESERVE: 0x2000,
    MEM_DECOMMIT: 0x4000,
    MEM_RELEASE: 0x8000,
    MEM_MAPPED: 0x40000,
    MEM_RESET: 0x80000,
    MEM_LARGE_PAGES: 0x20000000,
    SEC_COMMIT: 0x8000000,
    SEC_LARGE_PAGES: 0x80000000,
    FILE_MAP_COPY: 0x1,
    FILE_MAP_WRITE: 0x2,
    FILE_MAP_READ: 0x4,
    FILE_TYPE_UNKNOWN: 0,
    FILE_TYPE_DISK: 1,
    FILE_ATTRIBUTE_DIRECTORY: 0x10,
    FileEndOfFileInfo: 6,
    FILE_BEGIN: 0,
    FILE_CURRENT: 1,
    LOCKFILE_FAIL_IMMEDIATELY: 1,
    LOCKFILE_EXCLUSIVE_LOCK: 2,
    FSCTL_SET_SPARSE: 0x900c4,
    FSCTL_SET_ZERO_DATA: 0x980c8,
    DUPLICATE_SAME_ACCESS: 2,
    CURRENT_PROCESS: ["(unsigned long long)(HANDLE)-1", 2n ** 64n - 1n],
    NO_FILE: ["(unsigned long long)INVALID_HANDLE_VALUE", 2n ** 64n - 1n],
    ERROR_INVALID_FUNCTION: 1,
    ERROR_FILE_NOT_FOUND: 2,
    ERROR_ACCESS_DENIED: 5,
    ERROR_INVALID_HANDLE: 6,
    ERROR_LOCK_VIOLATION: 33,
    ERROR_NOT_SUPPORTED: 50,
    ERROR_INVALID_PARAMETER: 87,
    ERROR_NOT_LOCKED: 158,
    ERROR_ALREADY_EXISTS: 183,
    ERROR_FILE_INVALID: 1006,
    SYSTEM_INFO_LENGTH: ["sizeof(SYSTEM_INFO)", 48],
    PAGE_SIZE_OFFSET: ["offsetof(SYSTEM_INFO, dwPageSize)", 4],
    ALLOCATION_GRANULARITY_OFFSET: ["offsetof(SYSTEM_INFO, dwAllocationGranularity)", 40],
    MEMORY_INFO_LENGTH: ["sizeof(MEMORY_BASIC_INFORMATION)", 48],
    BASE_OFFSET: ["offsetof(MEMORY_BASIC_INFORMATION, BaseAddress)", 0],
    ALLOCATION_BASE_OFFSET: ["offsetof(MEMORY_BASIC_INFORMATION, AllocationBase)", 8],
    ALLOCATION_PROTECT_OFFSET: ["offsetof(MEMORY_BASIC_INFORMATION, AllocationProtect)", 16],
    REGION_SIZE_OFFSET: ["offsetof(MEMORY_BASIC_INFORMATION, RegionSize)", 24],
    STATE_OFFSET: ["offsetof(MEMORY_BASIC_INFORMATION, State)", 32],
    PROTECT_OFFSET: ["offsetof(MEMORY_BASIC_INFORMATION, Protect)", 36],
    TYPE_OFFSET: ["offsetof(MEMORY_BASIC_INFORMATION, Type)", 40],
    FILE_INFO_LENGTH: ["sizeof(BY_HANDLE_FILE_INFORMATION)", 52],
    FILE_ATTRIBUTES_OFFSET: ["offsetof(BY_HANDLE_FILE_INFORMATION, dwFileAttributes)", 0],
    VOLUME_SERIAL_OFFSET: ["offsetof(BY_HANDLE_FILE_INFORMATION, dwVolumeSerialNumber)", 28],
    FILE_SIZE_HIGH_OFFSET: ["offsetof(BY_HANDLE_FILE_INFORMATION, nFileSizeHigh)", 32],
    FILE_SIZE_LOW_OFFSET: ["offsetof(BY_HANDLE_FILE_INFORMATION, nFileSizeLow)", 36],
    FILE_INDEX_HIGH_OFFSET: ["offsetof(BY_HANDLE_FILE_INFORMATION, nFileIndexHigh)", 44],
    FILE_INDEX_LOW_OFFSET: ["offsetof(BY_HANDLE_FILE_INFORMATION, nFileIndexLow)", 48],
    OVERLAPPED_LENGTH: ["sizeof(OVERLAPPED)", 32],
    OVERLAPPED_OFFSET_HIGH_OFFSET: ["offsetof(OVERLAPPED, OffsetHigh)", 20],
    WORKING_SET_VALID: ["(PSAPI_WORKING_SET_EX_BLOCK){.Valid = 1}.Flags", 1n],
    WORKING_SET_SHARED: ["(PSAPI_WORKING_SET_EX_BLOCK){.Shared = 1}.Flags", 1n << 15n],
    SYNCHRONIZE: 0x00100000,
    THREAD_QUERY_LIMITED_INFORMATION: 0x0800,
    WAIT_OBJECT_0: 0,
    WORKING_SET_LARGE_PAGE: ["(PSAPI_WORKING_SET_EX_BLOCK){.LargePage = 1}.Flags", 1n << 23n],
  },
  own: [
    ...["LOCK_BYTE_HIGH", "WORKING_SET_BATCH", "HANDLE_BASE", "SECTION_BASE", "FLUSH_WAITS"],
    ...["POPULATE_STEP", "HANDLE_GAP", "LAST_GAP", "GRANULARITY", "MAX_TOKENS", "HALF_OF_TOKENS"],
    "PARK_MS",
  ],
  recent: [],
};

const systems = [linux, darwin, windows];

/** A declaration of C: the types of the result and of the parameters; `"..."` for more of them. */
interface Declaration {
  readonly result: string;
  readonly parameters: readonly string[];
}

function declarations(prototypes: string): Map<string, Declaration> {
  const lines = prototypes.trim().split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => {
    const [, result, name, list] = /^(.*?)(\w+)\((.*)\);$/.exec(line) ?? [];
    assert(result !== undefined && name !== undefined && list !== undefined, line);
    const parameters = list === "void" ? [] : list.split(",").map((type) => type.trim());
    return [name, { result: result.trim(), parameters }];
  }));
}

/** Our types for C's arithmetic types on 64 bits (LP64; LLP64 for those of Windows). */
const arithmetic: Readonly<Record<string, string>> = {
  void: "void",
  int: "i32",
  long: "isize",
  off_t: "i64",
  ssize_t: "isize",
  clockid_t: "i32",
  pid_t: "i32",
  pthread_t: "usize",
  uint64_t: "usize",
  kern_return_t: "i32",
  mach_port_t: "u32",
  vm_map_read_t: "u32",
  mach_vm_address_t: "usize",
  mach_vm_size_t: "usize",
  os_clockid_t: "u32",
  os_sync_wait_on_address_flags_t: "u32",
  os_sync_wake_by_address_flags_t: "u32",
  size_t: "usize",
  "unsigned int": "u32",
  "unsigned long": "usize",
  BOOL: "i32",
  DWORD: "u32",
  ULONG: "u32",
  ULONG_PTR: "usize",
  SIZE_T: "usize",
  LARGE_INTEGER: "i64",
  LONG: "i32",
  FILE_INFO_BY_HANDLE_CLASS: "i32",
};

/** What a C type may be bound as: an address is a number, or a view of ours. */
function boundAs(type: string, isResult: boolean): readonly string[] {
  const plain = arithmetic[type];
  if (plain !== undefined) return [plain];
  assert(type.endsWith("*") || /^(LP|P|HANDLE)/.test(type), `what is ${type}?`);
  return isResult ? ["usize", "isize", "void"] : ["usize", "buffer"];
}

/** A call that the library made. */
interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** What a listening Runtime has heard. */
interface Heard {
  readonly runtime: Runtime;
  readonly platform: Platform;
  readonly tables: { readonly library: string; readonly table: SymbolTable }[];
  readonly calls: Call[];
  /** The bytes of a view whose address was asked for. */
  viewAt(address: unknown): Uint8Array;
}

/** Opens a system over a Runtime that answers every call with 0, or as `answers` say. */
function listen(
  system: System,
  answers: Readonly<Record<string, (...args: unknown[]) => Value>> = {},
): Heard {
  const tables: Heard["tables"] = [];
  const calls: Call[] = [];
  const views = new Map<bigint, ArrayBufferView>();
  const bind = (library: string, table: SymbolTable, off: boolean) => {
    tables.push({ library, table });
    return Object.fromEntries(
      Object.keys(table).map((name) => [name, (...args: unknown[]) => {
        calls.push({ name, args });
        const result = answers[name]?.(...args) ?? 0;
        return off ? Promise.resolve({ result: Number(result), errno: undefined }) : result;
      }]),
    );
  };
  const runtime: Runtime = {
    name: "Deno",
    maxBufferLength: 2 ** 32,
    wipesMemory: false,
    dlopen: (library, table) => bind(library, table, false) as never,
    dlopenOffThread: (library, table) => bind(library, table, true) as never,
    bufferAt: (_, length) => new ArrayBuffer(length),
    addressOf(view) {
      const address = BigInt(views.size + 1) << 32n;
      views.set(address, view);
      return address;
    },
    peek: (words) => words[0]!,
  };
  const platform = system.open(runtime);
  return {
    runtime,
    platform,
    tables,
    calls,
    viewAt(address) {
      const { buffer, byteOffset, byteLength } = views.get(address as bigint)!;
      return new Uint8Array(buffer, byteOffset, byteLength);
    },
  };
}

/** The constants at the top of a source file: `const NAME = expression;`. */
function sourceConstants(file: string): Map<string, Value> {
  const text = readFileSync(new URL(`../src/ffi/${file}`, import.meta.url), "utf8");
  const found = new Map<string, Value>();
  const numeric = /^(?:export )?const (\w+)(?:: \w+)? = ([\w\s+*<|-]+);/gm;
  for (const [, name = "", expression = ""] of text.matchAll(numeric)) {
    const evaluate = new Function(...found.keys(), `return ${expression}`);
    found.set(name, evaluate(...found.values()));
  }
  return found;
}

function documented(system: System, name: string): Value | undefined {
  const value = system.values[name];
  return typeof value === "object" ? value[1] : value;
}

for (const system of systems) {
  describe(`the tables of ${system.name}`, () => {
    test("bind every symbol as its prototype says", () => {
      const known = declarations(system.prototypes);
      const { tables, runtime } = listen(system);
      system.openSync(runtime);
      let checked = 0;
      for (const table of [...tables.map(({ table }) => table), ...system.later ?? []]) {
        if (table === libuvSymbols) continue; // of the runtime, not of the system
        for (const [name, { parameters, result }] of Object.entries(table)) {
          if (name.startsWith("mman_")) continue; // our own machine code
          const declaration = known.get(name.replace("$INODE64", ""));
          assert(declaration !== undefined, `${name} has no prototype in this test`);
          const fixed = declaration.parameters.filter((type) => type !== "...");
          const variadic = fixed.length < declaration.parameters.length;
          assert(boundAs(declaration.result, true).includes(result), `result of ${name}`);
          if (!variadic) assertEquals(parameters.length, fixed.length, name);
          fixed.forEach((type, i) =>
            assert(boundAs(type, false).includes(parameters[i]!), `parameter ${i} of ${name}`)
          );
          checked++;
        }
      }
      assert(checked > 10);
    });

    test("have the documented value for every constant", () => {
      const unknown: string[] = [];
      for (const file of system.sources) {
        for (const [name, value] of sourceConstants(file)) {
          if (system.own.includes(name)) continue;
          if (documented(system, name) === undefined) unknown.push(`${name} of ${file}`);
          else assertEquals(BigInt(value), BigInt(documented(system, name)!), name);
        }
      }
      assertEquals(unknown, [], "constants without a documented value in this test");
    });

    test("export the documented values, and values that no call accepts for what is missing", () => {
      const { mapFlags } = listen(system).platform;
      for (const [name, value] of Object.entries(system.constants)) {
        const expected = documented(system, name);
        if (expected !== undefined) assertEquals(value, expected, name);
        else if (system === windows) continue; // C has none of them there: the numbers are ours
        else if (name.startsWith("MADV_")) assert(value < 0, name);
        else assertEquals(value & mapFlags, 0, name);
      }
    });

    for (const [compiler = "", ...options] of system.compilers) {
      test(`are quoted right, says ${compiler}`, {
        skip: withoutHeaders(system, compiler, options),
      }, () => {
        const checks = Object.entries(system.values)
          .filter(([name]) => !system.recent.includes(name))
          .map(([name, value]) => {
            const [expression, number] = typeof value === "object" ? value : [name, value];
            const suffix = typeof number === "bigint" ? "ull" : "";
            return `if ((${expression}) != ${number}${suffix}) wrong("${name}");`;
          });
        const { status, stderr } = compile(compiler, options, [
          includes(system),
          system.prototypes,
          'extern void wrong(const char *) __attribute__((error("another value")));',
          "void check(void) {",
          ...checks,
          "}",
        ]);
        assertEquals(status, 0, stderr);
      });
    }
  });
}

/** Linux's system calls by number, of x86-64 and of arm64 (`asm/unistd_64.h`, `asm-generic/unistd.h`). */
const systemCalls: Readonly<Record<string, readonly [x64: number, arm64: number]>> = {
  close: [3, 57],
  fallocate: [285, 47],
  fcntl: [72, 25],
  flock: [73, 32],
  futex: [202, 98],
  futex_waitv: [449, 449],
  ftruncate: [77, 46],
  gettid: [186, 178],
  ioctl: [16, 29],
  madvise: [28, 233],
  memfd_create: [319, 279],
  mincore: [27, 232],
  mlock: [149, 228],
  mlock2: [325, 284],
  mmap: [9, 222],
  mprotect: [10, 226],
  mremap: [25, 216],
  msync: [26, 227],
  munlock: [150, 229],
  munlockall: [152, 231],
  munmap: [11, 215],
  prctl: [157, 167],
  process_vm_readv: [310, 270],
  rt_sigaction: [13, 134],
  statx: [332, 291],
  tkill: [200, 130],
  write: [1, 64],
};
const processors = ["x64", "arm64"] as const;

/** The numbers in a source file: `x64 ... { name: number, ... }`, and `SYS_NAME = ... arm64 : x64`. */
function sourceCalls(file: string): { processor: string; name: string; number: number }[] {
  const text = readFileSync(new URL(`../src/${file}`, import.meta.url), "utf8");
  const tables = [...text.matchAll(/^const (x64|arm64): [\s\S]*?^\};$/gm)];
  const found = tables.flatMap(([table, processor = ""]) =>
    [...table.matchAll(/(\w+): (\d+),/g)].map(([, name = "", digits]) => ({
      processor,
      name,
      number: Number(digits),
    }))
  );
  const single = /^const SYS_(\w+) = .*"arm64" \? (\d+)n? : (\d+)n?;$/gm;
  for (const [, name = "", arm64, x64] of text.matchAll(single)) {
    found.push({ processor: "arm64", name: name.toLowerCase(), number: Number(arm64) });
    found.push({ processor: "x64", name: name.toLowerCase(), number: Number(x64) });
  }
  return found;
}

describe("the system calls of Linux", () => {
  for (
    const file of ["ffi/linux.ts", "ffi/linux_native.ts", "ffi/linux_sync.ts", "guard/stub.ts"]
  ) {
    test(`have the documented numbers in ${file}`, () => {
      const found = sourceCalls(file);
      assert(found.length > 0);
      for (const { processor, name, number } of found) {
        const numbers = systemCalls[name];
        assert(numbers !== undefined, `${name} has no number in this test`);
        assertEquals(number, numbers[processor === "x64" ? 0 : 1], `${name} on ${processor}`);
      }
    });
  }

  const headers = { x64: "asm/unistd_64.h", arm64: "asm-generic/unistd.h" };
  for (const [i, processor] of processors.entries()) {
    const include = `#include <${headers[processor]}>`;
    const compiles = process.platform === "linux" && compile("cc", [], [include]).status === 0;
    const skip = compiles ? false : `needs cc and ${headers[processor]}`;
    test(`are quoted right for ${processor}, say the headers`, { skip }, () => {
      const checks = Object.entries(systemCalls).map(([name, numbers]) =>
        `_Static_assert(__NR_${name} == ${numbers[i]}, "${name}");`
      );
      const { status, stderr } = compile("cc", [], [include, ...checks]);
      assertEquals(status, 0, stderr);
    });
  }
});

function includes(system: System): string {
  return ["stddef.h", ...system.headers].map((header) => `#include <${header}>\n`).join("");
}

/** Compiles C, which has to be right; what optimization leaves of a call of `wrong` is an error. */
function compile(
  compiler: string,
  options: readonly string[],
  lines: readonly string[],
): { status: number | null; stderr: string } {
  using dir = tempDir();
  const source = dir.file("check.c", ["#define _GNU_SOURCE", ...lines].join("\n"));
  return spawnSync(compiler, ["-O2", "-w", ...options, "-c", "-o", dir.file("check.o"), source], {
    encoding: "utf8",
  });
}

function withoutHeaders(system: System, compiler: string, options: readonly string[]): Skip {
  const found = compile(compiler, options, [includes(system)]).status === 0;
  return found ? false : `needs ${compiler} and the headers of ${system.name}`;
}

/** The calls of one name. */
function callsOf({ calls }: Heard, name: string): (readonly unknown[])[] {
  return calls.filter((call) => call.name === name).map(({ args }) => args);
}

/** A `struct stat` of macOS: a regular file of a size, blocks of 4096 bytes. */
function fillStat(size: bigint): (fd: unknown, stat: unknown) => Value {
  return (_, stat) => {
    const { buffer, byteOffset } = stat as Uint8Array;
    const fields = new DataView(buffer, byteOffset);
    fields.setUint16(4, 0o100644, true); // st_mode
    fields.setBigInt64(96, size, true); // st_size
    fields.setInt32(112, 4096, true); // st_blksize
    return 0;
  };
}

const FSTAT = process.arch === "x64" ? "fstat$INODE64" : "fstat";

describe("macOS", () => {
  test("takes its library, and fstat of 64-bit inodes", () => {
    const { tables } = listen(darwin);
    assertEquals(
      new Set(tables.map(({ library }) => library)),
      new Set(["/usr/lib/libSystem.B.dylib"]),
    );
    assert(tables.some(({ table }) => FSTAT in table));
  });

  test("asks for the page size by its number", () => {
    const { platform } = listen(darwin, { sysconf: (name) => name === 29 ? 16384 : -1 });
    assertEquals([platform.pageSize, platform.allocationGranularity], [16384, 16384]);
  });

  test("passes the variadic argument where arm64 and Intel look for it", () => {
    const heard = listen(darwin, { fcntl: () => 9 });
    assertEquals(heard.platform.duplicate(5), 9);
    const [args = []] = callsOf(heard, "fcntl");
    // Two registers for the named arguments, six to fill, and then the stack: the ninth is the first there.
    assertEquals(args.length, 9);
    assertEquals(args.slice(0, 2), [5, 67]); // F_DUPFD_CLOEXEC
    assertEquals(args[2], args[8], "Intel takes the third argument, arm64 the first on the stack");
    const fcntl = heard.tables.find(({ table }) => "fcntl" in table)!.table["fcntl"]!;
    assertEquals(fcntl.parameters, ["i32", "i32", ...Array(7).fill("usize")]);
  });

  test("brings a synchronous flush of a file to the medium, and no other", () => {
    const { MS_SYNC, MS_ASYNC } = darwinConstants;
    const heard = listen(darwin);
    heard.platform.sync(0x4000n, 16384, MS_SYNC, 5);
    heard.platform.sync(0x4000n, 16384, MS_ASYNC, 5);
    heard.platform.sync(0x4000n, 16384, MS_SYNC, -1);
    assertEquals(callsOf(heard, "msync").length, 3);
    assertEquals(callsOf(heard, "fcntl").map((args) => args.slice(0, 2)), [[5, 51]]); // F_FULLFSYNC
  });

  test("brings an asynchronous one to the medium as well", async () => {
    const heard = listen(darwin);
    await heard.platform.syncAsync(0x4000n, 16384, darwinConstants.MS_SYNC, 5);
    assertEquals(callsOf(heard, "fcntl").map((args) => args.slice(0, 2)), [[5, 51]]);
  });

  test("reads kind and size from struct stat", () => {
    const heard = listen(darwin, { [FSTAT]: fillStat(12345678901n) });
    assertEquals(heard.platform.fileInfo(5), { kind: "file", size: 12345678901 });
  });

  test("allocates what a file lacks with fstore_t, behind its end, and then makes it longer", async () => {
    for (const later of [false, true]) {
      const heard = listen(darwin, { [FSTAT]: fillStat(4096n) });
      if (later) await heard.platform.allocateAsync!(5, 0, 20480);
      else heard.platform.allocate!(5, 0, 20480);
      const [args = []] = callsOf(heard, "fcntl");
      assertEquals(args.slice(0, 2), [5, 42]); // F_PREALLOCATE
      const bytes = heard.viewAt(args[8]);
      assertEquals(bytes.length, 32);
      const fields = new DataView(bytes.buffer, bytes.byteOffset);
      assertEquals(fields.getUint32(0, true), 4); // fst_flags: F_ALLOCATEALL
      assertEquals(fields.getInt32(4, true), 3); // fst_posmode: F_PEOFPOSMODE
      assertEquals(fields.getBigInt64(8, true), 0n); // fst_offset: 0 with that mode
      assertEquals(fields.getBigInt64(16, true), 16384n); // fst_length
      assertEquals(callsOf(heard, "ftruncate"), [[5, 20480n]]);
    }
  });

  test("punches holes of whole blocks with fpunchhole_t", () => {
    const heard = listen(darwin, { [FSTAT]: fillStat(65536n) });
    heard.platform.punchHole!(5, 100, 16384);
    const [args = []] = callsOf(heard, "fcntl");
    assertEquals(args.slice(0, 2), [5, 99]); // F_PUNCHHOLE
    const bytes = heard.viewAt(args[8]);
    assertEquals(bytes.length, 24);
    const fields = new DataView(bytes.buffer, bytes.byteOffset);
    assertEquals(fields.getBigUint64(0, true), 0n); // fp_flags, reserved
    assertEquals(fields.getBigInt64(8, true), 4096n); // fp_offset
    assertEquals(fields.getBigInt64(16, true), 12288n); // fp_length: up to 16384, the last whole block
  });

  test("creates named memory with its size, and passes the mode as variadic", () => {
    const heard = listen(darwin, { shm_open: () => 7 });
    const create = { size: 20480, permissions: 0o640 };
    const memory = heard.platform.openNamed!("name", { create, write: true, owned: false });
    assertEquals([memory.fd, memory.size], [7, 20480]);
    const [[name, ...args] = []] = callsOf(heard, "shm_open");
    assertEquals(new TextDecoder().decode(name as Uint8Array), "/name\0");
    assertEquals(args, [0x200 | 0x800 | 2, 0o640n, 0n, 0n, 0n, 0n, 0n, 0o640n]);
    assertEquals(callsOf(heard, "ftruncate"), [[7, 20480n]]);
    memory.close();
    assertEquals(callsOf(heard, "close"), [[7]]);
  });

  test("opens named memory with the size that it has", () => {
    const heard = listen(darwin, { shm_open: () => 7, [FSTAT]: fillStat(32768n) });
    const options = { create: undefined, write: false, owned: false };
    assertEquals(heard.platform.openNamed!("name", options).size, 32768);
    assertEquals(callsOf(heard, "shm_open").map((args) => args[1]), [0]); // O_RDONLY
  });

  test("takes names of 31 bytes with the slash, and says so of longer ones", () => {
    const heard = listen(darwin);
    const options = { create: undefined, write: true, owned: false };
    heard.platform.openNamed!("n".repeat(30), options);
    for (const name of ["n".repeat(31), "\u00fc".repeat(16)]) {
      const error = assertThrows(() => heard.platform.openNamed!(name, options), SystemCallError);
      assertEquals([error.code, error.errno, error.syscall], ["ENAMETOOLONG", 63, "shm_open"]);
      assertThrows(() => heard.platform.unlinkNamed!(name), SystemCallError);
    }
    assertEquals(callsOf(heard, "shm_open").length, 1);
  });

  test("refuses names that end with their creator: nothing would tell that it has been killed", () => {
    const heard = listen(darwin);
    const create = { size: 4096, permissions: 0o600 };
    const error = assertThrows(
      () => heard.platform.openNamed!("name", { create, write: true, owned: true }),
      SystemCallError,
    );
    assertEquals([error.code, callsOf(heard, "shm_open")], ["ENOTSUP", []]);
  });

  test("gives everything back when named memory cannot get its size", () => {
    const heard = listen(darwin, { shm_open: () => 7, ftruncate: () => -1 });
    const create = { size: 4096, permissions: 0o600 };
    const options = { create, write: true, owned: false };
    assertThrows(() => heard.platform.openNamed!("name", options), SystemCallError);
    assertEquals(callsOf(heard, "close"), [[7]]);
    assertEquals(callsOf(heard, "shm_unlink").length, 1);
  });

  test("leaves maps of files out of child processes", () => {
    const heard = listen(darwin);
    heard.platform.inherit(0x4000n, 16384, false);
    assertEquals(callsOf(heard, "minherit"), [[0x4000n, 16384n, 2]]); // VM_INHERIT_NONE
  });

  test("has no call of Linux: what is missing is missing from the platform", () => {
    const { platform } = listen(darwin);
    const missing = ["remap", "populate", "label", "stats", "memfd", "hugePageSize"] as const;
    for (const name of missing) assertEquals(platform[name], undefined, name);
  });
});
