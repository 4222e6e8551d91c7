/** `bytes`, `buffer`, `asTypedArray()` and `asDataView()`: views without a copy. */
import { describe, test } from "node:test";
import process from "node:process";
import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import {
  MAP_NORESERVE,
  MAP_PRIVATE,
  MemoryMap,
  MMapInvalidParameterError,
  pageSize,
  PROT_READ,
  PROT_WRITE,
  type TypedArrayConstructor,
} from "../mod.ts";
import {
  assertRefused,
  fileBytes,
  maxBufferLength,
  pattern,
  type Skip,
  tempDir,
  utf8,
} from "./helpers.ts";

/** What all typed arrays of numbers, or of bigints, have in common here. */
interface View {
  readonly length: number;
  readonly byteLength: number;
  readonly byteOffset: number;
  readonly buffer: ArrayBufferLike;
  [index: number]: number | bigint;
}

const classes: [TypedArrayConstructor<View>, number | bigint][] = [
  [Int8Array, -100],
  [Uint8Array, 200],
  [Uint8ClampedArray, 255],
  [Int16Array, -30_000],
  [Uint16Array, 60_000],
  [Int32Array, -2_000_000_000],
  [Uint32Array, 4_000_000_000],
  [Float32Array, 0.5],
  [Float64Array, Math.PI],
  [BigInt64Array, -(2n ** 63n)],
  [BigUint64Array, 2n ** 64n - 1n],
  [Float16Array, 1.5],
];

/** A plain array with the bytes of a value, as a reference. */
function encoded(type: TypedArrayConstructor<View>, value: number | bigint): Uint8Array {
  const buffer = new ArrayBuffer(type.BYTES_PER_ELEMENT);
  new type(buffer, 0, 1)[0] = value;
  return new Uint8Array(buffer);
}

test("there are the eleven classes and Float16Array", () => {
  assertEquals(new Set(classes.map(([type]) => type.name)).size, 12);
});

describe("MemoryMap.asTypedArray()", () => {
  for (const [type, value] of classes) {
    const unit = type.BYTES_PER_ELEMENT;
    test(`views the file as ${type.name}`, () => {
      using dir = tempDir();
      const path = dir.file("data", new Uint8Array(64));
      using map = MemoryMap.open(path, { mode: "r+" });
      const whole = map.asTypedArray(type);
      assertInstanceOf(whole, type);
      assertStrictEquals(whole.constructor, type);
      assertEquals(whole.length, 64 / unit);

      const part = map.asTypedArray(type, 16, 2);
      assertEquals(part.length, 2);
      part[1] = value;
      assertEquals(whole[(16 + unit) / unit], value);
      map.msync();
      assertEquals(fileBytes(path).slice(16 + unit, 16 + 2 * unit), encoded(type, value));
      assertEquals(fileBytes(path).filter((byte) => byte !== 0).length <= unit, true);
    });
  }
  for (const [type] of classes.filter(([type]) => type.BYTES_PER_ELEMENT > 1)) {
    const unit = type.BYTES_PER_ELEMENT;
    test(`refuses a misaligned ${type.name}`, () => {
      using map = MemoryMap.createAnonymous(64);
      for (let offset = 1; offset < unit; offset++) {
        assertRefused(
          () => map.asTypedArray(type, offset, 1),
          MMapInvalidParameterError,
          type.name,
          `offset ${offset}`,
          `multiple of ${unit}`,
        );
      }
    });
    test(`refuses a rest that is no whole number of ${type.name} elements`, () => {
      using map = MemoryMap.createAnonymous(8 * unit + 1);
      assertRefused(
        () => map.asTypedArray(type),
        MMapInvalidParameterError,
        `${8 * unit + 1} bytes`,
        type.name,
        `multiple of ${unit} bytes`,
        "length",
      );
      assertEquals(map.asTypedArray(type, 0, 8).length, 8);
    });
  }
  test("goes to the end of the map by default", () => {
    using map = MemoryMap.createAnonymous(64);
    assertEquals(map.asTypedArray(Uint16Array, 10).length, 27);
    assertEquals(map.asTypedArray(Uint8Array, 63).length, 1);
    assertEquals(map.asTypedArray(Float64Array, 64).length, 0);
  });
  test("takes a length of 0", () => {
    using map = MemoryMap.createAnonymous(64);
    assertEquals(map.asTypedArray(Float64Array, 8, 0).length, 0);
    assertEquals(map.asTypedArray(Float64Array, 64, 0).length, 0);
  });
  test("looks at the address when the map starts at an odd offset of its file", () => {
    using dir = tempDir();
    const data = pattern(104);
    using map = MemoryMap.open(dir.file("data", data), { offset: 5 });
    assertRefused(() => map.asTypedArray(Float64Array, 0, 1), MMapInvalidParameterError, "8");
    const doubles = map.asTypedArray(Float64Array, 3, 2);
    const expected = new Float64Array(data.slice(8, 24).buffer);
    assertEquals([...doubles], [...expected]);
    const words = map.asTypedArray(Uint16Array, 3);
    assertEquals(words.length, 48);
    assertEquals([...words], [...new Uint16Array(data.slice(8).buffer)]);
  });
  test("refuses a range that ends past the map", () => {
    using map = MemoryMap.createAnonymous(64);
    assertRefused(
      () => map.asTypedArray(Float64Array, 8, 8),
      MMapInvalidParameterError,
      "64 bytes at offset 8",
      "Float64Array",
      "map has 64 bytes",
    );
    assertRefused(() => map.asTypedArray(Uint8Array, 65), MMapInvalidParameterError, "65", "64");
  });
  test("takes classes of the user's own that extend a typed array", () => {
    class Samples extends Float32Array {
      sum(): number {
        return this.reduce((sum, value) => sum + value, 0);
      }
    }
    using map = MemoryMap.createAnonymous(16);
    const samples = map.asTypedArray(Samples);
    samples.set([1, 2, 3, 4]);
    assertEquals(samples.sum(), 10);
    assertEquals([...map.asTypedArray(Float32Array)], [1, 2, 3, 4]);
  });
  test("refuses what is no typed array class", () => {
    using map = MemoryMap.createAnonymous(64);
    const others: unknown[] = [
      undefined,
      null,
      "Float64Array",
      8,
      {},
      Array,
      DataView,
      ArrayBuffer,
      Object.getPrototypeOf(Uint8Array),
      () => new Uint8Array(1),
    ];
    for (const other of others) {
      assertRefused(
        () => map.asTypedArray(other as typeof Uint8Array),
        MMapInvalidParameterError,
        "typed array class",
        "Float64Array",
      );
    }
  });
  test("is of the memory itself: Atomics work on it", () => {
    using map = MemoryMap.createAnonymous(64);
    const counter = map.asTypedArray(Int32Array, 8, 1);
    assertEquals(Atomics.add(counter, 0, 5), 0);
    assertEquals(Atomics.load(map.asTypedArray(Int32Array), 2), 5);
  });
});

