import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  MemoryMap,
  MMapClosedError,
  MMapFaultError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_NONE,
} from "../mod.ts";
import { guardStatus } from "../src/guard/mod.ts";
import {
  assertRefused,
  firstReason,
  pattern,
  random,
  skipWithoutCommands,
  type TempDir,
  tempDir,
} from "./helpers.ts";
import { pagesIn, pause, skipInMemory, skipOutsideLinux } from "./helpers_paging.ts";

const page = pageSize();
const skip = firstReason(skipOutsideLinux, skipInMemory, skipWithoutCommands("python3"));
const skipUnguarded = guardStatus().active ? false : "needs the fault guard";

/** Writes a file to the disk and takes it out of the page cache. */
const EVICT = `
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
`;

/** A map of a file of 64 pages, none of which is in memory. */
function coldMap(dir: TempDir): MemoryMap {
  const path = dir.file("data", pattern(64 * page));
  execFileSync("python3", ["-c", EVICT, path]);
  return MemoryMap.open(path, { access: "random" });
}

describe("MemoryMap.prefetch()", () => {
  test("brings the pages asked for into memory, and no others", { skip }, async () => {
    using dir = tempDir();
    using map = coldMap(dir);
    assertEquals(pagesIn(map), ".".repeat(64));
    map.prefetch([3 * page + 1, 40 * page - 1, 63 * page], 2);
    const expected = [3, 39, 40, 63];
    for (let tries = 0; tries < 200 && pagesIn(map).split("#").length <= 4; tries++) await pause(5);
    const present = [...pagesIn(map)].flatMap((one, i) => one === "#" ? [i] : []);
    assertEquals(present, expected);
  });

  test("of nothing does nothing", () => {
    using map = MemoryMap.createAnonymous(page);
    map.prefetch([], 4096);
    map.prefetch([0, page], 0);
  });

  test("refuses what is not in the map before anything is started", { skip }, () => {
    using dir = tempDir();
    using map = coldMap(dir);
    assertRefused(
      () => map.prefetch([0, 64 * page - 1], 2),
      MMapInvalidParameterError,
      `Cannot prefetch 2 bytes at offset ${64 * page - 1}: map has ${64 * page} bytes`,
    );
    assertEquals(pagesIn(map), ".".repeat(64));
  });

  for (const offset of [NaN, 0.5, -1, 2 ** 53, 0n, Symbol("offset"), {}]) {
    test(`refuses the offset ${String(offset)}`, () => {
      using map = MemoryMap.createAnonymous(page);
      const offsets = [0, offset] as number[];
      assertRefused(() => map.prefetch(offsets, 1), MMapInvalidParameterError);
      assertRefused(() => map.readMany(offsets, 1, new Uint8Array(9)), MMapInvalidParameterError);
    });
  }

  test("refuses what is no array", () => {
    using map = MemoryMap.createAnonymous(page);
    const none = null as unknown as number[];
    assertRefused(() => map.prefetch(none, 1), MMapInvalidParameterError, "array of numbers");
  });
});

describe("MemoryMap.readMany()", () => {
  test("copies the ranges in the order of the offsets", () => {
    using dir = tempDir();
    const content = pattern(256 * 1024);
    using map = MemoryMap.open(dir.file("data", content));
    const next = random(5);
    for (const length of [1, 5, 64, 4096, 5000]) {
      const offsets = Array.from(
        { length: 3000 },
        () => Math.floor(next() * (content.length - length)),
      );
      const target = new Uint8Array(offsets.length * length + 3).fill(255);
      assertEquals(map.readMany(offsets, length, target), offsets.length * length);
      for (let i = 0; i < offsets.length; i++) {
        const copy = target.subarray(i * length, (i + 1) * length);
        const original = content.subarray(offsets[i], offsets[i]! + length);
        assertEquals(Buffer.compare(copy, original), 0, `range ${i}`);
      }
      assertEquals(target.subarray(-3), new Uint8Array(3).fill(255));
    }
  });

  test("fills any view", () => {
    using map = MemoryMap.createAnonymous(page);
    map.write(new Float64Array([1, 2, 3]));
    const target = new Float64Array(2);
    map.readMany(new Uint16Array([16, 0]), 8, target);
    assertEquals(target, new Float64Array([3, 1]));
    const view = new DataView(new ArrayBuffer(9), 1);
    map.readMany([8], 8, view);
    assertEquals(view.getFloat64(0, true), 2);
  });

  test("refuses a view that is too small, and copies nothing", () => {
    using map = MemoryMap.createAnonymous(page);
    map.fill(1);
    const target = new Uint8Array(7);
    assertRefused(
      () => map.readMany([0, 4], 4, target),
      MMapInvalidParameterError,
      "2 ranges of 4 bytes into 7 bytes: give a view of at least 8",
    );
    assertEquals(target, new Uint8Array(7));
  });

  test("refuses parts that may not be read", () => {
    using map = MemoryMap.createAnonymous(2 * page);
    map.mprotect(PROT_NONE, page, page);
    const read = () => map.readMany([0, page - 1], 2, new Uint8Array(4));
    assertRefused(read, MMapProtectionError);
  });

  test("is refused when an offset closes the map", () => {
    using map = MemoryMap.createAnonymous(page);
    const offsets = [0, {
      valueOf() {
        map.close();
        return 1;
      },
    }] as number[];
    assertRefused(() => map.readMany(offsets, 1, new Uint8Array(2)), MMapClosedError);
  });

  test("tells of a page that is gone", { skip: skipUnguarded }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(4 * page));
    using map = MemoryMap.open(path);
    fs.truncateSync(path, 2 * page);
    const error = assertRefused(
      () => map.readMany([0, 3 * page], 8, new Uint8Array(16)),
      MMapFaultError,
    );
    assert(error.offset >= 3 * page && error.offset < 4 * page);
  });
});
