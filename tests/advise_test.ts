/** `MemoryMap.madvise()`, `hint()` and `discard()`: what each does, what it keeps, what is refused. */
import { describe, test } from "node:test";
import fc from "fast-check";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  type Hint,
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_SHARED,
  MemoryMap,
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice, skipWithoutLocking } from "./capabilities.ts";
import {
  assertRefused,
  fileBytes,
  firstReason,
  lockedBytes,
  pattern,
  skipOnWindows,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";
import {
  areaAt,
  hasFlag,
  pagesIn,
  pause,
  skipInMemory,
  skipOutsideLinux,
  sparseFile,
} from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const SHARED = MAP_SHARED | MAP_ANONYMOUS;
const skip = firstReason(skipOutsideLinux, skipWithoutProc);
const skipAdvice = firstReason(skip, skipWithoutAdvice);

/** The first byte of each page. */
function firstBytes(map: MemoryMap): number[] {
  return Array.from({ length: Math.ceil(map.size / page) }, (_, i) => map.read(1, i * page)[0]!);
}

describe("MemoryMap.madvise() sets the flag that /proc/self/smaps shows:", () => {
  const pairs: [string, number, string, number][] = [
    ["MADV_RANDOM, until MADV_NORMAL", MADV_RANDOM, "rr", MADV_NORMAL],
    ["MADV_SEQUENTIAL, until MADV_NORMAL", MADV_SEQUENTIAL, "sr", MADV_NORMAL],
    ["MADV_DONTFORK, until MADV_DOFORK", MADV_DONTFORK, "dc", MADV_DOFORK],
    ["MADV_DONTDUMP, until MADV_DODUMP", MADV_DONTDUMP, "dd", MADV_DODUMP],
    ["MADV_WIPEONFORK, until MADV_KEEPONFORK", MADV_WIPEONFORK, "wf", MADV_KEEPONFORK],
    ["MADV_HUGEPAGE, until MADV_NOHUGEPAGE", MADV_HUGEPAGE, "hg", MADV_NOHUGEPAGE],
    ["MADV_NOHUGEPAGE, until MADV_HUGEPAGE", MADV_NOHUGEPAGE, "nh", MADV_HUGEPAGE],
    ["MADV_MERGEABLE, until MADV_UNMERGEABLE", MADV_MERGEABLE, "mg", MADV_UNMERGEABLE],
  ];
  for (const [name, advice, flag, opposite] of pairs) {
    test(name, { skip: skipAdvice }, () => {
      using map = MemoryMap.createAnonymous(4 * page);
      const flags = () => [0, 1, 2, 3].map((i) => hasFlag(map.addr + BigInt(i * page), flag));
      map.madvise(advice, page, page);
      assertEquals(flags(), [false, true, false, false]);
      map.madvise(opposite, page, page);
      assertEquals(flags()[1], false);
      map.madvise(advice);
      assertEquals(flags(), [true, true, true, true]);
    });
  }
  test("for every page that the range touches", { skip: skipAdvice }, () => {
    using map = MemoryMap.createAnonymous(5 * page);
    const flags = () => [0, 1, 2, 3, 4].map((i) => hasFlag(map.addr + BigInt(i * page), "rr"));
    map.madvise(MADV_RANDOM, 2 * page - 1, 2);
    assertEquals(flags(), [false, true, true, false, false]);
    map.madvise(MADV_RANDOM, 4 * page + 7);
    assertEquals(flags(), [false, true, true, false, true]);
  });
  test("for a file that is mapped from inside a page on", { skip: skipAdvice }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(4 * page));
    using map = MemoryMap.open(path, { offset: page - 1 });
    const flags = () => [0, 1, 1 + page].map((at) => hasFlag(map.addr + BigInt(at), "rr"));
    map.madvise(MADV_RANDOM, 0, 1);
    assertEquals(flags(), [true, false, false]);
    map.madvise(MADV_RANDOM, 0, 2);
    assertEquals(flags(), [true, true, false]);
  });
});

