/** Two threads in step: each runs its program on the same rounds at nearly the same time. */
import { type Program, STRIDE } from "./litmus.ts";

/** Rounds of one batch, between two meetings. */
export const ROUNDS = 128;
/** Batches of a pair. */
export const BATCHES = 200;

/** Where the threads meet, in words: two counters. */
const MEET = 0;
/** Where results are: of the first, then of the second, a word a round and batch. */
const RESULTS = 64;
const RESULT_LENGTH: number = 2 * ROUNDS * BATCHES;
/** Where the words of the rounds are. */
const WORK: number = RESULTS + RESULT_LENGTH;

/** Bytes that all of it takes. */
export const BYTES: number = (WORK + ROUNDS * STRIDE) * 4;

const nap = new Int32Array(new SharedArrayBuffer(4));

/** Waits until both threads have come here as often; where they share a processor, they let each other run. */
function meet(words: Int32Array, side: number, times: number): void {
  Atomics.store(words, MEET + side * 16, times);
  for (let spins = 0; Atomics.load(words, MEET + (1 - side) * 16) < times; spins++) {
    if (spins % 2000 === 1999) Atomics.wait(nap, 0, 0, 0.01);
  }
}

let met = 0;

/** Runs one side of a pair. */
export function runSide(words: Int32Array, side: number, program: Program): void {
  for (let batch = 0; batch < BATCHES; batch++) {
    meet(words, side, ++met);
    for (let round = 0; round < ROUNDS; round++) {
      const seen = program(words, WORK + round * STRIDE);
      words[RESULTS + (batch * ROUNDS + round) * 2 + side] = seen;
    }
    meet(words, side, ++met);
    if (side === 0) words.fill(0, WORK);
  }
}

/** What both saw, round by round; to be called after both have ended. */
export function* results(words: Int32Array): Generator<[first: number, second: number]> {
  for (let at = RESULTS; at < WORK; at += 2) yield [words[at]!, words[at + 1]!];
}
