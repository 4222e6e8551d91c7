/** The properties of MemoryMap, `pageSize()` and `allocationGranularity()`. */
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  allocationGranularity,
  MAP_SHARED,
  MemoryMap,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { mappingAt, openFd, pattern, skipWithoutProc, tempDir } from "./helpers.ts";

const noGetconf = spawnSync("getconf", ["PAGESIZE"]).status === 0
  ? false
  : "needs the command getconf";

test("pageSize() is what the system says", { skip: noGetconf }, () => {
  assertEquals(pageSize(), Number(spawnSync("getconf", ["PAGESIZE"], { encoding: "utf8" }).stdout));
});

test("pageSize() is a power of two", () => {
  assert(pageSize() >= 4096);
  assertEquals(Math.log2(pageSize()) % 1, 0);
});

test("allocationGranularity() is a multiple of the page size", () => {
  assert(allocationGranularity() >= pageSize());
  assertEquals(allocationGranularity() % pageSize(), 0);
});

test("MemoryMap.pageSize is pageSize()", () => {
  using map = MemoryMap.createAnonymous(1);
  assertEquals(map.pageSize, pageSize());
});

test("MemoryMap.addr is where the first byte is", { skip: skipWithoutProc }, () => {
  using dir = tempDir();
  using anonymous = MemoryMap.createAnonymous(4096);
  using file = MemoryMap.open(dir.file("data", pattern(10_000)), { offset: 5_000 });
  for (const map of [anonymous, file]) {
    const mapping = mappingAt(map.addr)!;
    assertEquals(map.addr % BigInt(pageSize()), BigInt(map.offset % pageSize()));
    assert(map.addr + BigInt(map.size) <= mapping.end);
  }
  assertEquals(file.addr - mappingAt(file.addr)!.start, BigInt(5_000 % pageSize()));
});

test("MemoryMap.addr differs between maps", () => {
  using a = MemoryMap.createAnonymous(4096);
  using b = MemoryMap.createAnonymous(4096);
  assert(a.addr !== b.addr);
});

test("MemoryMap.size, offset, path and prot of an opened map", () => {
  using dir = tempDir();
  const path = dir.file("data", pattern(100));
  using map = MemoryMap.open(path, { mode: "r", offset: 7, size: 50 });
  assertEquals([map.size, map.offset, map.path, map.prot], [50, 7, path, PROT_READ]);
});

test("MemoryMap.size, offset, path and prot of a map of a descriptor", () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", pattern(100)), "r");
  using map = MemoryMap.createFileMapping(file.fd, 7, 50, PROT_READ, MAP_SHARED);
  assertEquals([map.size, map.offset, map.path, map.prot], [50, 7, undefined, PROT_READ]);
});

test("MemoryMap.size, offset, path and prot of an anonymous map", () => {
  using map = MemoryMap.createAnonymous(100);
  assertEquals(
    [map.size, map.offset, map.path, map.prot],
    [100, 0, undefined, PROT_READ | PROT_WRITE],
  );
});

test("MemoryMap.prot follows mprotect() of the whole map", () => {
  using map = MemoryMap.createAnonymous(4 * pageSize());
  for (const prot of [PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE]) {
    map.mprotect(prot);
    assertEquals(map.prot, prot);
  }
});

test("MemoryMap.isValid is true until close()", () => {
  const map = MemoryMap.createAnonymous(1);
  assertEquals(map.isValid, true);
  map.close();
  assertEquals(map.isValid, false);
});

test("the properties cannot be assigned", () => {
  using map = MemoryMap.createAnonymous(10);
  for (const name of ["addr", "size", "isValid", "pageSize", "prot", "offset", "path", "bytes"]) {
    assertThrows(() => Reflect.set(map, name, 1) || fail(name), Error, name);
  }
  assertEquals(map.size, 10);
});

function fail(name: string): never {
  throw new Error(`${name} was not assigned`);
}

test("MemoryMap cannot be constructed from outside with a forged mapping", () => {
  // The constructor is private to TypeScript only: without the inner parts it has to throw.
  const Forged = MemoryMap as unknown as new (...args: unknown[]) => MemoryMap;
  assertThrows(() => new Forged());
  assertThrows(() => new Forged({}));
  assertThrows(() => new Forged(0x1000n, 4096));
});
