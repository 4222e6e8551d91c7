/**
 * The test command: runs the same test files under Deno, Bun and Node, prints one row a runtime and ends
 * with the line `N passed, N failed[, N skipped]`. On Linux Deno also runs the examples of the doc comments.
 *
 *   deno task test [--runtime deno|bun|node]... [--minutes N] [part of a test file's path]...
 */
import { readReport } from "./counts.ts";
import { run } from "./process.ts";
import { findRuntime, type Runtime, type RuntimeName } from "./runtimes.ts";
import { stdArguments } from "./std.ts";
import { BUN_TEST_MS, failedRow, makeRow, report, type Row, selectTests } from "./suite.ts";

const NAMES: readonly RuntimeName[] = ["deno", "bun", "node"];

const SYSTEMS: Record<string, string> = { linux: "Linux", darwin: "macOS", windows: "Windows" };

/** This machine, as the rows name it. */
const MACHINE = `${SYSTEMS[Deno.build.os]} ${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`;

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
        ...[path, "test", "-A", "--no-check", ...std, "--preload=./scripts/uncaught.ts"],
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
    return failedRow(`${MACHINE}, ${name}`, error);
  }
  console.log(`\n== ${name} ${runtime.version} ==`);
  const folder = await Deno.makeTempDir({ prefix: "mman-test-" });
  try {
    const reportPath = `${folder}/report.xml`;
    const uncaughtLog = `${folder}/uncaught.log`;
    const command = await commandFor(runtime, files, reportPath, withDocs);
    const env = {
      MMAN_UNCAUGHT: uncaughtLog,
      // Node would take the types out of the library anew in each of hundreds of child processes.
      NODE_COMPILE_CACHE: `${folder}/compiled`,
    };
    const outcome = await run(command, { env, limitSeconds });
    const results = readReport(await readIfPresent(reportPath), name === "deno");

    return makeRow(`${MACHINE}, ${name} ${runtime.version}`, results, outcome.seconds, [
      outcome.reason,
      await readIfPresent(uncaughtLog) && "an error was not caught",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const { runtimes, files, namesFiles, limitSeconds } = await selectTests(NAMES);
  const rows: Row[] = [];
  // The examples show all that there is, and Linux is where all of it is.
  const withDocs = !namesFiles && Deno.build.os === "linux";
  for (const name of runtimes) rows.push(await testUnder(name, files, withDocs, limitSeconds));
  report(rows);
}

Deno.chdir(new URL("..", import.meta.url));
await main();
