/** What the threads of a sequence have in common: calls until they are told to end. */
import process from "node:process";
import { parentPort } from "node:worker_threads";
import { isAllowed } from "./errors.ts";

/** Calls between two turns of the event loop, with which messages arrive. */
const CALLS = 50;

/**
 * Makes calls, whose errors go to the sequence unless they may be, until a message comes.
 *
 * @param end Gives back what the thread holds.
 */
export function callUntilTold(call: (k: number) => unknown, end: () => void): void {
  let ended = false;
  parentPort?.on("message", () => {
    ended = true;
  });
  const attempt = (run: () => unknown): void => {
    try {
      run();
    } catch (error) {
      if (isAllowed(error)) return;
      parentPort?.postMessage(error instanceof Error ? error.stack : String(error));
    }
  };
  const work = (): void => {
    if (ended) {
      attempt(end);
      const { close = () => process.exit(0) } = globalThis as { close?: () => void };
      return close();
    }
    for (let k = 0; k < CALLS; k++) attempt(() => call(k));
    setTimeout(work, 1);
  };
  work();
}
