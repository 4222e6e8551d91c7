/** What parent and child share: a mutex, and the counter that it guards. */
import type { MemoryMap } from "../../mod.ts";
import { Mutex } from "../../src/sync/mod.ts";

/** Where the mutex is. */
export const MUTEX_OFFSET = 0;
/** Where the counter is, a double. */
export const COUNTER_OFFSET: number = MUTEX_OFFSET + Math.ceil(Mutex.byteLength / 8) * 8;
/** Bytes of all of it. */
export const LENGTH = 4096;

/** How long one waits for the other. */
const PATIENCE_MS = 10_000;

/** Adds 1 so many times. */
export function add(map: MemoryMap, times: number): void {
  const mutex = new Mutex(map, MUTEX_OFFSET);
  const counter = map.asTypedArray(Float64Array, COUNTER_OFFSET, 1);
  for (let i = 0; i < times; i++) {
    if (mutex.lock(PATIENCE_MS) !== "acquired") throw new Error("The other side has ended badly");
    counter[0]! += 1;
    mutex.unlock();
  }
}
