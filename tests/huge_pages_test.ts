/** Huge pages: of the reserved pool for memory, transparent ones for files. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapAllocationError,
  MMapInvalidParameterError,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice, skipWithoutSmaps } from "./capabilities.ts";
import {
  assertRefused,
  countDescriptors,
  firstReason,
  mappings,
  pattern,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";
import {
  areaAt,
  hasFlag,
  hugePool,
  memoryInfo,
  pagesIn,
  skipOutsideLinux,
  skipWithoutHugePool,
} from "./helpers_paging.ts";

const READ_WRITE = PROT_READ | PROT_WRITE;
const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS;
const SHARED = MAP_SHARED | MAP_ANONYMOUS;
const POOL = 6;
const skip = firstReason(skipOutsideLinux, skipWithoutProc);
const skipPool = firstReason(skip, skipWithoutHugePool(POOL));
const skipCounted = firstReason(skipPool, skipWithoutSmaps);
const huge = skip === false ? memoryInfo("Hugepagesize") : 2 << 20;

/** Pages of the pool that nobody has. */
function freeInPool(): number {
  return memoryInfo("HugePages_Free") - memoryInfo("HugePages_Rsvd");
}

const makers: [string, (size: number) => MemoryMap][] = [
  [
    "createAnonymous() with hugePages",
    (size) => MemoryMap.createAnonymous(size, READ_WRITE, PRIVATE, { hugePages: true }),
  ],
  [
    "createAnonymous() with hugePages, shared",
    (size) => MemoryMap.createAnonymous(size, READ_WRITE, SHARED, { hugePages: true }),
  ],
  [
    "createAnonymous() with MAP_HUGETLB",
    (size) => MemoryMap.createAnonymous(size, READ_WRITE, PRIVATE | MAP_HUGETLB),
  ],
  ["createMemfd() with hugePages", (size) => MemoryMap.createMemfd(size, { hugePages: true })],
];

for (const [name, make] of makers) {
  describe(`MemoryMap.${name}`, () => {
    test("is a clear error where none are reserved", { skip: skipPool }, () => {
      const descriptors = countDescriptors();
      const error = assertRefused(
        () => make(2 * huge),
        MMapAllocationError,
        `${2 * huge} bytes`,
        "in huge pages",
        "vm.nr_hugepages",
        'hint("hugePages")',
      );
      assertEquals([error.code, error.syscall], ["ENOMEM", "mmap"]);
      assertEquals(countDescriptors(), descriptors);
      assertEquals(mappings().filter(({ path }) => path.includes("hugepage")), []);
    });
    test("is a clear error where too few are reserved", { skip: skipPool }, () => {
      using _pool = hugePool(1);
      assertRefused(() => make(2 * huge), MMapAllocationError, "vm.nr_hugepages");
      assertEquals(freeInPool(), 1);
    });
    test("uses pages of the pool, and close() gives them back", { skip: skipCounted }, () => {
      using _pool = hugePool(POOL);
      using map = make(2 * huge);
      map.fill(7);
      assertEquals(map.size, 2 * huge);
      assertEquals(map.count(7), 2 * huge);
      assertEquals(areaAt(map.addr).bytes("KernelPageSize"), huge);
      assertEquals(freeInPool(), POOL - 2);
      const { mapped, resident, huge: inHuge } = map.stats();
      assertEquals([mapped, resident, inHuge], [2 * huge, 2 * huge, 2 * huge]);
      map.close();
      assertEquals([freeInPool(), memoryInfo("HugePages_Rsvd")], [POOL, 0]);
    });
    test("takes any size and maps whole huge pages", { skip: skipPool }, () => {
      using _pool = hugePool(POOL);
      for (const size of [1, 100, 4096, huge - 1, huge + 1]) {
        using map = make(size);
        assertEquals([map.size, map.bytes.length], [size, size]);
        map.write("x", size - 1);
        assertEquals(areaAt(map.addr).bytes("Size"), Math.ceil(size / huge) * huge);
        map.close();
        assertEquals([freeInPool(), memoryInfo("HugePages_Rsvd")], [POOL, 0], `of ${size} bytes`);
      }
    });
    test("has the operations of other maps", { skip: skipPool }, () => {
      using _pool = hugePool(POOL);
      using map = make(2 * huge);
      map.write(pattern(100_000), huge - 50_000);
      assertEquals(map.find(pattern(100_000).subarray(0, 20)), huge - 50_000);
      map.prefault();
      assertEquals(pagesIn(map).includes("."), false);
      map.mlock();
      map.munlock();
      map.msync();
      map.copyWithin(0, huge - 50_000, 100_000);
      assertEquals(map.read(100_000), pattern(100_000));
      map.mprotect(PROT_READ);
      map.mprotect(READ_WRITE, huge, huge);
      map.write("x", huge);
    });
    test("may be protected and locked as a whole at any size", { skip: skipPool }, () => {
      using _pool = hugePool(POOL);
      using map = make(huge + 100);
      map.write("kept");
      map.mlock();
      map.munlock();
      map.mprotect(PROT_READ);
      assertEquals(areaAt(map.addr).access.slice(0, 2), "r-");
      map.mprotect(READ_WRITE);
      map.prefault();
      map.write("KEPT");
    });
    test("discards and punches holes at any size", {
      skip: firstReason(skipPool, skipWithoutAdvice),
    }, () => {
      using _pool = hugePool(POOL);
      using map = make(huge + 100);
      map.fill(1);
      map.punchHole(0, map.size);
      assertEquals(map.count(0), map.size);
      map.fill(1);
      map.punchHole(100, 4096);
      assertEquals(map.count(0), 4096);
      assertEquals(map.count(1), map.size - 4096);
    });
    test("discard() takes whole huge pages and nothing outside of the range", {
      skip: firstReason(skipPool, skipWithoutAdvice),
    }, () => {
      using _pool = hugePool(POOL);
      using map = make(3 * huge);
      map.fill(1);
      map.discard(4096, 2 * huge);
      // A memfd keeps its content.
      assertEquals(map.count(0, huge, huge), name.includes("createMemfd") ? 0 : huge);
      assertEquals(map.count(1, 0, 4096), 4096);
      assertEquals(map.count(1, 2 * huge + 4096), huge - 4096);
    });
    test("refuses to be resized", { skip: skipPool }, () => {
      using _pool = hugePool(POOL);
      using map = make(2 * huge);
      map.write("kept");
      for (const size of [huge, 3 * huge, 100]) {
        assertRefused(
          () => map.resize(size),
          MMapInvalidParameterError,
          "huge pages",
          "fixed size",
        );
      }
      assertEquals(map.size, 2 * huge);
      assertEquals(new TextDecoder().decode(map.read(4)), "kept");
    });
    test("gives pages back with unmapRange()", { skip: skipPool }, () => {
      using _pool = hugePool(POOL);
      using map = make(3 * huge);
      map.fill(1);
      map.unmapRange(huge, huge);
      assertEquals(map.count(1, 0, huge), huge);
      assertEquals(map.count(1, 2 * huge), huge);
      map.unmapRange(4096, 8192); // less than a huge page
      assertEquals(map.count(1, 0, huge), huge);
      map.close();
      assertEquals([freeInPool(), memoryInfo("HugePages_Rsvd")], [POOL, 0]);
    });
  });
}

