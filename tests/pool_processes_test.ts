/** MemoryPool between processes: work at the same time, deaths, blocks that travel. */
import { test } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { MemoryPool } from "../src/pool/mod.ts";
import { MessageQueue } from "../src/ring/mod.ts";
import {
  firstReason,
  runtimeName,
  skipOnWindows,
  skipWithoutChildren,
  tempDir,
} from "./helpers.ts";
import {
  executableOf,
  type RuntimeName,
  sharedFile,
  skipWithoutSync,
  startPeer,
  startThread,
  within,
} from "./helpers_sync.ts";
import { killInPool, workTogether } from "./pool_processes.ts";

const skip = firstReason(skipWithoutSync, skipWithoutChildren(), skipOnWindows);
const here = (["deno", "bun", "node"] as const satisfies RuntimeName[])
  .filter((name) => executableOf(name) !== undefined);

test(
  "MemoryPool hands no block out twice to four processes, and its totals are exact",
  { skip },
  async () => {
    const runtimes = [...here, runtimeName, runtimeName, runtimeName].slice(0, 4);
    const { overwritten, allocations, refused, held, used, left, problems } = await within(
      60,
      "working together",
      workTogether(runtimes, 1500),
    );
    assertEquals(overwritten, 0);
    assertGreater(allocations, 1000);
    assertGreater(refused, 0);
    assertEquals(used, held);
    assertGreater(held, 0);
    assertEquals([left, problems], [0, []]);
  },
);

test(
  "MemoryPool.recover() gives back all that killed processes had, and nothing else",
  { skip },
  async () => {
    const { recovered, left, overwritten, problems } = await within(
      60,
      "killing",
      killInPool(16, here),
    );
    assertGreater(recovered, 0);
    assertEquals([left, overwritten, problems], [0, 0, []]);
  },
);

test(
  "a block's handle travels through a MessageQueue to another process, which writes and frees it",
  {
    skip,
  },
  async () => {
    for (const runtime of here) {
      using file = sharedFile();
      using dir = tempDir();
      const path = dir.file("queue");
      using queue = MessageQueue.create({ path }, { capacity: 4096 });
      const pool = new MemoryPool(file.map, { blockSize: 64 });
      await using peer = startPeer("pool_receiver.ts", [file.path, path], runtime);
      await within(30, "the start", peer.line());
      const block = pool.allocate(150);
      block.bytes.set([1, 2, 3]);
      const message = new BigUint64Array([block.handle]);
      queue.write(message);
      assertEquals(JSON.parse(await within(30, "the answer", peer.line())), { size: 150, sum: 6 });
      assertEquals([...block.bytes.subarray(0, 3)], [9, 9, 9]); // the same bytes
      queue.write(message, { type: 2 });
      assertEquals(JSON.parse(await within(30, "the end", peer.line())), { size: 150, sum: 27 });
      assert(!block.isValid);
      assertEquals(pool.stats().used, 0);
    }
  },
);

test(
  "MemoryPool.at() finds a block in another thread by a message",
  { skip: skipWithoutSync },
  async () => {
    using file = sharedFile();
    const pool = new MemoryPool(file.map, { blockSize: 64 });
    await using thread = startThread("pool_thread.ts", file.map.share());
    const block = pool.allocate(8);
    block.bytes.fill(3);
    thread.post(block.handle);
    assertEquals(await within(30, "the thread", thread.message()), 24);
    assertEquals(block.bytes[0], 4);
  },
);
