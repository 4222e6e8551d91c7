/**
 * The long runs of the rings, too long for the tests: a thousand kills a kind. Prints a table and ends with
 * `N passed, N failed`.
 *
 *   deno task soak ring [times] [kind]...
 *
 * `times` scales all numbers; 1 is what the library promises: 1,000 kills a kind.
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
  const { seen, broken, repeated, lost, times } = result;
  const at = (part: number) => times[Math.min(Math.floor(kills * part), kills - 1)]!.toFixed(2);
  const good = broken === 0 && repeated === 0 && isGood(result);
  good ? passed++ : failed++;
  console.log(
    `${good ? "ok    " : "FAILED"} ${kills} ${kind} killed (${
      runtimes.join(", ")
    }): ${seen} seen, ` +
      `${broken} broken, ${repeated} repeated, ${lost} lost; ${what} after ${
        at(0.5)
      } ms (median), ` +
      `${at(0.99)} ms (99%), ${at(1)} ms (worst)`,
  );
}

await soak(
  "producers",
  killProducers,
  ({ lost, times }) => lost === 0 && times[Math.floor(kills * 0.99)]! < 50,
  "another's message",
);
await soak(
  "consumers",
  killConsumers,
  ({ lost }) => lost <= kills,
  "the successor's first message",
);
await soak("writers", killWriters, ({ lost }) => lost === 0, "the successor's start");
await soak(
  "broadcasters",
  killBroadcasters,
  ({ lost }) => lost === 0,
  "the successor's first message",
);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
