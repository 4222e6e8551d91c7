/** Turns failures of the operating system into the library's errors, with what usually cures them. */
import {
  MMapAllocationError,
  MMapError,
  type MMapErrorOptions,
  MMapFaultError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "./errors.ts";
import { SystemCallError } from "./ffi/platform.ts";

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
  "madvise EINVAL":
    "the system does not know this advice for this memory; locked pages have to be " +
    "unlocked first",
  "VirtualLock ENOMEM": "raise the working set (SetProcessWorkingSetSize), or lock less",
  "VirtualLock EPERM": 'grant SeLockMemoryPrivilege ("Lock pages in memory")',
  "open EACCES": "check the permissions of the file and of the folders above it",
  "open EPERM": "check the permissions of the file and of the folders above it",
  "open ENOENT": 'check the path, or create the file with mode "w+" and a size',
  "VirtualProtect EACCES": "the file is open for reading only, or the map was made without " +
    'PROT_EXEC; open it with mode "r+", or "c" for a private copy',
  "CreateFileMappingW EACCES": "open the file for reading, and for writing too if the mapping is " +
    "shared and writable, or map it copy on write",
  "VirtualAlloc ENOMEM": "ask for less, close other maps, or make the paging file larger",
  "SetFileInformationByHandle EBUSY": "another map of the file is open; close it first",
  "open EISDIR": "it is a directory; give a file",
  "statx EBADF": "give a descriptor that is open",
  "fstat EBADF": "give a descriptor that is open",
  "open EROFS": 'the file system is read only; open with mode "r" or "c"',
  "open EMFILE": "close other maps and files, or raise the limit of open files (ulimit -n)",
  "shm_open ENAMETOOLONG": "give a name of at most 30 bytes",
  "shm_open ENOTSUP":
    "names do not end with a process here; leave owned out, and use unlinkNamed()",
  "OpenFileMappingW EBUSY": "the name goes by itself when the last map of it is closed",
  "open EBUSY": "another process has it open without sharing; let it close the file first",
  "ftruncate EPERM": "the file is sealed, or immutable",
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
  const byCall = syscall === "ftruncate" ? MMapAllocationError : undefined;
  return new (Class ?? byCall ?? classByCode[code] ?? MMapError)(message, {
    code,
    errno,
    syscall,
    cause: error,
  });
}

/**
 * Says of a lost page whose it is, for classes over a map of their own: their users have nothing to
 * call `remap()` on. Anything else is returned as it came.
 *
 * @param what The request and the file, such as `Cannot read from the MessageQueue in "a"`.
 */
export function explainLoss(what: string, error: unknown): unknown {
  if (!(error instanceof MMapFaultError)) return error;
  const { offset, code, errno, syscall } = error;
  return new MMapFaultError(
    `${what}: its byte ${offset} is gone; the file was truncated, or the disk is full: close it, and ` +
      "open it again when the file is whole, or make a new one",
    offset,
    { code, errno, syscall, cause: error },
  );
}

/**
 * Says of a class over a map of its own what it can do about a failure: the cure of the map's error
 * names calls of the map. Anything without a cure here is returned as it came.
 *
 * @param what The request and the place, such as `Cannot open "a" as a MessageQueue`.
 * @param cures What is the matter and what helps, by the error's code.
 */
export function explainOwn(
  what: string,
  error: unknown,
  cures: Readonly<Record<string, string>>,
): unknown {
  if (!(error instanceof MMapError)) return error;
  const { code, errno, syscall } = error;
  const cure = code === undefined ? undefined : cures[code];
  if (cure === undefined) return error;
  return new MMapError(`${what}: ${cure}`, { code, errno, syscall, cause: error });
}

/**
 * Says of a missing file how one of its kind is made. Anything else is returned as it came.
 *
 * @param what The request and the file, such as `Cannot open "a" as a MessageQueue`.
 * @param cure How it is made, such as `make it with MessageQueue.create()`.
 */
export function explainMissing(what: string, error: unknown, cure: string): unknown {
  return explainOwn(what, error, { ENOENT: `there is no such file; check the path, or ${cure}` });
}
