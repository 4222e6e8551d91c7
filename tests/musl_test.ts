/**
 * The choice of the C library: glibc, or musl as on Alpine, or none; and whether musl has every
 * symbol that is bound. Without a system to load from: a Runtime over a made-up file system stands in.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { linuxLibraries, openLinux } from "../src/ffi/linux.ts";
import { dlopenFirst } from "../src/ffi/posix.ts";
import type { Runtime, SymbolTable } from "../src/ffi/runtime.ts";
import { firstReason, type Skip, skipWithoutCommands } from "./helpers.ts";

const MUSL_X64 = "libc.musl-x86_64.so.1";
const MUSL_ARM64 = "libc.musl-aarch64.so.1";

/** What a made-up Runtime was asked. */
interface Fake {
  readonly runtime: Runtime;
  /** Libraries that it was asked to open, in order. */
  readonly asked: string[];
  /** Symbols that were bound. */
  readonly bound: Set<string>;
}

/** A Runtime that knows some libraries, whose functions answer 0 and lack some symbols. */
function fakeRuntime(
  libraries: readonly string[],
  { missing = [], refusal }: { missing?: readonly string[]; refusal?: Error } = {},
): Fake {
  const asked: string[] = [];
  const bound = new Set<string>();
  const open = (library: string, table: SymbolTable, result: unknown) => {
    if (!library.startsWith("/dev/null/")) asked.push(library); // our own machine code
    if (refusal !== undefined) throw refusal;
    if (!libraries.includes(library)) {
      throw new Error(`${library}: cannot open shared object file: No such file or directory`);
    }
    const names = Object.keys(table);
    const lacking = names.find((name) => missing.includes(name));
    if (lacking !== undefined) throw new Error(`undefined symbol: ${lacking}`);
    names.forEach((name) => bound.add(name));
    return Object.fromEntries(names.map((name) => [name, () => result])) as never;
  };
  const runtime: Runtime = {
    name: "Bun",
    maxBufferLength: 2 ** 32,
    wipesMemory: false,
    dlopen: (library, table) => open(library, table, 0),
    dlopenOffThread: (library, table) =>
      open(library, table, Promise.resolve({ result: 0, errno: undefined })),
    bufferAt: (_, length) => new ArrayBuffer(length),
    addressOf: () => 0n,
    peek: (words) => words[0]!,
  };
  return { runtime, asked, bound };
}

describe("the C library", () => {
  test("is glibc where there is one", () => {
    const { runtime, asked } = fakeRuntime(["libc.so.6", MUSL_X64]);
    openLinux(runtime);
    assertEquals(new Set(asked), new Set(["libc.so.6"]));
  });

  for (const musl of [MUSL_X64, MUSL_ARM64]) {
    test(`is ${musl} where that is all there is`, () => {
      const { runtime, asked } = fakeRuntime([musl]);
      openLinux(runtime);
      assertStrictEquals(asked.at(-1), musl);
    });

    test(`of calls on other threads is ${musl} there, too`, async () => {
      const { runtime, asked } = fakeRuntime([musl]);
      const platform = openLinux(runtime);
      asked.length = 0;
      await platform.populateAsync!(0x1000n, 4096, true);
      assertEquals(asked, [musl]);
    });
  }

  test("that is missing ends in the error for the first name, which says most", () => {
    const { runtime, asked } = fakeRuntime([]);
    const error = assertThrows(() => openLinux(runtime), Error);
    assertEquals(asked, [...linuxLibraries]);
    assert(error.message.startsWith("libc.so.6:"), error.message);
  });

  for (
    const [refusal, name] of [
      [Object.assign(new Error("Requires ffi access"), { name: "NotCapable" }), "Deno"],
      [Object.assign(new Error("Access denied"), { code: "ERR_ACCESS_DENIED" }), "Node"],
    ] as const
  ) {
    test(`that may not be opened is not looked for under other names, in ${name}`, () => {
      const { runtime, asked } = fakeRuntime([], { refusal });
      assertStrictEquals(assertThrows(() => dlopenFirst(runtime, linuxLibraries, {})), refusal);
      assertEquals(asked, ["libc.so.6"]);
    });
  }

  test("may be one without statx(): musl before 1.2.5, glibc before 2.28", () => {
    const { runtime, bound } = fakeRuntime([MUSL_X64], { missing: ["statx"] });
    openLinux(runtime);
    assert(bound.has("mmap") && !bound.has("statx"));
  });
});

/** Where Alpine, Debian and `deno task test:musl` have musl. */
const muslFiles = [
  "/lib/ld-musl-x86_64.so.1",
  "/lib/ld-musl-aarch64.so.1",
  "/usr/lib/x86_64-linux-musl/libc.so",
  "/usr/lib/aarch64-linux-musl/libc.so",
  ".cache/musl/root/usr/lib/x86_64-linux-musl/libc.so",
];
const muslFile = muslFiles.find((file) => existsSync(file)) ?? "";
const skipWithoutMusl: Skip = muslFile === "" ? "needs musl" : false;

test("musl has every symbol that is bound", {
  skip: firstReason(skipWithoutMusl, skipWithoutCommands("nm")),
}, () => {
  const { stdout } = spawnSync("nm", ["-D", "--defined-only", muslFile], { encoding: "utf8" });
  const defined = new Set(stdout.split("\n").map((line) => line.split(" ").at(-1)));
  const { runtime, bound } = fakeRuntime(["libc.so.6"]);
  openLinux(runtime);
  const theirs = [...bound].filter((name) => !name.startsWith("mman_")); // our own machine code
  assertEquals(theirs.filter((name) => !defined.has(name)), []);
});
