/** `MemoryMap.createFileMapping()`: parts of open files, shared and private. */
import { test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  allocationGranularity,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  descriptorsOf,
  fileBytes,
  mappingsOf,
  openFd,
  pattern,
  random,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";

test("MemoryMap.createFileMapping() shows the bytes of the file", () => {
  using dir = tempDir();
  const data = pattern(10_000);
  using file = openFd(dir.file("data", data), "r+");
  using map = MemoryMap.createFileMapping(file.fd, 0, data.length);
  assertEquals(map.read(data.length), data);
});

test("MemoryMap.createFileMapping() writes to the file by default", () => {
  using dir = tempDir();
  const path = dir.file("data", "0123456789");
  using file = openFd(path, "r+");
  using map = MemoryMap.createFileMapping(file.fd, 2, 5);
  map.write("abc", 1);
  map.msync();
  assertEquals(fs.readFileSync(path, "utf8"), "012abc6789");
});

test("MemoryMap.createFileMapping() takes any byte offset", () => {
  using dir = tempDir();
  const data = pattern(3 * allocationGranularity() + 500);
  using file = openFd(dir.file("data", data), "r");
  const next = random(2);
  const edges = [1, pageSize() - 1, pageSize(), pageSize() + 1].flatMap((edge) => [
    edge,
    allocationGranularity() + edge,
    2 * allocationGranularity() - edge,
  ]);
  const others = Array.from({ length: 200 }, () => Math.floor(next() * data.length));
  for (const offset of [...edges, ...others]) {
    const size = 1 + Math.floor(next() * (data.length - offset));
    using map = MemoryMap.createFileMapping(file.fd, offset, size, PROT_READ);
    assertEquals(map.offset, offset);
    assertEquals(map.size, size);
    assertEquals(map.read(size), data.slice(offset, offset + size), `offset ${offset}`);
  }
});

test("MemoryMap.createFileMapping() maps up to the last byte of the file", () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", "0123456789"), "r");
  using map = MemoryMap.createFileMapping(file.fd, 9, 1, PROT_READ);
  assertEquals(map.read(1), utf8("9"));
});

test("MemoryMap.createFileMapping() outlives the descriptor", () => {
  using dir = tempDir();
  const path = dir.file("data", "still here");
  const fd = fs.openSync(path, "r+");
  using map = MemoryMap.createFileMapping(fd, 0, 10);
  fs.closeSync(fd);
  map.write("now");
  map.msync();
  assertEquals(fs.readFileSync(path, "utf8"), "nowll here");
});

test("MemoryMap.createFileMapping() leaves the descriptor open", () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", "0123456789"), "r");
  MemoryMap.createFileMapping(file.fd, 0, 10, PROT_READ).close();
  const byte = new Uint8Array(1);
  assertEquals(fs.readSync(file.fd, byte, 0, 1, 3), 1);
  assertEquals(byte, utf8("3"));
});

test("MemoryMap.createFileMapping() leaves the file position alone", () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", "0123456789"), "r");
  fs.readSync(file.fd, new Uint8Array(4), 0, 4, null);
  MemoryMap.createFileMapping(file.fd, 0, 10, PROT_READ).close();
  const byte = new Uint8Array(1);
  fs.readSync(file.fd, byte, 0, 1, null);
  assertEquals(byte, utf8("4"));
});

test("MemoryMap.createFileMapping() with MAP_PRIVATE keeps writes in the map", () => {
  using dir = tempDir();
  const path = dir.file("data", "original");
  using file = openFd(path, "r"); // a private copy needs no right to write
  using map = MemoryMap.createFileMapping(
    file.fd,
    0,
    8,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE,
  );
  using other = MemoryMap.createFileMapping(file.fd, 0, 8, PROT_READ);
  map.write("changed!");
  map.msync();
  assertEquals(map.read(8), utf8("changed!"));
  assertEquals(other.read(8), utf8("original"));
  assertEquals(fs.readFileSync(path, "utf8"), "original");
});

