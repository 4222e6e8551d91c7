/** Faulting in, locking on fault, flushing and naming of maps, as the system sees them. */
import { describe, test } from "node:test";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  MAP_ANONYMOUS,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapClosedError,
  MMapFaultError,
  MMapInvalidParameterError,
  MMapProtectionError,
  MS_SYNC,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  skipWithoutAdvice,
  skipWithoutLocking,
  skipWithoutLockOnFault,
  skipWithoutSmaps,
} from "./capabilities.ts";
import {
  assertRefused,
  descriptorsOf,
  firstReason,
  fixtureResult,
  lockedBytes,
  mappingsOf,
  pattern,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutCommands,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";
import {
  allocatedBytes,
  areaAt,
  mountTmpfs,
  pagesIn,
  runPython,
  skipInMemory,
  skipOutsideLinux,
  skipWithoutMount,
  sparseFile,
} from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const skip = firstReason(skipOutsideLinux, skipWithoutProc);
const skipOnDisk = firstReason(skip, skipInMemory);
const skipFaultIn = firstReason(skip, skipWithoutAdvice);

describe("MemoryMap.prefault()", () => {
  test("gives anonymous memory its pages", { skip: skipFaultIn }, () => {
    using map = MemoryMap.createAnonymous(64 * page);
    map.hint("noHugePages");
    assertEquals(pagesIn(map), ".".repeat(64));
    map.prefault();
    assertEquals(pagesIn(map), "#".repeat(64));
    assertEquals(map.stats().resident, 64 * page);
    assertEquals(map.read(map.size), new Uint8Array(64 * page));
  });
  const ranges: [number, number | undefined, string][] = [
    [0, 1, "#......."],
    [page - 1, 2, "##......"],
    [2 * page, page, "..#....."],
    [10, 2 * page, "###....."],
    [6 * page + 1, undefined, "......##"],
    [3 * page, 0, "........"],
    [8 * page, undefined, "........"],
  ];
  for (const [offset, length, expected] of ranges) {
    test(
      `of ${length ?? "the rest"} at ${offset} takes the pages that it touches`,
      { skip: skipFaultIn },
      () => {
        using map = MemoryMap.createAnonymous(8 * page);
        map.hint("noHugePages");
        map.prefault(offset, length);
        assertEquals(pagesIn(map), expected);
      },
    );
  }
  test("keeps the content", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", pattern(5 * page)), { mode: "r+" });
    map.write("new", page);
    map.prefault();
    assertEquals(map.read(page), pattern(5 * page).slice(0, page));
    assertEquals(new TextDecoder().decode(map.read(3, page)), "new");
  });
  for (const mode of ["r", "r+", "c"] as const) {
    test(`of a sparse file leaves its holes holes, mode "${mode}"`, {
      skip: firstReason(skipFaultIn, skipOnDisk),
    }, () => {
      using dir = tempDir();
      const path = sparseFile(dir.file("data"), 256 * page, { 0: "start", [255 * page]: "end" });
      const before = allocatedBytes(path);
      assert(before < 64 * page);
      using map = MemoryMap.open(path, { mode });
      map.prefault();
      assertEquals(pagesIn(map), "#".repeat(256));
      assertEquals(allocatedBytes(path), before);
    });
  }
  test("of a copy-on-write map copies nothing", { skip: skipFaultIn }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", pattern(64 * page)), { mode: "c" });
    map.prefault();
    assertEquals(areaAt(map.addr).bytes("Anonymous"), 0);
    assertEquals(areaAt(map.addr).bytes("Rss"), 64 * page);
  });
  test("of read-only anonymous memory", { skip: skipFaultIn }, () => {
    using map = MemoryMap.createAnonymous(4 * page, PROT_READ);
    map.prefault();
    assertEquals(pagesIn(map), "####");
  });
  test(
    "of memory of which a part is read-only gives the rest its pages",
    { skip: skipFaultIn },
    () => {
      using map = MemoryMap.createAnonymous(16 * page);
      map.hint("noHugePages");
      map.mprotect(PROT_READ, 0, 4 * page);
      map.prefault();
      assertEquals(pagesIn(map), "#".repeat(16));
      assertEquals(areaAt(map.addr + BigInt(4 * page)).bytes("Rss"), 12 * page);
    },
  );
  test("makes the following stores without a fault", { skip: skipFaultIn }, () => {
    using map = MemoryMap.createAnonymous(2048 * page);
    map.hint("noHugePages");
    const faults = () =>
      Number(fs.readFileSync("/proc/self/stat", "utf8").split(") ")[1]!.split(" ")[7]);
    map.prefault();
    const before = faults();
    map.fill(1);
    assert(faults() - before < 1000, `${faults() - before} faults`);
  });
  test("of an empty map does nothing", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
    map.prefault();
  });
  test(
    "past the end of a file that was cut is an error, not a signal",
    { skip: skipFaultIn },
    () => {
      using dir = tempDir();
      const path = dir.file("data", new Uint8Array(8 * page));
      using map = MemoryMap.open(path, { mode: "r+" });
      fs.truncateSync(path, 2 * page);
      map.prefault(0, 2 * page);
      const error = assertRefused(
        () => map.prefault(),
        MMapFaultError,
        `Cannot prefault ${8 * page} bytes at offset 0`,
      );
      assertEquals(error.offset, 2 * page);
      assertEquals([error.code, error.syscall], ["EFAULT", "madvise"]);
    },
  );
  test("refuses what may not be read", () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.mprotect(PROT_NONE, page, page);
    assertRefused(() => map.prefault(), MMapProtectionError, "PROT_READ", String(page));
    map.prefault(2 * page);
  });
  test("refuses ranges that are not in the map, and closed maps", () => {
    using map = MemoryMap.createAnonymous(page);
    const text = `Cannot prefault ${page} bytes at offset 1: map has ${page} bytes`;
    assertRefused(() => map.prefault(1, page), MMapInvalidParameterError, text);
    for (const [offset, length] of [[-1, 1], [0, -1], [0.5, 1], [0, NaN], [page + 1, undefined]]) {
      assertRefused(() => map.prefault(offset, length), MMapInvalidParameterError);
    }
    map.close();
    assertRefused(() => map.prefault(), MMapClosedError, "closed");
  });
});

