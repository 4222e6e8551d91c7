/** Totals under each kind of lock: threads, and processes of all runtimes and Python, count together. */
import { describe, test } from "node:test";
import { firstReason, skipWithoutChildren } from "./helpers.ts";
import { executableOf, type RuntimeName, skipWithout, skipWithoutSync } from "./helpers_sync.ts";
import { count, type Counting } from "./sync_stress.ts";

const skip = firstReason(skipWithoutSync, skipWithoutChildren());
const kinds = ["mutex", "rwlock", "semaphore"];

/** The runtimes that are here, four of them: some twice. */
function four(): RuntimeName[] {
  const here = (["deno", "bun", "node"] as const).filter((name) => executableOf(name));
  return Array.from({ length: 4 }, (_, i) => here[i % here.length]!);
}

describe("4 processes", { skip }, () => {
  for (const kind of kinds) {
    test(`count to 20000 under a ${kind}`, async () => {
      await count(kind, four().map((runtime) => [runtime, 5000, "sync"]));
    });
    test(`count to 800 under a ${kind} with the event loop free`, async () => {
      await count(kind, four().map((runtime) => [runtime, 200, "async"]));
    });
  }
  test("count to 4400 under a mutex, half of them with the event loop free", async () => {
    const forms: ["sync" | "async", number][] = [["sync", 2000], ["async", 200]];
    await count(
      "mutex",
      four().map((runtime, i): Counting => {
        const [form, times] = forms[i % 2]!;
        return [runtime, times, form];
      }),
    );
  });
});

describe("Deno, Bun, Node and Python", {
  skip: firstReason(skip, skipWithout("deno", "bun", "node", "python")),
}, () => {
  test("count to 8000 under one mutex", async () => {
    const runtimes = ["deno", "bun", "node", "python"] as const;
    await count("mutex", runtimes.map((runtime) => [runtime, 2000, "sync"]));
  });
});

describe("8 threads", { skip: skipWithoutSync }, () => {
  for (const kind of kinds) {
    test(`count to 16000 under a ${kind}`, async () => {
      const forms = Array.from({ length: 8 }, (_, i) => i === 7 ? "async" : "sync");
      await count(kind, forms.map((form) => ["thread", 2000, form as "sync" | "async"]));
    });
  }
});
