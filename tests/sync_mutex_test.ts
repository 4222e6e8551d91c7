/** `Mutex`: one owner at a time, and what is refused. */
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { WAITERS } from "../src/ffi/sync_platform.ts";
import { MUTEX_OWNER_OFFSET } from "../src/sync/layout.ts";
import { Mutex } from "../src/sync/mod.ts";
import { assertRefused, firstReason, skipWithoutChildren } from "./helpers.ts";
import { assertRefusedLater } from "./helpers_paging.ts";
import {
  ask,
  pause,
  sharedBuffers,
  sharedFile,
  sharedMemory,
  skipWithoutOwners,
  skipWithoutSync,
  startPeer,
  startThread,
  within,
} from "./helpers_sync.ts";

const skip = skipWithoutSync;
const skipPeers = firstReason(skip, skipWithoutChildren());

describe("Mutex", { skip }, () => {
  test("is free in zeroed memory, held after lock(), free after unlock()", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    assertEquals(mutex.isHeld, false);
    assertEquals(mutex.lock(), "acquired");
    assertEquals(mutex.isHeld, true);
    mutex.unlock();
    assertEquals(mutex.isHeld, false);
  });
  test("takes 64 bytes and leaves those around alone", () => {
    using map = sharedMemory();
    map.fill(0xff);
    map.fill(0, 128, Mutex.byteLength);
    const mutex = new Mutex(map, 128);
    mutex.lock();
    mutex.unlock();
    assertEquals(Mutex.byteLength, 64);
    assertEquals(map.count(0xff, 0, 128), 128);
    assertEquals(map.count(0xff, 192), 4096 - 192);
  });
  test("is the same lock for all objects over the same memory", () => {
    using map = sharedMemory();
    using twin = MemoryMap.attach(map.share());
    const [one, two, three] = [new Mutex(map), new Mutex(map), new Mutex(twin)];
    one.lock();
    assertEquals([two.isHeld, three.isHeld, three.tryLock()], [true, true, false]);
    three.unlock();
    assertEquals([one.isHeld, two.tryLock()], [false, true]);
    two.unlock();
  });
  test("tryLock() takes it only once", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    assertEquals(mutex.tryLock(), true);
    assertEquals(mutex.tryLock(), false);
    mutex.unlock();
  });
  test("unlock() throws EPERM when this thread does not hold it", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    const refused = () =>
      assertRefused(() => mutex.unlock(), MMapInvalidParameterError, "does not hold");
    assertEquals(refused().code, "EPERM");
    mutex.lock();
    mutex.unlock();
    assertEquals(refused().code, "EPERM");
    assertEquals(mutex.lock(), "acquired");
    mutex.unlock();
  });
  test("lock() throws EDEADLK when this thread holds it", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    mutex.lock();
    for (const timeout of [Infinity, 0, 10]) {
      const error = assertRefused(
        () => mutex.lock(timeout),
        MMapInvalidParameterError,
        "release it first",
      );
      assertEquals(error.code, "EDEADLK");
    }
    mutex.unlock();
    assertEquals(mutex.isHeld, false);
  });
  test("lock() refuses what is no time", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    for (const timeout of [-1, NaN, "5", null, {}]) {
      assertRefused(() => mutex.lock(timeout as number), MMapInvalidParameterError, "milliseconds");
    }
    assertEquals(mutex.isHeld, false);
  });
  test("hold() releases at the end of the block, also after an error", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    {
      using held = mutex.hold();
      assertEquals([held.outcome, mutex.isHeld], ["acquired", true]);
    }
    assertEquals(mutex.isHeld, false);
    assertThrows(() => {
      using _held = mutex.hold();
      throw new Error("inside");
    });
    assertEquals(mutex.isHeld, false);
  });
  test("hold() releases once", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    const held = mutex.hold();
    held[Symbol.dispose]();
    mutex.lock();
    held[Symbol.dispose]();
    assertEquals(mutex.isHeld, true);
    mutex.unlock();
  });
  test("withLock() gives the function's result, and releases after an error", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    assertEquals(mutex.withLock((outcome) => [outcome, mutex.isHeld]), ["acquired", true]);
    assertEquals(mutex.isHeld, false);
    assertThrows(() =>
      mutex.withLock(() => {
        throw new Error("inside");
      })
    );
    assertEquals(mutex.isHeld, false);
  });
  test("withLock() keeps the lock until the promise is settled", async () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    const result = mutex.withLock(async () => {
      await pause(5);
      return mutex.isHeld;
    });
    assertEquals(mutex.isHeld, true);
    assertEquals(await result, true);
    assertEquals(mutex.isHeld, false);
    await assertRejects(() => mutex.withLock(() => Promise.reject(new Error("inside"))));
    assertEquals(mutex.isHeld, false);
  });
  test("withLockAsync() lets tasks of one thread in one after the other", async () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    let inside = 0;
    let most = 0;
    const task = () =>
      mutex.withLockAsync(async () => {
        most = Math.max(most, ++inside);
        await pause(1);
        inside--;
      });
    await within(20, "ten tasks", Promise.all(Array.from({ length: 10 }, task)));
    assertEquals([most, mutex.isHeld], [1, false]);
  });
  test("lockAsync() leaves the event loop free, and ends in time", async () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    mutex.lock();
    assertEquals(await mutex.lockAsync(50), "timeout");
    setTimeout(() => mutex.unlock(), 5); // comes only if the loop goes on turning
    assertEquals([await mutex.lockAsync(20_000), mutex.isHeld], ["acquired", true]);
    mutex.unlock();
    await assertRefusedLater(mutex.lockAsync(-1), MMapInvalidParameterError, "milliseconds");
  });
  test("holdAsync() releases at the end of the block; ETIMEDOUT when the time is over", async () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    {
      using held = await mutex.holdAsync();
      assertEquals(held.outcome, "acquired");
      const error = await assertRefusedLater(mutex.holdAsync(5), MMapError, "5 milliseconds");
      assertEquals(error.code, "ETIMEDOUT");
    }
    assertEquals(mutex.isHeld, false);
  });
  test("[Symbol.dispose]() releases what this thread holds, and nothing else", () => {
    using map = sharedMemory();
    const again = new Mutex(map);
    {
      using mutex = new Mutex(map);
      mutex.lock();
    }
    assertEquals(again.isHeld, false);
    new Mutex(map)[Symbol.dispose]();
    assertEquals(again.tryLock(), true);
    again.unlock();
  });
});

