/**
 * The long runs of the locks, too long for the tests: kills, waits, totals, invariants. Prints a table
 * and ends with `N passed, N failed`.
 *
 *   deno task soak sync [times] [part of a name]
 *
 * `times` scales all numbers; 1 is what the library promises: 1,000 kills a kind, 1,000,000 waits.
 */
import process from "node:process";
import { executableOf, type RuntimeName } from "../helpers_sync.ts";
import { type Holding, killHolders } from "../kill_holders.ts";
import { count, keepStep, type Party, sharePermits, takeTurns } from "../sync_stress.ts";

const scale = Number(process.argv[2] ?? 1);
const wanted = process.argv[3] ?? "";
const SECONDS = 600;
const runtimes = (["deno", "bun", "node"] as const satisfies RuntimeName[])
  .filter((name) => executableOf(name) !== undefined);
const python: Party[] = executableOf("python") === undefined ? [] : ["python"];
const four = Array.from({ length: 4 }, (_, i) => runtimes[i % runtimes.length]!);
const threads: Party[] = Array.from({ length: 8 }, () => "thread");
const scaled = (number: number) => Math.max(Math.round(number * scale), 1);

let passed = 0;
let failed = 0;

/** Runs one of them; what it returns is printed, what it throws is a failure. */
async function soak(name: string, run: () => Promise<string | void>): Promise<void> {
  if (!name.includes(wanted)) return;
  const start = performance.now();
  let verdict = "ok    ";
  let text: string;
  try {
    text = await run() ?? "";
    passed++;
  } catch (error) {
    verdict = "FAILED";
    text = (error as Error).message;
    failed++;
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${verdict} ${name} ${text} (${seconds} s)`);
}

/** Kills holders; fails if the next one waits longer than the library promises. */
async function kill(kind: Holding, kills: number): Promise<string> {
  const { times, recovered, torn } = await killHolders(kind, kills, runtimes);
  const at = (part: number) => times[Math.min(Math.floor(kills * part), kills - 1)]!;
  const text = `next owner after ${at(0.5).toFixed(2)} ms (median), ${at(0.99).toFixed(2)} ms ` +
    `(99%), ${at(1).toFixed(2)} ms (worst); ${recovered} recovered, ${torn} torn`;
  if (torn > 0 || at(1) >= 50 || at(0.5) >= 1) throw new Error(text);
  return text;
}

const kills = scaled(1000);
for (const kind of ["mutex", "write", "read", "semaphore"] as const) {
  await soak(`${kills} holders killed (${kind}):`, () => kill(kind, kills));
}
const [first = "deno", second = first] = runtimes;
for (const [how, turns] of [["change", 1e6], ["event", 1e6], ["changeAsync", 1e5]] as const) {
  const waits = scaled(turns);
  await soak(
    `${waits} waits of ${first} and ${second}, each woken (${how})`,
    () => takeTurns(how, waits, [first, second], SECONDS),
  );
}
for (const kind of ["mutex", "rwlock", "semaphore"]) {
  const each = scaled(100_000);
  await soak(
    `4 processes, each counting to ${each} under a ${kind}`,
    () => count(kind, four.map((runtime) => [runtime, each, "sync"]), SECONDS),
  );
  await soak(
    `8 threads, each counting to ${each} under a ${kind}`,
    () => count(kind, threads.map((party) => [party, each, "sync"]), SECONDS),
  );
}
await soak(
  "all runtimes and Python, each counting to 100000 under a mutex",
  () =>
    count("mutex", [...runtimes, ...python].map((one) => [one, scaled(100_000), "sync"]), SECONDS),
);
for (const parties of [threads, four]) {
  const phases = scaled(20_000);
  await soak(
    `${parties.length} in step for ${phases} phases`,
    () => keepStep(phases, parties, SECONDS),
  );
  await soak(
    `3 permits of ${parties.length}`,
    () => sharePermits(3, scaled(20_000), parties, SECONDS),
  );
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
