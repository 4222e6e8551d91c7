/** A thread of the median: opens the file, counts its part, posts the counts. */
import { parentPort, workerData } from "node:worker_threads";
import { countInFile } from "./histogram.ts";
import type { Task } from "./median.ts";

const { path, start, end } = workerData as Task;
const counts = countInFile(path, start, end);
parentPort?.postMessage(counts, [counts.buffer]);