describe("Mutex in the wrong place", { skip }, () => {
  test("is refused in private memory", () => {
    using anonymous = MemoryMap.createAnonymous(
      4096,
      PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS,
    );
    assertRefused(() => new Mutex(anonymous), MMapInvalidParameterError, "private memory");
    using file = sharedFile();
    using copy = MemoryMap.open(file.path, { mode: "c" });
    assertRefused(() => new Mutex(copy), MMapInvalidParameterError, "private memory");
  });
  test("is possible in shared anonymous memory, for threads", () => {
    using map = MemoryMap.createAnonymous(
      4096,
      PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_ANONYMOUS,
    );
    assertEquals(new Mutex(map).lock(), "acquired");
  });
  test("is refused at an address that is no multiple of 8", () => {
    using map = sharedMemory();
    for (const offset of [1, 2, 4, 12, 60, 4028]) {
      assertRefused(() => new Mutex(map, offset), MMapInvalidParameterError, "multiple of 8");
    }
    using file = sharedFile();
    using odd = MemoryMap.open(file.path, { mode: "r+", offset: 3 });
    assertRefused(() => new Mutex(odd, 8), MMapInvalidParameterError, "11 is not a multiple");
    assertEquals(new Mutex(odd, 5).lock(), "acquired");
  });
  test("is refused past the end of the map", () => {
    using map = sharedMemory();
    for (const offset of [4096 - 56, 4096, 2 ** 40, -8, 0.5, NaN]) {
      assertRefused(() => new Mutex(map, offset), MMapInvalidParameterError);
    }
    new Mutex(map, 4096 - 64);
  });
  test("is refused where something else lies, and leaves it as it is", () => {
    using map = sharedMemory();
    map.write("some text", 0);
    assertRefused(() => new Mutex(map), MMapInvalidParameterError, "something else");
    assertEquals(new TextDecoder().decode(map.read(9)), "some text");
    map.fill(0);
    map.write(Uint8Array.of(1), 63);
    assertRefused(() => new Mutex(map), MMapInvalidParameterError, "something else");
    assertEquals(map.count(0), 4095);
  });
  test("is refused in a map that may not be written", () => {
    using file = sharedFile();
    using map = MemoryMap.open(file.path);
    assertRefused(() => new Mutex(map), MMapProtectionError, "PROT_WRITE");
  });
  test("is refused in what is no map", () => {
    for (const value of [undefined, null, {}, new Uint8Array(64), 5]) {
      assertRefused(
        () => new Mutex(value as unknown as MemoryMap),
        MMapInvalidParameterError,
        "give a MemoryMap",
      );
    }
  });
  test("is refused in a closed map", () => {
    const map = sharedMemory();
    map.close();
    assertRefused(() => new Mutex(map), MMapClosedError, "closed map");
  });
});

