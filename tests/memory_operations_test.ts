/** fill, copyWithin, compare, find, rfind, indexOfByte and count against naive models. */
import { describe, test } from "node:test";
import fc from "fast-check";
import { assert, assertEquals } from "@std/assert";
import {
  MAP_NORESERVE,
  MAP_PRIVATE,
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
  type Needle,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { assertRefused, pattern, skipOnWindows, tempDir, utf8 } from "./helpers.ts";
import { random } from "./random.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const MiB = 1 << 20;
const GiB = 2 ** 30;

/** A map with these bytes. */
function mapOf(bytes: Uint8Array): MemoryMap {
  const map = MemoryMap.createAnonymous(Math.max(bytes.length, 1));
  map.write(bytes);
  return map;
}

/** Whether `needle` is at `at`. */
function isAt(bytes: Uint8Array, needle: Uint8Array, at: number): boolean {
  for (let i = 0; i < needle.length; i++) if (bytes[at + i] !== needle[i]) return false;
  return true;
}

/** `find`, as simple as it can be. */
function findIn(bytes: Uint8Array, needle: Uint8Array, offset: number, end: number): number {
  const last = Math.min(end, bytes.length) - needle.length;
  for (let at = Math.min(offset, bytes.length); at <= last; at++) {
    if (isAt(bytes, needle, at)) return at;
  }
  return -1;
}

/** `rfind`, as simple as it can be. */
function rfindIn(bytes: Uint8Array, needle: Uint8Array, offset: number, end: number): number {
  const first = Math.min(offset, bytes.length);
  for (let at = Math.min(end, bytes.length) - needle.length; at >= first; at--) {
    if (isAt(bytes, needle, at)) return at;
  }
  return -1;
}

/** Bytes with many matches: few values, or a short period. */
const haystacks = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 3000 }),
  fc.uint8Array({ minLength: 1, maxLength: 3000, max: 1 }),
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 9, max: 3 }), fc.integer({ min: 1, max: 3000 }))
    .map(([period, length]) =>
      Uint8Array.from({ length }, (_, i) => period[i % period.length] ?? 0)
    ),
);

/** Something to search, and what to search for: mostly a piece of it, with a change now and then. */
const searches = haystacks.chain((bytes) =>
  fc.record({
    bytes: fc.constant(bytes),
    needle: fc.oneof(
      fc.tuple(fc.nat(bytes.length), fc.nat(300))
        .map(([at, length]) => bytes.slice(at, at + length)),
      fc.tuple(fc.nat(bytes.length), fc.integer({ min: 1, max: 300 }), fc.nat(300))
        .map(([at, length, change]) => {
          const needle = bytes.slice(at, at + length);
          if (needle.length > 0) needle[change % needle.length]! ^= 1;
          return needle;
        }),
      fc.uint8Array({ maxLength: 300, max: 2 }),
    ),
    offset: fc.oneof(fc.constant(0), fc.nat(bytes.length + 10)),
    end: fc.oneof(fc.constant(bytes.length), fc.nat(bytes.length + 10)),
  })
);

test("MemoryMap.find() and rfind() agree with a naive search", () => {
  fc.assert(
    fc.property(searches, ({ bytes, needle, offset, end }) => {
      using map = mapOf(bytes);
      assertEquals(map.find(needle, offset, end), findIn(bytes, needle, offset, end));
      assertEquals(map.rfind(needle, offset, end), rfindIn(bytes, needle, offset, end));
      assertEquals(map.find(needle), findIn(bytes, needle, 0, bytes.length));
      assertEquals(map.rfind(needle), rfindIn(bytes, needle, 0, bytes.length));
    }),
    { numRuns: 1000, seed: 1 },
  );
});

