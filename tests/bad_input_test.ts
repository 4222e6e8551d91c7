/**
 * Bad input of the functions that make maps: each ends in its error of the contract, says what was
 * given and what is allowed, and acquires nothing. Bad input of the other methods is tested with them.
 */
import { describe, test } from "node:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import {
  FILE_MAP_EXECUTE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_LOCKED,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapAllocationError,
  type MMapError,
  MMapInvalidParameterError,
  mmapRegion,
  type OpenOptions,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  assertRefused,
  countDescriptors,
  descriptorsOf,
  mappings,
  mappingsOf,
  openFd,
  skipOnWindows,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";

/** One bad call: what is wrong with it, how it ends, and what the message has to name. */
interface Bad {
  readonly name: string;
  readonly call: (context: Context) => MemoryMap;
  readonly Class: new (...args: never[]) => MMapError;
  readonly parts: readonly string[];
}

/** What bad calls are made with. */
interface Context {
  /** A file of ten bytes. */
  readonly file: string;
  /** The same file, open for reading and writing. */
  readonly fd: number;
  /** A folder. */
  readonly folder: string;
}

const READ_WRITE = PROT_READ | PROT_WRITE;
const MAX = String(Number.MAX_SAFE_INTEGER);

/** What is no size, offset or descriptor, as a program without types could pass it. */
const noIntegers: [unknown, string][] = [
  [-1, "-1"],
  [-4096, "-4096"],
  [0.5, "0.5"],
  [4096.5, "4096.5"],
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  [-Infinity, "-Infinity"],
  [2 ** 53, String(2 ** 53)],
  [1e300, "1e+300"],
  ["4096", '"4096"'],
  [4096n, "4096n"],
  [null, "null"],
  [{}, "an object"],
  [Symbol("size"), "Symbol(size)"],
];
const noSizes: [unknown, string][] = [...noIntegers, [0, "0"], [-0, "0"]];

/** Calls that get one bad number each. */
function badNumbers(
  name: string,
  numbers: readonly [unknown, string][],
  allowed: string,
  call: (context: Context, value: number) => MemoryMap,
): Bad[] {
  return numbers.map(([value, shown]) => ({
    name: `${name} ${shown}`,
    call: (context) => call(context, value as number),
    Class: MMapInvalidParameterError,
    parts: [`Cannot use ${shown} as`, `from ${allowed} to `],
  }));
}

const noFlags: [unknown, string][] = noIntegers.filter(([value]) =>
  typeof value !== "number" || !Number.isSafeInteger(value)
);

/** Protections and flags that no call accepts. */
function badBits(name: string, call: Bits): Bad[] {
  const badProt = [8, -1, 0.5, NaN, 2 ** 32, 2 ** 32 + 1, "3", null];
  const badFlags: [number, string][] = [
    [MAP_FIXED | MAP_PRIVATE, "MAP_FIXED"],
    [0, "MAP_SHARED or MAP_PRIVATE"],
    [MAP_SHARED | MAP_PRIVATE, "MAP_SHARED or MAP_PRIVATE"],
    [MAP_PRIVATE | 0x200000, "0x200000"],
    [MAP_PRIVATE + 2 ** 32, String(MAP_PRIVATE + 2 ** 32)],
    [MAP_PRIVATE + 2 ** 40, String(MAP_PRIVATE + 2 ** 40)],
  ];
  return [
    ...badProt.map((prot): Bad => ({
      name: `${name} with the protection ${prot}`,
      call: (context) => call(context, prot as number, MAP_PRIVATE),
      Class: MMapInvalidParameterError,
      parts: [String(prot), "PROT_READ, PROT_WRITE and PROT_EXEC"],
    })),
    ...badFlags.map(([flags, part]): Bad => ({
      name: `${name} with the flags 0x${flags.toString(16)}`,
      call: (context) => call(context, READ_WRITE, flags),
      Class: MMapInvalidParameterError,
      parts: [part],
    })),
    ...noFlags.map(([flags, shown]): Bad => ({
      name: `${name} with the flags ${shown}`,
      call: (context) => call(context, READ_WRITE, flags as number),
      Class: MMapInvalidParameterError,
      parts: [shown],
    })),
  ];
}
type Bits = (context: Context, prot: number, flags: number) => MemoryMap;