describe("MemoryMap.madvise() with", () => {
  test("MADV_WILLNEED reads a file into memory", {
    skip: firstReason(skipAdvice, skipInMemory),
  }, async () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), 64 * page);
    using map = MemoryMap.open(path, { access: "random" });
    assertEquals(pagesIn(map), ".".repeat(64));
    map.madvise(MADV_WILLNEED, 8 * page, 8 * page);
    for (let i = 0; i < 200 && !pagesIn(map).includes("#"); i++) await pause(10);
    assertEquals(pagesIn(map).slice(8, 16), "########");
    assertEquals(pagesIn(map)[60], ".");
  });
  test("MADV_DONTNEED loses anonymous content", { skip: skipOnWindows }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.fill(1);
    map.madvise(MADV_DONTNEED, page, 2 * page);
    assertEquals(firstBytes(map), [1, 0, 0, 1]);
  });
  test("MADV_DONTNEED loses private changes of a file", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(4 * page).fill(7));
    using map = MemoryMap.open(path, { mode: "c" });
    map.fill(1);
    map.madvise(MADV_DONTNEED, page, 2 * page);
    assertEquals(firstBytes(map), [1, 7, 7, 1]);
  });
  test("MADV_DONTNEED keeps the content of a shared file", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(4 * page).fill(7));
    using map = MemoryMap.open(path, { mode: "r+" });
    map.fill(1);
    map.madvise(MADV_DONTNEED);
    assertEquals(firstBytes(map), [1, 1, 1, 1]);
    assertEquals(fileBytes(path), new Uint8Array(4 * page).fill(1));
  });
  test("MADV_DONTNEED is refused for locked pages, MADV_DONTNEED_LOCKED is not", {
    skip: firstReason(skipAdvice, skipWithoutLocking),
  }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.fill(1);
    map.mlock();
    const error = assertRefused(
      () => map.madvise(MADV_DONTNEED),
      MMapInvalidParameterError,
      "MADV_DONTNEED",
      `${4 * page} bytes at offset 0`,
    );
    assertEquals([error.code, error.syscall], ["EINVAL", "madvise"]);
    map.madvise(MADV_DONTNEED_LOCKED, page, 2 * page);
    assertEquals(firstBytes(map), [1, 0, 0, 1]);
  });
  test("MADV_FREE marks the pages as free to take", { skip: skipAdvice }, () => {
    using map = MemoryMap.createAnonymous(1024 * page);
    map.madvise(MADV_NOHUGEPAGE);
    map.fill(1);
    map.madvise(MADV_FREE, 10 * page, 1000 * page);
    const free = areaAt(map.addr).bytes("LazyFree");
    assert(free > 0 && free <= 1000 * page, `${free} bytes are free to take`);
    // A store takes a page back.
    map.fill(2, 10 * page, 1000 * page);
    assertEquals([map.count(1), map.count(2)], [24 * page, 1000 * page]);
  });
  test(
    "MADV_REMOVE frees shared memory, and is refused for private memory",
    { skip: skipAdvice },
    () => {
      using map = MemoryMap.createAnonymous(4 * page, READ_WRITE, SHARED);
      map.fill(1);
      map.madvise(MADV_REMOVE, page, 2 * page);
      assertEquals(firstBytes(map), [1, 0, 0, 1]);
      using own = MemoryMap.createAnonymous(4 * page);
      const error = assertRefused(
        () => own.madvise(MADV_REMOVE),
        MMapInvalidParameterError,
        "MADV_REMOVE",
      );
      assertEquals([error.code, error.syscall], ["EINVAL", "madvise"]);
    },
  );
  test(
    "MADV_REMOVE is refused for a file that is open for reading only",
    { skip: skipAdvice },
    () => {
      using dir = tempDir();
      const path = dir.file("data", new Uint8Array(4 * page).fill(7));
      using map = MemoryMap.open(path);
      assertRefused(() => map.madvise(MADV_REMOVE), MMapProtectionError, "MADV_REMOVE", "EACCES");
      assertEquals(fileBytes(path), new Uint8Array(4 * page).fill(7));
    },
  );
  test("MADV_COLD keeps the content", { skip: skipOutsideLinux }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.write(pattern(4 * page));
    map.madvise(MADV_COLD);
    assertEquals(map.read(map.size), pattern(4 * page));
  });
  test("MADV_PAGEOUT takes clean pages of a file out of memory, and keeps the content", {
    skip: firstReason(skipAdvice, skipInMemory),
  }, async () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(64 * page));
    const fd = fs.openSync(path, "r+");
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    using map = MemoryMap.open(path, { mode: "r+" });
    map.prefault();
    assertEquals(pagesIn(map), "#".repeat(64));
    // Pages that are in use elsewhere for a moment stay in memory, but have left this process: the
    // advice passes over them until they are faulted in again.
    for (let attempt = 0; attempt < 200 && !pagesIn(map).includes("."); attempt++) {
      map.prefault();
      map.madvise(MADV_PAGEOUT);
      if (!pagesIn(map).includes(".")) await pause(25);
    }
    assert(pagesIn(map).includes("."), "every page is still in memory");
    assertEquals(map.read(map.size), pattern(64 * page));
  });
  test(
    "MADV_POPULATE_READ and MADV_POPULATE_WRITE fault the pages in",
    { skip: skipAdvice },
    () => {
      using map = MemoryMap.createAnonymous(16 * page);
      map.madvise(MADV_NOHUGEPAGE);
      map.madvise(MADV_POPULATE_READ, 2 * page, 3 * page);
      assertEquals(pagesIn(map), "..###...........");
      map.madvise(MADV_POPULATE_WRITE, 10 * page, 2 * page);
      assertEquals(pagesIn(map), "..###.....##....");
      assertEquals(map.read(map.size), new Uint8Array(16 * page));
    },
  );
  test("MADV_COLLAPSE makes huge pages, or says why not", { skip: skipAdvice }, () => {
    using map = MemoryMap.createAnonymous(8 << 20);
    map.write(pattern(100_000), 3 << 20);
    try {
      map.madvise(MADV_COLLAPSE);
      assert(areaAt(map.addr + (4n << 20n)).bytes("AnonHugePages") > 0);
    } catch (error) {
      // Memory is short or in pieces, pages are in use elsewhere, or the kernel is too old.
      if (!(error instanceof MMapError)) throw error;
      assert(["ENOMEM", "EBUSY", "EAGAIN", "EINVAL"].includes(error.code ?? ""), error.message);
    }
    assertEquals(map.read(100_000, 3 << 20), pattern(100_000));
  });
});

