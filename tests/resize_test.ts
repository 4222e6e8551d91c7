/** `MemoryMap.resize()`: growing and shrinking of map and file, what it keeps, what it refuses. */
import { describe, test } from "node:test";
import fc from "fast-check";
import fs from "node:fs";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  MADV_POPULATE_WRITE,
  MADV_WILLNEED,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapAllocationError,
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import {
  assertRefused,
  descriptorsOf,
  fileBytes,
  firstReason,
  fixtureResult,
  mappingAt,
  mappingsOf,
  openFd,
  pattern,
  random,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutCommands,
  skipWithoutProc,
  type TempDir,
  tempDir,
  utf8,
} from "./helpers.ts";
import { allocatedBytes, hasFlag, skipInMemory, skipOutsideLinux } from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;

/** Every kind of map that can be resized, with `size` bytes. */
const kinds: [string, (dir: TempDir, size: number) => MemoryMap, string | false][] = [
  ["anonymous memory", (_, size) => MemoryMap.createAnonymous(size), false],
  ["a memfd", (_, size) => MemoryMap.createMemfd(size), skipOutsideLinux],
  [
    'a file opened with "w+"',
    (dir, size) => MemoryMap.open(dir.file("data"), { mode: "w+", size }),
    false,
  ],
  [
    'a file opened with "r+"',
    (dir, size) => MemoryMap.open(dir.file("data", new Uint8Array(size)), { mode: "r+" }),
    false,
  ],
  [
    "a file from inside a page on",
    (dir, size) =>
      MemoryMap.open(dir.file("data", new Uint8Array(size + 100)), { mode: "r+", offset: 100 }),
    false,
  ],
  ["a file by its descriptor", (dir, size) => {
    using file = openFd(dir.file("data", new Uint8Array(size)), "r+");
    return MemoryMap.createFileMapping(file.fd, 0, size);
  }, false],
];

