/** `MemoryMap.msync()`: its flags and ranges, and the file read again. */
import fs from "node:fs";
import os from "node:os";
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  MemoryMap,
  MMapInvalidParameterError,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
  pageSize,
  PROT_READ,
} from "../mod.ts";
import {
  assertRefused,
  fileBytes,
  firstReason,
  mappingsOf,
  pattern,
  skipEmulated,
  skipWithoutProc,
  smapsField,
  tempDir,
  utf8,
} from "./helpers.ts";

const page = pageSize();

describe("MemoryMap.msync() writes back with", () => {
  const flags: [string, number | undefined][] = [
    ["MS_SYNC by default", undefined],
    ["MS_SYNC", MS_SYNC],
    ["MS_ASYNC", MS_ASYNC],
    ["MS_SYNC and MS_INVALIDATE", MS_SYNC | MS_INVALIDATE],
    ["MS_ASYNC and MS_INVALIDATE", MS_ASYNC | MS_INVALIDATE],
    ["MS_INVALIDATE alone", MS_INVALIDATE],
    ["no flag", 0],
  ];
  for (const [name, value] of flags) {
    test(name, () => {
      using dir = tempDir();
      const path = dir.file("data", new Uint8Array(3 * page));
      using map = MemoryMap.open(path, { mode: "r+" });
      map.write(pattern(3 * page));
      assertEquals(map.msync(value), undefined);
      assertEquals(fileBytes(path), pattern(3 * page));
    });
  }
});

describe("MemoryMap.msync() of a range", () => {
  test("takes any offset and length", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(3 * page + 5));
    using map = MemoryMap.open(path, { mode: "r+", offset: 5 });
    map.write(pattern(3 * page));
    const ranges = [[0, 1], [1, 1], [page - 6, 2], [page, page], [17, 2 * page], [3 * page - 1, 1]];
    for (const [offset, length] of ranges) map.msync(MS_SYNC, offset, length);
    assertEquals(fileBytes(path).slice(5), pattern(3 * page));
  });
  test("goes to the end of the map without a length", () => {
    using map = MemoryMap.createAnonymous(3 * page);
    map.msync(MS_SYNC, 5);
    map.msync(MS_SYNC, 3 * page);
  });
  test("of no bytes does nothing", () => {
    using map = MemoryMap.createAnonymous(page);
    map.msync(MS_SYNC, 7, 0);
    map.msync(MS_SYNC, page, 0);
  });
  test("refuses to end past the map", () => {
    using map = MemoryMap.createAnonymous(4096);
    assertRefused(
      () => map.msync(MS_SYNC, 4090, 10),
      MMapInvalidParameterError,
      "flush 10 bytes at offset 4090",
      "map has 4096 bytes",
    );
    assertRefused(() => map.msync(MS_SYNC, 4097), MMapInvalidParameterError, "4097");
  });
});

const TMPFS_MAGIC = 0x01021994;
const skipInMemory = fs.statfsSync(os.tmpdir()).type === TMPFS_MAGIC
  ? "needs a temporary folder on a disk: pages of a file system in memory are never clean"
  : false;

test("MemoryMap.msync() leaves no page of the range dirty", {
  skip: firstReason(skipWithoutProc, skipInMemory, skipEmulated),
}, () => {
  using dir = tempDir();
  const path = dir.file("data", new Uint8Array(64 * page));
  using map = MemoryMap.open(path, { mode: "r+" });
  const dirty = () => {
    const { start } = mappingsOf(path)[0]!;
    const fields = ["Shared_Dirty", "Private_Dirty"];
    return fields.reduce((sum, field) => sum + parseInt(smapsField(start, field) ?? "NaN"), 0);
  };
  map.msync();
  assertEquals(dirty(), 0);
  map.write(new Uint8Array(64 * page).fill(1));
  assertEquals(dirty() * 1024, 64 * page);
  map.msync(MS_SYNC, 60 * page, 4 * page);
  assertEquals(dirty() * 1024 <= 60 * page, true);
  map.msync(MS_SYNC);
  assertEquals(dirty(), 0);
});

test("MemoryMap.msync() of a read-only map is allowed", () => {
  using dir = tempDir();
  using map = MemoryMap.open(dir.file("data", "content"));
  map.msync();
  map.msync(MS_ASYNC);
});

test("MemoryMap.msync() of a copy-on-write map writes nothing to the file", () => {
  using dir = tempDir();
  const path = dir.file("data", "original");
  using map = MemoryMap.open(path, { mode: "c" });
  map.write("CHANGED!");
  map.msync();
  assertEquals(fileBytes(path), utf8("original"));
});

test("MemoryMap.msync() of anonymous memory does nothing", () => {
  using map = MemoryMap.createAnonymous(page);
  map.write("content");
  map.msync();
  assertEquals(map.read(7), utf8("content"));
});

test("MemoryMap.msync() flushes pages that were made read-only after writing", () => {
  using dir = tempDir();
  const path = dir.file("data", "original");
  using map = MemoryMap.open(path, { mode: "r+" });
  map.write("CHANGED!");
  map.mprotect(PROT_READ);
  map.msync();
  assertEquals(fileBytes(path), utf8("CHANGED!"));
});

test("MemoryMap.msync() refuses unknown and contradictory flags", () => {
  using map = MemoryMap.createAnonymous(page);
  for (const flags of [MS_SYNC | 64, -1, 0.5, NaN, 2 ** 32, 2 ** 40, "4", null]) {
    assertRefused(
      () => map.msync(flags as number),
      MMapInvalidParameterError,
      String(flags),
      "MS_SYNC or MS_ASYNC",
      "MS_INVALIDATE",
    );
  }
  assertRefused(
    () => map.msync(MS_SYNC | MS_ASYNC),
    MMapInvalidParameterError,
    "MS_SYNC",
    "MS_ASYNC",
  );
});