const badAnonymous: Bad[] = [
  ...badNumbers("size", noSizes, "1", (_, size) => MemoryMap.createAnonymous(size)),
  {
    name: "no size",
    call: () => (MemoryMap.createAnonymous as () => MemoryMap)(),
    Class: MMapInvalidParameterError,
    parts: ["undefined", "from 1"],
  },
  ...badBits("a map", (_, prot, flags) => MemoryMap.createAnonymous(4096, prot, flags)),
  {
    name: "a size beyond the address space",
    call: () => MemoryMap.createAnonymous(2 ** 52),
    Class: MMapAllocationError,
    parts: [`Cannot map ${2 ** 52} bytes`, "ENOMEM"],
  },
  {
    name: "the largest size",
    call: () => MemoryMap.createAnonymous(Number.MAX_SAFE_INTEGER),
    Class: MMapAllocationError,
    parts: [MAX, "ENOMEM"],
  },
];

const badFileMapping: Bad[] = [
  ...badNumbers("size", noSizes, "1", ({ fd }, size) => MemoryMap.createFileMapping(fd, 0, size)),
  ...badNumbers(
    "offset",
    noIntegers,
    "0",
    ({ fd }, offset) => MemoryMap.createFileMapping(fd, offset, 1),
  ),
  ...badNumbers(
    "descriptor",
    // On Windows a bigint is a HANDLE.
    noIntegers.filter(([value]) => process.platform !== "win32" || typeof value !== "bigint"),
    "0",
    (_, fd) => MemoryMap.createFileMapping(fd, 0, 1),
  ),
  {
    name: "a descriptor that is not open",
    call: () => MemoryMap.createFileMapping(987_654, 0, 1),
    Class: MMapInvalidParameterError,
    parts: ["descriptor 987654", "EBADF"],
  },
  {
    name: "a descriptor that 32 bits would make another one",
    call: ({ fd }) => MemoryMap.createFileMapping(2 ** 32 * 2 ** 10 + fd, 0, 1),
    Class: MMapInvalidParameterError,
    parts: ["descriptor"],
  },
  {
    name: "a range that ends past the file",
    call: ({ fd }) => MemoryMap.createFileMapping(fd, 5, 6),
    Class: MMapInvalidParameterError,
    parts: ["6 bytes at offset 5", "file has 10 bytes"],
  },
  {
    name: "an offset past the file",
    call: ({ fd }) => MemoryMap.createFileMapping(fd, 11, 1),
    Class: MMapInvalidParameterError,
    parts: ["offset 11", "file has 10 bytes"],
  },
  {
    name: "a size that starts in the file and ends far past it",
    call: ({ fd }) => MemoryMap.createFileMapping(fd, 9, 2 ** 40),
    Class: MMapInvalidParameterError,
    parts: [`${2 ** 40} bytes`, "file has 10 bytes"],
  },
  {
    name: "an offset and a size whose sum is no safe integer",
    call: ({ fd }) => MemoryMap.createFileMapping(fd, Number.MAX_SAFE_INTEGER, 1),
    Class: MMapInvalidParameterError,
    parts: [String(2 ** 53), MAX],
  },
  {
    name: "MAP_ANONYMOUS",
    call: ({ fd }) =>
      MemoryMap.createFileMapping(fd, 0, 1, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS),
    Class: MMapInvalidParameterError,
    parts: ["MAP_ANONYMOUS", "createAnonymous()"],
  },
  ...badBits("a map", ({ fd }, prot, flags) => {
    return MemoryMap.createFileMapping(fd, 0, 1, prot, flags);
  }),
];

