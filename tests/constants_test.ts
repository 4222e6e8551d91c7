/**
 * The constants: the tables of the three systems against the values documented for each, and the
 * running system's against its C compiler.
 */
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import * as library from "../mod.ts";
import { darwinConstants } from "../src/ffi/darwin.ts";
import { linuxConstants } from "../src/ffi/linux.ts";
import type { Constants } from "../src/ffi/platform.ts";
import { windowsConstants } from "../src/ffi/windows.ts";
import { firstReason, type Skip, skipWithoutCommands, tempDir } from "./helpers.ts";

type Values = Readonly<Record<string, number>>;

/** The Linux kernel's `asm-generic/mman-common.h` and `asm-generic/mman.h`. */
const linux: Values = {
  PROT_NONE: 0x0,
  PROT_READ: 0x1,
  PROT_WRITE: 0x2,
  PROT_EXEC: 0x4,
  MAP_FILE: 0,
  MAP_SHARED: 0x01,
  MAP_PRIVATE: 0x02,
  MAP_FIXED: 0x10,
  MAP_ANONYMOUS: 0x20,
  MAP_LOCKED: 0x2000,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x008000,
  MAP_STACK: 0x020000,
  MAP_HUGETLB: 0x040000,
  MS_ASYNC: 1,
  MS_INVALIDATE: 2,
  MS_SYNC: 4,
  MADV_NORMAL: 0,
  MADV_RANDOM: 1,
  MADV_SEQUENTIAL: 2,
  MADV_WILLNEED: 3,
  MADV_DONTNEED: 4,
  MADV_FREE: 8,
  MADV_REMOVE: 9,
  MADV_DONTFORK: 10,
  MADV_DOFORK: 11,
  MADV_MERGEABLE: 12,
  MADV_UNMERGEABLE: 13,
  MADV_HUGEPAGE: 14,
  MADV_NOHUGEPAGE: 15,
  MADV_DONTDUMP: 16,
  MADV_DODUMP: 17,
  MADV_WIPEONFORK: 18,
  MADV_KEEPONFORK: 19,
  MADV_COLD: 20,
  MADV_PAGEOUT: 21,
  MADV_POPULATE_READ: 22,
  MADV_POPULATE_WRITE: 23,
  MADV_DONTNEED_LOCKED: 24,
  MADV_COLLAPSE: 25,
};

/** `bsd/sys/mman.h` of Apple's xnu. */
const darwin: Values = {
  PROT_NONE: 0x00,
  PROT_READ: 0x01,
  PROT_WRITE: 0x02,
  PROT_EXEC: 0x04,
  MAP_FILE: 0x0000,
  MAP_SHARED: 0x0001,
  MAP_PRIVATE: 0x0002,
  MAP_FIXED: 0x0010,
  MAP_NORESERVE: 0x0040,
  MAP_ANONYMOUS: 0x1000,
  MS_ASYNC: 0x0001,
  MS_INVALIDATE: 0x0002,
  MS_SYNC: 0x0010,
  MADV_NORMAL: 0,
  MADV_RANDOM: 1,
  MADV_SEQUENTIAL: 2,
  MADV_WILLNEED: 3,
  MADV_DONTNEED: 4,
  MADV_FREE: 5,
  MADV_PAGEOUT: 10,
};

/** `memoryapi.h` of the Windows SDK; the C names beside it are this library's own. */
const windows: Values = {
  FILE_MAP_EXECUTE: 0x0020,
};

const tables: [string, Constants, Values][] = [
  ["Linux", linuxConstants, linux],
  ["macOS", darwinConstants, darwin],
  ["Windows", windowsConstants, windows],
];

const entries = (constants: Constants): [string, number][] => Object.entries(constants);

/** Flags that a system does not have must not have the value of one that it has. */
function flags(constants: Constants): [string, number][] {
  return entries(constants).filter(([name]) =>
    /^(MAP|FILE_MAP)_/.test(name) && name !== "MAP_FILE"
  );
}

