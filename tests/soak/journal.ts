/**
 * The long runs of the journal, too long for the tests: writers that are killed, and bits that flip. Prints
 * a table and ends with `N passed, N failed`.
 *
 *   deno task soak journal [times]
 *
 * `times` scales all numbers; 1 is what the library promises: 1,000 kills, every bit of 1,000 records.
 */
import process from "node:process";
import { flipBits } from "../flip_bits.ts";
import { executableOf, type RuntimeName } from "../helpers_sync.ts";
import { killWriters } from "../kill_writers.ts";

const scale = Number(process.argv[2] ?? 1);
const runtimes = (["deno", "bun", "node"] as const satisfies RuntimeName[])
  .filter((name) => executableOf(name) !== undefined);

let passed = 0;
let failed = 0;

async function step(name: string, run: () => Promise<string> | string): Promise<void> {
  try {
    console.log(`ok     ${name}: ${await run()}`);
    passed++;
  } catch (error) {
    console.log(`FAILED ${name}: ${error}`);
    failed++;
  }
}

for (const durability of ["every", "batch", "none"] as const) {
  const kills = Math.max(Math.round(1000 * scale), 1);
  await step(`${kills} writers killed, durability "${durability}"`, async () => {
    const { acknowledged, torn, ahead } = await killWriters(durability, kills, runtimes);
    return `${acknowledged} acknowledged records read again, ${torn} times something was torn, ` +
      `${ahead} times a record was whole and not acknowledged yet`;
  });
}

await step("bits flipped in a journal of 1,000 records", () => {
  const { bits, detected } = flipBits(1000, { stride: Math.max(Math.round(1 / scale), 1) });
  if (detected !== bits) throw new Error(`${bits - detected} of ${bits} were not noticed`);
  return `${bits}, all noticed`;
});

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
