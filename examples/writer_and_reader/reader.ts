/**
 * The reader, under Deno, Bun or Node: waits for each change and prints what it saw.
 *
 *   examples/writer_and_reader/reader.ts NAME INDEX CHANGES
 */
import process from "node:process";
import { MemoryMap } from "../../mod.ts";
import { wake } from "../../src/sync/mod.ts";
import { changed, COUNTER_OFFSET, SEEN_OFFSET, TIMESTAMP_OFFSET } from "./layout.ts";

const [name = "", index = "0", changes = "0"] = process.argv.slice(2);
using map = MemoryMap.openNamed(name);
const words = map.asTypedArray(Int32Array);
const timestamp = map.asTypedArray(Float64Array, TIMESTAMP_OFFSET, 1);
const seenOffset = SEEN_OFFSET + 4 * Number(index);

let counter = 0;
let seen = 0;
let backwards = 0;
let last = 0;
while (counter < Number(changes)) {
  const next = changed(map, COUNTER_OFFSET, counter);
  if (next === counter + 1) seen++;
  if (timestamp[0]! < last) backwards++;
  [counter, last] = [next, timestamp[0]!];
  Atomics.store(words, seenOffset / 4, counter);
  wake(map, seenOffset);
}
console.log(JSON.stringify({ seen, backwards }));
