/** Broadcast: one producer, and readers that it does not wait for. */
import fs from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MemoryMap, MMapClosedError, MMapInvalidParameterError } from "../mod.ts";
import { EPOCH_OFFSET, INTENT_OFFSET, TAIL_OFFSET } from "../src/ring/broadcast_layout.ts";
import { Broadcast, type BroadcastReader } from "../src/ring/mod.ts";
import { platform } from "../src/ffi/host.ts";
import {
  assertRefused,
  fileBytes,
  firstReason,
  skipEmulated,
  skipOnWindows,
  skipWithoutChildren,
  tempDir,
} from "./helpers.ts";
import { executableOf, sharedMemory, skipWithoutSync, startPeer, within } from "./helpers_sync.ts";
import { readStamp } from "./stamps.ts";

const skip = skipWithoutSync;

/** What can be read now, as text, type and messages lost before. */
function drain(reader: BroadcastReader, limit?: number): string[] {
  const got: string[] = [];
  reader.read(
    (bytes, type, lost) => got.push(`${type} ${new TextDecoder().decode(bytes)} ${lost}`),
    limit,
  );
  return got;
}

function padded(capacity: number): Broadcast {
  const map = sharedMemory(Broadcast.byteLength(capacity));
  return Broadcast.create({ map }, { capacity });
}

const mirrors = platform().mapOver !== undefined && platform().memfd !== undefined;
const layouts: [string, (capacity: number) => Broadcast][] = [["padded", padded]];
if (mirrors) {
  layouts.push(["mirrored", (capacity) => Broadcast.create({ anonymous: true }, { capacity })]);
}

for (const [layout, make] of layouts) {
  describe(`Broadcast, ${layout}`, { skip }, () => {
    test("hands every reader what is written after its beginning, in order", () => {
      using ring = make(4096);
      const first = ring.reader();
      ring.write("one");
      const second = ring.reader();
      ring.write(new Uint8Array([50]), 2);
      ring.write("", 3);
      assertEquals(drain(first), ["1 one 0", "2 2 0", "3  0"]);
      assertEquals(drain(second, 1), ["2 2 0"]);
      assertEquals(drain(second), ["3  0"]);
      assertEquals(drain(second), []);
      assertEquals([first.lost, second.lost], [0, 0]);
    });

    test("keeps bytes of every length whole, many times around the ring", () => {
      using ring = make(4096);
      const reader = ring.reader();
      for (let i = 0; i < 3000; i++) {
        ring.write(Uint8Array.from({ length: i * 7 % 700 }, (_, k) => i + k * 3), i + 1);
        reader.read((bytes, type, lost) => {
          assertEquals([type, lost, bytes.length], [i + 1, 0, i * 7 % 700]);
          assert(bytes.every((byte, k) => byte === (i + k * 3 & 255)));
        });
      }
    });

    test("tells a reader that was overtaken how many messages it has missed", () => {
      using ring = make(4096);
      const reader = ring.reader();
      for (let i = 0; i < 1000; i++) ring.write(`${i}`);
      assertEquals(drain(reader), ["1 999 999"]);
      assertEquals(reader.lost, 999);
      ring.write("on");
      assertEquals(drain(reader), ["1 on 0"]);
      for (let i = 0; i < 500; i++) ring.write(`${i}`);
      assertEquals(drain(reader), ["1 499 499"]);
      assertEquals(reader.lost, 999 + 499);
    });

    test("loses nothing as long as the ring holds what was not read", () => {
      using ring = make(4096);
      const reader = ring.reader();
      for (let i = 0; i < 100; i++) {
        for (let k = 0; k < 40; k++) ring.write("12345678".repeat(k % 8));
        assertEquals(reader.read(() => {}), 40);
      }
      assertEquals(reader.lost, 0);
    });

    test("takes the longest message that it allows, from every place", () => {
      using ring = make(4096);
      const reader = ring.reader();
      assertEquals(ring.maxMessageLength, 4080);
      assertRefused(
        () => ring.write(new Uint8Array(4081)),
        MMapInvalidParameterError,
        "4081",
        "4080",
      );
      for (let i = 0; i < 300; i++) {
        ring.write("x");
        reader.read(() => {});
        ring.write(new Uint8Array(4080).fill(i));
        let seen = 0;
        reader.read((bytes) => {
          assert(bytes.length === 4080 && bytes.every((byte) => byte === (i & 255)));
          seen++;
        });
        assertEquals(seen, 1);
      }
      assertEquals(reader.lost, 0);
    });
  });
}

