/** Answers requests, one a line, with nanoseconds and a result: what floor.c does, in JavaScript. */
import process from "node:process";
import readline from "node:readline";

/** What a request came to; `nanoseconds` where only a part of it counts. */
export type Answer = number | { readonly nanoseconds: number; readonly result: number };

/** Does a request, given its words after the first. */
export type Verb = (...words: string[]) => Answer | Promise<Answer>;

/** Bytes of a block read at random. */
export const BLOCK = 4096;

/** Nanoseconds of a clock that only goes forward. */
export function now(): number {
  return performance.now() * 1e6;
}

/** First and last byte: enough to see that a copy is one. */
export function ends(copy: Uint8Array): number {
  return copy[0]! + copy[copy.length - 1]!;
}

/** Times a part of a request. */
export function timedPart(work: () => number): Answer {
  const start = now();
  const result = work();
  return { nanoseconds: now() - start, result };
}

/** Answers until the input ends. */
export async function serve(verbs: Readonly<Record<string, Verb>>): Promise<void> {
  process.stdout.write("ready\n");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name = "", ...words] = line.split(" ").filter((word) => word !== "");
    const verb = verbs[name];
    if (verb === undefined) throw new Error(`Unknown request ${name}`);
    const start = now();
    const answer = await verb(...words);
    const took = now() - start;
    const { nanoseconds, result } = typeof answer === "number"
      ? { nanoseconds: took, result: answer }
      : answer;
    process.stdout.write(`${Math.round(nanoseconds)} ${result}\n`);
  }
}