describe("MemoryMap.bytes", () => {
  test("is a Uint8Array over the whole map, zero copy", () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(10_001));
    using map = MemoryMap.open(path, { mode: "r+", offset: 1 });
    assertStrictEquals(map.bytes.constructor, Uint8Array);
    assertEquals(map.bytes.length, 10_000);
    assertEquals(new Uint8Array(map.bytes), pattern(10_001).slice(1));
    map.bytes[9_999] = 1;
    map.bytes.set(utf8("start"));
    map.msync();
    assertEquals(fileBytes(path).slice(1, 6), utf8("start"));
    assertEquals(fileBytes(path)[10_000], 1);
  });
  test("shows what is written afterwards", () => {
    using map = MemoryMap.createAnonymous(10);
    const bytes = map.bytes;
    map.write("later");
    assertEquals(bytes.slice(0, 5), utf8("later"));
  });
  test("taken twice is the same memory", () => {
    using map = MemoryMap.createAnonymous(10);
    map.bytes[3] = 7;
    assertEquals(map.bytes[3], 7);
    assertStrictEquals(map.bytes.buffer, map.bytes.buffer);
  });
  test("of a read-only map can be read", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", "content"));
    assertEquals(map.bytes.slice(), utf8("content"));
    assertEquals(map.bytes.indexOf(110), 2);
  });
});

describe("MemoryMap.buffer", () => {
  test("is the buffer of the views", () => {
    using map = MemoryMap.createAnonymous(100);
    const { buffer } = map;
    assertInstanceOf(buffer, ArrayBuffer);
    assertEquals(buffer.byteLength, 100);
    assertStrictEquals(buffer, map.bytes.buffer);
    new Uint8Array(buffer)[5] = 9;
    assertEquals(map.read(1, 5), Uint8Array.of(9));
  });
  test("cannot be resized", () => {
    using map = MemoryMap.createAnonymous(100);
    assertEquals((map.buffer as ArrayBuffer).resizable, false);
  });
});

describe("MemoryMap.asDataView()", () => {
  test("reads and writes values at any offset, in either byte order", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(100));
    using map = MemoryMap.open(path, { mode: "r+", offset: 3 });
    const view = map.asDataView();
    assertInstanceOf(view, DataView);
    assertEquals(view.byteLength, 97);
    view.setUint32(1, 0x01020304, true);
    view.setUint32(5, 0x01020304, false);
    view.setFloat64(9, -2.5, true);
    map.msync();
    assertEquals(fileBytes(path).slice(4, 12), Uint8Array.of(4, 3, 2, 1, 1, 2, 3, 4));
    assertEquals(new DataView(fileBytes(path).buffer).getFloat64(12, true), -2.5);
  });
  test("covers the range asked for", () => {
    using map = MemoryMap.createAnonymous(100);
    map.write("0123456789", 40);
    const view = map.asDataView(43, 4);
    assertEquals(view.byteLength, 4);
    assertEquals(view.getUint8(0), 51);
    assertEquals(view.getUint8(3), 54);
    assertEquals(map.asDataView(43).byteLength, 57);
    assertEquals(map.asDataView(100).byteLength, 0);
    assertEquals(map.asDataView(5, 0).byteLength, 0);
  });
  test("refuses a range that ends past the map", () => {
    using map = MemoryMap.createAnonymous(100);
    assertRefused(
      () => map.asDataView(90, 11),
      MMapInvalidParameterError,
      "11 bytes at offset 90",
      "100 bytes",
    );
    assertRefused(() => map.asDataView(101), MMapInvalidParameterError, "101", "100");
  });
});

