/**
 * One sequence of calls, in a process of its own. What it does goes line by line into a log, each call
 * before it is made, so that the last one is known however the process ends:
 *
 *   call         as {@link Driver} shows it
 *   ! {...}      a {@link Finding}
 *   = {...}      the {@link Summary}, once all is over
 *
 * Arguments: the seed, how many calls, the log, the folder, the prefix of names, and the calls to make
 * (all of them by default), such as `0-20,35`.
 */
import fs from "node:fs";
import process from "node:process";
import { allocationGranularity, MemoryMap } from "../../mod.ts";
import { Driver, type Tally } from "./driver.ts";
import { collectNow } from "./hostile.ts";
import { addressIn, watchLeaks } from "./leaks.ts";
import { tables } from "./tables/mod.ts";
import { World } from "./world.ts";

/** How a sequence ended. */
export interface Summary {
  readonly tally: Tally;
}

const [seed = "0", count = "0", logFile = "", folder = "", prefix = "", chosen] = process.argv
  .slice(2);

const log = fs.openSync(logFile, "a");
function write(line: string): void {
  fs.writeSync(log, `${line.replaceAll("\n", "\\n")}\n`);
}

/** Whether a call is among those chosen. */
function chooser(chosen: string | undefined): (index: number) => boolean {
  if (chosen === undefined) return () => true;
  const ranges = chosen.split(",").map((range) => range.split("-").map(Number));
  return (index) => ranges.some(([first = -1, last = first]) => index >= first && index <= last);
}

/** Rounds of collection in which finalizers have to have given everything back. */
const ROUNDS = 50;

/** What a dead Worker held is given back with the next map that is shared. */
function endOrphans(): void {
  const map = MemoryMap.createAnonymous(1);
  map.share();
  map.close();
}

/** Collects garbage until nothing is left, and returns what is. */
async function collectUntilClean(leaks: () => string[], world: World): Promise<string[]> {
  for (let round = 0; round < ROUNDS; round++) {
    // The collector of Bun keeps what looks as if it were still in use: that is closed.
    if (round === 10) world.closeDropped();
    collectNow();
    endOrphans();
    await new Promise((resolve) => setTimeout(resolve, round < 10 ? 1 : 20));
    if (leaks().length === 0) return [];
  }
  return leaks();
}

async function main(): Promise<void> {
  process.chdir(folder);
  const world = new World(prefix);
  process.on("uncaughtException", (error) => world.judge(error, "an uncaught exception"));
  process.on("unhandledRejection", (error) => world.judge(error, "an unhandled rejection"));
  // What is opened at the first use and kept: libc, and the engine's source of random numbers.
  allocationGranularity();
  crypto.randomUUID();
  const leaks = watchLeaks({ folder, prefix });

  const driver = new Driver(world, tables, Number(seed), write);
  const isChosen = chooser(chosen);
  let reported = 0;
  const report = (): void => {
    while (reported < world.findings.length) {
      write(`! ${JSON.stringify(world.findings[reported++])}`);
    }
  };
  for (let index = 0; index < Number(count); index++) {
    if (isChosen(index)) await driver.step(index);
    report();
  }
  write("ending");
  await world.end(20);
  report();
  write("collecting");
  for (const leak of await collectUntilClean(leaks, world)) {
    world.report(`leak: ${leak}, ${world.mapAt(addressIn(leak))}`);
  }
  world.unlinkNames();
  report();
  write(`= ${JSON.stringify({ tally: driver.tally } satisfies Summary)}`);
  process.exit(0);
}

try {
  await main();
} catch (error) {
  // A mistake of the fuzzer's own: the listeners above would take it for a finding, and go on.
  console.error(error);
  process.exit(1);
}
