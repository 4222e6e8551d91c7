/** The error family: what each error carries, and which failures of the system become which. */
import { describe, test } from "node:test";
import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapAllocationError,
  MMapClosedError,
  MMapError,
  MMapFaultError,
  MMapInvalidParameterError,
  MMapProtectionError,
  MS_INVALIDATE,
  MS_SYNC,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  assertRefused,
  firstReason,
  fixtureResult,
  openFd,
  type Skip,
  skipEmulated,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutCommands,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";

const READ_WRITE = PROT_READ | PROT_WRITE;

/** What an error says about the failed call. */
function callOf({ code, errno, syscall }: MMapError): unknown[] {
  return [code, errno, syscall];
}

describe("the error classes", () => {
  const classes = [
    MMapAllocationError,
    MMapInvalidParameterError,
    MMapClosedError,
    MMapProtectionError,
  ];
  for (const Class of classes) {
    test(`${Class.name} is an MMapError and an Error, named after its class`, () => {
      const error = new Class("Cannot do it");
      assertInstanceOf(error, MMapError);
      assertInstanceOf(error, Error);
      assertEquals(error.name, Class.name);
      assertEquals(String(error), `${Class.name}: Cannot do it`);
    });
  }
  test("MMapError carries what the system said", () => {
    const cause = new Error("inner");
    const error = new MMapError("Cannot do it", {
      code: "ENOMEM",
      errno: 12,
      syscall: "mmap",
      cause,
    });
    assertEquals(callOf(error), ["ENOMEM", 12, "mmap"]);
    assertStrictEquals(error.cause, cause);
    assertEquals(error.name, "MMapError");
  });
  test("MMapError without a call has none, and no cause", () => {
    const error = new MMapError("Cannot do it");
    assertEquals(callOf(error), [undefined, undefined, undefined]);
    assertEquals("cause" in error, false);
  });
  test("MMapFaultError carries an offset", () => {
    const error = new MMapFaultError("The page is gone", 8192, { code: "EFAULT" });
    assertInstanceOf(error, MMapError);
    assertEquals([error.name, error.offset, error.code], ["MMapFaultError", 8192, "EFAULT"]);
  });
});

test("an error about an argument names no call", () => {
  const error = assertRefused(() => MemoryMap.createAnonymous(0), MMapInvalidParameterError);
  assertEquals(callOf(error), [undefined, undefined, undefined]);
});

test("an error of the system says the call, the code and the number, with the cause", {
  skip: skipOnWindows,
}, () => {
  const error = assertRefused(
    () => MemoryMap.createAnonymous(2 ** 52),
    MMapAllocationError,
    `Cannot map ${2 ** 52} bytes`,
    "mmap failed with ENOMEM (12)",
    "ulimit -v",
  );
  assertEquals(callOf(error), ["ENOMEM", os.constants.errno.ENOMEM, "mmap"]);
  assertInstanceOf(error.cause, Error);
});

test("errno is a positive number, the same in every runtime", { skip: skipOnWindows }, () => {
  using dir = tempDir();
  const error = assertRefused(
    () => MemoryMap.open(dir.file("missing")),
    MMapError,
    "Cannot open",
    "missing",
    'mode "r"',
    "ENOENT",
    'mode "w+"',
  );
  assertEquals(callOf(error), ["ENOENT", os.constants.errno.ENOENT, "open"]);
});

test("a descriptor that is not open is EBADF", { skip: skipOnWindows }, () => {
  const error = assertRefused(
    () => MemoryMap.createFileMapping(987_654, 0, 1),
    MMapInvalidParameterError,
    "987654",
  );
  assertEquals([error.code, error.errno], ["EBADF", os.constants.errno.EBADF]);
  assert(error.syscall !== undefined);
});

test("a shared writable map of a descriptor that cannot write is EACCES with its cure", {
  skip: skipOnWindows,
}, () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", "content"), "r");
  const error = assertRefused(
    () => MemoryMap.createFileMapping(file.fd, 0, 7, READ_WRITE, MAP_SHARED),
    MMapAllocationError,
    `descriptor ${file.fd}`,
    "for writing too",
    "copy on write",
  );
  assertEquals(callOf(error), ["EACCES", os.constants.errno.EACCES, "mmap"]);
});

