/** Rings and files that are there already: what is replaced, what is refused, what is said of it. */
import fs from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MemoryMap, MMapError, MMapInvalidParameterError } from "../mod.ts";
import { platform } from "../src/ffi/host.ts";
import { Broadcast, MessageQueue, type NewRingPlace, RecordRing } from "../src/ring/mod.ts";
import { assertRefused, firstReason, skipOnWindows, tempDir } from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";
import { skipWithoutSync } from "./helpers_sync.ts";

const capacity = 4096;
const records = { capacity: 3, recordSize: 8 };

/** Each kind of ring, made at a path; opened, by somebody who has nothing to do with what is there. */
const kinds: readonly [string, (path: string) => Disposable][] = [
  ["MessageQueue", (path) => MessageQueue.create({ path }, { capacity })],
  ["Broadcast", (path) => Broadcast.create({ path }, { capacity })],
  ["RecordRing", (path) => RecordRing.create(path, records)],
];

/** What helps where another file is: a record ring may be one of another size. */
function cureOf(name: string): string {
  return name === "RecordRing" ? "open it with RecordRing.open()" : "give another path";
}

/** Asserts that nothing is made at a path, and that the file there stays as it is. */
function assertKept(path: string, make: () => unknown, ...parts: string[]): void {
  const before = fs.readFileSync(path);
  const error = assertRefused(make, MMapError, JSON.stringify(path), "remove it", ...parts);
  assertEquals(error.code, "EEXIST");
  assertEquals(fs.readFileSync(path), before);
}

for (const [name, create] of kinds) {
  describe(`${name}.create() where there is a file`, { skip: skipWithoutSync }, () => {
    test("refuses one with something else in it", () => {
      using dir = tempDir();
      const path = dir.file("text");
      for (const text of ["x", "some text\n".repeat(10_000), "\0".repeat(100_000)]) {
        fs.writeFileSync(path, text);
        assertKept(path, () => create(path), `Cannot create a ${name}`, cureOf(name));
      }
    });

    test("refuses the other kinds", () => {
      using dir = tempDir();
      for (const [other, make] of kinds) {
        if (other === name) continue;
        const path = dir.file(other);
        make(path)[Symbol.dispose]();
        assertKept(path, () => create(path), cureOf(name));
      }
    });

    test("refuses a folder", () => {
      using dir = tempDir();
      const error = assertRefused(
        () => create(dir.path),
        MMapError,
        JSON.stringify(dir.path),
        "no file",
        "give another path",
      );
      assertEquals(error.code, "EEXIST");
    });

    test("replaces an empty one, and a ring of its own kind that was closed", () => {
      using dir = tempDir();
      const path = dir.file("ring");
      fs.writeFileSync(path, "");
      create(path)[Symbol.dispose]();
      const { size } = fs.statSync(path);
      assert(size > 0);
      create(path)[Symbol.dispose]();
      assertEquals(fs.statSync(path).size, size);
    });

    test("leaves what it replaces to those who have it open", { skip: skipOnWindows }, () => {
      using dir = tempDir();
      const path = dir.file("ring");
      create(path)[Symbol.dispose]();
      const fd = fs.openSync(path, "r"); // keeps its number from being used again
      try {
        create(path)[Symbol.dispose]();
        assertEquals(fs.statSync(path).size, fs.fstatSync(fd).size);
        const numberOf = ({ ino }: fs.BigIntStats) => ino;
        assert(
          numberOf(fs.statSync(path, { bigint: true })) !==
            numberOf(fs.fstatSync(fd, { bigint: true })),
        );
      } finally {
        fs.closeSync(fd);
      }
    });
  });
}

describe("MessageQueue.create() where there is a queue", { skip: skipWithoutSync }, () => {
  test("refuses while a consumer or a producer lives, and not after that one has closed", () => {
    using dir = tempDir();
    const path = dir.file("queue");
    const create = () => MessageQueue.create({ path }, { capacity });
    for (
      const use of [
        (queue: MessageQueue) => queue.tryWrite("kept"),
        (queue: MessageQueue) => queue.read(() => {}),
        (queue: MessageQueue) => queue.tryClaim(3),
      ]
    ) {
      {
        using queue = create();
        use(queue);
        assertKept(path, create, "somebody uses the MessageQueue there", "MessageQueue.open()");
      }
      create().close();
    }
  });

  test("replaces one that was cut off, or damaged", () => {
    using dir = tempDir();
    const path = dir.file("queue");
    const create = () => MessageQueue.create({ path }, { capacity });
    create().close();
    fs.truncateSync(path, 100);
    assertThrows(() => MessageQueue.open({ path }), MMapInvalidParameterError);
    using queue = create();
    assert(queue.tryWrite("x"));
  });
});

test("Broadcast.create() refuses while a producer lives", { skip: skipWithoutSync }, () => {
  using dir = tempDir();
  const path = dir.file("prices");
  const create = () => Broadcast.create({ path }, { capacity });
  {
    using prices = create();
    prices.write("1.25");
    assertKept(path, create, "somebody uses the Broadcast there", "Broadcast.open()");
  }
  create().close();
});

test("RecordRing.create() refuses while a writer lives", () => {
  using dir = tempDir();
  const path = dir.file("log");
  const create = () => RecordRing.create(path, records);
  {
    using other = create();
    other.write(new Uint8Array([7]));
    assertKept(path, create, "somebody writes the RecordRing there", "RecordRing.open()");
    other.write(new Uint8Array([8])); // the question has not taken its lock
    assertEquals(other.count, 2);
  }
  create().close();
});