const badRegion: Bad[] = [
  ...badNumbers("size", noSizes, "1", (_, size) => mmapRegion(size)),
  ...badBits("a region", (_, prot, flags) => mmapRegion(1, prot, flags | MAP_ANONYMOUS))
    .filter(({ name }) => /protection|MAP_FIXED/.test(name)),
  {
    name: "no descriptor and no MAP_ANONYMOUS",
    call: () => mmapRegion(1, READ_WRITE, MAP_PRIVATE),
    Class: MMapInvalidParameterError,
    parts: ["descriptor", "MAP_ANONYMOUS"],
  },
  {
    name: "a descriptor and MAP_ANONYMOUS",
    call: ({ fd }) => mmapRegion(1, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, fd),
    Class: MMapInvalidParameterError,
    parts: ["MAP_ANONYMOUS"],
  },
  {
    name: "a negative descriptor other than -1",
    call: () => mmapRegion(1, READ_WRITE, MAP_SHARED, -2),
    Class: MMapInvalidParameterError,
    parts: ["-2", "descriptor"],
  },
  ...badNumbers(
    "offset of a file",
    noIntegers,
    "0",
    ({ fd }, offset) => mmapRegion(1, READ_WRITE, MAP_SHARED, fd, offset),
  ),
  ...badNumbers(
    "offset of anonymous memory",
    noIntegers,
    "0",
    (_, offset) => mmapRegion(1, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, offset),
  ),
];

const open = (options: unknown) => ({ file }: Context) =>
  MemoryMap.open(file, options as OpenOptions);

const badOpen: Bad[] = [
  ...(["r", "r+", "w+", "c"] as const).flatMap((mode) => [
    ...badNumbers(
      `mode "${mode}", size`,
      noSizes,
      "1",
      ({ file }, size) => MemoryMap.open(file, { mode, size }),
    ),
    ...badNumbers(
      `mode "${mode}", offset`,
      noIntegers,
      "0",
      ({ file }, offset) => MemoryMap.open(file, { mode, offset, size: 1 }),
    ),
    {
      name: `mode "${mode}", offset and size whose sum is no safe integer`,
      call: open({ mode, offset: 2 ** 52, size: 2 ** 52 }),
      Class: MMapInvalidParameterError,
      parts: [String(2 ** 53), MAX],
    },
  ]),
  ...["rw", "a", "w", "R", "", "r ", 1, null, {}, "constructor", "__proto__"].map((mode): Bad => ({
    name: `mode ${JSON.stringify(mode)}`,
    call: open({ mode, size: 1 }),
    Class: MMapInvalidParameterError,
    parts: ['it must be "r", "r+", "w+" or "c"', mode === null ? "null" : String(mode).slice(0, 5)],
  })).filter(({ name }) => name !== "mode {}"),
  {
    name: "mode {}",
    call: open({ mode: {} }),
    Class: MMapInvalidParameterError,
    parts: ["an object", '"r", "r+", "w+" or "c"'],
  },
  ...["r", "c"].map((mode): Bad => ({
    name: `mode "${mode}", a range that ends past the file`,
    call: open({ mode, offset: 5, size: 6 }),
    Class: MMapInvalidParameterError,
    parts: ["6 bytes at offset 5", "file has 10 bytes"],
  })),
  ...["r", "r+", "c"].map((mode): Bad => ({
    name: `mode "${mode}", an offset past the file`,
    call: open({ mode, offset: 11 }),
    Class: MMapInvalidParameterError,
    parts: ["offset 11", "file has 10 bytes"],
  })),
  {
    name: 'mode "w+" without a size',
    call: open({ mode: "w+" }),
    Class: MMapInvalidParameterError,
    parts: ['"w+"', "size"],
  },
  ...["file\0name", "\0", ""].map((name): Bad => ({
    name: `the name ${JSON.stringify(name)}`,
    call: () => MemoryMap.open(name, { mode: "w+", size: 1 }),
    Class: MMapInvalidParameterError,
    parts: [`Cannot use ${JSON.stringify(name)} as a path`, "NUL"],
  })),
  ...[undefined, null, 7, {}, new Uint8Array(3)].map((name): Bad => ({
    name: `the path ${name === undefined ? name : JSON.stringify(name)}`,
    call: () => MemoryMap.open(name as unknown as string),
    Class: MMapInvalidParameterError,
    parts: ["path", "string or a file: URL"],
  })),
  {
    name: "a URL of another kind",
    call: () => MemoryMap.open(new URL("https://example.com/data")),
    Class: MMapInvalidParameterError,
    parts: ["https://example.com/data", "file:"],
  },
  {
    name: "a file: URL with an encoded NUL",
    call: ({ file }) => MemoryMap.open(new URL("a%00b", pathToFileURL(file))),
    Class: MMapInvalidParameterError,
    parts: ["path", "NUL"],
  },
  {
    name: "a file: URL with an encoded separator",
    call: ({ file }) => MemoryMap.open(new URL("a%2fb", pathToFileURL(file))),
    Class: MMapInvalidParameterError,
    parts: ["file:///", "a%2fb"],
  },
  ...noIntegers.map(([permissions, shown]): Bad => ({
    name: `the permissions ${shown}`,
    call: ({ file }) =>
      MemoryMap.open(`${file}-new`, { mode: "w+", size: 1, permissions: permissions as number }),
    Class: MMapInvalidParameterError,
    parts: [shown, "permission"],
  })),
  {
    name: "permissions beyond the twelve bits",
    call: ({ file }) =>
      MemoryMap.open(`${file}-new`, { mode: "w+", size: 1, permissions: 2 ** 40 }),
    Class: MMapInvalidParameterError,
    parts: [String(2 ** 40), "permission"],
  },
];