test("MemoryMap.find() and rfind() find a needle of any length at any alignment", () => {
  using map = MemoryMap.createAnonymous(4 * page);
  const needles = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 255, 256, 300];
  for (const length of needles) {
    const needle = pattern(length, length).map((byte) => byte | 1);
    for (let at = page - 70; at < page + 70; at++) {
      map.write(needle, at);
      assertEquals([map.find(needle), map.rfind(needle)], [at, at], `${length} bytes`);
      assertEquals(map.find(needle, at, at + length), at);
      assertEquals(map.rfind(needle, at, at + length), at);
      assertEquals(map.find(needle, at + 1), -1);
      assertEquals(map.rfind(needle, 0, at + length - 1), -1);
      map.fill(0, at, length);
    }
  }
});

test("MemoryMap.find() and rfind() find a needle at both ends of a map", () => {
  for (let size = 1; size <= 200; size++) {
    for (const length of [1, 2, 16, 33]) {
      if (length > size) continue;
      using map = MemoryMap.createAnonymous(size);
      const needle = pattern(length, size).map((byte) => byte | 1);
      map.write(needle, size - length);
      assertEquals(map.find(needle), size - length);
      map.fill(0);
      map.write(needle);
      assertEquals([map.find(needle), map.rfind(needle)], [0, 0]);
    }
  }
});

describe("MemoryMap.rfind() finds the last of many", () => {
  const size = 3 * MiB + 77;
  test("wherever it is, in megabytes", () => {
    using map = MemoryMap.createAnonymous(size);
    const needle = pattern(50).map((byte) => byte | 1);
    map.write(needle, 5);
    const places = [10, MiB - 60, MiB - 25, MiB, 2 * MiB - 49, 2 * MiB + 1, size - MiB - 30];
    for (const place of [...places, size - MiB - 50, size - MiB, size - MiB + 1, size - 50]) {
      map.write(needle, place);
      assertEquals(map.rfind(needle), Math.max(place, 5));
      assertEquals(map.rfind(needle, 0, place + 49), place >= 55 ? 5 : -1);
      assertEquals(map.rfind(needle, place), place);
      map.fill(0, place, 50);
      map.write(needle, 5);
    }
  });
  test("in bytes that are all the same", () => {
    using map = MemoryMap.createAnonymous(size);
    map.fill(97);
    for (const length of [1, 2, 17, 4096, MiB - 1, MiB, MiB + 1, 2 * MiB + 5]) {
      const needle = new Uint8Array(length).fill(97);
      assertEquals(map.find(needle), 0);
      assertEquals(map.rfind(needle), size - length);
      assertEquals(map.rfind(needle, 0, size - 1), size - 1 - length);
      assertEquals(map.rfind(needle, size - length), size - length);
      assertEquals(map.rfind(needle, size - length + 1), -1);
      assertEquals(map.find(needle, 3, 3 + length), 3);
      assertEquals(map.find(needle, 3, 2 + length), -1);
    }
  });
  test("in bytes of a short period", () => {
    using map = mapOf(utf8("ab".repeat(MiB)));
    assertEquals(map.rfind("ab"), 2 * MiB - 2);
    assertEquals(map.rfind("ba"), 2 * MiB - 3);
    assertEquals(map.rfind("aba"), 2 * MiB - 4);
    assertEquals(map.rfind("abb"), -1);
    assertEquals(map.find("abb"), -1);
    assertEquals(map.find("ba"), 1);
    assertEquals(map.find("ab", 1), 2);
  });
  test("when only the first block has one", () => {
    using map = MemoryMap.createAnonymous(8 * MiB);
    map.write("needle", 12);
    assertEquals(map.rfind("needle"), 12);
    map.write("needle", 20);
    assertEquals(map.rfind("needle"), 20);
  });
});

