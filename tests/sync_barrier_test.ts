/** `Barrier`: nobody goes on before all have arrived, and nobody waits for the dead. */
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { MMapClosedError, MMapInvalidParameterError } from "../mod.ts";
import { Barrier } from "../src/sync/mod.ts";
import { assertRefused, firstReason, runtimeName, skipWithoutChildren } from "./helpers.ts";
import { assertRefusedLater } from "./helpers_paging.ts";
import {
  ask,
  pause,
  sharedFile,
  sharedMemory,
  skipWithoutSync,
  startPeer,
  within,
} from "./helpers_sync.ts";
import { keepStep } from "./sync_stress.ts";

const skip = skipWithoutSync;
const skipPeers = firstReason(skip, skipWithoutChildren());

describe("Barrier", { skip }, () => {
  test("for one lets it through", async () => {
    using map = sharedMemory();
    const barrier = new Barrier(map, 0, 1);
    for (let i = 0; i < 5; i++) assertEquals(barrier.wait(), "passed");
    assertEquals(await barrier.waitAsync(), "passed");
  });
  test("refuses a wrong number of parties", () => {
    using map = sharedMemory();
    for (const parties of [0, -1, 1.5, Barrier.maxParties + 1]) {
      assertRefused(() => new Barrier(map, 0, parties), MMapInvalidParameterError);
    }
    assertEquals(new Barrier(map, 0, Barrier.maxParties).parties, 252);
  });
  test("ends in time while somebody is missing", async () => {
    using map = sharedMemory();
    const barrier = new Barrier(map, 0, 2);
    assertEquals([barrier.wait(0), barrier.wait(10)], ["timeout", "timeout"]);
    assertEquals(await barrier.waitAsync(10), "timeout");
  });
  test("throws MMapClosedError after close(), a wait meanwhile", async () => {
    const map = sharedMemory();
    const barrier = new Barrier(map, 0, 2);
    const waiting = barrier.waitAsync();
    await pause(5);
    map.close();
    await within(5, "the rejection", assertRefusedLater(waiting, MMapClosedError));
    assertRefused(() => barrier.wait(), MMapClosedError);
    assertRefused(() => barrier.leave(), MMapClosedError);
    barrier[Symbol.dispose]();
  });
  test("keeps 4 threads in step for 500 phases", async () => {
    await keepStep(500, ["thread", "thread", "thread", "thread"]);
  });
});

describe("Barrier between processes", { skip: skipPeers }, () => {
  const arrive = { do: "arrive", of: 2 };

  test("keeps 4 processes in step for 500 phases", async () => {
    await keepStep(500, Array.from({ length: 4 }, () => runtimeName));
  });
  test("lets both through when the second has arrived, again and again", async () => {
    using file = sharedFile();
    const barrier = new Barrier(file.map, 0, 2);
    await using peer = startPeer("sync_member.ts", [file.path]);
    for (let i = 0; i < 3; i++) {
      await peer.tell(arrive);
      await pause(20); // Bun still has to write it
      assertEquals(barrier.wait(20_000), "passed");
      assertEquals(await peer.line(), '"passed"');
      const later = barrier.waitAsync(20_000);
      assertEquals(await ask(peer, arrive), "passed");
      assertEquals(await later, "passed");
    }
  });
  test("counts an arrival whose wait has timed out", async () => {
    using file = sharedFile();
    const barrier = new Barrier(file.map, 0, 2);
    await using peer = startPeer("sync_member.ts", [file.path]);
    assertEquals(barrier.wait(5), "timeout");
    assertEquals(await ask(peer, arrive), "passed");
    assertEquals(barrier.wait(0), "passed");
    assertEquals(barrier.wait(5), "timeout"); // the next phase
  });
  test("refuses one more than there are parties, until one leaves", async () => {
    using file = sharedFile();
    const barrier = new Barrier(file.map, 0, 2);
    await using first = startPeer("sync_member.ts", [file.path]);
    await using second = startPeer("sync_member.ts", [file.path]);
    assertEquals(barrier.wait(0), "timeout");
    assertEquals(await ask(first, arrive), "passed");
    assertEquals(barrier.wait(0), "passed");
    assertEquals(await ask(second, { ...arrive, timeout: 5 }), {
      error: "MMapInvalidParameterError",
    });
    barrier.leave();
    await first.tell(arrive);
    assertEquals(await ask(second, arrive), "passed");
    assertEquals(await first.line(), '"passed"');
  });
  test("does not wait for the dead, and says so, until somebody takes the place", async () => {
    using file = sharedFile();
    const barrier = new Barrier(file.map, 0, 2);
    {
      await using peer = startPeer("sync_member.ts", [file.path]);
      await peer.tell(arrive);
      await pause(20); // Bun still has to write it
      assertEquals(barrier.wait(20_000), "passed");
      await peer.line();
      const later = barrier.waitAsync(20_000);
      await pause(20);
      peer.kill();
      assertEquals(await within(5, "the dead one", later), "recovered");
    }
    assertEquals(barrier.wait(5000), "recovered");
    await using peer = startPeer("sync_member.ts", [file.path]);
    await peer.tell(arrive);
    let outcome = "recovered";
    while (outcome === "recovered") {
      await pause(10); // the new one is on its way
      outcome = barrier.wait(20_000);
    }
    assertEquals(outcome, "passed");
    assertEquals(await peer.line(), '"passed"');
  });
  test("does not wait for one who has closed the map", async () => {
    using file = sharedFile();
    const barrier = new Barrier(file.map, 0, 2);
    await using peer = startPeer("sync_member.ts", [file.path]);
    await peer.tell(arrive);
    assertEquals(await barrier.waitAsync(20_000), "passed");
    await peer.line();
    await ask(peer, { do: "close" });
    assertEquals(barrier.wait(5000), "recovered");
  });
});
