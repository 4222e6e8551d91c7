/** `MemoryMap.unmapRange()`: pages given back, addresses kept, the rest of the map as it was. */
import { describe, test } from "node:test";
import fc from "fast-check";
import fs from "node:fs";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  MADV_NORMAL,
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MS_SYNC,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  accessOf,
  assertRefused,
  descriptorsOf,
  fileBytes,
  firstReason,
  lockedBytes,
  mappingAt,
  mappings,
  mappingsOf,
  pattern,
  skipOnWindows,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";
import { assertRefusedLater, skipOutsideLinux } from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const skip = firstReason(skipOnWindows, skipWithoutProc);

/** Eight pages of ones, of which the third to the fifth were given back. */
function withHole(): MemoryMap {
  const map = MemoryMap.createAnonymous(8 * page);
  map.fill(1);
  map.unmapRange(2 * page, 3 * page);
  return map;
}

describe("after MemoryMap.unmapRange(), the range is refused by", () => {
  const inside = 3 * page;
  const uses: [string, (map: MemoryMap) => unknown][] = [
    ["read()", (map) => map.read(1, inside)],
    ["read() across its start", (map) => map.read(2, 2 * page - 1)],
    ["read() across its end", (map) => map.read(2, 5 * page - 1)],
    ["read() of everything", (map) => map.read(8 * page)],
    ["readInto()", (map) => map.readInto(new Uint8Array(10), inside)],
    ["write()", (map) => map.write("x", inside)],
    ["write() across its start", (map) => map.write("xx", 2 * page - 1)],
    ["bytes", (map) => map.bytes],
    ["buffer", (map) => map.buffer],
    ["asTypedArray()", (map) => map.asTypedArray(Uint8Array, inside, 1)],
    ["asTypedArray() of everything", (map) => map.asTypedArray(Uint8Array)],
    ["asDataView()", (map) => map.asDataView(inside, 1)],
    ["fill()", (map) => map.fill(1, inside, 1)],
    ["fill() of everything", (map) => map.fill(1)],
    ["copyWithin() out of it", (map) => map.copyWithin(0, inside, 1)],
    ["copyWithin() into it", (map) => map.copyWithin(inside, 0, 1)],
    ["compare()", (map) => map.compare(Uint8Array.of(1), inside, 0, 1)],
    ["compare() of another map with it", (map) => {
      using other = MemoryMap.createAnonymous(page);
      return other.compare(map, 0, inside, 1);
    }],
    ["find()", (map) => map.find("needle", inside)],
    ["rfind()", (map) => map.rfind("needle")],
    ["indexOfByte()", (map) => map.indexOfByte(9)],
    ["count()", (map) => map.count(1)],
    ["mprotect()", (map) => map.mprotect(PROT_READ, inside, 1)],
    ["mprotect() of everything", (map) => map.mprotect(PROT_READ)],
    ["msync()", (map) => map.msync(MS_SYNC, inside, 1)],
    ["flush()", (map) => map.flush(inside, 1)],
    ["mlock()", (map) => map.mlock(inside, 1)],
    ["munlock()", (map) => map.munlock(inside, 1)],
    ["madvise()", (map) => map.madvise(MADV_NORMAL, inside, 1)],
    ["hint()", (map) => map.hint("random", inside, 1)],
    ["discard()", (map) => map.discard(inside, page)],
    ["residency()", (map) => map.residency(inside, 1)],
    ["prefault()", (map) => map.prefault(inside, 1)],
    ["punchHole()", (map) => map.punchHole(inside, 1)],
    ["unmapRange() once more", (map) => map.unmapRange(inside, page)],
  ];
  for (const [name, use] of uses) {
    test(name, { skip: skipOnWindows }, () => {
      using map = withHole();
      assertRefused(() => use(map), MMapClosedError, "unmapRange()");
      assertEquals([map.count(1, 0, 2 * page), map.count(1, 5 * page)], [2 * page, 3 * page]);
    });
  }
  test("each of these, when the range is the whole map", { skip: skipOnWindows }, () => {
    const allowed = uses.filter(([, use]) => {
      using map = MemoryMap.createAnonymous(8 * page);
      map.unmapRange(0, 8 * page);
      try {
        use(map); // a view that it hands out must not be touched
      } catch (error) {
        return !(error instanceof MMapClosedError);
      }
      return true;
    });
    assertEquals(allowed.map(([name]) => name), []);
  });
  test("prefaultAsync() and msyncAsync()", { skip: skipOnWindows }, async () => {
    using map = withHole();
    await assertRefusedLater(map.prefaultAsync(inside, 1), MMapClosedError, "unmapRange()");
    await assertRefusedLater(map.msyncAsync(MS_SYNC, inside, 1), MMapClosedError, "unmapRange()");
  });
});

