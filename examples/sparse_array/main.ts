/**
 * A sparse array of 2^30 x 3 doubles: 24 GiB by `ls`, next to nothing by `du`, created in milliseconds.
 *
 *   examples/sparse_array/main.ts [rows]
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { TemporaryFolder } from "../common/folder.ts";
import { MappedArray } from "../../src/ndarray/mod.ts";

/** A file's length, and the bytes that it takes on the disk. */
export interface Size {
  readonly ls: number;
  readonly du: number;
}

/** Creates an array of `rows` x 3 doubles, writes a few, and tells its sizes before and after. */
export function sparseArray(file: string, rows: number): { created: number; sizes: Size[] } {
  const start = performance.now();
  using array = MappedArray.open(file, { mode: "w+", dtype: "f8", shape: [rows, 3] });
  const created = performance.now() - start;
  const sizes = [sizeOf(file)];
  for (const row of [0, rows >> 1, rows - 1]) array.row(row).set([row, row + 1, row + 2]);
  array.flush();
  sizes.push(sizeOf(file));
  if (array.get(-1, 2) !== rows + 1 || array.get(1, 0) !== 0) throw new Error("Wrong elements");
  return { created, sizes };
}

function sizeOf(file: string): Size {
  const { size, blocks } = fs.statSync(file);
  return { ls: size, du: blocks * 512 };
}

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const file = folder.file("sparse");
  const rows = Number(process.argv[2] ?? 2 ** 30);
  const { created, sizes } = sparseArray(file, rows);
  console.log(`${rows} x 3 doubles created in ${created.toFixed(1)} ms`);
  for (const { ls, du } of sizes) console.log(`ls: ${ls} bytes, du: ${du} bytes`);
  for (const [command, ...flags] of [["ls", "-lsh"], ["du", "-h"]] as const) {
    const { stdout } = spawnSync(command, [...flags, file], { encoding: "utf8" });
    if (stdout) console.log(`${command}: ${stdout.trim()}`);
  }
}