describe("MemoryMap.madvise() with advice that loses content", () => {
  const cases: [string, number, number | undefined, string][] = [
    ["nothing, where the range holds no whole page", 1, page, "111111"],
    ["nothing, one byte short of a page", page, page - 1, "111111"],
    ["the one whole page", page - 1, page + 2, "101111"],
    ["exactly the pages", page, 2 * page, "100111"],
    ["whole pages only", 100, 3 * page, "100111"],
    ["everything", 0, undefined, "000000"],
    [
      "the page in which the map ends, when the range reaches the end",
      4 * page + 1,
      undefined,
      "111110",
    ],
    ["not the page in which the map ends, one byte short of the end", 5 * page, 99, "111111"],
    ["nothing, for no bytes", 2 * page, 0, "111111"],
  ];
  for (const [name, offset, length, expected] of cases) {
    test(`loses ${name}`, { skip: skipOnWindows }, () => {
      using map = MemoryMap.createAnonymous(5 * page + 100);
      map.fill(1);
      map.madvise(MADV_DONTNEED, offset, length);
      assertEquals(firstBytes(map).join(""), expected);
      const bytes = map.read(map.size);
      const lost = (i: number) => expected[Math.floor(i / page)] === "0";
      assertEquals(bytes.findIndex((byte, i) => byte !== (lost(i) ? 0 : 1)), -1);
    });
  }
  test("never touches a byte outside the range", { skip: skipOnWindows }, () => {
    const size = 7 * page + 1234;
    const ranges = fc.tuple(fc.nat(size), fc.nat(size))
      .map(([a, b]) => ({ offset: Math.min(a, b), length: Math.abs(a - b) }));
    fc.assert(
      fc.property(ranges, ({ offset, length }) => {
        using map = MemoryMap.createAnonymous(size);
        map.fill(1);
        map.madvise(MADV_DONTNEED, offset, length);
        const bytes = map.read(size);
        const outside = bytes.findIndex((byte, i) =>
          byte === 0 && (i < offset || i >= offset + length)
        );
        assertEquals(outside, -1);
        const atEnd = offset + length === size;
        const first = Math.ceil(offset / page);
        const last = atEnd ? Math.ceil(size / page) : Math.floor((offset + length) / page);
        const lost = Math.max(Math.min(last * page, size) - first * page, 0);
        assertEquals(bytes.filter((byte) => byte === 0).length, lost);
      }),
      { numRuns: 200, seed: 1 },
    );
  });
  test("counts pages of the file, not of the map", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(4 * page).fill(7));
    using map = MemoryMap.open(path, { mode: "c", offset: 10 });
    map.fill(1);
    map.madvise(MADV_DONTNEED, page - 10, page); // the second page of the file
    assertEquals(map.read(2, page - 11), Uint8Array.of(1, 7));
    assertEquals(map.read(2, 2 * page - 11), Uint8Array.of(7, 1));
    map.madvise(MADV_DONTNEED, page, 2 * page); // holds the third page only
    assertEquals(map.read(2, 3 * page - 11), Uint8Array.of(7, 1));
  });
});

