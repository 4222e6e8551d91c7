/**
 * The long runs of the locks, too long for the tests: kills, waits, totals, invariants. Prints a table
 * and ends with `N passed, N failed`.
 *
 *   deno run -A tests/soak/sync.ts [times]
 *
 * `times` scales all numbers; 1 is what the library promises: 1,000 kills a kind, 1,000,000 waits.
 */
import process from "node:process";
import { executableOf, type RuntimeName } from "../helpers_sync.ts";
import { killHolders } from "../kill_holders.ts";

const scale = Number(process.argv[2] ?? 1);
const runtimes = (["deno", "bun", "node"] as const satisfies RuntimeName[])
  .filter((name) => executableOf(name) !== undefined);

let passed = 0;
let failed = 0;

function report(name: string, good: boolean, text: string): void {
  good ? passed++ : failed++;
  console.log(`${good ? "ok    " : "FAILED"} ${name}: ${text}`);
}

for (const kind of ["mutex", "write", "read", "semaphore"] as const) {
  const kills = Math.max(Math.round(1000 * scale), 1);
  const { times, recovered, torn } = await killHolders(kind, kills, runtimes);
  const at = (part: number) => times[Math.min(Math.floor(kills * part), kills - 1)]!.toFixed(2);
  report(
    `${kills} holders killed (${kind})`,
    torn === 0 && times.at(-1)! < 50 && times[kills >> 1]! < 1,
    `next owner after ${at(0.5)} ms (median), ${at(0.99)} ms (99%), ${at(1)} ms (worst); ` +
      `${recovered} recovered, ${torn} torn`,
  );
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
