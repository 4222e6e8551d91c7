/**
 * The Platform interface: what the library needs of an operating system, with the same names on
 * each. One file per system implements it with symbol tables, constants and calls, and no policy.
 */
import type { Guard } from "../guard/guard.ts";
import type { Runtime } from "./runtime.ts";

/**
 * The values of the C constants on one system. A constant that the system lacks has a value that
 * no call accepts (a flag outside `mapFlags`, a negative advice), so that it can be named in an
 * error instead of being ignored.
 */
export interface Constants {
  readonly PROT_NONE: number;
  readonly PROT_READ: number;
  readonly PROT_WRITE: number;
  readonly PROT_EXEC: number;
  readonly MAP_FILE: number;
  readonly MAP_SHARED: number;
  readonly MAP_PRIVATE: number;
  readonly MAP_ANONYMOUS: number;
  readonly MAP_FIXED: number;
  readonly MAP_NORESERVE: number;
  readonly MAP_POPULATE: number;
  readonly MAP_LOCKED: number;
  readonly MAP_HUGETLB: number;
  readonly MAP_STACK: number;
  readonly FILE_MAP_EXECUTE: number;
  readonly MS_ASYNC: number;
  readonly MS_SYNC: number;
  readonly MS_INVALIDATE: number;
  readonly MADV_NORMAL: number;
  readonly MADV_RANDOM: number;
  readonly MADV_SEQUENTIAL: number;
  readonly MADV_WILLNEED: number;
  readonly MADV_DONTNEED: number;
  readonly MADV_FREE: number;
  readonly MADV_REMOVE: number;
  readonly MADV_DONTFORK: number;
  readonly MADV_DOFORK: number;
  readonly MADV_MERGEABLE: number;
  readonly MADV_UNMERGEABLE: number;
  readonly MADV_HUGEPAGE: number;
  readonly MADV_NOHUGEPAGE: number;
  readonly MADV_DONTDUMP: number;
  readonly MADV_DODUMP: number;
  readonly MADV_WIPEONFORK: number;
  readonly MADV_KEEPONFORK: number;
  readonly MADV_COLD: number;
  readonly MADV_PAGEOUT: number;
  readonly MADV_POPULATE_READ: number;
  readonly MADV_POPULATE_WRITE: number;
  readonly MADV_DONTNEED_LOCKED: number;
  readonly MADV_COLLAPSE: number;
}

/** What lies behind a descriptor. */
export interface FileInfo {
  /** Only a regular file has a size that limits a mapping. */
  readonly kind: "file" | "directory" | "other";
  /** Bytes; 0 unless `kind` is `"file"`. */
  readonly size: number;
}

/** A call of the operating system that failed; the layer above adds what was asked for. */
export class SystemCallError extends Error {
  override name = "SystemCallError";
  /** The call as its manual page spells it. */
  readonly syscall: string;
  /** The system's number. */
  readonly errno: number;
  /** The number's name in the family of POSIX codes. */
  readonly code: string;

  /** @param syscall The call. @param errno The system's number. @param code Its name. */
  constructor(syscall: string, errno: number, code: string) {
    super(`${syscall} failed with ${code} (${errno})`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
  }
}

/** How anonymous shared memory with a descriptor is made. */
export interface MemfdOptions {
  /** Of huge pages of the reserved pool. */
  readonly hugePages: boolean;
  /** Whether it may be sealed against changes of its size later. */
  readonly sealable: boolean;
}

/** How named shared memory is opened. */
export interface NamedOptions {
  /** Make it, of this many bytes; undefined: it must be there. */
  readonly create: { readonly size: number; readonly permissions: number } | undefined;
  /** Whether it will be written. */
  readonly write: boolean;
  /** Whether the name goes away with the process that creates it. */
  readonly owned: boolean;
}

/** Open named shared memory. */
export interface NamedMemory {
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
  /** Closes it; the creator of an owned name takes the name away. */
  close(): void;
}

/** Bytes of a mapping by where they are. */
export interface MemoryStats {
  /** Bytes of address space. */
  mapped: number;
  /** Bytes in memory now. */
  resident: number;
  /** Of `resident`, the bytes that other mappings share. */
  shared: number;
  /** Bytes in swap. */
  swapped: number;
  /** Of `resident`, the bytes in huge pages. */
  huge: number;
}

/** libc's memory functions over addresses; places are offsets from the address, -1 for none. */
export interface MemoryFunctions {
  /** First offset of a byte value. */
  memchr(address: bigint, length: number, byte: number): number;
  /** First offset of a needle of at least one byte. */
  memmem(address: bigint, length: number, needle: Uint8Array): number;
  /** How often a byte value occurs, where that is faster than a loop in JavaScript. */
  readonly count?: ((address: bigint, length: number, byte: number) => number) | undefined;
  /**
   * The CRC-32C of memory, going on from that of what comes before it, where the processor has an
   * instruction for it. The address is a number: making a bigint would take longer than the sum.
   */
  readonly crc32c?: ((address: number, length: number, crc: number) => number) | undefined;
  /** The sum of `count` doubles of this machine's byte order, where that is faster than a loop. */
  readonly sumDoubles?: ((address: bigint, count: number) => number) | undefined;
  /** -1, 0 or 1, as the unsigned bytes of `a` and `b` compare. */
  memcmp(a: bigint, b: bigint, length: number): number;
  /** Sets every byte. */
  memset(address: bigint, byte: number, length: number): void;
  /** Copies between ranges that may overlap. */
  memmove(target: bigint, source: bigint, length: number): void;
}

/**
 * One operating system. Addresses are bigints, lengths and offsets numbers of bytes. Addresses and
 * file offsets handed in are aligned as the system wants them. Every method throws
 * {@link SystemCallError} when its call fails. A method that is optional here is missing where the
 * system has no such call.
 */
export interface Platform {
  /** As users call it, such as `"Linux"`. */
  readonly name: string;
  /** The runtime port that the calls go through. */
  readonly runtime: Runtime;
  /** The values of the C constants here. */
  readonly constants: Constants;
  /** Bytes of a page, the unit of protection. */
  readonly pageSize: number;
  /** Bytes that file offsets of a mapping are a multiple of. */
  readonly allocationGranularity: number;
  /** The flags that `map` knows here, or-ed. */
  readonly mapFlags: number;
  /** Whether a file can be made shorter while it is mapped. */
  readonly truncatesMapped: boolean;
  /** Whether `lock` can wait until the pages are touched. */
  readonly locksOnFault: boolean;
  /** Whether MADV_DONTNEED loses what was written to private pages, or lets it be. */
  readonly dontNeedDrops: boolean;
  /** Memory functions at the speed of libc. */
  readonly memory: MemoryFunctions;

