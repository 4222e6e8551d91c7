/** Counters that never come round, of two words that one thread writes and others read. */

/**
 * The full value of a counter modulo 2 * `half`, whose epoch counts how often it has passed a multiple of
 * `half`. Both are of one moment, but for the epoch, which changes first and may be one ahead.
 */
export function unwrap(counter: number, epoch: number, half: number): number {
  const late = (counter < half ? 0 : 1) !== (epoch & 1) ? 1 : 0;
  const halves = epoch - late;
  return (halves - (halves & 1)) * half + counter;
}
