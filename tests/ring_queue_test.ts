/** MessageQueue: what one thread sees. */
import fs from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  MemoryMap,
  MMapAllocationError,
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
} from "../mod.ts";
import { Broadcast, type Message, MessageQueue, type NewRingPlace } from "../src/ring/mod.ts";
import { platform } from "../src/ffi/host.ts";
import {
  assertRefused,
  countDescriptors,
  fileBytes,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";
import { pause, sharedMemory, skipWithoutSync } from "./helpers_sync.ts";

const skip = skipWithoutSync;

/** Everything that can be read now, as text and type. */
function drain(queue: MessageQueue, limit?: number): string[] {
  const got: string[] = [];
  queue.read((bytes, type) => got.push(`${type} ${new TextDecoder().decode(bytes)}`), limit);
  return got;
}

/** A queue without a mirror, as systems have it that cannot map over pages. */
function paddedQueue(capacity: number): MessageQueue & { map: MemoryMap } {
  const map = sharedMemory(MessageQueue.byteLength(capacity));
  return Object.assign(MessageQueue.create({ map }, { capacity }), { map });
}

const mirrors = platform().mapOver !== undefined && platform().memfd !== undefined;

/** A queue of each layout. */
const layouts: readonly [string, (capacity: number) => MessageQueue][] = [
  ["padded", paddedQueue],
  ...(mirrors
    ? [
      ["mirrored", (capacity: number) =>
        MessageQueue.create({ anonymous: true }, { capacity })] as const,
    ]
    : []),
].map(([name, make]) => [name as string, make as (capacity: number) => MessageQueue]);

for (const [layout, make] of layouts) {
  describe(`MessageQueue, ${layout}`, { skip }, () => {
    test("hands out what was written, in order, with its type", () => {
      using queue = make(4096);
      assert(queue.tryWrite("one"));
      assert(queue.tryWrite(utf8("two"), 2));
      assert(queue.tryWrite(new DataView(utf8("xthree").slice().buffer, 1), 2 ** 31 - 1));
      assert(queue.write(utf8("four").slice().buffer, { type: 4 }));
      assert(queue.tryWrite(""));
      assertEquals(drain(queue), ["1 one", "2 two", "2147483647 three", "4 four", "1 "]);
      assertEquals(drain(queue), []);
    });

    test("keeps bytes of every length whole, many times around the ring", () => {
      using queue = make(4096);
      let next = 0;
      for (let i = 0; i < 3000; i++) {
        const bytes = Uint8Array.from({ length: i * 7 % 700 }, (_, k) => i + k * 3);
        assert(queue.tryWrite(bytes, i + 1), `message ${i}`);
        if (i % 3 === 0) continue;
        queue.read((got, type) => {
          assertEquals(type, next + 1);
          const same = got.length === next * 7 % 700 &&
            got.every((byte, k) => byte === (next + k * 3 & 255));
          assert(same, `message ${next} was changed`);
          next++;
        });
      }
      queue.read(() => next++);
      assertEquals(next, 3000);
    });

    test("says false when there is no room, and has room again for what was read", () => {
      using queue = make(1 << 16);
      let written = 0;
      while (queue.tryWrite(new Uint8Array(1000))) written++;
      // 8 bytes of header each, and what does not fit at the end.
      assertEquals(written, Math.floor((1 << 16) / 1008));
      assertEquals(queue.read(() => {}, 1), 1);
      assert(queue.tryWrite(new Uint8Array(1000)));
      assert(!queue.tryWrite(new Uint8Array(1000)));
      assertEquals(queue.read(() => {}), written);
    });

    test("takes the longest message that it allows, from every place, and refuses a longer one", () => {
      using queue = make(4096);
      const most = queue.maxMessageLength;
      assertEquals(most, layout === "mirrored" ? 4088 : 2040);
      assertRefused(
        () => queue.tryWrite(new Uint8Array(most + 1)),
        MMapInvalidParameterError,
        `${most + 1} bytes`,
        "4096",
        `${most}`,
      );
      for (let i = 0; i < 600; i++) {
        assert(queue.tryWrite("x"));
        assertEquals(drain(queue), ["1 x"]);
        const bytes = new Uint8Array(most).fill(i);
        assert(queue.tryWrite(bytes), `at ${i}`);
        const good = (got: Uint8Array) =>
          assert(got.length === most && got.every((byte) => byte === (i & 255)));
        assertEquals(queue.read(good), 1);
      }
    });

    test("leaves zeros behind what was read", () => {
      using queue = make(4096);
      for (let i = 0; i < 100; i++) {
        queue.tryWrite(new Uint8Array(300).fill(255));
        queue.read(() => {});
      }
      using map = MemoryMap.attach(queue.share());
      assert(map.bytes.subarray(65536, 65536 + 4096).every((byte) => byte === 0));
    });

    test("shows a claim when it is committed, and what follows it then", () => {
      using queue = make(4096);
      const claim = queue.tryClaim(5, 3)!;
      assert(queue.tryWrite("later"));
      assertEquals(drain(queue), []);
      claim.bytes.set(utf8("claim"));
      claim.commit();
      assertEquals(drain(queue), ["3 claim", "1 later"]);
      claim.abort();
      claim.commit();
      assertThrows(() => claim.bytes, MMapInvalidParameterError);
      assertEquals(drain(queue), []);
    });

    test("skips a claim that is aborted, or left by its block", () => {
      using queue = make(4096);
      for (let i = 0; i < 200; i++) {
        {
          using claim = queue.tryClaim(i);
          assertEquals(claim?.bytes.length, i);
        }
        queue.tryClaim(i)!.abort();
        queue.tryWrite(`${i}`);
        assertEquals(drain(queue), [`1 ${i}`]);
      }
    });

    test("has several claims open, in any order of their ends", () => {
      using queue = make(4096);
      const claims = [0, 1, 2, 3].map((i) => queue.tryClaim(1, i + 1)!);
      for (const i of [2, 0, 3]) claims[i]!.commit();
      assertEquals(drain(queue).length, 1);
      claims[1]!.abort();
      assertEquals(drain(queue).length, 2);
    });

    test("has a claim around the end, committed and aborted", () => {
      using queue = make(4096);
      for (const end of ["commit", "abort"] as const) {
        for (let i = 0; i < 3; i++) {
          queue.tryWrite(new Uint8Array(1500));
          assertEquals(queue.read(() => {}), 1);
          const claim = queue.tryClaim(1400)!;
          claim.bytes.fill(7);
          claim[end]();
          const good = (bytes: Uint8Array) =>
            assert(bytes.length === 1400 && bytes.every((byte) => byte === 7));
          assertEquals(queue.read(good), end === "commit" ? 1 : 0);
        }
      }
    });
  });
}

describe("MessageQueue.read()", { skip }, () => {
  test("stops at the limit", () => {
    using queue = paddedQueue(4096);
    for (const text of ["a", "b", "c"]) queue.tryWrite(text);
    assertEquals(drain(queue, 0), []);
    assertEquals(drain(queue, 2), ["1 a", "1 b"]);
    assertEquals(drain(queue, 2), ["1 c"]);
    for (const limit of [-1, 0.5, NaN]) {
      assertThrows(() => drain(queue, limit), MMapInvalidParameterError);
    }
  });

  test("ends after one time around, while messages keep coming", () => {
    using queue = paddedQueue(4096);
    queue.tryWrite("x");
    let count = 0;
    queue.read(() => {
      count++;
      queue.tryWrite("x");
    });
    assertEquals(count, 4096 / 16);
  });

  test("counts a message whose handler throws as read, and gives its room back", () => {
    using queue = paddedQueue(4096);
    queue.tryWrite("bad");
    queue.tryWrite("good");
    assertThrows(
      () =>
        queue.read(() => {
          throw new RangeError("mine");
        }),
      RangeError,
      "mine",
    );
    assertEquals(drain(queue), ["1 good"]);
  });

  test("throws within a handler", () => {
    using queue = paddedQueue(4096);
    queue.tryWrite("x");
    let error: unknown;
    queue.read(() => {
      error = assertThrows(() => queue.read(() => {}));
    });
    assert(error instanceof MMapInvalidParameterError);
    queue.tryWrite("y");
    assertEquals(drain(queue), ["1 y"]);
  });

  test("survives a handler that transfers the bytes away, or closes the queue", () => {
    using queue = paddedQueue(4096);
    for (const text of ["one", "two", "three"]) queue.tryWrite(text);
    const got: string[] = [];
    queue.read((bytes) => {
      got.push(new TextDecoder().decode(bytes));
      bytes.buffer.transfer();
    }, 2);
    assertEquals(got, ["one", "two"]);
    queue.tryWrite("four");
    assertEquals(queue.read(() => queue.close()), 1);
    assertThrows(() => queue.read(() => {}), MMapClosedError);
  });

  test("throws while another consumer lives, and not after that one has closed", () => {
    using map = sharedMemory(MessageQueue.byteLength(4096));
    const first = MessageQueue.create({ map }, { capacity: 4096 });
    using second = MessageQueue.open({ map });
    first.read(() => {});
    assertRefused(() => second.read(() => {}), MMapInvalidParameterError, "consumer");
    assertThrows(() => second.wait(0), MMapInvalidParameterError);
    first.close();
    second.tryWrite("mine");
    assertEquals(drain(second), ["1 mine"]);
  });
});

describe("MessageQueue waiting", { skip }, () => {
  test("write() gives up when the time is over, and takes what room there is at once", () => {
    using queue = paddedQueue(4096);
    while (queue.tryWrite("x".repeat(100)));
    const start = performance.now();
    assertEquals(queue.write("x".repeat(100), { timeoutMs: 30 }), false);
    assert(performance.now() - start >= 29);
    queue.read(() => {});
    assertEquals(queue.write("x", { timeoutMs: 0 }), true);
    const wrong = [{ timeoutMs: -1 }, { timeoutMs: NaN }, { type: 0 }, { timeout: 1 } as object];
    for (const options of wrong) {
      assertThrows(() => queue.write("x", options), MMapInvalidParameterError);
    }
  });

  test("writeAsync() goes on when something was read", async () => {
    using queue = paddedQueue(4096);
    while (queue.tryWrite("x".repeat(100)));
    const written = queue.writeAsync("y".repeat(100), { type: 9, timeoutMs: 5000 });
    await pause(10);
    queue.read(() => {});
    assertEquals(await written, true);
    assertEquals(drain(queue), [`9 ${"y".repeat(100)}`]);
    while (queue.tryWrite("x".repeat(100)));
    assertEquals(await queue.writeAsync("x".repeat(100), { timeoutMs: 20 }), false);
  });

  test("wait() and waitAsync() say whether there is a message", async () => {
    using queue = paddedQueue(4096);
    assertEquals(queue.wait(10), false);
    assertEquals(await queue.waitAsync(10), false);
    const waiting = queue.waitAsync(5000);
    queue.tryWrite("now");
    assertEquals(await waiting, true);
    assertEquals(queue.wait(), true);
    assertEquals(drain(queue), ["1 now"]);
    queue.tryClaim(3)!.abort();
    assertEquals(queue.wait(0), false); // padding is no message
  });

  test("readAsync() gives one message, or undefined when the time is over", async () => {
    using queue = paddedQueue(4096);
    assertEquals(await queue.readAsync(5), undefined);
    const first = queue.readAsync();
    const second = queue.readAsync(5000);
    queue.tryWrite("a");
    queue.tryWrite("b", 2);
    const got = await Promise.all([first, second]);
    assertEquals(got.map((message) => message?.type).sort(), [1, 2]);
  });

  test("for await gives all messages until the queue is closed", async () => {
    const queue = paddedQueue(4096);
    const got: Message[] = [];
    setTimeout(() => queue.tryWrite("first"), 5);
    setTimeout(() => queue.tryWrite("last"), 10);
    for await (const message of queue) {
      got.push(message);
      if (got.length === 2) setTimeout(() => queue.close(), 5);
    }
    assertEquals(got.map(({ bytes }) => new TextDecoder().decode(bytes)), ["first", "last"]);
  });

  test("a wait is rejected when the queue is closed", async () => {
    const queue = MessageQueue.create({ anonymous: true }, { capacity: 4096 });
    const waiting = assertRejects(() => queue.waitAsync(), MMapClosedError);
    setTimeout(() => queue.close(), 5);
    await waiting;
    await assertRejects(() => queue.readAsync(), MMapClosedError);
  });
});

describe("MessageQueue places", { skip }, () => {
  test("a file keeps messages from one opening to the next", () => {
    using dir = tempDir();
    const file = dir.file("queue");
    {
      using queue = MessageQueue.create({ path: file }, { capacity: 4096 });
      queue.tryWrite("kept");
      queue.tryWrite("longer".repeat(50), 2);
    }
    assertEquals(fs.statSync(file).size, MessageQueue.byteLength(4096));
    using queue = MessageQueue.open({ path: file });
    assertEquals(drain(queue), ["1 kept", `2 ${"longer".repeat(50)}`]);
  });

  test("a name", { skip: platform().openNamed === undefined && "needs named memory" }, () => {
    const name = `mman-queue-${process.pid}`;
    try {
      using queue = MessageQueue.create({ name }, { capacity: 1 << 16 });
      using other = MessageQueue.open({ name });
      other.tryWrite("by name");
      assertEquals(drain(queue), ["1 by name"]);
      assertThrows(() => MessageQueue.create({ name }, { capacity: 4096 }), MMapError, "taken");
    } finally {
      MemoryMap.unlinkNamed(name);
    }
  });

  test("a capacity is rounded up to a power of two", () => {
    for (
      const [asked, had] of [[64, 64], [65, 128], [1000, 1024], [4096, 4096], [
        100_000,
        131072,
      ]] as const
    ) {
      using queue = MessageQueue.create({ anonymous: true }, { capacity: asked });
      assertEquals(queue.capacity, had);
      queue.tryWrite("x");
      assertEquals(drain(queue), ["1 x"]);
    }
  });

  test(
    "close() gives back descriptors and memory, after failures, too",
    { skip: skipWithoutProc },
    () => {
      using dir = tempDir();
      const file = dir.file("queue");
      MessageQueue.create({ path: file }, { capacity: 4096 }).close();
      const before = countDescriptors();
      for (let i = 0; i < 20; i++) {
        const queue = MessageQueue.open({ path: file });
        queue.tryWrite("x");
        queue.tryClaim(3);
        queue.read(() => {});
        queue.close();
        queue.close();
        assertThrows(() => MessageQueue.open({ path: dir.file("none") }), MMapError);
        assertThrows(() => MessageQueue.create({ path: dir.path }, { capacity: 4096 }), MMapError);
      }
      assertEquals(countDescriptors(), before);
      using queue = MessageQueue.open({ path: file });
      assertEquals(drain(queue), []); // what was claimed and not committed is gone
    },
  );
});

describe("MessageQueue and bad input", { skip }, () => {
  test("create() throws when capacity, place or map is impossible, and makes no file", () => {
    using dir = tempDir();
    const file = dir.file("queue");
    for (const capacity of [0, 63, -1, 1.5, NaN, 2 ** 30 + 1, Infinity, "4096"]) {
      const options = { capacity: capacity as number };
      assertThrows(() => MessageQueue.create({ path: file }, options), MMapInvalidParameterError);
    }
    assert(!fs.existsSync(file));
    const places = [undefined, null, {}, "queue", { path: file, name: "x" }, { pth: file }];
    for (const place of places) {
      const create = () => MessageQueue.create(place as NewRingPlace, { capacity: 4096 });
      assertRefused(create, MMapInvalidParameterError, "path, name, map");
    }
    using small = sharedMemory(65536);
    using used = sharedMemory(MessageQueue.byteLength(4096));
    using own = MemoryMap.createAnonymous(MessageQueue.byteLength(4096));
    used.bytes[69_000] = 1;
    for (const [map, part] of [[small, "needs"], [used, "zeroed"], [own, "private"]] as const) {
      const create = () => MessageQueue.create({ map }, { capacity: 4096 });
      assertRefused(create, MMapInvalidParameterError, part);
    }
  });

  test("open() throws when the file is no queue, cut off, of another make, or lies", () => {
    using dir = tempDir();
    const good = dir.file("good");
    {
      using queue = MessageQueue.create({ path: good }, { capacity: 4096 });
      queue.tryWrite("x");
    }
    const bytes = fileBytes(good);
    const changed = (at: number, value: number) => {
      const copy = bytes.slice();
      new DataView(copy.buffer).setInt32(at, value, true);
      return copy;
    };
    const cases: [string, Uint8Array, string][] = [
      ["empty", new Uint8Array(0), "0 bytes"],
      ["too short", bytes.slice(0, 60), "60 bytes"],
      ["cut off", bytes.slice(0, -4096), "65536 bytes"],
      ["zeros", new Uint8Array(bytes.length), "not complete yet"],
      ["another magic", changed(0, 0x7f454c46), "0x7f454c46"],
      ["another byte order", changed(0, 0x72696e67), "byte order"],
      ["another kind", changed(4, 3), "Broadcast"],
      ["an unknown kind", changed(4, 77), "kind 77"],
      ["another version", changed(8, 2), "version 2"],
      ["a capacity that is no power of two", changed(16, 4000), "4000"],
      ["a capacity beyond the file", changed(16, 1 << 20), "its header says"],
      ["a tail beyond the capacity", changed(128, 4096 + 64), "tail 4160"],
      ["a tail between messages", changed(128, 12), "tail 12"],
      ["a head after the tail", changed(384, 64), "head 64"],
      ["taken after the tail", changed(512, 64), "taken 64"],
    ];
    for (const [name, content, part] of cases) {
      const path = dir.file(name.replaceAll(" ", "-"), content);
      assertRefused(() => MessageQueue.open({ path }), MMapInvalidParameterError, part);
    }
  });

  test("read() throws when a message lies about its length", () => {
    using map = sharedMemory(MessageQueue.byteLength(4096));
    using queue = MessageQueue.create({ map }, { capacity: 4096 });
    queue.tryWrite("x");
    const length = map.asTypedArray(Int32Array, 65536, 1);
    for (const lie of [5000, 7, 2 ** 31 - 1]) {
      length[0] = lie;
      assertRefused(
        () => queue.read(() => {}),
        MMapInvalidParameterError,
        `${lie} bytes`,
        "damaged",
      );
    }
    length[0] = 9;
    assertEquals(drain(queue), ["1 x"]);
  });

  test("tryWrite(), tryClaim() and a Broadcast's write() take the type in options as well", () => {
    using queue = MessageQueue.create({ anonymous: true }, { capacity: 4096 });
    assert(queue.tryWrite("a", { type: 7 }));
    assert(queue.tryWrite("b", {}));
    assert(queue.tryWrite("c", 9));
    queue.tryClaim(1, { type: 8 })!.commit();
    assertEquals(drain(queue).map((line) => Number.parseInt(line)), [7, 1, 9, 8]);
    using ring = Broadcast.create({ anonymous: true }, { capacity: 4096 });
    const reader = ring.reader();
    ring.write("a", { type: 7 });
    ring.write("b", 3);
    const types: number[] = [];
    reader.read((_bytes, type) => types.push(type));
    assertEquals(types, [7, 3]);
    const wrong = [{ tpye: 7 }, { type: 0 }, { type: "7" }, { type: 7, timeoutMs: 5 }, null];
    for (const options of wrong as { type: number }[]) {
      for (
        const write of [
          () => queue.tryWrite("x", options),
          () => queue.tryClaim(1, options),
          () => ring.write("x", options),
        ]
      ) assertThrows(write, MMapInvalidParameterError, "type");
    }
    const closing = {
      get type() {
        queue.close();
        return 1;
      },
    };
    assertThrows(() => queue.tryWrite("x", closing), MMapClosedError);
  });

  test("tryWrite() and tryClaim() throw for impossible types and lengths", () => {
    using queue = paddedQueue(4096);
    const bare = Object.create(null);
    for (const wrong of [0, -1, 1.5, 2 ** 31, NaN, 1n, Symbol(), { type: bare }, { bare }]) {
      const type = wrong as number;
      assertThrows(() => queue.tryWrite("x", type), MMapInvalidParameterError);
      assertThrows(() => queue.tryClaim(1, type), MMapInvalidParameterError);
    }
    for (const length of [-1, 0.5, NaN, 4096, Infinity]) {
      assertThrows(() => queue.tryClaim(length), MMapInvalidParameterError);
    }
    assertThrows(() => queue.tryWrite(5 as unknown as string), MMapInvalidParameterError);
    assertEquals(drain(queue), []);
  });

  test("tryClaim() throws when all slots are taken, and works when one is free again", () => {
    using queue = paddedQueue(1 << 16);
    const claims = Array.from({ length: 256 }, () => queue.tryClaim(0)!);
    assertRefused(() => queue.tryClaim(0), MMapAllocationError, "256");
    claims.pop()!.commit();
    queue.tryClaim(0)!.commit();
    for (const claim of claims) claim.commit();
    assertEquals(queue.read(() => {}), 257);
  });

  test("everything throws on a closed queue, or one whose map was closed", () => {
    const map = sharedMemory(MessageQueue.byteLength(4096));
    const closed = MessageQueue.create({ map }, { capacity: 4096 });
    const orphan = MessageQueue.open({ map });
    const claim = orphan.tryClaim(4)!;
    orphan.read(() => {});
    closed.close();
    map.close();
    assertThrows(() => claim.commit(), MMapClosedError);
    for (const queue of [closed, orphan]) {
      for (
        const use of [
          () => queue.tryWrite("x"),
          () => queue.write("x", { timeoutMs: 0 }),
          () => queue.tryClaim(1),
          () => queue.read(() => {}),
          () => queue.wait(0),
          () => queue.share(),
        ]
      ) assertThrows(use, MMapClosedError);
      queue.close();
    }
  });
});
