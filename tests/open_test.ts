/** `MemoryMap.open()`: the four modes, sizes and offsets, and what happens to the file. */
import { describe, test } from "node:test";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  allocationGranularity,
  MemoryMap,
  MMapInvalidParameterError,
  MMapProtectionError,
  type OpenOptions,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { platform } from "../src/ffi/host.ts";
import {
  assertRefused,
  descriptorsOf,
  fileBytes,
  firstReason,
  fixtureResult,
  mappingsOf,
  pattern,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";

describe('MemoryMap.open() with mode "r"', () => {
  test("is the default and maps the whole file", () => {
    using dir = tempDir();
    const data = pattern(100_001);
    using map = MemoryMap.open(dir.file("data", data));
    assertEquals(map.size, data.length);
    assertEquals(map.read(map.size), data);
    assertEquals(map.prot, PROT_READ);
  });
  test("refuses to write, and the file stays as it was", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using map = MemoryMap.open(file, { mode: "r" });
    assertRefused(() => map.write("changed"), MMapProtectionError, "PROT_WRITE");
    assertEquals(fs.readFileSync(file, "utf8"), "original");
  });
  test("maps read-only and shared", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using _map = MemoryMap.open(file);
    assertEquals(mappingsOf(file).map(({ access }) => access), ["r--s"]);
  });
  test("sees what others write to the file", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using map = MemoryMap.open(file);
    const fd = fs.openSync(file, "r+");
    fs.writeSync(fd, utf8("CHANGED!"), 0, 8, 0);
    fs.closeSync(fd);
    assertEquals(map.read(8), utf8("CHANGED!"));
  });
});

describe('MemoryMap.open() with mode "r+"', () => {
  test("writes to the file", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using map = MemoryMap.open(file, { mode: "r+" });
    assertEquals(map.prot, PROT_READ | PROT_WRITE);
    map.write("ORIG");
    map.msync();
    assertEquals(fs.readFileSync(file, "utf8"), "ORIGinal");
  });
  test("reaches the file without msync(), at the latest when it is closed", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    const map = MemoryMap.open(file, { mode: "r+" });
    map.write("ORIG");
    map.close();
    assertEquals(fs.readFileSync(file, "utf8"), "ORIGinal");
  });
  test("maps for reading and writing, shared", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using _map = MemoryMap.open(file, { mode: "r+" });
    assertEquals(mappingsOf(file).map(({ access }) => access), ["rw-s"]);
  });
  test("makes the file grow to offset + size, with zeros", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using map = MemoryMap.open(file, { mode: "r+", offset: 4, size: 10_000 });
    assertEquals(map.size, 10_000);
    assertEquals(map.read(6), utf8("inal\0\0"));
    map.write("!", 9_999);
    map.msync();
    assertEquals(fs.statSync(file).size, 10_004);
    assertEquals(fileBytes(file).slice(-2), utf8("\0!"));
  });
  test("makes the file grow when the offset is past its end", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using map = MemoryMap.open(file, { mode: "r+", offset: 70_000, size: 3 });
    map.write("end");
    map.msync();
    assertEquals(fs.statSync(file).size, 70_003);
    assertEquals(fileBytes(file).slice(0, 9), utf8("original\0"));
  });
  test("never shortens the file", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using map = MemoryMap.open(file, { mode: "r+", size: 3 });
    assertEquals(map.size, 3);
    assertEquals(fs.readFileSync(file, "utf8"), "original");
  });
});