for (const [system, constants, documented] of tables) {
  describe(`the constants of ${system}`, () => {
    test("have the documented values", () => {
      const actual = Object.fromEntries(
        entries(constants).filter(([name]) => name in documented),
      );
      assertEquals(actual, { ...documented });
    });
    test("are whole 32-bit numbers", () => {
      for (const [name, value] of entries(constants)) assertEquals(value | 0, value, name);
    });
    test("have a different bit for each protection", () => {
      const { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC } = constants;
      assertEquals([PROT_NONE, PROT_READ | PROT_WRITE | PROT_EXEC], [0, 7]);
      assertEquals(new Set([PROT_READ, PROT_WRITE, PROT_EXEC]).size, 3);
    });
    test("have a different bit for each flag of a map", () => {
      const values = flags(constants);
      const all = values.reduce((sum, [, value]) => sum | value, 0);
      const bits = all.toString(2).replaceAll("0", "").length;
      assertEquals(bits, values.length);
      for (const [name, value] of values) assertEquals(value & (value - 1), 0, name);
    });
    test("have a different number for each advice", () => {
      const advice = entries(constants).filter(([name]) => name.startsWith("MADV_"));
      assertEquals(new Set(advice.map(([, value]) => value)).size, advice.length);
    });
    test("have a negative number for advice that the system lacks", () => {
      const lacking = entries(constants).filter(([name, value]) =>
        name.startsWith("MADV_") && value < 0
      ).map(([name]) => name);
      assert(lacking.every((name) => !(name in documented)));
      if (system === "Linux") assertEquals(lacking, []);
    });
    test("tell waiting from not waiting", () => {
      const { MS_ASYNC, MS_SYNC, MS_INVALIDATE } = constants;
      assertEquals(MS_ASYNC & MS_SYNC, 0);
      assertEquals((MS_ASYNC | MS_SYNC) & MS_INVALIDATE, 0);
      assert(MS_ASYNC > 0 && MS_SYNC > 0 && MS_INVALIDATE > 0);
    });
  });
}

test("the three tables have the same names", () => {
  const names = tables.map(([, constants]) => Object.keys(constants).sort());
  assertEquals(names[1], names[0]);
  assertEquals(names[2], names[0]);
});

test("mod.ts exports the running system's constants, all of them", () => {
  const table = { linux: linuxConstants, darwin: darwinConstants, win32: windowsConstants }[
    process.platform as "linux" | "darwin" | "win32"
  ];
  const exported = Object.entries(library).filter(([name, value]) =>
    /^(PROT|MAP|MS|MADV|FILE_MAP)_/.test(name) && typeof value === "number"
  );
  assertEquals(Object.fromEntries(exported), { ...table, MAP_ANON: table.MAP_ANONYMOUS });
});

const hasTable = process.platform === "linux" || process.platform === "darwin";
const skipWithoutCompiler: Skip = firstReason(
  !hasTable && "needs the C headers of a POSIX system",
  skipWithoutCommands("gcc"),
);

test("the constants are those of the C compiler's headers", { skip: skipWithoutCompiler }, () => {
  using dir = tempDir();
  const names = Object.keys(process.platform === "linux" ? linux : darwin);
  const lines = names.map((name) =>
    `#ifdef ${name}\nprintf("\\"${name}\\": %ld,\\n", (long)${name});\n#endif`
  );
  const source = dir.file(
    "constants.c",
    `#define _GNU_SOURCE\n#include <stdio.h>\n#include <sys/mman.h>\nint main(void) {\n` +
      `printf("{");\n${lines.join("\n")}\nprintf("\\"end\\": 0}");\nreturn 0;\n}\n`,
  );
  const program = dir.file("constants");
  const compiled = spawnSync("gcc", ["-o", program, source], { encoding: "utf8" });
  assertEquals(compiled.status, 0, compiled.stderr);
  const { end: _, ...values } = JSON.parse(spawnSync(program, { encoding: "utf8" }).stdout);
  assert(Object.keys(values).length > 20, "the headers know few of the names");
  const constants: Values = { ...process.platform === "linux" ? linuxConstants : darwinConstants };
  for (const [name, value] of Object.entries(values)) assertEquals(constants[name], value, name);
});
