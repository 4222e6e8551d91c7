/** Sparse files: 24 GiB without blocks, and files bigger than memory. */
import { describe, test } from "node:test";
import fs from "node:fs";
import os from "node:os";
import { assert, assertEquals } from "@std/assert";
import { MemoryMap, MMapInvalidParameterError, pageSize } from "../mod.ts";
import { assertRefused, maxBufferLength, pattern, tempDir, utf8 } from "./helpers.ts";
import { allocatedBytes, skipInMemory, skipOutsideLinux, sparseFile } from "./helpers_paging.ts";

const page = pageSize();
const GiB = 2 ** 30;
const skip = skipOutsideLinux || skipInMemory;

describe("a sparse file of 24 GiB", () => {
  test("is created without a block, and ten rows need few", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("matrix");
    const row = 1 << 20;
    {
      using map = MemoryMap.open(path, { mode: "w+", size: 24 * GiB });
      assertEquals([map.size, fs.statSync(path).size], [24 * GiB, 24 * GiB]);
      assertEquals(allocatedBytes(path), 0);
      for (let i = 0; i < 10; i++) {
        const at = i * 2.4 * GiB - (i * 2.4 * GiB) % 8;
        map.asTypedArray(Float64Array, at, row / 8).fill(i + 1);
      }
      map.msync();
    }
    assertEquals(fs.statSync(path).size, 24 * GiB);
    const bytes = allocatedBytes(path);
    assert(bytes >= 10 * row && bytes <= 11 * row, `${bytes} bytes have blocks`);
    const fd = fs.openSync(path, "r");
    try {
      const value = new Float64Array(1);
      for (let i = 0; i < 10; i++) {
        const at = i * 2.4 * GiB - (i * 2.4 * GiB) % 8;
        fs.readSync(fd, value, 0, 8, at + row - 8);
        assertEquals(value[0], i + 1);
        fs.readSync(fd, value, 0, 8, at + row);
        assertEquals(value[0], 0);
      }
    } finally {
      fs.closeSync(fd);
    }
  });
  test("takes milliseconds", { skip }, () => {
    using dir = tempDir();
    const start = performance.now();
    for (let i = 0; i < 10; i++) {
      MemoryMap.open(dir.file(`data-${i}`), { mode: "w+", size: 24 * GiB }).close();
    }
    assert(performance.now() - start < 2000);
  });
});

describe("a file bigger than memory", () => {
  const size = Math.max(64 * GiB, Math.ceil(os.totalmem() / GiB) * 2 * GiB);
  for (const mode of ["r", "r+", "c"] as const) {
    test(`can be mapped whole, and touched at its ends, mode "${mode}"`, { skip }, () => {
      using dir = tempDir();
      const path = sparseFile(dir.file("data"), size, { 0: "start", [size - 3]: "end" });
      using map = MemoryMap.open(path, { mode });
      assertEquals(map.size, size);
      assertEquals(map.read(6), utf8("start\0"));
      assertEquals(map.read(4, size - 4), utf8("\0end"));
      assertEquals(map.asTypedArray(Uint8Array, size - 3, 3), utf8("end"));
      assertEquals(map.asDataView(size - 3).getUint8(0), 101);
      assertEquals(map.find("end", size - page), size - 3);
      if (mode === "r") return;
      map.write("middle", size / 2);
      map.write("END", size - 3);
      assertEquals(map.read(6, size / 2), utf8("middle"));
      const fd = fs.openSync(path, "r");
      const seen = new Uint8Array(3);
      fs.readSync(fd, seen, 0, 3, size - 3);
      fs.closeSync(fd);
      assertEquals(seen, utf8(mode === "c" ? "end" : "END"));
      assert(allocatedBytes(path) < 1 << 20);
    });
  }
  test('can be made, mode "w+"', { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data");
    using map = MemoryMap.open(path, { mode: "w+", size });
    map.write("end", size - 3);
    map.flush(size - page);
    assertEquals(fs.statSync(path).size, size);
    assert(allocatedBytes(path) < 1 << 20);
  });
  test("grows out of a small one, and shrinks again", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", "start");
    using map = MemoryMap.open(path, { mode: "r+" });
    map.resize(size);
    map.write("end", size - 3);
    assertEquals(map.read(5), utf8("start"));
    map.resize(5);
    assertEquals(fs.readFileSync(path, "utf8"), "start");
  });
  test("is copied, compared and filled across every boundary of 1 GiB", { skip }, () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), size);
    using map = MemoryMap.open(path, { mode: "r+" });
    for (let at = GiB; at < 10 * GiB; at += GiB) {
      map.write(pattern(1000, at), at - 500);
      assertEquals(map.read(1000, at - 500), pattern(1000, at));
      map.copyWithin(at - 1500, at - 500, 1000);
      assertEquals(map.compare(pattern(1000, at), at - 1500, 0, 1000), 0);
      assertEquals(map.find(pattern(1000, at).subarray(480, 520), at - page, at + page), at - 1020);
      assertEquals(map.rfind(pattern(1000, at).subarray(500), at - page, at + page), at);
      map.fill(7, at - 1500, 2000);
      assertEquals(map.count(7, at - page, 2 * page), 2000);
      assertEquals(map.indexOfByte(7, at - page), at - 1500);
      map.punchHole(at - page, 2 * page);
      assertEquals(map.count(0, at - page, 2 * page), 2 * page);
    }
    assert(allocatedBytes(path) < 1 << 20);
  });
  test(
    "has a view of all of it where the runtime can, else an error that says how",
    { skip },
    () => {
      using dir = tempDir();
      const path = sparseFile(dir.file("data"), size, { [size - 3]: "end" });
      using map = MemoryMap.open(path);
      if (maxBufferLength >= size) assertEquals(map.bytes[size - 1], 100);
      else {
        assertRefused(
          () => map.bytes,
          MMapInvalidParameterError,
          String(maxBufferLength),
          "asTypedArray",
        );
      }
    },
  );
});