describe('MemoryMap.open() with mode "w+"', () => {
  test("creates a file of offset + size zeros", () => {
    using dir = tempDir();
    const file = dir.file("new");
    using map = MemoryMap.open(file, { mode: "w+", offset: 100, size: 5_000 });
    assertEquals(map.size, 5_000);
    assertEquals(map.prot, PROT_READ | PROT_WRITE);
    assertEquals(fileBytes(file), new Uint8Array(5_100));
  });
  test("writes to the file", () => {
    using dir = tempDir();
    const file = dir.file("new");
    using map = MemoryMap.open(file, { mode: "w+", offset: 1, size: 3 });
    map.write("abc");
    map.msync();
    assertEquals(fs.readFileSync(file, "utf8"), "\0abc");
  });
  test("empties a file that is there, longer or shorter", () => {
    using dir = tempDir();
    for (const size of [4, 8, 12]) {
      const file = dir.file("data", "original");
      using map = MemoryMap.open(file, { mode: "w+", size });
      assertEquals(map.read(size), new Uint8Array(size));
      assertEquals(fs.statSync(file).size, size);
    }
  });
  const { mapOver, name: system } = platform();
  /** More than a buffer of any engine, or anything where there are no such buffers. */
  const impossible = { mode: "w+", sharedBuffer: true, size: mapOver ? 2 ** 36 : 100 } as const;
  const openers: readonly [string, (file: string, options: OpenOptions) => Promise<MemoryMap>][] = [
    ["open()", (file, options) => Promise.resolve().then(() => MemoryMap.open(file, options))],
    ["openAsync()", (file, options) => MemoryMap.openAsync(file, options)],
  ];
  for (const [name, open] of openers) {
    test(`loses nothing when a later step of ${name} fails`, async () => {
      using dir = tempDir();
      const cases: OpenOptions[] = [impossible, { ...impossible, offset: 3, truncateOnClose: 1 }];
      const late = { hugePages: true, truncateOnClose: 1, size: 100_000 } as const;
      if (system === "Windows") cases.push({ ...late, mode: "w+" });
      for (const options of cases) {
        const file = dir.file("data", "original");
        await assertRejects(() => open(file, options), MMapInvalidParameterError);
        assertEquals(fs.readFileSync(file, "utf8"), "original");
        if (!skipWithoutProc) assertEquals(descriptorsOf(file), []);
        const created = dir.file("new");
        await assertRejects(() => open(created, options), MMapInvalidParameterError);
        assertEquals(fs.existsSync(created), false);
      }
      if (system !== "Windows") return;
      const file = dir.file("data", "original");
      await assertRejects(() => open(file, { ...late, mode: "r+" }), MMapInvalidParameterError);
      assertEquals(fs.readFileSync(file, "utf8"), "original");
    });
  }
  test("empties a file with every option that works", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    for (const size of [4, 100_000]) {
      const file = dir.file("data", "original".repeat(5000));
      const options = { populate: true, access: "random", sharedBuffer: true } as const;
      using map = MemoryMap.open(file, { mode: "w+", size, ...options, truncateOnClose: 2 });
      assertEquals(map.read(size), new Uint8Array(size));
      map.write("new");
      map.flush();
      assertEquals(fs.readFileSync(file, "utf8"), "new".padEnd(size, "\0"));
      map.close();
      assertEquals(fs.readFileSync(file, "utf8"), "ne");
    }
  });
  test("creates a file that only its owner may use", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const file = dir.file("new");
    MemoryMap.open(file, { mode: "w+", size: 1 }).close();
    assertEquals(fs.statSync(file).mode & 0o777, 0o600);
  });
  test("gives a new file the permissions asked for, less the umask", {
    skip: skipOnWindows,
  }, () => {
    using dir = tempDir();
    const file = dir.file("new");
    MemoryMap.open(file, { mode: "w+", size: 1, permissions: 0o666 }).close();
    assertEquals(fs.statSync(file).mode & 0o777, 0o666 & ~process.umask());
  });
  test("leaves the permissions of a file that is there", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    fs.chmodSync(file, 0o640);
    MemoryMap.open(file, { mode: "w+", size: 1, permissions: 0o600 }).close();
    assertEquals(fs.statSync(file).mode & 0o777, 0o640);
  });
  test("makes a sparse file", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const file = dir.file("new");
    using map = MemoryMap.open(file, { mode: "w+", size: 2 ** 30 });
    assertEquals(map.size, 2 ** 30);
    assertEquals(fs.statSync(file).blocks, 0);
  });
});

