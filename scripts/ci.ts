/**
 * Decides whether a change is good: runs every step to its end, also after a failure, prints a table of
 * them and ends with the line `N passed, N failed[, N skipped]`. `.ci/run` calls it.
 *
 *   deno task ci [name of a step]...
 */
import { addCounts, type Counts, formatCounts, parseCounts } from "./counts.ts";
import { type Outcome, run } from "./process.ts";
import { stdArguments } from "./std.ts";
import { formatRow, parseRows, type Row } from "./suite.ts";

/**
 * One step. A step whose output ends in a line of counts adds those; any other counts as one, passed or
 * failed by its exit code.
 */
interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Record<string, string>;
  /** Default: ten minutes. */
  readonly minutes?: number;
}

/** How a step went. */
interface Ended extends Row {
  /** What a step that runs tests says of each system and runtime. */
  readonly parts: readonly Row[];
}

/** The files that an example or bench folder offers to run; none if the folder is missing. */
async function filesIn(folder: string, wanted: (name: string) => boolean): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.filter((entry) => entry.isFile && wanted(entry.name))
      .map((entry) => `${folder}/${entry.name}`).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** `examples/*.ts` and `examples/<name>/main.ts`, without the gallery: that one is a task. */
async function examples(): Promise<string[]> {
  const folders = (await Array.fromAsync(Deno.readDir("examples")))
    .filter((entry) => entry.isDirectory && entry.name !== "gallery").map((entry) => entry.name);
  const programs = folders.sort().map((name) =>
    filesIn(`examples/${name}`, (file) => file === "main.ts")
  );
  const scripts = filesIn("examples", (file) => file.endsWith(".ts"));
  return (await Promise.all([scripts, ...programs])).flat();
}

/**
 * The systems that a Debian machine on x86-64 can stand in for: Windows under Wine, arm64 under QEMU,
 * musl under its own loader. On an arm64 machine the ordinary tests are those of arm64.
 */
function lanes(deno: string): Step[] {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return [];
  const lane = (name: string, ...args: string[]): Step => ({
    name,
    command: [deno, "run", "-A", `scripts/${name}.ts`, ...args],
    minutes: 15,
  });
  return [
    lane("windows", "--runtime", "bun"),
    lane("arm64", "--runtime", "deno", "--runtime", "bun"), // Node is too slow there
    lane("musl"),
  ];
}

/** Every step, in the order of running. To add one, add a line. */
async function allSteps(): Promise<Step[]> {
  const deno = Deno.execPath();
  const std = await stdArguments();
  const { exports } = JSON.parse(await Deno.readTextFile("deno.json"));
  const entries = Object.values<string>(exports);
  const benches = await filesIn("bench", (name) => name.endsWith("_bench.ts"));
  const comparisons = await filesIn(
    "bench",
    (name) => name.endsWith(".ts") && !/_bench\.ts$|^(common|rivals)\.ts$/.test(name),
  );
  const smoke = { MMAN_BENCH_SMOKE: "1" };
  return [
    { name: "format", command: [deno, "fmt", "--check"] },
    { name: "lint", command: [deno, "lint"] },
    { name: "check", command: [deno, "check", "--doc", ...std, "."] },
    { name: "tsc", command: [deno, "task", "tsc"] },
    { name: "doc", command: [deno, "doc", "--lint", ...entries] },
    { name: "publish", command: [deno, "publish", "--dry-run", "--allow-dirty"] },
    { name: "packages", command: [deno, "run", "-A", "scripts/packages.ts"] },
    {
      name: "test",
      command: [deno, "run", "-A", "scripts/test.ts", "--minutes", "20"],
      minutes: 60,
    },
    ...lanes(deno),
    {
      name: "fuzz",
      // Always the same sequences, half a minute; what depends on time is left to longer runs.
      command: [deno, "task", "fuzz", "--seed", "1", "--sequences", "30", "--minutes", "9"],
    },
    ...benches.map((file) => ({
      name: file,
      command: [deno, "bench", "-A", ...std, file],
      env: smoke,
    })),
    ...comparisons.map((file) => ({
      name: file,
      command: [deno, "run", "-A", ...std, file],
      env: smoke,
    })),
    {
      name: "peers",
      // Without the rows that empty the page cache of the machine.
      command: [
        deno,
        "task",
        "bench:peers",
        "copy-into",
        "random-warm",
        "sum",
        "median",
        "find",
        "lock",
      ],
      env: smoke,
    },
    { name: "gallery", command: [deno, "task", "gallery"] },
    ...(await examples()).map((file) => ({
      name: file,
      command: [deno, "run", "-A", ...std, file],
    })),
  ];
}

/** The counts of a step that has ended. */
function countStep({ success, reason, stdout }: Outcome): Counts & { reason: string } {
  const stated = parseCounts(stdout);
  if (!stated) return { passed: success ? 1 : 0, failed: success ? 0 : 1, skipped: 0, reason };
  const explained = success || stated.failed > 0;
  return {
    ...stated,
    failed: stated.failed + (explained ? 0 : 1),
    reason: explained ? "" : reason,
  };
}

/** Runs one step. */
async function runStep({ name, command, env = {}, minutes = 10 }: Step): Promise<Ended> {
  console.log(`\n== ${name} ==`);
  const outcome = await run(command, { env, limitSeconds: minutes * 60, stdout: "tee" });
  const parts = parseRows(outcome.stdout);
  return { name, seconds: outcome.seconds, ...countStep(outcome), failures: [], parts };
}

async function main(): Promise<void> {
  const steps = await allSteps();
  const unknown = Deno.args.find((name) => !steps.some((step) => step.name === name));
  if (unknown) {
    throw new Error(`Unknown step ${unknown}: use ${steps.map(({ name }) => name).join(", ")}`);
  }
  const selected = steps.filter(({ name }) => Deno.args.length === 0 || Deno.args.includes(name));

  const ended: Ended[] = [];
  for (const step of selected) ended.push(await runStep(step));

  console.log();
  const indented = (row: Row): Row => ({ ...row, name: `  ${row.name}` });
  const lines = ended.flatMap(({ parts, ...row }) => [row, ...parts.map(indented)]);
  const width = Math.max(...lines.map(({ name }) => name.length));
  for (const row of lines) console.log(formatRow(row, width));
  const total = addCounts(ended);
  console.log(formatCounts(total));
  if (total.failed > 0) Deno.exit(1);
}

Deno.chdir(new URL("..", import.meta.url));
await main();
