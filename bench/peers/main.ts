/**
 * Compares whole programs: C, Python, NumPy, the runtimes' own files, `Bun.mmap`, a native addon, and
 * this library on Deno, Bun and Node. In turns, with the state of the page cache set up, with results
 * that must agree. Prints Markdown, and writes it and JSON into a folder.
 *
 *   deno task bench:peers [--quick] [--folder DIR] [--out DIR] [id of a row]...
 */
import { parseArgs } from "node:util";
import { run } from "../../scripts/process.ts";
import type { Rival } from "../rivals.ts";
import { coldStart } from "./cold_start.ts";
import { assemble, type Field, type Name, start } from "./contestants.ts";
import { dropCaches, Files, LARGE } from "./files.ts";
import { jsonOf, markdownOf, type Measured, missingOf, type Result } from "./report.ts";
import { type Entry, label, type Row, rows } from "./rows.ts";

/** How far sums of doubles may be apart: they depend on the order. */
const TOLERANCE = 1e-9;
/** Of large files, in a quick run. */
const QUICK_PART = 64;

/** The row that starts programs instead of asking them. */
const COLD_START = "cold-start";

/** Comparisons that have programs of their own, whose words are taken as they are. */
const PROGRAMS: Readonly<Record<string, string>> = {
  rings: "bench/ring.ts",
  locks: "bench/sync.ts",
  journal: "bench/journal.ts",
};

async function wordsOf(file: string): Promise<string> {
  const { success, reason, stdout } = await run(
    [Deno.execPath(), "run", "-A", file],
    { stdout: "keep", limitSeconds: 900 },
  );
  return `### ${file}\n\n\`\`\`text\n${stdout.trim()}\n\`\`\`\n${success ? "" : `\n${reason}\n`}`;
}

/** Puts the page cache into the state that a row asks for; an entry's file is not mapped then. */
async function setCache(row: Row, files: Files, lists: string): Promise<void> {
  switch (row.cache) {
    case "none":
      return;
    case "cold":
      return await dropCaches();
    case "read in order":
      return await files.readInOrder(row.file!);
    case "read at random": {
      await dropCaches();
      const numbers = new Uint32Array((await Deno.readFile(lists)).buffer);
      using file = await Deno.open(files.path(LARGE));
      const block = new Uint8Array(4096);
      for (const number of numbers) {
        await file.seek(number * 4096, Deno.SeekMode.Start);
        await file.read(block);
      }
    }
  }
}

/** A row while it is measured. */
class Match {
  readonly #row: Row;
  readonly #files: Files;
  readonly #rivals = new Map<Name, Rival>();
  #expected: number | undefined;

  constructor(row: Row, files: Files) {
    this.#row = row;
    this.#files = files;
  }

  async play({ commands, missing }: Field, quick: boolean): Promise<Result> {
    const row = this.#row;
    const entries = row.entries.filter(({ who }) => commands.has(who));
    try {
      for (const { who } of entries) {
        if (!this.#rivals.has(who)) this.#rivals.set(who, await start(commands.get(who)!));
      }
      const times = entries.map((): number[] => []);
      const peaks = entries.map(() => 0);
      const rounds = quick ? 1 : row.rounds;
      const needsCache = row.cache !== "none" && row.cache !== "cold";
      // What makes the files comes first, then their state in the page cache.
      for (const entry of entries) await this.#files.resolve(`${entry.prepare} ${entry.request}`);
      if (needsCache) await setCache(row, this.#files, this.#files.path("BLOCKS"));
      for (let round = row.cache === "cold" ? 0 : -1; round < rounds; round++) {
        const order = entries.map((_, i) => i).sort(() => Math.random() - 0.5);
        for (const i of order) {
          if (row.cache === "cold") await dropCaches();
          const { nanoseconds, peak } = await this.#ask(entries[i]!);
          if (round < 0) continue;
          times[i]!.push(nanoseconds / row.calls);
          peaks[i] = Math.max(peaks[i]!, peak);
        }
      }
      const measured = entries.map((entry, i): Measured => ({
        label: label(entry),
        times: times[i]!,
        peakBytes: peaks[i]!,
      }));
      return { row, measured, missing: missingOf(row, missing) };
    } finally {
      for (const rival of this.#rivals.values()) rival.end();
    }
  }

  /** Lets one do it once. */
  async #ask(entry: Entry): Promise<{ nanoseconds: number; peak: number }> {
    const rival = this.#rivals.get(entry.who)!;
    if (entry.prepare !== undefined) await rival.ask(await this.#files.resolve(entry.prepare));
    await rival.forgetPeak();
    const { nanoseconds, result } = await rival.ask(await this.#files.resolve(entry.request));
    const peak = await rival.peakBytes();
    // Unmapped, so that the next one finds the cache in the state that it should be in.
    if (entry.prepare !== undefined) await rival.ask("drop");
    this.#expected ??= result;
    if (!(Math.abs(result - this.#expected) <= Math.abs(this.#expected) * TOLERANCE)) {
      throw new Error(`${label(entry)} says ${result}, the others ${this.#expected}`);
    }
    return { nanoseconds, peak };
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: Deno.env.get("MMAN_BENCH_SMOKE") === "1" },
      folder: { type: "string" },
      out: { type: "string", default: "bench-output" },
    },
  });
  const ids = [...rows.map(({ id }) => id), COLD_START, ...Object.keys(PROGRAMS)];
  const unknown = positionals.find((id) => !ids.includes(id));
  if (unknown !== undefined) throw new Error(`Unknown row ${unknown}: use ${ids.join(", ")}`);
  const isWanted = (id: string) => positionals.length === 0 || positionals.includes(id);
  const folder = values.folder ?? await Deno.makeTempDir({ prefix: "mman-peers-" });
  await Deno.mkdir(folder, { recursive: true });
  const results: Result[] = [];
  const texts: string[] = [];
  const report = (text: string) => {
    texts.push(text);
    console.log(`\n${text}`);
  };
  try {
    const field = await assemble(folder);
    for (const [name, reason] of field.missing) console.log(`Without ${name}: ${reason}`);
    const files = new Files(folder, values.quick ? QUICK_PART : 1);
    for (const row of rows.filter(({ id }) => isWanted(id))) {
      const result = await new Match(row, files).play(field, values.quick);
      results.push(result);
      report(markdownOf(result));
    }
    if (isWanted(COLD_START)) report(await coldStart(values.quick));
    for (const [id, file] of Object.entries(PROGRAMS)) {
      if (isWanted(id)) report(await wordsOf(file));
    }
  } finally {
    if (values.folder === undefined) await Deno.remove(folder, { recursive: true });
  }
  await Deno.mkdir(values.out, { recursive: true });
  await Deno.writeTextFile(`${values.out}/peers.json`, `${jsonOf(results)}\n`);
  await Deno.writeTextFile(`${values.out}/peers.md`, texts.join("\n"));
  console.log(`Written to ${values.out}/peers.md and peers.json`);
}

Deno.chdir(new URL("../..", import.meta.url));
await main();
