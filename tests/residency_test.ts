/** `MemoryMap.residency()`: one byte for each page that a range touches. */
import { describe, test } from "node:test";
import { assertEquals, assertInstanceOf } from "@std/assert";
import {
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import { assertRefused, firstReason, skipOnWindows, tempDir } from "./helpers.ts";
import { pagesIn, skipInMemory, sparseFile } from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const skip = skipOnWindows;

/** Anonymous memory whose pages come one by one. */
function smallPages(pages: number, flags: number = MAP_PRIVATE): MemoryMap {
  const map = MemoryMap.createAnonymous(pages * page, READ_WRITE, flags | MAP_ANONYMOUS);
  map.hint("noHugePages");
  return map;
}

describe("MemoryMap.residency() of anonymous memory", () => {
  for (const [kind, flags] of [["private", MAP_PRIVATE], ["shared", MAP_SHARED]] as const) {
    test(`tells which pages were written, ${kind}`, {
      skip: firstReason(skip, flags === MAP_SHARED && skipWithoutAdvice),
    }, () => {
      using map = smallPages(10, flags);
      assertEquals(pagesIn(map), "..........");
      map.write("x", 0);
      map.write("x", 4 * page - 1);
      map.write("xx", 7 * page - 1);
      assertEquals(pagesIn(map), "#..#..##..");
      map.discard(7 * page, page);
      assertEquals(pagesIn(map), "#..#..#...");
    });
  }
  test("gives zeros and ones in a Uint8Array of its own", { skip }, () => {
    using map = smallPages(3);
    map.fill(255);
    const pages = map.residency();
    assertInstanceOf(pages, Uint8Array);
    assertEquals(pages, Uint8Array.of(1, 1, 1));
    pages.fill(0);
    assertEquals(map.residency(), Uint8Array.of(1, 1, 1));
    assertEquals(map.count(255), 3 * page);
  });
  test("does not fault anything in by itself", { skip }, () => {
    using map = smallPages(10);
    for (let i = 0; i < 3; i++) assertEquals(pagesIn(map), "..........");
  });
  test("works without the right to read", { skip }, () => {
    using map = MemoryMap.createAnonymous(2 * page);
    map.fill(1);
    map.mprotect(PROT_NONE);
    assertEquals(map.residency().length, 2);
  });
  test("of 64 GiB, of which one page is there", { skip }, () => {
    const size = 2 ** 36;
    using map = MemoryMap.createAnonymous(size, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    map.hint("noHugePages");
    map.write("x", 2 ** 35);
    const pages = map.residency();
    assertEquals(pages.length, size / page);
    assertEquals(pages.indexOf(1), 2 ** 35 / page);
    assertEquals(pages.lastIndexOf(1), 2 ** 35 / page);
    assertEquals(map.residency(2 ** 35 - 1, 2), Uint8Array.of(0, 1));
  });
});

describe("MemoryMap.residency() of a range has a byte for each page that it touches:", () => {
  const cases: [number, number | undefined, string][] = [
    [0, 1, "#"],
    [page - 1, 1, "#"],
    [page - 1, 2, "#."],
    [page, page, "."],
    [1, page, "#."],
    [page, 2 * page + 1, "..#"],
    [3 * page, undefined, "#."],
    [4 * page + 9, undefined, "."],
    [4 * page + 10, undefined, ""],
    [2 * page, 0, ""],
  ];
  for (const [offset, length, expected] of cases) {
    test(`${length ?? "the rest"} at ${offset}`, { skip }, () => {
      using map = MemoryMap.createAnonymous(4 * page + 10);
      map.hint("noHugePages");
      map.write("x", 0);
      map.write("x", 3 * page);
      const pages = Array.from(map.residency(offset, length), (byte) => byte === 1 ? "#" : ".");
      assertEquals(pages.join(""), expected);
    });
  }
  test("in a file that is mapped from inside a page on", { skip }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", new Uint8Array(4 * page)), { offset: page - 2 });
    assertEquals(map.residency(0, 2).length, 1);
    assertEquals(map.residency(0, 3).length, 2);
    assertEquals(map.residency(2, page).length, 1);
    assertEquals(map.residency().length, 4);
  });
});

describe("MemoryMap.residency() of a file", () => {
  test("tells what the page cache holds, whoever put it there", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8 * page));
    using map = MemoryMap.open(path, { mode: "r+" });
    assertEquals(pagesIn(map), "########"); // it has just been written
  });
  test("shows holes as absent until they are touched", {
    skip: firstReason(skip, skipInMemory, skipWithoutAdvice),
  }, () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), 256 * page);
    using map = MemoryMap.open(path, { access: "random" });
    assertEquals(pagesIn(map), ".".repeat(256));
    map.read(1, 20 * page);
    assertEquals(pagesIn(map)[20], "#");
    assertEquals(pagesIn(map)[200], ".");
  });
  test("that is empty has no pages", { skip }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
    assertEquals(map.residency(), new Uint8Array(0));
  });
});

test("MemoryMap.residency() refuses ranges that are not in the map", { skip }, () => {
  using map = MemoryMap.createAnonymous(page);
  assertRefused(
    () => map.residency(1, page),
    MMapInvalidParameterError,
    `${page} bytes at offset 1`,
    `map has ${page} bytes`,
  );
  const ranges: [number, number | undefined][] = [
    [page + 1, undefined],
    [page, 1],
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [0, NaN],
    [0, Infinity],
  ];
  for (const [offset, length] of ranges) {
    assertRefused(() => map.residency(offset, length), MMapInvalidParameterError);
  }
  map.close();
  assertRefused(() => map.residency(), MMapClosedError, "closed");
});
