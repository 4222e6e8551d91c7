/** What the tests of interchange with NumPy share: the Python that has it, and values as it tells them. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import type { Skip } from "../helpers.ts";

/** Debian's Python comes first: another one on the path may lack its packages. */
const python = ["/usr/bin/python3", "python3"].find((command) =>
  spawnSync(command, ["-c", "import numpy"], { stdio: "ignore" }).status === 0
);

/** Tests against NumPy. */
export const skipWithoutNumpy: Skip = python === undefined ? "needs python3 with NumPy" : false;

/** Tests of text: NumPy 2 turns to exponents elsewhere, and writes the types of some elements. */
export const skipWithoutNumpyOne: Skip = python !== undefined && isNumpyOne(python)
  ? false
  : "needs the way of printing of NumPy 1";

function isNumpyOne(command: string): boolean {
  const program = "import numpy; print(numpy.__version__)";
  return spawnSync(command, ["-c", program], { encoding: "utf8" }).stdout.startsWith("1.");
}

/** Runs a script of `fixtures`, or a program, to its end; returns what it prints. */
export function runPython(script: string, args: readonly string[] = [], input = ""): string {
  const named = script.endsWith(".py");
  const file = named ? fileURLToPath(new URL(`./fixtures/${script}`, import.meta.url)) : "";
  const { status, stdout, stderr } = spawnSync(
    python ?? "python3",
    ["-W", "ignore", ...(named ? [file] : ["-c", script]), ...args],
    { input, encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  assertEquals(status, 0, stderr);
  return stdout;
}

/** A value as the Python fixtures write it: numbers as text, so that nothing is lost. */
export function plain(value: unknown): unknown {
  switch (typeof value) {
    case "bigint":
      return `${value}`;
    case "number":
      return pythonNumber(value);
    case "string":
      return { text: value };
    case "boolean":
      return value;
  }
  if (value instanceof Uint8Array) return { bytes: value.toHex() };
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value as object).map(([k, v]) => [k, plain(v)]));
}

/** NaN and infinities by name; others as the number itself, which JSON keeps. */
function pythonNumber(value: number): unknown {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  return Object.is(value, -0) ? "-0" : `${value}`;
}

/** What the fixture tells, with its numbers spelled as {@link plain} spells them. */
export function told(value: unknown): unknown {
  if (typeof value === "string") {
    if (/^-?\d+$/.test(value)) return value; // may be a bigint
    if (/^-?(?:inf|nan)$/.test(value)) return value;
    return pythonNumber(Number(value));
  }
  if (Array.isArray(value)) return value.map(told);
  if (typeof value === "boolean" || value === null) return value;
  const entries = Object.entries(value as object);
  if (entries.length === 1 && (entries[0]![0] === "text" || entries[0]![0] === "bytes")) {
    return value;
  }
  return Object.fromEntries(entries.map(([k, v]) => [k, told(v)]));
}
