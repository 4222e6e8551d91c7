/** A thread of the median: opens a file, counts a part of it, posts the counts; as often as asked to. */
import { parentPort } from "node:worker_threads";
import { countInFile } from "./histogram.ts";
import type { Task } from "./median.ts";

parentPort?.on("message", ({ path, start, end }: Task) => {
  const counts = countInFile(path, start, end);
  parentPort?.postMessage(counts, [counts.buffer]);
});