for (const [kind, make, skip] of kinds) {
  describe(`MemoryMap.resize() of ${kind}`, () => {
    test("grows, keeps the content and adds zeros", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, 3 * page + 7);
      map.write(pattern(3 * page + 7));
      map.resize(200 * page + 5);
      assertEquals(map.size, 200 * page + 5);
      assertEquals(map.read(3 * page + 7), pattern(3 * page + 7));
      assertEquals(map.count(0, 3 * page + 7), 197 * page - 2);
      map.write("end", 200 * page + 2);
      assertEquals(map.read(3, 200 * page + 2), utf8("end"));
    });
    test("shrinks and keeps the start", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, 20 * page);
      map.write(pattern(20 * page));
      map.resize(page + 9);
      assertEquals(map.size, page + 9);
      assertEquals(map.read(page + 9), pattern(20 * page).slice(0, page + 9));
      assertRefused(() => map.read(1, page + 9), MMapInvalidParameterError, `${page + 9}`);
      map.resize(1);
      assertEquals(map.read(1), pattern(1));
    });
    test("shows zeros where it had been cut, once it has grown again", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, 4 * page);
      map.fill(1);
      map.resize(page + 10);
      map.resize(4 * page);
      assertEquals(map.count(1, 0, page + 10), page + 10);
      assertEquals(map.count(1, page + 10), 0);
    });
    test("empties the views and gives new ones", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, 4 * page);
      map.write("content");
      for (const size of [8 * page, 2 * page, 2 * page + 1]) {
        const { bytes } = map;
        const buffer = map.buffer as ArrayBuffer;
        const numbers = map.asTypedArray(Uint16Array, 100, 5);
        const view = map.asDataView(10, 5);
        map.resize(size);
        assertEquals([bytes.length, bytes[0], numbers.length, numbers[0]], [
          0,
          undefined,
          0,
          undefined,
        ]);
        assertEquals([buffer.byteLength, buffer.detached], [0, true]);
        assertThrows(() => view.getUint8(0), TypeError);
        assertEquals(map.bytes.length, size);
        assertEquals(map.read(7), utf8("content"));
        map.bytes[size - 1] = 9;
        assertEquals(map.read(1, size - 1), Uint8Array.of(9));
      }
    });
    test("to its own size does nothing", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, 4 * page);
      const { bytes, addr } = map;
      map.resize(4 * page);
      assertEquals([bytes.length, map.addr], [4 * page, addr]);
    });
    test("gives everything back at the end", { skip: skip || skipWithoutProc }, () => {
      using dir = tempDir();
      const map = make(dir, 4 * page);
      const addresses = [map.addr];
      for (const size of [1000 * page, page, 500 * page + 3]) {
        map.resize(size);
        addresses.push(map.addr, map.addr + BigInt(size - 1));
      }
      const { addr } = map;
      map.close();
      assertEquals(mappingsOf(dir.file("data")), []);
      assertEquals(descriptorsOf(dir.file("data")), []);
      assertEquals(mappingAt(addr + BigInt(100 * page)), undefined);
    });
    test("refuses sizes that are none, and stays as it was", { skip }, () => {
      using dir = tempDir();
      using map = make(dir, page);
      map.write("kept");
      const { bytes } = map;
      assertRefused(() => map.resize(0), MMapInvalidParameterError, "at least one byte", "close()");
      for (const size of [0, -1, -page, 1.5, NaN, Infinity, 2 ** 53, "4096", null, undefined]) {
        assertRefused(
          () => map.resize(size as number),
          MMapInvalidParameterError,
          String(size),
          "size in bytes",
        );
      }
      assertEquals([map.size, bytes.length], [page, page]);
      assertEquals(map.read(4), utf8("kept"));
    });
    test("that the system refuses leaves the map usable", { skip: skip || skipOnWindows }, () => {
      using dir = tempDir();
      using map = make(dir, page);
      map.write("kept");
      const path = dir.file("data");
      const fileSize = fs.existsSync(path) ? fs.statSync(path).size : undefined;
      for (const size of [2 ** 47 - 2 ** 36, 2 ** 50]) {
        assertRefused(
          () => map.resize(size),
          MMapAllocationError,
          `Cannot resize a map from ${page} to ${size} bytes`,
        );
        assertEquals(map.size, page);
        assertEquals(map.read(4), utf8("kept"));
        assertEquals(map.bytes.length, page);
        if (fileSize !== undefined) assertEquals(fs.statSync(path).size, fileSize);
      }
      map.resize(2 * page);
      map.write("more", page);
      assertEquals(map.read(4), utf8("kept"));
    });
    test("agrees with a model through many sizes", { skip }, () => {
      const steps = fc.array(
        fc.oneof(
          fc.record({
            size: fc.oneof(
              fc.integer({ min: 1, max: 20 * page }),
              fc.integer({ min: 1, max: 40 }).map((n) => n * page),
            ),
          }),
          fc.record({ at: fc.nat(20 * page), seed: fc.nat(1000), length: fc.nat(2 * page) }),
        ),
        { minLength: 1, maxLength: 30 },
      );
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 5 * page }), steps, (start, list) => {
          using dir = tempDir();
          using map = make(dir, start);
          let model = new Uint8Array(start);
          for (const step of list) {
            if ("size" in step) {
              map.resize(step.size);
              const next = new Uint8Array(step.size);
              next.set(model.subarray(0, step.size));
              // Growth is judged by the test above: here what was never written must be zero.
              if (map.size > model.length) {
                const known = Math.min(Math.ceil(model.length / page) * page, map.size);
                map.fill(0, model.length, known - model.length);
              }
              model = next;
            } else {
              const at = Math.min(step.at, model.length);
              const data = pattern(Math.min(step.length, model.length - at), step.seed);
              map.write(data, at);
              model.set(data, at);
            }
            assertEquals(map.size, model.length);
            assertEquals(map.compare(model), 0);
          }
        }),
        { numRuns: 25, seed: 1 },
      );
    });
  });
}

