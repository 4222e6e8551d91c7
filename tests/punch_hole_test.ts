/** `MemoryMap.punchHole()`: zeros in the range, nothing changed beside it, blocks and memory given back. */
import { describe, test } from "node:test";
import fc from "fast-check";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import {
  assertRefused,
  fileBytes,
  firstReason,
  lockedBytes,
  openFd,
  pattern,
  type Skip,
  skipWithoutProc,
  type TempDir,
  tempDir,
} from "./helpers.ts";
import { allocatedBytes, pagesIn, skipInMemory, skipOutsideLinux } from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const SHARED = MAP_SHARED | MAP_ANONYMOUS;

/** Every kind of map that takes holes, and what else its tests need. */
const kinds: [string, (dir: TempDir, size: number) => MemoryMap, Skip?][] = [
  ["anonymous memory", (_, size) => MemoryMap.createAnonymous(size)],
  [
    "shared anonymous memory",
    (_, size) => MemoryMap.createAnonymous(size, READ_WRITE, SHARED),
    skipWithoutAdvice, // a hole is MADV_REMOVE
  ],
  ["a memfd", (_, size) => MemoryMap.createMemfd(size)],
  ["a file", (dir, size) => MemoryMap.open(dir.file("data"), { mode: "w+", size })],
  [
    "a file from inside a page on",
    (dir, size) =>
      MemoryMap.open(dir.file("data", new Uint8Array(size + 777)), { mode: "r+", offset: 777 }),
  ],
];

for (const [kind, make, needs = false] of kinds) {
  const skip = firstReason(skipOutsideLinux, needs);
  describe(`MemoryMap.punchHole() in ${kind}`, () => {
    const ranges: [string, number, number][] = [
      ["whole pages", 2 * page, 3 * page],
      ["a page", page, page],
      ["less than a page", page + 10, 100],
      ["one byte", 3, 1],
      ["parts of two pages", page - 5, 10],
      ["pages and parts of pages", page - 5, 2 * page + 10],
      ["from the start", 0, 2 * page + 1],
      ["to the end", 7 * page - 1, page + 101],
      ["everything", 0, 8 * page + 100],
      ["nothing", page, 0],
      ["nothing at the end", 8 * page + 100, 0],
    ];
    for (const [name, offset, length] of ranges) {
      test(`zeroes ${name} and nothing else`, { skip }, () => {
        using dir = tempDir();
        const size = 8 * page + 100;
        using map = make(dir, size);
        const model = pattern(size).map((byte) => byte | 1);
        map.write(model);
        map.punchHole(offset, length);
        model.fill(0, offset, offset + length);
        assertEquals(map.compare(model), 0);
        if (map.path !== undefined) {
          map.msync();
          assertEquals(fileBytes(map.path).slice(map.offset), model);
          assertEquals(fs.statSync(map.path).size, map.offset + size);
        }
        map.fill(9, offset, length);
        assertEquals(map.size, size);
      });
    }
    test("agrees with a model at any place", { skip }, () => {
      using dir = tempDir();
      const size = 6 * page + 321;
      using map = make(dir, size);
      const model = new Uint8Array(size);
      fc.assert(
        fc.property(fc.nat(size), fc.nat(size), fc.boolean(), (a, b, refill) => {
          if (refill) {
            model.fill(1);
            map.fill(1);
          }
          const offset = Math.min(a, b);
          map.punchHole(offset, Math.abs(a - b));
          model.fill(0, offset, Math.max(a, b));
          assertEquals(map.compare(model), 0);
        }),
        { numRuns: 200, seed: 1 },
      );
    });
    test("leaves the views as they are", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, 4 * page);
      map.fill(1);
      const { bytes } = map;
      map.punchHole(page, page);
      const seen = [bytes.length, bytes[page - 1], bytes[page], bytes[2 * page]];
      assertEquals(seen, [4 * page, 1, 0, 1]);
      bytes[page] = 5;
      assertEquals(map.read(1, page), Uint8Array.of(5));
    });
    test("refuses ranges that are not in the map", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, page);
      map.fill(1);
      assertRefused(
        () => map.punchHole(1, page),
        MMapInvalidParameterError,
        `${page} bytes at offset 1`,
        `map has ${page} bytes`,
      );
      const bad: [number, number][] = [
        [page, 1],
        [-1, 1],
        [0, -1],
        [0.5, 1],
        [0, 0.5],
        [NaN, 1],
        [0, Infinity],
      ];
      for (const [offset, length] of bad) {
        assertRefused(() => map.punchHole(offset, length), MMapInvalidParameterError);
      }
      assertEquals(map.count(1), page);
    });
    test("refuses where it may not write", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, 4 * page);
      map.fill(1);
      map.mprotect(PROT_READ);
      assertRefused(() => map.punchHole(0, page), MMapProtectionError, "PROT_WRITE");
      assertEquals(map.count(1), 4 * page);
    });
  });
}

