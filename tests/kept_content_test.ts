/**
 * Systems whose MADV_DONTNEED keeps what was written, as macOS: `discard()` and `punchHole()` lose it all
 * the same. The platform is the real one, without an effect of that advice.
 */
import fs from "node:fs";
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { hostConstants, platform } from "../src/ffi/host.ts";
import type { Platform } from "../src/ffi/platform.ts";
import { Mapping } from "../src/mapping.ts";
import { discard, punchHole } from "../src/paging.ts";
import { fileBytes, pattern, type Skip, tempDir } from "./helpers.ts";
import { hasFlag, skipOutsideLinux } from "./helpers_paging.ts";
import { skipWithoutAdvice } from "./capabilities.ts";

const { PROT_READ, PROT_WRITE, MAP_ANONYMOUS, MAP_PRIVATE, MADV_DONTNEED } = hostConstants;
const READ_WRITE = PROT_READ | PROT_WRITE;

const real = platform();
const skip: Skip = real.mapOver === undefined ? "needs to map over pages" : false;
const page = real.pageSize;
const keeping: Platform = {
  ...real,
  dontNeedDrops: false,
  advise(address, length, advice): void {
    if (advice !== MADV_DONTNEED) real.advise(address, length, advice);
  },
};

/** A private mapping, of a file if there is one, closed at the end of the block. */
function mapped(size: number, path?: string, offset = 0): Disposable & { readonly map: Mapping } {
  const fd = path === undefined ? -1 : fs.openSync(path, "r+");
  const map = new Mapping("Cannot map", {
    platform: keeping,
    size,
    prot: READ_WRITE,
    flags: path === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE,
    file: path === undefined ? undefined : { fd, close: () => fs.closeSync(fd) },
    offset,
  }, {});
  return { map, [Symbol.dispose]: () => map.close() };
}

const bytesOf = (map: Mapping): Uint8Array => Uint8Array.from(map.range(0, map.size));

describe("where MADV_DONTNEED keeps content, discard()", { skip }, () => {
  test("of anonymous memory reads as zeros, whole pages only", () => {
    using held = mapped(5 * page + 10);
    const expected = new Uint8Array(held.map.size).fill(1);
    for (const [offset, length] of [[1, page], [page, 2 * page], [4 * page - 1, page + 11]]) {
      held.map.range(0, held.map.size).fill(1);
      discard(held.map, offset!, length!);
      expected.fill(1);
      if (offset === page) expected.fill(0, page, 3 * page);
      if (offset! > page) expected.fill(0, 4 * page);
      assertEquals(bytesOf(held.map), expected, `${length} bytes at ${offset}`);
    }
  });

  test("of a copy-on-write map shows the file again, wherever the map starts", () => {
    using dir = tempDir();
    const content = pattern(5 * page);
    const path = dir.file("data", content);
    for (const offset of [0, 100, page + 1]) {
      using held = mapped(content.length - offset, path, offset);
      held.map.range(0, held.map.size).fill(1);
      discard(held.map, 0, held.map.size);
      assertEquals(bytesOf(held.map), new Uint8Array(content.subarray(offset)));
    }
    assertEquals(fileBytes(path), new Uint8Array(content));
  });

  test("keeps protections", () => {
    using held = mapped(8 * page);
    held.map.range(0, held.map.size).fill(1);
    held.map.protect(PROT_READ, page, page);
    const before = held.map.segments(0, held.map.size);
    discard(held.map, 0, held.map.size);
    assertEquals(held.map.segments(0, held.map.size), before);
    held.map.protect(READ_WRITE, page, page);
    assertEquals(bytesOf(held.map).every((byte) => byte === 0), true);
  });

  test("leaves the map of a file out of child processes, as it was", {
    skip: skipOutsideLinux || skipWithoutAdvice,
  }, () => {
    using dir = tempDir();
    using held = mapped(4 * page, dir.file("data", pattern(4 * page)));
    discard(held.map, page, page);
    assertEquals(hasFlag(held.map.addr + BigInt(page), "dc"), true);
  });
});

test("where MADV_DONTNEED keeps content, punchHole() of anonymous memory reads as zeros", {
  skip,
}, () => {
  using held = mapped(5 * page);
  held.map.range(0, held.map.size).fill(1);
  punchHole(held.map, page - 1, 3 * page);
  const expected = new Uint8Array(5 * page).fill(1).fill(0, page - 1, 4 * page - 1);
  assertEquals(bytesOf(held.map), expected);
});
