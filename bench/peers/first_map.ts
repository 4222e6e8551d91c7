import { MemoryMap } from "../../mod.ts";

using map = MemoryMap.createAnonymous(4096);
map.bytes[0] = 1;
console.log(map.bytes[0]);