  /** Maps a file, or anonymous memory when `fd` is -1; returns the address. */
  map(length: number, prot: number, flags: number, fd: number, offset: number): bigint;
  /** Like `map`, over pages that are mapped at `address` already. */
  mapOver?(
    address: bigint,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): void;
  /** Takes a mapping away. */
  unmap(address: bigint, length: number): void;
  /** Replaces mapped pages by zero pages that may be read and written; the addresses stay taken. */
  blank(address: bigint, length: number): void;
  /** Replaces mapped pages by pages that may not be touched and cost nothing; the addresses stay taken. */
  reserve(address: bigint, length: number): void;
  /** Makes a mapping longer or shorter; returns where it is then. */
  remap?(address: bigint, length: number, newLength: number): bigint;
  /** Changes the protection of pages. */
  protect(address: bigint, length: number, prot: number): void;
  /** Writes changed pages back to the file `fd` (-1: none), durably if `flags` has MS_SYNC. */
  sync(address: bigint, length: number, flags: number, fd: number): void;
  /** Keeps pages in memory; `onFault`: only once they are touched. */
  lock(address: bigint, length: number, onFault: boolean): void;
  /** Undoes `lock`. */
  unlock(address: bigint, length: number): void;
  /** Undoes every `lock` of the process. */
  unlockAll?(): void;
  /** Advice of a MADV constant. */
  advise(address: bigint, length: number, advice: number): void;
  /** One byte per page into `pages`: 1 if it is in memory, else 0. */
  resident?(address: bigint, length: number, pages: Uint8Array): void;
  /** Whether child processes made by `fork` get the pages. */
  inherit(address: bigint, length: number, inherited: boolean): void;
  /** Faults pages in, for writing or for reading. */
  populate?(address: bigint, length: number, write: boolean): void;
  /** Gives anonymous memory a name that the system's tools show. */
  label?(address: bigint, length: number, name: string): void;
  /** Where the bytes of a mapping are. */
  stats?(address: bigint, length: number): MemoryStats;

  /**
   * The process's fault guard, installed by the first call of any thread; or the reason why there can
   * be none.
   */
  guard?(): Guard | string;
  /** Copies bytes at an address, as many as are there; returns how many. For where no guard is. */
  copyFrom?(address: bigint, target: Uint8Array): number;
  /** Copies bytes to an address, as many as can be written there; returns how many. */
  copyTo?(address: bigint, source: Uint8Array): number;

  /** What lies behind a descriptor. */
  fileInfo(fd: number): FileInfo;
  /** Sets the size of a file; a longer file gets zeros, as a hole where the file system can. */
  truncate(fd: number, size: number): void;
  /** Makes sure that a range of a file has blocks on the disk. */
  allocate?(fd: number, offset: number, length: number): void;
  /** Frees the whole blocks in a range of a file; all of it reads as zeros then. */
  punchHole?(fd: number, offset: number, length: number): void;
  /** Takes the advisory lock of a whole file if it is free; returns whether it was. */
  lockFile(fd: number, exclusive: boolean): boolean;
  /** Anonymous shared memory with a descriptor. */
  memfd?(name: string, options: MemfdOptions): number;
  /** Keeps everybody, for good, from making such memory shorter. */
  sealShrink?(fd: number): void;
  /** Whether a file is sealed so. */
  isShrinkSealed?(fd: number): boolean;
  /** Opens, or creates, the shared memory of a name. */
  openNamed?(name: string, options: NamedOptions): NamedMemory;
  /** Takes a name of shared memory away; who has it mapped keeps it. */
  unlinkNamed?(name: string): void;
  /** The calling thread's number, never 0 and unlike that of any living thread of this process. */
  threadId?(): number;
  /** Whether a thread of that number lives. */
  isThreadAlive?(thread: number): boolean;
  /** Bytes of a huge page of the default pool. */
  hugePageSize?(): number;
  /** A descriptor that stands for a HANDLE of Windows; never closed. */
  descriptorOfHandle?(handle: bigint): number;
  /** A second descriptor of the same open file, not inherited by child processes. */
  duplicate(fd: number): number;
  /** Closes a descriptor of {@link duplicate} or {@link memfd}. */
  closeDuplicate(fd: number): void;

  /** `populate` without holding up the calling thread. */
  populateAsync?(address: bigint, length: number, write: boolean): Promise<void>;
  /** `sync` without holding up the calling thread. */
  syncAsync(address: bigint, length: number, flags: number, fd: number): Promise<void>;
  /** `allocate` without holding up the calling thread. */
  allocateAsync?(fd: number, offset: number, length: number): Promise<void>;
}
