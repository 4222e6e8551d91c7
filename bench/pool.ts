/**
 * Measures the pool: a block allocated and freed, beside C's malloc and jemalloc in turns; how much of a pool
 * can be used, and what a call takes, under three traces, beside a TLSF of the same memory. Runs under Deno,
 * Bun and Node alike; rivals that are not there are named.
 *
 *   deno run -A bench/pool.ts
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MemoryMap } from "../mod.ts";
import { MemoryPool } from "../src/pool/mod.ts";
import { smoke } from "./common.ts";
import { Tlsf } from "./pool_tlsf.ts";

const ROUNDS = smoke ? 3 : 101;
const PAIRS = smoke ? 1000 : 20_000;
const TURNS = smoke ? 1 : 5;
const BYTES = 200;
const POOLS = smoke ? [1 << 22] : [1 << 23, 1 << 25];

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Nanoseconds for one block allocated and freed. */
function pairs(pool: MemoryPool): number {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    let sum = 0;
    const start = performance.now();
    for (let i = 0; i < PAIRS; i++) {
      const block = pool.allocate(BYTES);
      sum += block.size;
      block.free();
    }
    times.push((performance.now() - start) * 1e6 / PAIRS);
    if (sum !== BYTES * PAIRS) throw new Error(`The blocks have ${sum} bytes`);
  }
  return median(times);
}

/** Debian's jemalloc: installed, or taken out of its package into a folder. */
function findJemalloc(folder: string): string | undefined {
  const search = (top: string) =>
    fs.existsSync(top)
      ? fs.globSync("**/libjemalloc.so.2", { cwd: top }).map((at) => path.join(top, at))
      : [];
  for (const top of [`/usr/lib/${os.machine()}-linux-gnu`]) {
    const [found] = search(top);
    if (found !== undefined) return found;
  }
  const options = { cwd: folder, stdio: "ignore" as const, timeout: 60_000 };
  if (spawnSync("apt-get", ["download", "libjemalloc2"], options).status !== 0) return undefined;
  const [deb] = fs.readdirSync(folder).filter((name) => name.endsWith(".deb"));
  if (deb === undefined || spawnSync("dpkg-deb", ["-x", deb, "."], options).status !== 0) {
    return undefined;
  }
  return search(folder)[0];
}

/** C's allocators by name: each gives nanoseconds for one block. */
function rivals(folder: string): Record<string, () => number> {
  const source = fileURLToPath(new URL("./pool_floor.c", import.meta.url));
  const program = path.join(folder, "pool_floor");
  if (spawnSync("gcc", ["-O2", "-o", program, source]).status !== 0) {
    console.log("malloc and jemalloc: skipped, need gcc");
    return {};
  }
  const measure = (preload: string) => () => {
    const { stdout } = spawnSync(program, [BYTES, PAIRS, ROUNDS].map(String), {
      env: { ...process.env, LD_PRELOAD: preload },
      encoding: "utf8",
    });
    return Number(stdout.split(" ")[0]);
  };
  const jemalloc = findJemalloc(folder);
  if (jemalloc === undefined) console.log("jemalloc: skipped, needs Debian's libjemalloc2");
  return {
    "C, malloc": measure(""),
    ...(jemalloc === undefined ? {} : { "C, jemalloc": measure(jemalloc) }),
  };
}

