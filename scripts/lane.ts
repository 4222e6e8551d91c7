/**
 * What the test lanes for other systems on this machine (arm64.ts, musl.ts) share: runtimes from npm
 * that something has to start, the test files under them, a row for each, the line of counts at the end.
 */
import { parseArgs } from "node:util";
import { addCounts, countReport, type Counts, formatCounts } from "./counts.ts";
import { makeFolder, mustRun } from "./debian.ts";
import { run } from "./process.ts";
import { stdArguments } from "./std.ts";

/** Bun ends a test after five seconds unless told otherwise; Deno does not end it. */
const BUN_TEST_MS = 120_000;

/** A runtime that is ready to run tests. */
export interface Subject {
  readonly runtime: "deno" | "bun";
  readonly version: string;
  /** What starts it: the program before it, its options, the executable. */
  readonly command: readonly string[];
}

/** A system to test on. */
export interface Lane {
  /** In front of each row, such as `"arm64"`. */
  readonly name: string;
  /** A folder for what the lane needs and may be deleted. */
  readonly cache: string;
  /** The runtimes, by name. */
  readonly subjects: readonly Subject["runtime"][];
  /** Parts of paths of test files that are left out unless the command line asks for files. */
  leftOut(runtime: Subject["runtime"]): readonly string[];
  /** Makes a runtime ready. */
  prepare(runtime: Subject["runtime"]): Promise<Subject>;
}

interface Row extends Counts {
  readonly name: string;
  readonly seconds: number;
  /** Why the run counts as failed beyond its failed tests; empty if it does not. */
  readonly reason: string;
}

/** Installs a package of npm, whatever system it is for, and returns the path of a file in it. */
export async function fromNpm(
  npmPackage: string,
  version: string,
  file: string,
  folder: string,
): Promise<string> {
  await makeFolder(folder, async (fresh) => {
    console.error(`Installing ${npmPackage}@${version} with npm`);
    await mustRun([
      ...["npm", "install", "--prefix", fresh, "--no-audit", "--no-fund", "--loglevel=error"],
      ...["--force", `${npmPackage}@${version}`], // npm refuses what is not for this machine
    ]);
  });
  return `${folder}/node_modules/${npmPackage}/${file}`;
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

/** The arguments that make a runtime run `files` and leave a JUnit report at `report`. */
async function argumentsFor(
  runtime: Subject["runtime"],
  files: readonly string[],
  report: string,
): Promise<string[]> {
  switch (runtime) {
    case "deno":
      return [
        ...["test", "-A", "--no-check", "--node-modules-dir=manual", ...await stdArguments()],
        ...["--preload=./scripts/uncaught.ts", "--preload=./scripts/exec_path.ts"],
        ...[`--junit-path=${report}`, ...files],
      ];
    case "bun":
      return [
        ...["test", "--preload=./scripts/exec_path.ts", `--timeout=${BUN_TEST_MS}`],
        ...["--reporter=junit", `--reporter-outfile=${report}`, ...files],
      ];
  }
}

/** Writes a script that starts the runtime with any arguments, and returns its path. */
async function writeLauncher(path: string, command: readonly string[]): Promise<string> {
  const quoted = command.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" ");
  await Deno.writeTextFile(path, `#!/bin/sh\nexec ${quoted} "$@"\n`);
  await Deno.chmod(path, 0o755);
  return path;
}

