/**
 * Measures what arrays and records promise, side by side with C (built with gcc here, on the spot) and
 * NumPy, interleaved, as medians and ratios. Runs under Deno, Bun and Node alike:
 *
 *   deno run -A bench/arrays.ts [sum | median | records]...
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { writeIntegers } from "../examples/median/integers.ts";
import { MedianWorkers } from "../examples/median/median.ts";
import { sumFile, writeDoubles } from "../examples/sum/sum.ts";
import { MemoryMap } from "../mod.ts";
import { runtime } from "../src/ffi/runtime.ts";
import { defineRecord } from "../src/records/mod.ts";
import { smoke } from "./common.ts";
import { compare, Rival, type Runner, timed } from "./rivals.ts";

const ROWS = smoke ? 10_000 : 10_000_000;
const MEBIBYTES = smoke ? 4 : 2048;
const RECORDS = smoke ? 100_000 : 10_000_000;
const ROUNDS = {
  sum: smoke ? 1 : 31,
  median: smoke ? 1 : 9,
  numpyMedian: smoke ? 1 : 3,
  records: smoke ? 1 : 31,
};

const C_PROGRAM = `
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Arguments: verb, file, bytes before the elements. */
int main(void) {
  char verb[32], path[4096];
  long long skip;
  puts("ready");
  fflush(stdout);
  while (scanf("%31s %4095s %lld", verb, path, &skip) == 3) {
    long long start = now();
    int fd = open(path, O_RDONLY);
    struct stat s;
    if (fd < 0 || fstat(fd, &s) != 0) return 1;
    char *bytes = mmap(0, s.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) return 1;
    close(fd);
    double result = 0;
    if (!strcmp(verb, "sum")) {
      const double *values = (const double *)(bytes + skip);
      size_t length = (s.st_size - skip) / 8;
      for (size_t i = 0; i < length; i++) result += values[i];
    } else if (!strcmp(verb, "median")) {
      const short *values = (const short *)(bytes + skip);
      size_t length = (s.st_size - skip) / 2, passed = 0;
      static size_t counts[65536];
      memset(counts, 0, sizeof counts);
      for (size_t i = 0; i < length; i++) counts[values[i] + 32768]++;
      int low = -1, high = 0;
      for (; high < 65536; high++) {
        passed += counts[high];
        if (low < 0 && passed > (length - 1) / 2) low = high;
        if (passed > length / 2) break;
      }
      result = (low + high) / 2.0 - 32768;
    } else return 1;
    munmap(bytes, s.st_size);
    printf("%lld %.17g\\n", now() - start, result);
    fflush(stdout);
  }
  return 0;
}
`;

const NUMPY_PROGRAM = `
import sys, time
import numpy as np
print("ready", flush=True)
for line in sys.stdin:
    verb, path, skip = line.split()
    start = time.perf_counter_ns()
    if verb == "sum":
        result = np.memmap(path, "f8", "r", int(skip), (int(sys.argv[1]), 3)).sum()
    else:
        result = np.median(np.memmap(path, "<i2", "r", int(skip)))
    print(time.perf_counter_ns() - start, repr(float(result)), flush=True)
