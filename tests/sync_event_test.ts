/** `Event`: set and waited for, with and without reset. */
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { MMapClosedError, MMapInvalidParameterError } from "../mod.ts";
import { Event } from "../src/sync/mod.ts";
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
import { takeTurns } from "./sync_stress.ts";

const skip = skipWithoutSync;
const skipPeers = firstReason(skip, skipWithoutChildren());

describe("Event", { skip }, () => {
  test("is not set at first; stays set until reset()", () => {
    using map = sharedMemory();
    const event = new Event(map);
    assertEquals([event.isSet, event.wait(5), Event.byteLength], [false, false, 64]);
    event.set();
    event.set();
    assertEquals([event.isSet, event.wait(), event.wait(0)], [true, true, true]);
    event.reset();
    event.reset();
    assertEquals([event.isSet, event.wait(0)], [false, false]);
  });
  test("with autoReset lets one wait through", async () => {
    using map = sharedMemory();
    const event = new Event(map, 0, { autoReset: true });
    event.set();
    event.set();
    assertEquals([event.wait(0), event.wait(0), event.isSet], [true, false, false]);
    let passed = 0;
    const waiting = [0, 1, 2].map(async () => {
      assertEquals(await event.waitAsync(20_000), true);
      passed++;
    });
    for (let sets = 1; sets <= waiting.length; sets++) {
      event.set();
      while (passed < sets) await pause(1);
      await pause(20);
      assertEquals(passed, sets);
    }
    await Promise.all(waiting);
  });
  test("lets those through who wait when it is set, even if it is reset at once", async () => {
    using map = sharedMemory();
    const event = new Event(map);
    const waiting = Promise.all([event.waitAsync(5000), event.waitAsync(5000)]);
    await pause(20);
    event.set();
    event.reset();
    assertEquals(await within(5, "the waits", waiting), [true, true]);
    assertEquals(event.wait(0), false);
  });
  test("waitAsync() leaves the event loop free", async () => {
    using map = sharedMemory();
    const event = new Event(map);
    setTimeout(() => event.set(), 5); // comes only if the loop goes on turning
    assertEquals(await event.waitAsync(20_000), true);
  });
  test("waits of 200 tasks at once all end", async () => {
    using map = sharedMemory(200 * 64);
    const events = Array.from({ length: 200 }, (_, i) => new Event(map, i * 64));
    const waiting = Promise.all(events.map((event) => event.waitAsync(20_000)));
    await pause(20);
    for (const event of events) event.set();
    assertEquals((await waiting).every((through) => through), true);
  });
  test("refuses what is no time", () => {
    using map = sharedMemory();
    assertRefused(() => new Event(map).wait(-1), MMapInvalidParameterError, "milliseconds");
  });
  test("every method throws MMapClosedError after close(), a wait meanwhile", async () => {
    const map = sharedMemory();
    const event = new Event(map);
    const waiting = event.waitAsync();
    await pause(5);
    map.close();
    await within(5, "the rejection", assertRefusedLater(waiting, MMapClosedError));
    assertRefused(() => event.set(), MMapClosedError);
    assertRefused(() => event.reset(), MMapClosedError);
    assertRefused(() => event.isSet, MMapClosedError);
    assertRefused(() => event.wait(), MMapClosedError);
  });
});

describe("Event in the wrong form", { skip }, () => {
  test("refuses options that are none, or unknown", () => {
    using map = sharedMemory();
    for (const bad of [null, 5, "autoReset", { autoreset: true }] as never[]) {
      assertRefused(() => new Event(map, 0, bad), MMapInvalidParameterError, "of Event");
    }
  });
});

describe("Event between processes", { skip: skipPeers }, () => {
  test("wakes one that is parked", async () => {
    using file = sharedFile();
    const event = new Event(file.map, 64);
    await using peer = startPeer("sync_member.ts", [file.path]);
    assertEquals(await ask(peer, { do: "wait", at: 64, timeout: 10 }), false);
    await peer.tell({ do: "wait", at: 64 });
    await pause(30);
    event.set();
    assertEquals(await within(10, "waking", peer.line()), "true");
    event.reset();
    const later = event.waitAsync();
    await ask(peer, { do: "set", at: 64 });
    assertEquals(await within(10, "waking", later), true);
  });
  test("goes on when one that waited was killed", async () => {
    using file = sharedFile();
    const event = new Event(file.map, 0, { autoReset: true });
    await using dead = startPeer("sync_member.ts", [file.path]);
    await ask(dead, { do: "wait", timeout: 0, autoReset: true });
    await dead.tell({ do: "wait", autoReset: true });
    await pause(30);
    dead.kill();
    await dead.ended();
    const later = event.waitAsync(5000);
    event.set();
    assertEquals(await later, true);
  });
  test("loses none of 5000 waits of two who take turns", async () => {
    await takeTurns("event", 5000, [runtimeName, runtimeName]);
  });
});
