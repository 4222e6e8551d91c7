/**
 * The long runs of the pool, too long for the tests. Prints a table and ends with `N passed, N failed`.
 *
 *   deno run -A tests/soak/pool.ts [times]
 *
 * `times` scales all numbers; 1 is what the library promises: four processes for a minute, 1,000 kills.
 */
import process from "node:process";
import { executableOf, type RuntimeName } from "../helpers_sync.ts";
import { killInPool, workTogether } from "../pool_processes.ts";

const scale = Number(process.argv[2] ?? 1);
const runtimes = (["deno", "bun", "node"] as const satisfies RuntimeName[])
  .filter((name) => executableOf(name) !== undefined);

let passed = 0;
let failed = 0;

function report(name: string, good: boolean, result: unknown): void {
  good ? passed++ : failed++;
  console.log(`${good ? "ok    " : "FAILED"} ${name}: ${JSON.stringify(result)}`);
}

const four = [...runtimes, "deno", "deno", "deno"].slice(0, 4) as RuntimeName[];
const together = await workTogether(four, 60_000 * scale);
report(
  `${four.join(", ")} on one pool`,
  together.overwritten === 0 && together.used === together.held && together.left === 0 &&
    together.problems.length === 0,
  together,
);

const kills = Math.max(Math.round(1000 * scale), 1);
const killed = await killInPool(kills, runtimes);
report(
  `${kills} processes killed`,
  killed.left === 0 && killed.overwritten === 0 && killed.problems.length === 0,
  killed,
);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
