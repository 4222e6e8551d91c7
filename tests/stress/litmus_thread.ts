/** Runs the second program of each pair, in step with litmus_test.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { MemoryMap } from "../../mod.ts";
import { litmusTests } from "./litmus.ts";
import { runSide } from "./rounds.ts";

const { handle, pairs } = workerData;
using map = MemoryMap.attach(handle);
const words = map.asTypedArray(Int32Array);
for (const index of pairs as number[]) runSide(words, 1, litmusTests[index]!.second);
parentPort!.postMessage("done");
