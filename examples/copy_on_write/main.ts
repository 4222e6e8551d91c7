/**
 * An array that two processes share copy on write: both see the file's bytes, in the same memory; each
 * keeps its own changes, and the file stays as it was.
 *
 *   examples/copy_on_write/main.ts [doubles]
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { TemporaryFolder } from "../common/folder.ts";
import { createNpy, openNpy } from "../../src/ndarray/mod.ts";

/** What a process sees of the array. */
export interface Seen {
  readonly first: number;
  readonly sum: number;
}

/** What became of the array. */
export interface Outcome {
  readonly parent: Seen;
  readonly child: Seen;
  /** The sum of the file, afterwards. */
  readonly file: number;
}

/** Lets this process and a child change the same array of ones, each for itself. */
export function shareCopyOnWrite(file: string, length: number): Outcome {
  {
    using array = createNpy(file, { dtype: "f8", shape: [length] });
    array.data.fill(1);
  }
  using array = openNpy(file, { mode: "c", dtype: "f8" });
  array.set(100, 0); // copies this one page; the others are the same memory in both processes

  const runtime = process.versions["deno"] === undefined ? [] : ["run", "-A"];
  const script = fileURLToPath(new URL("./child.ts", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [...runtime, script, file], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`The child process ended with ${status}`);
  const parent = { first: array.get(0), sum: array.sum() };

  using unchanged = openNpy(file, { dtype: "f8" });
  return { parent, child: JSON.parse(stdout), file: unchanged.sum() };
}

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const length = Number(process.argv[2] ?? 1_000_000);
  const { parent, child, file } = shareCopyOnWrite(folder.file("ones.npy"), length);
  console.log(`${length} ones, copy on write in two processes`);
  console.log(`parent set [0] to 100: sees ${parent.first}, and a sum of ${parent.sum}`);
  console.log(`child added 6 to [0]:  sees ${child.first}, and a sum of ${child.sum}`);
  console.log(`the file:              a sum of ${file}`);
}