describe("populate faults everything in before the call returns:", () => {
  test("MemoryMap.createAnonymous(), and by default it does not", { skip: skipFaultIn }, () => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    using map = MemoryMap.createAnonymous(16 * page, READ_WRITE, flags, { populate: true });
    assertEquals(pagesIn(map), "#".repeat(16));
    using lazy = MemoryMap.createAnonymous(16 * page, READ_WRITE, flags, { populate: false });
    lazy.hint("noHugePages");
    assertEquals(pagesIn(lazy), ".".repeat(16));
  });
  test(
    "MemoryMap.createAnonymous() of shared memory, and by the flag of C",
    { skip: skipFaultIn },
    () => {
      const shared = MAP_SHARED | MAP_ANONYMOUS;
      using map = MemoryMap.createAnonymous(16 * page, READ_WRITE, shared, { populate: true });
      assertEquals(pagesIn(map), "#".repeat(16));
      using flagged = MemoryMap.createAnonymous(16 * page, READ_WRITE, MAP_PRIVATE | MAP_POPULATE);
      assertEquals(pagesIn(flagged), "#".repeat(16));
    },
  );
  for (const mode of ["r", "r+", "c"] as const) {
    test(`MemoryMap.open() with mode "${mode}"`, {
      skip: firstReason(skipFaultIn, skipOnDisk),
    }, () => {
      using dir = tempDir();
      const path = sparseFile(dir.file("data"), 64 * page);
      using map = MemoryMap.open(path, { mode, populate: true });
      assertEquals(areaAt(map.addr).bytes("Rss"), 64 * page);
      assertEquals(allocatedBytes(path), 0);
    });
  }
  test("MemoryMap.open() of an empty file", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { populate: true });
    assertEquals(map.size, 0);
  });
  test("MemoryMap.open() on a full disk says so, and leaves nothing open", {
    skip: firstReason(skipFaultIn, skipWithoutMount()),
  }, () => {
    using disk = mountTmpfs(1 << 20);
    const path = disk.file("data", "content");
    // In memory even reading a hole needs a page.
    const error = assertRefused(
      () => MemoryMap.open(path, { mode: "r+", size: 4 << 20, populate: true }),
      MMapFaultError,
      "Cannot prefault",
    );
    assertEquals([error.code, error.syscall], ["EFAULT", "madvise"]);
    assertEquals([mappingsOf(path).length, descriptorsOf(path).length], [0, 0]);
    assertEquals(fs.statSync(path).size, 7);
  });
});