test("a map of a descriptor that cannot read is EACCES with its cure", {
  skip: skipOnWindows,
}, () => {
  using dir = tempDir();
  using file = openFd(dir.file("data", "content"), "a");
  const error = assertRefused(
    () => MemoryMap.createFileMapping(file.fd, 0, 7, PROT_READ, MAP_PRIVATE),
    MMapAllocationError,
    "open the file for reading",
  );
  assertEquals(error.code, "EACCES");
});

test("a device that cannot be mapped is ENODEV with its cure", { skip: skipWithoutProc }, () => {
  const error = assertRefused(
    () => MemoryMap.open("/dev/null", { size: 4096 }),
    MMapAllocationError,
    "/dev/null",
    "regular files",
  );
  assertEquals(callOf(error), ["ENODEV", os.constants.errno.ENODEV, "mmap"]);
});

test("invalidating locked pages is EBUSY, a plain MMapError", { skip: skipWithoutProc }, () => {
  using map = MemoryMap.createAnonymous(4096);
  map.mlock();
  const error = assertRefused(
    () => map.msync(MS_SYNC | MS_INVALIDATE),
    MMapError,
    "Cannot flush 4096 bytes at offset 0",
  );
  assertEquals(callOf(error), ["EBUSY", os.constants.errno.EBUSY, "msync"]);
});

test("more huge pages than there are is ENOMEM", {
  skip: firstReason(process.platform !== "linux" && "needs MAP_HUGETLB of Linux", skipEmulated),
}, () => {
  const error = assertRefused(
    () => MemoryMap.createAnonymous(2 ** 40, READ_WRITE, MAP_PRIVATE | MAP_HUGETLB),
    MMapAllocationError,
    String(2 ** 40),
  );
  assertEquals(callOf(error), ["ENOMEM", os.constants.errno.ENOMEM, "mmap"]);
});

interface Reported {
  readonly name: string;
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly message: string;
}

test("too many open files are EMFILE with the cure, and closing a map cures it", {
  skip: firstReason(skipWithoutProc, skipWithoutCommands("prlimit"), skipWithoutChildren()),
}, async () => {
  using dir = tempDir();
  const { error, opened, again } = await fixtureResult<
    { error: Reported; opened: number; again: boolean }
  >("too_many_files.ts", {
    prefix: ["prlimit", "--nofile=100:100"],
    args: [dir.file("data", "content")],
  });
  assertEquals([error.name, error.code], ["MMapAllocationError", "EMFILE"]);
  assertEquals(error.errno, os.constants.errno.EMFILE);
  assertMatch(error.message, /close other maps.*ulimit -n/);
  assert(opened > 10 && opened < 100);
  assertEquals(again, true);
});

/** The number of CAP_DAC_OVERRIDE; root without it is refused like anybody else. */
const CAP_DAC_OVERRIDE = 1n;

test("a file that may not be read is EACCES with the cure", {
  skip: firstReason(skipWithoutProc, skipWithoutCommands("setpriv"), skipWithoutChildren()),
}, async () => {
  using dir = tempDir();
  const file = dir.file("data", "content");
  fs.chmodSync(file, 0o000);
  const status = fs.readFileSync("/proc/self/status", "utf8");
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const mayOverride = (effective >> CAP_DAC_OVERRIDE & 1n) === 1n;
  const { error } = await fixtureResult<{ error: Reported }>("open_error.ts", {
    prefix: mayOverride ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [],
    args: [file],
  });
  assertEquals([error.name, error.code, error.syscall], ["MMapProtectionError", "EACCES", "open"]);
  assertEquals(error.errno, os.constants.errno.EACCES);
  assertStringIncludes(error.message, "check the permissions");
});

const overcommits: Skip = firstReason(
  skipWithoutProc,
  skipEmulated,
  skipWithoutProc === false &&
    fs.readFileSync("/proc/sys/vm/overcommit_memory", "utf8").trim() === "1" &&
    "needs a system that does not promise all memory asked for",
);

test("a copy of more than there is memory is MMapAllocationError", { skip: overcommits }, () => {
  const size = 2 ** 43;
  using map = MemoryMap.createAnonymous(size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE);
  assertRefused(() => map.read(size), MMapAllocationError, `${size} bytes`, "readInto()");
});
