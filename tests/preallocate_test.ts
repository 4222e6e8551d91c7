/** `MemoryMap.open()` with `preallocate`: blocks on the disk before anything is mapped, or an error. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  MemoryMap,
  MMapAllocationError,
  MMapInvalidParameterError,
  type OpenOptions,
  pageSize,
} from "../mod.ts";
import {
  assertRefused,
  descriptorsOf,
  fileBytes,
  firstReason,
  mappingsOf,
  pattern,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";
import {
  allocatedBytes,
  mountTmpfs,
  skipInMemory,
  skipOutsideLinux,
  skipWithoutMount,
  sparseFile,
} from "./helpers_paging.ts";

const page = pageSize();
const MiB = 1 << 20;
const skip = firstReason(skipOutsideLinux, skipInMemory);
const skipFull = firstReason(skipOutsideLinux, skipWithoutProc, skipWithoutMount());

/** `open` and `openAsync` promise the same. */
const openers: [string, (path: string, options: OpenOptions) => Promise<MemoryMap>][] = [
  // deno-lint-ignore require-await -- an error becomes a rejection, as the other's
  ["open()", async (path, options) => MemoryMap.open(path, options)],
  ["openAsync()", (path, options) => MemoryMap.openAsync(path, options)],
];

for (const [name, open] of openers) {
  describe(`MemoryMap.${name} with preallocate`, () => {
    test('gives a new file all its blocks, mode "w+"', { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data");
      using map = await open(path, { mode: "w+", size: 5 * MiB + 7, preallocate: true });
      assertEquals([map.size, fs.statSync(path).size], [5 * MiB + 7, 5 * MiB + 7]);
      assert(allocatedBytes(path) >= 5 * MiB + 7);
      assertEquals(map.count(0), 5 * MiB + 7);
    });
    test("and without it none", { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data");
      using _map = await open(path, { mode: "w+", size: 5 * MiB, preallocate: false });
      assertEquals(allocatedBytes(path), 0);
    });
    test('empties a file first, mode "w+"', { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data", pattern(3 * MiB));
      using map = await open(path, { mode: "w+", size: MiB, preallocate: true });
      assertEquals([map.count(0), fs.statSync(path).size], [MiB, MiB]);
      assert(allocatedBytes(path) >= MiB);
    });
    test('makes a file grow, and keeps its content, mode "r+"', { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data", pattern(1000));
      using map = await open(path, { mode: "r+", size: 3 * MiB, preallocate: true });
      assertEquals([map.size, fs.statSync(path).size], [3 * MiB, 3 * MiB]);
      assert(allocatedBytes(path) >= 3 * MiB);
      assertEquals(map.read(1000), pattern(1000));
      assertEquals(map.count(0, 1000), 3 * MiB - 1000);
    });
    test('fills the holes of a file, mode "r+"', { skip }, async () => {
      using dir = tempDir();
      const path = sparseFile(dir.file("data"), 2 * MiB, { [MiB]: "kept" });
      assert(allocatedBytes(path) < MiB);
      using map = await open(path, { mode: "r+", preallocate: true });
      assert(allocatedBytes(path) >= 2 * MiB);
      assertEquals(new TextDecoder().decode(map.read(4, MiB)), "kept");
      assertEquals(fs.statSync(path).size, 2 * MiB);
    });
    test("fills only the range that is mapped", { skip }, async () => {
      using dir = tempDir();
      const path = sparseFile(dir.file("data"), 16 * MiB);
      const options = { offset: 4 * MiB, size: MiB, preallocate: true };
      using _map = await open(path, { mode: "r+", ...options });
      const bytes = allocatedBytes(path);
      assert(bytes >= MiB && bytes < 2 * MiB, `${bytes} bytes have blocks`);
      assertEquals(fs.statSync(path).size, 16 * MiB);
    });
    test("of an empty file", { skip: skipOutsideLinux }, async () => {
      using dir = tempDir();
      const path = dir.file("empty", "");
      using map = await open(path, { mode: "r+", preallocate: true });
      assertEquals([map.size, fs.statSync(path).size], [0, 0]);
    });
    test("lets no later write fail for want of a block", { skip: skipFull }, async () => {
      using disk = mountTmpfs(2 * MiB);
      const path = disk.file("data");
      using map = await open(path, { mode: "w+", size: MiB, preallocate: true });
      try {
        disk.file("rest", new Uint8Array(4 * MiB));
      } catch (error) {
        assertEquals((error as { code: string }).code, "ENOSPC");
      }
      map.fill(7); // would end the process if a block were missing
      assertEquals(fileBytes(path), new Uint8Array(MiB).fill(7));
    });
    test("on a disk without room is an error before anything is mapped", {
      skip: skipFull,
    }, async () => {
      using disk = mountTmpfs(MiB);
      const path = disk.file("data");
      const error = await open(path, { mode: "w+", size: 4 * MiB, preallocate: true })
        .then(() => undefined, (error: unknown) => error);
      assertRefused(
        () => {
          throw error;
        },
        MMapAllocationError,
        `Cannot preallocate ${4 * MiB} bytes`,
        path,
        "ENOSPC",
      );
      const { code, errno, syscall } = error as MMapAllocationError;
      assertEquals([code, errno, syscall], ["ENOSPC", 28, "posix_fallocate"]);
      assertEquals([mappingsOf(path).length, descriptorsOf(path).length], [0, 0]);
      assertEquals(fs.existsSync(path) ? allocatedBytes(path) : 0, 0);
    });
    test('on a disk without room gives the file its size back, mode "r+"', {
      skip: skipFull,
    }, async () => {
      using disk = mountTmpfs(MiB);
      const path = disk.file("data", "content");
      for (const offset of [0, 3, 2 * page, 10 * MiB]) {
        const options = { offset, size: 4 * MiB, preallocate: true };
        const error = await open(path, { mode: "r+", ...options })
          .then(() => undefined, (error: unknown) => error);
        assert(error instanceof MMapAllocationError, String(error));
        assertEquals(error.code, "ENOSPC");
        assertEquals(fs.readFileSync(path, "utf8"), "content");
        assertEquals([mappingsOf(path).length, descriptorsOf(path).length], [0, 0]);
      }
      using map = await open(path, { mode: "r+", size: MiB / 2, preallocate: true });
      assertEquals(map.size, MiB / 2);
    });
    test('on a disk without room loses nothing, mode "w+"', { skip: skipFull }, async () => {
      using disk = mountTmpfs(MiB);
      for (const content of ["content", "x".repeat(MiB / 2)]) {
        const path = disk.file("data", content);
        for (const offset of [0, 3, 2 * page, 10 * MiB]) {
          const options = { offset, size: 4 * MiB, preallocate: true };
          const error = await open(path, { mode: "w+", ...options })
            .then(() => undefined, (error: unknown) => error);
          assert(error instanceof MMapAllocationError, String(error));
          assertEquals(error.code, "ENOSPC");
          assertEquals(fs.readFileSync(path, "utf8"), content);
          assertEquals([mappingsOf(path).length, descriptorsOf(path).length], [0, 0]);
        }
      }
      using map = await open(disk.file("data"), { mode: "w+", size: MiB / 2, preallocate: true });
      assertEquals(map.read(map.size), new Uint8Array(MiB / 2));
    });
    test("past the limit of file sizes is an error", { skip: skipOutsideLinux }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      const error = await open(path, { mode: "r+", size: 2 ** 52, preallocate: true })
        .then(() => undefined, (error: unknown) => error);
      assert(error instanceof MMapAllocationError, String(error));
      assert(["EFBIG", "ENOSPC"].includes(error.code ?? ""), error.message);
      assertEquals(fs.readFileSync(path, "utf8"), "content");
    });
    for (const mode of ["r", "c"] as const) {
      test(`needs a mode that writes: not "${mode}"`, async () => {
        using dir = tempDir();
        const path = dir.file("data", "content");
        const error = await open(path, { mode, preallocate: true })
          .then(() => undefined, (error: unknown) => error);
        assertRefused(
          () => {
            throw error;
          },
          MMapInvalidParameterError,
          "preallocate",
          `"${mode}"`,
          '"w+"',
        );
      });
    }
  });
}

test("MemoryMap.openAsync() with preallocate may be aborted, and the file is as before", {
  skip,
}, async () => {
  using dir = tempDir();
  const path = dir.file("data", "content");
  const aborter = new AbortController();
  const opening = MemoryMap.openAsync(path, {
    mode: "r+",
    size: 2 ** 33,
    preallocate: true,
    signal: aborter.signal,
  });
  aborter.abort(new Error("enough"));
  const error = await opening.then(() => undefined, (error: Error) => error);
  assertEquals(error?.message, "enough");
  assertEquals(fs.readFileSync(path, "utf8"), "content");
  assertEquals(descriptorsOf(path), []);
});
