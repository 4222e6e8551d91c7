/** Deno's permissions: importing needs none, and each use ends in Deno's own error without its own. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import {
  firstReason,
  fixtureResult,
  skipOutsideDeno,
  skipWithoutChildren,
  tempDir,
} from "./helpers.ts";

const skip = firstReason(skipOutsideDeno, skipWithoutChildren());

test("importing the library calls no foreign function and loads none", {
  skip: skipWithoutChildren(),
}, async () => {
  const { names, calls } = await fixtureResult<{ names: number; calls: string[] }>(
    "import_only.ts",
    { permissions: [] },
  );
  assertEquals(calls, []);
  assertGreater(names, 40);
});

interface Outcome {
  readonly name?: string;
  readonly message?: string;
  readonly isMMapError?: boolean;
  readonly read?: string;
}

/** What a program with some permissions gets when it maps a file. */
function outcome(permissions: string[], args: string[]): Promise<Outcome> {
  return fixtureResult<Outcome>("map_with_permissions.ts", { permissions, args });
}

describe("in Deno", () => {
  test("without --allow-ffi the first use says which flag is missing", { skip }, async () => {
    using dir = tempDir();
    const file = dir.file("data", "content");
    for (const args of [["anonymous"], ["lock"], ["page size"], [file, "r"], [file, "r+"]]) {
      const { name, message } = await outcome(["--allow-read", "--allow-write"], args);
      assertEquals(name, "NotCapable", args[0]);
      assertStringIncludes(message ?? "", "--allow-ffi");
    }
  });
  test("locks and waits need --allow-ffi alone", { skip }, async () => {
    assertEquals(await outcome(["--allow-ffi"], ["lock"]), { read: "acquired,timeout,false" });
  });
  for (const mode of ["r", "r+", "w+", "c"]) {
    test(`without --allow-read, mode "${mode}" ends in Deno's own error`, { skip }, async () => {
      using dir = tempDir();
      const file = dir.file("data", "content");
      const permissions = ["--allow-ffi", ...mode.includes("+") ? ["--allow-write"] : []];
      const { name, message, isMMapError } = await outcome(permissions, [file, mode]);
      assertEquals([name, isMMapError], ["NotCapable", false]);
      assertStringIncludes(message ?? "", "--allow-read");
      assertStringIncludes(message ?? "", file);
    });
  }
  for (const mode of ["r+", "w+"]) {
    test(`without --allow-write, mode "${mode}" ends in Deno's own error`, { skip }, async () => {
      using dir = tempDir();
      const file = dir.file("data", "content");
      const { name, message } = await outcome(["--allow-ffi", "--allow-read"], [file, mode]);
      assertEquals(name, "NotCapable");
      assertStringIncludes(message ?? "", "--allow-write");
      assertEquals(fs.readFileSync(file, "utf8"), "content");
    });
  }
  test('without --allow-write, mode "w+" creates nothing', { skip }, async () => {
    using dir = tempDir();
    const file = dir.file("new");
    const { name } = await outcome(["--allow-ffi", "--allow-read"], [file, "w+"]);
    assertEquals(name, "NotCapable");
    assertEquals(fs.existsSync(file), false);
  });
  for (const mode of ["r", "c"]) {
    test(
      `mode "${mode}" needs --allow-ffi and --allow-read of the file alone`,
      { skip },
      async () => {
        using dir = tempDir();
        const file = dir.file("data", "content");
        const { read } = await outcome(["--allow-ffi", `--allow-read=${file}`], [file, mode]);
        assertEquals(read, "content");
      },
    );
  }
  for (const mode of ["r+", "w+"]) {
    test(`mode "${mode}" needs --allow-ffi, --allow-read and --allow-write of the file alone`, {
      skip,
    }, async () => {
      using dir = tempDir();
      const file = dir.file("data", "content");
      const permissions = ["--allow-ffi", `--allow-read=${file}`, `--allow-write=${file}`];
      const { read } = await outcome(permissions, [file, mode]);
      assertEquals(read, mode === "r+" ? "content" : "\0".repeat(7));
    });
  }
  test("permission for another file does not do", { skip }, async () => {
    using dir = tempDir();
    const file = dir.file("data", "content");
    const other = dir.file("other", "content");
    const { name, message } = await outcome(["--allow-ffi", `--allow-read=${other}`], [file, "r"]);
    assertEquals(name, "NotCapable");
    assertMatch(message ?? "", /--allow-read/);
  });
  test("anonymous maps need --allow-ffi alone", { skip }, async () => {
    const { read } = await outcome(["--allow-ffi"], ["anonymous"]);
    assertEquals(read, "\0".repeat(7));
  });
  test("pageSize() needs --allow-ffi alone", { skip }, async () => {
    const { read } = await outcome(["--allow-ffi"], ["page size"]);
    assertMatch(read ?? "", /^\d+$/);
  });
});