test("two shared maps of a file see each other's writes", () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", new Uint8Array(10_000)), "r+");
  using whole = MemoryMap.createFileMapping(file.fd, 0, 10_000);
  using part = MemoryMap.createFileMapping(file.fd, 4_001, 100);
  part.write("part", 10);
  assertEquals(whole.read(4, 4_011), utf8("part"));
  whole.write("whole", 4_020);
  assertEquals(part.read(5, 19), utf8("whole"));
});

test("a shared map sees what is written to the file", () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", new Uint8Array(100)), "r+");
  using map = MemoryMap.createFileMapping(file.fd, 50, 50, PROT_READ);
  fs.writeSync(file.fd, utf8("from outside"), 0, 12, 60);
  assertEquals(map.read(12, 10), utf8("from outside"));
});

test("MemoryMap.createFileMapping() maps whole pages of the file, and no more", {
  skip: skipWithoutProc,
}, () => {
  using dir = tempDir();
  const page = pageSize();
  const path = dir.file("data", new Uint8Array(10 * page));
  using file = openFd(path, "r+");
  using map = MemoryMap.createFileMapping(file.fd, 3 * page + 10, page);
  const [mapping, ...more] = mappingsOf(path);
  assertEquals(more, []);
  assertEquals(mapping?.offset, 3 * page);
  assertEquals(mapping?.start, map.addr - 10n);
  assertEquals(mapping!.end - mapping!.start, BigInt(2 * page));
});

test("MemoryMap.createFileMapping() maps with protection and sharing", {
  skip: skipWithoutProc,
}, () => {
  using dir = tempDir();
  const path = dir.file("data", new Uint8Array(100));
  using file = openFd(path, "r+");
  const cases: [number, number, string][] = [
    [PROT_READ, MAP_SHARED, "r--s"],
    [PROT_READ | PROT_WRITE, MAP_SHARED, "rw-s"],
    [PROT_READ, MAP_PRIVATE, "r--p"],
    [PROT_READ | PROT_WRITE, MAP_PRIVATE, "rw-p"],
  ];
  for (const [prot, flags, access] of cases) {
    using map = MemoryMap.createFileMapping(file.fd, 0, 100, prot, flags);
    assertEquals(mappingsOf(path).map((mapping) => mapping.access), [access]);
    assertEquals(map.prot, prot);
  }
});

test("MemoryMap.createFileMapping() holds one descriptor of its own until close()", {
  skip: skipWithoutProc,
}, () => {
  using dir = tempDir();
  const path = dir.file("data", new Uint8Array(100));
  using file = openFd(path, "r+");
  const map = MemoryMap.createFileMapping(file.fd, 0, 100);
  assert(descriptorsOf(path).length <= 2);
  map.close();
  assertEquals(descriptorsOf(path), [file.fd]);
  assertEquals(mappingsOf(path), []);
});

test("MemoryMap.createFileMapping() maps a device with a size", { skip: skipWithoutProc }, () => {
  using file = openFd("/dev/zero", "r+");
  using map = MemoryMap.createFileMapping(
    file.fd,
    0,
    8192,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE,
  );
  map.write("x");
  assertEquals(map.read(3), Uint8Array.of(120, 0, 0));
});

test("MemoryMap.createFileMapping() reaches the file that the descriptor has open", () => {
  using dir = tempDir();
  const first = dir.file("first", "aaaa");
  const second = dir.file("second", "bbbb");
  using a = openFd(first, "r+");
  using b = openFd(second, "r+");
  using mapOfB = MemoryMap.createFileMapping(b.fd, 0, 4);
  using mapOfA = MemoryMap.createFileMapping(a.fd, 0, 4);
  mapOfA.write("1");
  mapOfB.write("2");
  mapOfA.msync();
  mapOfB.msync();
  assertEquals(fileBytes(first), utf8("1aaa"));
  assertEquals(fileBytes(second), utf8("2bbb"));
});
