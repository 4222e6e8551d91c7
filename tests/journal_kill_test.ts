/** Writers of journals that are killed: what they had acknowledged is there, and nothing else is amiss. */
import { describe, test } from "node:test";
import { assert } from "@std/assert";
import { firstReason, runtimeName, skipEmulated, skipWithoutChildren } from "./helpers.ts";
import { within } from "./helpers_sync.ts";
import { killWriters } from "./kill_writers.ts";

const skip = firstReason(skipWithoutChildren(), skipEmulated);

describe("16 writers of journals killed at random moments", { skip }, () => {
  for (const durability of ["every", "batch", "none"] as const) {
    test(`leave every record that was acknowledged, durability "${durability}"`, async () => {
      const killed = killWriters(durability, 16, [runtimeName]);
      const { acknowledged } = await within(100, "killing", killed);
      assert(acknowledged > 0, "nobody was acknowledged anything");
    });
  }
});