describe('MemoryMap.open() with mode "c"', () => {
  test("keeps changes in the map", () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    const map = MemoryMap.open(file, { mode: "c" });
    using other = MemoryMap.open(file);
    assertEquals(map.prot, PROT_READ | PROT_WRITE);
    map.write("CHANGED!");
    map.msync();
    assertEquals(map.read(8), utf8("CHANGED!"));
    assertEquals(other.read(8), utf8("original"));
    map.close();
    assertEquals(fs.readFileSync(file, "utf8"), "original");
  });
  test("maps for reading and writing, privately", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    using _map = MemoryMap.open(file, { mode: "c" });
    assertEquals(mappingsOf(file).map(({ access }) => access), ["rw-p"]);
  });
  test("needs no right to write the file", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const file = dir.file("data", "original");
    fs.chmodSync(file, 0o400);
    using map = MemoryMap.open(file, { mode: "c" });
    map.write("x");
    assertEquals(map.read(2), utf8("xr"));
  });
});

describe("MemoryMap.open() with an offset", () => {
  for (const mode of ["r", "r+", "c"] as const) {
    test(`maps from any byte to the end, mode "${mode}"`, () => {
      using dir = tempDir();
      const data = pattern(2 * allocationGranularity() + 100);
      const file = dir.file("data", data);
      const unit = allocationGranularity();
      for (const offset of [0, 1, 7, pageSize() - 1, pageSize(), unit - 1, unit, unit + 1]) {
        using map = MemoryMap.open(file, { mode, offset });
        assertEquals(map.offset, offset);
        assertEquals(map.size, data.length - offset);
        assertEquals(map.read(map.size), data.slice(offset), `offset ${offset}`);
      }
    });
  }
  test("and a size maps that range", () => {
    using dir = tempDir();
    const file = dir.file("data", "0123456789");
    using map = MemoryMap.open(file, { offset: 3, size: 4 });
    assertEquals(map.read(4), utf8("3456"));
    assertEquals(map.size, 4);
  });
  test("at the end of the file maps nothing, validly", () => {
    using dir = tempDir();
    const file = dir.file("data", "0123456789");
    using map = MemoryMap.open(file, { offset: 10 });
    assertEquals(map.size, 0);
    assertEquals(map.offset, 10);
    assertEquals(map.isValid, true);
  });
});

describe("MemoryMap.open() of an empty file", () => {
  for (const mode of ["r", "r+", "c"] as const) {
    test(`gives a valid map of size 0, mode "${mode}"`, () => {
      using dir = tempDir();
      using map = MemoryMap.open(dir.file("empty", ""), { mode });
      assertEquals(map.isValid, true);
      assertEquals(map.size, 0);
      assertEquals(map.addr, 0n);
      assertEquals(map.bytes.length, 0);
      assertEquals(map.buffer.byteLength, 0);
      assertEquals(map.read(0), new Uint8Array(0));
      assertEquals(map.readInto(new Uint8Array(8)), 0);
      assertEquals(map.asTypedArray(Float64Array).length, 0);
      assertEquals(map.asDataView().byteLength, 0);
      map.mprotect(PROT_READ);
      map.msync();
      map.mlock();
      map.munlock();
    });
  }
  test("takes empty data", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
    assertEquals(map.write(""), 0);
    assertEquals(map.write(new Uint8Array(0)), 0);
  });
  test("with r+ and a size makes it grow", () => {
    using dir = tempDir();
    const file = dir.file("empty", "");
    using map = MemoryMap.open(file, { mode: "r+", size: 4 });
    map.write("grow");
    map.msync();
    assertEquals(fs.readFileSync(file, "utf8"), "grow");
  });
});

test("MemoryMap.open() maps past the last whole page with zeros out of reach", () => {
  using dir = tempDir();
  const file = dir.file("data", pattern(pageSize() + 1));
  using map = MemoryMap.open(file);
  assertEquals(map.bytes.length, pageSize() + 1);
  assertEquals(map.bytes[pageSize() + 1], undefined);
});

