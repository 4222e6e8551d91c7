/**
 * What Windows alone can be asked for: its forms of paths, files that others hold without sharing,
 * offsets below its granularity, HANDLEs, sections with names. Each has its typed error, or works.
 */
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  allocationGranularity,
  MADV_FREE,
  MemoryMap,
  MMapAllocationError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
  PROT_READ,
} from "../mod.ts";
import { runtime } from "../src/ffi/runtime.ts";
import { libuvSymbols } from "../src/ffi/windows_symbols.ts";
import {
  assertRefused,
  fileBytes,
  firstReason,
  openFd,
  pattern,
  type Skip,
  skipWithoutChildren,
  tempDir,
  utf8,
} from "./helpers.ts";
import { startFixture } from "./helpers_paging.ts";

const skip: Skip = process.platform === "win32" ? false : "needs Windows";
const skipAlone = firstReason(skip, skip === false && skipWithoutChildren());

/** The error of a call, which is of the library's family, with a code. */
function refusal(call: () => unknown): MMapError {
  const error = assertThrows(call, MMapError);
  assert(error.code !== undefined, error.message);
  return error;
}

describe("MemoryMap.open() on Windows", () => {
  test("refuses a name with a NUL, in the path or for shared memory", { skip }, () => {
    using dir = tempDir();
    dir.file("data", "content");
    for (const name of ["\0", "data\0", "data\0.txt"]) {
      assertRefused(() => MemoryMap.open(path.join(dir.path, name)), MMapInvalidParameterError);
      assertRefused(() => MemoryMap.createNamed(name, 10), MMapInvalidParameterError);
    }
  });

  test("opens a path of more than 260 characters", { skip }, () => {
    using dir = tempDir();
    const folder = path.join(dir.path, ..."abc".split("").map((letter) => letter.repeat(100)));
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(folder, "data");
    assert(file.length > 300);
    fs.writeFileSync(file, "content");
    using map = MemoryMap.open(file, { mode: "r+" });
    assertEquals(map.read(7), utf8("content"));
    map.close();
    assertRefused(() => MemoryMap.open(`${file}.missing`), MMapError, "ENOENT");
  });

  test("refuses a path longer than any can be", { skip }, () => {
    using dir = tempDir();
    const file = path.join(dir.path, ...Array.from({ length: 400 }, () => "x".repeat(99)));
    const { code } = refusal(() => MemoryMap.open(file));
    assert(["ENAMETOOLONG", "ENOENT", "EINVAL"].includes(code!), code);
    const name = path.join(dir.path, "x".repeat(256)); // of one file
    const { code: ofName } = refusal(() => MemoryMap.open(name, { mode: "w+", size: 1 }));
    assert(["ENAMETOOLONG", "ENOENT", "EINVAL"].includes(ofName!), ofName);
  });

  test(String.raw`opens the \\?\ form of a path`, { skip }, () => {
    using dir = tempDir();
    const file = dir.file("data", "content");
    using map = MemoryMap.open(path.toNamespacedPath(file));
    assertEquals(map.read(7), utf8("content"));
    assertRefused(() => MemoryMap.open(String.raw`\\?\C:\missing\data`), MMapError, "ENOENT");
  });

  test("refuses UNC paths of hosts that are not there, and names that are none", { skip }, () => {
    const missing = [
      String.raw`\\?\UNC\no-such-host.invalid\share\data`,
      String.raw`\\no-such-host.invalid\share\data`,
      String.raw`\\.\no-such-device`,
    ];
    for (const name of missing) refusal(() => MemoryMap.open(name));
    for (const name of ["<", "a|b", 'a"b', "a*"]) {
      refusal(() => MemoryMap.open(path.join("C:\\", name)));
    }
    for (const mode of ["r", "r+"] as const) {
      refusal(() => MemoryMap.open("NUL", { mode, size: 1 }));
    }
  });

  test("says that another process holds the file without sharing it", {
    skip: skipAlone,
  }, async () => {
    using dir = tempDir();
    const file = dir.file("data", "content");
    await using holder = startFixture("windows_hold.ts", [file]);
    assertEquals(await holder.line(), "held");
    for (const mode of ["r", "r+", "c"] as const) {
      const error = refusal(() => MemoryMap.open(file, { mode }));
      assertEquals([error.code, error.message.includes("without sharing")], ["EBUSY", true]);
    }
    await holder.end();
    using map = MemoryMap.open(file);
    assertEquals(map.read(7), utf8("content"));
  });

  test("refuses to map more than a read-only file has, and leaves its size alone", { skip }, () => {
    using dir = tempDir();
    const file = dir.file("data", "content");
    const text = "the file has 7 bytes";
    for (const mode of ["r", "c"] as const) {
      for (const size of [8, 65536, 2 ** 33]) {
        assertRefused(() => MemoryMap.open(file, { mode, size }), MMapInvalidParameterError, text);
      }
    }
    using opened = openFd(file, "r");
    assertRefused(
      () => MemoryMap.createFileMapping(opened.fd, 0, 8, PROT_READ),
      MMapInvalidParameterError,
    );
    assertRefused(
      () => MemoryMap.createFileMapping(opened.fd, 0, 7),
      MMapAllocationError,
      "CreateFileMappingW failed with EACCES",
    );
    assertEquals(fs.statSync(file).size, 7);
  });

  test("maps from offsets that are no multiple of its granularity", { skip }, () => {
    using dir = tempDir();
    const content = pattern(200_000);
    const file = dir.file("data", content);
    const unit = allocationGranularity();
    assertEquals(unit, 65536);
    for (const offset of [1, 4096, unit - 1, unit + 1, 2 * unit + 4097]) {
      using map = MemoryMap.open(file, { mode: "r+", offset });
      assertEquals(map.read(map.size), new Uint8Array(content.subarray(offset)));
      map.write("!");
      map.flush();
      content[offset] = 33;
    }
    assertEquals(fileBytes(file), new Uint8Array(content));
  });
});

