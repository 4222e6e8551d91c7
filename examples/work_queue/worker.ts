/**
 * A worker: takes jobs from its own queue and says what came of them in the one that all workers share.
 * Arguments: its number, its queue, the queue of results.
 */
import process from "node:process";
import { MessageQueue } from "../../src/ring/mod.ts";
import { countPrimes, DONE, type Job, READY, type Result } from "./jobs.ts";

const [number = "", inbox = "", outbox = ""] = process.argv.slice(2);
using jobs = MessageQueue.open({ path: inbox });
using results = MessageQueue.open({ path: outbox });
const runtime = process.versions["bun"] ? "bun" : process.versions["deno"] ? "deno" : "node";
const worker = Number(number);
const decoder = new TextDecoder();

results.write(JSON.stringify({ worker }), { type: READY });
for (let open = true; open;) {
  jobs.wait(); // parked: a worker without work costs nothing
  jobs.read((bytes) => {
    if (bytes.length === 0) return void (open = false);
    const { id, below }: Job = JSON.parse(decoder.decode(bytes));
    const result: Result = { id, primes: countPrimes(below), worker, runtime };
    results.write(JSON.stringify(result), { type: DONE });
  }, 1);
}
