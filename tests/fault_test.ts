/**
 * Faults that end as errors: truncated files, read-only pages, Workers. Whatever could end a process runs
 * in one of its own: `fixtures/fault_scenarios.ts`.
 */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { guardStatus } from "../src/guard/mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import { firstReason, runFixture, type Skip, skipWithoutChildren } from "./helpers.ts";

const { active, reason } = guardStatus();

/** Tests of the fault guard. */
const skip: Skip = firstReason(
  active ? false : `needs a fault guard: ${reason}`,
  skipWithoutChildren(),
);

/** Scenarios that the process survives. */
const survived = [
  "cut file, whole",
  "cut file, in part",
  "every method",
  "every promise and stream",
  "arrays",
  "cut by another process in a hot loop",
  "written where it is read-only",
  "touched where nothing is allowed",
  "given back",
  "used after close",
  "resized with views out",
  "Workers on one map",
  "Workers with maps of their own",
  "a map attached after its first holder has closed",
  "a SharedArrayBuffer over a file",
  "a transferred buffer",
  "a file that starts within a page of the map",
  "onFault",
  "two copies of the library",
  "WebAssembly traps before and after",
];

/** Those with calls that fault pages in, which the kernel has to do. */
const faultingIn = ["every method", "every promise and stream"];

/** Scenarios whose last access must end the process. */
const fatal = ["a wild pointer", "a map that ends leaves nothing guarded"];

describe("a process with maps", { skip, concurrency: 2 }, () => {
  for (const name of survived) {
    const skip = faultingIn.includes(name) && skipWithoutAdvice;
    test(`survives: ${name}`, { skip }, async () => {
      const { status, stdout, stderr } = await runFixture("fault_scenarios.ts", { args: [name] });
      assertEquals([status, stdout], [0, "ok\n"], stderr);
    });
  }
  for (const name of fatal) {
    test(`ends by a signal after: ${name}`, async () => {
      const { status, stdout, stderr } = await runFixture("fault_scenarios.ts", { args: [name] });
      assertEquals(stdout, "ok\n", stderr);
      assert(isSegv(status), `${status}: ${stderr}`);
    });
  }
});

/** SIGSEGV, as itself or as the exit code of a runtime that reports the crash first. */
function isSegv(status: number | string | null): boolean {
  return status === "SIGSEGV" || status === 139;
}