describe("Broadcast", { skip }, () => {
  test("counts on when positions and numbers pass what a word holds", () => {
    using map = sharedMemory(Broadcast.byteLength(4096));
    Broadcast.create({ map }, { capacity: 4096 }).close();
    const words = map.asTypedArray(Int32Array);
    // 3008 bytes before each multiple of 2^31, with the epoch that goes with it.
    for (
      const [position, epoch] of [[2 ** 31 - 3008, 0], [-3008, 1], [2 ** 31 - 3008, 2]] as const
    ) {
      words.fill(0, 1024 / 4);
      words.set([position, epoch], 128 / 4);
      // tail, epoch, latest, next number
      words.set([position, epoch, position - 32, -100, 7], 256 / 4);
      words.set([24, 1, -101, 7], (65536 + (position - 32 & 4095)) / 4);
      using ring = Broadcast.open({ map });
      const reader = ring.reader();
      const slow = ring.reader();
      for (let i = 0; i < 300; i++) {
        ring.write("12345678");
        assertEquals(drain(reader), ["1 12345678 0"]);
      }
      assertEquals(drain(slow), ["1 12345678 299"]);
    }
  });

  test("goes on after a producer that died in the middle, over which nobody reads", () => {
    using map = sharedMemory(Broadcast.byteLength(4096));
    using ring = Broadcast.create({ map }, { capacity: 4096 });
    const kept = ring.reader();
    for (let i = 0; i < 128; i++) ring.write("12345678"); // 32 bytes each: the ring is full
    ring.close();
    const words = map.asTypedArray(Int32Array);
    words[128 / 4]! += 64; // died with the intent moved over the two oldest
    using next = Broadcast.open({ map });
    const reader = next.reader();
    next.write("next");
    assertEquals(drain(reader), ["1 next 0"]);
    assertThrows(() => drain(kept), MMapClosedError);
  });

  test("refuses a second producer while the first one lives", () => {
    using map = sharedMemory(Broadcast.byteLength(4096));
    const first = Broadcast.create({ map }, { capacity: 4096 });
    using second = Broadcast.open({ map });
    const reader = second.reader();
    first.write("a");
    assertRefused(() => second.write("b"), MMapInvalidParameterError, "producer");
    first.close();
    second.write("b");
    assertEquals(drain(reader), ["1 a 0", "1 b 0"]);
  });

  test("waits, parked and with the event loop free, also by several readers at once", async () => {
    using ring = padded(4096);
    const readers = [ring.reader(), ring.reader()];
    assertEquals(readers[0]!.wait(5), false);
    assertEquals(await readers[0]!.waitAsync(5), false);
    assertEquals(await readers[0]!.readAsync(5), undefined);
    const waiting = readers.map((reader) => reader.readAsync(5000));
    ring.write("both", 4);
    for (const message of await Promise.all(waiting)) {
      assertEquals([message?.type, message?.lost, new TextDecoder().decode(message?.bytes)], [
        4,
        0,
        "both",
      ]);
    }
    ring.write("x");
    assert(readers[0]!.wait());
    setTimeout(() => ring.close(), 5);
    const seen: number[] = [];
    for await (const { type } of readers[1]!) seen.push(type);
    assertEquals(seen, [1]);
    await assertRejects(() => readers[1]!.waitAsync(), MMapClosedError);
    for (
      const use of [
        () => ring.write("x"),
        () => ring.reader(),
        () => ring.share(),
        () => readers[0]!.wait(0),
      ]
    ) {
      assertThrows(use, MMapClosedError);
    }
  });

  test("open() throws when the file is none, cut off, or lies", () => {
    using dir = tempDir();
    const good = dir.file("good");
    {
      using ring = Broadcast.create({ path: good }, { capacity: 4096 });
      ring.write("x");
    }
    const bytes = fileBytes(good);
    const changed = (at: number, value: number) => {
      const copy = bytes.slice();
      new DataView(copy.buffer).setInt32(at, value, true);
      return copy;
    };
    const cases: [string, Uint8Array, string][] = [
      ["empty", new Uint8Array(0), "0 bytes"],
      ["cut off", bytes.slice(0, -4096), "65536 bytes"],
      ["another kind", changed(4, 2), "MessageQueue"],
      ["another version", changed(8, 9), "version 9"],
      ["another byte order", changed(0, 0x72696e67), "byte order"],
      ["an intent before the tail", changed(128, 0), "intent 0"],
      ["an intent too far", changed(128, 8192), "intent 8192"],
      ["a tail between messages", changed(256, 24), "tail 24"],
      ["a latest after the tail", changed(264, 64), "latest 64"],
    ];
    for (const [name, content, part] of cases) {
      const path = dir.file(name.replaceAll(" ", "-"), content);
      assertRefused(() => Broadcast.open({ path }), MMapInvalidParameterError, part);
    }
    fs.writeFileSync(good, changed(65536, 5000));
    using map = MemoryMap.open(good, { mode: "r+" });
    map.asTypedArray(Int32Array, 0, 4)[3] = 0; // as if it had no mirror
    using ring = Broadcast.open({ map });
    const reader = ring.reader();
    ring.write("y");
    map.asTypedArray(Int32Array, 65536 + 32, 1)[0] = 5000;
    assertRefused(() => reader.read(() => {}), MMapInvalidParameterError, "5000 bytes", "damaged");
  });

  test("read() throws when the tail is further than the ring is long", () => {
    using map = sharedMemory(Broadcast.byteLength(4096));
    using ring = Broadcast.create({ map }, { capacity: 4096 });
    const reader = ring.reader();
    ring.write("x");
    for (const epoch of [1 << 20, 1 << 30]) {
      map.asTypedArray(Int32Array)[(TAIL_OFFSET + EPOCH_OFFSET) / 4] = epoch;
      assertRefused(() => reader.read(() => {}), MMapInvalidParameterError, "tail", "damaged");
    }
  });

  test("read() goes on behind a message that its producer was writing over when it died", () => {
    using map = sharedMemory(Broadcast.byteLength(4096));
    using ring = Broadcast.create({ map }, { capacity: 4096 });
    const reader = ring.reader();
    ring.write("x");
    map.asTypedArray(Int32Array)[INTENT_OFFSET / 4] = 4096 + 32;
    assertEquals(drain(reader), []);
    ring.write("y");
    assertEquals(drain(reader), ["1 y 1"]);
  });
});