describe("MemoryMap.resize() of a file", () => {
  test("makes the file as long as the map, and reads back from outside", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path, { mode: "r+" });
    map.resize(3 * page);
    map.write("far", 2 * page);
    map.msync();
    assertEquals(fs.statSync(path).size, 3 * page);
    assertEquals(fileBytes(path).slice(0, 10), utf8("0123456789"));
    assertEquals(fileBytes(path).slice(2 * page, 2 * page + 3), utf8("far"));
    map.resize(4);
    assertEquals(fs.readFileSync(path, "utf8"), "0123");
  });
  test("counts from the offset of the map", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path, { mode: "r+", offset: 4 });
    map.resize(2);
    assertEquals(fs.readFileSync(path, "utf8"), "012345");
    map.resize(5000);
    assertEquals(fs.statSync(path).size, 5004);
    assertEquals(map.read(3), utf8("45\0"));
    assertEquals(map.offset, 4);
  });
  test("that is longer than the map keeps its tail", () => {
    using dir = tempDir();
    const text = "0123456789".repeat(1000);
    const path = dir.file("data", text);
    using map = MemoryMap.open(path, { mode: "r+", offset: 10, size: 5000 });
    for (const size of [100, 9000, 1, 9990]) {
      map.resize(size);
      assertEquals(fs.readFileSync(path, "utf8"), text, `after resize(${size})`);
      assertEquals(new TextDecoder().decode(map.read(size)), text.slice(10, 10 + size));
    }
    map.resize(10_000); // past the end of the file: it follows
    assertEquals(fs.statSync(path).size, 10_010);
    map.resize(9980); // now the map reaches the end of the file, and takes it along
    assertEquals(fs.readFileSync(path, "utf8"), text.slice(0, 9990));
  });
  test("that somebody else made longer keeps what they wrote", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path, { mode: "r+" });
    fs.appendFileSync(path, "appended");
    map.resize(4);
    assertEquals(fs.readFileSync(path, "utf8"), "0123456789appended");
    map.resize(12);
    assertEquals(new TextDecoder().decode(map.read(12)), "0123456789ap");
    assertEquals(fs.readFileSync(path, "utf8"), "0123456789appended");
  });
  test("that is empty", () => {
    using dir = tempDir();
    const path = dir.file("empty", "");
    using map = MemoryMap.open(path, { mode: "r+" });
    map.resize(page + 1);
    map.write("x", page);
    assertEquals([map.size, fs.statSync(path).size], [page + 1, page + 1]);
    assertEquals(fileBytes(path)[page], 120);
  });
  test("grows sparsely", { skip: firstReason(skipOnWindows, skipInMemory) }, () => {
    using dir = tempDir();
    const path = dir.file("data", "x");
    using map = MemoryMap.open(path, { mode: "r+" });
    map.resize(2 ** 33);
    map.write("end", 2 ** 33 - 3);
    assertEquals(map.read(3, 2 ** 33 - 3), utf8("end"));
    assert(allocatedBytes(path) < 1 << 20);
    map.resize(10);
    assertEquals(fs.statSync(path).size, 10);
  });
  test("is seen by a map of the same file only where it still has the bytes", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(4 * page));
    using map = MemoryMap.open(path, { mode: "r+" });
    using other = MemoryMap.open(path, { size: page });
    map.resize(64 * page);
    map.write("shared");
    assertEquals(other.read(6), utf8("shared"));
  });
  test("whose growth finds no address space is as long as before", {
    skip: firstReason(skipOutsideLinux, skipWithoutChildren(), skipWithoutCommands("prlimit")),
  }, async () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    const result = await fixtureResult<Record<string, unknown>>("paging_resize_limit.ts", {
      args: [path],
    });
    assertEquals(
      [result["name"], result["code"], result["size"], result["text"], result["fileSize"]],
      ["MMapAllocationError", "ENOMEM", page, "kept", page],
    );
  });
});

