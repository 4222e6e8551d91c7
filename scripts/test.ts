/**
 * The test command: runs the same test files under Deno, Bun and Node, prints one row a runtime and ends
 * with the line `N passed, N failed[, N skipped]`. Deno also runs the examples of the doc comments.
 *
 *   deno task test [--runtime deno|bun|node]... [--minutes N] [part of a test file's path]...
 */
import { parseArgs } from "node:util";
import { addCounts, countReport, type Counts, formatCounts } from "./counts.ts";
import { run } from "./process.ts";
import { findRuntime, type Runtime, type RuntimeName } from "./runtimes.ts";
import { stdArguments } from "./std.ts";

const NAMES: readonly RuntimeName[] = ["deno", "bun", "node"];

/** Bun ends a test after five seconds unless told otherwise; Deno and Node do not end it. */
const BUN_TEST_MS = 120_000;

interface Row extends Counts {
  readonly name: string;
  readonly seconds: number;
  /** Why the run counts as failed beyond its failed tests; empty if it does not. */
  readonly reason: string;
}

/** All test files below a folder, sorted. */
async function testFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await testFiles(path));
    else if (entry.name.endsWith("_test.ts")) found.push(path);
  }
  return found.sort();
}

/** The command that runs `files` under a runtime and leaves a JUnit report at `report`. */
async function commandFor(
  { name, path }: Runtime,
  files: readonly string[],
  report: string,
  withDocs: boolean,
): Promise<string[]> {
  switch (name) {
    case "deno": {
      const docs = withDocs ? ["--doc", "mod.ts", "src"] : [];
      const std = await stdArguments();
      return [
        ...[path, "test", "-A", ...std, "--preload=./scripts/uncaught.ts"],
        ...[`--junit-path=${report}`, ...docs, ...files],
      ];
    }
    case "bun":
      return [
        ...[path, "test", "--reporter=junit", `--reporter-outfile=${report}`],
        ...[`--timeout=${BUN_TEST_MS}`, ...files],
      ];
    case "node":
      return [
        ...[path, "--disable-warning=ExperimentalWarning", "--import=./tests/std/register.mjs"],
        ...["--test", "--test-reporter=spec", "--test-reporter-destination=stdout"],
        ...["--test-reporter=junit", `--test-reporter-destination=${report}`, ...files],
      ];
  }
}

/** The text of a file; empty if nobody wrote it. */
async function readIfPresent(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Runs the files under one runtime. */
async function testUnder(
  name: RuntimeName,
  files: readonly string[],
  withDocs: boolean,
  limitSeconds: number,
): Promise<Row> {
  let runtime: Runtime;
  try {
    runtime = await findRuntime(name);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { name, passed: 0, failed: 1, skipped: 0, seconds: 0, reason };
  }
  console.log(`\n== ${name} ${runtime.version} ==`);
  const folder = await Deno.makeTempDir({ prefix: "mman-test-" });
  try {
    const report = `${folder}/report.xml`;
    const uncaughtLog = `${folder}/uncaught.log`;
    const command = await commandFor(runtime, files, report, withDocs);
    const outcome = await run(command, { env: { MMAN_UNCAUGHT: uncaughtLog }, limitSeconds });
    const counts = countReport(await readIfPresent(report), name === "deno");

    // A run may fail outside of any test: a file that does not load, a hook, a crash, the time limit.
    const reasons: string[] = [];
    if (counts.failed === 0) {
      if (counts.passed === 0) reasons.push("ran no test");
      if (!outcome.success) reasons.push(outcome.reason);
      if (await readIfPresent(uncaughtLog)) reasons.push("an error was not caught");
    }
    return {
      ...counts,
      name: `${name} ${runtime.version}`,
      failed: counts.failed + (reasons.length > 0 ? 1 : 0),
      seconds: outcome.seconds,
      reason: reasons.join(", "),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      runtime: { type: "string", multiple: true },
      minutes: { type: "string", default: "10" },
    },
  });
  const unknown = values.runtime?.find((name) => !NAMES.some((known) => known === name));
  if (unknown) throw new Error(`Unknown runtime ${unknown}: use ${NAMES.join(", ")}`);
  const selected = NAMES.filter((name) => values.runtime?.includes(name) ?? true);
  const limitSeconds = Number(values.minutes) * 60;
  if (!(limitSeconds > 0)) throw new Error(`Cannot limit a run to ${values.minutes} minutes`);

  const all = await testFiles("tests");
  const wanted = (file: string) => positionals.some((part) => file.includes(part));
  const files = positionals.length === 0 ? all : all.filter(wanted);
  if (files.length === 0) {
    throw new Error(`No test file has ${positionals.join(" or ")} in its path`);
  }

  const rows: Row[] = [];
  for (const name of selected) {
    const paths = files.map((file) => `./${file}`); // Bun takes a path without ./ for a filter
    rows.push(await testUnder(name, paths, positionals.length === 0, limitSeconds));
  }

  console.log();
  for (const { name, seconds, reason, ...counts } of rows) {
    const note = reason && `  (${reason})`;
    console.log(
      `${name.padEnd(14)}${seconds.toFixed(1).padStart(7)} s  ${formatCounts(counts)}${note}`,
    );
  }
  const total = addCounts(rows);
  console.log(formatCounts(total));
  if (total.failed > 0) Deno.exit(1);
}

Deno.chdir(new URL("..", import.meta.url));
await main();
