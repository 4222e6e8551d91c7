/**
 * The Windows tests on a Linux machine: runs the test files in the Windows builds of Bun, Deno and Node
 * under Wine, and ends with the line `N passed, N failed[, N skipped]`. On a Debian machine as root it
 * sets up everything by itself; on Windows it runs the ordinary test command.
 *
 *   deno task test:windows [--runtime bun|deno|node]... [--minutes N] [part of a test file's path]...
 */
import { parseArgs } from "node:util";
import { addCounts, countReport, type Counts, formatCounts } from "./counts.ts";
import { run } from "./process.ts";
import { prepareWine, WINDOWS_RUNTIMES, type WindowsRuntime, type Wine } from "./windows/wine.ts";

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

/**
 * An import map in which nothing comes from the network: `@std` is the adapters of `tests/std`, and the
 * other packages are the ones that `deno.json` had npm put into `node_modules`.
 */
async function writeImportMap(path: string): Promise<void> {
  const { name, exports, imports: declared } = JSON.parse(await Deno.readTextFile("deno.json"));
  const up = "../".repeat(path.split("/").length - 1);
  const imports: Record<string, string> = {};
  for (const [entry, file] of Object.entries<string>(exports)) {
    imports[entry.replace(/^\./, name)] = up + file.replace(/^\.\//, "");
  }
  for (const [key, target] of Object.entries<string>(declared)) {
    if (target.startsWith("jsr:@std/")) {
      imports[key] = `${up}${key.replace(/^@std/, "tests/std")}.ts`;
    }
  }
  await Deno.writeTextFile(path, JSON.stringify({ imports }, null, 2));
}

/** The arguments that make a runtime run `files` and leave a JUnit report at `report`. */
async function argumentsFor(
  name: WindowsRuntime,
  files: readonly string[],
  report: string,
): Promise<string[]> {
  switch (name) {
    case "bun":
      return [
        ...["test", `--timeout=${BUN_TEST_MS}`],
        ...["--reporter=junit", `--reporter-outfile=${report}`, ...files],
      ];
    case "deno": {
      const map = ".cache/windows/import_map.json";
      await writeImportMap(map);
      return [
        ...["test", "-A", "--no-check", "--no-config", "--node-modules-dir=manual"],
        ...[`--import-map=${map}`, `--junit-path=${report}`, ...files],
      ];
    }
    case "node":
      return [
        ...["--disable-warning=ExperimentalWarning", "--experimental-ffi"],
        ...["--import=./tests/std/register.mjs", "--test"],
        ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
        ...["--test-reporter=junit", `--test-reporter-destination=${report}`, ...files],
      ];
  }
}

/** Runs the files in one runtime. */
async function testUnder(
  wine: Wine,
  name: WindowsRuntime,
  files: readonly string[],
  limitSeconds: number,
): Promise<Row> {
  const { executable, version } = await wine.runtime(name);
  console.log(`\n== ${name} ${version} for Windows ==`);
  const report = `.cache/windows/${name}.xml`;
  await Deno.writeTextFile(report, ""); // of an earlier run
  const args = await argumentsFor(name, files, `D:/${report}`); // Bun under Wine wants a drive
  const { success, reason: ending, seconds } = await run(
    // libuv cannot open a pipe of Linux as stdout, so that Node writes through a file.
    name === "node"
      ? ["sh", "-c", '"$@" > "$0" 2>&1; code=$?; cat "$0"; exit $code', `${report}.log`].concat(
        wine.command(executable, args),
      )
      : wine.command(executable, args),
    { env: wine.env, limitSeconds },
  );
  const { passed, failed, skipped } = countReport(await Deno.readTextFile(report), name === "deno");
  // A run may fail outside of any test: a file that does not load, a hook, a crash, the time limit.
  const reason = passed + failed === 0 ? "ran no test" : failed === 0 ? ending : "";
  return {
    name: `${name} ${version}`,
    passed,
    failed: failed + (reason ? 1 : 0),
    skipped,
    seconds,
    reason: reason && !success && reason !== ending ? `${reason}, ${ending}` : reason,
  };
}

/** Runs the files in each runtime, whatever becomes of the others. */
async function testAll(
  names: readonly WindowsRuntime[],
  files: readonly string[],
  limitSeconds: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  const failedRow = (name: string, error: unknown): Row => {
    const reason = error instanceof Error ? error.message : String(error);
    return { name, passed: 0, failed: 1, skipped: 0, seconds: 0, reason };
  };
  try {
    await using wine = await prepareWine();
    for (const name of names) {
      try {
        rows.push(await testUnder(wine, name, files, limitSeconds));
      } catch (error) {
        rows.push(failedRow(name, error));
      }
    }
  } catch (error) {
    rows.push(failedRow("Wine", error));
  }
  return rows;
}

async function main(): Promise<void> {
  if (Deno.build.os === "windows") {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "scripts/test.ts", ...Deno.args],
    }).spawn().status;
    Deno.exit(code);
  }
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      runtime: { type: "string", multiple: true },
      minutes: { type: "string", default: "10" },
    },
  });
  const unknown = values.runtime?.find((name) => !WINDOWS_RUNTIMES.some((known) => known === name));
  if (unknown) throw new Error(`Unknown runtime ${unknown}: use ${WINDOWS_RUNTIMES.join(", ")}`);
  const selected = WINDOWS_RUNTIMES.filter((name) => values.runtime?.includes(name) ?? true);
  const limitSeconds = Number(values.minutes) * 60;
  if (!(limitSeconds > 0)) throw new Error(`Cannot limit a run to ${values.minutes} minutes`);

  const all = await testFiles("tests");
  const wanted = (file: string) => positionals.some((part) => file.includes(part));
  const files = positionals.length === 0 ? all : all.filter(wanted);
  if (files.length === 0) {
    throw new Error(`No test file has ${positionals.join(" or ")} in its path`);
  }

  const paths = files.map((file) => `./${file}`); // Bun takes a path without ./ for a filter
  const rows = await testAll(selected, paths, limitSeconds);
  console.log();
  for (const { name, seconds, reason, ...counts } of rows) {
    const note = reason && `  (${reason})`;
    console.log(
      `Windows, ${name.padEnd(14)}${seconds.toFixed(1).padStart(7)} s  ` +
        `${formatCounts(counts)}${note}`,
    );
  }
  const total = addCounts(rows);
  console.log(formatCounts(total));
  if (total.failed > 0) Deno.exit(1);
}

Deno.chdir(new URL("..", import.meta.url));
await main();
