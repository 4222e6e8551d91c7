/**
 * What the showcases share: a heading, a line for every step that was checked, and the frame that
 * runs a showcase from the command line: exit code 1 when something is off, 2 for a wrong call.
 */

import { mkdirSync } from "node:fs";
import { relative } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";

/** A showcase: puts its files into a folder, and returns the paths of its charts. */
export type Showcase = (folder: string) => string[] | Promise<string[]>;

/** Prints a title. */
export function heading(title: string): void {
  console.log(`\n${title}\n${"-".repeat(title.length)}`);
}

/** Prints a fact that holds, and throws if it does not. */
export function verify(holds: boolean, fact: string): void {
  if (!holds) throw new Error(`Check failed: ${fact}`);
  console.log(`  ok  ${fact}`);
}

/** The error that `call` throws. Throws if it does not throw one. */
export function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error(`Check failed: ${call} should have thrown`);
}

/** Whether two runs of bytes are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Runs showcases with the folder that `--out` names, and prints where their charts are. */
export async function runFromCommandLine(...showcases: Showcase[]): Promise<void> {
  let folder: string;
  try {
    folder = outputFolder();
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    console.error(`Cannot start: ${reason}\nUsage: [--out folder]`);
    process.exitCode = 2;
    return;
  }
  try {
    const charts: string[] = [];
    for (const showcase of showcases) charts.push(...await showcase(folder));
    heading("Charts");
    for (const chart of charts) console.log(`  ${relative("", chart)}`);
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
}

/** Makes the folder that `--out` names; by default `gallery-output` in the working directory. */
function outputFolder(): string {
  const { values } = parseArgs({ options: { out: { type: "string", default: "gallery-output" } } });
  mkdirSync(values.out, { recursive: true });
  return values.out;
}
