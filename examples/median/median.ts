/**
 * The median of a file of 16-bit integers: exact, by counting how often each of the 65,536 values
 * occurs, on several threads over one file; and estimated, by the medians of chunks.
 */
import { Worker } from "node:worker_threads";
import { statSync } from "node:fs";
import { MappedArray } from "../../src/ndarray/mod.ts";
import { type Counts, countValues, VALUES } from "./histogram.ts";

/** Elements of a chunk of the estimate. */
const CHUNK = 2 ** 20;

/** What a worker is told. */
export interface Task {
  readonly path: string;
  /** The elements to count: from one up to another. */
  readonly start: number;
  readonly end: number;
}

/** Threads that find medians. Each opens the file itself: the pages are the same. */
export class MedianWorkers implements Disposable {
  readonly #workers: readonly Worker[];

  /** Starts the threads. */
  constructor(count: number) {
    const script = new URL("./worker.ts", import.meta.url);
    this.#workers = Array.from({ length: count }, () => new Worker(script));
  }

  /** The exact median of a file of 16-bit integers: the middle value, or the mean of the middle two. */
  async median(path: string): Promise<number> {
    const length = statSync(path).size / 2;
    const share = Math.ceil(length / this.#workers.length);
    const parts = this.#workers.map((worker, i) => {
      const start = Math.min(i * share, length);
      return count(worker, { path, start, end: Math.min(start + share, length) });
    });
    await Promise.allSettled(parts); // a failure is told when nobody has the file open any more
    const counts = new Float64Array(VALUES);
    for (const part of await Promise.all(parts)) part.forEach((n, i) => counts[i]! += n);
    return medianOf(counts, length);
  }

  /** Ends the threads. */
  [Symbol.dispose](): void {
    for (const worker of this.#workers) void worker.terminate();
  }
}

function count(worker: Worker, task: Task): Promise<Counts> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      worker.off("message", done);
      reject(error);
    };
    const done = (counts: Counts) => {
      worker.off("error", fail);
      resolve(counts);
    };
    worker.once("error", fail);
    worker.once("message", done);
    worker.postMessage(task);
  });
}

/** The median of values by how often each occurs; NaN of none. */
export function medianOf(counts: ArrayLike<number>, length: number): number {
  if (length === 0) return NaN;
  const at = (rank: number): number => {
    let passed = 0;
    for (let i = 0; i < VALUES; i++) {
      passed += counts[i]!;
      if (passed > rank) return i - VALUES / 2;
    }
    throw new RangeError(`Cannot find value ${rank}: there are ${passed}`);
  };
  return (at(Math.floor((length - 1) / 2)) + at(Math.floor(length / 2))) / 2;
}

/** An estimate: the median of the medians of chunks. */
export function estimatedMedian(path: string): number {
  using array = MappedArray.open(path, { dtype: "<i2" });
  const medians: number[] = [];
  for (let start = 0; start < array.size; start += CHUNK) {
    const chunk = array.slice(start, start + CHUNK);
    medians.push(medianOf(countValues(chunk), chunk.size));
  }
  medians.sort((a, b) => a - b);
  return (medians[(medians.length - 1) >> 1]! + medians[medians.length >> 1]!) / 2;
}