describe("MemoryMap.find() and rfind()", () => {
  test("of a needle as long as the map, and longer", () => {
    using map = mapOf(pattern(1000));
    assertEquals([map.find(pattern(1000)), map.rfind(pattern(1000))], [0, 0]);
    assertEquals([map.find(pattern(1001)), map.rfind(pattern(1001))], [-1, -1]);
    assertEquals([map.find(pattern(100_000)), map.rfind(pattern(100_000))], [-1, -1]);
    assertEquals(map.find(pattern(1000), 1), -1);
    assertEquals(map.rfind(pattern(1000), 0, 999), -1);
  });
  test("of an empty needle give the start, and the end", () => {
    using map = mapOf(utf8("content"));
    assertEquals([map.find(""), map.rfind("")], [0, 7]);
    assertEquals([map.find(new Uint8Array(0), 3), map.rfind("", 3)], [3, 7]);
    assertEquals([map.find("", 2, 5), map.rfind("", 2, 5)], [2, 5]);
    assertEquals([map.find("", 7), map.rfind("", 7)], [7, 7]);
    assertEquals([map.find("", 5, 5), map.rfind("", 5, 5)], [5, 5]);
    assertEquals([map.find("", 5, 4), map.rfind("", 5, 4)], [-1, -1]);
  });
  test("past the end find nothing", () => {
    using map = mapOf(utf8("content"));
    for (const start of [7, 8, 1000, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      assertEquals([map.find("t", start), map.rfind("t", start)], [-1, -1]);
      assertEquals(map.indexOfByte(116, start), -1);
    }
    assertEquals([map.find("t", 0, 2 ** 40), map.rfind("t", 0, 2 ** 40)], [3, 6]);
    assertEquals([map.find("t", 4, 2), map.rfind("t", 4, 2)], [-1, -1]);
  });
  test("want all of the needle before the end", () => {
    using map = mapOf(utf8("..needle..needle.."));
    assertEquals([map.find("needle", 0, 8), map.find("needle", 0, 7)], [2, -1]);
    assertEquals([map.find("needle", 3, 16), map.find("needle", 3, 15)], [10, -1]);
    assertEquals([map.rfind("needle", 0, 16), map.rfind("needle", 0, 15)], [10, 2]);
    assertEquals([map.rfind("needle", 10), map.rfind("needle", 11)], [10, -1]);
  });
  test("take text as UTF-8, and any bytes", () => {
    const text = "naïve café – 日本語 🐙";
    using map = MemoryMap.createAnonymous(page);
    map.write(text, 100);
    const bytes = utf8("日本語");
    const at = 100 + utf8("naïve café – ").length;
    const even = new Uint8Array(bytes.length + 3);
    even.set(bytes, 2);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    const needles: Needle[] = [
      "日本語",
      bytes,
      even.subarray(2, 2 + bytes.length),
      new DataView(even.buffer, 2, bytes.length),
      new Int8Array(even.buffer, 2, bytes.length),
      bytes.slice().buffer,
      shared,
      shared.buffer,
      map.asTypedArray(Uint8Array, at, bytes.length),
    ];
    for (const needle of needles) {
      assertEquals([map.find(needle), map.rfind(needle)], [at, at]);
    }
    const wide = new Uint16Array(Uint8Array.of(0xe6, 0x97, 0xa5, 0xe6).buffer);
    assertEquals(map.find(wide), at);
    assertEquals(map.find("🐙"), at + bytes.length + 1);
  });
  test("take the bytes of another map", () => {
    using map = mapOf(pattern(10_000));
    using other = mapOf(pattern(10_000).slice(4321, 5000));
    assertEquals(map.find(other.bytes), 4321);
    assertEquals(map.rfind(other.bytes.subarray(100)), 4421);
  });
  test("see bytes of any value", () => {
    using map = mapOf(Uint8Array.from({ length: 512 }, (_, i) => i & 255));
    for (let byte = 0; byte < 256; byte++) {
      const needle = Uint8Array.of(byte);
      assertEquals([map.find(needle), map.rfind(needle)], [byte, byte + 256]);
      assertEquals(map.indexOfByte(byte), byte);
      assertEquals(map.find(needle, byte + 1), byte + 256);
    }
  });
  test("work in an empty map", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""));
    assertEquals([map.find("x"), map.rfind("x"), map.indexOfByte(0)], [-1, -1, -1]);
    assertEquals([map.find(""), map.rfind("")], [0, 0]);
  });
  test("work where the map starts inside a page", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", "xneedle and needle"), { offset: 1 });
    assertEquals([map.find("needle"), map.rfind("needle"), map.find("x")], [0, 11, -1]);
  });
  test("refuse a needle that is none", () => {
    using map = mapOf(utf8("content 5 null undefined"));
    for (const needle of [5, null, undefined, {}, [99], true, 5n, new Blob([])]) {
      assertRefused(() => map.find(needle as Needle), MMapInvalidParameterError, "bytes");
      assertRefused(() => map.rfind(needle as Needle), MMapInvalidParameterError, "bytes");
    }
  });
  test("refuse places that are none", () => {
    using map = mapOf(utf8("content"));
    for (const place of [-1, 0.5, NaN, Infinity, 2 ** 53, "1", null]) {
      const bad = place as number;
      for (const search of ["find", "rfind"] as const) {
        assertRefused(() => map[search]("t", bad), MMapInvalidParameterError, "Cannot search");
        assertRefused(() => map[search]("t", 0, bad), MMapInvalidParameterError, "Cannot search");
      }
      assertRefused(() => map.indexOfByte(116, bad), MMapInvalidParameterError, "Cannot search");
      assertRefused(() => map.indexOfByte(116, 0, bad), MMapInvalidParameterError, "Cannot search");
    }
  });
  test("find across 4 GiB", { skip: skipOnWindows }, () => {
    const size = 6 * GiB;
    using map = MemoryMap.createAnonymous(size, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    const near = (at: number) => [at - page, at + page] as const;
    const behind = 4 * GiB + 3 * page;
    for (const at of [2 * GiB - 3, 4 * GiB - 3, behind, 5 * GiB + 1]) {
      map.write("needle", at);
      assertEquals(map.find("needle", ...near(at)), at);
      assertEquals(map.rfind("needle", ...near(at)), at);
      assertEquals(map.indexOfByte(110, ...near(at)), at);
      assertEquals(map.count(101, at - page, 2 * page), 3);
      assertEquals(map.compare(utf8("needle"), at, 0, 6), 0);
    }
    assertEquals(map.find("needle", 4 * GiB), behind);
    assertEquals(map.find("needle", behind + 1), 5 * GiB + 1);
    assertEquals(map.rfind("needle", 4 * GiB - 3, 5 * GiB), behind);
    map.copyWithin(0, 4 * GiB - 3, 6);
    assertEquals(map.read(6), utf8("needle"));
    map.fill(1, 4 * GiB - 10, 20);
    assertEquals(map.count(1, 4 * GiB - page, 2 * page), 20);
  });
});