test("all kinds of views show the same memory", () => {
  using map = MemoryMap.createAnonymous(pageSize());
  const doubles = map.asTypedArray(Float64Array);
  const bytes = map.bytes;
  const view = map.asDataView();
  doubles[3] = 1.25;
  assertEquals(view.getFloat64(24, true), 1.25);
  assertEquals(bytes.slice(24, 32), new Uint8Array(Float64Array.of(1.25).buffer));
  view.setInt8(30, 0);
  assertEquals(doubles[3], new DataView(map.read(8, 24).buffer).getFloat64(0, true));
});

test("views read through a protection that was changed to PROT_READ", () => {
  using map = MemoryMap.createAnonymous(pageSize());
  map.write("content");
  const bytes = map.bytes;
  map.mprotect(PROT_READ);
  assertEquals(bytes.slice(0, 7), utf8("content"));
});

const skip: Skip = process.platform === "win32" ? "needs MAP_NORESERVE" : false;
const mapLazily = (size: number) =>
  MemoryMap.createAnonymous(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);

describe("views of maps over 4 GiB", () => {
  const GiB = 2 ** 30;
  test("bytes of exactly 4 GiB work everywhere", { skip }, () => {
    using map = mapLazily(4 * GiB);
    assertEquals(map.bytes.length, 4 * GiB);
    map.bytes[4 * GiB - 1] = 5;
    assertEquals(map.read(1, 4 * GiB - 1), Uint8Array.of(5));
  });
  test(
    "bytes and buffer work, or are refused with the way out where a buffer is limited",
    { skip },
    () => {
      using map = mapLazily(4 * GiB + pageSize());
      if (map.size <= maxBufferLength) {
        assertEquals(map.bytes.length, map.size);
        assertEquals(map.buffer.byteLength, map.size);
        map.bytes[map.size - 1] = 5;
        assertEquals(map.read(1, map.size - 1), Uint8Array.of(5));
        return;
      }
      const wayOut = [`${map.size} bytes`, `${maxBufferLength}`, "asTypedArray(", "asDataView("];
      assertRefused(() => map.bytes, MMapInvalidParameterError, ...wayOut);
      assertRefused(() => map.buffer, MMapInvalidParameterError, ...wayOut);
      assertRefused(() => map.asTypedArray(Float64Array), MMapInvalidParameterError, ...wayOut);
      assertRefused(() => map.asDataView(), MMapInvalidParameterError, ...wayOut);
    },
  );
  test("ranges of up to 4 GiB work anywhere", { skip }, () => {
    using map = mapLazily(12 * GiB);
    for (const offset of [0, 8, 1 * GiB, 3 * GiB + 8, 4 * GiB, 5 * GiB + 16, 8 * GiB]) {
      for (const length of [64, 1 * GiB, 2 * GiB, 2 * GiB + 8, 3 * GiB, 4 * GiB]) {
        const doubles = map.asTypedArray(Float64Array, offset, length / 8);
        const at = `${length} bytes at ${offset}`;
        assertEquals(doubles.length, length / 8, at);
        doubles[0] = offset;
        doubles[length / 8 - 1] = length;
        const view = map.asDataView(offset, length);
        assertEquals(view.byteLength, length, at);
        assertEquals(view.getFloat64(0, true), offset, at);
        assertEquals(view.getFloat64(length - 8, true), length, at);
        assertEquals(map.asTypedArray(Float64Array, offset + length - 8, 1)[0], length, at);
      }
    }
  });
  test("views taken before and after share the memory", { skip }, () => {
    using map = mapLazily(12 * GiB);
    const early = map.asTypedArray(Uint8Array, 6 * GiB - 10, 20);
    const wide = map.asTypedArray(Uint8Array, 3 * GiB, 4 * GiB);
    const late = map.asTypedArray(Uint8Array, 6 * GiB - 5, 20);
    late[0] = 1;
    assertEquals([early[5], wide[3 * GiB - 5]], [1, 1]);
    map.write(Uint8Array.of(2), 6 * GiB - 5);
    assertEquals([early[5], wide[3 * GiB - 5], late[0]], [2, 2, 2]);
  });
  test("views of the end and past it", { skip }, () => {
    using map = mapLazily(8 * GiB);
    assertEquals(map.asTypedArray(Uint8Array, 8 * GiB).length, 0);
    assertEquals(map.asDataView(8 * GiB).byteLength, 0);
    assertEquals(map.asTypedArray(Uint8Array, 8 * GiB - 1).length, 1);
    assertRefused(
      () => map.asTypedArray(Uint8Array, 8 * GiB - 1, 2),
      MMapInvalidParameterError,
      `${8 * GiB} bytes`,
    );
    assert(map.isValid);
  });
});
