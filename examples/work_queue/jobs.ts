/** What producer and workers tell each other. */

/** A job: find how many primes there are below a limit. */
export interface Job {
  readonly id: number;
  readonly below: number;
}

/** What a worker says, by the type of its message. */
export const READY = 1;
export const DONE = 2;

/** What came of a job. */
export interface Result {
  readonly id: number;
  readonly primes: number;
  /** Which worker did it. */
  readonly worker: number;
  /** Its runtime. */
  readonly runtime: string;
}

/** Room for jobs, and for what workers say. */
export const CAPACITY: number = 1 << 14;

/** Primes below a limit. */
export function countPrimes(below: number): number {
  const composite = new Uint8Array(below);
  let count = 0;
  for (let i = 2; i < below; i++) {
    if (composite[i] === 1) continue;
    count++;
    for (let k = i * i; k < below; k += i) composite[k] = 1;
  }
  return count;
}
