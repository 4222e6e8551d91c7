/** What the tests of rings share: a ring as Python keeps it. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import { executableOf } from "./helpers_sync.ts";

/** Runs Python's ring on a file; its records. */
export function pythonRing(
  verb: "read" | "write",
  file: string,
  capacity: number,
  recordSize: number,
  ...texts: string[]
): string[] {
  const script = fileURLToPath(new URL("./fixtures/ring_python.py", import.meta.url));
  const args = [script, verb, file, String(capacity), String(recordSize), ...texts];
  const { status, stdout, stderr } = spawnSync(executableOf("python")!, args, { encoding: "utf8" });
  assertEquals(status, 0, stderr);
  return JSON.parse(stdout);
}
