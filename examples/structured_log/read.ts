/**
 * Prints a structured log for people, while it is written or after its program has ended, however it did.
 *
 *   deno run -A examples/structured_log/read.ts <file> [debug | info | warn | error]
 */
import process from "node:process";
import { type Entry, type Level, LEVELS, readEntries } from "./log.ts";

const colors: Readonly<Record<Level, number>> = { debug: 90, info: 36, warn: 33, error: 31 };

function value(field: unknown): string {
  return typeof field === "string" && /^\S+$/.test(field) ? field : JSON.stringify(field);
}

/** One entry as a line: time, level, message, and the fields as name=value. */
export function format(entry: Entry, colored: boolean): string {
  const { time, pid, level, cut, message, fields } = entry;
  const name = level.toUpperCase().padEnd(5);
  const pairs = Object.entries(fields).map(([key, field]) => `${key}=${value(field)}`);
  return [
    time.toISOString().slice(11, 23),
    `[${pid}]`,
    colored ? `\x1b[${colors[level]}m${name}\x1b[0m` : name,
    cut ? `${message}...` : message,
    ...pairs,
  ].join(" ");
}

if (import.meta.main) {
  const [path, least = "debug"] = process.argv.slice(2);
  if (path === undefined || !LEVELS.some((level) => level === least)) {
    throw new Error(`Usage: read.ts <file> [${LEVELS.join(" | ")}]`);
  }
  const colored = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;
  for (const entry of readEntries(path)) {
    if (LEVELS.indexOf(entry.level) < LEVELS.indexOf(least as Level)) continue;
    console.log(format(entry, colored));
  }
}
