/** Rings whose file is truncated under them: an error, and no process ends. */
import fs from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MMapClosedError, MMapError, MMapFaultError } from "../mod.ts";
import { Broadcast, Journal, MessageQueue, RecordRing } from "../src/ring/mod.ts";
import { firstReason, skipWithoutGuard, tempDir } from "./helpers.ts";
import { skipWithoutSync } from "./helpers_sync.ts";

const skip = firstReason(skipWithoutSync, skipWithoutGuard);

/** Calls until something throws: the first touches may fall on a page that is still there. */
function untilItThrows(use: () => unknown): void {
  for (let i = 0; i < 10_000; i++) use();
}

for (const size of [0, 4096, 65536] as const) {
  test(
    `MessageQueue throws MMapFaultError when its file was cut to ${size} bytes`,
    { skip },
    async () => {
      using dir = tempDir();
      const path = dir.file("queue");
      const uses: ((queue: MessageQueue) => unknown)[] = [
        (queue) => queue.tryWrite("x".repeat(100)),
        (queue) => queue.write("x", { timeoutMs: 0 }),
        (queue) => queue.read(() => {}),
        (queue) => queue.wait(0),
        (queue) => {
          const claim = queue.tryClaim(100);
          claim?.bytes.fill(1);
          claim?.commit();
        },
      ];
      for (const use of uses) {
        using queue = MessageQueue.create({ path }, { capacity: 1 << 14 });
        queue.tryWrite("before");
        queue.read(() => {}, 0);
        fs.truncateSync(path, size);
        assertThrows(() => untilItThrows(() => use(queue)), MMapFaultError);
        assertThrows(() => untilItThrows(() => use(queue)), MMapFaultError);
      }
      using queue = MessageQueue.create({ path }, { capacity: 1 << 14 });
      fs.truncateSync(path, size);
      await assertRejects(() => queue.waitAsync(1000), MMapFaultError);
    },
  );
}

test("RecordRing throws MMapFaultError when its file was truncated", { skip }, () => {
  using dir = tempDir();
  const path = dir.file("ring");
  using ring = RecordRing.create(path, { capacity: 100, recordSize: 1000 });
  for (let i = 0; i < 150; i++) ring.write(new Uint8Array(1000).fill(i));
  using reader = RecordRing.open(path);
  assertEquals(reader.count, 100);
  fs.truncateSync(path, 8192);
  assertThrows(() => reader.get(50), MMapFaultError);
  assertThrows(() => [...reader], MMapFaultError);
  assertThrows(() => untilItThrows(() => ring.write(new Uint8Array(1000))), MMapFaultError);
});

for (const size of [0, 1000, 4096, 65536]) {
  test(`close() of a ring whose file was cut to ${size} bytes gives all back`, { skip }, () => {
    using dir = tempDir();
    const uses: ((queue: MessageQueue) => unknown)[] = [
      () => {},
      (queue) => queue.tryWrite("x"),
      (queue) => queue.read(() => {}),
      (queue) => queue.wait(0),
    ];
    for (const [i, use] of uses.entries()) {
      const path = dir.file(`queue${i}`);
      const queue = MessageQueue.create({ path }, { capacity: 1 << 14 });
      queue.tryWrite("before");
      queue.read(() => {}, 0);
      const claim = queue.tryClaim(100);
      fs.truncateSync(path, size);
      try {
        use(queue);
      } catch (error) {
        assert(error instanceof MMapFaultError, `${error}`);
      }
      queue.close();
      queue.close();
      assertThrows(() => claim?.bytes);
      assertThrows(() => queue.tryWrite("x"), MMapClosedError);
    }
    const path = dir.file("broadcast");
    using ring = Broadcast.create({ path }, { capacity: 1 << 14 });
    ring.write("x");
    fs.truncateSync(path, size);
    assertThrows(() => untilItThrows(() => ring.write("x".repeat(100))), MMapFaultError, path);
  });
}

test(
  "MMapFaultError of a ring names its file, and nothing that rings do not have",
  { skip },
  () => {
    using dir = tempDir();
    const path = dir.file("queue");
    using queue = MessageQueue.create({ path }, { capacity: 1 << 14 });
    fs.truncateSync(path, 0);
    const error = assertThrows(
      () => untilItThrows(() => queue.tryWrite("x")),
      MMapFaultError,
      path,
    );
    assert(!error.message.includes("remap"), error.message);
  },
);

for (const durability of ["every", "batch", "none"] as const) {
  test(
    `Journal, ${durability}, on a truncated file throws MMapFaultError once: close() only if nothing has`,
    { skip },
    () => {
      using dir = tempDir();
      const path = dir.file("journal");
      const open = () => {
        const journal = Journal.open(path, { mode: "w+", size: 65536, durability });
        journal.append("acknowledged");
        fs.truncateSync(path, 0);
        return journal;
      };
      const error = assertThrows(
        () => {
          using journal = open();
          untilItThrows(() => journal.append("x".repeat(1000)));
        },
        MMapFaultError,
        path,
      );
      assert(!error.message.includes("remap"), error.message);
      assertThrows(
        () => {
          using journal = open();
          [...journal.readFrom(0)];
        },
        MMapFaultError,
        path,
      );
      const untold = open();
      assertThrows(() => untold.close(), MMapFaultError, path);
      untold.close();
      Journal.open(path, { mode: "w+", size: 65536 }).close(); // the lock is free
    },
  );
}

test(
  "Journal.readFrom() of a reader throws MMapFaultError when its file was truncated",
  { skip },
  () => {
    using dir = tempDir();
    const path = dir.file("journal");
    Journal.open(path, { size: 65536 }).close();
    using reader = Journal.open(path, { mode: "r" });
    fs.truncateSync(path, 0);
    assertThrows(() => [...reader.readFrom(0)], MMapFaultError, path);
  },
);

test("Journal.readFrom() names a later segment that was truncated, with EBADMSG", { skip }, () => {
  using dir = tempDir();
  const path = dir.file("journal");
  using journal = Journal.open(path, { size: 4096, durability: "none" });
  for (let i = 0; i < 10; i++) journal.append("x".repeat(1000));
  using reader = Journal.open(path, { mode: "r" });
  fs.truncateSync(`${path}.000001`, 0);
  const error = assertThrows(() => [...reader.readFrom(0)], MMapError, `${path}.000001`);
  assertEquals(error.code, "EBADMSG");
});
