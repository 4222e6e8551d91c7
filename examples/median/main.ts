/**
 * The exact median of a file of 16-bit integers with one worker and with two, and its estimate by the
 * medians of chunks.
 *
 *   examples/median/main.ts [mebibytes]
 */
import process from "node:process";
import { TemporaryFolder } from "../common/folder.ts";
import { writeIntegers } from "./integers.ts";
import { estimatedMedian, MedianWorkers } from "./median.ts";

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const file = folder.file("integers");
  const mebibytes = Number(process.argv[2] ?? 256);
  writeIntegers(file, mebibytes);
  console.log(`${mebibytes} MiB of 16-bit integers`);
  for (const workers of [1, 2]) {
    using threads = new MedianWorkers(workers);
    const start = performance.now();
    const median = await threads.median(file);
    const milliseconds = performance.now() - start;
    console.log(`${workers} worker(s): exactly ${median}, in ${milliseconds.toFixed(0)} ms`);
  }
  const start = performance.now();
  const estimate = estimatedMedian(file);
  console.log(`chunks: about ${estimate}, in ${(performance.now() - start).toFixed(0)} ms`);
}
