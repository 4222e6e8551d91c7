/**
 * What the test lanes for other systems on this machine (arm64.ts, musl.ts) share: runtimes from npm
 * that something has to start, the test files under them, a row for each, the line of counts at the end.
 */
import { readReport } from "./counts.ts";
import { makeFolder, mustRun } from "./debian.ts";
import { run } from "./process.ts";
import { stdArguments } from "./std.ts";
import { BUN_TEST_MS, failedRow, makeRow, report, type Row, selectTests } from "./suite.ts";

/** A runtime that is ready to run tests. */
export interface Subject {
  readonly runtime: "deno" | "bun" | "node";
  readonly version: string;
  /** What starts it: the program before it, its options, the executable. */
  readonly command: readonly string[];
}

/** A system to test on. */
export interface Lane {
  /** In front of each row, such as `"Linux arm64"`. */
  readonly name: string;
  /** A folder for what the lane needs and may be deleted. */
  readonly cache: string;
  /** The runtimes, by name. */
  readonly subjects: readonly Subject["runtime"][];
  /** Whether a test file runs there; one that the command line names always does. */
  takes(file: string, runtime: Subject["runtime"]): boolean;
  /** Makes a runtime ready. */
  prepare(runtime: Subject["runtime"]): Promise<Subject>;
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
        ...["test", `--timeout=${BUN_TEST_MS}`],
        ...["--reporter=junit", `--reporter-outfile=${report}`, ...files],
      ];
    case "node":
      return [
        ...["--disable-warning=ExperimentalWarning", "--import=./tests/std/register.mjs"],
        ...["--import=./scripts/exec_path.ts", "--test", "--test-isolation=none"],
        ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
        ...["--test-reporter=junit", `--test-reporter-destination=${report}`, ...files],
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
    const reportPath = `${folder}/report.xml`;
    const uncaught = `${folder}/uncaught.log`;
    await Promise.all([Deno.writeTextFile(reportPath, ""), Deno.writeTextFile(uncaught, "")]);
    await Deno.chmod(folder, 0o755); // tests start the runtime as another user
    const launcher = await writeLauncher(`${folder}/${runtime}`, command);
    const env = {
      MMAN_RUNTIME_COMMAND: launcher,
      MMAN_UNCAUGHT: uncaught,
      DENO_DIR: `${Deno.cwd()}/${cache}/deno_dir`, // the machine's own holds another Deno's files
      DENO_NO_UPDATE_CHECK: "1",
      NODE_COMPILE_CACHE: `${folder}/compiled`,
      BUN_OPTIONS: `--preload=${Deno.cwd()}/scripts/exec_path.ts`, // child processes, too
    };
    const args = await argumentsFor(runtime, files, reportPath);
    // Runtimes run side by side: the output of each is printed when it has ended.
    const log = `${folder}/output.log`;
    const logged = ["sh", "-c", '"$@" > "$0" 2>&1', log, launcher, ...args];
    const outcome = await run(logged, { env, limitSeconds });
    console.log(`\n== ${name}: ${runtime} ${version} ==\n${await Deno.readTextFile(log)}`);
    const results = readReport(await Deno.readTextFile(reportPath), runtime === "deno");

    return makeRow(`${name}, ${runtime} ${version}`, results, outcome.seconds, [
      outcome.reason,
      await Deno.readTextFile(uncaught) && "an error was not caught",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Runs a lane as the command line asks and ends the process if a test failed. The runtimes run side by
 * side: each takes one processor.
 *
 *   [--runtime NAME]... [--minutes N] [part of a test file's path]...
 */
export async function runLane(lane: Lane): Promise<void> {
  const { runtimes, files, namesFiles, limitSeconds } = await selectTests(lane.subjects);
  const subjects: Subject[] = [];
  const rows: Row[] = [];
  for (const runtime of runtimes) {
    try {
      subjects.push(await lane.prepare(runtime));
    } catch (error) {
      rows.push(failedRow(`${lane.name}, ${runtime}`, error));
    }
  }
  const tested = subjects.map(async (subject) => {
    const { runtime } = subject;
    const taken = files.filter((file) => namesFiles || lane.takes(file, runtime));
    try {
      return await testUnder(subject, lane, taken, limitSeconds);
    } catch (error) {
      return failedRow(`${lane.name}, ${runtime}`, error);
    }
  });
  report([...rows, ...await Promise.all(tested)]);
}
