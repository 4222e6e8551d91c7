/** The orders that the rings rely on hold, on this processor and in this engine. */
import { after, before, describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Worker } from "node:worker_threads";
import { MAP_ANONYMOUS, MAP_SHARED, MemoryMap, PROT_READ, PROT_WRITE } from "../../mod.ts";
import { within } from "../helpers_sync.ts";
import { litmusTests } from "./litmus.ts";
import { BATCHES, BYTES, results, ROUNDS, runSide } from "./rounds.ts";

describe("litmus", () => {
  let map: MemoryMap;
  let worker: Worker;
  let done: Promise<unknown>;

  before(() => {
    map = MemoryMap.createAnonymous(BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    worker = new Worker(new URL("./litmus_thread.ts", import.meta.url), {
      workerData: { handle: map.share(), pairs: litmusTests.map((_, i) => i) },
    });
    done = new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  });

  after(async () => {
    await within(10, "ending", done);
    await worker.terminate();
    map.close();
  });

  for (const { name, first, forbidden } of litmusTests) {
    test(name, () => {
      const words = map.asTypedArray(Int32Array);
      runSide(words, 0, first);
      const seen = new Map<string, number>();
      let rounds = 0;
      for (const [one, other] of results(words)) {
        rounds++;
        const outcome = `${one} ${other}`;
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
        assert(!forbidden(one, other), `saw ${outcome} in round ${rounds}`);
      }
      assertEquals(rounds, ROUNDS * BATCHES);
    });
  }
});
