/** `MemoryMap.close()` and `Symbol.dispose`: views are emptied, methods refuse, nothing stays. */
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  MAP_NORESERVE,
  MAP_PRIVATE,
  MemoryMap,
  MMapClosedError,
  MMapError,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  assertRefused,
  descriptorsOf,
  fixtureResult,
  mappingAt,
  mappingsOf,
  openFd,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";

const READ_WRITE = PROT_READ | PROT_WRITE;

const uses: [string, (map: MemoryMap) => unknown][] = [
  ["read()", (map) => map.read(1)],
  ["read() of nothing", (map) => map.read(0)],
  ["readInto()", (map) => map.readInto(new Uint8Array(1))],
  ["readInto() an empty view", (map) => map.readInto(new Uint8Array(0))],
  ["write()", (map) => map.write("x")],
  ["write() of nothing", (map) => map.write("")],
  ["mprotect()", (map) => map.mprotect(PROT_READ)],
  ["mprotect() of a range", (map) => map.mprotect(PROT_READ, 0, 10)],
  ["msync()", (map) => map.msync()],
  ["mlock()", (map) => map.mlock()],
  ["mlock() of a range", (map) => map.mlock(0, 10)],
  ["munlock()", (map) => map.munlock()],
  ["bytes", (map) => map.bytes],
  ["buffer", (map) => map.buffer],
  ["asTypedArray()", (map) => map.asTypedArray(Float64Array)],
  ["asTypedArray() of a range", (map) => map.asTypedArray(Uint8Array, 0, 10)],
  ["asDataView()", (map) => map.asDataView()],
  ["asDataView() of a range", (map) => map.asDataView(0, 10)],
];

describe("after close(), MMapClosedError comes from MemoryMap's", () => {
  for (const [name, use] of uses) {
    test(name, () => {
      using dir = tempDir();
      const fresh = MemoryMap.createAnonymous(64);
      const used = MemoryMap.createAnonymous(64);
      use(used);
      const ofFile = MemoryMap.open(dir.file("data", new Uint8Array(64)), { mode: "r+" });
      const empty = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
      for (const map of [fresh, used, ofFile, empty]) {
        map.close();
        const error = assertRefused(() => use(map), MMapClosedError, "closed");
        assert(error instanceof MMapError);
      }
    });
  }
});

test("after close(), the properties say so", () => {
  using dir = tempDir();
  const path = dir.file("data", "content");
  const map = MemoryMap.open(path, { offset: 2 });
  map.close();
  assertEquals([map.addr, map.size, map.isValid], [0n, 0, false]);
  assertEquals([map.path, map.offset], [path, 2]);
  assert(map.pageSize >= 4096);
});

