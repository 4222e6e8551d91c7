import { MemoryMap } from "../../mod.ts";
import { fileURLToPath } from "node:url";

using map = MemoryMap.open(fileURLToPath(import.meta.url));
console.log(map.bytes[0] === 0x69 ? 1 : 0); // "i" of "import"