/** Runs the files under a runtime. */
async function testUnder(
  { runtime, version, command }: Subject,
  { name, cache }: Lane,
  files: readonly string[],
  limitSeconds: number,
): Promise<Row> {
  const folder = await Deno.makeTempDir({ prefix: "mman-test-" });
  try {
    const report = `${folder}/report.xml`;
    const uncaught = `${folder}/uncaught.log`;
    await Promise.all([Deno.writeTextFile(report, ""), Deno.writeTextFile(uncaught, "")]);
    const launcher = await writeLauncher(`${folder}/${runtime}`, command);
    const env = {
      MMAN_RUNTIME_COMMAND: launcher,
      MMAN_UNCAUGHT: uncaught,
      DENO_DIR: `${Deno.cwd()}/${cache}/deno_dir`, // the machine's own holds another Deno's files
      DENO_NO_UPDATE_CHECK: "1",
    };
    const args = await argumentsFor(runtime, files, report);
    // Runtimes run side by side: the output of each is printed when it has ended.
    const log = `${folder}/output.log`;
    const logged = ["sh", "-c", '"$@" > "$0" 2>&1', log, launcher, ...args];
    const outcome = await run(logged, { env, limitSeconds });
    console.log(`\n== ${name}: ${runtime} ${version} ==\n${await Deno.readTextFile(log)}`);
    const counts = countReport(await Deno.readTextFile(report), runtime === "deno");

    // A run may fail outside of any test: a file that does not load, a hook, a crash, the time limit.
    const reasons: string[] = [];
    if (counts.failed === 0) {
      if (counts.passed === 0) reasons.push("ran no test");
      if (!outcome.success) reasons.push(outcome.reason);
      if (await Deno.readTextFile(uncaught)) reasons.push("an error was not caught");
    }
    return {
      ...counts,
      name: `${name}, ${runtime} ${version}`,
      failed: counts.failed + (reasons.length > 0 ? 1 : 0),
      seconds: outcome.seconds,
      reason: reasons.join(", "),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The row of a runtime that could not be run. */
function failedRow({ name }: Lane, runtime: Subject["runtime"], error: unknown): Row {
  const reason = error instanceof Error ? error.message : String(error);
  return { name: `${name}, ${runtime}`, passed: 0, failed: 1, skipped: 0, seconds: 0, reason };
}

/**
 * Runs a lane as the command line asks and ends the process if a test failed.
 *
 *   [--runtime NAME]... [--minutes N] [part of a test file's path]...
 */
export async function runLane(lane: Lane): Promise<void> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      runtime: { type: "string", multiple: true },
      minutes: { type: "string", default: "10" },
    },
  });
  const unknown = values.runtime?.find((name) => !lane.subjects.some((known) => known === name));
  if (unknown) throw new Error(`Unknown runtime ${unknown}: use ${lane.subjects.join(", ")}`);
  const selected = lane.subjects.filter((name) => values.runtime?.includes(name) ?? true);
  const limitSeconds = Number(values.minutes) * 60;
  if (!(limitSeconds > 0)) throw new Error(`Cannot limit a run to ${values.minutes} minutes`);

  const has = (parts: readonly string[]) => (file: string) =>
    parts.some((part) => file.includes(part));
  const all = await testFiles("tests");
  if (positionals.length > 0 && !all.some(has(positionals))) {
    throw new Error(`No test file has ${positionals.join(" or ")} in its path`);
  }
  const filesFor = (runtime: Subject["runtime"]) =>
    positionals.length > 0
      ? all.filter(has(positionals))
      : all.filter((file) => !has(lane.leftOut(runtime))(file));

  const subjects: Subject[] = [];
  const rows: Row[] = [];
  for (const runtime of selected) {
    try {
      subjects.push(await lane.prepare(runtime));
    } catch (error) {
      rows.push(failedRow(lane, runtime, error));
    }
  }
  rows.push(
    ...await Promise.all(subjects.map(async (subject) => {
      const { runtime } = subject;
      const paths = filesFor(runtime).map((file) => `./${file}`); // Bun takes a path without ./ for a filter
      try {
        return await testUnder(subject, lane, paths, limitSeconds);
      } catch (error) {
        return failedRow(lane, runtime, error);
      }
    })),
  );
  console.log();
  for (const { name, seconds, reason, ...counts } of rows) {
    const note = reason && `  (${reason})`;
    console.log(
      `${name.padEnd(20)}${seconds.toFixed(1).padStart(7)} s  ${formatCounts(counts)}${note}`,
    );
  }
  const total = addCounts(rows);
  console.log(formatCounts(total));
  if (total.failed > 0) Deno.exit(1);
}
