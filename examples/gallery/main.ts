/**
 * The gallery: runs the three showcases and prints where their charts are.
 * `deno task gallery [--out folder]`; the folder is `gallery-output` by default.
 */

import { advanced } from "./advanced.ts";
import { basic } from "./basic.ts";
import { medium } from "./medium.ts";
import { runFromCommandLine } from "./showcase.ts";

await runFromCommandLine(basic, medium, advanced);
