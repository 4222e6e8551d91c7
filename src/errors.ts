/**
 * The one error family of the library. Every error names what was asked, keeps the operating
 * system's code where there is one, and says what to do.
 */
import { SystemCallError } from "./ffi/platform.ts";

/** What the operating system said, kept on an {@link MMapError}. */
export interface MMapErrorOptions {
  /** The symbolic code, such as `"ENOMEM"`. */
  readonly code?: string | undefined;
  /** The number behind `code` (`errno`, or `GetLastError()` on Windows). */
  readonly errno?: number | undefined;
  /** The call that failed, such as `"mmap"`. */
  readonly syscall?: string | undefined;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/**
 * Base of all errors that this library throws by itself.
 *
 * @example
 * ```ts
 * import { MemoryMap, MMapError } from "@mman/mman";
 * import { assertInstanceOf } from "@std/assert";
 *
 * try {
 *   MemoryMap.open("/no/such/file");
 * } catch (error) {
 *   assertInstanceOf(error, MMapError);
 *   console.log(error.syscall, error.code); // open ENOENT
 * }
 * ```
 */
export class MMapError extends Error {
  override name = "MMapError";
  /** The operating system's symbolic code, such as `"ENOMEM"`; undefined when no call was made. */
  readonly code: string | undefined;
  /** The operating system's error number; undefined when no call was made. */
  readonly errno: number | undefined;
  /** The call that failed, such as `"mmap"`; undefined when no call was made. */
  readonly syscall: string | undefined;

  /** @param message What was asked, what is allowed, what to do. */
  constructor(message: string, options: MMapErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = options.code;
    this.errno = options.errno;
    this.syscall = options.syscall;
  }
}

/** The system could not give the memory, address space, descriptor or disk blocks asked for. */
export class MMapAllocationError extends MMapError {
  override name = "MMapAllocationError";
}

/** An argument is of the wrong kind, out of range, or asks for what this platform does not have. */
export class MMapInvalidParameterError extends MMapError {
  override name = "MMapInvalidParameterError";
}

/** The map was used after `close()`. */
export class MMapClosedError extends MMapError {
  override name = "MMapClosedError";
}

/** The map's protection, the file's mode or the process's rights forbid the access. */
export class MMapProtectionError extends MMapError {
  override name = "MMapProtectionError";
}

/** A page is gone: the file behind it was truncated, or the disk is full. */
export class MMapFaultError extends MMapError {
  override name = "MMapFaultError";
  /** Bytes from the start of the map to the fault. */
  readonly offset: number;

  /** @param offset Bytes from the start of the map to the fault. */
  constructor(message: string, offset: number, options: MMapErrorOptions = {}) {
    super(message, options);
    this.offset = offset;
  }
}

/** The error classes that an operating system's code can turn into. */
type SystemErrorClass = new (message: string, options: MMapErrorOptions) => MMapError;

const classByCode: Readonly<Record<string, SystemErrorClass>> = {
  EACCES: MMapProtectionError,
  EPERM: MMapProtectionError,
  EROFS: MMapProtectionError,
  EAGAIN: MMapAllocationError,
  EFBIG: MMapAllocationError,
  EMFILE: MMapAllocationError,
  ENFILE: MMapAllocationError,
  ENOMEM: MMapAllocationError,
  ENOSPC: MMapAllocationError,
  EDQUOT: MMapAllocationError,
  EBADF: MMapInvalidParameterError,
  EINVAL: MMapInvalidParameterError,
  EISDIR: MMapInvalidParameterError,
  ENODEV: MMapInvalidParameterError,
  ENOTSUP: MMapInvalidParameterError,
  EOPNOTSUPP: MMapInvalidParameterError,
};

/** What usually cures a failure, by call and code. */
const cures: Readonly<Record<string, string>> = {
  "mmap EACCES": "open the file for reading, and for writing too if the mapping is shared and " +
    "writable, or map it copy on write",
  "mmap EPERM":
    "the file system is mounted noexec or the file is sealed; drop PROT_EXEC or PROT_WRITE",
  "mmap ENODEV": "only regular files, shared memory and some devices can be mapped",
  "mmap ENOMEM":
    "ask for less, close other maps, or raise vm.max_map_count, vm.overcommit_memory " +
    "or the address space limit (ulimit -v)",
  "mmap EAGAIN": "MAP_LOCKED needs a larger RLIMIT_MEMLOCK (ulimit -l)",
  "mmap EINVAL": "offsets must be a multiple of the allocation granularity, and flags must name " +
    "MAP_SHARED or MAP_PRIVATE",
  "mprotect EACCES": 'the file is open for reading only; open it with mode "r+", or "c" for ' +
    "a private copy",
  "mprotect ENOMEM": "vm.max_map_count is reached; protect larger ranges, or raise it",
  "mlock ENOMEM": "raise RLIMIT_MEMLOCK (ulimit -l), or lock less",
  "mlock EAGAIN": "raise RLIMIT_MEMLOCK (ulimit -l), or lock less",
  "mlock EPERM": "RLIMIT_MEMLOCK is 0 (ulimit -l); raise it, or grant CAP_IPC_LOCK",
  "VirtualLock ENOMEM": "raise the working set (SetProcessWorkingSetSize), or lock less",
  "VirtualLock EPERM": 'grant SeLockMemoryPrivilege ("Lock pages in memory")',
  "open EACCES": "check the permissions of the file and of the folders above it",
  "open EPERM": "check the permissions of the file and of the folders above it",
  "open ENOENT": 'check the path, or create the file with mode "w+" and a size',
  "open EROFS": 'the file system is read only; open with mode "r" or "c"',
  "open EMFILE": "close other maps and files, or raise the limit of open files (ulimit -n)",
  "ftruncate EFBIG": "the file system or RLIMIT_FSIZE (ulimit -f) allows no file of that size",
};

/** The shape of the errors that `node:fs` throws, in every runtime. */
interface FileSystemError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly errno?: number;
}

function isFileSystemError(error: unknown): error is FileSystemError {
  return error instanceof Error && typeof (error as FileSystemError).code === "string" &&
    typeof (error as FileSystemError).syscall === "string";
}

/**
 * Turns a failed call of the operating system, by us or by `node:fs`, into the library's error;
 * anything else (a runtime's own permission error, a bug) is returned as it came.
 *
 * @param what The request that failed, such as `Cannot map 4096 bytes`.
 * @param error What was caught.
 * @param Class The class to use; by default the code decides.
 * @param cure What cures the failure, where the call and the code alone do not tell.
 */
export function explain(
  what: string,
  error: unknown,
  Class?: SystemErrorClass,
  cure?: string,
): unknown {
  if (error instanceof MMapError) return error;
  if (!(error instanceof SystemCallError) && !isFileSystemError(error)) return error;
  const { syscall, code } = error;
  const errno = error.errno === undefined ? undefined : Math.abs(error.errno);
  const advice = cure ?? cures[`${syscall} ${code}`];
  const message = `${what}: ${syscall} failed with ${code}` +
    (errno === undefined ? "" : ` (${errno})`) + (advice === undefined ? "" : `; ${advice}`);
  return new (Class ?? classByCode[code] ?? MMapError)(message, {
    code,
    errno,
    syscall,
    cause: error,
  });
}