test(
  "Broadcast between processes never shows mixed bytes, and every message is seen or counted as lost",
  {
    skip: firstReason(skipWithoutSync, skipWithoutChildren(), skipEmulated),
  },
  async () => {
    const runtimes = (["deno", "bun", "node"] as const).filter((name) =>
      executableOf(name) !== undefined
    );
    using dir = tempDir();
    const path = dir.file("ring");
    using ring = Broadcast.create({ path }, { capacity: 1 << 12 });
    const reader = ring.reader();
    let lost = 0;
    let seen = 0;
    for (const runtime of runtimes) {
      await using peer = startPeer("ring_broadcaster.ts", [path], runtime);
      assertEquals(await within(30, "starting", peer.line()), "ready");
      const end = performance.now() + 1000;
      const goal = seen + 2000;
      let next: number | undefined;
      while (performance.now() < end || (seen < goal && performance.now() < end + 10_000)) {
        reader.wait(100);
        reader.read((bytes, _, missed) => {
          const found = readStamp(bytes);
          assert(found !== undefined, "mixed bytes");
          // What is lost before a producer's first one may be its predecessor's.
          if (next !== undefined) assertEquals(found.number, next + missed);
          next = found.number + 1;
          lost += missed;
          seen++;
        });
      }
      peer.kill();
      await peer.ended();
      reader.read((_, __, missed) => void (lost += missed));
      assert(seen > 0, `${runtime}: nothing was seen`);
      assertEquals(reader.lost, lost);
    }
  },
);

test("Broadcast goes on after a producer that dies at any step, and shows only whole messages", {
  skip: firstReason(skipWithoutSync, skipWithoutChildren(), skipEmulated, skipOnWindows),
}, async () => {
  for (const moment of ["before", "after"] as const) {
    using dir = tempDir();
    const path = dir.file("ring");
    const steps = Array.from({ length: 24 }, (_, i) => i + 1);
    const rings = steps.map((step) => {
      const ring = Broadcast.create({ path: `${path}.${step}` }, { capacity: 1024 });
      return { ring, reader: ring.reader() };
    });
    await using peer = startPeer("ring_step.ts", ["broadcast", moment, "die", path, steps.length]);
    const done = Number(/^done (\d+)$/.exec(await peer.line())?.[1]);
    assertEquals(await within(30, "dying", peer.ended()), "SIGKILL");
    assert(done >= 4 && done < steps.length, `there were ${done} steps`);
    const outcomes = new Set<string>();
    for (const { ring, reader } of rings.slice(0, done)) {
      ring.write("next", 2);
      const got: string[] = [];
      reader.read((bytes, type) =>
        got.push(type === 2 ? "next" : readStamp(bytes) === undefined ? "broken" : "whole")
      );
      outcomes.add(got.join(" "));
    }
    assertEquals([...outcomes].sort(), ["next", "whole next"]);
    for (const { ring } of rings) ring.close();
  }
});