describe("MemoryMap.resize() refuses", () => {
  test("a read-only map", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path);
    const { bytes } = map;
    for (const size of [5, 20]) {
      assertRefused(() => map.resize(size), MMapProtectionError, `to ${size} bytes`, 'mode "r+"');
    }
    assertEquals([map.size, bytes.length], [10, 10]);
    assertEquals(fs.readFileSync(path, "utf8"), "0123456789");
  });
  test("a copy-on-write map", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path, { mode: "c" });
    const { bytes } = map;
    for (const size of [5, 20]) {
      assertRefused(() => map.resize(size), MMapProtectionError, "copy-on-write", 'mode "r+"');
    }
    assertEquals([map.size, bytes.length], [10, 10]);
    assertEquals(fs.readFileSync(path, "utf8"), "0123456789");
  });
  test("read-only and private maps of a descriptor", () => {
    using dir = tempDir();
    using file = openFd(dir.file("data", new Uint8Array(page)), "r+");
    using readOnly = MemoryMap.createFileMapping(file.fd, 0, page, PROT_READ);
    using copy = MemoryMap.createFileMapping(file.fd, 0, page, READ_WRITE, MAP_PRIVATE);
    for (const map of [readOnly, copy]) {
      assertRefused(() => map.resize(2 * page), MMapProtectionError);
    }
    assertEquals(fs.fstatSync(file.fd).size, page);
  });
  test("shared anonymous memory, and says what to use instead", () => {
    using map = MemoryMap.createAnonymous(page, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    assertRefused(
      () => map.resize(2 * page),
      MMapInvalidParameterError,
      "fixed size",
      "createMemfd",
    );
    assertEquals(map.size, page);
  });
  test("a map whose parts differ in protection", () => {
    using map = MemoryMap.createAnonymous(4 * page);
    const { bytes } = map;
    map.mprotect(PROT_READ, 0, page);
    assertRefused(() => map.resize(8 * page), MMapInvalidParameterError, "protection", "mprotect");
    assertEquals(bytes.length, 4 * page);
    map.mprotect(READ_WRITE);
    map.resize(8 * page);
    assertEquals(map.size, 8 * page);
  });
  for (const [part, offset, length] of [["a part", page, page], ["all", 0, 4 * page]] as const) {
    test(`a map of which ${part} was given back`, () => {
      using map = MemoryMap.createAnonymous(4 * page);
      map.unmapRange(offset, length);
      assertRefused(() => map.resize(8 * page), MMapInvalidParameterError, "unmapped");
      assertEquals(map.size, 4 * page);
    });
  }
  test("a closed map", () => {
    const map = MemoryMap.createAnonymous(page);
    map.close();
    assertRefused(() => map.resize(2 * page), MMapClosedError, "closed");
  });
});

describe("MemoryMap.resize() keeps", () => {
  test("the protection", () => {
    using dir = tempDir();
    using anonymous = MemoryMap.createAnonymous(page);
    using file = MemoryMap.open(dir.file("data", new Uint8Array(page)), { mode: "r+" });
    for (const map of [anonymous, file]) {
      map.write("kept");
      map.mprotect(PROT_READ);
      map.resize(64 * page);
      assertEquals(map.prot, PROT_READ);
      assertRefused(() => map.write("x"), MMapProtectionError, "PROT_WRITE");
      assertEquals(map.read(4), utf8("kept"));
      map.mprotect(READ_WRITE);
      map.write("x");
    }
  });
  test(
    "the advice",
    { skip: firstReason(skipOutsideLinux, skipWithoutProc, skipWithoutAdvice) },
    () => {
      using dir = tempDir();
      const path = dir.file("data", new Uint8Array(page));
      using map = MemoryMap.open(path, { mode: "r+", access: "random" });
      map.resize(64 * page);
      assertEquals(hasFlag(map.addr + BigInt(63 * page), "rr"), true);
      assertEquals(hasFlag(map.addr + BigInt(63 * page), "dc"), true);
    },
  );
  test("the advice where the buffer was transferred away", {
    skip: firstReason(skipOutsideLinux, skipWithoutProc, skipWithoutAdvice),
  }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path, { mode: "r+", access: "random" });
    (map.buffer as ArrayBuffer).transfer();
    map.resize(64 * page);
    assertEquals(hasFlag(map.addr, "rr"), true);
    assertEquals(hasFlag(map.addr, "dc"), true);
  });
  test("the latest of advice that contradicts itself", {
    skip: firstReason(skipOutsideLinux, skipWithoutProc, skipWithoutAdvice),
  }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    for (const hint of ["random", "normal", "random"] as const) map.hint(hint);
    map.resize(64 * page);
    assertEquals(hasFlag(map.addr, "rr"), true);
    assertEquals(hasFlag(map.addr + BigInt(63 * page), "rr"), true);
    for (const hint of ["sequential", "noDump", "dump", "normal"] as const) map.hint(hint);
    (map.buffer as ArrayBuffer).transfer();
    map.resize(128 * page);
    assertEquals(["rr", "sr", "dd"].filter((flag) => hasFlag(map.addr, flag)), []);
  });
  test("advice, but does not repeat what was to be done once", {
    skip: firstReason(skipOutsideLinux, skipInMemory),
  }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path, { mode: "r+" });
    map.madvise(MADV_POPULATE_WRITE);
    map.madvise(MADV_WILLNEED);
    map.resize(1 << 28);
    assert(allocatedBytes(path) < 1 << 20, `${allocatedBytes(path)} bytes have blocks`);
    using memory = MemoryMap.createAnonymous(page);
    memory.madvise(MADV_POPULATE_WRITE);
    memory.resize(1 << 28);
    assert(memory.stats().resident < 1 << 20, `${memory.stats().resident} bytes are resident`);
  });
  test("its promise after advice that cannot be given for the new size", {
    skip: skipOutsideLinux,
  }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8 << 20));
    using anonymous = MemoryMap.createAnonymous(8 << 20);
    using file = MemoryMap.open(path, { mode: "r+" });
    for (const map of [anonymous, file]) {
      map.fill(1);
      try {
        map.hint("collapse");
      } catch (error) {
        if (!(error instanceof MMapError)) throw error; // the system has its reasons
      }
      for (const size of [page, 9 << 20, 3 * page]) {
        map.resize(size);
        assertEquals([map.size, map.count(1, 0, page)], [size, page]);
      }
    }
    assertEquals(fs.statSync(path).size, 3 * page);
  });
});

