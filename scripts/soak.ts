/**
 * Runs what is too long for the tests: a program of `tests/soak`, under this Deno.
 *
 *   deno task soak <name> [argument]...
 */
import { run } from "./process.ts";
import { stdArguments } from "./std.ts";

const HOURS = 4;

Deno.chdir(new URL("..", import.meta.url));
const [name, ...rest] = Deno.args;
if (name === undefined) throw new Error("Cannot soak nothing: name a program of tests/soak");
const command = [Deno.execPath(), "run", "-A", ...await stdArguments(), `tests/soak/${name}.ts`];
const { success } = await run([...command, ...rest], { limitSeconds: HOURS * 3600 });
if (!success) Deno.exit(1);
