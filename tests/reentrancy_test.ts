/** Arguments that close or change the map while a method is looking at them: no call goes on. */
import { test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import { fixtureResult, skipWithoutChildren } from "./helpers.ts";

interface Outcome {
  /** Kinds of attacks, each made on every argument. */
  readonly attacks: number;
  /** Calls made. */
  readonly attempts: number;
  /** Calls in which the map was attacked. */
  readonly attacked: number;
  /** Calls that ended in anything but a result or an error of the library, and methods not covered. */
  readonly findings: readonly string[];
  readonly total: number;
}

test("every public method of maps, cursors, records and arrays survives hostile arguments", {
  skip: skipWithoutChildren(),
}, async () => {
  const { attacks, attempts, attacked, findings, total } = await fixtureResult<Outcome>(
    "reentrancy.ts",
  );
  assertEquals([...findings], []);
  assertEquals(total, 0);
  assertGreater(attempts, 500 * attacks);
  assertGreater(attacked, 134 * attacks); // arguments that are refused by type, and options read once, attack less
});