describe("a buffer transferred away before MemoryMap.resize()", () => {
  test("is harmless where it had no bytes", () => {
    using dir = tempDir();
    const path = dir.file("data", "");
    using map = MemoryMap.open(path, { mode: "r+" });
    (map.buffer as ArrayBuffer).transfer();
    map.resize(page + 5);
    map.write("content");
    assertEquals(map.size, page + 5);
    if (skipWithoutProc === false) assertEquals(mappingsOf(path).length, 1);
  });
  for (const kind of ["anonymous", "file"] as const) {
    for (const size of [64 * page, page + 5]) {
      test(`is harmless, ${kind} memory to ${size} bytes`, () => {
        using dir = tempDir();
        using map = kind === "file"
          ? MemoryMap.open(dir.file("data"), { mode: "w+", size: 4 * page })
          : MemoryMap.createAnonymous(4 * page);
        map.fill(7);
        const elsewhere = new Uint8Array((map.buffer as ArrayBuffer).transfer());
        map.resize(size);
        assertEquals(map.count(7), Math.min(size, 4 * page));
        elsewhere.fill(1);
        assertEquals(map.count(1), 0);
        assertEquals(map.bytes.length, size);
        map.write("content");
        assertEquals(elsewhere[0], 1);
      });
    }
  }
  for (const kind of ["file", "anonymous"]) {
    for (
      const change of ["grow", "shrink", "grow and close", "unmapRange", "unmapRange and close"]
    ) {
      test(`does not end the process, ${kind} memory, ${change}`, {
        skip: firstReason(skipOnWindows, skipWithoutChildren()),
      }, async () => {
        using dir = tempDir();
        const { length, touched } = await fixtureResult<{ length: number; touched: number }>(
          "paging_transferred.ts",
          { args: [dir.file("data", new Uint8Array(65_536)), kind, change] },
        );
        assertEquals([length, touched], [65_536, 0]);
      });
    }
  }
});

test("MemoryMap.resize() a thousand times leaks nothing", { skip: skipWithoutProc }, () => {
  using dir = tempDir();
  const path = dir.file("data", "start");
  using map = MemoryMap.open(path, { mode: "r+" });
  const next = random(5);
  for (let i = 0; i < 1000; i++) {
    map.resize(1 + Math.floor(next() * 100 * page));
    map.bytes[0] = i & 255;
  }
  assertEquals(mappingsOf(path).length, 1);
  assertEquals(descriptorsOf(path).length, 1);
  assertEquals(fileBytes(path).length, map.size);
  assertEquals(fileBytes(path)[0], 999 & 255);
});
