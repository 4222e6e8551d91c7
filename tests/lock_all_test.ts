/** `mlockAll()` and `munlockAll()`, in processes of their own, seen in VmLck of `/proc/self/status`. */
import { describe, test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import fs from "node:fs";
import {
  MemoryMap,
  mlockAll,
  MMapInvalidParameterError,
  munlockAll,
  pageSize,
  PROT_NONE,
} from "../mod.ts";
import {
  assertRefused,
  firstReason,
  fixtureResult,
  lockedBytes,
  runFixture,
  skipWithoutChildren,
  skipWithoutCommands,
  skipWithoutProc,
  type TempDir,
  tempDir,
} from "./helpers.ts";
import { skipWithoutLocking, skipWithoutLockOnFault } from "./capabilities.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";

/** What the child reports. */
interface Report {
  readonly failure?: { name: string; code: string; syscall: string; message: string };
  readonly size: number;
  readonly pageSize: number;
  /** Bytes by which mlockAll made the locked memory grow. */
  readonly locked: number;
  /** Bytes by which a map made afterwards did. */
  readonly lockedLate: number;
  /** Pages in memory of the maps made before and after; each has `size` bytes. */
  readonly pages: { readonly early: number; readonly late: number };
  /** Bytes locked after munlockAll. */
  readonly unlocked: number;
}

const run = (...args: string[]) => fixtureResult<Report>("paging_lock_all.ts", { args });
const skip = firstReason(
  skipOutsideLinux,
  skipWithoutProc,
  skipWithoutLocking,
  skipWithoutChildren(),
);
const skipOnFault = firstReason(skip, skipWithoutLockOnFault);

describe("mlockAll()", () => {
  test("brings in and locks what is mapped now, by default", {
    skip,
  }, async () => {
    const report = await run();
    assertEquals(report.failure, undefined);
    assert(report.locked >= report.size);
    assertEquals(report.pages.early, report.size / report.pageSize);
    assertEquals([report.lockedLate, report.pages.late], [0, 0]);
    assertEquals(report.unlocked, 0);
  });
  test(
    "on fault, locks what is mapped now and brings nothing in",
    { skip: skipOnFault },
    async () => {
      const report = await run("current", "onFault");
      assert(report.locked >= report.size);
      assertEquals(report.pages, { early: 0, late: 0 });
      assertEquals(report.lockedLate, 0);
      assertEquals(report.unlocked, 0);
    },
  );
  test("of the future, brings in and locks what is mapped later", { skip }, async () => {
    const report = await run("future");
    assert(report.locked < report.size);
    assert(report.lockedLate >= report.size);
    assertEquals(report.pages, { early: 0, late: report.size / report.pageSize });
    assertEquals(report.unlocked, 0);
  });
  test("of the future on fault, locks what is mapped later and brings nothing in", {
    skip: skipOnFault,
  }, async () => {
    const report = await run("future", "onFault");
    assert(report.lockedLate >= report.size);
    assertEquals(report.pages, { early: 0, late: 0 });
  });
  test("of both, locks both", { skip: skipOnFault }, async () => {
    const report = await run("current", "future", "onFault");
    assert(report.locked >= report.size);
    assert(report.lockedLate >= report.size);
    assertEquals(report.unlocked, 0);
  });
  test("of neither is refused", { skip: skipOutsideLinux }, () => {
    assertRefused(
      () => mlockAll({ current: false }),
      MMapInvalidParameterError,
      "neither current nor future",
    );
    assertRefused(
      () => mlockAll({ current: false, future: false, onFault: true }),
      MMapInvalidParameterError,
    );
  });
  test("over RLIMIT_MEMLOCK is an error with the way out", {
    skip: firstReason(skipOnFault, skipWithoutCommands("prlimit", "setpriv")),
  }, async () => {
    const { failure } = await fixtureResult<Report>("paging_lock_all.ts", {
      args: ["current", "onFault"],
      prefix: ["prlimit", "--memlock=65536", "setpriv", "--bounding-set=-all", "--inh-caps=-all"],
    });
    assertEquals(
      [failure?.name, failure?.code, failure?.syscall],
      ["MMapAllocationError", "ENOMEM", "mlock"],
    );
    assertMatch(failure?.message ?? "", /RLIMIT_MEMLOCK/);
  });
});

describe("mlockAll() and the engine", () => {
  const all = [
    "current",
    "current,onFault",
    "future",
    "future,onFault",
    "current,future",
    "current,future,onFault",
  ];
  for (const options of all) {
    test(`go on together through collections and Workers: ${options}`, {
      skip: options.endsWith("onFault") ? skipOnFault : skip,
    }, async () => {
      const { status, stdout, stderr } = await runFixture("lock_all_collected.ts", {
        args: [options],
      });
      assertEquals([status, stdout], [0, "ok\n"], stderr);
    });
  }
});

describe("mlockAll() locks what there is of", { skip: skipOnFault }, () => {
  const size = 4 * pageSize();
  const parts: Record<string, (dir: TempDir) => [MemoryMap, number]> = {
    "a map that may not be touched": () => [MemoryMap.createAnonymous(size, PROT_NONE), size],
    "a truncated file": (dir) => {
      const path = dir.file("data", new Uint8Array(size));
      const map = MemoryMap.open(path, { mode: "r+" });
      fs.truncateSync(path, pageSize());
      return [map, size];
    },
    "a file that is empty": (dir) => [MemoryMap.open(dir.file("empty", "")), 0],
    "a map with a hole": () => {
      const map = MemoryMap.createAnonymous(size);
      map.unmapRange(pageSize(), pageSize());
      return [map, size];
    },
  };
  for (const [name, make] of Object.entries(parts)) {
    test(name, () => {
      using dir = tempDir();
      const [map, expected] = make(dir);
      using _end = map;
      const before = lockedBytes();
      for (const onFault of [false, true]) {
        mlockAll({ onFault });
        assert(lockedBytes() - before >= expected);
        munlockAll();
        assertEquals(lockedBytes(), 0);
      }
    });
  }

  test("maps that were closed, by nothing", () => {
    munlockAll();
    MemoryMap.createAnonymous(size).close();
    using map = MemoryMap.createAnonymous(size);
    mlockAll();
    const locked = lockedBytes();
    map.close();
    assertEquals(locked - lockedBytes(), size);
    munlockAll();
  });
});

test("munlockAll() unlocks what mlock() has locked", { skip }, () => {
  const before = lockedBytes();
  using map = MemoryMap.createAnonymous(4 * pageSize());
  map.mlock();
  assertEquals(lockedBytes() - before, 4 * pageSize());
  munlockAll();
  assertEquals(lockedBytes(), 0);
  map.munlock();
});
