/** `MemoryMap.open()` with `truncateOnClose`: written in whole pages, ended at the exact size. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  MemoryMap,
  MMapAllocationError,
  MMapError,
  MMapInvalidParameterError,
  pageSize,
} from "../mod.ts";
import {
  assertRefused,
  descriptorsOf,
  fileBytes,
  firstReason,
  fixtureResult,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";

const page = pageSize();

describe("MemoryMap.open() with truncateOnClose", () => {
  for (const size of [0, 1, 5, page - 1, page, page + 1, 4 * page - 1, 4 * page]) {
    test(`cuts a new file to ${size} bytes`, () => {
      using dir = tempDir();
      const path = dir.file("data");
      const map = MemoryMap.open(path, { mode: "w+", size: 4 * page, truncateOnClose: size });
      map.fill(1);
      assertEquals(fs.statSync(path).size, 4 * page);
      map.close();
      assertEquals(fileBytes(path), new Uint8Array(size).fill(1));
    });
  }
  test('cuts a file that was there, mode "r+"', () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    {
      using map = MemoryMap.open(path, { mode: "r+", size: page, truncateOnClose: 13 });
      map.write("abc", 10);
    }
    assertEquals(fs.readFileSync(path, "utf8"), "0123456789abc");
  });
  test("counts from the start of the file, not of the map", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    {
      using map = MemoryMap.open(path, {
        mode: "r+",
        offset: 5,
        size: page,
        truncateOnClose: 7,
      });
      map.write("abc");
    }
    assertEquals(fs.readFileSync(path, "utf8"), "01234ab");
  });
  test("makes a file longer, too, with zeros", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123");
    MemoryMap.open(path, { mode: "r+", truncateOnClose: 6 }).close();
    assertEquals(fs.readFileSync(path, "utf8"), "0123\0\0");
  });
  test("holds after resize()", () => {
    using dir = tempDir();
    const path = dir.file("data");
    const map = MemoryMap.open(path, { mode: "w+", size: page, truncateOnClose: 3 * page + 5 });
    map.resize(10 * page);
    map.fill(2);
    map.close();
    assertEquals(fileBytes(path), new Uint8Array(3 * page + 5).fill(2));
  });
  test("acts once: close() a second time leaves the file alone", () => {
    using dir = tempDir();
    const path = dir.file("data");
    const map = MemoryMap.open(path, { mode: "w+", size: page, truncateOnClose: 3 });
    map.close();
    fs.writeFileSync(path, "written afterwards");
    map.close();
    assertEquals(fs.readFileSync(path, "utf8"), "written afterwards");
  });
  test("acts although a buffer was transferred away", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const path = dir.file("data");
    const map = MemoryMap.open(path, { mode: "w+", size: page, truncateOnClose: 3 });
    map.write("abcdef");
    const elsewhere = new Uint8Array((map.buffer as ArrayBuffer).transfer());
    map.close();
    assertEquals(fs.readFileSync(path, "utf8"), "abc");
    assertEquals(elsewhere.length, page);
    elsewhere.fill(9); // harmless: the pages are no longer the file's
    assertEquals(fs.readFileSync(path, "utf8"), "abc");
    assertEquals(descriptorsOf(path), []);
  });
  test("acts with unmapRange() before", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const path = dir.file("data");
    const map = MemoryMap.open(path, { mode: "w+", size: 4 * page, truncateOnClose: page + 1 });
    map.fill(3);
    map.unmapRange(page, 3 * page);
    map.close();
    assertEquals(fileBytes(path), new Uint8Array(page + 1).fill(3));
  });
  test("leaves a file alone that could not be opened as asked", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    assertRefused(
      () => MemoryMap.open(path, { mode: "r+", offset: 100, truncateOnClose: 3 }),
      MMapInvalidParameterError,
    );
    assertEquals(fs.readFileSync(path, "utf8"), "0123456789");
  });
  test("is off by default", () => {
    using dir = tempDir();
    const path = dir.file("data");
    MemoryMap.open(path, { mode: "w+", size: page + 1 }).close();
    assertEquals(fs.statSync(path).size, page + 1);
  });
  test("acts when an operation in the background is over, if close() came first", async () => {
    using dir = tempDir();
    const path = dir.file("data");
    const size = 64 << 20;
    const map = MemoryMap.open(path, { mode: "w+", size, truncateOnClose: 3 });
    map.write("abcdef");
    const flushing = map.msyncAsync().then(() => undefined, (error: unknown) => error);
    map.close();
    const error = await flushing;
    assert(error === undefined || error instanceof MMapError, String(error));
    assertEquals(fs.readFileSync(path, "utf8"), "abc");
  });
  test("acts when the map is collected unclosed", {
    skip: firstReason(skipWithoutProc, skipWithoutChildren()),
  }, async () => {
    using dir = tempDir();
    const path = dir.file("data");
    const { size } = await fixtureResult<{ size: number }>("paging_collected.ts", {
      args: [path, "12345", "67"],
    });
    assertEquals(size, 67);
  });
  for (const shares of [false, true]) {
    test(`tells of a file that cannot be cut, and gives all back: ${shares ? "" : "not "}shared`, {
      skip: skipWithoutProc,
    }, () => {
      using memory = MemoryMap.createMemfd(page); // sealed: it does not get smaller
      const path = `/proc/self/fd/${memory.fd}`;
      const target = fs.readlinkSync(path);
      const before = descriptorsOf(target).length;
      const map = MemoryMap.open(path, { mode: "r+", truncateOnClose: 3 });
      if (shares) map.share();
      const error = assertRefused(
        () => map.close(),
        MMapAllocationError,
        "3 bytes",
        "sealed",
      );
      assertEquals(error.code, "EPERM");
      assert(!map.isValid);
      map.close();
      assertEquals(descriptorsOf(target).length, before);
    });
  }
  test("refuses what is no regular file", { skip: skipOnWindows }, () => {
    assertRefused(
      () => MemoryMap.open("/dev/zero", { mode: "r+", size: page, truncateOnClose: 0 }),
      MMapInvalidParameterError,
      "truncateOnClose",
      "regular file",
    );
    assertEquals(skipWithoutProc ? [] : descriptorsOf("/dev/zero"), []);
  });
  test("goes on when the file of a collected map cannot be cut", {
    skip: firstReason(skipWithoutProc, skipWithoutChildren()),
  }, async () => {
    const { held } = await fixtureResult<{ held: number }>("paging_collected_sealed.ts");
    assertEquals(held, 0);
  });
  for (const size of [-1, 1.5, NaN, Infinity, 2 ** 53, "5", null]) {
    test(`refuses ${typeof size} ${size}, and leaves the file alone`, () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      for (const mode of ["r+", "w+"] as const) {
        assertRefused(
          () => MemoryMap.open(path, { mode, size: page, truncateOnClose: size as number }),
          MMapInvalidParameterError,
          String(size),
        );
      }
      assertEquals(fileBytes(path), utf8("content"));
    });
  }
  for (const mode of ["r", "c"] as const) {
    test(`needs a mode that writes: not "${mode}"`, () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      assertRefused(
        () => MemoryMap.open(path, { mode, truncateOnClose: 3 }),
        MMapInvalidParameterError,
        "truncateOnClose",
        `"${mode}"`,
        '"w+"',
      );
      assertEquals(fs.readFileSync(path, "utf8"), "content");
    });
  }
});
