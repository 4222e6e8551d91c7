/** The error numbers of failed system calls are the kernel's, whatever the engine does in between. */
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { firstReason, fixtureResult, skipWithoutChildren } from "./helpers.ts";

/** A fiftieth of what `tests/soak/errno.ts` makes. */
const CALLS = 200_000;

test("200,000 failing calls under garbage collection have the right error, all of them", {
  skip: firstReason(process.platform === "linux" ? false : "needs Linux", skipWithoutChildren()),
}, async () => {
  assertEquals(await fixtureResult("errno_calls.ts", { args: [String(CALLS)] }), {
    calls: CALLS,
    wrong: 0,
  });
});