test("MemoryMap.open() takes a file: URL", () => {
  using dir = tempDir();
  const file = dir.file("a name with % and #", "content");
  using map = MemoryMap.open(pathToFileURL(file));
  assertEquals(map.read(7), utf8("content"));
  assertEquals(map.path, file);
});

test("MemoryMap.open() takes names outside ASCII", () => {
  using dir = tempDir();
  using map = MemoryMap.open(dir.file("Größe – 大きさ 📏", "content"));
  assertEquals(map.read(7), utf8("content"));
});

test("MemoryMap.open() takes a relative path", () => {
  using dir = tempDir();
  const file = dir.file("data", "content");
  const relative = path.relative(process.cwd(), file);
  using map = MemoryMap.open(relative);
  assertEquals(map.path, relative);
  assertEquals(map.read(7), utf8("content"));
});

test("MemoryMap.open() follows a symbolic link", { skip: skipOnWindows }, () => {
  using dir = tempDir();
  const link = dir.file("link");
  fs.symlinkSync(dir.file("data", "content"), link);
  using map = MemoryMap.open(link);
  assertEquals(map.read(7), utf8("content"));
});

test("MemoryMap.open() keeps a deleted file until close()", { skip: skipOnWindows }, () => {
  using dir = tempDir();
  const file = dir.file("data", "content");
  using map = MemoryMap.open(file, { mode: "r+" });
  fs.unlinkSync(file);
  map.write("C");
  map.msync();
  assertEquals(map.read(7), utf8("Content"));
});

test("MemoryMap.open() holds at most one descriptor and close() gives it back", {
  skip: skipWithoutProc,
}, () => {
  using dir = tempDir();
  for (const mode of ["r", "r+", "w+", "c"] as const) {
    const file = dir.file("data", "content");
    const map = MemoryMap.open(file, mode === "w+" ? { mode, size: 10 } : { mode });
    assertEquals(descriptorsOf(file).length <= 1, true);
    assertEquals(mappingsOf(file).length, 1);
    map.close();
    assertEquals(descriptorsOf(file), [], mode);
    assertEquals(mappingsOf(file), [], mode);
  }
});

test("two processes share a file map", {
  skip: skipWithoutChildren(),
}, async () => {
  using dir = tempDir();
  const file = dir.file("shared", new Uint8Array(100_000));
  using map = MemoryMap.open(file, { mode: "r+" });
  map.write("to the child", 70_001);
  const { seen } = await fixtureResult<{ seen: string }>("peer.ts", {
    args: [file, "70001", "12", "from the child"],
  });
  assertEquals(seen, "to the child");
  assertEquals(map.read(14, 70_001), utf8("from the child"));
});

test("a copy-on-write map shows nothing to other processes", {
  skip: skipWithoutChildren(),
}, async () => {
  using dir = tempDir();
  const file = dir.file("data", "original");
  using map = MemoryMap.open(file, { mode: "c" });
  map.write("CHANGED!");
  const { seen } = await fixtureResult<{ seen: string }>("peer.ts", { args: [file, "0", "8"] });
  assertEquals(seen, "original");
});

test("child processes do not inherit a map's descriptor", {
  skip: firstReason(skipWithoutProc, skipWithoutChildren()),
}, async () => {
  using dir = tempDir();
  const file = dir.file("data", "content");
  using _map = MemoryMap.open(file, { mode: "r+" });
  const fd = fs.openSync(file, "r+");
  using _duplicate = MemoryMap.createFileMapping(fd, 0, 7);
  fs.closeSync(fd);
  const { descriptors } = await fixtureResult<{ descriptors: string[] }>("descriptors.ts");
  assertEquals(descriptors.filter((target) => target === file), []);
  assertStringIncludes(descriptors.join(), "/"); // the list itself is not empty
});
