/** The child of main.ts: maps the memory that it has inherited as descriptor 3. */
import process from "node:process";
import { MemoryMap } from "../../mod.ts";
import { add, LENGTH } from "./counter.ts";

using map = MemoryMap.createFileMapping(3, 0, LENGTH);
add(map, Number(process.argv[2]));
