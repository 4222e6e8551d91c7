/** Which maps a child process made by fork() would get, as VmFlags of `/proc/self/smaps` says. */
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MAP_ANONYMOUS,
  MAP_SHARED,
  MemoryMap,
  type OpenOptions,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import { firstReason, openFd, skipWithoutProc, tempDir } from "./helpers.ts";
import { hasFlag, skipOutsideLinux } from "./helpers_paging.ts";

const page = pageSize();
const skip = firstReason(skipOutsideLinux, skipWithoutProc, skipWithoutAdvice);

/** Whether fork() leaves the page at an offset out. */
const leftOut = (map: MemoryMap, offset = 0) => hasFlag(map.addr + BigInt(offset), "dc");

describe("fork() leaves out", () => {
  const modes: OpenOptions[] = [
    { mode: "r" },
    { mode: "r+" },
    { mode: "c" },
    { mode: "w+", size: 4 * page },
    { mode: "r", inherit: false },
    { mode: "r", offset: 100 },
  ];
  for (const options of modes) {
    test(`a map opened with ${JSON.stringify(options)}`, { skip }, () => {
      using dir = tempDir();
      using map = MemoryMap.open(dir.file("data", new Uint8Array(4 * page)), options);
      assertEquals([leftOut(map), leftOut(map, map.size - 1)], [true, true]);
    });
  }
  test("a map of openAsync()", { skip }, async () => {
    using dir = tempDir();
    using map = await MemoryMap.openAsync(dir.file("data", new Uint8Array(page)));
    assertEquals(leftOut(map), true);
  });
  test("a map of a descriptor", { skip }, () => {
    using dir = tempDir();
    using file = openFd(dir.file("data", new Uint8Array(page)), "r");
    using map = MemoryMap.createFileMapping(file.fd, 0, page, PROT_READ);
    assertEquals(leftOut(map), true);
  });
  test("a file's map after it has grown and shrunk", { skip }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", new Uint8Array(page)), { mode: "r+" });
    for (const size of [1000 * page, 3 * page]) {
      map.resize(size);
      assertEquals([leftOut(map), leftOut(map, size - 1)], [true, true]);
    }
  });
  test("what the advice says", { skip }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.madvise(MADV_DONTFORK, page, page);
    assertEquals([leftOut(map), leftOut(map, page), leftOut(map, 2 * page)], [false, true, false]);
  });
});

describe("fork() copies", () => {
  for (const mode of ["r", "r+", "c"] as const) {
    test(`a map opened with inherit and mode "${mode}"`, { skip }, () => {
      using dir = tempDir();
      const path = dir.file("data", new Uint8Array(4 * page));
      using map = MemoryMap.open(path, { mode, inherit: true });
      assertEquals([leftOut(map), leftOut(map, map.size - 1)], [false, false]);
    });
  }
  test("a map opened with inherit, after it has grown", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path, { mode: "r+", inherit: true });
    map.resize(1000 * page);
    assertEquals([leftOut(map), leftOut(map, 999 * page)], [false, false]);
  });
  test("anonymous memory", { skip }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    using shared = MemoryMap.createAnonymous(
      4 * page,
      PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_ANONYMOUS,
    );
    assertEquals([leftOut(map), leftOut(shared)], [false, false]);
  });
  test("a file's map once the advice says so", { skip }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", new Uint8Array(4 * page)));
    map.madvise(MADV_DOFORK, page, page);
    assertEquals([leftOut(map), leftOut(map, page), leftOut(map, 2 * page)], [true, false, true]);
  });
});