describe("MemoryMap.mlock() on fault", () => {
  test("locks pages as they are touched", {
    skip: firstReason(skip, skipWithoutLockOnFault),
  }, () => {
    using map = MemoryMap.createAnonymous(16 * page);
    map.hint("noHugePages");
    const before = lockedBytes();
    map.mlock(0, map.size, true);
    assertEquals(lockedBytes() - before, 16 * page);
    assertEquals(pagesIn(map), ".".repeat(16));
    assertEquals(areaAt(map.addr).bytes("Locked"), 0);
    map.write("x", 3 * page);
    assertEquals(pagesIn(map), "...#............");
    assertEquals(areaAt(map.addr).bytes("Locked"), page);
    map.munlock();
    assertEquals(lockedBytes(), before);
  });
  test("of a range locks only its pages", {
    skip: firstReason(skip, skipWithoutLockOnFault),
  }, () => {
    using map = MemoryMap.createAnonymous(16 * page);
    map.hint("noHugePages");
    const before = lockedBytes();
    map.mlock(4 * page + 1, page, true);
    assertEquals(lockedBytes() - before, 2 * page);
    map.fill(1);
    assertEquals(areaAt(map.addr + BigInt(4 * page)).bytes("Locked"), 2 * page);
    assertEquals(areaAt(map.addr).bytes("Locked"), 0);
  });
  test("is off by default: mlock() brings everything in", {
    skip: firstReason(skip, skipWithoutLocking, skipWithoutSmaps),
  }, () => {
    using map = MemoryMap.createAnonymous(16 * page);
    map.mlock();
    assertEquals(pagesIn(map), "#".repeat(16));
    assertEquals(areaAt(map.addr).bytes("Locked"), 16 * page);
  });
  test("refuses ranges that are not in the map", { skip }, () => {
    using map = MemoryMap.createAnonymous(page);
    assertRefused(
      () => map.mlock(1, page, true),
      MMapInvalidParameterError,
      `Cannot lock ${page} bytes at offset 1`,
    );
  });
});

