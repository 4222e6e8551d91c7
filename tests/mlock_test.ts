/** `MemoryMap.mlock()` and `munlock()`, seen in VmLck of `/proc/self/status`, and their limits. */
import { test } from "node:test";
import fs from "node:fs";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MemoryMap, MMapInvalidParameterError, pageSize, PROT_NONE } from "../mod.ts";
import {
  assertRefused,
  firstReason,
  fixtureResult,
  lockedBytes,
  skipWithoutChildren,
  skipWithoutCommands,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";

const page = pageSize();

/** Calls `lock` and returns by how much the bytes locked have grown. */
function locks(lock: () => void): number {
  const before = lockedBytes();
  lock();
  return lockedBytes() - before;
}

test("MemoryMap.mlock() locks the whole map, and munlock() unlocks it", {
  skip: skipWithoutProc,
}, () => {
  using map = MemoryMap.createAnonymous(5 * page);
  assertEquals(locks(() => map.mlock()), 5 * page);
  assertEquals(locks(() => map.munlock()), -5 * page);
});

test("MemoryMap.mlock() locks every page that the range touches", { skip: skipWithoutProc }, () => {
  const cases: [number, number | undefined, number][] = [
    [0, 1, 1],
    [0, page, 1],
    [page - 1, 2, 2],
    [page, page, 1],
    [10, page, 2],
    [3 * page, undefined, 2],
    [5 * page - 1, undefined, 1],
  ];
  for (const [offset, length, pages] of cases) {
    using map = MemoryMap.createAnonymous(5 * page);
    const at = `${length} bytes at ${offset}`;
    assertEquals(locks(() => map.mlock(offset, length)), pages * page, at);
    assertEquals(locks(() => map.munlock(offset, length)), -pages * page, at);
  }
});

test("MemoryMap.munlock() unlocks a part", { skip: skipWithoutProc }, () => {
  using map = MemoryMap.createAnonymous(5 * page);
  map.mlock();
  assertEquals(locks(() => map.munlock(page, 2 * page)), -2 * page);
  assertEquals(locks(() => map.munlock()), -3 * page);
});

test("MemoryMap.mlock() locks pages of a file at any offset", { skip: skipWithoutProc }, () => {
  using dir = tempDir();
  using map = MemoryMap.open(dir.file("data", new Uint8Array(4 * page)), { offset: page - 1 });
  assertEquals(locks(() => map.mlock(0, 1)), page);
  assertEquals(locks(() => map.mlock(0, 2)), page);
  assertEquals(locks(() => map.mlock()), 2 * page);
});

test("MemoryMap.close() gives back what is locked", { skip: skipWithoutProc }, () => {
  const map = MemoryMap.createAnonymous(5 * page);
  map.mlock();
  assertEquals(locks(() => map.close()), -5 * page);
});

test("MemoryMap.mlock() and munlock() work, twice, and of no bytes", () => {
  using map = MemoryMap.createAnonymous(2 * page);
  map.mlock();
  map.mlock(0, page);
  map.mlock(5, 0);
  map.munlock(5, 0);
  map.munlock();
  map.munlock();
  map.write("still usable");
});

test("MemoryMap.mlock() of no bytes locks nothing", { skip: skipWithoutProc }, () => {
  using map = MemoryMap.createAnonymous(page);
  assertEquals(locks(() => map.mlock(10, 0)), 0);
  assertEquals(locks(() => map.mlock(page)), 0);
});

test("MemoryMap.mlock() and munlock() refuse a range that ends past the map", () => {
  using map = MemoryMap.createAnonymous(page);
  for (const verb of ["lock", "unlock"] as const) {
    assertRefused(
      () => map[`m${verb}`](10, page),
      MMapInvalidParameterError,
      `Cannot ${verb} ${page} bytes at offset 10`,
      `map has ${page} bytes`,
    );
    assertRefused(() => map[`m${verb}`](page + 1), MMapInvalidParameterError, `${page + 1}`);
  }
});

test("MemoryMap.mlock() of pages without access fails with ENOMEM, as the system says", {
  skip: skipWithoutProc,
}, () => {
  using map = MemoryMap.createAnonymous(page, PROT_NONE);
  try {
    map.mlock();
  } catch (error) {
    assertEquals((error as { code: string }).code, "ENOMEM");
    return;
  }
  throw new Error("locked");
});

/** What the child under a limit reports of an error. */
interface Reported {
  readonly name: string;
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly message: string;
  readonly locked: number;
}

const CAP_IPC_LOCK = 14n;

/** What takes the right to lock any amount away from a command; nothing where we do not have it. */
function withoutCapabilities(): string[] {
  const status = fs.readFileSync("/proc/self/status", "utf8");
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  if ((effective >> CAP_IPC_LOCK & 1n) === 0n) return [];
  return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
}

const skipLimits = firstReason(
  skipWithoutProc,
  skipWithoutCommands("prlimit", "setpriv"),
  skipWithoutChildren(),
);

test("MemoryMap.mlock() over RLIMIT_MEMLOCK ends in MMapAllocationError with the way out", {
  skip: skipLimits,
}, async () => {
  const error = await fixtureResult<Reported>("mlock_limit.ts", {
    prefix: ["prlimit", "--memlock=65536", ...withoutCapabilities()],
    args: [String(65_536 + page)],
  });
  assertEquals(error.name, "MMapAllocationError");
  assertEquals([error.code, error.errno, error.syscall], ["ENOMEM", 12, "mlock"]);
  assertStringIncludes(error.message, `Cannot lock ${65_536 + page} bytes at offset 0`);
  assertStringIncludes(error.message, "RLIMIT_MEMLOCK");
  assertEquals(error.locked, 0);
});

test("MemoryMap.mlock() without any right to lock ends in MMapProtectionError with the way out", {
  skip: skipLimits,
}, async () => {
  const error = await fixtureResult<Reported>("mlock_limit.ts", {
    prefix: ["prlimit", "--memlock=0", ...withoutCapabilities()],
    args: [String(page)],
  });
  assertEquals(error.name, "MMapProtectionError");
  assertEquals([error.code, error.errno, error.syscall], ["EPERM", 1, "mlock"]);
  assertMatch(error.message, /RLIMIT_MEMLOCK.*CAP_IPC_LOCK/);
  assertEquals(error.locked, 0);
});

test("MemoryMap.mlock() up to RLIMIT_MEMLOCK succeeds", { skip: skipLimits }, async () => {
  const { locked } = await fixtureResult<Reported>("mlock_limit.ts", {
    prefix: ["prlimit", "--memlock=65536", ...withoutCapabilities()],
    args: ["65536"],
  });
  assertEquals(locked, 65_536);
});
