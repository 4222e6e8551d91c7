/**
 * A parent and a child with anonymous shared memory: it has no name that anybody else could open. The
 * child inherits its descriptor. Both add to a counter under a mutex that lies in the memory, too.
 *
 *   examples/parent_and_child/main.ts [additions]
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MemoryMap } from "../../mod.ts";
import { add, COUNTER_OFFSET, LENGTH } from "./counter.ts";

/** Lets both add so many times, each by one; what the counter is in the end. */
export async function addTogether(additions: number): Promise<number> {
  using map = MemoryMap.createMemfd(LENGTH, { name: "counter" });
  const runtime = process.versions["deno"] === undefined ? [] : ["run", "-A"];
  const script = fileURLToPath(new URL("./child.ts", import.meta.url));
  // The fourth entry is descriptor 3 in the child.
  const child = spawn(process.execPath, [...runtime, script, `${additions}`], {
    stdio: ["ignore", "inherit", "inherit", map.fd],
  });
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  add(map, additions);
  const status = await ended;
  if (status !== 0) throw new Error(`The child process ended with ${status}`);
  return map.asTypedArray(Float64Array, COUNTER_OFFSET, 1)[0]!;
}

if (import.meta.main) {
  const additions = Number(process.argv[2] ?? 10_000);
  console.log(`parent and child added 1 ${additions} times each: ${await addTogether(additions)}`);
}
