/** Where rings live: files, named and anonymous memory, maps of the user's. */
import fs from "node:fs";
import { platform } from "../ffi/host.ts";
import { pathOf } from "../file.ts";
import { MemoryMap } from "../memory_map.ts";

/**
 * Maps a new file of zeros, with its blocks on the disk where the system can: a full disk is an error
 * here, not a fault later. A file that is there gives way and lives on for those who have it open:
 * emptying it would take its pages from under them.
 */
export function createFile(path: string | URL, size: number): MemoryMap {
  try {
    fs.unlinkSync(pathOf(path));
  } catch {
    // There is none, or what is there stays there: opening says so.
  }
  const preallocate = platform().allocate !== undefined;
  return MemoryMap.open(path, { mode: "w+", size, preallocate });
}