describe("MemoryMap.madvise() refuses", () => {
  for (const advice of [99, -1, 7, 1.5, NaN, Infinity, "4", null, 2 ** 40]) {
    test(`${typeof advice} ${advice} as advice`, () => {
      using map = MemoryMap.createAnonymous(page);
      map.fill(1);
      assertRefused(
        () => map.madvise(advice as number),
        MMapInvalidParameterError,
        "Cannot advise",
        String(advice),
        "MADV",
      );
      assertEquals(map.read(1)[0], 1);
    });
  }
  const ranges: [number, number | undefined][] = [
    [1, page],
    [page, 1],
    [page + 1, undefined],
    [0, page + 1],
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [0, 0.5],
    [NaN, 1],
    [0, NaN],
    [0, 2 ** 53],
  ];
  for (const [offset, length] of ranges) {
    test(`${length} bytes at ${offset}`, () => {
      using map = MemoryMap.createAnonymous(page);
      map.fill(1);
      for (const advice of [MADV_NORMAL, MADV_DONTNEED]) {
        assertRefused(() => map.madvise(advice, offset, length), MMapInvalidParameterError);
      }
      assertRefused(() => map.hint("random", offset, length), MMapInvalidParameterError);
      assertRefused(() => map.discard(offset, length), MMapInvalidParameterError);
      assertEquals(map.read(1)[0], 1);
    });
  }
  test("a range that ends past the map by one byte, and says so", () => {
    using map = MemoryMap.createAnonymous(page);
    const parts = [`${page} bytes at offset 1`, `map has ${page} bytes`];
    assertRefused(() => map.madvise(MADV_NORMAL, 1, page), MMapInvalidParameterError, ...parts);
    assertRefused(() => map.hint("random", 1, page), MMapInvalidParameterError, ...parts);
    assertRefused(() => map.discard(1, page), MMapInvalidParameterError, ...parts);
  });
  test("a closed map", () => {
    const map = MemoryMap.createAnonymous(page);
    map.close();
    assertRefused(() => map.madvise(MADV_NORMAL), MMapClosedError, "closed");
    assertRefused(() => map.hint("random"), MMapClosedError, "closed");
    assertRefused(() => map.discard(), MMapClosedError, "closed");
  });
});

