/** `MemoryMap.mprotect()`: what the system and the methods allow afterwards. */
import { describe, test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  MemoryMap,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { accessOf, assertRefused, random, skipWithoutProc, tempDir, utf8 } from "./helpers.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;

/** Whether a byte can be read and written by the methods. */
function allowed(map: MemoryMap, offset: number): string {
  const tries: [string, () => unknown][] = [
    ["r", () => map.read(1, offset)],
    ["w", () => map.write(Uint8Array.of(1), offset)],
  ];
  return tries.map(([letter, call]) => {
    try {
      call();
      return letter;
    } catch (error) {
      if (error instanceof MMapProtectionError) return "-";
      throw error;
    }
  }).join("");
}

describe("MemoryMap.mprotect() of the whole map", () => {
  const accesses: [number, string][] = [
    [PROT_NONE, "---p"],
    [PROT_READ, "r--p"],
    [READ_WRITE, "rw-p"],
    [PROT_READ | PROT_EXEC, "r-xp"],
  ];
  for (const [prot, access] of accesses) {
    test(`makes it ${access}`, { skip: skipWithoutProc }, () => {
      using map = MemoryMap.createAnonymous(3 * page);
      map.mprotect(prot);
      assertEquals(accessOf(map.addr, 3, page), [access, access, access]);
      assertEquals(map.prot, prot);
    });
  }
});

describe("MemoryMap.mprotect() of a range", () => {
  test("changes every page that the range touches", { skip: skipWithoutProc }, () => {
    const cases: [number, number, string][] = [
      [0, 1, "r---"],
      [0, page, "r---"],
      [0, page + 1, "rr--"],
      [page - 1, 2, "rr--"],
      [page, page, "-r--"],
      [2 * page + 5, 1, "--r-"],
      [2 * page, 2 * page, "--rr"],
      [4 * page - 1, 1, "---r"],
    ];
    for (const [offset, length, expected] of cases) {
      using map = MemoryMap.createAnonymous(4 * page, PROT_NONE);
      map.mprotect(PROT_READ, offset, length);
      const access = accessOf(map.addr, 4, page).map((text) => text[0]).join("");
      assertEquals(access, expected, `${length} bytes at ${offset}`);
    }
  });
  test("goes to the end of the map without a length", { skip: skipWithoutProc }, () => {
    using map = MemoryMap.createAnonymous(3 * page);
    map.mprotect(PROT_READ, page);
    assertEquals(accessOf(map.addr, 3, page), ["rw-p", "r--p", "r--p"]);
  });
  test("of no bytes changes nothing", { skip: skipWithoutProc }, () => {
    using map = MemoryMap.createAnonymous(2 * page);
    map.mprotect(PROT_NONE, 5, 0);
    map.mprotect(PROT_NONE, 2 * page);
    assertEquals(accessOf(map.addr, 2, page), ["rw-p", "rw-p"]);
    assertEquals(map.write("x"), 1);
  });
  test("leaves the property prot", () => {
    using map = MemoryMap.createAnonymous(2 * page);
    map.mprotect(PROT_READ, 0, page);
    assertEquals(map.prot, READ_WRITE);
    map.mprotect(PROT_READ, page, page);
    assertEquals(map.prot, PROT_READ);
  });
  test("makes the methods refuse exactly the pages changed", () => {
    using map = MemoryMap.createAnonymous(4 * page);
    map.mprotect(PROT_READ, page, 1);
    map.mprotect(PROT_NONE, 2 * page, 1);
    const edges = [0, page - 1, page, 2 * page - 1, 2 * page, 3 * page - 1, 3 * page, 4 * page - 1];
    assertEquals(
      edges.map((offset) => allowed(map, offset)),
      ["rw", "rw", "r-", "r-", "--", "--", "rw", "rw"],
    );
  });
  test("of a map that starts inside a page changes the pages, not the bytes beside them", () => {
    using dir = tempDir();
    const start = 100;
    using map = MemoryMap.open(dir.file("data", new Uint8Array(3 * page)), {
      mode: "r+",
      offset: start,
    });
    const firstPage = page - start; // bytes of the map in the first page of the file
    map.mprotect(PROT_READ, 0, 10);
    assertEquals(allowed(map, firstPage - 1), "r-");
    assertEquals(allowed(map, firstPage), "rw");
    assertEquals(allowed(map, page - 1), "rw");
    assertEquals(allowed(map, page), "rw");
  });
  test("of a map that starts inside a page is never taken for more than was changed", {
    skip: skipWithoutProc,
  }, () => {
    using dir = tempDir();
    const start = 100;
    using map = MemoryMap.open(dir.file("data", new Uint8Array(3 * page)), {
      mode: "r+",
      offset: start,
    });
    map.mprotect(PROT_READ);
    map.mprotect(READ_WRITE, 0, 10);
    const base = map.addr - BigInt(start);
    assertEquals(accessOf(base, 3, page), ["rw-s", "r--s", "r--s"]);
    // Written for real, this byte would kill the process.
    assertRefused(() => map.write("x", page - start), MMapProtectionError, "PROT_WRITE");
  });
});

test("three hundred random calls of MemoryMap.mprotect() leave methods and system agreed", {
  skip: skipWithoutProc,
}, () => {
  using dir = tempDir();
  const pages = 16;
  const start = 1234;
  const size = pages * page - start - 77;
  using map = MemoryMap.open(dir.file("data", new Uint8Array(pages * page)), {
    mode: "r+",
    offset: start,
    size,
  });
  const base = map.addr - BigInt(start);
  const next = random(4);
  for (let i = 0; i < 300; i++) {
    const offset = Math.floor(next() * size);
    const length = Math.floor(next() ** 2 * (size - offset));
    map.mprotect([PROT_NONE, PROT_READ, READ_WRITE][Math.floor(next() * 3)]!, offset, length);
    accessOf(base, pages, page).forEach((access, i) => {
      const first = Math.max(i * page - start, 0);
      const last = Math.min((i + 1) * page - start, size) - 1;
      for (const offset of [first, last]) {
        assertEquals(allowed(map, offset), access.slice(0, 2), `offset ${offset}`);
      }
    });
  }
});

test("MemoryMap.mprotect() lets a map be written, frozen, hidden and opened again", () => {
  using map = MemoryMap.createAnonymous(page);
  map.write("secret");
  map.mprotect(PROT_READ);
  assertEquals(map.read(6), utf8("secret"));
  assertRefused(() => map.write("x"), MMapProtectionError, "PROT_WRITE");
  map.mprotect(PROT_NONE);
  assertRefused(() => map.read(1), MMapProtectionError, "PROT_READ");
  map.mprotect(READ_WRITE);
  assertEquals(map.read(6), utf8("secret"));
  map.write("S");
  assertEquals(map.read(6), utf8("Secret"));
});

test("MemoryMap.mprotect() refuses to make a map of a read-only file writable", () => {
  using dir = tempDir();
  using map = MemoryMap.open(dir.file("data", "content"));
  const error = assertRefused(
    () => map.mprotect(READ_WRITE),
    MMapProtectionError,
    "Cannot protect 7 bytes at offset 0",
    'mode "r+"',
    '"c"',
  );
  assertEquals(error.code, "EACCES");
  assertEquals(map.prot, PROT_READ);
  assertRefused(() => map.write("x"), MMapProtectionError, "PROT_WRITE");
  assertEquals(map.read(7), utf8("content"));
});

test("MemoryMap.mprotect() makes a copy-on-write map writable again", () => {
  using dir = tempDir();
  using map = MemoryMap.open(dir.file("data", "content"), { mode: "c" });
  map.mprotect(PROT_READ);
  map.mprotect(READ_WRITE);
  map.write("C");
  assertEquals(map.read(7), utf8("Content"));
});

test("MemoryMap.mprotect() refuses unknown protections", () => {
  using map = MemoryMap.createAnonymous(page);
  for (const prot of [8, -1, 1.5, NaN, 2 ** 32, 2 ** 40 + 1, "1", null, 1n]) {
    assertRefused(
      () => map.mprotect(prot as number),
      MMapInvalidParameterError,
      "PROT_READ, PROT_WRITE and PROT_EXEC",
      String(prot),
    );
  }
  assertEquals(map.write("x"), 1);
});

test(
  "MemoryMap.mprotect() refuses a range that ends past the map",
  { skip: skipWithoutProc },
  () => {
    using map = MemoryMap.createAnonymous(page);
    const error = assertRefused(
      () => map.mprotect(PROT_NONE, 10, page - 9),
      MMapInvalidParameterError,
      `${page - 9} bytes at offset 10`,
    );
    assertStringIncludes(error.message, `map has ${page} bytes`);
    assertEquals(accessOf(map.addr, 1, page), ["rw-p"]);
  },
);
