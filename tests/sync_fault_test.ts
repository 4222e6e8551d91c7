/** Locks whose file is truncated under them: an error, and nothing is acquired. */
import fs from "node:fs";
import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MemoryMap, MMapClosedError, MMapFaultError } from "../mod.ts";
import {
  Barrier,
  Event,
  Mutex,
  RwLock,
  Semaphore,
  waitForChange,
  waitForChangeAsync,
} from "../src/sync/mod.ts";
import { firstReason, skipWithoutGuard, tempDir } from "./helpers.ts";
import { pause, skipWithoutSync } from "./helpers_sync.ts";

const skip = firstReason(skipWithoutSync, skipWithoutGuard);
const PAGE = 4096;
const SIZE = 4 * PAGE;
/** On the second page: the first one stays where a file is cut in part. */
const AT = PAGE;

/** A map of a new file; `cut` makes the file that short. */
function cuttable(): { map: MemoryMap; cut: (size: number) => void } & Disposable {
  const dir = tempDir();
  const path = dir.file("locks");
  fs.writeFileSync(path, new Uint8Array(SIZE));
  const map = MemoryMap.open(path, { mode: "r+" });
  return {
    map,
    cut: (size) => fs.truncateSync(path, size),
    [Symbol.dispose]() {
      map.close();
      dir[Symbol.dispose]();
    },
  };
}

/** What is done before the file is cut; returns what must throw then. */
const uses: Record<string, (map: MemoryMap) => () => unknown> = {
  "Mutex.lock()": (map) => {
    const mutex = new Mutex(map, AT);
    return () => mutex.lock(100);
  },
  "Mutex.tryLock()": (map) => {
    const mutex = new Mutex(map, AT);
    return () => mutex.tryLock();
  },
  "Mutex.lock() of one that is held": (map) => {
    const mutex = new Mutex(map, AT);
    mutex.lock();
    return () => mutex.lock(100);
  },
  "Mutex.unlock()": (map) => {
    const mutex = new Mutex(map, AT);
    mutex.lock();
    return () => mutex.unlock();
  },
  "Mutex.isHeld": (map) => {
    const mutex = new Mutex(map, AT);
    mutex.lock();
    return () => mutex.isHeld;
  },
  "a new Mutex": (map) => {
    new Mutex(map, AT).lock();
    return () => new Mutex(map, AT);
  },
  "RwLock.read.lock()": (map) => {
    const { read } = new RwLock(map, AT);
    return () => read.lock(100);
  },
  "RwLock.read.lock() of one that is read": (map) => {
    const { read } = new RwLock(map, AT);
    read.lock();
    return () => read.lock(100);
  },
  "RwLock.read.tryLock()": (map) => {
    const { read } = new RwLock(map, AT);
    return () => read.tryLock();
  },
  "RwLock.read.unlock()": (map) => {
    const { read } = new RwLock(map, AT);
    read.lock();
    return () => read.unlock();
  },
  "RwLock.read.unlock() while another task reads": (map) => {
    const { read } = new RwLock(map, AT);
    read.lock();
    read.lock();
    return () => read.unlock();
  },
  "RwLock.write.lock()": (map) => {
    const { write } = new RwLock(map, AT);
    return () => write.lock(100);
  },
  "RwLock.write.tryLock()": (map) => {
    const { write } = new RwLock(map, AT);
    return () => write.tryLock();
  },
  "RwLock.write.unlock()": (map) => {
    const { write } = new RwLock(map, AT);
    write.lock();
    return () => write.unlock();
  },
  "Semaphore.acquire()": (map) => {
    const semaphore = new Semaphore(map, AT, 2);
    return () => semaphore.acquire(100);
  },
  "Semaphore.tryAcquire()": (map) => {
    const semaphore = new Semaphore(map, AT, 1);
    semaphore.acquire();
    return () => semaphore.tryAcquire();
  },
  "Semaphore.release()": (map) => {
    const semaphore = new Semaphore(map, AT, 2);
    semaphore.acquire();
    return () => semaphore.release();
  },
  "Semaphore.available": (map) => {
    const semaphore = new Semaphore(map, AT, 2);
    return () => semaphore.available;
  },
  "Event.set()": (map) => {
    const event = new Event(map, AT);
    return () => event.set();
  },
  "Event.reset()": (map) => {
    const event = new Event(map, AT);
    return () => event.reset();
  },
  "Event.isSet": (map) => {
    const event = new Event(map, AT);
    event.set();
    return () => event.isSet;
  },
  "Event.wait()": (map) => {
    const event = new Event(map, AT);
    return () => event.wait(100);
  },
  "Barrier.wait()": (map) => {
    const barrier = new Barrier(map, AT, 1);
    return () => barrier.wait(100);
  },
  "Barrier.leave()": (map) => {
    const barrier = new Barrier(map, AT, 2);
    barrier.wait(0);
    return () => barrier.leave();
  },
  "waitForChange()": (map) => {
    map.fill(1, AT, 4);
    return () => waitForChange(map, AT, 0x01010101, 100);
  },
};

for (const [name, begin] of Object.entries(uses)) {
  test(`${name} throws MMapFaultError when the page was lost`, { skip }, () => {
    for (const size of [0, AT]) {
      using file = cuttable();
      const use = begin(file.map);
      file.cut(size);
      assertThrows(use, MMapFaultError);
      assertThrows(use, MMapFaultError);
    }
  });
}

test(
  "waits with the event loop free end with MMapFaultError when the page is lost",
  { skip },
  async () => {
    using file = cuttable();
    const { map } = file;
    const mutex = new Mutex(map, AT);
    mutex.lock();
    const waits = [
      mutex.lockAsync(1000), // its time is over when the page is gone
      mutex.lockAsync(5000),
      new Event(map, AT + 64).waitAsync(5000),
      new Barrier(map, 2 * PAGE, 2).waitAsync(5000),
      waitForChangeAsync(map, AT + 128, 0, 5000),
    ].map((wait) => assertRejects(() => wait, MMapFaultError));
    await pause(20);
    file.cut(0);
    await Promise.all(waits);
  },
);

test("a lock whose page is there works beside lost ones", { skip }, () => {
  using file = cuttable();
  const [kept, lost] = [new Mutex(file.map, 0), new Mutex(file.map, AT)];
  file.cut(AT);
  assertThrows(() => lost.lock(), MMapFaultError);
  assertEquals(kept.lock(), "acquired");
  kept.unlock();
});

test("MemoryMap.close() goes on when the page of a lock that is held was lost", { skip }, () => {
  using file = cuttable();
  new Mutex(file.map, AT).lock();
  new RwLock(file.map, 2 * PAGE).read.lock();
  file.cut(0);
  file.map.close();
  assertThrows(() => file.map.read(1), MMapClosedError);
});