test("MemoryMap.createAnonymous() with MAP_HUGETLB keeps MADV_DONTNEED to whole huge pages", {
  skip: skipPool,
}, () => {
  using _pool = hugePool(POOL);
  using map = MemoryMap.createAnonymous(2 * huge, READ_WRITE, PRIVATE | MAP_HUGETLB);
  map.fill(1);
  map.madvise(MADV_DONTNEED, huge - 1, huge);
  assertEquals(map.count(1), 2 * huge);
  map.madvise(MADV_DONTNEED, huge, huge);
  assertEquals(map.count(1), huge);
});

test("MemoryMap.createAnonymous() takes huge pages of a size that C's flag names", {
  skip: skipCounted,
}, () => {
  using _pool = hugePool(POOL);
  const exponent = Math.log2(huge) << 26; // MAP_HUGE_SHIFT
  using map = MemoryMap.createAnonymous(huge, READ_WRITE, PRIVATE | MAP_HUGETLB | exponent);
  map.fill(1);
  assertEquals(areaAt(map.addr).bytes("KernelPageSize"), huge);
});

test("MemoryMap.createAnonymous() populates huge pages before it returns", {
  skip: firstReason(skipPool, skipWithoutAdvice),
}, () => {
  using _pool = hugePool(POOL);
  const options = { hugePages: true, populate: true };
  using _map = MemoryMap.createAnonymous(2 * huge, READ_WRITE, PRIVATE, options);
  assertEquals(memoryInfo("HugePages_Free"), POOL - 2);
});

test("MemoryMap.createAnonymousAsync() with hugePages", {
  skip: firstReason(skipPool, skipWithoutAdvice),
}, async () => {
  using _pool = hugePool(POOL);
  {
    using _map = await MemoryMap.createAnonymousAsync(2 * huge, READ_WRITE, PRIVATE, {
      hugePages: true,
    });
    assertEquals(memoryInfo("HugePages_Free"), POOL - 2);
  }
  assertEquals(freeInPool(), POOL);
});

describe("MemoryMap.open() with hugePages", () => {
  for (const mode of ["r", "r+", "c"] as const) {
    test(`asks for transparent ones and needs no pool, mode "${mode}"`, {
      skip: firstReason(skip, skipWithoutAdvice),
    }, () => {
      using dir = tempDir();
      const path = dir.file("data", pattern(5 << 20));
      using map = MemoryMap.open(path, { mode, hugePages: true });
      assertEquals(hasFlag(map.addr, "hg"), true);
      assertEquals(map.compare(pattern(5 << 20)), 0);
    });
  }
  test("of an empty file", { skip: skipOutsideLinux }, () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { hugePages: true });
    assertEquals(map.size, 0);
  });
});

test("hint of huge pages brings transparent ones, and stats() counts them", {
  skip: firstReason(skip, skipWithoutAdvice, skipWithoutSmaps),
}, () => {
  const modes = fs.readFileSync("/sys/kernel/mm/transparent_hugepage/enabled", "utf8");
  using map = MemoryMap.createAnonymous(16 << 20);
  map.hint("hugePages");
  map.fill(1);
  const { huge: bytes, resident } = map.stats();
  assertEquals(resident, 16 << 20);
  assert(bytes <= resident);
  // How many depends on the free memory; a kernel that is told "never" makes none.
  if (modes.includes("[never]")) assertEquals(bytes, 0);
});
