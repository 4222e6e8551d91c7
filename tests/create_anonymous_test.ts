/** `MemoryMap.createAnonymous()` and `mmapRegion()`: what they map, seen from outside. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals, assertGreaterOrEqual, assertStringIncludes } from "@std/assert";
import {
  MAP_ANON,
  MAP_ANONYMOUS,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MemoryMap,
  mmapRegion,
  pageSize,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  fileBytes,
  firstReason,
  lockedBytes,
  mappingAt,
  openFd,
  pattern,
  skipEmulated,
  skipOnWindows,
  skipWithoutProc,
  smapsField,
  tempDir,
  utf8,
} from "./helpers.ts";

test("MemoryMap.createAnonymous() maps zeros", () => {
  using map = MemoryMap.createAnonymous(3 * pageSize());
  assertEquals(map.read(map.size), new Uint8Array(3 * pageSize()));
});

test("MemoryMap.createAnonymous() gives exactly the bytes asked for", () => {
  for (const size of [1, 2, 4095, 4096, 4097, 65_535, 65_537, 1_000_003]) {
    using map = MemoryMap.createAnonymous(size);
    assertEquals(map.size, size);
    assertEquals(map.bytes.length, size);
    map.write(Uint8Array.of(7), size - 1);
    assertEquals(map.bytes[size - 1], 7);
  }
});

test("MemoryMap.createAnonymous() gives each map memory of its own", () => {
  using a = MemoryMap.createAnonymous(4096);
  using b = MemoryMap.createAnonymous(4096);
  a.write("mine");
  assertEquals(b.read(4), new Uint8Array(4));
});

test("MemoryMap.createAnonymous() implies MAP_ANONYMOUS", () => {
  for (const sharing of [MAP_PRIVATE, MAP_SHARED]) {
    using map = MemoryMap.createAnonymous(4096, PROT_READ | PROT_WRITE, sharing);
    map.write("hello");
    assertEquals(map.read(5), utf8("hello"));
  }
});

test("MAP_ANON is another name of MAP_ANONYMOUS", () => {
  assertEquals(MAP_ANON, MAP_ANONYMOUS);
});

test("MemoryMap.createAnonymous() takes sizes over 4 GiB", { skip: skipOnWindows }, () => {
  const size = 6 * 2 ** 30;
  using map = MemoryMap.createAnonymous(
    size,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
  );
  map.write("end", size - 3);
  assertEquals(map.read(3, size - 3), utf8("end"));
  assertEquals(map.read(3, size - 3 - 2 ** 32), new Uint8Array(3));
});

describe("MemoryMap.createAnonymous() maps with the protection", () => {
  const accesses: [number, string][] = [
    [PROT_NONE, "---p"],
    [PROT_READ, "r--p"],
    [PROT_READ | PROT_WRITE, "rw-p"],
    [PROT_READ | PROT_EXEC, "r-xp"],
  ];
  for (const [prot, access] of accesses) {
    test(access, { skip: skipWithoutProc }, () => {
      using map = MemoryMap.createAnonymous(4096, prot);
      assertEquals(mappingAt(map.addr)?.access, access);
      assertEquals(map.prot, prot);
    });
  }
});

test("MAP_SHARED makes shared memory", { skip: skipWithoutProc }, () => {
  using map = MemoryMap.createAnonymous(
    4096,
    PROT_READ | PROT_WRITE,
    MAP_SHARED | MAP_ANONYMOUS,
  );
  assertEquals(mappingAt(map.addr)?.access, "rw-s");
});

test("MAP_NORESERVE maps more than the memory there is", {
  skip: firstReason(skipWithoutProc, skipEmulated),
}, () => {
  const size = 2 ** 40;
  using map = MemoryMap.createAnonymous(size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE);
  assertEquals(map.size, size);
  assertStringIncludes(smapsField(mappingAt(map.addr)!.start, "VmFlags") ?? "", "nr");
});

test("MAP_POPULATE brings the pages in at once", {
  skip: firstReason(skipWithoutProc, skipEmulated),
}, () => {
  const size = 4 * 2 ** 20;
  const flags = MAP_SHARED | MAP_ANONYMOUS; // of its own: the kernel merges private mappings
  const resident = (map: MemoryMap) => parseInt(smapsField(map.addr, "Rss") ?? "") * 1024;
  using lazy = MemoryMap.createAnonymous(size, PROT_READ | PROT_WRITE, flags);
  assertEquals(resident(lazy), 0);
  using populated = MemoryMap.createAnonymous(size, PROT_READ | PROT_WRITE, flags | MAP_POPULATE);
  assertEquals(resident(populated), size);
});

test("MAP_LOCKED locks the pages", { skip: skipWithoutProc }, () => {
  const before = lockedBytes();
  using _map = MemoryMap.createAnonymous(
    4 * pageSize(),
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_LOCKED,
  );
  assertEquals(lockedBytes() - before, 4 * pageSize());
});

test("MAP_STACK is accepted", { skip: skipWithoutProc }, () => {
  using map = MemoryMap.createAnonymous(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_STACK);
  assertEquals(map.size, 4096);
});

test("mmapRegion() maps anonymous memory by default", () => {
  using map = mmapRegion(5000);
  assertEquals(map.size, 5000);
  assertEquals(map.prot, PROT_READ | PROT_WRITE);
  assertEquals(map.offset, 0);
  assertEquals(map.path, undefined);
  assertEquals(map.read(5000), new Uint8Array(5000));
  map.write("x", 4999);
});

test("mmapRegion() passes protection and flags on", { skip: skipWithoutProc }, () => {
  using map = mmapRegion(4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS);
  assertEquals(mappingAt(map.addr)?.access, "r--s");
});

test("mmapRegion() maps a descriptor at an offset", () => {
  using dir = tempDir();
  const data = pattern(20_000);
  const path = dir.file("data", data);
  using file = openFd(path, "r+");
  using map = mmapRegion(5000, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 9_001);
  assertEquals(map.offset, 9_001);
  assertEquals(map.read(5000), data.slice(9_001, 14_001));
  map.write("changed", 1);
  map.msync();
  assertEquals(fileBytes(path).slice(9_002, 9_009), utf8("changed"));
});

test("mmapRegion() maps a descriptor privately with MAP_PRIVATE", () => {
  using dir = tempDir();
  const path = dir.file("data", "original");
  using file = openFd(path, "r");
  using map = mmapRegion(8, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.fd);
  map.write("changed!");
  assertEquals(fs.readFileSync(path, "utf8"), "original");
});

test("addresses are multiples of the page size and below 2^57", () => {
  using map = MemoryMap.createAnonymous(4096);
  assertEquals(typeof map.addr, "bigint");
  assertEquals(map.addr % BigInt(pageSize()), 0n);
  assert(map.addr < 2n ** 57n);
  assertGreaterOrEqual(map.addr, 65_536n);
});