describe("Mutex when the map ends or moves", { skip }, () => {
  test("every method throws MMapClosedError after close()", async () => {
    for (const sharedBuffer of sharedBuffers) {
      const map = sharedMemory(4096, sharedBuffer);
      const mutex = new Mutex(map);
      mutex.lock();
      mutex.unlock();
      map.close();
      assertRefused(() => mutex.lock(), MMapClosedError);
      assertRefused(() => mutex.lock(10), MMapClosedError);
      assertRefused(() => mutex.tryLock(), MMapClosedError);
      assertRefused(() => mutex.unlock(), MMapClosedError);
      assertRefused(() => mutex.isHeld, MMapClosedError);
      assertRefused(() => mutex.hold(), MMapClosedError);
      await assertRefusedLater(mutex.lockAsync(), MMapClosedError);
      mutex[Symbol.dispose]();
    }
  });
  test("close() hands a lock that is held to the next, who is told", () => {
    using file = sharedFile();
    using other = MemoryMap.open(file.path, { mode: "r+" });
    const theirs = new Mutex(other);
    new Mutex(file.map).lock();
    assertEquals(theirs.tryLock(), false);
    file.map.close();
    assertEquals(theirs.lock(1000), "recovered");
    theirs.unlock();
    assertEquals(theirs.lock(), "acquired");
    theirs.unlock();
  });
  test("close() leaves a lock that is held through another map", () => {
    using file = sharedFile();
    using other = MemoryMap.open(file.path, { mode: "r+" });
    new Mutex(file.map);
    const theirs = new Mutex(other);
    theirs.lock();
    file.map.close();
    assertEquals(theirs.isHeld, true);
    theirs.unlock();
  });
  test("lockAsync() is rejected when the map is closed meanwhile", async () => {
    using file = sharedFile();
    using other = MemoryMap.open(file.path, { mode: "r+" });
    new Mutex(other).lock();
    const waiting = new Mutex(file.map).lockAsync();
    await pause(10);
    file.map.close();
    await within(5, "the rejection", assertRefusedLater(waiting, MMapClosedError));
    new Mutex(other).unlock();
  });
  test("goes on after the map was resized", () => {
    using file = sharedFile();
    const { map } = file;
    const mutex = new Mutex(map);
    mutex.lock();
    map.resize(1 << 20);
    assertEquals(mutex.isHeld, true);
    mutex.unlock();
    map.resize(8192);
    assertEquals(mutex.lock(), "acquired");
    mutex.unlock();
  });
  test("a page given back ends in an error", () => {
    using map = sharedMemory(3 * 4096);
    const mutex = new Mutex(map, 4096);
    map.unmapRange(0, 3 * 4096);
    assertRefused(() => mutex.lock(), MMapClosedError, "given back");
  });
  test("memory that was zeroed while the lock was held is a free lock again", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    mutex.lock();
    map.fill(0);
    assertRefused(() => mutex.unlock(), MMapInvalidParameterError, "does not hold");
    assertEquals(new Mutex(map).lock(), "acquired");
    mutex.unlock();
  });
});

