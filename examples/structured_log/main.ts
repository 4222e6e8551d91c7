/**
 * A service keeps its last thousand log entries in a file. It is killed in the middle of its work with
 * `kill -9`; its log is there to the last whole entry, and another program prints it for people.
 *
 *   examples/structured_log/main.ts
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { TemporaryFolder } from "../common/folder.ts";
import { type Entry, readEntries } from "./log.ts";
import { format } from "./read.ts";

/** Runs the service until it is busy, kills it, and reads what it has left. */
export async function crashAndRead(path: string): Promise<Entry[]> {
  const start = process.versions["deno"] === undefined ? [] : ["run", "-A"];
  const script = fileURLToPath(new URL("./service.ts", import.meta.url));
  const service = spawn(process.execPath, [...start, script, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => service.once("close", resolve));
  await new Promise((resolve, reject) => {
    service.stdout.once("data", resolve);
    service.once("error", reject);
    service.once("exit", () => reject(new Error("The service has ended by itself")));
  });
  service.kill("SIGKILL");
  await ended;
  return [...readEntries(path)];
}

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const entries = await crashAndRead(folder.file("log"));
  console.log(`${entries.length} entries survive; the last ones, and what went wrong among all:`);
  for (const entry of entries.slice(-5)) console.log(format(entry, false));
  const bad = entries.filter(({ level }) => level === "warn" || level === "error");
  for (const entry of bad.slice(-5)) console.log(format(entry, false));
}