function comparePairs(): void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mman-bench-"));
  try {
    using map = MemoryMap.createMemfd(1 << 24);
    const pool = new MemoryPool(map, { blockSize: 256 });
    const programs: Record<string, () => number> = {
      MemoryPool: () => pairs(pool),
      ...rivals(folder),
    };
    const times = Object.fromEntries(Object.keys(programs).map((name) => [name, [] as number[]]));
    for (let turn = 0; turn < TURNS; turn++) {
      for (const [name, measure] of Object.entries(programs)) times[name]!.push(measure());
    }
    console.log(
      `\nallocate and free ${BYTES} bytes, nanoseconds a pair (medians of ${TURNS} turns)`,
    );
    for (const [name, all] of Object.entries(times)) {
      console.log(`  ${name.padEnd(12)} ${median(all).toFixed(1).padStart(7)}`);
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** Numbers from 0 up to 1, the same in every run. */
function numbers(): () => number {
  let state = 1;
  return () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Parameters of a small language model (GPT-2's smallest), in bytes: weights and biases of each layer. */
const TENSORS = [768, 768 * 3, 768 * 4].flatMap((n) => [n * 4, n * 64 * 4, n * 128 * 4]);

interface Trace {
  readonly name: string;
  readonly blockSize: number;
  size(next: () => number): number;
}

const traces: readonly Trace[] = [
  { name: "equal sizes, 256 bytes", blockSize: 256, size: () => 256 },
  {
    name: "power law, 1 KiB to 1 MiB",
    blockSize: 256,
    size: (next) => Math.min(Math.ceil(1024 * (1 - next()) ** (-1 / 1.2)), 1 << 20),
  },
  {
    name: "tensors, 3 KiB to 1.5 MiB",
    blockSize: 1024,
    size: (next) => TENSORS[Math.floor(next() * TENSORS.length)]!,
  },
];

/** What is compared: a handle for some bytes, or undefined. */
interface Allocator {
  allocate(bytes: number): unknown;
  free(handle: unknown): void;
}

/** Allocates; when that fails, frees at random until it does not. */
function run(
  { allocate, free }: Allocator,
  { size }: Trace,
  pool: number,
): { usable: number; nanoseconds: number } {
  const next = numbers();
  const live: { handle: unknown; bytes: number }[] = [];
  const shares: number[] = [];
  let used = 0;
  let calls = 0;
  const wanted = smoke ? 200 : 500;
  let measured = 0;
  let start = performance.now();
  while (measured < wanted) {
    const bytes = size(next);
    let handle = allocate(bytes);
    calls++;
    if (handle === undefined) {
      // What counts is how full it was when it was too full.
      shares.push(used / pool);
      if (measured++ === 0) [start, calls] = [performance.now(), 0];
    }
    while (handle === undefined) {
      const at = Math.floor(next() * live.length);
      const victim = live[at]!;
      live[at] = live.at(-1)!;
      live.pop();
      free(victim.handle);
      used -= victim.bytes;
      handle = allocate(bytes);
      calls += 2;
    }
    used += bytes;
    live.push({ handle, bytes });
  }
  const nanoseconds = (performance.now() - start) * 1e6 / calls;
  for (const { handle } of live) free(handle);
  return { usable: median(shares), nanoseconds };
}

function compareTraces(size: number): void {
  console.log(
    `\n${size >> 20} MiB under churn: part of it in use when a request fails (median), ns a call`,
  );
  for (const trace of traces) {
    using map = MemoryMap.createMemfd(size);
    const pool = new MemoryPool(map, { blockSize: trace.blockSize });
    const tlsf = new Tlsf(size);
    const contestants: Record<string, Allocator> = {
      "bitmap with runs": {
        allocate: (bytes) => pool.tryAllocate(bytes),
        free: (block) => (block as Disposable)[Symbol.dispose](),
      },
      TLSF: {
        allocate: (bytes) => tlsf.allocate(bytes) || undefined,
        free: (place) => tlsf.free(place as number),
      },
    };
    for (const [name, allocator] of Object.entries(contestants)) {
      const { usable, nanoseconds } = run(allocator, trace, size);
      console.log(
        `  ${trace.name.padEnd(26)} ${name.padEnd(17)} ${(usable * 100).toFixed(1).padStart(5)} %` +
          `${nanoseconds.toFixed(0).padStart(9)} ns`,
      );
    }
    if (pool.stats().used !== 0) throw new Error("Not all was freed");
  }
}

comparePairs();
for (const size of POOLS) compareTraces(size);
