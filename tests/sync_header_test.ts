/** The header of a lock: who may use which, after a restart of the machine, from a container. */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type MemoryMap, MMapInvalidParameterError } from "../mod.ts";
import { syncPlatform } from "../src/ffi/host_sync.ts";
import { OWNER_DIED } from "../src/ffi/sync_platform.ts";
import {
  ABANDONED,
  BOOT_OFFSET,
  IDENTITY_OFFSET,
  MUTEX_OWNER_OFFSET,
  NAMESPACE_OFFSET,
  TAG_OFFSET,
} from "../src/sync/layout.ts";
import { Barrier, Event, Mutex, RwLock, Semaphore } from "../src/sync/mod.ts";
import { assertRefused, firstReason, skipWithoutChildren } from "./helpers.ts";
import {
  ask,
  sharedFile,
  sharedMemory,
  skipWithoutOwners,
  skipWithoutSync,
  startPeer,
} from "./helpers_sync.ts";

const skip = skipWithoutSync;

/** A word of a map. */
function word(map: MemoryMap, offset: number): Int32Array {
  return map.asTypedArray(Int32Array, offset, 1);
}

describe("The header of a lock", { skip }, () => {
  const kinds: Record<string, (map: MemoryMap) => unknown> = {
    Mutex: (map) => new Mutex(map),
    RwLock: (map) => new RwLock(map),
    Semaphore: (map) => new Semaphore(map, 0, 3),
    Event: (map) => new Event(map),
    Barrier: (map) => new Barrier(map, 0, 3),
  };
  for (const [made, make] of Object.entries(kinds)) {
    test(`of a ${made} refuses every other kind`, () => {
      using map = sharedMemory();
      make(map);
      for (const [wanted, open] of Object.entries(kinds)) {
        if (wanted === made) open(map);
        else assertRefused(() => open(map), MMapInvalidParameterError, `there is a ${made}`);
      }
    });
  }
  test("refuses another number of permits or parties, or another way to reset", () => {
    using map = sharedMemory(3 * 4096);
    new Semaphore(map, 0, 3);
    assertRefused(() => new Semaphore(map, 0, 4), MMapInvalidParameterError, "made for 3, not 4");
    new Barrier(map, 4096, 2);
    assertRefused(() => new Barrier(map, 4096, 1), MMapInvalidParameterError, "for 2, not 1");
    new Event(map, 8192);
    assertRefused(() => new Event(map, 8192, { autoReset: true }), MMapInvalidParameterError);
    assertEquals(new Semaphore(map, 0, 3).permits, 3);
  });
  test("refuses another version", () => {
    using map = sharedMemory();
    new Mutex(map);
    word(map, TAG_OFFSET)[0]! ^= 0x3;
    assertRefused(() => new Mutex(map), MMapInvalidParameterError, "version 1, this library 2");
  });
  test("refuses another mechanism, also in another process", {
    skip: skipWithoutChildren(),
  }, async () => {
    using file = sharedFile();
    new Mutex(file.map);
    const environment = { SYNC_BARE: "1" };
    await using peer = startPeer("sync_member.ts", [file.path], undefined, environment);
    const refused = { error: "MMapInvalidParameterError" };
    assertEquals(await ask(peer, { do: "lock mutex" }), refused);
    assertEquals(await ask(peer, { do: "lock mutex", at: 64 }), "acquired");
    assertRefused(() => new Mutex(file.map, 64), MMapInvalidParameterError, "cannot meet");
  });
  test("refuses another PID namespace", () => {
    using map = sharedMemory();
    new Mutex(map);
    word(map, NAMESPACE_OFFSET)[0]! ^= 1;
    assertRefused(() => new Mutex(map), MMapInvalidParameterError, "PID namespace");
    map.fill(0);
    assertEquals(new Mutex(map).lock(), "acquired");
  });
  test("of an earlier start of the machine is taken over, and so are its locks", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    const { self } = syncPlatform()!;
    word(map, BOOT_OFFSET)[0]! ^= 1;
    // Held by a thread of that time, whose number a thread of today has: the init process, say.
    word(map, MUTEX_OWNER_OFFSET)[0] = 1;
    word(map, MUTEX_OWNER_OFFSET + IDENTITY_OFFSET)[0] = 0x1234;
    assertEquals(new Mutex(map).lock(5000), "recovered");
    assertEquals(word(map, BOOT_OFFSET)[0], self.boot);
    mutex.unlock();
    assertEquals(mutex.lock(), "acquired");
  });
});