const groups: [string, Bad[]][] = [
  ["MemoryMap.createAnonymous() refuses", badAnonymous],
  ["MemoryMap.createFileMapping() refuses", badFileMapping],
  ["mmapRegion() refuses", badRegion],
  ["MemoryMap.open() refuses", badOpen],
];

/** Calls `body` with a file that has to be as it was afterwards, and alone in its folder. */
function withContext(body: (context: Context) => void): void {
  using dir = tempDir();
  const file = dir.file("data", "0123456789");
  const folder = dir.file("folder");
  fs.mkdirSync(folder);
  {
    using opened = openFd(file, "r+");
    body({ file, fd: opened.fd, folder });
  }
  assertEquals(fs.readFileSync(file, "utf8"), "0123456789", "the file changed");
  assertEquals(fs.readdirSync(dir.path).sort(), ["data", "folder"], "a file was left behind");
}

for (const [name, calls] of groups) {
  describe(name, () => {
    for (const { name, call, Class, parts } of calls) {
      test(
        name,
        () => withContext((context) => assertRefused(() => call(context), Class, ...parts)),
      );
    }
  });
}

describe("bad input acquires nothing:", () => {
  for (const [name, calls] of groups) {
    test(name, { skip: skipWithoutProc }, () =>
      withContext((context) => {
        const attempt = ({ call }: Bad) => {
          try {
            call(context).close();
          } catch {
            // The errors themselves are tested above.
          }
        };
        calls.forEach(attempt);
        const descriptors = countDescriptors();
        const maps = mappings().length;
        for (let round = 0; round < 5; round++) calls.forEach(attempt);
        assertEquals(descriptorsOf(context.file), [context.fd]);
        assertEquals(descriptorsOf(context.folder), []);
        assertEquals(mappingsOf(context.file), []);
        // A collection may close what other tests have dropped.
        assertLessOrEqual(countDescriptors(), descriptors);
        // The runtime's own heap grows meanwhile.
        assertLess(mappings().length - maps, 50);
      }));
  }
});

test("MemoryMap.open() of a missing file says so, and how to create it", () => {
  using dir = tempDir();
  for (const mode of ["r", "r+", "c"] as const) {
    const file = dir.file("missing");
    const { code, syscall, cause } = caught(() => MemoryMap.open(file, { mode }));
    assertEquals([code, syscall], ["ENOENT", "open"]);
    assertEquals(cause instanceof Error, true);
    assertEquals(fs.existsSync(file), false);
  }
});

