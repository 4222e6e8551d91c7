/** `MemoryMap.createMemfd()`: shared memory with a descriptor that other processes can open. */
import { describe, test } from "node:test";
import fs from "node:fs";
import process from "node:process";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  MemoryMap,
  MMapAllocationError,
  MMapInvalidParameterError,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import {
  assertRefused,
  countDescriptors,
  descriptorsOf,
  firstReason,
  fixtureResult,
  mappings,
  pattern,
  skipEmulated,
  skipWithoutChildren,
  skipWithoutProc,
  utf8,
} from "./helpers.ts";
import { areaAt, hasFlag, pagesIn, skipOutsideLinux } from "./helpers_paging.ts";

const page = pageSize();
const skip = firstReason(skipOutsideLinux, skipWithoutProc);
/** Where the emulated kernel has no seals. */
const skipSealing = firstReason(skip, skipEmulated);
let names = 0;

/** A name that no other memfd of this process has. */
function freshName(): string {
  return `test-${process.pid}-${names++}`;
}

/** How `/proc` spells a memfd. */
const fileOf = (name: string): string => `/memfd:${name} (deleted)`;

describe("MemoryMap.createMemfd()", () => {
  test("gives zero-filled memory that can be read and written", { skip }, () => {
    using map = MemoryMap.createMemfd(3 * page + 7);
    assertEquals([map.size, map.prot, map.offset], [3 * page + 7, PROT_READ | PROT_WRITE, 0]);
    assertEquals([map.path, map.name], [undefined, "mman"]);
    assertEquals(map.count(0), 3 * page + 7);
    map.write(pattern(3 * page + 7));
    assertEquals(map.bytes, pattern(3 * page + 7));
  });
  test("maps shared, under its name", { skip }, () => {
    const name = freshName();
    using map = MemoryMap.createMemfd(page, { name });
    assertEquals(map.name, name);
    const { access, label } = areaAt(map.addr);
    assertEquals([access, label], ["rw-s", fileOf(name)]);
  });
  test("uses no memory until it is touched", { skip }, () => {
    using map = MemoryMap.createMemfd(2 ** 36);
    map.write("end", 2 ** 36 - 3);
    assertEquals(map.read(3, 2 ** 36 - 3), utf8("end"));
    assertEquals(map.stats().resident <= 2 << 20, true);
  });
  test("has a descriptor that a second process opens: both see the same bytes", {
    skip: firstReason(skip, skipWithoutChildren()),
  }, async () => {
    const name = freshName();
    using map = MemoryMap.createMemfd(page, { name });
    map.write("from the parent");
    const [fd] = descriptorsOf(fileOf(name));
    const { seen } = await fixtureResult<{ seen: string }>("peer.ts", {
      args: [`/proc/${process.pid}/fd/${fd}`, "0", "15", "from the child!"],
    });
    assertEquals(seen, "from the parent");
    assertEquals(map.read(15), utf8("from the child!"));
  });
  test("and a second map of it in this process", { skip }, () => {
    const name = freshName();
    using map = MemoryMap.createMemfd(2 * page, { name });
    const [fd] = descriptorsOf(fileOf(name));
    using second = MemoryMap.createFileMapping(fd!, page, page);
    map.write("shared", page);
    assertEquals(second.read(6), utf8("shared"));
  });
  test("keeps its memory for others after close()", { skip }, () => {
    const name = freshName();
    const map = MemoryMap.createMemfd(page, { name });
    map.write("kept");
    using second = MemoryMap.createFileMapping(descriptorsOf(fileOf(name))[0]!, 0, page);
    map.close();
    assertEquals(second.read(4), utf8("kept"));
  });
  test("close() gives descriptor and mapping back", { skip }, () => {
    const name = freshName();
    const map = MemoryMap.createMemfd(page, { name });
    assertEquals(descriptorsOf(fileOf(name)).length, 1);
    map.close();
    assertEquals(descriptorsOf(fileOf(name)), []);
    assertEquals(mappings().filter(({ path }) => path === fileOf(name)), []);
  });
  test("a thousand times leaks nothing", { skip }, () => {
    const before = countDescriptors();
    for (let i = 0; i < 1000; i++) MemoryMap.createMemfd(page).close();
    assert(countDescriptors() <= before + 5);
  });
  test("is not handed on to programs that this process starts", {
    skip: firstReason(skip, skipWithoutAdvice),
  }, () => {
    const name = freshName();
    using map = MemoryMap.createMemfd(page, { name });
    const [fd] = descriptorsOf(fileOf(name));
    const flags = /^flags:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
    const O_CLOEXEC = 0o2000000;
    assertEquals(parseInt(flags ?? "0", 8) & O_CLOEXEC, O_CLOEXEC);
    assertEquals(hasFlag(map.addr, "dc"), true);
  });
  test("cannot be made shorter by anybody who has it", { skip: skipSealing }, () => {
    const name = freshName();
    using map = MemoryMap.createMemfd(4 * page, { name });
    map.fill(7);
    const descriptor = `/proc/self/fd/${descriptorsOf(fileOf(name))[0]}`;
    for (const size of [0, page, 4 * page - 1]) {
      const error = assertThrows(() => fs.truncateSync(descriptor, size), Error);
      assertEquals((error as { code?: string }).code, "EPERM");
    }
    assertEquals([map.count(7), map.faults], [4 * page, 0]);
  });
  test("can be resized all the same: what it loses becomes zeros", { skip: skipSealing }, () => {
    const name = freshName();
    using map = MemoryMap.createMemfd(8 * page, { name });
    map.fill(7);
    using second = MemoryMap.createFileMapping(descriptorsOf(fileOf(name))[0]!, 0, 8 * page);
    for (const size of [4 * page + 1, 3 * page, 3 * page + 5]) map.resize(size);
    assertEquals(map.count(7), 3 * page);
    assertEquals([second.count(7), second.count(0)], [3 * page, 5 * page]);
    map.resize(16 * page);
    assertEquals(map.count(0), 13 * page);
    map.write("end", 16 * page - 3);
    assertEquals(map.read(3, 16 * page - 3), utf8("end"));
    assertEquals(second.faults, 0);
  });
  test("discards nothing, punches holes", { skip }, () => {
    using map = MemoryMap.createMemfd(4 * page);
    map.fill(1);
    map.discard();
    assertEquals(map.count(1), 4 * page);
    map.punchHole(page, 2 * page);
    assertEquals(pagesIn(map), "#..#");
  });
  for (const name of ["", "a b", "with/slash", "ü €", "x".repeat(200)]) {
    test(`takes the name ${JSON.stringify(name.slice(0, 12))} (${name.length})`, { skip }, () => {
      using map = MemoryMap.createMemfd(page, { name });
      assertEquals(map.name, name);
      assertEquals(areaAt(map.addr).label.startsWith(`/memfd:${name.slice(0, 1)}`), true);
    });
  }
  for (const name of ["a\0b", "x".repeat(300), "€".repeat(200), 5, null]) {
    test(`refuses the name ${JSON.stringify(name).slice(0, 12)}`, { skip }, () => {
      const before = countDescriptors();
      assertRefused(
        () => MemoryMap.createMemfd(page, { name: name as string }),
        MMapInvalidParameterError,
      );
      assertEquals(countDescriptors(), before);
    });
  }
  for (const size of [0, -1, 1.5, NaN, Infinity, 2 ** 53, "5", null, undefined]) {
    test(`refuses ${typeof size} ${size} as a size`, { skip }, () => {
      assertRefused(
        () => MemoryMap.createMemfd(size as number),
        MMapInvalidParameterError,
        String(size),
        "size in bytes",
      );
    });
  }
  test("of more than the address space is an error that leaves nothing open", { skip }, () => {
    const before = countDescriptors();
    assertRefused(() => MemoryMap.createMemfd(2 ** 52), MMapAllocationError, String(2 ** 52));
    assertEquals(countDescriptors(), before);
  });
});
