/**
 * What the commands that run the test files share (test.ts, windows.ts, arm64.ts, musl.ts): what the
 * command line asks for, a row for each runtime, and the line of counts at the end.
 */
import { parseArgs } from "node:util";
import { addCounts, formatCounts, parseCounts, type Report } from "./counts.ts";

/** Bun ends a test after five seconds unless told otherwise; Deno and Node do not end it. */
export const BUN_TEST_MS = 120_000;

/** How the tests went under one runtime. */
export interface Row extends Report {
  /** System, runtime and version. */
  readonly name: string;
  readonly seconds: number;
  /** Why the run counts as failed beyond its failed tests; empty if it does not. */
  readonly reason: string;
}

/** What the command line asks for. */
export interface Selection<Name extends string> {
  readonly runtimes: readonly Name[];
  readonly limitSeconds: number;
  /** Whether it names test files, by parts of their paths. */
  readonly namesFiles: boolean;
  /** The test files, such as `./tests/open_test.ts`: Bun takes a path without `./` for a filter. */
  readonly files: readonly string[];
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

/** Whether a path has one of several parts. */
export function hasPart(path: string, parts: readonly string[]): boolean {
  return parts.some((part) => path.includes(part));
}

/**
 * Reads the command line.
 *
 *   [--runtime NAME]... [--minutes N] [part of a test file's path]...
 */
export async function selectTests<Name extends string>(
  known: readonly Name[],
): Promise<Selection<Name>> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      runtime: { type: "string", multiple: true },
      minutes: { type: "string", default: "10" },
    },
  });
  const unknown = values.runtime?.find((name) => !known.some((one) => one === name));
  if (unknown) throw new Error(`Unknown runtime ${unknown}: use ${known.join(", ")}`);
  const limitSeconds = Number(values.minutes) * 60;
  if (!(limitSeconds > 0)) throw new Error(`Cannot limit a run to ${values.minutes} minutes`);

  const all = (await testFiles("tests")).map((file) => `./${file}`);
  const namesFiles = positionals.length > 0;
  const files = namesFiles ? all.filter((file) => hasPart(file, positionals)) : all;
  if (files.length === 0) {
    throw new Error(`No test file has ${positionals.join(" or ")} in its path`);
  }
  return {
    runtimes: known.filter((name) => values.runtime?.includes(name) ?? true),
    limitSeconds,
    namesFiles,
    files,
  };
}

/** The row of a run that could not be made. */
export function failedRow(name: string, error: unknown): Row {
  const reason = error instanceof Error ? error.message : String(error);
  return { name, passed: 0, failed: 1, skipped: 0, seconds: 0, reason, failures: [] };
}

/**
 * A row from a report. A run may fail outside of any test: a file that does not load, a
 * hook, a crash, the time limit.
 *
 * @param reasons What went wrong outside of the tests; it counts only where no test has failed.
 */
export function makeRow(
  name: string,
  report: Report,
  seconds: number,
  reasons: readonly string[],
): Row {
  const ran = report.passed + report.failed > 0 ? [] : ["ran no test"];
  const reason = report.failed > 0 ? "" : [...ran, ...reasons].filter(Boolean).join(", ");
  return { ...report, name, seconds, reason, failed: report.failed + (reason ? 1 : 0) };
}

const NAME_WIDTH = 28;

/** Before each failed test below its row. */
const FAILED = "    failed: ";

/**
 * One line of a table: the name, the time, the counts, and the reason in parentheses; below it a line for
 * each failed test, so that the end of a long output tells what failed.
 */
export function formatRow(
  { name, seconds, reason, failures, ...counts }: Row,
  width: number = NAME_WIDTH,
): string {
  const note = reason && `  (${reason})`;
  const time = seconds.toFixed(1).padStart(8);
  const line = `${name.padEnd(width)}${time} s  ${formatCounts(counts)}${note}`;
  return [line, ...failures.map((failure) => FAILED + failure)].join("\n");
}

/** The rows in what one of these commands has printed. */
export function parseRows(output: string): Row[] {
  const pattern =
    /^(\S.*?) +(\d+\.\d) s {2}(\d+ passed, \d+ failed(?:, \d+ skipped)?)(?: {2}\((.*)\))?$/;
  const rows: (Row & { failures: string[] })[] = [];
  for (const line of output.trimEnd().split("\n")) {
    const [, name = "", seconds = "", text = "", reason = ""] = pattern.exec(line) ?? [];
    const counts = parseCounts(text);
    if (counts) rows.push({ ...counts, name, seconds: Number(seconds), reason, failures: [] });
    else if (line.startsWith(FAILED)) rows.at(-1)?.failures.push(line.slice(FAILED.length));
  }
  return rows;
}

/** Prints the rows and the line of counts; ends the process if a test failed. */
export function report(rows: readonly Row[]): void {
  console.log();
  for (const row of rows) console.log(formatRow(row));
  const total = addCounts(rows);
  console.log(formatCounts(total));
  if (total.failed > 0) Deno.exit(1);
}
