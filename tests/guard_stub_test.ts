/**
 * The fault guard's machine code and the system call stub, without MemoryMap. Whatever could end a
 * process runs in one of its own: `fixtures/guard_scenarios.ts`. Linux only.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { assemble, type Processor, processors, renderCode } from "../scripts/assemble_guard.ts";
import { linuxLibraries } from "../src/ffi/linux.ts";
import { runtime } from "../src/ffi/runtime.ts";
import { arm64Code, type MachineCode, x64Code } from "../src/guard/code.ts";
import { installGuard } from "../src/guard/guard.ts";
import { openStub, type Stub, withStubLibrary } from "../src/guard/stub.ts";
import * as table from "../src/guard/table.ts";
import {
  type Ended,
  firstReason,
  fixtureResult,
  runFixture,
  skipEmulated,
  skipWithoutChildren,
  tempDir,
} from "./helpers.ts";

const skipOutsideLinux = process.platform === "linux" ? false : "needs Linux";
/** musl's loader knows a library by its file, and each Worker makes one. */
const skipWithMusl =
  skipOutsideLinux === false && readFileSync("/proc/self/maps", "latin1").includes("musl")
    ? "needs the loader of glibc, which knows a library by its path"
    : false;

const calls = process.arch === "arm64"
  ? { close: 57, getpid: 172, mmap: 222, mprotect: 226, msync: 227, munmap: 215, rt_sigaction: 134 }
  : { close: 3, getpid: 39, mmap: 9, mprotect: 10, msync: 26, munmap: 11, rt_sigaction: 13 };

const PROT_READ = 1;
const MAP_SHARED = 1;
const PAGE = 4096;

/** Scenarios that the process survives. */
const survived = [
  "truncated file",
  "truncated by another thread in a hot loop",
  "write to a read-only shared map",
  "write to a read-only private map",
  "write to a read-only map of a truncated file",
  "access to protected pages",
  "access to protected private pages",
  "access to pages that are not mapped",
  "faults all over a large map",
  "no mappings left",
  "without the stub",
  "Workers that fault on the same pages",
  "Workers that share the table",
  "Workers that install it at the same moment",
  "installed twice",
  "over a guard of another version",
  "WebAssembly traps",
];

/** Scenarios that go well up to a last access, which must end the process. */
const lastAccess = ["access that nobody asked to guard", "an ignored signal"];

/** What ends a process, or not, with a guard in the same way as without. */
const accesses = [
  "null pointer",
  "unmapped address",
  "unguarded page",
  "read-only page",
  "SIGSEGV from kill",
  "SIGBUS from kill",
];

function stub(): Stub {
  const opened = openStub(runtime(), linuxLibraries);
  if (typeof opened === "string") throw new Error(opened);
  return opened;
}

describe("guard", { skip: firstReason(skipOutsideLinux, skipWithoutChildren()) }, () => {
  /** One scenario in a process of its own, whose files go away however it ends. */
  const runScenario = async (name: string): Promise<Ended> => {
    using dir = tempDir();
    const prefix = ["env", `TMPDIR=${dir.path}`];
    return await runFixture("guard_scenarios.ts", { args: [name], seconds: 120, prefix });
  };
  for (const name of [...survived, ...lastAccess]) {
    // An emulator needs mappings of its own, and ends when there are none.
    const skip = name === "no mappings left" && skipEmulated;
    test(`Guard keeps the process alive: ${name}`, { skip }, async () => {
      const { status, stdout, stderr } = await runScenario(name);
      const how = `It ended with ${status}\n${stdout}\n${stderr}`;
      assert(stdout.includes("ok"), how);
      assertEquals(status === 0, survived.includes(name), how);
    });
  }
  for (const name of accesses) {
    test(`Guard does not change what happens after: ${name}`, async () => {
      const [without, guarded] = await Promise.all(
        ["without", "with"].map((kind) => runScenario(`${kind}: ${name}`)),
      );
      assertEquals(guarded!.status, without!.status, guarded!.stderr);
    });
  }
});

