/** Opens files for mapping: checks the options, keeps the runtime's permissions, sets the size. */
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { checkInteger, show } from "./check.ts";
import { explain, MMapInvalidParameterError } from "./errors.ts";
import type { FileInfo, Platform } from "./ffi/platform.ts";

/** How {@link MemoryMap.open} opens and maps a file. */
export interface OpenOptions {
  /**
   * - `"r"` (default): read only.
   * - `"r+"`: read and write; changes reach the file. The file must exist.
   * - `"w+"`: create the file, or empty an existing one, and give it `offset + size` bytes.
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
}

/** An open descriptor and how it is closed. */
export interface Descriptor {
  readonly fd: number;
  close(): void;
}

/** A file ready to be mapped. */
export interface OpenedFile extends Descriptor {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  readonly prot: number;
  readonly flags: number;
  /** Gives the file the size back that it had, if opening made it grow. */
  undoGrowth(): void;
}

/** The path of a string or a `file:` URL, as text. */
export function pathOf(path: string | URL): string {
  if (typeof path !== "string" && !(path instanceof URL)) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(path)} as a path: it must be a string or a file: URL`,
    );
  }
  if (typeof path !== "string") {
    if (path.protocol !== "file:") {
      throw new MMapInvalidParameterError(
        `Cannot open ${path.href}: only file: URLs can be mapped`,
      );
    }
    path = fileURLToPath(path);
  }
  if (path === "" || path.includes("\0")) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(path)} as a path: it must have a character, and no NUL`,
    );
  }
  return path;
}

/** Throws unless a regular file, or something else that can be mapped, lies behind a descriptor. */
export function checkMappable(what: string, info: FileInfo): void {
  if (info.kind === "directory") {
    throw new MMapInvalidParameterError(`Cannot map ${what}: it is a directory; give a file`, {
      code: "EISDIR",
    });
  }
}

const openFlags = {
  "r": fs.constants.O_RDONLY,
  "r+": fs.constants.O_RDWR,
  "w+": fs.constants.O_RDWR | fs.constants.O_CREAT,
  "c": fs.constants.O_RDONLY,
};

// A FIFO would make open() wait for a writer; without waiting it is refused like any other file
// that cannot be mapped.
const NONBLOCK = fs.constants.O_NONBLOCK ?? 0;

/** Opens `path` as `options` say. Nothing stays open when it throws. */
export function openFile(
  platform: Platform,
  path: string | URL,
  options: OpenOptions,
): OpenedFile {
  const name = pathOf(path);
  const { mode = "r", offset = 0, size, permissions = 0o600 } = options;
  if (!Object.hasOwn(openFlags, mode)) {
    throw new MMapInvalidParameterError(
      `Cannot open ${show(name)} with mode ${show(mode)}: it must be "r", "r+", "w+" or "c"`,
    );
  }
  checkInteger("an offset in bytes", offset, 0);
  if (size !== undefined) checkInteger("a size in bytes", size, 1);
  if (size !== undefined) checkInteger("the end of a range in bytes", offset + size, 1);
  if (size === undefined && mode === "w+") {
    throw new MMapInvalidParameterError(
      `Cannot create ${show(name)} without a size: mode "w+" needs { size } in bytes`,
    );
  }
  checkInteger("permission bits", permissions, 0);

  let fd: number;
  try {
    fd = fs.openSync(name, openFlags[mode] | NONBLOCK, permissions);
  } catch (error) {
    throw explain(`Cannot open ${show(name)} with mode "${mode}"`, error);
  }
  const close = (): void => fs.closeSync(fd);
  try {
    const info = platform.fileInfo(fd);
    checkMappable(show(name), info);
    const fileSize = fitFile(platform, fd, mode, info, offset, size);
    const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE } = platform.constants;
    return {
      path: name,
      fd,
      close,
      offset,
      size: sizeToMap(name, info, fileSize, offset, size),
      prot: mode === "r" ? PROT_READ : PROT_READ | PROT_WRITE,
      flags: mode === "c" ? MAP_PRIVATE : MAP_SHARED,
      undoGrowth(): void {
        if (mode === "r+" && fileSize > info.size) platform.truncate(fd, info.size);
      },
    };
  } catch (error) {
    close();
    throw explain(`Cannot prepare ${show(name)} for mapping`, error);
  }
}

/** Gives the file the size that the mode promises; returns the size that it has then. */
function fitFile(
  platform: Platform,
  fd: number,
  mode: NonNullable<OpenOptions["mode"]>,
  info: FileInfo,
  offset: number,
  size: number | undefined,
): number {
  const end = offset + (size ?? 0);
  if (info.kind !== "file") return 0;
  if (mode === "w+") {
    if (info.size > 0) platform.truncate(fd, 0);
    platform.truncate(fd, end);
    return end;
  }
  if (mode !== "r+" || end <= info.size || size === undefined) return info.size;
  platform.truncate(fd, end);
  return end;
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
