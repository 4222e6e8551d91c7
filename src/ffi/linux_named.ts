/**
 * Named shared memory on Linux: files of `/dev/shm`, as `shm_open` makes them, but opened through
 * `node:fs`, so that Deno's permissions for that path hold
 * ({@link https://man7.org/linux/man-pages/man7/shm_overview.7.html | shm_overview(7)}).
 *
 * An owned name carries the execute bit of its owner (shared memory is not executed, and Deno
 * passes no other bit on), and its creator holds an exclusive `flock` on it as long as it
 * lives. Who finds the bit without the lock has found what a killed process left behind.
 */
import { nodeFs } from "./builtin.ts";
import type { NamedMemory, NamedOptions, Platform } from "./platform.ts";

const FOLDER = "/dev/shm";
const OWNED_BIT = 0o100;

/** Where the memory of a name lies. */
export function namedPath(name: string): string {
  return `${FOLDER}/${name}`;
}

/** Opens or creates; throws `node:fs`'s own errors (`EEXIST`, `ENOENT`, `ELOOP` for a planted link). */
export function openNamed(
  system: Pick<Platform, "fileInfo" | "truncate" | "lockFile">,
  name: string,
  { create, write, owned }: NamedOptions,
): NamedMemory {
  if (create === undefined) return openExisting(system, name, write);
  removeAbandoned(system, name);
  return owned
    ? createOwned(system, name, create.size, create.permissions)
    : createPlain(system, name, create.size, create.permissions);
}

function openExisting(
  system: Pick<Platform, "fileInfo" | "lockFile">,
  name: string,
  write: boolean,
): NamedMemory {
  const fs = nodeFs();
  const { O_RDONLY, O_RDWR, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  removeAbandoned(system, name);
  const fd = fs.openSync(namedPath(name), (write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK);
  try {
    return { fd, size: system.fileInfo(fd).size, close: () => fs.closeSync(fd) };
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

function createPlain(
  system: Pick<Platform, "truncate">,
  name: string,
  size: number,
  permissions: number,
): NamedMemory {
  const fs = nodeFs();
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const path = namedPath(name);
  const fd = fs.openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, permissions);
  try {
    system.truncate(fd, size);
    return { fd, size, close: () => fs.closeSync(fd) };
  } catch (error) {
    fs.closeSync(fd);
    fs.unlinkSync(path);
    throw error;
  }
}

/** The name appears only when the lock is held: nobody can take it for abandoned in between. */
function createOwned(
  system: Pick<Platform, "truncate" | "lockFile">,
  name: string,
  size: number,
  permissions: number,
): NamedMemory {
  const fs = nodeFs();
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const draft = namedPath(`.mman-${process.pid}-${crypto.randomUUID()}`);
  const path = namedPath(name);
  const fd = fs.openSync(draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, permissions | OWNED_BIT);
  try {
    system.lockFile(fd, true);
    system.truncate(fd, size);
    fs.linkSync(draft, path);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  } finally {
    fs.unlinkSync(draft);
  }
  const { dev, ino } = fs.fstatSync(fd);
  return {
    fd,
    size,
    close(): void {
      try {
        // Somebody may have unlinked the name and made another memory under it.
        const now = fs.statSync(path, { throwIfNoEntry: false });
        if (now?.dev === dev && now.ino === ino) fs.unlinkSync(path);
      } finally {
        fs.closeSync(fd);
      }
    },
  };
}

/** Takes away an owned name whose owner has ended without doing so. */
function removeAbandoned(system: Pick<Platform, "lockFile">, name: string): void {
  const fs = nodeFs();
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const path = namedPath(name);
  const found = fs.lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isFile() || (found.mode & OWNED_BIT) === 0) return;
  const fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    // Under the lock, a name that still leads here leads nowhere else before it is taken away.
    if (!system.lockFile(fd, true)) return;
    const now = fs.lstatSync(path, { throwIfNoEntry: false });
    const { dev, ino } = fs.fstatSync(fd);
    if (now?.dev === dev && now.ino === ino) fs.unlinkSync(path);
  } finally {
    fs.closeSync(fd);
  }
}