describe("stub", { skip: skipOutsideLinux }, () => {
  test("mman_syscall() gives the kernel's result and error numbers", () => {
    const { mman_syscall } = stub();
    assertEquals(mman_syscall(calls.getpid, 0, 0, 0, 0, 0, 0), process.pid);
    assertEquals(mman_syscall(calls.msync, 1, 1, 4, 0, 0, 0), -22); // EINVAL: not a page
    assertEquals(mman_syscall(calls.msync, 0, PAGE, 4, 0, 0, 0), -12); // ENOMEM: not mapped
    assertEquals(mman_syscall(calls.close, -1, 0, 0, 0, 0, 0), -9); // EBADF
    const fd = openSync(fileURLToPath(import.meta.url), "r");
    const length = 2 ** 33; // more than 32 bits
    const start = mman_syscall(calls.mmap, 0, length, PROT_READ, MAP_SHARED, fd, 0);
    assert(start > 2 ** 32);
    assertEquals(mman_syscall(calls.munmap, start, length, 0, 0, 0, 0), 0);
    closeSync(fd);
  });

  test("mman_invoke() and mman_invoke_int() call C functions", () => {
    const { mman_invoke, mman_invoke_int } = stub();
    const libc = runtime().dlopen("libc.so.6", {
      dlsym: { parameters: ["isize", "buffer"], result: "isize" },
    });
    const address = (name: string) => Number(libc.dlsym(0n, new TextEncoder().encode(`${name}\0`)));
    const text = new Uint8Array(4096).fill(1, 0, 100);
    text[70] = 2;
    const at = Number(runtime().addressOf(text));
    assertEquals(mman_invoke(address("memchr"), at, 2, 4096, 0, 0, 0) - at, 70);
    assertEquals(mman_invoke(address("memchr"), at, 3, 4096, 0, 0, 0), 0);
    assert(mman_invoke_int(address("memcmp"), at, at + 70, 8, 0, 0, 0) < 0);
  });

  test("openStub() maps the code once, however many Workers use it", {
    skip: firstReason(skipWithoutChildren(), skipWithMusl),
  }, async () => {
    const { before, after } = await fixtureResult<Record<string, number>>("stub_in_workers.ts");
    assert(before! > 0);
    assertEquals(after, before);
  });

  test("withStubLibrary() and installGuard() answer with a reason when the system refuses", () => {
    const nowhere = ["libnowhere.so.9"];
    const notOpened = (): never => {
      throw new Error("Nobody has opened it yet");
    };
    assertEquals(typeof withStubLibrary(runtime(), nowhere, notOpened), "string");
    const { mman_syscall } = stub();
    const refusing = (number: number) =>
      installGuard({
        runtime: runtime(),
        pageSize: PAGE,
        libraries: nowhere,
        // Handlers are refused as well, so that a guard that this process has is not found.
        systemCall: (target, ...rest) =>
          target === number || target === calls.rt_sigaction ? -1 : mman_syscall(target, ...rest),
      });
    for (const call of ["mmap", "mprotect", "rt_sigaction"] as const) {
      const answer = refusing(calls[call]);
      assert(typeof answer === "string" && answer.includes(call), String(answer));
    }
  });
});

describe("guard code", () => {
  const read = (processor: string) =>
    readFileSync(new URL(`../src/guard/${processor}.s`, import.meta.url), "utf8");

  for (const processor of processors) {
    test(`${processor}.s and table.ts agree`, () => {
      const expected: Record<string, number> = { ...table } as never;
      let compared = 0;
      for (const [, name, value] of read(processor).matchAll(/\.set +(\w+), (\w+)/g)) {
        if (!(name! in expected)) continue;
        assertEquals(Number(value), expected[name!], name);
        compared++;
      }
      assertEquals(compared, 27);
    });
  }

  const assembled = Object.fromEntries(
    processors.map((
      processor,
    ) => [processor, skipOutsideLinux === false ? assemble(processor) : undefined]),
  );
  const missing = processors.filter((processor) => assembled[processor] === undefined);
  test("code.ts is what the assembler makes", {
    skip: missing.length > 0 && `no binutils for ${missing.join(" and ")}`,
  }, () => {
    const made = assembled as Record<Processor, MachineCode>;
    assertEquals({ x86_64: x64Code, aarch64: arm64Code }, made);
    assertEquals(
      readFileSync(new URL("../src/guard/code.ts", import.meta.url), "utf8"),
      renderCode(made),
    );
  });
});
