/**
 * Named shared memory on macOS, by `shm_open`: names have at most 31 bytes with the slash in front, a
 * size that is set once and rounded up to pages, and no file system in which a lock could tell that the
 * creator has ended.
 */
import { type NamedMemory, type NamedOptions, type Platform, SystemCallError } from "./platform.ts";

/** The calls, over an open libSystem. */
export interface ShmCalls extends Pick<Platform, "truncate" | "closeDuplicate"> {
  /** `shm_open`; throws when it fails. */
  open(name: string, flags: number, permissions: number): number;
  /** `shm_unlink`; throws when it fails. */
  unlink(name: string): void;
  /** `st_size` of `fstat`. */
  sizeOf(fd: number): number;
}

// fcntl.h, sys/errno.h
const O_RDONLY = 0;
const O_RDWR = 2;
const O_CREAT = 0x200;
const O_EXCL = 0x800;
const ENAMETOOLONG = 63;
const ENOTSUP = 45;
/** posix_shm.c; it counts the slash. */
const PSHMNAMLEN = 31;

const encoder = new TextEncoder();

/** The name as `shm_open` wants it; too long a one is an error before it is called. */
export function shmName(name: string): string {
  const full = `/${name}`;
  if (encoder.encode(full).length <= PSHMNAMLEN) return full;
  throw new SystemCallError("shm_open", ENAMETOOLONG, "ENAMETOOLONG");
}

/** Opens or creates the memory of a name. */
export function openNamed(
  calls: ShmCalls,
  name: string,
  { create, write, owned }: NamedOptions,
): NamedMemory {
  if (owned) throw new SystemCallError("shm_open", ENOTSUP, "ENOTSUP");
  const full = shmName(name);
  const access = write ? O_RDWR : O_RDONLY;
  const fd = create === undefined
    ? calls.open(full, access, 0)
    : calls.open(full, access | O_CREAT | O_EXCL, create.permissions);
  try {
    if (create !== undefined) calls.truncate(fd, create.size);
    return { fd, size: create?.size ?? calls.sizeOf(fd), close: () => calls.closeDuplicate(fd) };
  } catch (error) {
    calls.closeDuplicate(fd);
    if (create !== undefined) calls.unlink(full);
    throw error;
  }
}
