/**
 * Opens a `.npy` file of 10 million x 3 doubles and adds them up, beside NumPy if there is one.
 *
 *   examples/sum/main.ts [rows]
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { TemporaryFolder } from "../common/folder.ts";
import { sumFile, writeDoubles } from "./sum.ts";

const NUMPY = `
import sys, time
import numpy as np
for _ in range(5):
    start = time.perf_counter()
    total = np.load(sys.argv[1], mmap_mode="r").sum()
    print(f"NumPy: {total:.6f} in {(time.perf_counter() - start) * 1e3:.1f} ms")
`;

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const file = folder.file("doubles.npy");
  writeDoubles(file, Number(process.argv[2] ?? 10_000_000));
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    const total = sumFile(file);
    const milliseconds = performance.now() - start;
    console.log(`mman:  ${total.toFixed(6)} in ${milliseconds.toFixed(1)} ms`);
  }
  const python = process.platform === "win32" ? "python" : "python3";
  const { status, stdout } = spawnSync(python, ["-c", NUMPY, file], { encoding: "utf8" });
  console.log(status === 0 ? stdout.trimEnd() : "NumPy: not there");
}
