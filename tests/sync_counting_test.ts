/** Totals under each kind of lock: threads, and processes of all runtimes and Python, count together. */
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { firstReason, skipWithoutChildren } from "./helpers.ts";
import {
  executableOf,
  type RuntimeName,
  sharedFile,
  skipWithout,
  skipWithoutSync,
  startPeer,
  startThread,
  within,
} from "./helpers_sync.ts";

const skip = firstReason(skipWithoutSync, skipWithoutChildren());
const WORDS = 8192;
const SECONDS = 100;

/** What `sync_count.ts` reports. */
interface Counted {
  /** How often the words differed or the lock was not simply acquired. */
  readonly wrong: number;
}

/** Starts counting in processes and waits until all have counted. */
async function countInProcesses(
  file: string,
  members: readonly (readonly [RuntimeName, ...(string | number)[]])[],
): Promise<Counted[]> {
  const scripts = members.filter(([runtime]) => runtime !== "python").length;
  const peers = members.map(([runtime, ...args]) => {
    const [name, together] = runtime === "python"
      ? ["sync_count.py", scripts + 1]
      : ["sync_count.ts", scripts];
    return startPeer(name, [file, ...args, together], runtime);
  });
  try {
    const lines = Promise.all(peers.map((peer) => peer.line()));
    return (await within(SECONDS, "counting", lines)).map((line) => JSON.parse(line));
  } finally {
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}

/** Counts and checks the sum. */
async function check(
  members: readonly (readonly [RuntimeName, ...(string | number)[]])[],
  total: number,
): Promise<void> {
  using file = sharedFile();
  const counted = await countInProcesses(file.path, members);
  assertEquals(counted.map(({ wrong }) => wrong), members.map(() => 0));
  assertEquals([...file.map.asTypedArray(Int32Array, WORDS, 2)], [total, total]);
}

/** The runtimes that are here, four of them: some twice. */
function four(): RuntimeName[] {
  const here = (["deno", "bun", "node"] as const).filter((name) => executableOf(name));
  return Array.from({ length: 4 }, (_, i) => here[i % here.length]!);
}

describe("4 processes", { skip }, () => {
  for (const kind of ["mutex", "rwlock", "semaphore"]) {
    test(`count to 20000 under a ${kind}`, async () => {
      await check(four().map((runtime) => [runtime, kind, 5000, "sync"]), 20_000);
    });
    test(`count to 800 under a ${kind} with the event loop free`, async () => {
      await check(four().map((runtime) => [runtime, kind, 200, "async"]), 800);
    });
  }
  test("count to 4400 under a mutex, half of them with the event loop free", async () => {
    const times = { sync: 2000, async: 200 };
    const members = four().map((runtime, i) => {
      const how = i % 2 === 0 ? "sync" as const : "async" as const;
      return [runtime, "mutex", times[how], how] as const;
    });
    await check(members, 4400);
  });
});

describe("Deno, Bun, Node and Python", {
  skip: firstReason(skip, skipWithout("deno", "bun", "node", "python")),
}, () => {
  test("count to 8000 under one mutex", async () => {
    const runtimes = ["deno", "bun", "node", "python"] as const;
    await check(runtimes.map((runtime) => [runtime, "mutex", 2000, "sync"]), 8000);
  });
});

describe("8 threads", { skip: skipWithoutSync }, () => {
  for (const kind of ["mutex", "rwlock", "semaphore"]) {
    test(`count to 16000 under a ${kind}`, async () => {
      using file = sharedFile();
      const threads = Array.from(
        { length: 8 },
        (_, i) =>
          startThread("sync_count.ts", [file.path, kind, "2000", i === 7 ? "async" : "sync", "8"]),
      );
      try {
        const results = Promise.all(threads.map((thread) => thread.message<Counted>()));
        const counted = await within(SECONDS, "counting", results);
        assertEquals(counted.map(({ wrong }) => wrong), threads.map(() => 0));
        assertEquals([...file.map.asTypedArray(Int32Array, WORDS, 2)], [16_000, 16_000]);
      } finally {
        await Promise.all(threads.map((thread) => thread.terminate()));
      }
    });
  }
});
