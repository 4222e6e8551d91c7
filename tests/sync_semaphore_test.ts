/** `Semaphore`: permits, each held by one thread. */
import { describe, test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { MMapClosedError, MMapError, MMapInvalidParameterError } from "../mod.ts";
import { Semaphore } from "../src/sync/mod.ts";
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
import { sharePermits } from "./sync_stress.ts";

const skip = skipWithoutSync;
const skipPeers = firstReason(skip, skipWithoutChildren());

describe("Semaphore", { skip }, () => {
  test("gives as many permits as it has", () => {
    using map = sharedMemory();
    const semaphore = new Semaphore(map, 0, 3);
    assertEquals([semaphore.permits, semaphore.available], [3, 3]);
    assertEquals([semaphore.acquire(), semaphore.tryAcquire()], ["acquired", true]);
    assertEquals([semaphore.acquire(0), semaphore.available], ["acquired", 0]);
    assertEquals([semaphore.acquire(10), semaphore.tryAcquire()], ["timeout", false]);
    semaphore.release();
    assertEquals([semaphore.available, semaphore.acquire()], [1, "acquired"]);
    for (let i = 0; i < 3; i++) semaphore.release();
    assertEquals(semaphore.available, 3);
  });
  test("has 1 permit by default, and up to 504", () => {
    using map = sharedMemory(2 * 4096);
    assertEquals(new Semaphore(map).permits, 1);
    const large = new Semaphore(map, 4096, Semaphore.maxPermits);
    assertEquals([large.available, Semaphore.maxPermits], [504, 504]);
    for (let i = 0; i < 504; i++) assertEquals(large.acquire(), "acquired");
    assertEquals([large.acquire(5), large.available], ["timeout", 0]);
    large[Symbol.dispose]();
    assertEquals(large.available, 504);
    for (const permits of [0, -1, 1.5, 505, NaN]) {
      assertRefused(() => new Semaphore(map, 4096, permits), MMapInvalidParameterError);
    }
  });
  test("release() throws EPERM when this thread holds no permit", () => {
    using map = sharedMemory();
    const semaphore = new Semaphore(map, 0, 2);
    const error = assertRefused(
      () => semaphore.release(),
      MMapInvalidParameterError,
      "does not hold it",
    );
    assertEquals(error.code, "EPERM");
    semaphore.acquire();
    semaphore.release();
    assertThrows(() => semaphore.release(), MMapInvalidParameterError);
    assertEquals(semaphore.available, 2);
  });
  test("hold() and withPermit() release at the end", async () => {
    using map = sharedMemory();
    const semaphore = new Semaphore(map);
    {
      using permit = semaphore.hold();
      assertEquals([permit.outcome, semaphore.available], ["acquired", 0]);
      assertEquals(assertThrows(() => semaphore.hold(5), MMapError).code, "ETIMEDOUT");
    }
    assertEquals(semaphore.withPermit(() => semaphore.available), 0);
    const result = semaphore.withPermit(async () => {
      await pause(5);
      return semaphore.available;
    });
    assertEquals([await result, semaphore.available], [0, 1]);
    {
      using _permit = await semaphore.holdAsync(5);
      assertEquals(await semaphore.acquireAsync(5), "timeout");
    }
    assertEquals(semaphore.available, 1);
  });
  test("lets as many tasks in as there are permits", async () => {
    using map = sharedMemory();
    const semaphore = new Semaphore(map, 0, 3);
    let inside = 0;
    let most = 0;
    const task = async () => {
      using _permit = await semaphore.holdAsync();
      most = Math.max(most, ++inside);
      await pause(1);
      inside--;
    };
    await within(20, "twelve tasks", Promise.all(Array.from({ length: 12 }, task)));
    assertEquals([most, semaphore.available], [3, 3]);
  });
  test("every method throws MMapClosedError after close(), a wait meanwhile", async () => {
    const map = sharedMemory();
    const semaphore = new Semaphore(map);
    semaphore.acquire();
    const waiting = semaphore.acquireAsync();
    await pause(5);
    map.close();
    await within(5, "the rejection", assertRefusedLater(waiting, MMapClosedError));
    assertRefused(() => semaphore.acquire(), MMapClosedError);
    assertRefused(() => semaphore.tryAcquire(), MMapClosedError);
    assertRefused(() => semaphore.release(), MMapClosedError);
    assertRefused(() => semaphore.available, MMapClosedError);
    semaphore[Symbol.dispose]();
  });
});

describe("Semaphore between processes", { skip: skipPeers }, () => {
  test("waits for a permit of another process, parked or not", async () => {
    using file = sharedFile();
    const semaphore = new Semaphore(file.map, 0, 2);
    await using peer = startPeer("sync_member.ts", [file.path]);
    const acquire = { do: "acquire", of: 2 };
    assertEquals(await ask(peer, acquire), "acquired");
    assertEquals(await ask(peer, acquire), "acquired");
    assertEquals([semaphore.acquire(20), await semaphore.acquireAsync(20)], ["timeout", "timeout"]);
    const later = semaphore.acquireAsync(5000);
    await pause(10);
    await ask(peer, { do: "release", of: 2 });
    assertEquals(await later, "acquired");
    assertEquals(await ask(peer, { ...acquire, timeout: 20 }), "timeout");
    await peer.tell({ ...acquire, timeout: 5000 });
    await pause(20); // it is parked
    semaphore.release();
    assertEquals(await peer.line(), '"acquired"');
  });
  for (const permits of [1, 3]) {
    test(`of ${permits} gets the permits of the dead back`, async () => {
      using file = sharedFile();
      const semaphore = new Semaphore(file.map, 0, permits);
      const takes = [
        () => semaphore.acquire(5000),
        () => semaphore.acquireAsync(5000),
        () => semaphore.tryAcquire(),
      ];
      for (const take of takes) {
        await using peer = startPeer("sync_member.ts", [file.path]);
        for (let i = 0; i < permits; i++) await ask(peer, { do: "acquire", of: permits });
        assertEquals([semaphore.available, semaphore.tryAcquire()], [0, false]);
        peer.kill();
        await peer.ended();
        const outcome = await take();
        assertEquals(outcome, take === takes[2] ? true : "recovered");
        for (let i = 1; i < permits; i++) assertEquals(semaphore.acquire(5000), "recovered");
        semaphore[Symbol.dispose]();
        assertEquals(semaphore.available, permits);
      }
    });
  }
  test("never lets more in than there are permits: 3 for 8 threads, and for 4 processes", async () => {
    await sharePermits(3, 1000, Array.from({ length: 8 }, () => "thread" as const));
    await sharePermits(3, 1000, Array.from({ length: 4 }, () => runtimeName));
  });
});