test("MemoryMap.indexOfByte() and count() agree with a naive loop", () => {
  fc.assert(
    fc.property(
      haystacks,
      fc.nat(255),
      fc.nat(3100),
      fc.nat(3100),
      (bytes, other, offset, end) => {
        using map = mapOf(bytes);
        for (const byte of [other, bytes[offset % bytes.length]!]) {
          const needle = Uint8Array.of(byte);
          assertEquals(map.indexOfByte(byte, offset, end), findIn(bytes, needle, offset, end));
          assertEquals(map.indexOfByte(byte), bytes.indexOf(byte));
          const from = Math.min(offset, bytes.length);
          const to = Math.max(from, Math.min(end, bytes.length));
          const expected = bytes.subarray(from, to).filter((value) => value === byte).length;
          assertEquals(map.count(byte, from, to - from), expected);
        }
      },
    ),
    { numRuns: 500, seed: 1 },
  );
});

describe("MemoryMap.count()", () => {
  test("counts at any alignment and length", () => {
    const bytes = pattern(2000).map((byte) => byte & 3);
    using map = mapOf(bytes);
    for (let offset = 0; offset < 70; offset++) {
      for (const length of [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000]) {
        const expected = bytes.subarray(offset, offset + length).filter((byte) =>
          byte === 3
        ).length;
        assertEquals(map.count(3, offset, length), expected, `${length} bytes at ${offset}`);
      }
    }
  });
  test("counts needles that do not overlap, as Python does", () => {
    using map = MemoryMap.createAnonymous(3 * page);
    map.write("aaaa-aba-a");
    const cases: readonly [Needle, number][] = [
      ["a", 7],
      ["aa", 2],
      ["aaa", 1],
      ["aaaaa", 0],
      ["a-a", 2],
      ["\u20ac", 0],
      ["-", 2],
      [Uint8Array.of(97, 98), 1],
      [new DataView(Uint8Array.of(9, 97, 45, 9).buffer, 1, 2), 2],
      [Uint8Array.of(97, 97).buffer, 2],
      ["", 11],
      [new Uint8Array(0), 11],
      ["x".repeat(11), 0],
    ];
    for (const [needle, expected] of cases) {
      assertEquals(map.count(needle, 0, 10), expected, String(needle));
    }
    assertEquals([map.count("aa", 1, 3), map.count("aa", 1, 2), map.count("aa", 1, 1)], [1, 1, 0]);
    assertEquals([map.count("", map.size), map.count("a", map.size), map.count("aa", 4)], [
      1,
      0,
      0,
    ]);
    const { bytes } = map;
    assertEquals(map.count(bytes), 1); // of the map's own bytes
    assertEquals(map.count(bytes.subarray(0, 2)), 2);
  });

  test("agrees with a naive loop for needles anywhere, across pages", () => {
    using map = MemoryMap.createAnonymous(5 * page);
    const chance = random(7);
    const next = (limit: number) => Math.floor(chance() * limit);
    for (let k = 0; k < map.size; k++) map.bytes[k] = next(3);
    const text = new TextDecoder("latin1").decode(map.read(map.size));
    for (let round = 0; round < 60; round++) {
      const needle = Uint8Array.from({ length: 1 + next(5) }, () => next(3));
      const offset = next(map.size);
      const length = next(map.size - offset + 1);
      const part = text.slice(offset, offset + length);
      const expected = part.split(new TextDecoder("latin1").decode(needle)).length - 1;
      assertEquals(map.count(needle, offset, length), expected, `${needle} at ${offset}+${length}`);
    }
  });

  test("refuses what is neither a byte nor a needle, and ranges that are not there", () => {
    using map = MemoryMap.createAnonymous(page);
    for (
      const wrong of [256, -1, 0.5, NaN, 1n, null, undefined, Symbol("x"), {}, [1, 2], () => 1]
    ) {
      assertRefused(() => map.count(wrong as number), MMapInvalidParameterError, "Cannot");
    }
    assertRefused(() => map.count("aa", 1, page), MMapInvalidParameterError, "at offset 1");
    assertRefused(() => map.count("", 0, page + 1), MMapInvalidParameterError);
    map.close();
    assertRefused(() => map.count("aa"), MMapClosedError);
  });

  test("counts more than 255 in a row, and megabytes of one value", () => {
    using map = MemoryMap.createAnonymous(10 * MiB + 3);
    for (const byte of [0, 255, 128]) {
      map.fill(byte);
      assertEquals(map.count(byte), 10 * MiB + 3);
      assertEquals(map.count(byte ^ 1), 0);
      assertEquals(map.count(byte, 1, 10 * MiB), 10 * MiB);
    }
  });
  test("goes to the end without a length", () => {
    using map = mapOf(utf8("banana"));
    assertEquals([map.count(97), map.count(97, 2), map.count(97, 6)], [3, 2, 0]);
    assertEquals(map.count(97, 1, 1), 1);
  });
});

