/**
 * Windows: kernel32's calls under POSIX names. `GetLastError` becomes an error code of the POSIX family.
 *
 * A descriptor is one of the C runtime, as `openSync` of `node:fs` returns it, or a HANDLE plus
 * {@link HANDLE_BASE} (of a file) or {@link SECTION_BASE} (of a section); a HANDLE has 32 significant
 * bits, so that they cannot be confused.
 */
import type {
  Constants,
  FileInfo,
  MemoryFunctions,
  MemoryStats,
  NamedMemory,
  NamedOptions,
  Platform,
} from "./platform.ts";
import type { OffThreadFunctions, OffThreadResult, Runtime } from "./runtime.ts";
import { CURRENT_PROCESS, HANDLE_BASE, openDescriptors } from "./windows_handles.ts";
import { isSection, openNamed, SECTION_BASE, unlinkNamed } from "./windows_named.ts";
import { checkedCopies } from "./checked_copies.ts";
import {
  crtSymbols,
  crtViewSymbols,
  discardSymbols,
  kernel32Symbols,
  windowsError,
} from "./windows_symbols.ts";

/**
 * Windows has no such constants: Linux's numbers where the idea exists, and advice that it has no call
 * for as -100 less Linux's number.
 */
export const windowsConstants: Constants = {
  PROT_NONE: 0,
  PROT_READ: 1,
  PROT_WRITE: 2,
  PROT_EXEC: 4,
  MAP_FILE: 0,
  MAP_SHARED: 0x01,
  MAP_PRIVATE: 0x02,
  MAP_ANONYMOUS: 0x800,
  MAP_FIXED: 0x10,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x8000,
  MAP_LOCKED: 0x2000,
  MAP_HUGETLB: 0x40000,
  MAP_STACK: 0x20000,
  FILE_MAP_EXECUTE: 0x20, // memoryapi.h; asks for an executable view
  MS_ASYNC: 1,
  MS_SYNC: 4,
  MS_INVALIDATE: 2,
  MADV_NORMAL: 0,
  MADV_RANDOM: 1,
  MADV_SEQUENTIAL: 2,
  MADV_WILLNEED: 3,
  MADV_DONTNEED: 4,
  MADV_FREE: 8,
  MADV_REMOVE: -109,
  MADV_DONTFORK: -110,
  MADV_DOFORK: -111,
  MADV_MERGEABLE: -112,
  MADV_UNMERGEABLE: -113,
  MADV_HUGEPAGE: -114,
  MADV_NOHUGEPAGE: -115,
  MADV_DONTDUMP: -116,
  MADV_DODUMP: -117,
  MADV_WIPEONFORK: -118,
  MADV_KEEPONFORK: -119,
  MADV_COLD: -120,
  MADV_PAGEOUT: -121,
  MADV_POPULATE_READ: -122,
  MADV_POPULATE_WRITE: -123,
  MADV_DONTNEED_LOCKED: -124,
  MADV_COLLAPSE: -125,
};

const {
  PROT_READ,
  PROT_WRITE,
  PROT_EXEC,
  MAP_SHARED,
  MAP_POPULATE,
  MAP_LOCKED,
  MAP_HUGETLB,
  FILE_MAP_EXECUTE,
  MS_SYNC,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
} = windowsConstants;

/** The calls that may take long, for other threads. */
const slowSymbols = {
  FlushViewOfFile: kernel32Symbols.FlushViewOfFile,
  FlushFileBuffers: kernel32Symbols.FlushFileBuffers,
  ReadProcessMemory: kernel32Symbols.ReadProcessMemory,
  DeviceIoControl: kernel32Symbols.DeviceIoControl,
} as const;

