/**
 * 10,000,000 failing system calls under garbage collection, in every runtime: none may end in the wrong
 * error. (libc's `errno`, read after the call, is wrong for 1 of 2,000,000.) Prints a line for each
 * runtime and ends with `N passed, N failed`.
 *
 *   deno task soak errno [calls]
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { commandOf, executableOf, type RuntimeName } from "../helpers_sync.ts";

const calls = Number(process.argv[2] ?? 10_000_000);
const fixture = fileURLToPath(new URL("../fixtures/errno_calls.ts", import.meta.url));
let failed = 0;
let passed = 0;
for (const name of ["deno", "bun", "node"] as const satisfies RuntimeName[]) {
  if (executableOf(name) === undefined) continue;
  const [executable = "", ...flags] = commandOf(name);
  const start = performance.now();
  const output = execFileSync(executable, [...flags, fixture, String(calls)]).toString();
  const { wrong } = JSON.parse(output);
  wrong === 0 ? passed++ : failed++;
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(
    `${wrong === 0 ? "ok    " : "FAILED"} ${name}: ${wrong} wrong of ${calls}, ${seconds} s`,
  );
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
