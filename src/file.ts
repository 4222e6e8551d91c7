/** Opens files for mapping: checks the options, keeps the runtime's permissions, sets the size. */
import { checkInteger, checkName, show } from "./check.ts";
import { MMapError, MMapInvalidParameterError } from "./errors.ts";
import { explain } from "./explain.ts";
import { nodeFs, nodeUrl } from "./ffi/builtin.ts";
import type { FileInfo, Platform } from "./ffi/platform.ts";

/** How {@link MemoryMap.open} opens and maps a file. */
export interface OpenOptions<Shared extends boolean = boolean> {
  /**
   * - `"r"` (default): read only.
   * - `"r+"`: read and write; changes reach the file. The file must exist.
   * - `"w+"`: create the file, or empty an existing one, and give it `offset + size` bytes. When
   *   `open` throws, an existing file is as it was. Others who have it mapped lose its pages: take a
   *   `lock` where that can be.
   * - `"c"`: copy on write; changes stay in this map and never reach the file.
   */
  mode?: "r" | "r+" | "w+" | "c";
  /** Bytes from the start of the file, any value. Default 0. */
  offset?: number;
  /**
   * Bytes to map. Default: to the end of the file. `"w+"` needs it; with `"r+"` and `"w+"` the file
   * grows to `offset + size`.
   */
  size?: number;
  /** Permission bits of a file that `"w+"` creates, before the umask. Default 0o600. */
  permissions?: number;
  /** Sets the read-ahead: `"random"` reads nothing ahead, `"sequential"` far. Default `"normal"`. */
  access?: "normal" | "random" | "sequential";
  /**
   * Give the range blocks on the disk before it is mapped, so that a full disk is an error here and
   * not a fault at some later write. Modes `"r+"` and `"w+"`. Default false: a sparse file.
   */
  preallocate?: boolean;
  /** Fault all pages in before `open` returns. Default false. */
  populate?: boolean;
  /** Use transparent huge pages where the file system has them. Linux. Default false. */
  hugePages?: boolean;
  /** Bytes that the file, a regular one, is cut to when the map is closed. Modes `"r+"` and `"w+"`. */
  truncateOnClose?: number;
  /**
   * Take an advisory lock of the whole file ({@link https://man7.org/linux/man-pages/man2/flock.2.html | flock(2)}),
   * released with the map. It binds only those who ask for it too.
   */
  lock?: "shared" | "exclusive";
  /** Milliseconds to wait for the lock. Default 0: an error at once if somebody holds it. */
  lockTimeout?: number;
  /** Whether child processes made by `fork` get the mapping. Default false. */
  inherit?: boolean;
  /**
   * Make `buffer` a true SharedArrayBuffer: see {@link AnonymousOptions}. Default false.
   */
  sharedBuffer?: Shared;
  /** A name of the user's, kept as `map.name`. */
  name?: string;
}

/** An open descriptor and how it is closed. */
export interface Descriptor {
  readonly fd: number;
  close(): void;
}

/**
 * A file ready to be mapped, but for the blocks that `preallocate` asks for. To `close` it does nothing
 * before `keep`, so that a map which could not be made as it was asked for leaves it open to `abandon`.
 */
export interface OpenedFile extends Descriptor {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  readonly prot: number;
  readonly flags: number;
  /** Whether the file must be given blocks for the range first, which makes it as long. */
  readonly preallocate: boolean;
  /**
   * Makes a file that is there what mode `"w+"` promises; undefined if there is nothing to lose. Whatever can
   * fail is to be tried before.
   */
  readonly empty: (() => void) | undefined;
  /** Called when the map is as it was asked for: there is nothing to abandon any more. */
  keep(): void;
  /** Gives a file that opening made grow its size back, closes it, and takes away one that opening made. */
  abandon(): void;
}

/** The path of a string or a `file:` URL, as text. */
export function pathOf(path: string | URL): string {
  if (typeof path !== "string" && !(path instanceof URL)) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(path)} as a path: it must be a string or a file: URL`,
    );
  }
  if (typeof path !== "string") path = pathOfUrl(path);
  if (path === "" || path.includes("\0")) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(path)} as a path: it must have a character, and no NUL`,
    );
  }
  return path;
}

function pathOfUrl(url: URL): string {
  if (url.protocol !== "file:") {
    throw new MMapInvalidParameterError(`Cannot open ${url.href}: only file: URLs can be mapped`);
  }
  try {
    return nodeUrl().fileURLToPath(url);
  } catch (error) {
    throw new MMapInvalidParameterError(
      `Cannot open ${url.href}: it is not the URL of a local file; give a path`,
      { cause: error },
    );
  }
}

/** Throws unless a regular file, or something else that can be mapped, lies behind a descriptor. */
export function checkMappable(what: string, info: FileInfo): void {
  if (info.kind === "directory") {
    throw new MMapInvalidParameterError(`Cannot map ${what}: it is a directory; give a file`, {
      code: "EISDIR",
    });
  }
}

type Mode = NonNullable<OpenOptions["mode"]>;

