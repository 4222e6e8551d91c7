/** Rings between processes and threads that are killed at random moments; the long form is tests/soak/ring.ts. */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  firstReason,
  runtimeName,
  skipEmulated,
  skipOnWindows,
  skipWithoutChildren,
} from "./helpers.ts";
import { skipWithoutSync, within } from "./helpers_sync.ts";
import { killBroadcasters, killConsumers, killProducers, killWriters } from "./kill_ring.ts";

const skip = firstReason(skipWithoutSync, skipWithoutChildren(), skipEmulated, skipOnWindows);
const KILLS = 12;

describe(`${KILLS} killed at random moments`, { skip }, () => {
  test("producers: no message broken, repeated or out of order; the queue moves on", async () => {
    const result = await within(60, "killing", killProducers(KILLS, [runtimeName]));
    assertEquals([result.broken, result.repeated, result.lost], [0, 0, 0]);
    assert(result.seen > 1000, `${result.seen} messages`);
    // The machine may be busy with others than this process: all but the slowest.
    assert(result.times[Math.floor(KILLS * 0.8)]! < 50, `${result.times} ms`);
  });

  test("consumers: none repeats what another has had, and each loses at most what it had in hand", async () => {
    const result = await within(60, "killing", killConsumers(KILLS, [runtimeName]));
    assertEquals([result.broken, result.repeated], [0, 0]);
    assert(result.lost <= KILLS, `${result.lost} lost`);
    assert(result.seen > 1000, `${result.seen} messages`);
  });

  test("writers of a RecordRing: no record broken or missing", async () => {
    const result = await within(60, "killing", killWriters(KILLS, [runtimeName]));
    assertEquals([result.broken, result.repeated, result.lost], [0, 0, 0]);
    assert(result.seen > 100, `${result.seen} records`);
  });

  test("broadcasters: no message mixed, and what is missing is told", async () => {
    const result = await within(60, "killing", killBroadcasters(KILLS, [runtimeName]));
    assertEquals([result.broken, result.repeated, result.lost], [0, 0, 0]);
    assert(result.seen > 100, `${result.seen} messages`);
  });
});
