/** Rings whose file is truncated under them: an error, and no process ends. */
import fs from "node:fs";
import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MMapFaultError } from "../mod.ts";
import { MessageQueue, RecordRing } from "../src/ring/mod.ts";
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
