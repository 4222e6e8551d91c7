/** Bells: words that are 1 while somebody waits, parked, so that nobody else has to call the system. */
import { remaining, type Steps } from "../sync/waiting.ts";
import type { RingMemory } from "./ring_memory.ts";

/** The longest time parked without a look: who should have rung may have died just before. */
export const PARK_MS = 20;

/** Wakes those who wait for a bell. @param index Of the bell, among all words of the ring. */
export function ring(memory: RingMemory, index: number): void {
  if (Atomics.exchange(memory.words, index, 0) !== 0) {
    memory.platform.wake(memory.address(index), Infinity);
  }
}

/**
 * Waits for a bell until there is what one waits for.
 *
 * @param index Of the bell, among the owners' words.
 * @param isReady Whether it is there.
 * @param patience Milliseconds until the next look, at most.
 * @returns False when the time is over.
 */
export function* listen(
  { owners }: RingMemory,
  index: number,
  isReady: () => boolean,
  deadline: number,
  patience: () => number = () => PARK_MS,
): Steps<boolean> {
  for (;;) {
    if (isReady()) return true;
    Atomics.store(owners.current(), index, 1);
    const ready = isReady(); // what came before the bell was set has not rung it
    const left = ready ? 0 : remaining(deadline);
    if (left <= 0) return ready;
    yield { index, expected: 1, timeoutMs: Math.min(left, patience()) };
  }
}
