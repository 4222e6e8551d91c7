/**
 * Named shared memory on Linux: files of `/dev/shm`, as `shm_open` makes them, but opened through
 * `node:fs`, so that Deno's permissions for that path hold
 * ({@link https://man7.org/linux/man-pages/man7/shm_overview.7.html | shm_overview(7)}).
 *
 * An owned name carries the sticky bit, which means nothing on files and which neither `shm_open` nor
 * Python sets, and its creator holds an exclusive `flock` on it as long as it lives. Who finds the bit
 * without the lock has found what a killed process left behind.
 */
import { nodeFs } from "./builtin.ts";
import { type NamedMemory, type NamedOptions, type Platform, SystemCallError } from "./platform.ts";

const FOLDER = "/dev/shm";
const OWNED_BIT = 0o1000;
const PERMISSION_BITS = 0o777;
const ENODEV = 19;

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
    const { kind, size } = system.fileInfo(fd);
    if (kind !== "file") throw new SystemCallError("shm_open", ENODEV, "ENODEV");
    return { fd, size, close: () => fs.closeSync(fd) };
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

/** Names of memory that is being created begin so. */
const DRAFT = ".mman-";
/** Creating takes microseconds: a draft that is older was left behind by a process that was killed. */
const DRAFT_LIFE_MS = 60_000;

/** Takes away the drafts of owners that were killed before they could give their memory its name. */
function removeDrafts(): void {
  const fs = nodeFs();
  for (const name of fs.readdirSync(FOLDER)) {
    if (!name.startsWith(DRAFT)) continue;
    const path = namedPath(name);
    const found = fs.lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined || Date.now() - found.mtimeMs < DRAFT_LIFE_MS) continue;
    try {
      fs.unlinkSync(path);
    } catch {
      // Another user's, or somebody else was faster.
    }
  }
}

/** The name appears only when the lock is held: nobody can take it for abandoned in between. */
function createOwned(
  system: Pick<Platform, "truncate" | "lockFile">,
  name: string,
  size: number,
  permissions: number,
): NamedMemory {
  removeDrafts();
  const fs = nodeFs();
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const draft = namedPath(`${DRAFT}${process.pid}-${crypto.randomUUID()}`);
  const path = namedPath(name);
  const fd = fs.openSync(draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, permissions);
  try {
    fs.fchmodSync(fd, fs.fstatSync(fd).mode & PERMISSION_BITS | OWNED_BIT);
    system.lockFile(fd, true);
    system.truncate(fd, size);
    fs.linkSync(draft, path);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  } finally {
    fs.unlinkSync(draft);
  }
  return {
    fd,
    size,
    close(): void {
      try {
        removeIfSame(path, fd);
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
  // Its owner, or somebody else who looks, may take it away in the meantime.
  const fd = unlessMissing(() => fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (fd === undefined) return;
  try {
    // Under the lock, a name that still leads here leads nowhere else before it is taken away.
    if (system.lockFile(fd, true)) removeIfSame(path, fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Takes a name away if it leads to an open file, and not to what somebody has made since. */
function removeIfSame(path: string, fd: number): void {
  const fs = nodeFs();
  const { dev, ino } = fs.fstatSync(fd);
  const now = fs.lstatSync(path, { throwIfNoEntry: false });
  if (now?.dev === dev && now.ino === ino) unlessMissing(() => fs.unlinkSync(path));
}

/** What a call gives; undefined if the file is not there. */
function unlessMissing<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ENOENT") throw error;
    return undefined;
  }
}