describe("An owner whose number another thread has now", {
  // Where the number of a main thread is that of its process.
  skip: firstReason(skipWithoutOwners, skipWithoutChildren()),
}, () => {
  test("is found dead by lock() and lockAsync(), soon", async () => {
    using file = sharedFile();
    const mutex = new Mutex(file.map);
    await using peer = startPeer("sync_member.ts", [file.path]);
    await ask(peer, { do: "lock mutex" });
    const take: (() => unknown)[] = [() => mutex.lock(5000), () => mutex.lockAsync(5000)];
    const taken = word(file.map, MUTEX_OWNER_OFFSET + IDENTITY_OFFSET)[0]!;
    for (const lock of take) {
      const times: number[] = [];
      for (let i = 0; i < 5; i++) {
        // The process lives, but was not the one that took the lock.
        word(file.map, MUTEX_OWNER_OFFSET)[0] = peer.pid;
        word(file.map, MUTEX_OWNER_OFFSET + IDENTITY_OFFSET)[0] = taken ^ 0x10;
        const start = performance.now();
        assertEquals(await lock(), "recovered");
        times.push(performance.now() - start);
        mutex.unlock();
      }
      // Others may keep the processors busy.
      assert(Math.min(...times) < 18, `${times.map((time) => time.toFixed(1)).join(", ")} ms`);
      assertEquals(mutex.lock(), "acquired");
      mutex.unlock();
    }
  });
});

describe("An owner word with our number that is not ours", { skip }, () => {
  test("is that of a dead thread: recovered, and not to be released before", async () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    const { self } = syncPlatform()!;
    const takes: (() => unknown)[] = [() => mutex.lock(5000), () => mutex.lockAsync(5000)];
    for (const take of takes) {
      word(map, MUTEX_OWNER_OFFSET)[0] = self.number;
      word(map, MUTEX_OWNER_OFFSET + IDENTITY_OFFSET)[0] = self.identity ^ 0x10;
      assertEquals(mutex.isHeld, false);
      const error = assertRefused(() => mutex.unlock(), MMapInvalidParameterError);
      assertEquals(error.code, "EPERM");
      assertEquals(await take(), "recovered");
      mutex.unlock();
      assertEquals(mutex.lock(), "acquired");
      mutex.unlock();
    }
  });
});

describe("A living owner that has not written its identity yet", {
  skip: firstReason(skip, skipWithoutChildren()),
}, () => {
  // What lies between taking a word and writing beside it: nothing, what a dead owner has left, or
  // what one has left that closed its map.
  const states: Record<string, [flags: number, identity: (own: number) => number]> = {
    "after a free word": [0, () => 0],
    "after a dead owner": [OWNER_DIED, (own) => own ^ 0x10],
    "after one that closed its map": [0, () => ABANDONED],
  };
  for (const [when, [flags, identityOf]] of Object.entries(states)) {
    test(`is not taken for dead, ${when}`, async () => {
      using file = sharedFile();
      const mutex = new Mutex(file.map);
      await using peer = startPeer("sync_member.ts", [file.path]);
      await ask(peer, { do: "lock mutex" });
      const identity = word(file.map, MUTEX_OWNER_OFFSET + IDENTITY_OFFSET);
      const own = identity[0]!;
      identity[0] = identityOf(own);
      Atomics.or(word(file.map, MUTEX_OWNER_OFFSET), 0, flags);
      assertEquals(mutex.lock(100), "timeout");
      assertEquals(await mutex.lockAsync(200), "timeout");
      assertEquals(mutex.tryLock(), false);
      identity[0] = own;
      Atomics.and(word(file.map, MUTEX_OWNER_OFFSET), 0, ~flags);
      await ask(peer, { do: "unlock mutex" });
      assertEquals(mutex.lock(5000), "acquired");
    });
  }
});