test("MemoryMap.madvise(), hint() and discard() of an empty map do nothing", () => {
  using dir = tempDir();
  using map = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
  map.madvise(MADV_SEQUENTIAL);
  map.hint("willNeed");
  map.discard();
});

const hints: readonly Hint[] = [
  "normal",
  "random",
  "sequential",
  "willNeed",
  "cold",
  "pageOut",
  "hugePages",
  "noHugePages",
  "collapse",
  "mergeable",
  "unmergeable",
  "fork",
  "noFork",
  "dump",
  "noDump",
];

describe("MemoryMap.hint() never changes the content:", () => {
  for (const hint of hints) {
    test(hint, { skip: skipOutsideLinux }, () => {
      using dir = tempDir();
      const size = 5 * page + 17;
      const data = pattern(size);
      using anonymous = MemoryMap.createAnonymous(size);
      using shared = MemoryMap.createAnonymous(size, READ_WRITE, SHARED);
      using memfd = MemoryMap.createMemfd(size);
      using file = MemoryMap.open(dir.file("file"), { mode: "w+", size });
      using copy = MemoryMap.open(dir.file("copy", new Uint8Array(size)), { mode: "c" });
      for (const map of [anonymous, shared, memfd, file, copy]) {
        map.write(data);
        for (const [offset, length] of [[0, size], [1, 1], [page - 1, page], [size, 0]] as const) {
          try {
            map.hint(hint, offset, length);
          } catch (error) {
            // Huge pages cannot be made of a few small ones, nor of every kind of memory.
            const allowed = ["EINVAL", "EAGAIN", "EBUSY", "ENOMEM"];
            const known = hint === "collapse" && error instanceof MMapError;
            if (!known || !allowed.includes(error.code ?? "")) throw error;
          }
        }
        assertEquals(map.read(size), data);
      }
    });
  }
});

describe("MemoryMap.hint() gives the advice of its name:", () => {
  const flags: [Hint, string, Hint][] = [
    ["random", "rr", "normal"],
    ["sequential", "sr", "normal"],
    ["noFork", "dc", "fork"],
    ["noDump", "dd", "dump"],
    ["hugePages", "hg", "noHugePages"],
    ["noHugePages", "nh", "hugePages"],
    ["mergeable", "mg", "unmergeable"],
  ];
  for (const [hint, flag, opposite] of flags) {
    test(`${hint}, until ${opposite}`, { skip: skipAdvice }, () => {
      using map = MemoryMap.createAnonymous(4 * page);
      map.hint(hint, page, 2 * page);
      const flagged = () => [0, 1, 2, 3].map((i) => hasFlag(map.addr + BigInt(i * page), flag));
      assertEquals(flagged(), [false, true, true, false]);
      map.hint(opposite);
      assertEquals(flagged(), [false, false, false, false]);
    });
  }
});

test("MemoryMap.hint() refuses names that it does not know, those of Object among them", () => {
  using map = MemoryMap.createAnonymous(page);
  map.fill(1);
  const names = [
    "MADV_RANDOM",
    "dontNeed",
    "free",
    "",
    "toString",
    "__proto__",
    4,
    null,
    undefined,
  ];
  for (const name of names) {
    assertRefused(
      () => map.hint(name as Hint),
      MMapInvalidParameterError,
      "Cannot hint",
      "willNeed",
    );
  }
  assertEquals(map.read(1)[0], 1);
});

