/**
 * Waiting, in both forms: an algorithm is written once, as steps that ask to wait on a word, and run on
 * the calling thread (parked) or with the event loop free.
 */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { LockMemory } from "./memory.ts";
import { watch } from "./watcher.ts";

/** Asks to wait while a word of the lock has a value, for some time. */
export interface Wait {
  /** Index of the word. */
  readonly index: number;
  readonly expected: number;
  readonly timeoutMs: number;
}

/** An algorithm that waits now and then. */
export type Steps<T> = Generator<Wait, T, void>;

/** The end of a wait, by `performance.now()`. @throws {MMapInvalidParameterError} If it is no time. */
export function deadlineOf(timeoutMs: number): number {
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return performance.now() + timeoutMs;
  throw new MMapInvalidParameterError(
    `Cannot wait ${show(timeoutMs)} milliseconds: give a number from 0, or leave it out to wait ` +
      "without end",
  );
}

/** Milliseconds left; at most 0 when the time is over. */
export function remaining(deadline: number): number {
  return deadline === Infinity ? Infinity : deadline - performance.now();
}

/**
 * Intervals at which one looks whether somebody has died, where the kernel does not tell: short while the
 * wait is young, so that the next one has the lock within milliseconds, and never long.
 */
const INTERVALS = [1, 1, 1, 1, 2, 2, 4, 8] as const;
const LAST_INTERVAL = 16;

/** The interval after so many looks. */
export function interval(looks: number): number {
  return INTERVALS[looks] ?? LAST_INTERVAL;
}

/**
 * The longest time parked without a look at the word: who changed it may have died before it could
 * wake anybody.
 */
export const MAX_PARK_MS = 100;

/** Runs steps on this thread. */
export function run<T>(memory: LockMemory, steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    const { index, expected, timeoutMs } = step.value;
    memory.platform.wait(memory.address(index), expected, Math.min(timeoutMs, MAX_PARK_MS));
    memory.current(); // throws if the map was closed
  }
}

/** Runs steps with the event loop free. */
export async function runAsync<T>(memory: LockMemory, steps: Steps<T>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    const { index, expected, timeoutMs } = step.value;
    try {
      await watch({
        mapping: memory.mapping,
        platform: memory.platform,
        expected,
        address: () => memory.address(index),
        load: () => memory.load(index),
      }, timeoutMs);
    } catch (error) {
      steps.throw(error); // what it has taken by now, it gives back
      throw error;
    }
  }
}
