/**
 * Measures the journal beside the same thing in C (`journal_floor.c`, where there is a C compiler), in turns
 * in one run: appending 100-byte records without flushes, in groups and each with its own flush, and the scan
 * that recovery makes. Runs under Deno, Bun and Node alike:
 *
 *   deno run -A bench/journal.ts [folder on the disk to be measured]
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Journal, type JournalOptions } from "../src/journal/mod.ts";
import { recordLength } from "../src/journal/layout.ts";
import { smoke } from "./common.ts";

const LENGTH = 100;
const TURNS = smoke ? 1 : 7;
const RECORDS = smoke ? 2000 : 1_000_000;
const FLUSHED = smoke ? 50 : 1000;
/** Bytes that a group commit waits for, here and in C. */
const GROUP = 1 << 20;
/** Records of a journal to be scanned, of each length. */
const SCANNED: readonly [length: number, records: number][] = smoke
  ? [[100, 1000]]
  : [[100, 2_000_000], [1000, 250_000]];

interface Row {
  readonly name: string;
  readonly count: number;
  /** Milliseconds of one round of ours. */
  ours(): number | Promise<number>;
  /** Of C's. */
  floor(): number;
  /** What a round says about itself. */
  note?(milliseconds: number): string;
}

const folder = fs.mkdtempSync(path.join(process.argv[2] ?? os.tmpdir(), "mman-bench-"));
const file = path.join(folder, "journal");
const program = path.join(folder, "journal_floor");
const source = fileURLToPath(new URL("./journal_floor.c", import.meta.url));
const compiled = process.arch === "x64" &&
  spawnSync("cc", ["-O2", "-o", program, source]).status === 0;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Runs the C program; milliseconds. */
function runC(args: readonly (string | number)[], records?: number): number {
  if (!compiled) return NaN;
  const { status, stdout } = spawnSync(program, args.map(String), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ended with ${status}`);
  const result = JSON.parse(stdout);
  if (records !== undefined && result.records !== records) {
    throw new Error(`C has found ${result.records} records of ${records}`);
  }
  return result.nanoseconds / 1e6;
}

/** Removes a journal. */
function clear(): void {
  for (const name of fs.readdirSync(folder)) {
    if (name.startsWith("journal") && name !== "journal_floor") fs.rmSync(path.join(folder, name));
  }
}

/** Appends to a new journal; milliseconds from the first record to the last flush. */
function append(count: number, options: JournalOptions): number {
  clear();
  const size = 4096 + count * recordLength(LENGTH);
  using journal = Journal.open(file, { ...options, mode: "w+", size });
  const bytes = new Uint8Array(LENGTH).fill(7);
  const start = performance.now();
  for (let i = 0; i < count; i++) journal.append(bytes);
  if (options.durability !== "none") journal.sync();
  const time = performance.now() - start;
  if (journal.nextSequence !== count || !journal.verify().ok) {
    throw new Error("Records are missing");
  }
  return time;
}

/** Awaits the durability of every record, as servers do: so many at a time. */
async function appendAsync(count: number, atOnce: number): Promise<number> {
  clear();
  const size = 4096 + count * recordLength(LENGTH);
  using journal = Journal.open(file, { durability: "batch", batchMs: 0, mode: "w+", size });
  const bytes = new Uint8Array(LENGTH).fill(7);
  const start = performance.now();
  const client = async (): Promise<void> => {
    for (let i = 0; i < count / atOnce; i++) await journal.appendAsync(bytes);
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  const time = performance.now() - start;
  if (journal.durableSequence !== count) throw new Error("Records are missing");
  return time;
}

const floorFile = path.join(folder, "floor");
const GROUPED: JournalOptions = { durability: "batch", batchMs: 60_000, batchBytes: GROUP };
const ATONCE = smoke ? 20 : 1000;

const rows: Row[] = [
  {
    name: "append, no flush",
    count: RECORDS,
    ours: () => append(RECORDS, { durability: "none" }),
    floor: () => runC(["append", floorFile, RECORDS, LENGTH, 0]),
  },
  {
    name: "append, groups of 1 MiB",
    count: RECORDS,
    ours: () => append(RECORDS, GROUPED),
    floor: () => runC(["append", floorFile, RECORDS, LENGTH, GROUP]),
  },
  {
    name: "append, flush each",
    count: FLUSHED,
    ours: () => append(FLUSHED, { durability: "every" }),
    floor: () => runC(["append", floorFile, FLUSHED, LENGTH, 1]),
  },
  {
    name: `appendAsync, ${ATONCE} at once`,
    count: RECORDS / 10,
    ours: () => appendAsync(RECORDS / 10, ATONCE),
    floor: () => NaN,
  },
];

const times = new Map<string, { ours: number[]; floor: number[] }>();

async function measure(row: Row): Promise<void> {
  let seen = times.get(row.name);
  if (seen === undefined) times.set(row.name, seen = { ours: [], floor: [] });
  seen.floor.push(row.floor());
  seen.ours.push(await row.ours());
}

/** Scans of a journal that is there. */
function scans(length: number, records: number): Row {
  return {
    name: `recovery scan, ${length}-byte records`,
    count: records,
    ours(): number {
      const start = performance.now();
      using journal = Journal.open(file, { mode: "r" });
      const time = performance.now() - start;
      if (journal.recovered.records !== records) throw new Error("Records are missing");
      return time;
    },
    floor: () => runC(["scan", file], records),
    note: (time) => `${(records * recordLength(length) / time / 1e6).toFixed(2)} GB/s`,
  };
}

function print({ name, count, note }: Row): void {
  const { ours, floor } = times.get(name)!;
  const [time, c] = [median(ours), median(floor)];
  console.log(
    name.padEnd(34) + `${(time * 1e6 / count).toFixed(0).padStart(9)} ns a record` +
      (Number.isNaN(c)
        ? ""
        : `  C ${(c * 1e6 / count).toFixed(0)} ns, ratio ${(time / c).toFixed(2)}`) +
      (note === undefined ? "" : `  ${note(time)}`),
  );
}

try {
  for (let turn = 0; turn < TURNS; turn++) for (const row of rows) await measure(row);
  for (const row of rows) print(row);
  const rate = (name: string) => median(times.get(name)!.ours);
  const single = rate("append, flush each") / FLUSHED;
  const grouped = rate("append, groups of 1 MiB") / RECORDS;
  console.log(`groups against flushes of each: ${(single / grouped).toFixed(0)} times the rate`);
  for (const [length, records] of SCANNED) {
    clear();
    const size = 4096 + records * recordLength(length);
    {
      using journal = Journal.open(file, { mode: "w+", durability: "none", size });
      const bytes = new Uint8Array(length).fill(7);
      for (let i = 0; i < records; i++) journal.append(bytes);
    }
    const row = scans(length, records);
    for (let turn = 0; turn < TURNS; turn++) await measure(row);
    print(row);
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}