test("MemoryMap.open() of a folder says that it is one", { skip: skipOnWindows }, () => {
  using dir = tempDir();
  for (const mode of ["r", "r+", "w+", "c"] as const) {
    const error = assertRefused(
      () => MemoryMap.open(dir.path, { mode, size: 1 }),
      MMapInvalidParameterError,
      JSON.stringify(dir.path),
      "directory",
    );
    assertEquals(error.code, "EISDIR");
  }
});

test("MemoryMap.createFileMapping() of a folder says that it is one", {
  skip: skipOnWindows,
}, () => {
  using dir = tempDir();
  using folder = openFd(dir.path, "r");
  const error = assertRefused(
    () => MemoryMap.createFileMapping(folder.fd, 0, 1, PROT_READ),
    MMapInvalidParameterError,
    `descriptor ${folder.fd}`,
    "directory",
  );
  assertEquals(error.code, "EISDIR");
});

test("MemoryMap.open() below a file that is no folder", { skip: skipOnWindows }, () => {
  using dir = tempDir();
  const file = dir.file("data", "0123456789");
  assertEquals(caught(() => MemoryMap.open(path.join(file, "below"))).code, "ENOTDIR");
});

test("MemoryMap.open() of a pipe returns, with an error", { skip: skipWithoutProc }, () => {
  // A pipe opened for reading would wait for a writer.
  using dir = tempDir();
  const pipe = dir.file("pipe");
  const made = spawnSync("mkfifo", [pipe]);
  assertEquals(made.status, 0);
  assertRefused(() => MemoryMap.open(pipe), MMapInvalidParameterError, "not a regular file");
  assertEquals(caught(() => MemoryMap.open(pipe, { size: 1 })).code, "ENODEV");
  assertEquals(descriptorsOf(pipe), []);
});

test('MemoryMap.open() with mode "r+" and a size that the disk refuses changes nothing', () => {
  using dir = tempDir();
  const file = dir.file("data", "0123456789");
  assertRefused(
    () => MemoryMap.open(file, { mode: "r+", size: Number.MAX_SAFE_INTEGER }),
    MMapAllocationError,
    JSON.stringify(file),
  );
  assertEquals(fs.readFileSync(file, "utf8"), "0123456789");
});

test('MemoryMap.open() with mode "w+" and a size that the disk refuses loses no content', () => {
  using dir = tempDir();
  const file = dir.file("data", "0123456789");
  assertRefused(
    () => MemoryMap.open(file, { mode: "w+", size: Number.MAX_SAFE_INTEGER }),
    MMapAllocationError,
    JSON.stringify(file),
  );
  assertEquals(fs.readFileSync(file, "utf8"), "0123456789");
});

test('MemoryMap.open() with mode "w+" and a size that the disk refuses leaves no new file', () => {
  using dir = tempDir();
  const file = dir.file("new");
  assertRefused(
    () => MemoryMap.open(file, { mode: "w+", size: Number.MAX_SAFE_INTEGER }),
    MMapAllocationError,
    JSON.stringify(file),
  );
  assertEquals(fs.existsSync(file), false);
});

test("flags that only another system has are refused by name", () => {
  const foreign = process.platform === "win32"
    ? []
    : process.platform === "linux"
    ? [["FILE_MAP_EXECUTE", FILE_MAP_EXECUTE] as const]
    : [["MAP_POPULATE", MAP_POPULATE] as const, ["MAP_LOCKED", MAP_LOCKED] as const];
  for (const [name, flag] of foreign) {
    assertRefused(
      () => MemoryMap.createAnonymous(4096, READ_WRITE, MAP_PRIVATE | flag),
      MMapInvalidParameterError,
      name,
      "does not have it",
    );
  }
});

/** The error that a call throws. */
function caught(call: () => MemoryMap): MMapError {
  try {
    call().close();
  } catch (error) {
    return error as MMapError;
  }
  throw new Error("no error");
}
