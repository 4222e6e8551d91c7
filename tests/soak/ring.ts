/**
 * The long runs of the rings, too long for the tests: a thousand kills a kind. Prints a table and ends with
 * `N passed, N failed`.
 *
 *   deno task soak ring [times] [kind]...
 *
 * `times` scales all numbers; 1 is what the library promises: 1,000 kills a kind. Where the library moves on, it
 * does so within 50 ms, not counting the time for which a program that takes part waits for a processor.
 */
import process from "node:process";
import { executableOf, type RuntimeName } from "../helpers_sync.ts";
import {
  killBroadcasters,
  killConsumers,
  type Killed,
  killProducers,
  killWriters,
} from "../kill_ring.ts";

const [times = "1", ...kinds] = process.argv.slice(2);
const kills = Math.max(Math.round(1000 * Number(times)), 1);
const runtimes = (["deno", "bun", "node"] as const satisfies RuntimeName[])
  .filter((name) => executableOf(name) !== undefined);

let passed = 0;
let failed = 0;

async function soak(
  kind: string,
  kill: (kills: number, runtimes: readonly RuntimeName[]) => Promise<Killed>,
  isGood: (result: Killed) => boolean,
  what: string,
): Promise<void> {
  if (kinds.length > 0 && !kinds.includes(kind)) return;
  const result = await kill(kills, runtimes);
  const { seen, broken, repeated, lost } = result;
  const good = broken === 0 && repeated === 0 && isGood(result);
  good ? passed++ : failed++;
  console.log(
    `${good ? "ok    " : "FAILED"} ${kills} ${kind} killed (${runtimes.join(", ")}): ` +
      `${seen} seen, ${broken} broken, ${repeated} repeated, ${lost} lost; ${what} after ` +
      `${show(result.times)}; without waiting for a processor ${show(result.ownTimes)}`,
  );
}

/** Milliseconds that all but a part of the sorted times are below. */
function quantile(times: readonly number[], part: number): number {
  return times[Math.min(Math.floor(times.length * part), times.length - 1)]!;
}

function show(times: readonly number[]): string {
  const [median, most, worst] = [0.5, 0.99, 1].map((part) => quantile(times, part).toFixed(2));
  return `${median} ms (median), ${most} ms (99%), ${worst} ms (worst)`;
}

/** Whether the slowest was fast enough. */
function movesOn({ ownTimes }: Killed): boolean {
  return quantile(ownTimes, 1) < 50;
}

await soak(
  "producers",
  killProducers,
  (result) => result.lost === 0 && movesOn(result),
  "another's message",
);
await soak(
  "consumers",
  killConsumers,
  (result) => result.lost <= kills && movesOn(result),
  "the successor's first message",
);
await soak("writers", killWriters, ({ lost }) => lost === 0, "the successor's start");
await soak(
  "broadcasters",
  killBroadcasters,
  (result) => result.lost === 0 && movesOn(result),
  "the successor's first message",
);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
