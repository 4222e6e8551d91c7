/** `MemoryMap.stats()` against what was touched and against `/proc/self/smaps`. */
import { describe, test } from "node:test";
import fc from "fast-check";
import { assert, assertEquals } from "@std/assert";
import {
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapClosedError,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutSmaps } from "./capabilities.ts";
import { assertRefused, firstReason, pattern, skipWithoutProc, tempDir } from "./helpers.ts";
import { areaAt, skipInMemory, skipOutsideLinux, sparseFile } from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const MiB = 1 << 20;
const skip = firstReason(skipOutsideLinux, skipWithoutProc, skipWithoutSmaps);

/** Anonymous memory whose pages come one by one. */
function smallPages(pages: number): MemoryMap {
  const map = MemoryMap.createAnonymous(pages * page);
  map.hint("noHugePages");
  return map;
}

describe("MemoryMap.stats() of anonymous memory", () => {
  test("has nothing resident at first", { skip }, () => {
    using map = smallPages(64);
    assertEquals(map.stats(), {
      mapped: 64 * page,
      resident: 0,
      shared: 0,
      swapped: 0,
      huge: 0,
    });
  });
  test("counts the pages that were written", { skip }, () => {
    using map = smallPages(64);
    for (const i of [0, 7, 8, 63]) map.write("x", i * page);
    assertEquals(map.stats(), {
      mapped: 64 * page,
      resident: 4 * page,
      shared: 0,
      swapped: 0,
      huge: 0,
    });
    map.discard(0, 8 * page);
    assertEquals(map.stats().resident, 2 * page);
  });
  test("counts whole pages", { skip }, () => {
    using map = MemoryMap.createAnonymous(3 * page + 1);
    assertEquals(map.stats().mapped, 4 * page);
    map.fill(1);
    assertEquals(map.stats().resident, 4 * page);
  });
  test("does not count neighbours that the kernel joins with it", { skip }, () => {
    using _before = smallPages(64);
    using map = smallPages(64);
    using _after = smallPages(64);
    _before.fill(1);
    _after.fill(1);
    map.write("x", 5 * page);
    assertEquals(map.stats(), {
      mapped: 64 * page,
      resident: page,
      shared: 0,
      swapped: 0,
      huge: 0,
    });
    assertEquals(_before.stats().resident, 64 * page);
  });
  test("says the same as the pages that were touched, among neighbours", { skip }, () => {
    const touched = fc.array(fc.uniqueArray(fc.nat(31), { maxLength: 32 }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(touched, (lists) => {
        const maps = lists.map(() => smallPages(32));
        try {
          lists.forEach((list, i) => list.forEach((at) => maps[i]!.write("x", at * page)));
          const resident = maps.map((map) => map.stats().resident / page);
          assertEquals(resident, lists.map((list) => list.length));
          assertEquals(maps.map((map) => map.stats().mapped), lists.map(() => 32 * page));
        } finally {
          for (const map of maps) map.close();
        }
      }),
      { numRuns: 30, seed: 1 },
    );
  });
  test("does not count the huge pages of neighbours", { skip }, () => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const maps = Array.from(
      { length: 3 },
      () => MemoryMap.createAnonymous(8 * MiB, READ_WRITE, flags),
    );
    try {
      for (const map of maps) map.hint("hugePages");
      maps[0]!.fill(1);
      maps[2]!.fill(1);
      maps[1]!.write("x", 4 * MiB);
      const { resident, huge } = maps[1]!.stats();
      assert(resident > 0 && resident <= 4 * MiB, `${resident} bytes resident`);
      assert(huge <= resident, `${huge} bytes in huge pages, of ${resident}`);
    } finally {
      for (const map of maps) map.close();
    }
  });
  test("adds up areas of different protection", { skip }, () => {
    using map = smallPages(64);
    map.fill(1);
    map.mprotect(PROT_READ, 10 * page, 10 * page);
    map.mprotect(PROT_NONE, 40 * page, page);
    const { mapped, resident } = map.stats();
    assertEquals([mapped, resident], [64 * page, 64 * page]);
  });
  test("follows resize()", { skip }, () => {
    using map = smallPages(16);
    map.fill(1);
    map.resize(64 * page);
    assertEquals([map.stats().mapped, map.stats().resident], [64 * page, 16 * page]);
    map.resize(8 * page);
    assertEquals([map.stats().mapped, map.stats().resident], [8 * page, 8 * page]);
  });
  test("of a terabyte that is hardly touched", { skip }, () => {
    using map = MemoryMap.createAnonymous(2 ** 40, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    map.hint("noHugePages");
    map.write("x", 2 ** 39);
    assertEquals([map.stats().mapped, map.stats().resident], [2 ** 40, page]);
  });
  test("works after unmapRange(), for what is left", { skip }, () => {
    using map = smallPages(16);
    map.fill(1);
    map.unmapRange(4 * page, 4 * page);
    assertEquals(map.stats().resident, 12 * page);
  });
});

describe("MemoryMap.stats() of a file", () => {
  /** The same five numbers from the lines of smaps. */
  const fromSmaps = (map: MemoryMap) => {
    const area = areaAt(map.addr);
    return {
      mapped: Number(area.end - area.start),
      resident: area.bytes("Rss"),
      shared: area.bytes("Shared_Clean") + area.bytes("Shared_Dirty"),
      swapped: area.bytes("Swap"),
      huge: area.bytes("FilePmdMapped"),
    };
  };
  for (const mode of ["r", "r+", "c"] as const) {
    test(`says what smaps says, mode "${mode}"`, { skip }, () => {
      using dir = tempDir();
      using map = MemoryMap.open(dir.file("data", pattern(64 * page)), { mode });
      assertEquals(map.stats(), fromSmaps(map));
      assertEquals(map.stats().mapped, 64 * page);
      map.prefault(0, 32 * page);
      assertEquals(map.stats(), fromSmaps(map));
      assert(map.stats().resident >= 32 * page);
      if (mode === "c") map.fill(1, 5 * page, 3 * page);
      if (mode === "r+") map.fill(1);
      assertEquals(map.stats(), fromSmaps(map));
    });
  }
  test(
    "has nothing resident before a page is touched",
    { skip: firstReason(skip, skipInMemory) },
    () => {
      using dir = tempDir();
      using map = MemoryMap.open(sparseFile(dir.file("data"), 64 * page), { access: "random" });
      assertEquals(map.stats().resident, 0);
      map.read(1, 30 * page);
      assert(map.stats().resident >= page);
    },
  );
  test("counts as shared what a second map has, too", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(64 * page));
    using map = MemoryMap.open(path);
    map.prefault();
    assertEquals(map.stats().shared, 0);
    using second = MemoryMap.open(path, { size: 16 * page });
    second.prefault();
    const { shared, resident } = map.stats();
    assertEquals(resident, 64 * page);
    assert(shared >= 16 * page, `${shared} bytes shared`);
    assertEquals(second.stats().shared, 16 * page);
  });
  test("that starts inside a page counts the pages that it touches", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(8 * page));
    using map = MemoryMap.open(path, { offset: page - 1, size: page + 2 });
    assertEquals(map.stats().mapped, 3 * page);
  });
  test("that is empty has nothing", { skip }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""));
    assertEquals(map.stats(), { mapped: 0, resident: 0, shared: 0, swapped: 0, huge: 0 });
  });
});

test("MemoryMap.stats() of shared anonymous memory and of a memfd", { skip }, () => {
  using anonymous = MemoryMap.createAnonymous(16 * page, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  using memfd = MemoryMap.createMemfd(16 * page);
  for (const map of [anonymous, memfd]) {
    assertEquals([map.stats().mapped, map.stats().resident], [16 * page, 0]);
    map.fill(1, 0, 3 * page);
    assertEquals([map.stats().mapped, map.stats().resident], [16 * page, 3 * page]);
  }
});

test("MemoryMap.stats() refuses a closed map", { skip }, () => {
  const map = MemoryMap.createAnonymous(page);
  map.close();
  assertRefused(() => map.stats(), MMapClosedError, "closed");
});