describe("what is flushed is on the disk:", () => {
  const size = 3 * (1 << 20) + 123;
  const flushes: [string, (map: MemoryMap) => void | Promise<void>][] = [
    ["MemoryMap.flush()", (map) => map.flush()],
    ["MemoryMap.flush() of ranges", (map) => {
      for (let at = 0; at < size; at += 300_001) map.flush(at, Math.min(300_001, size - at));
    }],
    ["MemoryMap.msync()", (map) => map.msync()],
    ["MemoryMap.msyncAsync()", (map) => map.msyncAsync()],
    ["MemoryMap.msyncAsync() of ranges", async (map) => {
      for (let at = 0; at < size; at += 1 << 20) {
        await map.msyncAsync(MS_SYNC, at, Math.min(1 << 20, size - at));
      }
    }],
  ];
  for (const [name, flush] of flushes) {
    test(`${name} leaves no page dirty, and O_DIRECT reads the bytes`, {
      skip: firstReason(skipOnDisk, skipWithoutSmaps, skipWithoutCommands("python3")),
    }, async () => {
      using dir = tempDir();
      const path = dir.file("data");
      using map = MemoryMap.open(path, { mode: "w+", size });
      map.write(pattern(size));
      const dirty = () =>
        areaAt(map.addr).bytes("Shared_Dirty") + areaAt(map.addr).bytes("Private_Dirty");
      assert(dirty() > 0);
      await flush(map);
      assertEquals(dirty(), 0);
      const expected = createHash("sha256").update(pattern(size)).digest("hex");
      assertEquals(runPython("paging_direct.py", [path]), expected);
    });
    test(`${name} shows a second process the bytes`, { skip: skipWithoutChildren() }, async () => {
      using dir = tempDir();
      const path = dir.file("data");
      using map = MemoryMap.open(path, { mode: "w+", size });
      map.write("from the first process", 2 << 20);
      await flush(map);
      const { seen } = await fixtureResult<{ seen: string }>("peer.ts", {
        args: [path, String(2 << 20), "22"],
      });
      assertEquals(seen, "from the first process");
    });
  }
  test("MemoryMap.flush() refuses ranges that are not in the map, and closed maps", () => {
    using map = MemoryMap.createAnonymous(page);
    assertRefused(
      () => map.flush(1, page),
      MMapInvalidParameterError,
      `Cannot flush ${page} bytes at offset 1: map has ${page} bytes`,
    );
    for (const [offset, length] of [[-1, 1], [0, -1], [0.5, 1], [0, NaN], [page + 1, undefined]]) {
      assertRefused(() => map.flush(offset, length), MMapInvalidParameterError);
    }
    map.close();
    assertRefused(() => map.flush(), MMapClosedError, "closed");
  });
  test("MemoryMap.flush() of read-only, copy-on-write, anonymous and empty maps is allowed", () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    using readOnly = MemoryMap.open(path);
    using copy = MemoryMap.open(path, { mode: "c" });
    using anonymous = MemoryMap.createAnonymous(page);
    using empty = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
    copy.write("CHANGED");
    for (const map of [readOnly, copy, anonymous, empty]) map.flush();
    assertEquals(fs.readFileSync(path, "utf8"), "content");
  });
});

describe("a name", () => {
  test("is kept, and shown in /proc/self/maps by a kernel that can", { skip }, () => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    using map = MemoryMap.createAnonymous(16 * page, READ_WRITE, flags, { name: "ring buffer" });
    assertEquals(map.name, "ring buffer");
    // CONFIG_ANON_VMA_NAME is an option of the kernel; without it the area has no label.
    const { label } = areaAt(map.addr);
    assert(label === "[anon:ring buffer]" || label === "", label);
    map.resize(64 * page);
    assertEquals(map.name, "ring buffer");
    assertEquals(areaAt(map.addr).label, label);
  });
  test("of a file is kept", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", "content"), { name: "settings" });
    assertEquals(map.name, "settings");
  });
  test("of other maps is undefined", () => {
    using dir = tempDir();
    using anonymous = MemoryMap.createAnonymous(page);
    using file = MemoryMap.open(dir.file("data", "content"));
    assertEquals([anonymous.name, file.name], [undefined, undefined]);
  });
  for (const name of ["a]b", "$HOME", "ü €", "x".repeat(79), "x".repeat(200), ""]) {
    test(`${JSON.stringify(name.slice(0, 9))} (${name.length}) is no reason to fail`, () => {
      using map = MemoryMap.createAnonymous(page, READ_WRITE, MAP_PRIVATE, { name });
      assertEquals(map.name, name);
    });
  }
  test("must be text without a NUL", () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    for (const name of ["a\0b", "\0", 5, {}]) {
      const options = { name: name as string };
      for (
        const make of [
          () => MemoryMap.createAnonymous(page, READ_WRITE, MAP_PRIVATE, options),
          () => MemoryMap.open(path, options),
        ]
      ) assertRefused(make, MMapInvalidParameterError, "as a name", "NUL");
    }
  });
});