// winnt.h
const PAGE_NOACCESS = 0x01;
const PAGE_READONLY = 0x02;
const PAGE_READWRITE = 0x04;
const PAGE_WRITECOPY = 0x08;
const PAGE_EXECUTE = 0x10;
const PAGE_EXECUTE_READ = 0x20;
const PAGE_EXECUTE_READWRITE = 0x40;
const PAGE_EXECUTE_WRITECOPY = 0x80;
const MEM_COMMIT = 0x1000;
const MEM_RESERVE = 0x2000;
const MEM_DECOMMIT = 0x4000;
const MEM_RELEASE = 0x8000;
const MEM_MAPPED = 0x40000;
const MEM_RESET = 0x80000;
const MEM_LARGE_PAGES = 0x20000000;
const SEC_COMMIT = 0x8000000;
const SEC_LARGE_PAGES = 0x80000000;
// memoryapi.h
const FILE_MAP_COPY = 0x1;
const FILE_MAP_WRITE = 0x2;
const FILE_MAP_READ = 0x4;
// fileapi.h, minwinbase.h, winioctl.h, handleapi.h
const FILE_TYPE_UNKNOWN = 0; // the HANDLE is none
const FILE_TYPE_DISK = 1;
const FILE_ATTRIBUTE_DIRECTORY = 0x10;
const FileEndOfFileInfo = 6;
const LOCKFILE_FAIL_IMMEDIATELY = 1;
const LOCKFILE_EXCLUSIVE_LOCK = 2;
const FSCTL_SET_SPARSE = 0x900c4;
const FSCTL_SET_ZERO_DATA = 0x980c8;
const DUPLICATE_SAME_ACCESS = 2;
// winerror.h
const ERROR_INVALID_FUNCTION = 1; // a file system without sparse files
const ERROR_ACCESS_DENIED = 5;
const ERROR_LOCK_VIOLATION = 33;
const ERROR_NOT_SUPPORTED = 50;
const ERROR_INVALID_PARAMETER = 87;
const ERROR_NOT_LOCKED = 158;

/** By PROT_READ | PROT_WRITE | PROT_EXEC; a page that can be written can be read. */
const pageProtections = [
  PAGE_NOACCESS,
  PAGE_READONLY,
  PAGE_READWRITE,
  PAGE_READWRITE,
  PAGE_EXECUTE,
  PAGE_EXECUTE_READ,
  PAGE_EXECUTE_READWRITE,
  PAGE_EXECUTE_READWRITE,
] as const;

/** The PAGE_ constant for a protection; writable pages of a private view of a file are copied. */
function pageProtection(prot: number, copyOnWrite: boolean): number {
  const page = pageProtections[prot & 7]!;
  if (!copyOnWrite) return page;
  if (page === PAGE_READWRITE) return PAGE_WRITECOPY;
  return page === PAGE_EXECUTE_READWRITE ? PAGE_EXECUTE_WRITECOPY : page;
}

// SYSTEM_INFO on 64 bits
const SYSTEM_INFO_LENGTH = 48;
const PAGE_SIZE_OFFSET = 4;
const ALLOCATION_GRANULARITY_OFFSET = 40;

// MEMORY_BASIC_INFORMATION on 64 bits
const MEMORY_INFO_LENGTH = 48;
const BASE_OFFSET = 0;
const ALLOCATION_BASE_OFFSET = 8;
const ALLOCATION_PROTECT_OFFSET = 16;
const REGION_SIZE_OFFSET = 24;
const STATE_OFFSET = 32;
const PROTECT_OFFSET = 36;
const TYPE_OFFSET = 40;

/** Neighbouring pages that are alike, as VirtualQuery reports them. */
interface Region {
  readonly start: bigint;
  readonly end: bigint;
  /** Start of the view or allocation that they are part of. */
  readonly allocation: bigint;
  readonly isCommitted: boolean;
  /** PAGE_ constant. */
  readonly page: number;
  readonly isView: boolean;
  /** A private view: writing makes copies of pages. */
  readonly copyOnWrite: boolean;
}

// BY_HANDLE_FILE_INFORMATION
const FILE_INFO_LENGTH = 52;
const FILE_ATTRIBUTES_OFFSET = 0;
const FILE_SIZE_HIGH_OFFSET = 32;
const FILE_SIZE_LOW_OFFSET = 36;

// OVERLAPPED on 64 bits
const OVERLAPPED_LENGTH = 32;
const OVERLAPPED_OFFSET_HIGH_OFFSET = 20;

/**
 * Windows keeps others from reading and writing what is locked. The lock that stands for a whole file
 * is therefore on one byte where no file has any.
 */
const LOCK_BYTE_HIGH = 0x7fffffff;

// PSAPI_WORKING_SET_EX_INFORMATION: an address, and these bits
const WORKING_SET_VALID = 1n;
const WORKING_SET_SHARED = 1n << 15n;
const WORKING_SET_LARGE_PAGE = 1n << 23n;
/** Pages asked about in one call. */
const WORKING_SET_BATCH = 65536;