describe("a file that is mapped, on Windows,", () => {
  test("can be renamed, and another can take its name", { skip }, () => {
    using dir = tempDir();
    const file = dir.file("data", "first");
    using map = MemoryMap.open(file, { mode: "r+" });
    fs.renameSync(file, dir.file("old"));
    dir.file("data", "other");
    using other = MemoryMap.open(file);
    map.write("FIRST");
    map.flush();
    assertEquals(other.read(5), utf8("other"));
    assertEquals(fileBytes(dir.file("old")), utf8("FIRST"));
  });

  test("can be opened for writing by others, and deleted at the latest when it is closed", {
    skip,
  }, () => {
    using dir = tempDir();
    const file = dir.file("data", "content");
    const map = MemoryMap.open(file, { mode: "r+" });
    using second = openFd(file, "r+");
    fs.writeSync(second.fd, utf8("CONTENT"), 0, 7, 0);
    assertEquals(map.read(7), utf8("CONTENT"));
    try {
      fs.unlinkSync(file);
    } catch (error) {
      // Windows keeps the name of a file as long as there are views of it.
      const { code } = error as { code: string };
      assert(["EBUSY", "EPERM", "EACCES"].includes(code), code);
      assertEquals(map.read(7), utf8("CONTENT"));
      map.close();
      fs.unlinkSync(file);
    }
    map.close();
    fs.closeSync(fs.openSync(`${file}.new`, "wx"));
    assertEquals(fs.readdirSync(dir.path).includes("data.new"), true);
  });
});

