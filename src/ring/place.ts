/** Where rings live in files. */
import { show } from "../check.ts";
import { MMapError } from "../errors.ts";
import { nodeFs } from "../ffi/builtin.ts";
import { platform } from "../ffi/host.ts";
import { pathOf } from "../file.ts";
import { MemoryMap } from "../memory_map.ts";

/** Why a file that is there, of so many bytes, must not be replaced, and what to do; undefined if it may be. */
export type Refusal = (path: string, size: number) => string | undefined;

/**
 * Maps a new file of zeros, with its blocks on the disk where the system can: a full disk is an error
 * here, not a fault later. A file that is there and may go gives way, and lives on for those who have
 * it open: emptying it would take its pages from under them.
 *
 * @param what The request, for an error message.
 * @param refusal Asked about a file that is there, unless it is empty.
 * @throws {MMapError} `EEXIST` if what is there must stay.
 */
export function createFile(
  what: string,
  path: string | URL,
  size: number,
  refusal: Refusal,
): MemoryMap {
  const name = pathOf(path);
  const found = nodeFs().statSync(name, { throwIfNoEntry: false });
  // Only files are looked into: opening a pipe would wait for its other end.
  const why = found === undefined || (found.isFile() && found.size === 0)
    ? undefined
    : found.isFile()
    ? refusal(name, found.size)
    : "it is no file; give another path";
  if (why !== undefined) {
    throw new MMapError(`${what} in ${show(name)}: ${why}`, { code: "EEXIST" });
  }
  try {
    nodeFs().unlinkSync(name);
  } catch {
    // There is none, or what is there stays there: opening says so.
  }
  const preallocate = platform().allocate !== undefined;
  return MemoryMap.open(path, { mode: "w+", size, preallocate });
}

/** The whole words at the start of a file, up to a length in bytes. */
export function firstWords(path: string, length: number): Int32Array {
  const bytes = new Uint8Array(length);
  const fd = nodeFs().openSync(path, "r");
  try {
    const count = nodeFs().readSync(fd, bytes, 0, length, 0);
    return new Int32Array(bytes.buffer, 0, Math.floor(count / Int32Array.BYTES_PER_ELEMENT));
  } finally {
    nodeFs().closeSync(fd);
  }
}

/** Where a map's file is, for messages; empty if it has none. */
export function placeOf({ path }: MemoryMap): string {
  return path === undefined ? "" : ` in ${show(path)}`;
}