describe("Mutex between threads and processes", { skip: skipPeers }, () => {
  test("waits for another process, and ends in time", async () => {
    using file = sharedFile();
    const mutex = new Mutex(file.map);
    await using peer = startPeer("sync_member.ts", [file.path]);
    assertEquals(await ask(peer, { do: "lock mutex" }), "acquired");
    assertEquals(mutex.tryLock(), false);
    const start = performance.now();
    assertEquals(mutex.lock(30), "timeout");
    const waited = performance.now() - start;
    assert(waited >= 29 && waited < 3000, `${waited} ms`);
    assertEquals(mutex.lock(0), "timeout");
    const error = assertThrows(() => mutex.hold(5), MMapError);
    assertEquals(error.code, "ETIMEDOUT");
    const later = mutex.lockAsync();
    assertEquals(await ask(peer, { do: "unlock mutex" }), null);
    assertEquals(await later, "acquired");
    assertEquals(await ask(peer, { do: "tryLock mutex" }), false);
    assertEquals(await ask(peer, { do: "unlock mutex" }), {
      error: "MMapInvalidParameterError",
      code: "EPERM",
    });
    mutex.unlock();
  });
  test("is recovered from a killed process, also by tryLock() and lockAsync()", async () => {
    using file = sharedFile();
    const mutex = new Mutex(file.map);
    const takes: (() => unknown)[] = [
      () => mutex.lock(5000),
      () => mutex.lockAsync(5000),
      () => mutex.hold(5000).outcome,
    ];
    for (const take of takes) {
      await using peer = startPeer("sync_member.ts", [file.path]);
      assertEquals(await ask(peer, { do: "lock mutex" }), "acquired");
      peer.kill();
      assertEquals(await take(), "recovered");
      mutex.unlock();
      assertEquals(mutex.lock(), "acquired");
      mutex.unlock();
    }
    await using peer = startPeer("sync_member.ts", [file.path]);
    await ask(peer, { do: "lock mutex" });
    assertEquals(mutex.tryLock(), false);
    peer.kill();
    await peer.ended();
    assertEquals(mutex.tryLock(), true);
    mutex.unlock();
  });
  test("is recovered from a process that ended, and from one that closed its map", async () => {
    using file = sharedFile();
    const mutex = new Mutex(file.map);
    {
      await using peer = startPeer("sync_member.ts", [file.path]);
      await ask(peer, { do: "lock mutex" });
      assertEquals(await ask(peer, { do: "close" }), null);
      assertEquals(mutex.lock(5000), "recovered");
      mutex.unlock();
    }
    assertEquals(mutex.lock(), "acquired");
    mutex.unlock();
  });
  test("is recovered from a thread that was terminated", async () => {
    // No file: Windows could not remove it, because the thread's map stays until the process ends.
    using map = sharedMemory();
    const mutex = new Mutex(map);
    const data = { handle: map.share(), do: "hold" };
    await using thread = startThread("sync_thread.ts", data);
    assertEquals(await within(30, "the thread", thread.message()), "acquired");
    assertEquals([mutex.tryLock(), mutex.isHeld], [false, false]);
    const error = assertThrows(() => mutex.unlock(), MMapInvalidParameterError);
    assertEquals(error.code, "EPERM");
    const terminated = thread.terminate();
    assertEquals(mutex.lock(5000), "recovered");
    await terminated;
    mutex.unlock();
  });
  test("lock() throws EDEADLK when two threads wait for each other, in one of them at least", {
    skip: skipWithoutOwners,
  }, async () => {
    using file = sharedFile();
    const [mine, theirs] = [new Mutex(file.map, 0), new Mutex(file.map, 64)];
    mine.lock();
    const data = { handle: file.map.share(), do: "cross" };
    await using thread = startThread("sync_thread.ts", data);
    assertEquals(await within(30, "the thread", thread.message()), "acquired");
    const owner = file.map.asTypedArray(Int32Array, MUTEX_OWNER_OFFSET, 1);
    while ((Atomics.load(owner, 0) & WAITERS) === 0) await pause(1); // the thread waits for ours
    const told = (): unknown => {
      try {
        return theirs.lock(20_000);
      } catch (error) {
        if (!(error instanceof MMapError)) throw error;
        return error.code;
      }
    };
    // Whoever comes second is told. A thread that waits goes out and in again, so it may be either.
    const here = told();
    mine.unlock();
    const there = await within(30, "the thread", thread.message());
    const outcomes = [["EDEADLK", "acquired"], ["recovered", "EDEADLK"], ["EDEADLK", "EDEADLK"]];
    assert(outcomes.some(([a, b]) => a === here && b === there), `${here} here, ${there} there`);
  });
});

describe("Lock.withLock()", { skip: skipWithoutSync }, () => {
  class Mistake extends Error {}

  test("refuses what is no function, and takes no lock for it", async () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    for (const bad of [undefined, [8], map, {}] as never[]) {
      assertRefused(() => mutex.withLock(bad), MMapInvalidParameterError, "give a function");
      await assertRejects(() => mutex.withLockAsync(bad), MMapInvalidParameterError);
    }
    assertEquals(mutex.isHeld, false);
  });
  test("releases after a result whose then cannot be read", () => {
    using map = sharedMemory();
    const mutex = new Mutex(map);
    const result = {
      get then() {
        throw new Mistake();
      },
    };
    assertThrows(() => mutex.withLock(() => result), Mistake);
    assertEquals(mutex.isHeld, false);
  });
  test("throws the function's own error, also where the map was closed under the lock", async () => {
    const fail = (map: MemoryMap) => (): never => {
      map.close();
      throw new Mistake();
    };
    const failLater = (map: MemoryMap) => async (): Promise<never> => {
      await pause(1);
      return fail(map)();
    };
    const maps = Array.from({ length: 4 }, () => sharedMemory());
    const [a, b, c, d] = maps.map((map) => new Mutex(map));
    assertThrows(() => a!.withLock(fail(maps[0]!)), Mistake);
    await assertRejects(() => b!.withLock(failLater(maps[1]!)), Mistake);
    await assertRejects(() => c!.withLockAsync(fail(maps[2]!)), Mistake);
    await assertRejects(() => d!.withLockAsync(failLater(maps[3]!)), Mistake);
  });
});
