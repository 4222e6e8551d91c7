import fs from "node:fs";
import { fileURLToPath } from "node:url";

console.log(fs.readFileSync(fileURLToPath(import.meta.url))[0] === 0x69 ? 1 : 0);
