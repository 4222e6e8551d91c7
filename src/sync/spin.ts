/** Trying again for a moment before it is worth parking: a handoff between parked threads takes longer. */

/** How often a spin tries before it gives up; learns from how spins end. */
export interface Spinning {
  tries: number;
}

/** One to two microseconds, with the processor's pause in between. */
export const MAX_SPINS = 40;
/** Enough to notice that spinning pays again. */
const MIN_SPINS = 2;

/** The engine's hint to the processor, where it has it. */
const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/**
 * Tries until there is a result. Where that seldom helps, because the other side shares this processor or
 * holds on for long, it soon tries only for a moment: then spinning would just delay the other side.
 */
export function spin<T>(spinning: Spinning, attempt: () => T | undefined): T | undefined {
  const { tries } = spinning;
  for (let i = 0; i < tries; i++) {
    const result = attempt();
    if (result !== undefined) {
      spinning.tries = Math.min(tries * 2, MAX_SPINS);
      return result;
    }
    pause();
  }
  spinning.tries = Math.max(tries >> 1, MIN_SPINS);
  return undefined;
}
