/** Locks whose holders are killed: the next one has them at once, and is told. */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { firstReason, runtimeName, skipEmulated, skipWithoutChildren } from "./helpers.ts";
import { skipWithoutSync, within } from "./helpers_sync.ts";
import { killHolders } from "./kill_holders.ts";

const skip = firstReason(skipWithoutSync, skipWithoutChildren(), skipEmulated);
const KILLS = 15;

describe("15 holders killed at random moments", { skip }, () => {
  for (const kind of ["mutex", "write", "read", "semaphore"] as const) {
    test(`give ${kind} to the next, in order`, async () => {
      const { times, recovered, torn } = await within(
        100,
        "killing",
        killHolders(kind, KILLS, [runtimeName]),
      );
      assertEquals(times.length, KILLS);
      assertEquals(torn, 0);
      // A reader leaves nothing half-written.
      if (kind === "read") assertEquals(recovered, 0);
      else assert(recovered <= KILLS, `${recovered} recoveries of ${KILLS} kills`);
      // Others may keep the processors busy: `tests/soak/sync.ts` looks at all of them.
      assert(times[0]! < 50, `${times.map((time) => time.toFixed(1)).join(", ")} ms`);
    });
  }
});