describe("MemoryMap.createFileMapping() of a HANDLE", () => {
  /** The HANDLE of a descriptor, as the runtime's own C library gives it. */
  const handleOf = (fd: number): bigint =>
    BigInt(runtime().dlopen(process.execPath, libuvSymbols).uv_get_osfhandle(fd));
  const exported = (): Skip => {
    try {
      handleOf(0);
      return false;
    } catch {
      return "needs a runtime that exports uv_get_osfhandle";
    }
  };
  test(
    "maps the file, and outlives it",
    { skip: firstReason(skip, skip === false && exported()) },
    () => {
      using dir = tempDir();
      const file = dir.file("data", "content");
      const opened = openFd(file, "r+");
      using map = MemoryMap.createFileMapping(handleOf(opened.fd), 0, 7);
      opened[Symbol.dispose]();
      map.write("CONTENT");
      map.flush();
      assertEquals(fileBytes(file), utf8("CONTENT"));
    },
  );
  test("that is none is refused", { skip }, () => {
    for (const handle of [0n, 0x7ffffffcn, 2n ** 32n - 2n]) {
      assertRefused(() => MemoryMap.createFileMapping(handle, 0, 7), MMapInvalidParameterError);
    }
  });
});

describe("named shared memory on Windows", () => {
  const freshName = () => `mman-test-${crypto.randomUUID()}`;

  test("is shared by those who open the name, also read-only", { skip }, () => {
    const name = freshName();
    using map = MemoryMap.createNamed(name, 100_000);
    assertEquals(map.count(0), 100_000);
    map.write("hello");
    using other = MemoryMap.openNamed(`/${name}`);
    assertEquals(other.size, 102_400); // whole pages
    assertEquals(other.read(5), utf8("hello"));
    other.write("there", 99_995);
    assertEquals(map.read(5, 99_995), utf8("there"));
    using reader = MemoryMap.openNamed(name, { mode: "r", size: 10 });
    assertEquals([reader.size, reader.read(5)], [10, utf8("hello")]);
    assertThrows(() => reader.write("x"), MMapProtectionError);
    map.flush();
  });

  test("is shared with another process", { skip: skipAlone }, async () => {
    const name = freshName();
    using map = MemoryMap.createNamed(name, 4096);
    map.write("from the tester", 100);
    await using peer = startFixture("named_peer.ts", [name]);
    assertEquals(await peer.line(), "4096 from the tester");
    await peer.tell(JSON.stringify("from the fixture"));
    assertEquals(await peer.line(), "written");
    assertEquals(map.read(16, 100), utf8("from the fixture"));
  });

  test("refuses a name that is taken, is missing, or asks for more than there is", { skip }, () => {
    const name = freshName();
    assertRefused(() => MemoryMap.openNamed(name), MMapError, "ENOENT", "createNamed()");
    using _map = MemoryMap.createNamed(name, 4096);
    assertRefused(() => MemoryMap.createNamed(name, 4096), MMapError, "EEXIST", "openNamed()");
    assertRefused(
      () => MemoryMap.openNamed(name, { size: 4097 }),
      MMapInvalidParameterError,
      "it has 4096 bytes",
    );
  });

  test("keeps its name until the last map is closed, and not longer", { skip }, () => {
    const name = freshName();
    const map = MemoryMap.createNamed(name, 4096);
    const other = MemoryMap.openNamed(name);
    map.close();
    assertRefused(() => MemoryMap.unlinkNamed(name), MMapError, "EBUSY", "last map");
    other.close();
    MemoryMap.unlinkNamed(name);
    assertRefused(() => MemoryMap.openNamed(name), MMapError, "ENOENT");
    MemoryMap.createNamed(name, 4096, { owned: true }).close();
  });

  test("has the size that it was made with", { skip }, () => {
    using map = MemoryMap.createNamed(freshName(), 8192);
    map.write("kept");
    for (const size of [4096, 16384]) {
      assertRefused(() => map.resize(size), MMapInvalidParameterError, "fixed size");
      assertEquals([map.size, map.read(4)], [8192, utf8("kept")]);
    }
  });
});

test("MADV_FREE of anonymous memory on Windows lets the content go, and the memory stays", {
  skip,
}, () => {
  using map = MemoryMap.createAnonymous(64 * 4096);
  map.fill(1);
  map.madvise(MADV_FREE, 4096, 62 * 4096);
  assertEquals([map.count(1, 0, 4096), map.count(1, 63 * 4096)], [4096, 4096]);
  map.fill(2);
  assertEquals(map.count(2), map.size);
});
