/** Whole programs from start to end: what importing the library and a first map add to the runtime's own. */
import { run } from "../../scripts/process.ts";
import type { RuntimeName } from "../../scripts/runtimes.ts";
import { type Command, script } from "./contestants.ts";
import { median } from "../rivals.ts";

const ROUNDS = 21;

/** What each program does. */
const PROGRAMS: readonly (readonly [file: string, what: string])[] = [
  ["empty.ts", "nothing"],
  ["file_system.ts", "reads a file with node:fs"],
  ["first_map.ts", "imports mman, maps anonymous memory"],
  ["first_file.ts", "imports mman, maps a file"],
];

/** Milliseconds that `nothing` may take less than a first map, in Deno. */
const WANTED = 15;

const RUNTIMES: readonly RuntimeName[] = ["deno", "bun", "node"];

interface Program {
  readonly name: string;
  readonly command: Command;
  readonly milliseconds: number[];
}

async function once({ name, command, milliseconds }: Program): Promise<void> {
  const start = performance.now();
  const { success, stdout } = await run(command, { stdout: "keep", limitSeconds: 30 });
  milliseconds.push(performance.now() - start);
  if (!success || stdout.trim() !== "1") throw new Error(`${name} says ${stdout}`);
}

/** Measures, in turns; returns Markdown. */
export async function coldStart(quick: boolean): Promise<string> {
  const lines = ["### From the start of a program to its end", ""];
  for (const runtime of RUNTIMES) {
    const programs: Program[] = [];
    for (const [file, what] of PROGRAMS) {
      programs.push({ name: what, command: await script(runtime, file), milliseconds: [] });
    }
    for (const program of programs) await once(program); // compiles and caches
    for (const { milliseconds } of programs) milliseconds.length = 0;
    for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
      for (const program of programs) await once(program);
    }
    const [nothing] = programs.map(({ milliseconds }) => median(milliseconds));
    lines.push(`| ${runtime} | milliseconds | more than nothing |`, "| --- | --- | --- |");
    for (const { name, milliseconds } of programs) {
      const time = median(milliseconds);
      lines.push(`| ${name} | ${time.toFixed(1)} | ${(time - nothing!).toFixed(1)} |`);
    }
    lines.push("");
  }
  lines.push(`Wanted of a first map in Deno: at most ${WANTED} milliseconds more.`, "");
  return lines.join("\n");
}
