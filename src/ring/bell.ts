/** Bells: words that are 1 while somebody waits, parked, so that nobody else has to call the system. */
import type { RingMemory } from "./ring_memory.ts";

/** The longest time parked without a look: who should have rung may have died just before. */
export const PARK_MS = 20;

/** Wakes those who wait for a bell. @param index Of the bell, among all words of the ring. */
export function ring(memory: RingMemory, index: number): void {
  if (Atomics.exchange(memory.words, index, 0) !== 0) {
    memory.platform.wake(memory.address(index), Infinity);
  }
}