const modes: readonly Mode[] = ["r", "r+", "w+", "c"];

/** The flags that a mode opens a file with. */
function flagsOf(mode: Mode): number {
  const { O_RDONLY, O_RDWR, O_CREAT, O_NONBLOCK = 0 } = nodeFs().constants;
  const flags = { "r": O_RDONLY, "r+": O_RDWR, "w+": O_RDWR | O_CREAT, "c": O_RDONLY };
  // A FIFO would make open() wait for a writer; without waiting it is refused like any other file
  // that cannot be mapped.
  return flags[mode] | O_NONBLOCK;
}

/** The names of the options. */
export const OPEN_OPTIONS: readonly (keyof OpenOptions | "signal")[] = [
  "mode",
  "offset",
  "size",
  "permissions",
  "access",
  "preallocate",
  "populate",
  "hugePages",
  "truncateOnClose",
  "lock",
  "lockTimeout",
  "inherit",
  "sharedBuffer",
  "name",
  "signal",
];

/** The options with their defaults, checked as far as they can be without the file. */
function checkOptions(name: string, options: OpenOptions): Required<
  Pick<OpenOptions, "mode" | "offset" | "permissions" | "preallocate" | "lockTimeout">
> {
  const { mode = "r", offset = 0, size, permissions = 0o600 } = options;
  const { preallocate = false, lock, lockTimeout = 0, access, truncateOnClose } = options;
  const reject = (what: string, allowed: string): never => {
    throw new MMapInvalidParameterError(`Cannot open ${show(name)} with ${what}: ${allowed}`);
  };
  if (!modes.includes(mode)) {
    reject(`mode ${show(mode)}`, 'it must be "r", "r+", "w+" or "c"');
  }
  checkInteger("an offset in bytes", offset, 0);
  if (size !== undefined) {
    checkInteger("a size in bytes", size, 1);
    checkInteger("the end of a range in bytes", offset + size, 1);
  } else if (mode === "w+") {
    reject('mode "w+" without a size', "give { size } in bytes");
  }
  if (options.name !== undefined) checkName(options.name);
  checkInteger("permission bits", permissions, 0);
  if (permissions > 0o7777) {
    reject(`permissions ${permissions}`, "give at most 0o7777");
  }
  if (access !== undefined && !["normal", "random", "sequential"].includes(access)) {
    reject(`access ${show(access)}`, 'it must be "normal", "random" or "sequential"');
  }
  if (lock !== undefined && lock !== "shared" && lock !== "exclusive") {
    reject(`lock ${show(lock)}`, 'it must be "shared" or "exclusive"');
  }
  if (typeof lockTimeout !== "number" || !(lockTimeout >= 0)) {
    reject(`lockTimeout ${show(lockTimeout)}`, "give milliseconds, at least 0");
  }
  const writes = mode === "r+" || mode === "w+";
  if (truncateOnClose !== undefined) {
    checkInteger("a size in bytes", truncateOnClose, 0);
    if (!writes) reject(`truncateOnClose and mode "${mode}"`, 'it needs mode "r+" or "w+"');
  }
  if (preallocate && !writes) {
    reject(`preallocate and mode "${mode}"`, 'it needs mode "r+" or "w+"');
  }
  return { mode, offset, permissions, preallocate, lockTimeout };
}

/** Opens `path` as `options` say, which were read with `readOptions`. Nothing stays open when it throws. */
export function openFile(
  platform: Platform,
  path: string | URL,
  options: OpenOptions,
  lockWait: number = options.lockTimeout ?? 0,
): OpenedFile {
  const name = pathOf(path);
  const { mode, offset, permissions, preallocate, lockTimeout } = checkOptions(name, options);
  const { size, lock } = options;
  if (preallocate && platform.allocate === undefined) {
    throw new MMapInvalidParameterError(
      `Cannot preallocate ${show(name)}: ${platform.name} cannot do it; leave it out`,
    );
  }

  let opened: { fd: number; created: boolean };
  try {
    opened = openDescriptor(name, mode, permissions);
  } catch (error) {
    throw explain(`Cannot open ${show(name)} with mode "${mode}"`, error);
  }
  const { fd, created } = opened;
  let isOpen = true;
  const close = (): void => {
    if (isOpen) nodeFs().closeSync(fd);
    isOpen = false;
  };
  /** Undoes the opening: a file that it created goes away. */
  const undo = (): void => {
    close();
    if (created) nodeFs().unlinkSync(name);
  };
  try {
    let info = platform.fileInfo(fd);
    checkMappable(show(name), info);
    if (options.truncateOnClose !== undefined && info.kind !== "file") {
      throw new MMapInvalidParameterError(
        `Cannot open ${
          show(name)
        } with truncateOnClose: it is no regular file, which alone can be cut; ` +
          "leave it out",
      );
    }
    if (lock !== undefined) {
      waitForLock(platform, name, fd, lock, lockWait, lockTimeout);
      info = platform.fileInfo(fd); // its size was up to who held the lock
    }
    const fileSize = fitFile(platform, fd, mode, info, offset, size, preallocate);
    let kept = false;
    let hasContent = mode === "w+" && info.kind === "file" && info.size > 0;
    const empty = (): void => {
      platform.truncate(fd, 0);
      hasContent = false;
      // Giving the range blocks makes the file longer by itself.
      if (!preallocate) platform.truncate(fd, fileSize);
    };
    const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_NORESERVE } = platform.constants;
    // Copies are made page by page: reserving swap for all would refuse files beyond memory.
    const privately = MAP_PRIVATE | (MAP_NORESERVE & platform.mapFlags);
    return {
      path: name,
      fd,
      close: () => kept && close(),
      keep: () => kept = true,
      offset,
      size: sizeToMap(name, info, fileSize, offset, size),
      prot: mode === "r" ? PROT_READ : PROT_READ | PROT_WRITE,
      flags: mode === "c" ? privately : MAP_SHARED,
      preallocate: preallocate && info.kind === "file" && (size ?? info.size - offset) > 0,
      empty: hasContent ? empty : undefined,
      abandon(): void {
        if (!isOpen) return;
        try {
          if ((mode === "r+" || hasContent) && fileSize > info.size) {
            platform.truncate(fd, info.size);
          }
        } finally {
          undo();
        }
      },
    };
  } catch (error) {
    undo();
    throw explain(`Cannot prepare ${show(name)} for mapping`, error);
  }
}

