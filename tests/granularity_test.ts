/**
 * Pages of 16 and 64 KiB, and views that start only every 64 KiB as on Windows: the alignment of a
 * Mapping holds for every offset. The platform is the real one in a coarser grain, which refuses every
 * address and file offset that is not a multiple of it.
 */
import fs from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { hostConstants, platform } from "../src/ffi/host.ts";
import { type Platform, SystemCallError } from "../src/ffi/platform.ts";
import { Mapping } from "../src/mapping.ts";
import { advise, discard, prefault, punchHole, residency } from "../src/paging.ts";
import { UNMAPPED } from "../src/protections.ts";
import { fileBytes, pattern, random, type Skip, tempDir } from "./helpers.ts";

const {
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MS_SYNC,
  MADV_DONTNEED,
} = hostConstants;
const READ_WRITE = PROT_READ | PROT_WRITE;

const real = platform();
const skip: Skip = real.mapOver === undefined ? "needs to map over pages" : false;

/** Bytes of a page, and what file offsets are a multiple of. */
interface Grain {
  readonly pageSize: number;
  readonly allocationGranularity: number;
}

const grains: readonly Grain[] = [
  { pageSize: 4096, allocationGranularity: 65536 },
  { pageSize: 16384, allocationGranularity: 16384 },
  { pageSize: 65536, allocationGranularity: 65536 },
].filter(({ pageSize }) => pageSize % real.pageSize === 0);

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}

/** The running system with coarser pages. It has no `remap`, as most systems. */
function coarse({ pageSize, allocationGranularity }: Grain): Platform {
  const { remap: _, ...rest } = real;
  /** What a call with this address and length means there. */
  const pages = (address: bigint, length: number): [bigint, number] => {
    assertEquals(Number(address % BigInt(pageSize)), 0, `address ${address} of a page`);
    assert(length > 0, `a length of ${length}`);
    return [address, roundUp(length, pageSize)];
  };
  return {
    ...rest,
    pageSize,
    allocationGranularity,
    map(length, prot, flags, fd, offset) {
      assertEquals(offset % allocationGranularity, 0, `file offset ${offset}`);
      const whole = roundUp(length, pageSize);
      const flagsOfNothing = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
      const room = whole + allocationGranularity;
      const found = real.map(room, PROT_NONE, flagsOfNothing, -1, 0);
      const before = allocationGranularity - Number(found % BigInt(allocationGranularity));
      const base = found + BigInt(before);
      real.mapOver!(base, whole, prot, flags, fd, offset);
      real.unmap(found, before);
      if (room > before + whole) real.unmap(base + BigInt(whole), room - before - whole);
      return base;
    },
    unmap: (address, length) => real.unmap(...pages(address, length)),
    blank: (address, length) => real.blank(...pages(address, length)),
    reserve: (address, length) => real.reserve(...pages(address, length)),
    protect: (address, length, prot) => real.protect(...pages(address, length), prot),
    sync: (address, length, flags, fd) => real.sync(...pages(address, length), flags, fd),
    advise: (address, length, advice) => real.advise(...pages(address, length), advice),
    inherit: (address, length, inherited) => real.inherit(...pages(address, length), inherited),
    ...real.populate && {
      populate(address: bigint, length: number, write: boolean) {
        const [start, whole] = pages(address, length);
        try {
          real.populate!(start, whole, write);
        } catch (error) {
          // The page in which a file ends is one page there, and pages past the end here.
          assert(error instanceof SystemCallError && error.code === "EFAULT", String(error));
        }
      },
    },
    resident(address, length, resident) {
      const [start, whole] = pages(address, length);
      assertEquals(resident.length, whole / pageSize);
      const fine = new Uint8Array(whole / real.pageSize);
      real.resident!(start, whole, fine);
      const ratio = pageSize / real.pageSize;
      resident.forEach((_, i) => {
        resident[i] = Math.max(...fine.subarray(i * ratio, (i + 1) * ratio));
      });
    },
  };
}

/** A mapping that is closed at the end of the block. */
function mapped(
  grain: Grain,
  size: number,
  file?: { readonly path: string; readonly offset: number; readonly flags?: number },
): Disposable & { readonly map: Mapping } {
  const fd = file === undefined ? -1 : fs.openSync(file.path, "r+");
  const map = new Mapping("Cannot map", {
    platform: coarse(grain),
    size,
    prot: READ_WRITE,
    flags: file === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : file.flags ?? MAP_SHARED,
    file: file && { fd, close: () => fs.closeSync(fd) },
    offset: file?.offset ?? 0,
  }, {});
  return { map, [Symbol.dispose]: () => map.close() };
}

