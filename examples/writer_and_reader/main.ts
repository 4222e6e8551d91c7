/**
 * A writer that updates a counter and a timestamp a thousand times, and readers in other processes that see
 * every change by waiting, not polling: one under Deno, one under Bun, one in Python, where they are.
 *
 *   examples/writer_and_reader/main.ts [changes]
 */
import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MemoryMap } from "../../mod.ts";
import { wake } from "../../src/sync/mod.ts";
import { changed, COUNTER_OFFSET, LENGTH, SEEN_OFFSET, TIMESTAMP_OFFSET } from "./layout.ts";

/** What a reader saw. */
export interface Report {
  /** Its runtime. */
  readonly reader: string;
  /** Changes of the counter by exactly one. */
  readonly seen: number;
  /** Changes after which the timestamp was earlier than before. */
  readonly backwards: number;
}

const candidates: Readonly<Record<string, readonly [command: string, ...start: string[]]>> = {
  deno: ["deno", "run", "-A", "reader.ts"],
  bun: [process.env["BUN"] ?? "bun", "run", "reader.ts"],
  ...(process.platform === "linux" ? { python: ["python3", "reader.py"] as const } : {}),
};

/** The commands that start here, by runtime. */
function readers(): [name: string, command: string[]][] {
  return Object.entries(candidates).flatMap(([name, [given, ...start]]) => {
    const command = process.versions[name] === undefined ? given : process.execPath;
    const starts = spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
    return starts ? [[name, [command, ...start]] as [string, string[]]] : [];
  });
}

/** Starts a reader; its report comes when it has seen the last change. */
function startReader(
  [reader, [command = "", ...start]]: [name: string, command: string[]],
  args: readonly string[],
): Promise<Report> {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  return new Promise((resolve, reject) => {
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const child = spawn(command, [...start, ...args], { cwd: folder, stdio: [...stdio] });
    let output = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => output += text);
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve({ reader, ...JSON.parse(output) });
      else reject(new Error(`The reader under ${reader} ended with ${code}`));
    });
  });
}

/** Writes, with as many readers as there are runtimes; what each of them saw. */
export async function writeToReaders(changes: number): Promise<Report[]> {
  const name = `mman-writer-${process.pid}-${crypto.randomUUID()}`;
  using map = MemoryMap.createNamed(name, LENGTH, { owned: true });
  const reports = readers().map((reader, index) =>
    startReader(reader, [name, `${index}`, `${changes}`])
  );
  const words = map.asTypedArray(Int32Array);
  const timestamp = map.asTypedArray(Float64Array, TIMESTAMP_OFFSET, 1);
  for (let counter = 1; counter <= changes; counter++) {
    timestamp[0] = performance.timeOrigin + performance.now();
    Atomics.store(words, COUNTER_OFFSET / 4, counter);
    wake(map, COUNTER_OFFSET);
    for (const index of reports.keys()) changed(map, SEEN_OFFSET + 4 * index, counter - 1);
  }
  return await Promise.all(reports);
}

if (import.meta.main) {
  const changes = Number(process.argv[2] ?? 1000);
  const start = performance.now();
  for (const { reader, seen, backwards } of await writeToReaders(changes)) {
    console.log(
      `${reader.padEnd(6)} saw ${seen} of ${changes} changes, ${backwards} timestamps backwards`,
    );
  }
  console.log(`in ${Math.round(performance.now() - start)} ms, with starting the readers`);
}
