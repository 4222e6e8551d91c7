/** Producers and consumers of a MessageQueue that stop at every step, for ever or for a while. */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { MessageQueue } from "../src/ring/mod.ts";
import {
  firstReason,
  skipEmulated,
  skipOnWindows,
  skipWithoutChildren,
  tempDir,
} from "./helpers.ts";
import { pause, type Peer, skipWithoutSync, startPeer, within } from "./helpers_sync.ts";
import { readStamp } from "./stamps.ts";

const skip = firstReason(skipWithoutSync, skipWithoutChildren(), skipEmulated, skipOnWindows);

/** The messages that can be read within a time: what became of a stamped one, and the texts. */
function readFor(queue: MessageQueue, milliseconds: number, until: string): string[] {
  const got: string[] = [];
  const end = performance.now() + milliseconds;
  while (!got.includes(until) && performance.now() < end) {
    queue.wait(Math.max(end - performance.now(), 0));
    queue.read((bytes, type) => {
      if (type === 2) got.push(new TextDecoder().decode(bytes));
      else got.push(readStamp(bytes) === undefined ? "broken" : "whole");
    });
  }
  return got;
}

/** A queue in a file, in which the next message of 100 bytes begins where `near` says. */
function makeQueue(path: string, layout: string, near: "anywhere" | "the end"): MessageQueue {
  const capacity = layout === "padded" ? 1024 : 4096;
  const queue = MessageQueue.create({ path }, { capacity });
  if (near === "anywhere") return queue;
  // The abort of ring_step.ts takes 8 bytes.
  for (let used = 8; used < capacity - 48; used += 8) {
    queue.tryClaim(0)!.abort();
    queue.read(() => {});
  }
  return queue;
}

/** Waits until a process is stopped by a signal, as the system sees it. */
async function stopped(peer: Peer): Promise<void> {
  const { readFileSync } = await import("node:fs");
  while (!/\) [Tt] /.test(readFileSync(`/proc/${peer.pid}/stat`, "utf8"))) await pause(1);
}

/** More than any action here takes; a step beyond the last is the whole action. */
const MOST_STEPS = 20;

for (const layout of ["mirrored", "padded"] as const) {
  for (const near of ["anywhere", "the end"] as const) {
    for (const action of ["write", "claim", "abort"] as const) {
      const name =
        `a producer of a ${layout} queue that dies at any step of ${action}, near ${near}`;
      test(`${name}: nobody is blocked, and nothing is half there`, { skip }, async () => {
        const outcomes = new Set<string>();
        for (const moment of ["before", "after"] as const) {
          using dir = tempDir();
          const path = dir.file("queue");
          const steps = Array.from({ length: MOST_STEPS }, (_, i) => i + 1);
          for (const step of steps) makeQueue(`${path}.${step}`, layout, near).close();
          const args = [action, moment, "die", path, MOST_STEPS];
          await using peer = startPeer("ring_step.ts", args);
          const done = Number(/^done (\d+)$/.exec(await peer.line())?.[1]);
          assertEquals(await within(30, "dying", peer.ended()), "SIGKILL");
          assert(done >= 3 && done < MOST_STEPS, `there were ${done} steps`);
          for (const step of steps.slice(0, done)) {
            using queue = MessageQueue.open({ path: `${path}.${step}` });
            assert(queue.tryWrite("next", 2));
            const start = performance.now();
            const got = readFor(queue, 5000, "next");
            const time = performance.now() - start;
            outcomes.add(got.join(" "));
            assert(time < 500, `${time} ms after step ${step}`);
            const room = queue.write("x".repeat(400), { type: 2, timeoutMs: 0 });
            assert(room, "the room came back");
          }
        }
        assertEquals([...outcomes].sort(), action === "abort" ? ["next"] : ["next", "whole next"]);
      });
    }
  }
}

test(
  "a producer that is stopped at any step is waited for, and its message comes whole",
  { skip },
  async () => {
    let seen = 0;
    for (let step = 1; step < MOST_STEPS; step++) {
      using dir = tempDir();
      const path = dir.file("queue");
      using queue = makeQueue(path, "mirrored", "anywhere");
      await using peer = startPeer("ring_step.ts", ["write", "after", "SIGSTOP", path, step]);
      const ended = peer.ended();
      const isOver = await Promise.race([ended.then(() => true), stopped(peer).then(() => false)])
        .catch(() => true);
      if (isOver) {
        seen = step;
        break;
      }
      assert(queue.tryWrite("next", 2));
      const before = readFor(queue, 60, "next");
      process.kill(peer.pid, "SIGCONT");
      assertEquals(await within(30, "going on", ended), 0);
      const all = [...before, ...readFor(queue, before.includes("next") ? 0 : 5000, "next")];
      all.push(...readFor(queue, 20, "none"));
      // In whichever order they were claimed.
      assertEquals([...all].sort(), ["next", "whole"], `stopped at ${step}: ${all}`);
    }
    assert(seen >= 3, `there were ${seen} steps`);
  },
);

test(
  "a consumer that dies at any step: its successor goes on, and repeats nothing",
  { skip },
  async () => {
    const texts = ["a", "b", "c"];
    for (const moment of ["before", "after"] as const) {
      let step = 1;
      for (; step < MOST_STEPS; step++) {
        using dir = tempDir();
        const path = dir.file("queue");
        using queue = makeQueue(path, "mirrored", "anywhere");
        for (const text of texts) queue.tryWrite(text, 2);
        await using peer = startPeer("ring_step.ts", ["read", moment, "SIGKILL", path, step]);
        const theirs: string[] = [];
        const status = await within(30, "dying", peer.ended());
        for (;;) {
          const line = await peer.line().catch(() => undefined);
          if (line === undefined) break;
          if (!line.startsWith("done")) theirs.push(line);
        }
        const start = performance.now();
        queue.tryWrite("next", 2);
        const ours = readFor(queue, 5000, "next");
        const time = performance.now() - start;
        assert(time < 500, `${time} ms after step ${step}`);
        const all = [...theirs, ...ours];
        const sent = [...texts, "next"];
        assertEquals(all, sent.filter((text) => all.includes(text)), `step ${step}`);
        assert(all.length >= 3, `lost more than the one that it had: ${all}`);
        if (status === 0) break;
      }
      assert(step > 3 && step < MOST_STEPS, `there were ${step} steps`);
    }
  },
);