describe("a byte that is none is refused by MemoryMap's", () => {
  const uses: [string, (map: MemoryMap, byte: number) => unknown][] = [
    ["fill()", (map, byte) => map.fill(byte)],
    ["count()", (map, byte) => map.count(byte)],
    ["indexOfByte()", (map, byte) => map.indexOfByte(byte)],
  ];
  for (const [name, use] of uses) {
    test(name, () => {
      using map = mapOf(utf8("content"));
      const text = name === "count()" ? [] : ["7"]; // which count() takes for a needle
      for (const byte of [-1, 256, 1.5, NaN, Infinity, null, undefined, 7n, ...text]) {
        assertRefused(
          () => use(map, byte as number),
          MMapInvalidParameterError,
          "as a byte",
          "255",
        );
      }
      assertEquals(map.read(7), utf8("content"));
    });
  }
});

describe("a range that is not in the map is refused by MemoryMap's", () => {
  const uses: [string, string, (map: MemoryMap, offset: number, length?: number) => unknown][] = [
    ["fill()", "fill", (map, offset, length) => map.fill(1, offset, length)],
    ["count()", "count", (map, offset, length) => map.count(1, offset, length)],
    ["copyWithin(), the source", "copy", (map, offset, length = 0) => {
      map.copyWithin(0, offset, length);
    }],
    ["copyWithin(), the target", "copy to", (map, offset, length = 0) => {
      map.copyWithin(offset, 0, length);
    }],
    ["compare()", "compare", (map, offset, length) => {
      map.compare(new Uint8Array(2 * page), offset, 0, length);
    }],
  ];
  for (const [name, verb, use] of uses) {
    test(name, () => {
      using map = MemoryMap.createAnonymous(page);
      const { bytes } = map;
      const ranges: [number, number][] = [
        [1, page],
        [page, 1],
        [0, page + 1],
        [page + 1, 0],
        [-1, 1],
        [0, -1],
        [0.5, 1],
        [0, 0.5],
        [NaN, 1],
        [0, NaN],
        [0, Infinity],
        [2 ** 53, 1],
      ];
      for (const [offset, length] of ranges) {
        assertRefused(() => use(map, offset, length), MMapInvalidParameterError);
      }
      assertRefused(
        () => use(map, 1, page),
        MMapInvalidParameterError,
        verb.startsWith("copy") ? `${page} bytes` : `Cannot ${verb} ${page} bytes at offset 1`,
        `map has ${page} bytes`,
      );
      assertEquals(bytes.every((byte) => byte === 0), true);
    });
  }
});

