/** The probes of `capabilities.ts`: a defect of ours must not pass for a lack of the system's. */
import fs from "node:fs";
import { test } from "node:test";
import { assertStrictEquals } from "@std/assert";
import * as capabilities from "./capabilities.ts";
import { firstReason, skipEmulated } from "./helpers.ts";

for (const [name, reason] of Object.entries(capabilities)) {
  test(`${name} skips nothing on Linux itself`, {
    // The file tells Linux from what stands in for it.
    skip: firstReason(
      !fs.existsSync("/proc/sys/kernel/arch") && "needs Linux 6.1 or later",
      skipEmulated,
    ),
  }, () => assertStrictEquals(reason, false));
}