`;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mman-bench-"));

/** A part of this program, and the rivals that it needs. */
interface Rivals {
  readonly c: (request: string) => Runner[];
  readonly numpy: (request: string) => Runner[];
  readonly end: () => void;
}

async function startRivals(): Promise<Rivals> {
  const [source, program] = [path.join(folder, "rival.c"), path.join(folder, "rival")];
  fs.writeFileSync(source, C_PROGRAM);
  const flags = ["-O3", "-ffast-math", "-o", program, source];
  const built = spawnSync("gcc", flags, { stdio: "inherit" }).status === 0;
  if (!built) console.log("skipped: C, needs gcc");
  const python = ["/usr/bin/python3", "python3"].find((command) =>
    spawnSync(command, ["-c", "import numpy"], { stdio: "ignore" }).status === 0
  );
  if (python === undefined) console.log("skipped: NumPy, needs python3 with NumPy");

  const c = built ? await Rival.start(program, []) : undefined;
  const numpy = python ? await Rival.start(python, ["-c", NUMPY_PROGRAM, `${ROWS}`]) : undefined;
  const asked = (name: string, rival: Rival | undefined) => (request: string): Runner[] =>
    rival === undefined ? [] : [{ name, run: () => rival.ask(request) }];
  return {
    c: asked("C, -O3 -ffast-math", c),
    numpy: asked("NumPy", numpy),
    end: () => [c, numpy].forEach((rival) => rival?.end()),
  };
}

async function sums({ c, numpy }: Rivals): Promise<void> {
  const file = path.join(folder, "doubles.npy");
  const header = writeDoubles(file, ROWS);
  const request = `sum ${file} ${header}`;
  const wanted = "less than 1.00 of NumPy, at most 1.20 of C";
  const comparison = { rounds: ROUNDS.sum, bytes: ROWS * 24, wanted, tolerance: 1e-9 };
  await compare(`open and sum ${ROWS} x 3 doubles`, comparison, [
    { name: "openNpy().sum()", run: () => timed(() => sumFile(file)) },
    ...c(request),
    ...numpy(request),
  ]);
  fs.rmSync(file);
}

async function medians({ c, numpy }: Rivals): Promise<void> {
  const file = path.join(folder, "integers");
  writeIntegers(file, MEBIBYTES);
  using one = new MedianWorkers(1);
  using two = new MedianWorkers(2);
  const runner = (name: string, find: () => Promise<number>): Runner => ({
    name,
    run: async () => {
      const start = process.hrtime.bigint();
      const result = await find();
      return { nanoseconds: Number(process.hrtime.bigint() - start), result };
    },
  });
  const withTwo = runner("2 Workers", () => two.median(file));
  const started = runner("2 Workers, to be started", async () => {
    using workers = new MedianWorkers(2);
    return await workers.median(file);
  });
  const request = `median ${file} 0`;
  const bytes = MEBIBYTES * 2 ** 20;
  await compare(
    `exact median of ${MEBIBYTES} MiB of int16`,
    { rounds: ROUNDS.median, bytes, wanted: "at most 0.56 of one Worker" },
    [withTwo, runner("1 Worker", () => one.median(file)), started, ...c(request)],
  );
  await compare(
    `exact median of ${MEBIBYTES} MiB of int16, beside NumPy`,
    { rounds: ROUNDS.numpyMedian, bytes, wanted: "at most 0.10 of NumPy" },
    [withTwo, ...numpy(request)],
  );
  fs.rmSync(file);
}

async function records(): Promise<void> {
  const Tick = defineRecord({ index: "u32", value: "f64" });
  const size = Tick.byteLength;
  using map = MemoryMap.createAnonymous(RECORDS * size);
  const ticks = Tick.over(map);
  const view = map.asDataView();
  const comparison = { rounds: ROUNDS.records, bytes: RECORDS * size };

  await compare(
    `write the fields of ${RECORDS} records`,
    { ...comparison, wanted: "at most 2.00 of DataView" },
    [
      {
        name: "ticks.at(i).value = ...",
        run: () =>
          timed(() => {
            for (let i = 0; i < ticks.length; i++) {
              const tick = ticks.at(i);
              tick.index = i;
              tick.value = i / 2;
            }
            return view.getFloat64((RECORDS - 1) * size + 8, true);
          }),
      },
      {
        name: "DataView by hand",
        run: () =>
          timed(() => {
            for (let i = 0; i < RECORDS; i++) {
              view.setUint32(i * size, i, true);
              view.setFloat64(i * size + 8, i / 2, true);
            }
            return view.getFloat64((RECORDS - 1) * size + 8, true);
          }),
      },
    ],
  );

  const viewByHand: Runner = {
    name: "DataView by hand",
    run: () =>
      timed(() => {
        let sum = 0;
        for (let i = 0; i < RECORDS; i++) sum += view.getFloat64(i * size + 8, true);
        return sum;
      }),
  };
  await compare(
    `add up a field of ${RECORDS} records`,
    { ...comparison, wanted: "at most 2.00 of DataView" },
    [
      {
        name: "ticks.at(i).value",
        run: () =>
          timed(() => {
            let sum = 0;
            for (let i = 0; i < ticks.length; i++) sum += ticks.at(i).value;
            return sum;
          }),
      },
      viewByHand,
    ],
  );
  const column = ticks.column("value");
  await compare(
    `read a column of ${RECORDS} records, element by element`,
    { ...comparison, wanted: "at most 2.00 of DataView" },
    [
      {
        name: 'column("value").get(i)',
        run: () =>
          timed(() => {
            let sum = 0;
            for (let i = 0; i < column.length; i++) sum += column.get(i);
            return sum;
          }),
      },
      viewByHand,
    ],
  );

  const stride = size / 8;
  const doubles = map.asTypedArray(Float64Array, 8);
  await compare(
    `sum of a column of ${RECORDS} records`,
    { ...comparison, wanted: "at most 1.20 of the typed array" },
    [
      { name: 'column("value").sum()', run: () => timed(() => column.sum()) },
      {
        name: "Float64Array with a stride",
        run: () =>
          timed(() => {
            let sum = 0;
            for (let i = 0; i < RECORDS; i++) sum += doubles[i * stride]!;
            return sum;
          }),
      },
    ],
  );
}

async function main(): Promise<void> {
  const parts = { sum: sums, median: medians, records };
  const names = Object.keys(parts) as (keyof typeof parts)[];
  const unknown = process.argv.slice(2).find((name) => !names.some((known) => known === name));
  if (unknown) throw new Error(`Unknown part ${unknown}: use ${names.join(", ")}`);
  const version = process.versions[runtime().name.toLowerCase()] ?? process.versions.node;
  console.log(`${runtime().name} ${version}, medians of interleaved rounds`);
  const rivals = await startRivals();
  for (const name of names) {
    if (process.argv.length <= 2 || process.argv.includes(name)) await parts[name](rivals);
  }
  rivals.end();
}

try {
  await main();
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