describe("MemoryMap.fill()", () => {
  test("agrees with Uint8Array.fill()", () => {
    const model = pattern(3 * page);
    using map = mapOf(model);
    fc.assert(
      fc.property(fc.nat(255), fc.nat(3 * page), fc.nat(3 * page), (byte, a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        map.fill(byte, start, end - start);
        model.fill(byte, start, end);
        assertEquals(map.compare(model), 0);
      }),
      { numRuns: 300, seed: 1 },
    );
  });
  test("goes to the end without a length, and everywhere without an offset", () => {
    using map = MemoryMap.createAnonymous(10);
    map.fill(1);
    map.fill(2, 7);
    map.fill(3, 10);
    map.fill(4, 0, 0);
    assertEquals(map.read(10), Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 2, 2, 2));
  });
  test("reaches the file", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    {
      using map = MemoryMap.open(path, { mode: "r+", offset: 3 });
      map.fill(46, 1, 4);
    }
    using map = MemoryMap.open(path);
    assertEquals(map.read(10), utf8("0123....89"));
  });
  test("sets more than a gibibyte", { skip: skipOnWindows }, () => {
    const size = GiB + 2 * page;
    using map = MemoryMap.createAnonymous(size, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    map.hint("hugePages");
    map.fill(7, 1, size - 2);
    assertEquals([map.indexOfByte(7), map.indexOfByte(0, 1)], [1, size - 1]);
    assertEquals(map.rfind(Uint8Array.of(7)), size - 2);
  });
  test("works in an empty map", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
    map.fill(1);
    map.copyWithin(0, 0, 0);
    assertEquals([map.count(1), map.compare(new Uint8Array(0)), map.compare(map)], [0, 0, 0]);
  });
});

