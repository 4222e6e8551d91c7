/**
 * Lifetimes under garbage collection: a live view keeps its map, a dropped map is given back, and
 * tens of thousands of maps leave nothing. In child processes, which can call the collector.
 */
import { describe, test } from "node:test";
import { assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import {
  firstReason,
  fixtureResult,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";

const skip = firstReason(skipWithoutProc, skipWithoutChildren());

const content = new Uint8Array(4096).fill(42);

interface State {
  readonly mapped: number;
  readonly open: number;
}

interface Kept {
  readonly maps: number;
  readonly before: State;
  readonly live: State & { readonly values: number[] };
  readonly dropped: State;
}

describe("garbage collections leave a map alone, and give it back later, when all that is kept is", () => {
  for (const kind of ["map", "bytes", "subarray", "typed array", "DataView", "buffer"]) {
    test(kind, { skip }, async () => {
      using dir = tempDir();
      const { maps, before, live, dropped } = await fixtureResult<Kept>("kept_by_view.ts", {
        args: [dir.file("data", content), kind],
      });
      assertEquals(before.mapped, maps);
      assertEquals(live.values, live.values.map(() => 42));
      assertEquals({ mapped: live.mapped, open: live.open }, before);
      // Bun's collector looks for pointers on the stack: one or two maps may seem to be in use.
      assertLessOrEqual(dropped.mapped, 2);
      assertLessOrEqual(dropped.open, 2);
    });
  }
});

interface Counts {
  /** Mappings of the process. */
  readonly maps: number;
  /** Of those, mappings of the test's file. */
  readonly ofFile: number;
  readonly fds: number;
}

interface Leaks {
  readonly before: Counts;
  readonly peak: Counts;
  readonly after: Counts;
}

/** Mappings and descriptors that a runtime comes to have for its own heap and threads. */
const RUNTIME_MAPS = 500;
const RUNTIME_FDS = 10;

test("30,000 maps dropped without close() leave mappings and descriptors bounded", {
  skip,
}, async () => {
  using dir = tempDir();
  const { before, peak, after } = await fixtureResult<Leaks>("leaks.ts", {
    args: [dir.file("data", content), "30000", "drop"],
    seconds: 110,
  });
  assertLess(peak.maps - before.maps, 2_000);
  assertLess(peak.fds - before.fds, 2_000);
  assertLess(after.maps - before.maps, RUNTIME_MAPS);
  assertLess(after.ofFile, 10);
  assertLess(after.fds - before.fds, RUNTIME_FDS);
});

test("30,000 maps closed leave nothing, without a collection", { skip }, async () => {
  using dir = tempDir();
  const { before, peak, after } = await fixtureResult<Leaks>("leaks.ts", {
    args: [dir.file("data", content), "30000", "close"],
    seconds: 110,
  });
  assertEquals(peak.ofFile, 0);
  assertLess(peak.maps - before.maps, RUNTIME_MAPS);
  assertLess(peak.fds - before.fds, RUNTIME_FDS);
  assertLess(after.maps - before.maps, RUNTIME_MAPS);
  assertLess(after.fds - before.fds, RUNTIME_FDS);
});

for (const kind of ["map", "claim"]) {
  test(`a buffer transferred away from a ${kind} that nobody closed stays harmless`, {
    skip,
  }, async () => {
    const { first, later } = await fixtureResult<{ first: string; later: string[] }>(
      "transferred_and_dropped.ts",
      { args: [kind] },
    );
    assertEquals(first, "content");
    const allowed = ["content", "\0".repeat(7)];
    assertEquals(later.filter((text) => !allowed.includes(text)), []);
  });
}
