/**
 * Measures what operations on whole ranges and work in the background promise, side by side with C
 * (built with gcc here, on the spot) and Python, interleaved, as medians and ratios. Runs under Deno,
 * Bun and Node alike:
 *
 *   deno run -A bench/issue3.ts
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { MemoryMap } from "../mod.ts";
import { runtime } from "../src/ffi/runtime.ts";
import { smoke } from "./common.ts";
import { compare, median, Rival, type Runner, timed } from "./rivals.ts";

const MiB = 1 << 20;
const GiB = 2 ** 30;

/** Bytes that are searched. */
const SEARCHED = smoke ? 4 * MiB : GiB;
/** Bytes of a large fill and copy; a small one has a page. */
const LARGE = smoke ? MiB : 64 * MiB;
const SMALL = 4096;
/** Bytes that are faulted in and flushed under the eyes of a timer. */
const FAULTED = smoke ? 64 * MiB : 4 * GiB;
const FLUSHED = smoke ? 8 * MiB : 512 * MiB;
const SPARSE = 24 * GiB;
const ROWS = 10;
const ROW = 4096;

const ROUNDS = { searched: smoke ? 1 : 9, large: smoke ? 1 : 41, small: smoke ? 1 : 101 };
const TIMER_ROUNDS = smoke ? 1 : 5;
const SPARSE_ROUNDS = smoke ? 1 : 31;
/** Calls of a small operation that are timed together. */
const SMALL_CALLS = smoke ? 10 : 2000;

const NEEDLE = "<needle 16 long>";

const C_PROGRAM = `
#define _GNU_SOURCE
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

static void *anonymous(size_t size) {
  char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) exit(2);
  memset(p, 1, size);
  return p;
}

/* Keeps the compiler from leaving out work whose result nobody sees. */
static void *volatile sink;

/* Arguments: file to search, needle, bytes of a large copy. Answers each line of input with
   nanoseconds and a result. */
int main(int argc, char **argv) {
  int fd = open(argv[1], O_RDONLY);
  struct stat s;
  if (argc < 4 || fd < 0 || fstat(fd, &s) != 0) return 1;
  size_t size = s.st_size, large = atoll(argv[3]);
  char *text = mmap(0, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (text == MAP_FAILED) return 1;
  char *memory = anonymous(2 * large);
  char verb[32], path[4096];
  long long a, b;
  puts("ready");
  fflush(stdout);
  while (scanf("%31s %lld %lld %4095s", verb, &a, &b, path) == 4) {
    long long result = 0, start = now();
    if (!strcmp(verb, "find")) {
      char *found = memmem(text, size, argv[2], strlen(argv[2]));
      result = found ? found - text : -1;
    } else if (!strcmp(verb, "count")) {
      char *end = text + size;
      for (char *p = text; (p = memchr(p, '\\n', end - p)); p++) result++;
    } else if (!strcmp(verb, "fill")) {
      for (long long i = 0; i < b; i++) { memset(memory, 7, a); sink = memory; }
    } else if (!strcmp(verb, "copy")) {
      for (long long i = 0; i < b; i++) { memmove(memory + a, memory, a); sink = memory; }
    } else if (!strcmp(verb, "sparse")) {
      long long rows = b / 1000000, row = b % 1000000;
      int out = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
      if (out < 0 || ftruncate(out, a) != 0) return 1;
      char *p = mmap(0, a, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
      if (p == MAP_FAILED) return 1;
      for (long long i = 0; i < rows; i++) memset(p + (a / rows) * i / 4096 * 4096, (int)i + 1, row);
      if (msync(p, a, MS_SYNC) != 0) return 1;
      munmap(p, a);
      close(out);
    } else return 1;
    printf("%lld %lld\\n", now() - start, result);
    fflush(stdout);
  }
  return 0;
}
`;

const PYTHON_PROGRAM = `
import mmap, sys, time
with open(sys.argv[1], "rb") as file:
    text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
needle = sys.argv[2].encode()
for i in range(0, len(text), 4096):
    text[i]
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter_ns()
    result = text.find(needle)
    print(time.perf_counter_ns() - start, result, flush=True)
`;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mman-bench-"));

