/** `read()`, `readInto()` and `write()`: the copying methods. */
import { describe, test } from "node:test";
import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import {
  MemoryMap,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { assertRefused, fileBytes, pattern, random, tempDir, utf8 } from "./helpers.ts";

describe("MemoryMap.read()", () => {
  test("copies a range", () => {
    using map = MemoryMap.createAnonymous(10);
    map.write("0123456789");
    assertEquals(map.read(4), utf8("0123"));
    assertEquals(map.read(4, 3), utf8("3456"));
    assertEquals(map.read(1, 9), utf8("9"));
    assertEquals(map.read(10), utf8("0123456789"));
  });
  test("gives a Uint8Array over a buffer of its own, of exactly the size", () => {
    using map = MemoryMap.createAnonymous(10_000);
    for (const size of [0, 1, 63, 64, 65, 9_999, 10_000]) {
      const copy = map.read(size);
      assertStrictEquals(copy.constructor, Uint8Array);
      assertEquals(copy.byteOffset, 0);
      assertEquals(copy.buffer.byteLength, size);
      assertNotStrictEquals(copy.buffer, map.buffer);
    }
  });
  test("gives a copy that later writes do not change, nor does it change the map", () => {
    using map = MemoryMap.createAnonymous(3);
    map.write("abc");
    const copy = map.read(3);
    map.write("xyz");
    assertEquals(copy, utf8("abc"));
    copy.fill(0);
    assertEquals(map.read(3), utf8("xyz"));
  });
  test("gives a copy that survives close()", () => {
    const map = MemoryMap.createAnonymous(3);
    map.write("abc");
    const copy = map.read(3);
    map.close();
    assertEquals(copy, utf8("abc"));
  });
  test("of nothing gives nothing, at the end too", () => {
    using map = MemoryMap.createAnonymous(10);
    assertEquals(map.read(0), new Uint8Array(0));
    assertEquals(map.read(0, 10), new Uint8Array(0));
  });
  test("refuses a range that ends past the map", () => {
    using map = MemoryMap.createAnonymous(10);
    assertRefused(
      () => map.read(5, 6),
      MMapInvalidParameterError,
      "read 5 bytes at offset 6",
      "10 bytes",
    );
    assertRefused(() => map.read(11), MMapInvalidParameterError, "11", "10 bytes");
    assertRefused(() => map.read(0, 11), MMapInvalidParameterError, "offset 11", "10 bytes");
  });
  test("refuses pages without PROT_READ", () => {
    using map = MemoryMap.createAnonymous(3 * pageSize());
    map.mprotect(PROT_NONE, pageSize(), pageSize());
    assertEquals(map.read(pageSize()).length, pageSize());
    assertEquals(map.read(pageSize(), 2 * pageSize()).length, pageSize());
    assertRefused(
      () => map.read(2, pageSize() - 1),
      MMapProtectionError,
      `byte ${pageSize()}`,
      "PROT_READ",
    );
    assertRefused(() => map.read(1, 2 * pageSize() - 1), MMapProtectionError, "PROT_READ");
    assertEquals(map.read(0, pageSize() + 5), new Uint8Array(0));
  });
});

describe("MemoryMap.readInto()", () => {
  test("fills the view and returns the bytes copied", () => {
    using map = MemoryMap.createAnonymous(10);
    map.write("0123456789");
    const target = new Uint8Array(4);
    assertEquals(map.readInto(target), 4);
    assertEquals(target, utf8("0123"));
    assertEquals(map.readInto(target, 5), 4);
    assertEquals(target, utf8("5678"));
  });
  test("stops at the end of the map, and leaves the rest of the view", () => {
    using map = MemoryMap.createAnonymous(10);
    map.write("0123456789");
    const target = new Uint8Array(4).fill(255);
    assertEquals(map.readInto(target, 8), 2);
    assertEquals(target, Uint8Array.of(56, 57, 255, 255));
    assertEquals(map.readInto(target, 10), 0);
    assertEquals(target, Uint8Array.of(56, 57, 255, 255));
  });
  test("fills a part of a buffer and nothing around it", () => {
    using map = MemoryMap.createAnonymous(10);
    map.write("0123456789");
    const whole = new Uint8Array(8).fill(255);
    assertEquals(map.readInto(whole.subarray(2, 5)), 3);
    assertEquals(whole, Uint8Array.of(255, 255, 48, 49, 50, 255, 255, 255));
  });
  test("fills the bytes of every kind of view", () => {
    const data = pattern(64);
    using map = MemoryMap.createAnonymous(64);
    map.write(data);
    const buffer = () => new ArrayBuffer(48);
    const views: ArrayBufferView[] = [
      new Int8Array(buffer(), 8, 16),
      new Uint8ClampedArray(buffer(), 8, 16),
      new Int16Array(buffer(), 8, 8),
      new Float32Array(buffer(), 8, 4),
      new Float64Array(buffer(), 8, 2),
      new BigInt64Array(buffer(), 8, 2),
      new DataView(buffer(), 8, 16),
      new Uint8Array(new SharedArrayBuffer(48), 8, 16),
      new Float64Array(new SharedArrayBuffer(48), 8, 2),
    ];
    for (const view of views) {
      assertEquals(map.readInto(view, 3), 16);
      const bytes = new Uint8Array(view.buffer);
      assertEquals(bytes.slice(8, 24), data.slice(3, 19), view.constructor.name);
      assertEquals([bytes[7], bytes[24]], [0, 0], view.constructor.name);
    }
  });
  test("keeps every bit of a NaN", () => {
    using map = MemoryMap.createAnonymous(8);
    map.asTypedArray(BigUint64Array)[0] = 0x7ff4_0123_4567_89abn; // signalling
    const target = new Float64Array(1);
    map.readInto(target);
    assertEquals(new BigUint64Array(target.buffer)[0], 0x7ff4_0123_4567_89abn);
  });
  test("copies into another part of the same map, overlapping or not", () => {
    const data = pattern(100);
    for (const [from, to] of [[0, 10], [10, 0], [0, 50], [50, 0]] as const) {
      using map = MemoryMap.createAnonymous(100);
      map.write(data);
      map.readInto(map.bytes.subarray(to, to + 50), from);
      assertEquals(map.read(50, to), data.slice(from, from + 50));
    }
  });
  test("copies from one map to another", () => {
    using from = MemoryMap.createAnonymous(100);
    using to = MemoryMap.createAnonymous(100);
    from.write(pattern(100));
    assertEquals(from.readInto(to.bytes), 100);
    assertEquals(to.read(100), pattern(100));
  });
  test("copies nothing into an empty view", () => {
    using map = MemoryMap.createAnonymous(10);
    assertEquals(map.readInto(new Uint8Array(0)), 0);
  });
  test("refuses an offset past the end of the map", () => {
    using map = MemoryMap.createAnonymous(10);
    assertRefused(
      () => map.readInto(new Uint8Array(1), 11),
      MMapInvalidParameterError,
      "offset 11",
      "10 bytes",
    );
  });
  test("refuses pages without PROT_READ and leaves the view", () => {
    using map = MemoryMap.createAnonymous(2 * pageSize());
    map.mprotect(PROT_NONE, pageSize(), pageSize());
    const target = new Uint8Array(10).fill(255);
    assertRefused(
      () => map.readInto(target, pageSize() - 5),
      MMapProtectionError,
      "PROT_READ",
    );
    assertEquals(target, new Uint8Array(10).fill(255));
    assertEquals(map.readInto(target.subarray(0, 5), pageSize() - 5), 5);
  });
});

describe("MemoryMap.write()", () => {
  test("copies bytes into the map and returns how many", () => {
    using map = MemoryMap.createAnonymous(10);
    assertEquals(map.write(Uint8Array.of(1, 2, 3)), 3);
    assertEquals(map.write(Uint8Array.of(4, 5), 8), 2);
    assertEquals(map.read(10), Uint8Array.of(1, 2, 3, 0, 0, 0, 0, 0, 4, 5));
  });
  test("writes text as UTF-8", () => {
    using map = MemoryMap.createAnonymous(100);
    const text = "aé大📏\0z";
    const expected = new TextEncoder().encode(text);
    assertEquals(map.write(text, 1), expected.length);
    assertEquals(map.read(expected.length + 2), Uint8Array.of(0, ...expected, 0));
  });
  test("counts the bytes of a text, not its characters", () => {
    using map = MemoryMap.createAnonymous(5);
    assertRefused(() => map.write("大大"), MMapInvalidParameterError, "6 bytes", "5 bytes");
    assertEquals(map.read(5), new Uint8Array(5));
  });
  test("writes the bytes of every kind of view and buffer", () => {
    const data = pattern(16);
    const shared = new Uint8Array(new SharedArrayBuffer(16));
    shared.set(data);
    const around = Uint8Array.of(9, 9, ...data, 9, 9);
    const sources = [
      data,
      data.buffer,
      shared,
      shared.buffer,
      around.subarray(2, 18),
      new DataView(around.buffer, 2, 16),
      new Uint8ClampedArray(data),
      new Int8Array(data.buffer),
      new Uint32Array(data.buffer),
      new Float64Array(data.buffer),
      new BigUint64Array(data.buffer),
    ];
    for (const source of sources) {
      using map = MemoryMap.createAnonymous(20);
      assertEquals(map.write(source, 1), 16);
      assertEquals(map.read(20), Uint8Array.of(0, ...data, 0, 0, 0), source.constructor.name);
    }
  });
  test("reaches the last byte", () => {
    using map = MemoryMap.createAnonymous(5_000);
    map.write(pattern(5_000));
    assertEquals(map.read(5_000), pattern(5_000));
  });
  test("writes all or nothing", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path, { mode: "r+" });
    assertRefused(
      () => map.write("abcdef", 5),
      MMapInvalidParameterError,
      "write 6 bytes at offset 5",
      "10 bytes",
    );
    map.msync();
    assertEquals(fileBytes(path), utf8("0123456789"));
  });
  test("writes nothing when a page of the range has no PROT_WRITE", () => {
    using map = MemoryMap.createAnonymous(3 * pageSize());
    map.mprotect(PROT_READ, pageSize(), pageSize());
    assertRefused(
      () => map.write(pattern(pageSize()), 100),
      MMapProtectionError,
      `byte ${pageSize()}`,
      "PROT_WRITE",
      "mprotect()",
    );
    assertEquals(map.read(map.size), new Uint8Array(map.size));
    assertRefused(() => map.write("x", 2 * pageSize() - 1), MMapProtectionError);
    assertEquals(map.write("x", 2 * pageSize()), 1);
  });
  test("of nothing is allowed anywhere, also on a read-only map", () => {
    using map = MemoryMap.createAnonymous(10, PROT_READ);
    assertEquals(map.write("", 10), 0);
    assertEquals(map.write(new Uint8Array(0)), 0);
  });
  test("copies from another part of the same map, overlapping or not", () => {
    const data = pattern(100);
    for (const [from, to] of [[0, 10], [10, 0], [0, 50], [50, 0]] as const) {
      using map = MemoryMap.createAnonymous(100);
      map.write(data);
      map.write(map.bytes.subarray(from, from + 50), to);
      assertEquals(map.read(50, to), data.slice(from, from + 50));
    }
  });
  test("works where PROT_WRITE was given later", () => {
    using map = MemoryMap.createAnonymous(10, PROT_NONE);
    assertRefused(() => map.write("x"), MMapProtectionError, "PROT_WRITE");
    map.mprotect(PROT_READ | PROT_WRITE);
    assertEquals(map.write("x"), 1);
  });
});

test("a thousand random reads and writes agree with an array", () => {
  const next = random(3);
  const size = 70_001;
  using dir = tempDir();
  using map = MemoryMap.open(dir.file("data", pattern(size + 13)), { mode: "r+", offset: 13 });
  const model = pattern(size + 13).subarray(13);
  for (let i = 0; i < 1000; i++) {
    const offset = Math.floor(next() * size);
    const length = Math.floor(next() ** 3 * (size - offset));
    switch (i % 3) {
      case 0: {
        const data = pattern(length, i);
        map.write(data, offset);
        model.set(data, offset);
        break;
      }
      case 1:
        assertEquals(map.read(length, offset), model.slice(offset, offset + length));
        break;
      default: {
        const target = new Uint8Array(length);
        assertEquals(map.readInto(target, offset), length);
        assertEquals(target, model.slice(offset, offset + length));
      }
    }
  }
  assert(map.size === size);
});