describe("MemoryMap.copyWithin()", () => {
  test("agrees with Uint8Array.copyWithin(), overlapping both ways", () => {
    const size = 3 * page;
    const model = pattern(size);
    using map = mapOf(model);
    const places = fc.oneof(fc.nat(size), fc.nat(200));
    fc.assert(
      fc.property(places, places, fc.oneof(fc.nat(size), fc.nat(100)), (target, source, wanted) => {
        const length = Math.min(wanted, size - target, size - source);
        map.copyWithin(target, source, length);
        model.copyWithin(target, source, source + length);
        assertEquals(map.compare(model), 0);
      }),
      { numRuns: 500, seed: 1 },
    );
  });
  test("by one byte, forth and back, at any length", () => {
    for (const length of [1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 255, 4096, 100_000]) {
      using map = mapOf(pattern(length + 2));
      map.copyWithin(1, 0, length);
      assertEquals(map.read(length, 1), pattern(length + 2).slice(0, length));
      map.copyWithin(0, 1, length);
      assertEquals(map.read(length), pattern(length + 2).slice(0, length));
    }
  });
  test("onto itself, and of nothing, changes nothing", () => {
    using map = mapOf(pattern(1000));
    map.copyWithin(100, 100, 800);
    map.copyWithin(0, 1000, 0);
    map.copyWithin(1000, 0, 0);
    assertEquals(map.compare(pattern(1000)), 0);
  });
});

describe("MemoryMap.compare()", () => {
  /** As `memcmp` would, and then by length. */
  const order = (a: Uint8Array, b: Uint8Array): number => {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
    }
    return Math.sign(a.length - b.length);
  };
  test("agrees with a naive loop, with views and with maps", () => {
    const small = fc.uint8Array({ minLength: 1, maxLength: 40, max: 1 });
    fc.assert(
      fc.property(small, small, fc.nat(40), fc.nat(40), fc.nat(40), (a, b, i, j, wanted) => {
        using map = mapOf(a);
        using other = mapOf(b);
        assertEquals([map.compare(b), map.compare(other)], [order(a, b), order(a, b)]);
        const [x, y] = [i % (a.length + 1), j % (b.length + 1)];
        assertEquals(map.compare(b, x, y), order(a.subarray(x), b.subarray(y)));
        assertEquals(map.compare(other, x, y), order(a.subarray(x), b.subarray(y)));
        const length = Math.min(wanted, a.length - x, b.length - y);
        const expected = order(a.subarray(x, x + length), b.subarray(y, y + length));
        assertEquals(map.compare(b, x, y, length), expected);
        assertEquals(map.compare(other, x, y, length), expected);
      }),
      { numRuns: 500, seed: 1 },
    );
  });
  test("finds a difference at any place", () => {
    const size = 1000;
    const bytes = pattern(size);
    using map = mapOf(bytes);
    assertEquals(map.compare(bytes), 0);
    for (let at = 0; at < size; at++) {
      const other = bytes.slice();
      other[at]! ^= 0x80;
      const expected = bytes[at]! > other[at]! ? 1 : -1;
      assertEquals(map.compare(other), expected);
      assertEquals(map.compare(other, 0, 0, at), 0);
      assertEquals(map.compare(other, at + 1, at + 1), 0);
    }
  });
  test("compares bytes without a sign", () => {
    using map = mapOf(Uint8Array.of(0x80));
    assertEquals([map.compare(Uint8Array.of(0x7f)), map.compare(Uint8Array.of(0xff))], [1, -1]);
  });
  test("takes any view", () => {
    using map = mapOf(pattern(100));
    const bytes = pattern(104);
    const shared = new Uint8Array(new SharedArrayBuffer(100));
    shared.set(pattern(100));
    const views: ArrayBufferView[] = [
      bytes.subarray(0, 100),
      new DataView(bytes.buffer, 0, 100),
      new Uint32Array(bytes.buffer, 0, 25),
      new Float64Array(bytes.buffer, 0, 12),
      shared,
      map.bytes,
      map.asTypedArray(Int16Array),
    ];
    for (const view of views) assertEquals(map.compare(view, 0, 0, view.byteLength), 0);
    assertEquals(map.compare(bytes.subarray(4), 4, 0, 96), 0);
    assertEquals(map.compare(map, 10, 10), 0);
  });
  test("of gigabytes of nothing", { skip: skipOnWindows }, () => {
    const flags = MAP_PRIVATE | MAP_NORESERVE;
    using map = MemoryMap.createAnonymous(5 * GiB, READ_WRITE, flags);
    using other = MemoryMap.createAnonymous(5 * GiB, READ_WRITE, flags);
    other.write("x", 5 * GiB - 1);
    assertEquals(map.compare(other, 4 * GiB, 4 * GiB, GiB - 1), 0);
    assertEquals(map.compare(other, 5 * GiB - page, 5 * GiB - page), -1);
  });
  test("refuses ranges that are not in the other", () => {
    using map = MemoryMap.createAnonymous(100);
    using shorter = MemoryMap.createAnonymous(50);
    for (const other of [shorter, new Uint8Array(50)]) {
      const bad: [number, number | undefined][] = [
        [0, 51],
        [1, 50],
        [51, undefined],
        [-1, 1],
        [0.5, 1],
        [NaN, 1],
        [0, NaN],
        [0, -1],
      ];
      for (const [offset, length] of bad) {
        assertRefused(() => map.compare(other, 0, offset, length), MMapInvalidParameterError);
      }
      assertEquals(map.compare(other, 0, 50), 1);
      assertEquals(map.compare(other, 100, 50), 0);
    }
  });
  test("refuses what is neither a map nor a view", () => {
    using map = MemoryMap.createAnonymous(100);
    for (const other of ["text", 5, null, undefined, {}, [0, 0]]) {
      assertRefused(() => map.compare(other as unknown as Uint8Array), MMapInvalidParameterError);
    }
  });
  test("refuses a closed map on either side", () => {
    using map = MemoryMap.createAnonymous(100);
    const closed = MemoryMap.createAnonymous(100);
    closed.close();
    assertRefused(() => map.compare(closed), MMapClosedError, "closed");
    assertRefused(() => closed.compare(map), MMapClosedError, "closed");
  });
});