/** Waits for whoever holds a lock on a part of a file that is flushed: 1 ms, 2 ms, ... 512 ms. */
const FLUSH_WAITS = 10;

/** FILE_SET_SPARSE_BUFFER. Taking the attribute away gives every hole its blocks. */
const SPARSE: Uint8Array<ArrayBuffer> = new Uint8Array([1]);
const NOT_SPARSE: Uint8Array<ArrayBuffer> = new Uint8Array([0]);

/** Bytes that `populate` reads at a time. */
const POPULATE_STEP = 2 ** 20;

/** Opens kernel32 and the C runtime. @throws {Error} The runtime's own error if it cannot. */
export function openWindows(runtime: Runtime): Platform {
  const kernel32 = runtime.dlopen("kernel32.dll", kernel32Symbols);
  const systemInfo = new DataView(new ArrayBuffer(SYSTEM_INFO_LENGTH));
  kernel32.GetSystemInfo(systemInfo);
  const pageSize = systemInfo.getUint32(PAGE_SIZE_OFFSET, true);
  const largePageSize = Number(kernel32.GetLargePageMinimum());

  // One call at a time fills these.
  const result = new DataView(new ArrayBuffer(8));
  const memoryInfo = new DataView(new ArrayBuffer(MEMORY_INFO_LENGTH));
  const fileInformation = new DataView(new ArrayBuffer(FILE_INFO_LENGTH));
  const range = new BigInt64Array(2);
  /** Where calls, on any thread, put what nobody reads. */
  const scratch = new Uint8Array(POPULATE_STEP);

  /** For results that are 0 on failure. */
  const check = (value: number | bigint, syscall: string): bigint => {
    if (value === 0 || value === 0n) throw windowsError(syscall, kernel32.GetLastError());
    return BigInt(value);
  };

  let osHandle: ((fd: number) => bigint) | undefined;
  /** What a descriptor has on top of a HANDLE; 0 for one of the C runtime. */
  const baseOf = (fd: number): number =>
    isSection(fd) ? SECTION_BASE : fd >= HANDLE_BASE ? HANDLE_BASE : 0;
  const handleOf = (fd: number): bigint =>
    baseOf(fd) === 0
      ? (osHandle ??= openDescriptors(runtime, kernel32))(fd)
      : BigInt(fd - baseOf(fd));

  const query = (address: bigint): Region => {
    check(
      kernel32.VirtualQuery(address, memoryInfo, BigInt(MEMORY_INFO_LENGTH)),
      "VirtualQuery",
    );
    const start = memoryInfo.getBigUint64(BASE_OFFSET, true);
    const initial = memoryInfo.getUint32(ALLOCATION_PROTECT_OFFSET, true);
    return {
      start,
      end: start + memoryInfo.getBigUint64(REGION_SIZE_OFFSET, true),
      allocation: memoryInfo.getBigUint64(ALLOCATION_BASE_OFFSET, true),
      isCommitted: memoryInfo.getUint32(STATE_OFFSET, true) === MEM_COMMIT,
      page: memoryInfo.getUint32(PROTECT_OFFSET, true),
      isView: memoryInfo.getUint32(TYPE_OFFSET, true) === MEM_MAPPED,
      copyOnWrite: (initial & (PAGE_WRITECOPY | PAGE_EXECUTE_WRITECOPY)) !== 0,
    };
  };

  const protect = (address: bigint, length: number, page: number): void => {
    if (kernel32.VirtualProtect(address, BigInt(length), page, result) !== 0) return;
    const error = kernel32.GetLastError();
    // The range is valid: what does not fit is the access that the view was made with.
    const code = error === ERROR_INVALID_PARAMETER ? "EACCES" : undefined;
    throw windowsError("VirtualProtect", error, code);
  };
  const unmap = (address: bigint): void => {
    if (query(address).isView) check(kernel32.UnmapViewOfFile(address), "UnmapViewOfFile");
    else check(kernel32.VirtualFree(address, 0n, MEM_RELEASE), "VirtualFree");
  };
  /** Does the rest of making a mapping; takes the mapping away when that fails. */
  const finish = (address: bigint, rest: () => void): void => {
    try {
      rest();
    } catch (error) {
      unmap(address);
      throw error;
    }
  };
  const lock = (address: bigint, length: number): void => {
    check(kernel32.VirtualLock(address, BigInt(length)), "VirtualLock");
  };
  const prefetch = (address: bigint, length: number): void => {
    const entry = new BigUint64Array([address, BigInt(length)]);
    const ok = kernel32.PrefetchVirtualMemory(CURRENT_PROCESS, 1n, entry, 0);
    check(ok, "PrefetchVirtualMemory");
  };

  const mapMemory = (length: number, prot: number, flags: number): bigint => {
    const type = MEM_RESERVE | MEM_COMMIT | ((flags & MAP_HUGETLB) !== 0 ? MEM_LARGE_PAGES : 0);
    const page = pageProtection(prot, false);
    const address = BigInt(kernel32.VirtualAlloc(0n, BigInt(length), type, page));
    if (address !== 0n) return address;
    const error = kernel32.GetLastError();
    // The rest is valid: what can be wrong is a length that no process has addresses for.
    const tooLong = error === ERROR_INVALID_PARAMETER && (flags & MAP_HUGETLB) === 0;
    throw windowsError("VirtualAlloc", error, tooLong ? "ENOMEM" : undefined);
  };
  /** A view of a section; `length` 0 is all of it. */
  const mapView = (section: bigint, access: number, offset: number, length: number) =>
    kernel32.MapViewOfFile(
      section,
      access,
      Math.floor(offset / 2 ** 32),
      offset >>> 0,
      BigInt(length),
    );
  const mapFile = (
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint => {
    const file = handleOf(fd);
    const shared = (flags & MAP_SHARED) !== 0;
    const executable = (prot & PROT_EXEC) !== 0 || (flags & FILE_MAP_EXECUTE) !== 0;
    const type = (flags & MAP_HUGETLB) !== 0 ? SEC_COMMIT | SEC_LARGE_PAGES : 0;
    const sectionPage = (access: number): number =>
      pageProtection(access | (executable ? PROT_EXEC : 0), !shared);
    const createSection = (page: number): number | bigint =>
      kernel32.CreateFileMappingW(file, null, (page | type) >>> 0, 0, 0, null);

    // A view never gets more access than it was made with: ask for all that the handle has, so that
    // protect() can grant it later.
    let page = sectionPage(PROT_READ | PROT_WRITE);
    let access = shared ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_COPY;
    let section = BigInt(createSection(page));
    if (section === 0n) {
      const error = kernel32.GetLastError();
      const mayRead = shared && (prot & PROT_WRITE) === 0 && error === ERROR_ACCESS_DENIED;
      if (!mayRead) throw windowsError("CreateFileMappingW", error);
      page = sectionPage(PROT_READ);
      access = FILE_MAP_READ;
      section = check(createSection(page), "CreateFileMappingW");
    }
    let address: bigint;
    try {
      address = check(
        mapView(section, access | (executable ? FILE_MAP_EXECUTE : 0), offset, length),
        "MapViewOfFile",
      );
    } finally {
      kernel32.CloseHandle(section); // the view keeps the section
    }
    const wanted = pageProtection(prot, !shared);
    if (wanted !== page) finish(address, () => protect(address, length, wanted));
    return address;
  };
  const mapSection = (length: number, prot: number, fd: number, offset: number): bigint => {
    const section = handleOf(fd);
    const writable = BigInt(mapView(section, FILE_MAP_READ | FILE_MAP_WRITE, offset, length));
    if (writable !== 0n) {
      const page = pageProtection(prot, false);
      if (page !== PAGE_READWRITE) finish(writable, () => protect(writable, length, page));
      return writable;
    }
    const error = kernel32.GetLastError();
    const mayRead = (prot & PROT_WRITE) === 0 && error === ERROR_ACCESS_DENIED;
    if (!mayRead) throw windowsError("MapViewOfFile", error);
    return check(mapView(section, FILE_MAP_READ, offset, length), "MapViewOfFile");
  };
  /** Only a view tells how long a section is. */
  const sectionSize = (section: bigint): number => {
    const view = check(mapView(section, FILE_MAP_READ, 0, 0), "MapViewOfFile");
    try {
      const { start, end } = query(view);
      return Number(end - start);
    } finally {
      kernel32.UnmapViewOfFile(view);
    }
  };

  /** Calls back for each of the regions that a range overlaps, cut to the range. */
  const forRegions = (address: bigint, length: number, each: (region: Region) => void): void => {
    const end = address + BigInt(length);
    for (let at = address; at < end;) {
      const region = query(at);
      each({ ...region, start: at, end: region.end < end ? region.end : end });
      at = region.end;
    }
  };
  /** Gives the pages up and takes zero pages in their place, with the same protection. */
  const zeroPages = ({ start, end, page, isCommitted }: Region): void => {
    if (!isCommitted) return;
    check(kernel32.VirtualFree(start, end - start, MEM_DECOMMIT), "VirtualFree");
    check(kernel32.VirtualAlloc(start, end - start, MEM_COMMIT, page), "VirtualAlloc");
  };
  let discard: ReturnType<typeof openDiscard> | null;
  /** Says that the content is not needed: the system takes the pages when it wants them. */
  const giveUp = ({ start, end, page }: Region): void => {
    discard ??= openDiscard(runtime) ?? null;
    if (discard === null) {
      check(kernel32.VirtualAlloc(start, end - start, MEM_RESET, page), "VirtualAlloc");
      return;
    }
    const error = discard(start, end - start);
    if (error !== 0) throw windowsError("DiscardVirtualMemory", error);
  };
  /** Calls back with the bits of each page of a range. */
  const forPages = (address: bigint, length: number, each: (bits: bigint) => void): void => {
    const count = Math.ceil(length / pageSize);
    for (let first = 0; first < count; first += WORKING_SET_BATCH) {
      const entries = new BigUint64Array(2 * Math.min(WORKING_SET_BATCH, count - first));
      for (let i = 0; i < entries.length; i += 2) {
        entries[i] = address + BigInt((first + i / 2) * pageSize);
      }
      check(
        kernel32.K32QueryWorkingSetEx(CURRENT_PROCESS, entries, entries.byteLength),
        "QueryWorkingSetEx",
      );
      for (let i = 1; i < entries.length; i += 2) each(entries[i]!);
    }
  };

  /** The bytes of a file; leaves everything about it in `fileInformation`. */
  const fileSize = (handle: bigint): number => {
    const ok = kernel32.GetFileInformationByHandle(handle, fileInformation);
    check(ok, "GetFileInformationByHandle");
    return fileInformation.getUint32(FILE_SIZE_HIGH_OFFSET, true) * 2 ** 32 +
      fileInformation.getUint32(FILE_SIZE_LOW_OFFSET, true);
  };
  /** The last parameters of DeviceIoControl; `input` must live until the call is over. */
  const controlArguments = (input: ArrayBufferView) =>
    [runtime.addressOf(input), input.byteLength, 0n, 0, runtime.addressOf(scratch), 0n] as const;
  /** File systems without sparse files refuse; every file has its blocks there. */
  const setSparse = (handle: bigint): void => {
    kernel32.DeviceIoControl(handle, FSCTL_SET_SPARSE, ...controlArguments(SPARSE));
  };
  const setSize = (handle: bigint, size: number): void => {
    range[0] = BigInt(size);
    const end = runtime.addressOf(range);
    const ok = kernel32.SetFileInformationByHandle(handle, FileEndOfFileInfo, end, 8);
    check(ok, "SetFileInformationByHandle");
  };

  let offThread: OffThreadFunctions<typeof slowSymbols> | undefined;
  const later = (): OffThreadFunctions<typeof slowSymbols> =>
    // The last error stays behind in the other thread: `settle` calls again.
    offThread ??= runtime.dlopenOffThread("kernel32.dll", slowSymbols);
  /** Waits for a call on another thread; `again` makes it here for the error of a failure. */
  const settle = async (call: Promise<OffThreadResult>, again: () => void): Promise<void> => {
    const { result } = await call;
    if (result === 0) again();
  };

  const windows: Platform = {
    name: "Windows",
    runtime,
    constants: windowsConstants,
    pageSize,
    allocationGranularity: systemInfo.getUint32(ALLOCATION_GRANULARITY_OFFSET, true),
    mapFlags: MAP_SHARED | windowsConstants.MAP_PRIVATE | windowsConstants.MAP_ANONYMOUS |
      MAP_POPULATE | MAP_LOCKED | MAP_HUGETLB | windowsConstants.MAP_STACK | FILE_MAP_EXECUTE,
    truncatesMapped: false,
    locksOnFault: false,
    dontNeedDrops: true,
    memory: windowsMemory(runtime),

    map(length: number, prot: number, flags: number, fd: number, offset: number): bigint {
      const address = fd === -1
        ? mapMemory(length, prot, flags)
        : isSection(fd)
        ? mapSection(length, prot, fd, offset)
        : mapFile(length, prot, flags, fd, offset);
      finish(address, () => {
        if ((flags & MAP_POPULATE) !== 0) windows.populate!(address, length, false);
        if ((flags & MAP_LOCKED) !== 0) lock(address, length);
      });
      return address;
    },
    unmap,
    blank(address: bigint, length: number): void {
      const region = query(address);
      if (!region.isView) {
        forRegions(address, length, (region) => {
          const size = region.end - region.start;
          check(kernel32.VirtualFree(region.start, size, MEM_DECOMMIT), "VirtualFree");
          const zeros = kernel32.VirtualAlloc(region.start, size, MEM_COMMIT, PAGE_READWRITE);
          check(zeros, "VirtualAlloc");
        });
        return;
      }
      // A view goes as a whole. Another thread may be faster to take the addresses: then this fails.
      if (region.allocation !== address) throw windowsError("UnmapViewOfFile", ERROR_NOT_SUPPORTED);
      check(kernel32.UnmapViewOfFile(address), "UnmapViewOfFile");
      const type = MEM_RESERVE | MEM_COMMIT;
      check(kernel32.VirtualAlloc(address, BigInt(length), type, PAGE_READWRITE), "VirtualAlloc");
    },
    reserve(address: bigint, length: number): void {
      if (query(address).isView) return protect(address, length, PAGE_NOACCESS);
      check(kernel32.VirtualFree(address, BigInt(length), MEM_DECOMMIT), "VirtualFree");
    },
    protect(address: bigint, length: number, prot: number): void {
      protect(address, length, pageProtection(prot, query(address).copyOnWrite));
    },
    sync(address: bigint, length: number, flags: number, fd: number): void {
      if (fd === -1 || isSection(fd)) return;
      for (let wait = 0; kernel32.FlushViewOfFile(address, BigInt(length)) === 0; wait++) {
        const error = kernel32.GetLastError();
        if (error !== ERROR_LOCK_VIOLATION || wait === FLUSH_WAITS) {
          throw windowsError("FlushViewOfFile", error);
        }
        kernel32.Sleep(2 ** wait);
      }
      if ((flags & MS_SYNC) === 0 || kernel32.FlushFileBuffers(handleOf(fd)) !== 0) return;
      const error = kernel32.GetLastError();
      // A handle without write access has written nothing.
      if (error !== ERROR_ACCESS_DENIED) throw windowsError("FlushFileBuffers", error);
    },
    lock,
    unlock(address: bigint, length: number): void {
      if (kernel32.VirtualUnlock(address, BigInt(length)) !== 0) return;
      const error = kernel32.GetLastError();
      if (error !== ERROR_NOT_LOCKED) throw windowsError("VirtualUnlock", error); // POSIX: fine
    },
    advise(address: bigint, length: number, advice: number): void {
      // How far Windows reads ahead in a view is up to Windows: the hint is taken, and changes nothing.
      if (advice === MADV_NORMAL || advice === MADV_RANDOM || advice === MADV_SEQUENTIAL) return;
      if (advice === MADV_WILLNEED) return prefetch(address, length);
      if (advice !== MADV_DONTNEED && advice !== MADV_FREE) {
        throw windowsError("madvise", ERROR_INVALID_PARAMETER);
      }
      forRegions(address, length, (region) => {
        const size = region.end - region.start;
        if (region.copyOnWrite || (region.isView && advice === MADV_FREE)) {
          throw windowsError("madvise", ERROR_NOT_SUPPORTED); // a view keeps what was written to it
        }
        // Unlocking takes pages out of the working set; they come back from the file.
        if (region.isView) windows.unlock(region.start, Number(size));
        else if (advice === MADV_DONTNEED) zeroPages(region);
        else if (region.isCommitted) giveUp(region);
      });
    },
    resident(address: bigint, length: number, pages: Uint8Array): void {
      let page = 0;
      forPages(address, length, (bits) => pages[page++] = Number(bits & WORKING_SET_VALID));
    },
    inherit(_address: bigint, _length: number, inherited: boolean): void {
      if (inherited) throw windowsError("fork", ERROR_NOT_SUPPORTED);
    },
    populate(address: bigint, length: number): void {
      for (let done = 0; done < length; done += POPULATE_STEP) {
        const ok = kernel32.ReadProcessMemory(
          CURRENT_PROCESS,
          address + BigInt(done),
          runtime.addressOf(scratch),
          BigInt(Math.min(POPULATE_STEP, length - done)),
          0n,
        );
        check(ok, "ReadProcessMemory");
      }
    },
    ...checkedCopies(runtime, (from, to, length) => {
      // It tells nothing of a part that it has copied: the caller asks for the pages one by one.
      const size = BigInt(length);
      return kernel32.ReadProcessMemory(CURRENT_PROCESS, from, to, size, 0n) === 0 ? 0 : length;
    }),
    stats(address: bigint, length: number): MemoryStats {
      const stats = { mapped: 0, resident: 0, shared: 0, swapped: 0, huge: 0 };
      forPages(address, length, (bits) => {
        stats.mapped += pageSize;
        if ((bits & WORKING_SET_VALID) === 0n) return;
        stats.resident += pageSize;
        if ((bits & WORKING_SET_SHARED) !== 0n) stats.shared += pageSize;
        if ((bits & WORKING_SET_LARGE_PAGE) !== 0n) stats.huge += pageSize;
      });
      return stats;
    },

    fileInfo(fd: number): FileInfo {
      if (isSection(fd)) return { kind: "other", size: 0 };
      const handle = handleOf(fd);
      const type = kernel32.GetFileType(handle);
      if (type === FILE_TYPE_UNKNOWN) check(0, "GetFileType");
      if (type !== FILE_TYPE_DISK) return { kind: "other", size: 0 };
      const size = fileSize(handle);
      const attributes = fileInformation.getUint32(FILE_ATTRIBUTES_OFFSET, true);
      const isDirectory = (attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0;
      return isDirectory ? { kind: "directory", size: 0 } : { kind: "file", size };
    },
    truncate(fd: number, size: number): void {
      if (isSection(fd)) throw windowsError("SetFileInformationByHandle", ERROR_NOT_SUPPORTED);
      const handle = handleOf(fd);
      if (size > fileSize(handle)) setSparse(handle); // or what is added gets its blocks
      setSize(handle, size);
    },
    allocate(fd: number, offset: number, length: number): void {
      const handle = handleOf(fd);
      const allBlocks = controlArguments(NOT_SPARSE);
      if (kernel32.DeviceIoControl(handle, FSCTL_SET_SPARSE, ...allBlocks) === 0) {
        const error = kernel32.GetLastError();
        if (error !== ERROR_INVALID_FUNCTION) throw windowsError("DeviceIoControl", error);
      }
      if (offset + length > fileSize(handle)) setSize(handle, offset + length);
    },
    punchHole(fd: number, offset: number, length: number): void {
      const handle = handleOf(fd);
      setSparse(handle);
      range[0] = BigInt(offset);
      range[1] = BigInt(offset + length);
      const zeros = controlArguments(range);
      check(kernel32.DeviceIoControl(handle, FSCTL_SET_ZERO_DATA, ...zeros), "DeviceIoControl");
    },
    lockFile(fd: number, exclusive: boolean): boolean {
      const overlapped = new DataView(new ArrayBuffer(OVERLAPPED_LENGTH));
      overlapped.setUint32(OVERLAPPED_OFFSET_HIGH_OFFSET, LOCK_BYTE_HIGH, true);
      const flags = LOCKFILE_FAIL_IMMEDIATELY | (exclusive ? LOCKFILE_EXCLUSIVE_LOCK : 0);
      if (kernel32.LockFileEx(handleOf(fd), flags, 0, 1, 0, overlapped) !== 0) return true;
      const error = kernel32.GetLastError();
      if (error === ERROR_LOCK_VIOLATION) return false;
      throw windowsError("LockFileEx", error);
    },
    ...(largePageSize > 0 ? { hugePageSize: (): number => largePageSize } : {}),
    descriptorOfHandle(handle: bigint): number {
      return HANDLE_BASE + Number(handle);
    },
    duplicate(fd: number): number {
      const ok = kernel32.DuplicateHandle(
        CURRENT_PROCESS,
        handleOf(fd),
        CURRENT_PROCESS,
        result,
        0,
        0,
        DUPLICATE_SAME_ACCESS,
      );
      check(ok, "DuplicateHandle");
      return Math.max(baseOf(fd), HANDLE_BASE) + Number(result.getBigUint64(0, true));
    },
    closeDuplicate(fd: number): void {
      check(kernel32.CloseHandle(handleOf(fd)), "CloseHandle");
    },
    openNamed(name: string, options: NamedOptions): NamedMemory {
      return openNamed(kernel32, sectionSize, name, options);
    },
    unlinkNamed(name: string): void {
      unlinkNamed(kernel32, name);
    },

    async populateAsync(address: bigint, length: number, write: boolean): Promise<void> {
      const buffer = runtime.addressOf(scratch);
      for (let done = 0; done < length; done += POPULATE_STEP) {
        const at = address + BigInt(done);
        const size = Math.min(POPULATE_STEP, length - done);
        await settle(
          later().ReadProcessMemory(CURRENT_PROCESS, at, buffer, BigInt(size), 0n),
          () => windows.populate!(at, size, write),
        );
      }
    },
    async syncAsync(address: bigint, length: number, flags: number, fd: number): Promise<void> {
      if (fd === -1 || isSection(fd)) return;
      const again = (): void => windows.sync(address, length, flags, fd);
      await settle(later().FlushViewOfFile(address, BigInt(length)), again);
      if ((flags & MS_SYNC) !== 0) await settle(later().FlushFileBuffers(handleOf(fd)), again);
    },
    async allocateAsync(fd: number, offset: number, length: number): Promise<void> {
      const handle = handleOf(fd);
      const allBlocks = controlArguments(NOT_SPARSE);
      await settle(
        later().DeviceIoControl(handle, FSCTL_SET_SPARSE, ...allBlocks),
        () => windows.allocate!(fd, offset, length),
      );
      if (offset + length > fileSize(handle)) setSize(handle, offset + length);
    },
  };
  return windows;
}

/** The call that gives up content, where kernel32 has it. It returns an error, 0 for none. */
function openDiscard(runtime: Runtime): ((address: bigint, length: bigint) => number) | undefined {
  try {
    return runtime.dlopen("kernel32.dll", discardSymbols).DiscardVirtualMemory;
  } catch {
    return undefined; // Wine 8
  }
}

/** The memory functions of the C runtime, with offsets instead of addresses as results. */
function windowsMemory(runtime: Runtime): MemoryFunctions {
  const crt = runtime.dlopen("ucrtbase.dll", crtSymbols);
  const { memcmp } = runtime.dlopen("ucrtbase.dll", crtViewSymbols);
  const memchr = (address: bigint, length: number, byte: number): number => {
    const found = BigInt(crt.memchr(address, byte, BigInt(length)));
    return found === 0n ? -1 : Number(found - address);
  };
  return {
    memchr,
    /** The C runtime has none: candidates are where the needle's rarest byte is. */
    memmem(address: bigint, length: number, needle: Uint8Array): number {
      const last = length - needle.length;
      if (last < 0) return -1;
      const sample = new Uint8Array(Math.min(length, 4096));
      crt.memmove(runtime.addressOf(sample), address, BigInt(sample.length));
      const counts = new Uint32Array(256);
      for (const byte of sample) counts[byte]!++;
      let anchor = 0;
      for (let i = 1; i < needle.length; i++) {
        if (counts[needle[i]!]! < counts[needle[anchor]!]!) anchor = i;
      }
      for (let start = 0; start <= last; start++) {
        const from = address + BigInt(start + anchor);
        const skipped = memchr(from, last - start + 1, needle[anchor]!);
        if (skipped === -1) return -1;
        start += skipped;
        const candidate = address + BigInt(start);
        if (memcmp(candidate, needle, BigInt(needle.length)) === 0) return start;
      }
      return -1;
    },
    memcmp(a: bigint, b: bigint, length: number): number {
      return Math.sign(crt.memcmp(a, b, BigInt(length)));
    },
    memset(address: bigint, byte: number, length: number): void {
      crt.memset(address, byte, BigInt(length));
    },
    memmove(target: bigint, source: bigint, length: number): void {
      crt.memmove(target, source, BigInt(length));
    },
  };
}
