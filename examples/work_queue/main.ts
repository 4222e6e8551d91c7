/**
 * A work queue: one producer under Deno (or whatever runs this), workers under Bun (or else the same). Each worker
 * has a queue of jobs of its own, all write their results to one. A worker is killed with `kill -9` in
 * the middle; its jobs go to the others, and each job is done exactly once in the results.
 *
 *   examples/work_queue/main.ts [jobs]
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MessageQueue } from "../../src/ring/mod.ts";
import { TemporaryFolder } from "../common/folder.ts";
import { CAPACITY, DONE, type Job, READY, type Result } from "./jobs.ts";

const WORKERS = 3;
/** Jobs that wait in a worker's queue at most: what a dead one had is done again. */
const AHEAD = 4;

/** Bun where it is, else the runtime of this process. */
function workerCommand(): string[] {
  const bun = process.env["BUN"] ?? "bun";
  if (spawnSync(bun, ["--version"], { stdio: "ignore" }).status === 0) return [bun, "run"];
  return process.versions["deno"] ? [process.execPath, "run", "-A"] : [process.execPath];
}

/** A worker as the producer sees it. */
interface Hand {
  readonly queue: MessageQueue;
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  /** Jobs that it has and has not done. */
  readonly open: Map<number, Job>;
  isReady: boolean;
  isAlive: boolean;
}

function hire(number: number, folder: TemporaryFolder, results: string): Hand {
  const path = folder.file(`worker-${number}`);
  const queue = MessageQueue.create({ path }, { capacity: CAPACITY });
  const script = fileURLToPath(new URL("./worker.ts", import.meta.url));
  const [command = "", ...start] = workerCommand();
  const child = spawn(command, [...start, script, String(number), path, results], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const hand = { queue, process: child, ended, open: new Map(), isReady: false, isAlive: true };
  child.once("exit", () => hand.isAlive = false);
  return hand;
}

/** Has all jobs done, while one worker is killed; the results by the number of their job. */
export async function work(jobs: readonly Job[]): Promise<Map<number, Result>> {
  using folder = new TemporaryFolder();
  const path = folder.file("results");
  using results = MessageQueue.create({ path }, { capacity: CAPACITY });
  const hands = Array.from({ length: WORKERS }, (_, number) => hire(number, folder, path));
  const decoder = new TextDecoder();
  const done = new Map<number, Result>();
  const waiting = [...jobs];
  let victim: Hand | undefined = hands[0];
  try {
    while (done.size < jobs.length) {
      for (const hand of hands) {
        if (!hand.isAlive) {
          waiting.unshift(...hand.open.values());
          hand.open.clear();
          if (hands.every(({ isAlive }) => !isAlive)) throw new Error("All workers are dead");
          continue;
        }
        while (hand.isReady && hand.open.size < AHEAD && waiting.length > 0) {
          const job = waiting.shift()!;
          hand.open.set(job.id, job);
          hand.queue.write(JSON.stringify(job));
        }
      }
      await results.waitAsync(50);
      results.read((bytes, type) => {
        const message = JSON.parse(decoder.decode(bytes));
        const hand = hands[message.worker]!;
        if (type === READY) hand.isReady = true;
        if (type !== DONE) return;
        hand.open.delete(message.id);
        // One that died after it was done may have been given to somebody else, too.
        if (!done.has(message.id)) done.set(message.id, message);
      });
      if (victim !== undefined && done.size >= jobs.length / 3 && victim.isReady) {
        victim.process.kill("SIGKILL");
        victim = undefined;
      }
    }
    for (const { queue, isAlive } of hands) if (isAlive) queue.write(""); // the end of work
  } catch (error) {
    for (const hand of hands) hand.process.kill("SIGKILL");
    throw error;
  } finally {
    for (const hand of hands) {
      await hand.ended;
      hand.queue.close();
    }
  }
  return done;
}

if (import.meta.main) {
  const count = Number(process.argv[2] ?? 300);
  const jobs = Array.from({ length: count }, (_, id) => ({ id, below: 20_000 + id }));
  const results = [...(await work(jobs)).values()];
  console.log(`${results.length} of ${count} jobs done, one worker killed on the way`);
  for (let worker = 0; worker < WORKERS; worker++) {
    const own = results.filter((result) => result.worker === worker);
    console.log(`worker ${worker} (${own[0]?.runtime ?? "-"}): ${own.length}`);
  }
}