describe("pages that may not be touched are refused, not touched, by MemoryMap's", () => {
  const reads: [string, (map: MemoryMap) => unknown][] = [
    ["find()", (map) => map.find("x")],
    ["rfind()", (map) => map.rfind("x")],
    ["indexOfByte()", (map) => map.indexOfByte(1)],
    ["count()", (map) => map.count(1)],
    ["compare()", (map) => map.compare(new Uint8Array(4 * page))],
    ["compare(), on the other side", (map) => {
      using other = MemoryMap.createAnonymous(4 * page);
      other.compare(map);
    }],
    ["copyWithin(), the source", (map) => map.copyWithin(0, 2 * page - 1, 2)],
  ];
  const writes: [string, (map: MemoryMap) => unknown][] = [
    ["fill()", (map) => map.fill(1)],
    ["copyWithin(), the target", (map) => map.copyWithin(2 * page - 1, 0, 2)],
  ];
  for (const [name, use] of reads) {
    test(name, () => {
      using map = MemoryMap.createAnonymous(4 * page);
      map.mprotect(PROT_NONE, 2 * page, page);
      assertRefused(() => use(map), MMapProtectionError, "PROT_READ", `byte ${2 * page} `);
    });
  }
  for (const [name, use] of writes) {
    test(name, () => {
      using map = MemoryMap.createAnonymous(4 * page);
      map.mprotect(PROT_READ, 2 * page, page);
      assertRefused(() => use(map), MMapProtectionError, "PROT_WRITE", `byte ${2 * page} `);
      assertEquals(map.count(0), 4 * page);
    });
  }
});

test("a closed map is refused by each of these methods", () => {
  const map = MemoryMap.createAnonymous(page);
  map.close();
  const uses: (() => unknown)[] = [
    () => map.fill(1),
    () => map.copyWithin(0, 0, 0),
    () => map.compare(new Uint8Array(0)),
    () => map.find(""),
    () => map.find("x"),
    () => map.rfind(""),
    () => map.indexOfByte(0),
    () => map.count(0),
  ];
  for (const use of uses) assertRefused(use, MMapClosedError, "closed");
  assert(!map.isValid);
});
