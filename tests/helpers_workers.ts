/** What the tests of memory shared between threads need: a Worker that does what it is told with a map. */
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { MapHandle } from "../mod.ts";
import { pause, skipOutsideLinux } from "./helpers_paging.ts";
import type { Skip } from "./helpers.ts";

/** What a Worker of `fixtures/share_worker.ts` can be told. */
export type Order =
  | { readonly do: "attach"; readonly handle: MapHandle }
  | { readonly do: "read"; readonly length: number; readonly offset?: number }
  | { readonly do: "write"; readonly text: string; readonly offset?: number }
  | { readonly do: "view" }
  | { readonly do: "viewLength" }
  | { readonly do: "transfer" }
  | { readonly do: "resize"; readonly size: number }
  | { readonly do: "close" }
  | { readonly do: "cycles"; readonly handle: MapHandle; readonly count: number }
  | { readonly do: "take"; readonly bytes: Uint8Array }
  | { readonly do: "set"; readonly index: number; readonly value: number }
  | { readonly do: "wait"; readonly index: number; readonly value: number; readonly limit: number }
  | { readonly do: "notify"; readonly index: number }
  | { readonly do: "wasmSize" };

/** A Worker that does what it is told, one thing at a time. */
export interface TestWorker extends AsyncDisposable {
  /** @throws What the Worker threw. */
  ask<T>(order: Order): Promise<T>;
  /** Ends it at once, as it is, and waits until its thread has gone. */
  terminate(): Promise<void>;
}

/** Threads of this process, where the system tells. */
function threads(): number {
  return fs.existsSync("/proc/self/task") ? fs.readdirSync("/proc/self/task").length : 0;
}

/** Starts a Worker; `await using` ends it. */
export function startWorker(): TestWorker {
  const path = fileURLToPath(new URL("./fixtures/share_worker.ts", import.meta.url));
  const worker = new Worker(path);
  let over: Promise<unknown> | undefined;
  return {
    ask<T>(order: Order): Promise<T> {
      return new Promise((resolve, reject) => {
        const failed = (error: Error) => reject(error);
        worker.once("error", failed);
        worker.once("message", ({ error, result }) => {
          worker.off("error", failed);
          if (error === undefined) resolve(result);
          else reject(Object.assign(new Error(error.message), { name: error.name }));
        });
        worker.postMessage(order);
      });
    },
    async terminate(): Promise<void> {
      const before = threads();
      await (over ??= worker.terminate());
      // The promise may be early: the thread goes a moment later.
      for (let i = 0; i < 100 && threads() > 0 && threads() >= before; i++) await pause(10);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await (over ??= worker.terminate());
    },
  };
}

/** Tests of what happens to the holds of a Worker that ended without closing. */
export const skipWithoutThreadNumbers: Skip = skipOutsideLinux;

/** Calls `look` until it is true; returns whether it was within the time. */
export async function eventually(look: () => boolean, seconds = 5): Promise<boolean> {
  const deadline = performance.now() + seconds * 1000;
  while (!look()) {
    if (performance.now() > deadline) return false;
    await pause(5);
  }
  return true;
}

/** Names of shared memory that the tests of this process have made. */
export const namePrefix: string = `mman-test-${process.pid}-`;
let names = 0;

/** A name that nobody else has. */
export function freshName(): string {
  return `${namePrefix}${names++}`;
}
