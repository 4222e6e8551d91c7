/**
 * The orders that rings and locks rely on, as pairs of short programs: both run at the same time, again and again,
 * and what they saw is counted. `forbidden` is what must never be seen; the layouts in src/ring and src/sync say why.
 */
import { loadFence, storeInOrder } from "../../src/ring/fence.ts";
import { look } from "../../src/sync/order.ts";

/** Words of a round: all that the programs of a pair touch, in different cache lines. */
export const STRIDE = 64;
const X = 0;
const Y = 16;
const Z = 32;
/** What is written as bytes are: by a call. */
const one = new Int32Array([1]);

/** A program: works on the words from `at` on, and returns what it saw. */
export type Program = (words: Int32Array, at: number) => number;

/** Two programs, and what they must not see together. */
export interface Litmus {
  readonly name: string;
  readonly first: Program;
  readonly second: Program;
  readonly forbidden: (first: number, second: number) => boolean;
}

/** Two loads as one number. */
const both = (one: number, other: number): number => one * 10 + other;

export const litmusTests: readonly Litmus[] = [
  {
    // MessageQueue: (6) and (7) of producing, against the bell and the second look of waiting.
    name:
      "who hands over looks at the bell, who sets the bell looks again: one of them sees the other",
    first: (words, at) => {
      Atomics.store(words, at + X, 1);
      return Atomics.load(words, at + Y);
    },
    second: (words, at) => {
      Atomics.store(words, at + Y, 1);
      return Atomics.load(words, at + X);
    },
    forbidden: (first, second) => first === 0 && second === 0,
  },
  {
    // MessageQueue: (5) before (6).
    name: "who sees the length sees the bytes",
    first: (words, at) => {
      words[at + X] = 1;
      words[at + Y] = 1;
      Atomics.store(words, at + Z, 1);
      return 0;
    },
    second: (words, at) => {
      const length = Atomics.load(words, at + Z);
      return both(length, words[at + X]! & words[at + Y]!);
    },
    forbidden: (_, second) => second === both(1, 0),
  },
  {
    // MessageQueue: (6), (7) and (8).
    name: "who sees a claim withdrawn sees its length",
    first: (words, at) => {
      Atomics.store(words, at + X, 1);
      const bell = Atomics.load(words, at + Y);
      words[at + Z] = 1;
      return bell;
    },
    second: (words, at) => {
      const withdrawn = Atomics.load(words, at + Z);
      return both(withdrawn, Atomics.load(words, at + X));
    },
    forbidden: (_, second) => second === both(1, 0),
  },
  {
    // MessageQueue: (2) before (3).
    name: "who sees the tail moved sees the announcement",
    first: (words, at) => {
      words[at + X] = 1;
      return Atomics.compareExchange(words, at + Y, 0, 1);
    },
    second: (words, at) => {
      const tail = Atomics.load(words, at + Y);
      return both(tail, Atomics.load(words, at + X));
    },
    forbidden: (_, second) => second === both(1, 0),
  },
  {
    // MessageQueue: (3) of two producers.
    name: "one of two claims of a position wins",
    first: (words, at) => Atomics.compareExchange(words, at + X, 0, 1),
    second: (words, at) => Atomics.compareExchange(words, at + X, 0, 2),
    forbidden: (first, second) => (first === 0) === (second === 0),
  },
  {
    // RwLock: (1) to (3) of a reader, (4) to (6) of a writer.
    name: "who takes a slot looks at the gate, who takes the gate looks at the slot",
    first: (words, at) => {
      Atomics.compareExchange(words, at + X, 0, 1);
      return look(words, at + Y);
    },
    second: (words, at) => {
      Atomics.compareExchange(words, at + Y, 0, 1);
      return look(words, at + X);
    },
    forbidden: (first, second) => first === 0 && second === 0,
  },
  {
    // RecordRing: the announcement before the bytes, the bytes before the second look.
    name: "who copies bytes that are being overwritten sees that a write was begun",
    first: (words, at) => {
      storeInOrder(words, at + X, 1);
      words.set(one, at + Y);
      return 0;
    },
    second: (words, at) => {
      const bytes = words[at + Y]!;
      loadFence();
      return both(bytes, words[at + X]!);
    },
    forbidden: (_, second) => second === both(1, 0),
  },
  {
    // Broadcast: the intent before the bytes, the bytes before the second look.
    name: "who copies bytes that are being overwritten sees that it was intended",
    first: (words, at) => {
      Atomics.store(words, at + X, 1);
      Atomics.load(words, at + X);
      words[at + Y] = 1;
      return 0;
    },
    second: (words, at) => {
      const bytes = words[at + Y]!;
      loadFence();
      return both(bytes, words[at + X]!);
    },
    forbidden: (_, second) => second === both(1, 0),
  },
  {
    // RecordRing: the bytes before the write position, the write position before the copy.
    name: "who sees a write finished copies the new bytes",
    first: (words, at) => {
      words.set(one, at + X);
      storeInOrder(words, at + Y, 1);
      return 0;
    },
    second: (words, at) => {
      const finished = words[at + Y]!;
      loadFence();
      return both(finished, words[at + X]!);
    },
    forbidden: (_, second) => second === both(1, 0),
  },
  {
    // RecordRing: the write position before the count, and before the announcement of the next write.
    name: "who sees what comes after a write sees it finished",
    first: (words, at) => {
      storeInOrder(words, at + X, 1);
      words[at + Y] = 1;
      return 0;
    },
    second: (words, at) => {
      const next = words[at + Y]!;
      loadFence();
      return both(next, words[at + X]!);
    },
    forbidden: (_, second) => second === both(1, 0),
  },
];