describe("after MemoryMap.unmapRange(), the rest", () => {
  test("takes every operation", { skip: skipOutsideLinux }, async () => {
    using map = withHole();
    for (const [start, length] of [[0, 2 * page], [5 * page, 3 * page]] as const) {
      map.write(pattern(length), start);
      assertEquals(map.read(length, start), pattern(length));
      assertEquals(map.readInto(new Uint8Array(length), start), length);
      assertEquals(map.compare(pattern(length), start, 0, length), 0);
      assertEquals(map.find(pattern(length).subarray(50, 70), start, start + length), start + 50);
      assertEquals(map.rfind(pattern(length).subarray(50, 70), start, start + length), start + 50);
      map.asTypedArray(Uint8Array, start, length).fill(2);
      assertEquals(map.asDataView(start, length).getUint8(length - 1), 2);
      assertEquals(map.count(2, start, length), length);
      assertEquals(map.indexOfByte(2, start, start + length), start);
      map.fill(3, start, length);
      map.msync(MS_SYNC, start, length);
      map.mlock(start, length);
      map.munlock(start, length);
      map.hint("sequential", start, length);
      map.prefault(start, length);
      await map.prefaultAsync(start, length);
      await map.msyncAsync(MS_SYNC, start, length);
      assertEquals(map.residency(start, length).length, length / page);
      map.mprotect(PROT_READ, start, page);
      map.mprotect(READ_WRITE, start, page);
      map.punchHole(start, 1);
      map.discard(start, page);
    }
    map.copyWithin(0, 6 * page, page);
    assertEquals([map.size, map.isValid], [8 * page, true]);
  });
  test("keeps its bytes, at the same addresses", { skip }, () => {
    using map = MemoryMap.createAnonymous(8 * page);
    map.write(pattern(8 * page));
    const { addr, size } = map;
    map.unmapRange(2 * page, 3 * page);
    assertEquals([map.addr, map.size], [addr, size]);
    assertEquals(map.read(2 * page), pattern(8 * page).slice(0, 2 * page));
    assertEquals(map.read(3 * page, 5 * page), pattern(8 * page).slice(5 * page));
  });
  test("of a file goes on reaching the file, and the file keeps all its bytes", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8 * page).fill(7));
    using map = MemoryMap.open(path, { mode: "r+" });
    map.write("before", 3 * page);
    map.unmapRange(2 * page, 3 * page);
    map.write("start", 0);
    map.write("end", 8 * page - 3);
    map.msync(MS_SYNC, 0, page);
    const expected = new Uint8Array(8 * page).fill(7);
    expected.set(new TextEncoder().encode("before"), 3 * page);
    expected.set(new TextEncoder().encode("start"));
    expected.set(new TextEncoder().encode("end"), 8 * page - 3);
    assertEquals(fileBytes(path), expected);
  });
});