/** Writes text of words and lines of about 80 bytes, the needle last. */
function writeText(file: string): void {
  let state = 1;
  const next = () => (state = Math.imul(state, 1_103_515_245) + 12_345 >>> 0) / 2 ** 32;
  const block = new Uint8Array(Math.min(4 * MiB, SEARCHED));
  let line = 0;
  for (let i = 0; i < block.length; i++) {
    const ends = line > 60 + next() * 40;
    block[i] = ends ? 10 : next() < 0.17 ? 32 : 97 + Math.floor(next() * 26);
    line = ends ? 0 : line + 1;
  }
  const fd = fs.openSync(file, "w");
  for (let at = 0; at < SEARCHED; at += block.length) fs.writeSync(fd, block);
  fs.writeSync(fd, new TextEncoder().encode(NEEDLE), 0, NEEDLE.length, SEARCHED - NEEDLE.length);
  fs.closeSync(fd);
}

/** How late a timer of one millisecond came, in milliseconds, while `work` went on. */
async function lateness(work: () => Promise<void>): Promise<{ worst: number; took: number }> {
  let worst = 0;
  const start = performance.now();
  let last = start;
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - last - 1);
    last = now;
  }, 1);
  await work();
  worst = Math.max(worst, performance.now() - last - 1);
  clearInterval(timer);
  return { worst, took: performance.now() - start };
}

/** Something that goes on under the eyes of a timer. */
interface Job {
  readonly name: string;
  readonly before: () => void;
  readonly work: () => Promise<void>;
  readonly after: () => void;
}

async function timers(): Promise<void> {
  console.log("\nWorst lateness of a 1 ms timer, each round  (at most 5 ms)");
  const file = path.join(folder, "flushed");
  const flushed = MemoryMap.open(file, { mode: "w+", size: FLUSHED });
  let created: MemoryMap | undefined;
  let fillByte = 0;
  const jobs: Job[] = [
    {
      name: `createAnonymousAsync(${FAULTED / MiB} MiB)`,
      before: () => {},
      work: async () => {
        created = await MemoryMap.createAnonymousAsync(FAULTED);
      },
      after: () => created?.close(),
    },
    {
      name: `msyncAsync() of ${FLUSHED / MiB} MiB`,
      before: () => flushed.fill(++fillByte),
      work: () => flushed.msyncAsync(),
      after: () => {},
    },
  ];
  for (const { name, before, work, after } of jobs) {
    const busy: number[] = [];
    const idle: number[] = [];
    const times: number[] = [];
    for (let round = 0; round < TIMER_ROUNDS; round++) {
      before();
      await new Promise((resolve) => setTimeout(resolve, 50)); // what `before` left behind
      const { worst, took } = await lateness(work);
      after();
      await new Promise((resolve) => setTimeout(resolve, 50));
      busy.push(worst);
      times.push(took);
      const nothing = () => new Promise<void>((resolve) => setTimeout(resolve, took));
      idle.push((await lateness(nothing)).worst);
    }
    for (const [what, worst] of [[name, busy], ["  nothing, for as long", idle]] as const) {
      const list = worst.map((late) => late.toFixed(1)).join(" ");
      console.log(`  ${what.padEnd(32)}median ${median(worst).toFixed(1)} ms of [${list}]`);
    }
    console.log(`    took ${median(times).toFixed(0)} ms`);
  }
  flushed.close();
  fs.rmSync(file);
}

/** Creates, maps, writes ten rows, flushes and closes. */
function sparse(file: string): number {
  const map = MemoryMap.open(file, { mode: "w+", size: SPARSE });
  for (let i = 0; i < ROWS; i++) {
    const at = Math.floor(Math.floor(SPARSE / ROWS) * i / 4096) * 4096;
    map.asTypedArray(Uint8Array, at, ROW).fill(i + 1);
  }
  map.msync();
  map.close();
  return 0;
}

