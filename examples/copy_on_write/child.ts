/** The other process: changes its copy of the array, and prints what it sees as JSON. */
import process from "node:process";
import { openNpy } from "../../src/ndarray/mod.ts";

using array = openNpy(process.argv[2] ?? "", { mode: "c", dtype: "f8" });
array.set(array.get(0) + 6, 0);
console.log(JSON.stringify({ first: array.get(0), sum: array.sum() }));