describe("MemoryMap.open() with access", () => {
  const accesses = [["random", "rr"], ["sequential", "sr"]] as const;
  for (const [access, flag] of accesses) {
    test(`"${access}" says so to the system`, { skip: skipAdvice }, () => {
      using dir = tempDir();
      using map = MemoryMap.open(dir.file("data", new Uint8Array(3 * page)), { access });
      assertEquals(hasFlag(map.addr, flag), true);
    });
  }
  test('"normal", as by default, leaves the read-ahead as it is', { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(3 * page));
    using normal = MemoryMap.open(path, { access: "normal" });
    using silent = MemoryMap.open(path);
    for (const map of [normal, silent]) {
      assertEquals([hasFlag(map.addr, "rr"), hasFlag(map.addr, "sr")], [false, false]);
    }
  });
  test("and an empty file", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { access: "random" });
    assertEquals(map.size, 0);
  });
  test("of another name is refused", () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    for (const access of ["RANDOM", "", 1, null]) {
      assertRefused(
        () => MemoryMap.open(path, { access: access as "random" }),
        MMapInvalidParameterError,
        "access",
        '"sequential"',
      );
    }
  });
});

describe("MemoryMap.discard()", () => {
  test("of anonymous memory reads as zeros, and gives the memory back", { skip }, () => {
    using map = MemoryMap.createAnonymous(16 * page);
    map.hint("noHugePages");
    map.fill(1);
    map.discard(4 * page, 8 * page);
    assertEquals(pagesIn(map), "####........####");
    assertEquals(map.read(8 * page, 4 * page), new Uint8Array(8 * page));
    assertEquals(map.count(1), 8 * page);
  });
  test("of shared anonymous memory reads as zeros", {
    skip: firstReason(skipOnWindows, skipWithoutAdvice),
  }, () => {
    using map = MemoryMap.createAnonymous(4 * page, READ_WRITE, SHARED);
    map.fill(1);
    map.discard(page, 2 * page);
    assertEquals(firstBytes(map), [1, 0, 0, 1]);
  });
  test("of a copy-on-write map shows the file again", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(3 * page + 5));
    using map = MemoryMap.open(path, { mode: "c" });
    map.fill(1);
    map.discard();
    assertEquals(map.read(map.size), pattern(3 * page + 5));
  });
  test("of a copy-on-write map that starts inside a page shows the file again", {
    skip: skipOnWindows,
  }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(3 * page));
    using map = MemoryMap.open(path, { mode: "c", offset: 5 });
    map.fill(1);
    map.discard();
    assertEquals(map.read(map.size), pattern(3 * page).subarray(5));
  });
  for (const kind of ["a shared file", "a memfd"] as const) {
    test(`of ${kind} loses nothing`, { skip: skipOutsideLinux }, () => {
      using dir = tempDir();
      using map = kind === "a memfd"
        ? MemoryMap.createMemfd(4 * page)
        : MemoryMap.open(dir.file("data"), { mode: "w+", size: 4 * page });
      map.write(pattern(4 * page));
      map.discard();
      assertEquals(map.read(map.size), pattern(4 * page));
    });
  }
  test("of a shared file takes its pages out of this process", { skip: skipAdvice }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", pattern(16 * page)));
    map.prefault();
    assertEquals(areaAt(map.addr).bytes("Rss"), 16 * page);
    map.discard();
    assertEquals(areaAt(map.addr).bytes("Rss"), 0);
    assertEquals(map.read(map.size), pattern(16 * page));
  });
  test("keeps the neighbours of a range that is not whole pages", { skip: skipOnWindows }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.fill(1);
    map.discard(page - 1, 2 * page);
    assertEquals(map.count(1), 3 * page);
    assertEquals(map.read(page, page), new Uint8Array(page));
  });
  test("of locked memory is refused, or forgets it and keeps the lock", {
    skip: firstReason(skipAdvice, skipWithoutLocking),
  }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.fill(1);
    map.mlock();
    const locked = lockedBytes();
    try {
      map.discard();
      assertEquals(map.count(0), 4 * page);
    } catch (error) {
      assert(error instanceof MMapInvalidParameterError, String(error));
      assertEquals(map.count(1), 4 * page);
    }
    assertEquals(lockedBytes(), locked);
  });
});
