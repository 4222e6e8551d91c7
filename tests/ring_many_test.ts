/** Many producers at once: threads, processes, and all three runtimes. */
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { MessageQueue } from "../src/ring/mod.ts";
import { firstReason, runtimeName, skipEmulated, skipWithoutChildren, tempDir } from "./helpers.ts";
import {
  executableOf,
  pause,
  skipWithoutSync,
  startPeer,
  startThread,
  within,
} from "./helpers_sync.ts";
import { readStamp } from "./stamps.ts";

const MESSAGES = 5000;

/** Reads until each of so many senders has sent all; fails if one is broken or out of order. */
async function readAll(
  queue: MessageQueue,
  senders: number,
  onRead: () => void = () => {},
): Promise<void> {
  const next = new Array<number>(senders).fill(0);
  const end = performance.now() + 30_000;
  while (next.some((number) => number < MESSAGES)) {
    assert(performance.now() < end, `after 30 s: ${next}`);
    queue.read((bytes) => {
      const found = readStamp(bytes);
      assert(found !== undefined, "broken");
      assertEquals(found.number, next[found.sender]!++);
    });
    onRead();
    await queue.waitAsync(100);
  }
  assertEquals(queue.read(() => {}), 0);
}

test("MessageQueue gets everything in order from producers of all runtimes that are here", {
  skip: firstReason(skipWithoutSync, skipWithoutChildren(), skipEmulated),
}, async () => {
  using dir = tempDir();
  const path = dir.file("queue");
  using queue = MessageQueue.create({ path }, { capacity: 1 << 14 });
  const runtimes = (["deno", "bun", "node"] as const).filter((name) =>
    executableOf(name) !== undefined
  );
  const peers = runtimes.flatMap((runtime, i) =>
    [2 * i, 2 * i + 1].map((sender) =>
      startPeer("ring_producer.ts", [path, sender, MESSAGES], runtime)
    )
  );
  try {
    await readAll(queue, peers.length);
    assertEquals(
      await within(30, "ending", Promise.all(peers.map((peer) => peer.ended()))),
      peers.map(() => 0),
    );
  } finally {
    for (const peer of peers) await peer[Symbol.asyncDispose]();
  }
});

test("MessageQueue gets everything in order from threads of this process", {
  skip: firstReason(skipWithoutSync, skipEmulated),
}, async () => {
  for (const capacity of [1 << 12, 1 << 16]) {
    using queue = MessageQueue.create({ anonymous: true }, { capacity });
    const threads = [0, 1, 2].map((sender) =>
      startThread("ring_thread.ts", { handle: queue.share(), sender, messages: MESSAGES })
    );
    try {
      await readAll(queue, threads.length);
      await within(30, "ending", Promise.all(threads.map((thread) => thread.message())));
    } finally {
      for (const thread of threads) await thread[Symbol.asyncDispose]();
    }
  }
});

/** That the queue takes and gives a message within five seconds, whatever others have left in it. */
async function assertGoesOn(queue: MessageQueue): Promise<void> {
  const end = performance.now() + 5000;
  while (!queue.tryWrite("next", 2)) {
    queue.read(() => {});
    assert(performance.now() < end, "no room");
    await pause(1);
  }
  for (let seen = false; !seen;) {
    assert(performance.now() < end, "no message");
    queue.wait(100);
    queue.read((_, type) => seen ||= type === 2);
  }
}

test("MessageQueue goes on when a thread ends in the middle of a claim", {
  skip: firstReason(skipWithoutSync, skipEmulated),
}, async () => {
  using queue = MessageQueue.create({ anonymous: true }, { capacity: 1 << 14 });
  for (let i = 0; i < 3; i++) {
    const thread = startThread("ring_thread.ts", { handle: queue.share(), claim: 100 });
    await within(10, "claiming", thread.message());
    assert(queue.tryWrite("behind", 3));
    assertEquals(queue.read(() => {}), 0, "a claim of the living is waited for");
    await within(10, "ending a thread", thread.terminate());
    await assertGoesOn(queue);
  }
});

test("MessageQueue goes on when a busy thread is ended", {
  skip: firstReason(
    skipWithoutSync,
    skipEmulated,
    runtimeName === "deno" && "Deno 2.9 does not end a Worker that never returns to its event loop",
  ),
}, async () => {
  using queue = MessageQueue.create({ anonymous: true }, { capacity: 1 << 14 });
  for (let i = 0; i < 3; i++) {
    const data = { handle: queue.share(), sender: 0, messages: Infinity };
    const thread = startThread("ring_thread.ts", data);
    while (queue.read(() => {}) === 0) await pause(1);
    await within(10, "ending a thread", thread.terminate());
    await assertGoesOn(queue);
  }
});
