/**
 * The fuzzer: sequences of random calls of the whole library, each in a process of its own, one runtime
 * after the other until the time is over. Ends with the number of calls, and fails if there was a finding
 * or no call at all.
 *
 *   deno task fuzz [--seed N] [--minutes N] [--sequences N] [--runtime deno|bun|node]...
 *                  [--calls N] [--only CALLS] [--verbose]
 *
 * A sequence follows from its seed: the one of the first is `--seed`, each further one has the next
 * number. A finding prints the command that runs its sequence again, alone; `--only` leaves calls out.
 */
import { parseArgs } from "node:util";
import type { Tally } from "../tests/fuzz/driver.ts";
import type { Finding } from "../tests/fuzz/world.ts";
import { runSequence, type Sequence, type Verdict } from "./fuzz/sequence.ts";
import { kindOf, shorten } from "./fuzz/shorten.ts";
import { findRuntime, type RuntimeName } from "./runtimes.ts";

const NAMES: readonly RuntimeName[] = ["deno", "bun", "node"];

/** Calls of a sequence. */
const CALLS = 1000;

/** What the search for a shorter sequence may take. */
const SHORTEN_SECONDS = 30;

/** After so many kinds of findings there is enough to do. */
const MOST_FINDINGS = 10;

/** What the calls under one runtime came to. */
interface Row {
  readonly name: string;
  sequences: number;
  calls: number;
  findings: number;
  readonly tally: Tally;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`Cannot use ${text} for --${name}: give a number above 0`);
  return value;
}

/** The command that runs a sequence again. */
function commandOf({ runtime, seed, count }: Sequence, only?: string): string {
  const calls = count === CALLS ? "" : ` --calls ${count}`;
  const chosen = only === undefined ? "" : ` --only ${only}`;
  return `deno task fuzz --runtime ${runtime.name} --seed ${seed} --sequences 1${calls}${chosen}`;
}

async function printFinding(
  sequence: Sequence,
  { log }: Verdict,
  finding: Finding,
): Promise<void> {
  console.log(`\nFINDING under ${sequence.runtime.name}, call ${finding.call}: ${finding.what}`);
  const { call } = finding;
  const before = call < 0 ? log : log.filter((line) => parseInt(line) <= call);
  console.log("The last calls:");
  for (const line of before.slice(-10)) console.log(`  ${line}`);
  console.log(`Again:   ${commandOf(sequence, sequence.only)}`);
  if (sequence.only !== undefined) return;
  const only = await shorten(sequence, finding, SHORTEN_SECONDS);
  console.log(
    only === undefined
      ? "It did not come again in a second run: it depends on time."
      : `Shorter: ${commandOf(sequence, only)}`,
  );
}

function add(tally: Tally, more: Tally): void {
  for (const [name, { calls, returned }] of Object.entries(more)) {
    const sum = tally[name] ??= { calls: 0, returned: 0 };
    sum.calls += calls;
    sum.returned += returned;
  }
}

/** How often each call was made, and how often it returned. */
function printTally(rows: readonly Row[]): void {
  const tally: Tally = {};
  for (const row of rows) add(tally, row.tally);
  for (const [name, { calls, returned }] of Object.entries(tally).sort()) {
    console.log(`${name.padEnd(40)}${String(calls).padStart(9)}${String(returned).padStart(9)}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      seed: { type: "string", default: String(crypto.getRandomValues(new Uint32Array(1))[0]) },
      minutes: { type: "string", default: "1" },
      sequences: { type: "string", default: "Infinity" },
      runtime: { type: "string", multiple: true },
      calls: { type: "string", default: String(CALLS) },
      only: { type: "string" },
      verbose: { type: "boolean", default: false },
    },
  });
  const unknown = values.runtime?.find((name) => !NAMES.some((known) => known === name));
  if (unknown) throw new Error(`Unknown runtime ${unknown}: use ${NAMES.join(", ")}`);
  const firstSeed = Number(values.seed);
  if (!Number.isSafeInteger(firstSeed)) throw new Error(`Cannot use ${values.seed} as a seed`);
  const count = positive("calls", values.calls);
  const sequences = positive("sequences", values.sequences);
  const deadline = performance.now() + positive("minutes", values.minutes) * 60_000;

  const selected = NAMES.filter((name) => values.runtime?.includes(name) ?? true);
  const runtimes = await Promise.all(selected.map(findRuntime));
  const rows: Row[] = runtimes.map(({ name, version }) => ({
    name: `${name} ${version}`,
    ...{ sequences: 0, calls: 0, findings: 0, tally: {} },
  }));
  const kinds = new Set<string>();
  console.log(`Seed ${firstSeed}`);
  for (let k = 0; k < sequences && performance.now() < deadline; k++) {
    const row = rows[k % rows.length]!;
    const sequence = {
      runtime: runtimes[k % rows.length]!,
      seed: firstSeed + k,
      count,
      only: values.only,
    };
    const verdict = await runSequence(sequence);
    row.sequences++;
    row.calls += verdict.calls;
    row.findings += verdict.findings.length;
    add(row.tally, verdict.tally);
    for (const finding of verdict.findings) {
      const kind = `${sequence.runtime.name}: ${kindOf(finding)}`;
      if (kinds.has(kind)) continue;
      kinds.add(kind);
      await printFinding(sequence, verdict, finding);
    }
    if (kinds.size >= MOST_FINDINGS) break;
  }

  if (values.verbose) printTally(rows);
  console.log();
  for (const { name, sequences, calls, findings } of rows) {
    console.log(`${name.padEnd(14)}${calls} calls in ${sequences} processes, ${findings} findings`);
  }
  const idle = rows.some(({ sequences, calls }) => sequences > 0 && calls === 0);
  if (kinds.size > 0 || idle || rows.every(({ calls }) => calls === 0)) Deno.exit(1);
}

Deno.chdir(new URL("..", import.meta.url));
await main();