async function main(): Promise<void> {
  const version = process.versions[runtime().name.toLowerCase()] ?? process.versions.node;
  console.log(`${runtime().name} ${version}, medians of interleaved rounds`);
  const text = path.join(folder, "text");
  writeText(text);

  const source = path.join(folder, "rival.c");
  const program = path.join(folder, "rival");
  fs.writeFileSync(source, C_PROGRAM);
  const built = spawnSync("gcc", ["-O2", "-o", program, source], { stdio: "inherit" });
  const c = built.status === 0
    ? await Rival.start(program, [text, NEEDLE, String(LARGE)])
    : undefined;
  if (c === undefined) console.log("skipped: C, needs gcc");
  const hasPython = spawnSync("python3", ["--version"], { stdio: "ignore" }).status === 0;
  const python = hasPython
    ? await Rival.start("python3", ["-c", PYTHON_PROGRAM, text, NEEDLE])
    : undefined;
  if (python === undefined) console.log("skipped: Python, needs python3");

  const inC = (name: string, request: string): Runner[] =>
    c === undefined ? [] : [{ name, run: () => c.ask(request) }];

  {
    using map = MemoryMap.open(text, { populate: true });
    await compare(
      `find of 16 bytes at the end of ${SEARCHED / MiB} MiB`,
      { rounds: ROUNDS.searched, bytes: SEARCHED, wanted: "at most 1.00 of memmem and of Python" },
      [
        { name: "MemoryMap.find()", run: () => timed(() => map.find(NEEDLE)) },
        ...inC("C memmem", "find 0 0 -"),
        ...(python === undefined ? [] : [{
          name: "Python mmap.find()",
          run: () => python.ask("find"),
        }]),
      ],
    );
    await compare(
      `count of newlines in ${SEARCHED / MiB} MiB of text`,
      { rounds: ROUNDS.searched, bytes: SEARCHED, wanted: "at most 1.00 of the loop" },
      [
        { name: "MemoryMap.count()", run: () => timed(() => map.count(10)) },
        ...inC("C loop with memchr", "count 0 0 -"),
      ],
    );
  }
  python?.end();

  {
    using map = MemoryMap.createAnonymous(2 * LARGE);
    map.fill(1);
    const { platform } = await import("../src/ffi/host.ts");
    const { memory } = platform();
    for (const size of [LARGE, SMALL]) {
      const calls = size === LARGE ? 1 : SMALL_CALLS;
      const rounds = size === LARGE ? ROUNDS.large : ROUNDS.small;
      const repeat = (work: () => void) => () =>
        timed(() => {
          for (let i = 0; i < calls; i++) work();
          return 0;
        });
      const label = size >= MiB ? `${size / MiB} MiB` : `${size / 1024} KiB`;
      await compare(`fill of ${label}`, {
        rounds,
        calls,
        bytes: size,
        wanted: "at most 1.05 of memset",
      }, [
        { name: "MemoryMap.fill()", run: repeat(() => map.fill(7, 0, size)) },
        ...inC("C memset", `fill ${size} ${calls} -`),
        { name: "memset through the FFI", run: repeat(() => memory.memset(map.addr, 7, size)) },
      ]);
      await compare(`copyWithin of ${label}`, {
        rounds,
        calls,
        bytes: size,
        wanted: "at most 1.05 of memmove",
      }, [
        { name: "MemoryMap.copyWithin()", run: repeat(() => map.copyWithin(size, 0, size)) },
        ...inC("C memmove", `copy ${size} ${calls} -`),
        {
          name: "memmove through the FFI",
          run: repeat(() => memory.memmove(map.addr + BigInt(size), map.addr, size)),
        },
      ]);
    }
  }

  const [ours, theirs] = ["ours", "theirs"].map((name) => path.join(folder, name));
  const removed = (file: string, run: Runner["run"]): Runner["run"] => async () => {
    const result = await run();
    fs.rmSync(file);
    return result;
  };
  await compare(
    `${SPARSE / GiB} GiB sparse: create, map, write ${ROWS} rows, flush, close`,
    { rounds: SPARSE_ROUNDS, wanted: "at most 2.00 of C" },
    [
      { name: "MemoryMap", run: removed(ours!, () => timed(() => sparse(ours!))) },
      ...inC("C", `sparse ${SPARSE} ${ROWS * 1_000_000 + ROW} ${theirs}`).map(({ name, run }) => ({
        name,
        run: removed(theirs!, run),
      })),
    ],
  );
  c?.end();

  await timers();
}

try {
  await main();
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
