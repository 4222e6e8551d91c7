/**
 * What writer and readers share.
 *
 *   0              4              8                             16
 *   +--------------+--------------+-----------------------------+
 *   | Counter i32  | unused       | Timestamp f64, milliseconds |
 *   +--------------+--------------+-----------------------------+
 *   | Seen i32, one word for each reader                      ...
 *
 * The writer sets the timestamp, adds 1 to the counter and wakes the readers. A reader copies the
 * counter into its own word when it has looked, and wakes the writer, which goes on when all have: so
 * each reader sees each change. Nobody polls: all wait in the kernel for a word to change.
 */
import { waitForChange } from "../../src/sync/mod.ts";
import type { MemoryMap } from "../../mod.ts";

/** Where the counter is. */
export const COUNTER_OFFSET = 0;
/** Where the timestamp is. */
export const TIMESTAMP_OFFSET: number = COUNTER_OFFSET + 8;
/** Where the readers' words begin. */
export const SEEN_OFFSET: number = TIMESTAMP_OFFSET + 8;
/** Bytes of all of it. */
export const LENGTH = 4096;

/** How long anybody waits for anybody else. */
const PATIENCE_MS = 10_000;

/** Waits until a word is no longer `value`, and returns what it is then. */
export function changed(map: MemoryMap, byteOffset: number, value: number): number {
  const words = map.asTypedArray(Int32Array);
  while (Atomics.load(words, byteOffset / 4) === value) {
    if (!waitForChange(map, byteOffset, value, PATIENCE_MS)) {
      throw new Error(`The other side has not changed ${value} for ${PATIENCE_MS} ms`);
    }
  }
  return Atomics.load(words, byteOffset / 4);
}