describe("MemoryMap.close() empties", () => {
  test("typed arrays, which read undefined", () => {
    const map = MemoryMap.createAnonymous(64);
    const views = [
      map.bytes,
      map.bytes.subarray(8, 16),
      map.asTypedArray(Float64Array),
      map.asTypedArray(Int16Array, 10, 3),
      map.asTypedArray(BigInt64Array, 8),
      new Uint8Array(map.buffer as ArrayBuffer, 5),
    ];
    for (const view of views) assert(view.length > 0);
    map.close();
    for (const view of views) {
      assertEquals([view.length, view.byteLength, view.byteOffset], [0, 0, 0]);
      assertEquals(view[0], undefined);
      assertEquals(Object.keys(view), []);
    }
  });
  test("the buffer", () => {
    const map = MemoryMap.createAnonymous(64);
    const buffer = map.buffer as ArrayBuffer;
    map.close();
    assertEquals(buffer.byteLength, 0);
    assertEquals(buffer.detached, true);
    assertThrows(() => new Uint8Array(buffer), TypeError);
  });
  test("DataViews, which throw a TypeError", () => {
    const map = MemoryMap.createAnonymous(64);
    const whole = map.asDataView();
    const part = map.asDataView(10, 5);
    map.close();
    assertThrows(() => whole.getUint8(0), TypeError);
    assertThrows(() => part.setUint8(0, 1), TypeError);
    assertThrows(() => part.byteLength, TypeError);
  });
  test("views of every window of a map over 4 GiB", { skip: skipOnWindows }, () => {
    const GiB = 2 ** 30;
    const map = MemoryMap.createAnonymous(12 * GiB, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    const views = Array.from({ length: 12 }, (_, i) => map.asTypedArray(Uint8Array, i * GiB, 10));
    views.push(map.asTypedArray(Uint8Array, 5, 3 * GiB), map.asTypedArray(Uint8Array, 9 * GiB + 1));
    map.close();
    assertEquals(views.map((view) => view[0]), views.map(() => undefined));
  });
  test("views of a map that starts inside a page", () => {
    using dir = tempDir();
    const map = MemoryMap.open(dir.file("data", new Uint8Array(100)), { offset: 5 });
    const views = [map.bytes, map.asTypedArray(Uint16Array, 1), map.asTypedArray(Uint8Array, 3, 1)];
    map.close();
    assertEquals(views.map((view) => view.length), [0, 0, 0]);
  });
  test("views taken before the protection changed", () => {
    const map = MemoryMap.createAnonymous(64);
    const { bytes } = map;
    map.mprotect(PROT_READ);
    map.close();
    assertEquals(bytes.length, 0);
  });
});

test("MemoryMap.close() leaves copies and other maps alone", () => {
  using other = MemoryMap.createAnonymous(64);
  other.write("other");
  const view = other.bytes;
  const map = MemoryMap.createAnonymous(64);
  map.write("copy");
  const copy = map.read(4);
  map.close();
  assertEquals(new TextDecoder().decode(copy), "copy");
  assertEquals(new TextDecoder().decode(view.slice(0, 5)), "other");
});

test("MemoryMap.close() unmaps", { skip: skipWithoutProc }, () => {
  using dir = tempDir();
  const path = dir.file("data", new Uint8Array(100_000));
  const file = MemoryMap.open(path, { mode: "r+", offset: 5_000 });
  const anonymous = MemoryMap.createAnonymous(1 << 30);
  const inside = anonymous.addr + (1n << 29n);
  assert(mappingAt(inside));
  file.close();
  anonymous.close();
  assertEquals(mappingsOf(path), []);
  assertEquals(descriptorsOf(path), []);
  assertEquals(mappingAt(inside), undefined);
});

test("MemoryMap.close() twice does nothing, also with another map at the address", () => {
  const map = MemoryMap.createAnonymous(4096);
  map.close();
  using next = MemoryMap.createAnonymous(4096); // most likely where the first one was
  next.write("mine");
  map.close();
  map[Symbol.dispose]();
  assertEquals(new TextDecoder().decode(next.read(4)), "mine");
});

test("MemoryMap.close() twice does not close a descriptor that was given out again", () => {
  using dir = tempDir();
  const map = MemoryMap.open(dir.file("first", "first"));
  map.close();
  using file = openFd(dir.file("second", "second"), "r"); // most likely the same number
  map.close();
  using second = MemoryMap.createFileMapping(file.fd, 0, 6, PROT_READ);
  assertEquals(new TextDecoder().decode(second.read(6)), "second");
});

test("using closes at the end of the block", () => {
  let kept: MemoryMap;
  {
    using map = MemoryMap.createAnonymous(64);
    kept = map;
    assertEquals(map.isValid, true);
  }
  assertEquals(kept.isValid, false);
});

test("using closes when the block throws", () => {
  let kept: MemoryMap | undefined;
  assertThrows(() => {
    using map = MemoryMap.createAnonymous(64);
    kept = map;
    throw new Error("in the block");
  });
  assertEquals(kept?.isValid, false);
});

test("MemoryMap.close() of a map with PROT_NONE, and of an empty one", () => {
  using dir = tempDir();
  const none = MemoryMap.createAnonymous(64);
  none.mprotect(0);
  const empty = MemoryMap.open(dir.file("empty", ""));
  for (const map of [none, empty]) {
    map.close();
    assertEquals(map.isValid, false);
  }
});

describe("a buffer transferred away stays harmless after close()", () => {
  /** Ways to take the buffer out of the map's hands. */
  const ways: [string, (buffer: ArrayBuffer) => ArrayBuffer][] = [
    ["structuredClone()", (buffer) => structuredClone(buffer, { transfer: [buffer] })],
    ["ArrayBuffer.transfer()", (buffer) => buffer.transfer()],
  ];
  for (const [name, transfer] of ways) {
    test(`by ${name}: it reads zeros and takes writes`, () => {
      using dir = tempDir();
      const path = dir.file("data", "secret, secret");
      const map = MemoryMap.open(path, { mode: "r+" });
      const bytes = new Uint8Array(transfer(map.buffer as ArrayBuffer));
      assertEquals(bytes.length, 14);
      map.close();
      assertEquals(bytes, new Uint8Array(14));
      bytes.fill(1);
      assertEquals(bytes, new Uint8Array(14).fill(1));
      using again = MemoryMap.open(path);
      assertEquals(new TextDecoder().decode(again.read(14)), "secret, secret");
    });
  }
  test("and the descriptor is closed all the same", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    const map = MemoryMap.open(path, { mode: "r+" });
    const buffer = map.buffer as ArrayBuffer;
    structuredClone(buffer, { transfer: [buffer] });
    map.close();
    assertEquals(descriptorsOf(path), []);
    assertEquals(mappingsOf(path), []);
  });
  test("and no other map gets its addresses", () => {
    const map = MemoryMap.createAnonymous(4096);
    const bytes = new Uint8Array((map.buffer as ArrayBuffer).transfer());
    map.close();
    const others = Array.from({ length: 20 }, () => MemoryMap.createAnonymous(4096));
    for (const other of others) other.write("mine");
    bytes.fill(255);
    for (const other of others) {
      assertEquals(new TextDecoder().decode(other.read(4)), "mine");
      other.close();
    }
  });
  test("in a Worker", { skip: skipWithoutChildren() }, async () => {
    const { before, after } = await fixtureResult<{ before: string; after: number[] }>(
      "transfer_to_worker.ts",
    );
    assertEquals(before, "from the map");
    assertEquals(after, [0, 0, 0]);
  });
});

test("a map whose buffer was transferred away goes on working", () => {
  using map = MemoryMap.createAnonymous(64);
  map.write("content");
  const buffer = map.buffer as ArrayBuffer;
  const elsewhere = new Uint8Array(structuredClone(buffer, { transfer: [buffer] }));
  assertEquals(buffer.byteLength, 0);
  assertEquals(new TextDecoder().decode(map.read(7)), "content");
  assertEquals(map.bytes.length, 64);
  map.write("C");
  assertEquals(elsewhere[0], 67);
});

test("a map closed in the middle of one of its own calls ends that call in an error", {
  skip: skipWithoutChildren(),
}, async () => {
  const results = await fixtureResult<Record<string, string>>("closed_in_the_middle.ts");
  assert(Object.keys(results).length > 5);
  for (const [name, result] of Object.entries(results)) {
    assert(/Error$|^never closed$/.test(result), `${name}: ${result}`);
  }
});