describe("MemoryMap.unmapRange()", () => {
  test("reserves the addresses without access", { skip }, () => {
    using map = withHole();
    assertEquals(accessOf(map.addr, 8, page), [
      "rw-p",
      "rw-p",
      "---p",
      "---p",
      "---p",
      "rw-p",
      "rw-p",
      "rw-p",
    ]);
  });
  test("takes the pages of a file out of the mappings of the file", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8 * page));
    using map = MemoryMap.open(path, { mode: "r+" });
    map.unmapRange(2 * page, 3 * page);
    const parts = mappingsOf(path).map(({ start, end }) => [start - map.addr, end - map.addr]);
    assertEquals(parts, [[0n, BigInt(2 * page)], [BigInt(5 * page), BigInt(8 * page)]]);
    assertEquals(mappingAt(map.addr + BigInt(2 * page))?.access, "---p");
  });
  test("gives the memory back at once", { skip: firstReason(skip, skipOutsideLinux) }, () => {
    const size = 64 << 20;
    const resident = () =>
      Number(/^VmRSS:\s*(\d+) kB$/m.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
    using map = MemoryMap.createAnonymous(size);
    map.fill(1);
    const before = resident();
    map.unmapRange(page, size - 2 * page);
    assert(before - resident() > size / 2, `${before - resident()} bytes were given back`);
    assertEquals([map.count(1, 0, page), map.count(1, size - page)], [page, page]);
  });
  test("lets no other map have the addresses, among a thousand", { skip }, () => {
    using map = withHole();
    const start = map.addr + BigInt(2 * page);
    const end = map.addr + BigInt(5 * page);
    const others: MemoryMap[] = [];
    try {
      for (let i = 0; i < 1000; i++) {
        const other = MemoryMap.createAnonymous((i % 3 + 1) * page);
        others.push(other);
        assert(other.addr + BigInt(other.size) <= start || other.addr >= end);
      }
      assertEquals(accessOf(start, 3, page), ["---p", "---p", "---p"]);
    } finally {
      for (const other of others) other.close();
    }
  });
  test("and close() gives everything back", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8 * page));
    const maps = [MemoryMap.createAnonymous(8 * page), MemoryMap.open(path, { mode: "r+" })];
    const addresses = maps.map((map) => map.addr);
    for (const map of maps) {
      map.unmapRange(0, 2 * page);
      map.unmapRange(4 * page, page);
      map.unmapRange(7 * page, page);
      map.close();
    }
    assertEquals([mappingsOf(path).length, descriptorsOf(path).length], [0, 0]);
    const left = mappings().filter(({ start, end, access }) =>
      access.startsWith("---") && addresses.some((at) => start <= at && at < end)
    );
    assertEquals(left.filter(({ start, end }) => end - start <= BigInt(8 * page)), []);
  });
  test("empties the views, also those of the rest", { skip: skipOnWindows }, () => {
    using map = MemoryMap.createAnonymous(8 * page);
    const { bytes } = map;
    const part = map.asTypedArray(Uint32Array, 0, 10);
    const view = map.asDataView(0, 10);
    map.unmapRange(2 * page, 3 * page);
    assertEquals([bytes.length, bytes[0], part.length], [0, undefined, 0]);
    assertThrows(() => view.getUint8(0), TypeError);
    assertEquals(map.asTypedArray(Uint32Array, 0, 10).length, 10);
  });
  const roundings: [string, number, number, string][] = [
    ["a page, asked for byte by byte", page, page, "#.######"],
    ["no page where the range holds none whole", page + 1, page, "########"],
    ["the whole pages in the range", page - 1, 2 * page + 5, "#..#####"],
    ["the last page, when the range ends with the map", 7 * page + 1, 9, "########"],
    ["nothing for no bytes", page, 0, "########"],
    ["the end of the map", 6 * page, 1 * page + 10, "######.."],
  ];
  for (const [name, offset, length, expected] of roundings) {
    test(`gives back ${name}`, { skip }, () => {
      using map = MemoryMap.createAnonymous(7 * page + 10);
      map.fill(1);
      map.unmapRange(offset, length);
      const access = accessOf(map.addr, 8, page).map((access) => access === "---p" ? "." : "#");
      assertEquals(access.join(""), expected);
      for (let i = 0; i < 8; i++) {
        const read = () => map.read(1, i * page);
        if (expected[i] === "#") assertEquals(read(), Uint8Array.of(1));
        else assertRefused(read, MMapClosedError, "unmapRange()");
      }
    });
  }
  test("counts pages of the file where the map starts inside one", { skip }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8 * page).fill(1));
    using map = MemoryMap.open(path, { mode: "r+", offset: page - 10 });
    map.unmapRange(10, page);
    assertEquals(map.count(1, 0, 10), 10);
    assertRefused(() => map.read(1, 10), MMapClosedError, "byte 10 ");
    assertEquals(map.count(1, page + 10), map.size - page - 10);
  });
  test("agrees with a model after many calls", { skip: skipOnWindows }, () => {
    const pages = 24;
    const ranges = fc.array(fc.tuple(fc.nat(pages * page), fc.nat(pages * page)), { maxLength: 6 });
    fc.assert(
      fc.property(ranges, (list) => {
        using map = MemoryMap.createAnonymous(pages * page);
        map.fill(1);
        const gone = new Set<number>();
        for (const [a, b] of list) {
          const offset = Math.min(a, b);
          const first = Math.floor(offset / page);
          const touched = Array.from(
            { length: Math.ceil(Math.max(a, b) / page) - first },
            (_, i) => first + i,
          );
          const call = () => map.unmapRange(offset, Math.abs(a - b));
          if (a !== b && touched.some((i) => gone.has(i))) {
            assertRefused(call, MMapClosedError, "unmapRange()");
            continue;
          }
          call();
          for (const i of touched) {
            if (i * page >= offset && (i + 1) * page <= Math.max(a, b)) gone.add(i);
          }
        }
        for (let i = 0; i < pages; i++) {
          const count = () => map.count(1, i * page, page);
          if (gone.has(i)) assertRefused(count, MMapClosedError, "unmapRange()");
          else assertEquals(count(), page);
        }
      }),
      { numRuns: 50, seed: 1 },
    );
  });
  test("of shared anonymous memory and of a memfd", { skip: skipOutsideLinux }, () => {
    using anonymous = MemoryMap.createAnonymous(4 * page, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    using memfd = MemoryMap.createMemfd(4 * page);
    for (const map of [anonymous, memfd]) {
      map.fill(1);
      map.unmapRange(page, page);
      assertEquals([map.count(1, 0, page), map.count(1, 2 * page)], [page, 2 * page]);
      assertRefused(() => map.read(1, page), MMapClosedError, "unmapRange()");
    }
  });
  test("of a map over 4 GiB", { skip: skipOnWindows }, () => {
    const GiB = 2 ** 30;
    using map = MemoryMap.createAnonymous(12 * GiB, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    for (let i = 0; i < 12; i++) map.write("x", i * GiB);
    map.unmapRange(3 * GiB, 5 * GiB);
    for (let i = 0; i < 12; i++) {
      const read = () => map.read(1, i * GiB);
      if (i < 3 || i >= 8) assertEquals(read(), Uint8Array.of(120));
      else assertRefused(read, MMapClosedError, "unmapRange()");
    }
  });
  test("of locked memory unlocks it", { skip: firstReason(skip, skipOutsideLinux) }, () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.mlock();
    const before = lockedBytes();
    map.unmapRange(page, page);
    assertEquals(lockedBytes() - before, -page);
  });
  test("refuses ranges that are not in the map", () => {
    using map = MemoryMap.createAnonymous(page);
    const { bytes } = map;
    assertRefused(
      () => map.unmapRange(1, page),
      MMapInvalidParameterError,
      `Cannot unmap ${page} bytes at offset 1: map has ${page} bytes`,
    );
    for (const [offset, length] of [[page, 1], [-1, 1], [0, -1], [0.5, 1], [0, NaN]] as const) {
      assertRefused(() => map.unmapRange(offset, length), MMapInvalidParameterError);
    }
    assertEquals(bytes.length, page);
  });
  test("refuses a closed map", () => {
    const map = MemoryMap.createAnonymous(page);
    map.close();
    assertRefused(() => map.unmapRange(0, page), MMapClosedError, "closed");
  });
});
