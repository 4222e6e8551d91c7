/** The examples of memory shared between processes, as a person runs them. */
import { describe, test } from "node:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { writeToReaders } from "../examples/writer_and_reader/main.ts";
import { addTogether } from "../examples/parent_and_child/main.ts";
import { firstReason, skipWithoutChildren } from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";
import { commandOf, executableOf, skipWithoutSync } from "./helpers_sync.ts";

const skip = firstReason(skipOutsideLinux, skipWithoutSync, skipWithoutChildren());

/** Runs an example to its end; what it prints. */
function runExample(name: string): string {
  const [command = "", ...start] = commandOf();
  const script = fileURLToPath(new URL(`../examples/${name}/main.ts`, import.meta.url));
  const bun = executableOf("bun");
  const { status, stdout, stderr } = spawnSync(command, [...start, script], {
    encoding: "utf8",
    env: { ...process.env, ...(bun === undefined ? {} : { BUN: bun }) },
  });
  assertEquals(status, 0, stderr);
  return stdout;
}

describe("examples/writer_and_reader", { skip }, () => {
  test("shows every change to each reader, in order", async () => {
    const reports = await writeToReaders(300);
    const prefix = `mman-writer-${process.pid}-`;
    assert(reports.length > 0);
    for (const { seen, backwards } of reports) assertEquals([seen, backwards], [300, 0]);
    assertEquals(fs.readdirSync("/dev/shm").filter((name) => name.startsWith(prefix)), []);
  });
  test("prints a line for each runtime that is here", () => {
    const output = runExample("writer_and_reader");
    for (const runtime of ["bun", "python"] as const) {
      if (executableOf(runtime) === undefined) continue;
      assert(new RegExp(`^${runtime} +saw 1000 of 1000 changes, 0 `, "m").test(output), output);
    }
  });
});

describe("examples/parent_and_child", { skip }, () => {
  test("adds exactly", async () => {
    assertEquals(await addTogether(5000), 10_000);
  });
  test("prints the sum", () => {
    assertEquals(
      runExample("parent_and_child"),
      "parent and child added 1 10000 times each: 20000\n",
    );
  });
});
