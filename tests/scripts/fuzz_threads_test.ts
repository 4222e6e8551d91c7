/** What the fuzzer says of the threads of a process that hangs. */
import process from "node:process";
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  describeThreads,
  starvation,
  type Threads,
  threadsOf,
} from "../../scripts/fuzz/threads.ts";

const thread = { name: "main", state: "R", place: "0", ran: 1, waited: 2 };
const before: Threads = new Map([["1", thread]]);
const now: Threads = new Map([
  ["1", { ...thread, ran: 4, waited: 30 }],
  ["2", { ...thread, name: "other", state: "S", place: "futex_do_wait", waited: 7 }],
]);

describe("starvation()", () => {
  test("is that of the thread that had the least luck, since the moment", () => {
    assertEquals(starvation(before, now), 28);
    assertEquals(starvation(before, new Map()), 0);
  });
});

describe("describeThreads()", () => {
  test("has a line for each", () => {
    assertEquals(describeThreads(before, now).split("\n"), [
      "  thread main: R, ran 3.0 s, waited 28.0 s for a processor",
      "  thread other: S in futex_do_wait, ran 1.0 s, waited 7.0 s for a processor",
    ]);
  });
});

describe("threadsOf()", () => {
  test("knows this process's, and none of one that is not there", {
    skip: process.platform === "linux" ? false : "needs /proc",
  }, () => {
    const threads = [...threadsOf(process.pid).values()];
    assert(threads.some(({ state, ran }) => state === "R" && ran > 0), "the one that runs this");
    assertEquals(threadsOf(2 ** 30).size, 0);
  });
});