describe("MemoryMap.punchHole() gives back", () => {
  test("the blocks of a file, seen from outside", {
    skip: firstReason(skipOutsideLinux, skipInMemory),
  }, () => {
    using dir = tempDir();
    const path = dir.file("data");
    using map = MemoryMap.open(path, { mode: "w+", size: 256 * page });
    map.fill(1);
    map.msync();
    const before = allocatedBytes(path);
    assert(before >= 256 * page);
    map.punchHole(64 * page, 128 * page);
    assertEquals(before - allocatedBytes(path), 128 * page);
    assertEquals(fs.statSync(path).size, 256 * page);
    map.punchHole(0, 256 * page);
    assert(allocatedBytes(path) < page);
    map.fill(2, 100 * page, page); // a hole fills up again
    map.msync();
    assert(allocatedBytes(path) >= page);
    assertEquals(fileBytes(path)[100 * page], 2);
  });
  test("the blocks of a file that is mapped at an offset", {
    skip: firstReason(skipOutsideLinux, skipInMemory),
  }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(64 * page).fill(1));
    using file = openFd(path, "r+");
    fs.fsyncSync(file.fd);
    const before = allocatedBytes(path);
    using map = MemoryMap.open(path, { mode: "r+", offset: 10 * page + 5 });
    map.punchHole(0, 10 * page);
    assertEquals(before - allocatedBytes(path), 9 * page);
    const expected = new Uint8Array(64 * page).fill(1);
    expected.fill(0, 10 * page + 5, 20 * page + 5);
    assertEquals(fileBytes(path), expected);
  });
  for (const [kind, make, needs = false] of kinds.slice(0, 3)) {
    test(
      `the pages of ${kind}`,
      { skip: firstReason(skipOutsideLinux, skipWithoutProc, needs) },
      () => {
        using dir = tempDir();
        using map = make(dir, 8 * page);
        map.fill(1);
        assertEquals(pagesIn(map), "########");
        map.punchHole(page - 1, 4 * page);
        assertEquals(pagesIn(map), "#...####");
      },
    );
  }
});

describe("MemoryMap.punchHole()", () => {
  test("is seen by other maps of the file", { skip: skipOutsideLinux }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(4 * page).fill(1));
    using map = MemoryMap.open(path, { mode: "r+" });
    using other = MemoryMap.open(path);
    assertEquals(other.count(1), 4 * page);
    map.punchHole(page, 2 * page);
    assertEquals(other.count(1), 2 * page);
  });
  test(
    "in a part that may be written, of a map that else may not",
    { skip: skipOutsideLinux },
    () => {
      using map = MemoryMap.createAnonymous(4 * page);
      map.fill(1);
      map.mprotect(PROT_READ, 0, page);
      map.punchHole(page, page);
      assertEquals(map.count(0), page);
      assertRefused(() => map.punchHole(page - 1, 2), MMapProtectionError, "PROT_WRITE");
    },
  );
  test("of locked memory reads as zeros", {
    skip: firstReason(skipOutsideLinux, skipWithoutProc),
  }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.fill(1);
    map.mlock();
    const locked = lockedBytes();
    map.punchHole(page - 1, 2 * page);
    assertEquals(map.count(0), 2 * page);
    assertEquals(lockedBytes(), locked);
  });
  test("refuses a copy-on-write map", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(4 * page).fill(1));
    using map = MemoryMap.open(path, { mode: "c" });
    using file = openFd(path, "r+");
    using mapped = MemoryMap.createFileMapping(file.fd, 0, 4 * page, READ_WRITE, MAP_PRIVATE);
    for (const copy of [map, mapped]) {
      assertRefused(
        () => copy.punchHole(0, page),
        MMapInvalidParameterError,
        `Cannot punch a hole of ${page} bytes at offset 0`,
        "copy-on-write",
        "fill(0)",
      );
      assertEquals(copy.count(1), 4 * page);
    }
    assertEquals(fileBytes(path), new Uint8Array(4 * page).fill(1));
  });
  test("refuses a read-only map", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page).fill(1));
    using map = MemoryMap.open(path);
    assertRefused(() => map.punchHole(0, page), MMapProtectionError, "PROT_WRITE");
    assertEquals(fileBytes(path), new Uint8Array(page).fill(1));
  });
  test("refuses a closed map", () => {
    const map = MemoryMap.createAnonymous(page);
    map.close();
    assertRefused(() => map.punchHole(0, page), MMapClosedError, "closed");
  });
});