/** Opens, and tells whether the file was created. */
function openDescriptor(
  name: string,
  mode: Mode,
  permissions: number,
): { fd: number; created: boolean } {
  const { openSync, constants } = nodeFs();
  const flags = flagsOf(mode);
  if (mode !== "w+") return { fd: openSync(name, flags), created: false };
  try {
    return { fd: openSync(name, flags | constants.O_EXCL, permissions), created: true };
  } catch (error) {
    if ((error as { code?: unknown }).code !== "EEXIST") throw error;
  }
  // It is there, or it is a link to a place where nothing is yet.
  return { fd: openSync(name, flags, permissions), created: false };
}

/** {@link openFile}, but waiting for a lock leaves the event loop free. */
export async function openFileAsync(
  platform: Platform,
  path: string | URL,
  options: OpenOptions & { signal?: AbortSignal },
): Promise<OpenedFile> {
  const start = performance.now();
  while (true) {
    try {
      return openFile(platform, path, options, 0);
    } catch (error) {
      const locked = error instanceof MMapError && error.code === "EWOULDBLOCK";
      if (!locked || performance.now() - start >= (options.lockTimeout ?? 0)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MILLISECONDS));
    options.signal?.throwIfAborted();
  }
}

const LOCK_POLL_MILLISECONDS = 2;

/** Takes an advisory lock, asking again until the time is over. */
function waitForLock(
  platform: Platform,
  name: string,
  fd: number,
  lock: "shared" | "exclusive",
  wait: number,
  timeout: number,
): void {
  const deadline = performance.now() + wait;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  while (!platform.lockFile(fd, lock === "exclusive")) {
    if (performance.now() >= deadline) {
      throw new MMapError(
        `Cannot take ${lock === "shared" ? "a shared" : "an exclusive"} lock of ${show(name)}: ` +
          (timeout === 0 ? "another map holds one" : `another map held one for ${timeout} ms`) +
          "; try later, or give a longer lockTimeout",
        { code: "EWOULDBLOCK", syscall: "flock" },
      );
    }
    Atomics.wait(clock, 0, 0, LOCK_POLL_MILLISECONDS);
  }
}

/**
 * Gives the file the size that the mode promises, unless it is to be emptied first: it is as long at least
 * then. Returns the size that the mode promises.
 */
function fitFile(
  platform: Platform,
  fd: number,
  mode: NonNullable<OpenOptions["mode"]>,
  info: FileInfo,
  offset: number,
  size: number | undefined,
  preallocate: boolean,
): number {
  const end = offset + (size ?? 0);
  if (info.kind !== "file") return 0;
  const grows = mode === "w+" || (mode === "r+" && size !== undefined);
  // What has content is mapped for a trial before it gets blocks.
  const later = preallocate && !(mode === "w+" && info.size > 0);
  if (grows && end > info.size && !later) platform.truncate(fd, end);
  return mode === "w+" || (grows && end > info.size) ? end : info.size;
}

/** The bytes to map, checked against the bytes that the file has. */
function sizeToMap(
  name: string,
  info: FileInfo,
  fileSize: number,
  offset: number,
  size: number | undefined,
): number {
  if (info.kind !== "file") {
    if (size !== undefined) return size;
    throw new MMapInvalidParameterError(
      `Cannot map ${show(name)} to its end: it is not a regular file; give a { size }`,
    );
  }
  if (offset > fileSize || (size !== undefined && size > fileSize - offset)) {
    throw new MMapInvalidParameterError(
      `Cannot map ${size ?? "the"} bytes at offset ${offset} of ${show(name)}: the file has ` +
        `${fileSize} bytes; mode "r+" with a { size } makes it grow`,
    );
  }
  return size ?? fileSize - offset;
}