/** Places around the borders of pages of every size, below a limit. */
function places(limit: number): number[] {
  const borders = [0, 4096, 16384, 32768, 65536, 131072, limit];
  const around = borders.flatMap((border) => [border - 1, border, border + 1]);
  return [...new Set(around)].filter((place) => place >= 0 && place <= limit).sort((a, b) => a - b);
}

/** The bytes that a mapping shows now, copied. */
function bytesOf(map: Mapping): Uint8Array {
  return Uint8Array.from(map.range(0, map.size));
}

const CONTENT = pattern(150_001);

for (const grain of grains) {
  const { pageSize, allocationGranularity } = grain;
  const name = `with pages of ${pageSize} bytes, views every ${allocationGranularity}, `;

  describe(`${name}a map of a file`, { skip }, () => {
    test("shows its bytes, wherever it starts and ends", () => {
      using dir = tempDir();
      const path = dir.file("data", CONTENT);
      for (const offset of places(CONTENT.length)) {
        for (const end of places(CONTENT.length).filter((place) => place >= offset)) {
          using held = mapped(grain, end - offset, { path, offset });
          assertEquals(bytesOf(held.map), CONTENT.subarray(offset, end), `${offset} to ${end}`);
        }
      }
    });

    test("writes, flushes and is faulted in, any range of it", () => {
      using dir = tempDir();
      for (const offset of [0, 1, 4097, 65535, 65537]) {
        const path = dir.file("data", CONTENT);
        const expected = CONTENT.slice();
        const size = CONTENT.length - offset;
        using held = mapped(grain, size, { path, offset });
        const { map } = held;
        places(size - 1).forEach((start, i) => {
          const length = Math.min(1 + i * 997, size - start);
          prefault(map, start, length);
          map.range(start, length).fill(i);
          expected.fill(i, offset + start, offset + start + length);
          const around = map.pagesAround("flush", start, length)!;
          map.platform.sync(around.address, around.length, MS_SYNC, map.fd);
          assert(residency(map, start, length).every((page) => page === 1));
        });
        assertEquals(fileBytes(path), new Uint8Array(expected), `from ${offset} on`);
      }
    });

    test("keeps its bytes when it grows and shrinks, and so does the file", () => {
      using dir = tempDir();
      for (const offset of [0, 1, 16385, 65537]) {
        const path = dir.file("data", CONTENT);
        using held = mapped(grain, CONTENT.length - offset, { path, offset });
        const { map } = held;
        for (const size of [CONTENT.length, 300_000, 65537, 65536, 1, 200_000]) {
          const before = bytesOf(map);
          map.resize(size);
          const kept = Math.min(size, before.length);
          const after = bytesOf(map);
          assertEquals(after.subarray(0, kept), before.subarray(0, kept));
          assert(after.subarray(kept).every((byte) => byte === 0));
          assertEquals(fs.statSync(path).size, offset + size);
        }
      }
    });

    test("copied on write gets the file's bytes back, whole pages only", () => {
      using dir = tempDir();
      const path = dir.file("data", CONTENT);
      for (const offset of [0, 1, 65535, 65537]) {
        const size = CONTENT.length - offset;
        const borders = places(size);
        for (const [i, start] of borders.entries()) {
          const end = borders[(i * 7 + 5) % borders.length]!;
          if (end <= start) continue;
          using held = mapped(grain, size, { path, offset, flags: MAP_PRIVATE });
          held.map.range(0, size).fill(7);
          advise(held.map, MADV_DONTNEED, start, end - start);
          const expected = new Uint8Array(size).fill(7);
          // Pages count from the start of the file; the first and the last are the map's own.
          const from = start === 0 ? 0 : roundUp(start + offset, pageSize) - offset;
          const to = end === size ? size : roundDown(end + offset, pageSize) - offset;
          if (to > from) expected.set(CONTENT.subarray(offset + from, offset + to), from);
          assertEquals(bytesOf(held.map), expected, `${start} to ${end} from ${offset} on`);
        }
      }
    });
  });

  describe(`${name}anonymous memory`, { skip }, () => {
    test("starts at a whole page and holds what is written", () => {
      for (const size of places(200_000).filter((place) => place > 0)) {
        using held = mapped(grain, size);
        assertEquals(held.map.addr % BigInt(allocationGranularity), 0n);
        const bytes = pattern(size);
        held.map.range(0, size).set(bytes);
        assertEquals(bytesOf(held.map), new Uint8Array(bytes));
      }
    });

    test("is protected in the pages that a range touches", () => {
      const size = 200_000;
      for (const start of places(size - 1)) {
        using held = mapped(grain, size);
        const length = Math.min(20_000, size - start);
        held.map.protect(PROT_READ, start, length);
        const from = roundDown(start, pageSize);
        const to = Math.min(roundUp(start + length, pageSize), size);
        const expected = [[0, from, READ_WRITE], [from, to, PROT_READ], [to, size, READ_WRITE]]
          .filter(([from = 0, to = 0]) => to > from);
        assertEquals(
          held.map.segments(0, size).map(({ start, end, prot }) => [start, end, prot]),
          expected,
        );
      }
    });

    test("gives back the whole pages in a range, and keeps the rest", () => {
      const size = 200_001;
      const borders = places(size);
      for (const [i, start] of borders.entries()) {
        const end = borders[(i * 5 + 3) % borders.length]!;
        if (end <= start) continue;
        using held = mapped(grain, size);
        held.map.range(0, size).fill(1);
        held.map.unmapRange(start, end - start);
        const gone = held.map.segments(0, size).filter(({ prot }) => prot === UNMAPPED);
        const from = roundUp(start, pageSize);
        const to = end === size ? size : roundDown(end, pageSize);
        assertEquals(gone.map(({ start, end }) => [start, end]), to > from ? [[from, to]] : []);
        for (
          const { start, end } of held.map.segments(0, size).filter((s) => s.prot !== UNMAPPED)
        ) {
          assert(held.map.range(start, end - start).every((byte) => byte === 1));
        }
      }
    });

    test("reads as zeros where a hole was punched, to the byte", () => {
      const size = 200_001;
      const next = random(pageSize);
      const expected = pattern(size);
      using held = mapped(grain, size);
      held.map.range(0, size).set(expected);
      for (let i = 0; i < 40; i++) {
        const start = Math.floor(next() * size);
        const length = Math.floor(next() * (size - start + 1));
        const value = 1 + i;
        punchHole(held.map, start, length);
        expected.fill(0, start, start + length);
        assertEquals(bytesOf(held.map), new Uint8Array(expected), `${length} bytes at ${start}`);
        held.map.range(0, size).fill(value);
        expected.fill(value);
      }
    });

    test("loses only whole pages when it is discarded", () => {
      const size = 200_001;
      for (const start of places(size - 1)) {
        using held = mapped(grain, size);
        const length = Math.min(70_000, size - start);
        held.map.range(0, size).fill(1);
        discard(held.map, start, length);
        const end = start + length;
        const from = roundUp(start, pageSize);
        const to = end === size ? size : roundDown(end, pageSize);
        const expected = new Uint8Array(size).fill(1);
        if (to > from) expected.fill(0, from, to);
        assertEquals(bytesOf(held.map), expected, `${length} bytes at ${start}`);
      }
    });

    test("keeps its bytes when it grows and shrinks, and grows with zeros", () => {
      using held = mapped(grain, 100_000);
      const { map } = held;
      let expected = new Uint8Array(100_000).fill(9);
      map.range(0, map.size).fill(9);
      for (const size of [65537, 65536, 65535, 16385, 200_000, 1, 16384, 150_000]) {
        map.resize(size);
        const next = new Uint8Array(size);
        next.set(expected.subarray(0, size));
        expected = next;
        assertEquals(bytesOf(map), expected, `resized to ${size}`);
      }
    });

    test("tells the residency of the pages that a range touches", () => {
      const size = 200_000;
      for (const start of places(size - 1)) {
        using held = mapped(grain, size);
        const length = Math.min(50_000, size - start);
        const touched = roundUp(start + length, pageSize) - roundDown(start, pageSize);
        held.map.range(start, length).fill(1);
        assertEquals(residency(held.map, start, length).length, touched / pageSize);
        assert(residency(held.map, start, length).every((page) => page === 1));
      }
    });
  });
}
