/** `RwLock`: many readers or one writer. */
import { describe, test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { MemoryMap, MMapClosedError, MMapInvalidParameterError } from "../mod.ts";
import { RwLock } from "../src/sync/mod.ts";
import { assertRefused, firstReason, skipWithoutChildren } from "./helpers.ts";
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

const skip = skipWithoutSync;
const skipPeers = firstReason(skip, skipWithoutChildren());

describe("RwLock", { skip }, () => {
  test("lets this thread read, read again, and write", () => {
    using map = sharedMemory();
    const lock = new RwLock(map);
    assertEquals(RwLock.byteLength, 4096);
    assertEquals([lock.read.lock(), lock.read.lock()], ["acquired", "acquired"]);
    lock.read.unlock();
    lock.read.unlock();
    assertEquals(lock.write.lock(), "acquired");
    lock.write.unlock();
    assertEquals([lock.read.tryLock(), lock.read.tryLock()], [true, true]);
    lock.read.unlock();
    lock.read.unlock();
    assertEquals(lock.write.tryLock(), true);
    lock.write.unlock();
  });
  test("unlock() throws EPERM when this thread does not hold that side", () => {
    using map = sharedMemory();
    const { read, write } = new RwLock(map);
    for (const side of [read, write]) {
      const error = assertRefused(
        () => side.unlock(),
        MMapInvalidParameterError,
        "does not hold it",
      );
      assertEquals(error.code, "EPERM");
    }
    read.lock();
    assertThrows(() => write.unlock(), MMapInvalidParameterError);
    read.unlock();
    assertThrows(() => read.unlock(), MMapInvalidParameterError);
    write.lock();
    assertThrows(() => read.unlock(), MMapInvalidParameterError);
    write.unlock();
    assertEquals(write.tryLock(), true);
    write.unlock();
  });
  test("lock() throws EDEADLK when this thread holds the other side", () => {
    using map = sharedMemory();
    const { read, write } = new RwLock(map);
    const deadlocks: [() => unknown, () => void, () => unknown][] = [
      [() => read.lock(), () => read.unlock(), () => write.lock()],
      [() => write.lock(), () => write.unlock(), () => read.lock()],
      [() => write.lock(), () => write.unlock(), () => write.lock()],
    ];
    for (const [take, give, again] of deadlocks) {
      take();
      assertEquals(assertRefused(again, MMapInvalidParameterError).code, "EDEADLK");
      give();
      assertEquals(write.tryLock(), true);
      write.unlock();
    }
    read.lock();
    assertEquals(write.tryLock(), false);
    read.unlock();
    write.lock();
    assertEquals([read.tryLock(), write.tryLock()], [false, false]);
    write.unlock();
  });
  test("tasks of one thread read together and write alone", async () => {
    using map = sharedMemory();
    const { read, write } = new RwLock(map);
    let readers = 0;
    let most = 0;
    let writers = 0;
    const reading = () =>
      read.withLockAsync(async () => {
        most = Math.max(most, ++readers);
        assertEquals(writers, 0);
        await pause(2);
        readers--;
      });
    const writing = () =>
      write.withLockAsync(async () => {
        assertEquals([++writers, readers], [1, 0]);
        await pause(2);
        writers--;
      });
    const tasks = [reading(), reading(), writing(), reading(), writing(), reading()];
    await within(20, "six tasks", Promise.all(tasks));
    assertEquals([readers, writers, most >= 2], [0, 0, true]);
    assertEquals(write.tryLock(), true);
    write.unlock();
  });
  test("a writer that gives up leaves no trace", async () => {
    using map = sharedMemory();
    const { read, write } = new RwLock(map);
    read.lock();
    assertEquals(await write.lockAsync(20), "timeout");
    read.unlock();
    assertEquals(write.tryLock(), true);
    assertEquals(await read.lockAsync(20), "timeout");
    write.unlock();
    assertEquals(read.lock(), "acquired");
    read.unlock();
  });
  test("every method throws MMapClosedError after close()", async () => {
    const map = sharedMemory();
    const { read, write } = new RwLock(map);
    map.close();
    for (const side of [read, write]) {
      assertRefused(() => side.lock(), MMapClosedError);
      assertRefused(() => side.tryLock(), MMapClosedError);
      assertRefused(() => side.unlock(), MMapClosedError);
      await assertRefusedLater(side.lockAsync(), MMapClosedError);
    }
  });
  test("a wait is rejected when the map is closed meanwhile", async () => {
    using file = sharedFile();
    using other = MemoryMap.open(file.path, { mode: "r+" });
    const theirs = new RwLock(other);
    const mine = new RwLock(file.map);
    theirs.read.lock();
    const waiting = mine.write.lockAsync();
    await pause(10);
    file.map.close();
    await within(5, "the rejection", assertRefusedLater(waiting, MMapClosedError));
    theirs.read.unlock();
    assertEquals(theirs.write.tryLock(), true);
    theirs.write.unlock();
  });
});

describe("RwLock between processes", { skip: skipPeers }, () => {
  test("readers do not wait for readers, but for writers; writers wait for both", async () => {
    using file = sharedFile();
    const { read, write } = new RwLock(file.map);
    await using peer = startPeer("sync_member.ts", [file.path]);
    assertEquals(await ask(peer, { do: "lock read" }), "acquired");
    assertEquals([read.lock(), write.tryLock()], ["acquired", false]);
    read.unlock();
    assertEquals(write.lock(20), "timeout");
    const later = write.lockAsync(5000);
    await pause(20);
    assertEquals(read.tryLock(), false); // a writer waits: no new readers
    await ask(peer, { do: "unlock read" });
    assertEquals(await later, "acquired");
    assertEquals(await ask(peer, { do: "lock read", timeout: 20 }), "timeout");
    assertEquals(await ask(peer, { do: "tryLock write" }), false);
    write.unlock();
    assertEquals(await ask(peer, { do: "lock write", timeout: 5000 }), "acquired");
    assertEquals([read.lock(20), write.lock(20)], ["timeout", "timeout"]);
    assertEquals(await read.lockAsync(20), "timeout");
  });
  test("a dead reader is forgotten", async () => {
    using file = sharedFile();
    const { write } = new RwLock(file.map);
    for (const take of [() => write.lock(5000), () => write.lockAsync(5000)]) {
      await using peer = startPeer("sync_member.ts", [file.path]);
      await ask(peer, { do: "lock read" });
      peer.kill();
      assertEquals(await take(), "acquired");
      write.unlock();
    }
  });
  test("a dead writer is reported until the next writer has released", async () => {
    using file = sharedFile();
    const { read, write } = new RwLock(file.map);
    const takes = [() => read.lock(5000), () => read.lockAsync(5000)];
    for (const take of takes) {
      await using peer = startPeer("sync_member.ts", [file.path]);
      await ask(peer, { do: "lock write" });
      assertEquals(read.tryLock(), false);
      peer.kill();
      assertEquals(await take(), "recovered");
      read.unlock();
      assertEquals(read.lock(), "recovered");
      read.unlock();
      assertEquals(write.lock(), "recovered");
      write.unlock();
      assertEquals([read.lock(), read.unlock()], ["acquired", undefined]);
    }
    await using peer = startPeer("sync_member.ts", [file.path]);
    await ask(peer, { do: "lock write" });
    peer.kill();
    await peer.ended();
    assertEquals(read.tryLock(), true);
    read.unlock();
    assertEquals(write.tryLock(), true);
    write.unlock();
    assertEquals(read.lock(), "acquired");
  });
  test("a writer that closes its map in the middle is reported like a dead one", async () => {
    using file = sharedFile();
    const { read } = new RwLock(file.map);
    await using peer = startPeer("sync_member.ts", [file.path]);
    await ask(peer, { do: "lock write" });
    await ask(peer, { do: "close" });
    assertEquals(read.lock(5000), "recovered");
  });
});