test("RecordRing.create() refuses a ring of another size, and replaces another program's", () => {
  using dir = tempDir();
  const path = dir.file("log");
  RecordRing.create(path, { capacity: 3, recordSize: 9 }).close();
  assertKept(
    path,
    () => RecordRing.create(path, records),
    "3 records of 8 bytes",
    "RecordRing.open()",
  );
  const theirs = new Uint8Array(16 + 3 * 8);
  theirs.set([2], 0);
  theirs.set([2], 8);
  fs.writeFileSync(path, theirs);
  RecordRing.create(path, records).close();
  theirs.set([3], 0); // no place
  fs.writeFileSync(path, theirs);
  assertKept(path, () => RecordRing.create(path, records));
});

describe("open()", { skip: skipWithoutSync }, () => {
  test("says how a missing file is made", () => {
    using dir = tempDir();
    const path = dir.file("none");
    const uses: readonly [() => unknown, string][] = [
      [() => MessageQueue.open({ path }), "MessageQueue.create()"],
      [() => Broadcast.open({ path }), "Broadcast.create()"],
      [() => RecordRing.open(path), "RecordRing.create()"],
    ];
    for (const [use, cure] of uses) {
      const error = assertRefused(use, MMapError, JSON.stringify(path), cure);
      assertEquals([error.code, error.syscall], ["ENOENT", "open"]);
    }
  });

  test("says of another file that it is no ring", () => {
    using dir = tempDir();
    const path = dir.file("text");
    fs.writeFileSync(path, "some text\n".repeat(100));
    const open = () => MessageQueue.open({ path });
    assertRefused(
      open,
      MMapInvalidParameterError,
      JSON.stringify(path),
      "no ring",
      "MessageQueue.create()",
    );
  });
});

describe("by name", {
  skip: firstReason(skipWithoutSync, platform().openNamed === undefined && "needs named memory"),
}, () => {
  const rings = { MessageQueue, Broadcast } as const;
  for (const [kind, Ring] of Object.entries(rings)) {
    const name = `mman-ring-${kind}-${process.pid}`;

    test(`${kind}.create() says of a name that is taken which call opens it`, () => {
      using ring = Ring.create({ name, owned: skipOutsideLinux === false }, { capacity });
      const cures = [`${kind}.open({ name })`, "MemoryMap.unlinkNamed()"];
      const create = () => Ring.create({ name }, { capacity });
      const error = assertRefused(create, MMapError, JSON.stringify(name), "taken", ...cures);
      assertEquals(error.code, "EEXIST");
      assert(!error.message.includes("openNamed"), error.message);
      using other = Ring.open({ name });
      assertEquals(other.capacity, ring.capacity);
    });

    test(`${kind}.open() says of a name that nobody has which call makes it`, () => {
      const open = () => Ring.open({ name: `${name}-none` });
      const error = assertRefused(open, MMapError, `${kind}.create({ name }`);
      assertEquals(error.code, "ENOENT");
    });
  }

  test("an owned name goes when its creator closes, one that is not owned stays", {
    skip: skipOutsideLinux,
  }, () => {
    const name = `mman-ring-owned-${process.pid}`;
    MessageQueue.create({ owned: true, name }, { capacity }).close();
    assertThrows(() => MessageQueue.open({ name }), MMapError, "nobody has created it");
    MessageQueue.create({ name, owned: false }, { capacity }).close();
    MessageQueue.open({ name }).close();
    MemoryMap.unlinkNamed(name);
  });

  test("a path alone is no place, and the error shows how it becomes one", () => {
    for (const Ring of [MessageQueue, Broadcast]) {
      const create = () => Ring.create("data/queue" as never, { capacity });
      assertRefused(create, MMapInvalidParameterError, 'such as { path: "data/queue" }');
      const open = () => Ring.open("data/queue" as never);
      assertRefused(open, MMapInvalidParameterError, 'such as { path: "data/queue" }');
    }
  });

  test("owned is nothing for another place, and no place by itself", () => {
    for (
      const place of [{ owned: true }, { anonymous: true, owned: true }, { path: "x", owned: true }]
    ) {
      const create = () => MessageQueue.create(place as NewRingPlace, { capacity });
      assertRefused(create, MMapInvalidParameterError, "path, name, map");
    }
  });
});

describe("read() without a handler", { skip: skipWithoutSync }, () => {
  const none = undefined as unknown as () => void;

  test("throws and leaves the message in a MessageQueue", () => {
    using queue = MessageQueue.create({ anonymous: true }, { capacity });
    queue.tryWrite("kept");
    assertRefused(() => queue.read(none), MMapInvalidParameterError, "give a function");
    assertEquals(queue.read((bytes) => assertEquals(bytes.length, 4)), 1);
  });

  test("throws and leaves the message to a BroadcastReader; a handler that throws has had it", () => {
    using ring = Broadcast.create({ anonymous: true }, { capacity });
    const reader = ring.reader();
    ring.write("one");
    ring.write("second");
    assertRefused(() => reader.read(none), MMapInvalidParameterError, "give a function");
    assertThrows(
      () =>
        reader.read(() => {
          throw new RangeError("mine");
        }),
      RangeError,
    );
    assertEquals(reader.read((bytes) => assertEquals(bytes.length, 6)), 1);
  });
});
