/**
 * The Windows tests on a Linux machine: runs the test files in the Windows builds of Bun, Deno and Node
 * under Wine, and ends with the line `N passed, N failed[, N skipped]`. On a Debian machine as root it
 * sets up everything by itself; on Windows it runs the ordinary test command.
 *
 *   deno task test:windows [--runtime bun|deno|node]... [--minutes N] [part of a test file's path]...
 */
import { readReport } from "./counts.ts";
import { run } from "./process.ts";
import { BUN_TEST_MS, failedRow, makeRow, report, type Row, selectTests } from "./suite.ts";
import { prepareWine, WINDOWS_RUNTIMES, type WindowsRuntime, type Wine } from "./windows/wine.ts";

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
  const reportPath = `.cache/windows/${name}.xml`;
  await Deno.writeTextFile(reportPath, ""); // of an earlier run
  const args = await argumentsFor(name, files, `D:/${reportPath}`); // Bun under Wine wants a drive
  const command = wine.command(executable, args);
  // libuv cannot open a pipe of Linux as stdout, so that Node writes through a file.
  const throughFile = ["sh", "-c", '"$@" > "$0" 2>&1; code=$?; cat "$0"; exit $code'];
  const { reason, seconds } = await run(
    name === "node" ? [...throughFile, `${reportPath}.log`, ...command] : command,
    { env: wine.env, limitSeconds },
  );
  const results = readReport(await Deno.readTextFile(reportPath), name === "deno");
  return makeRow(`Windows x64, ${name} ${version}`, results, seconds, [reason]);
}

/** Runs the files in each runtime, whatever becomes of the others. */
async function testAll(
  names: readonly WindowsRuntime[],
  files: readonly string[],
  limitSeconds: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  try {
    await using wine = await prepareWine();
    for (const name of names) {
      try {
        rows.push(await testUnder(wine, name, files, limitSeconds));
      } catch (error) {
        rows.push(failedRow(`Windows x64, ${name}`, error));
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
  const { runtimes, files, limitSeconds } = await selectTests(WINDOWS_RUNTIMES);
  report(await testAll(runtimes, files, limitSeconds));
}

Deno.chdir(new URL("..", import.meta.url));
await main();
