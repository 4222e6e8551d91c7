/**
 * Measures the figures that the library promises, side by side and interleaved, and prints medians
 * and ratios. Runs under Deno, Bun and Node alike:
 *
 *   deno run -A bench/ratios.ts
 */
import process from "node:process";
import { MemoryMap } from "../mod.ts";
import { runtime } from "../src/ffi/runtime.ts";
import { checkCopy, checksum, fill, LARGE, memcpyBetween, SMALL, smoke } from "./common.ts";

/** Rounds in which every row has its turn: what else the machine does hits all rows alike. */
const ROUNDS = smoke ? 3 : 301;

/**
 * Calls of a row in a round: long enough for the clock, short enough that the system seldom takes
 * the processor away in the middle.
 */
const LARGE_CALLS = smoke ? 2 : 10;
const SMALL_CALLS = smoke ? 10 : 2_000;

/** One thing measured. */
interface Row {
  readonly name: string;
  /** Calls in a round. */
  readonly calls: number;
  /** Makes that many calls and returns a copy to check. */
  readonly run: (calls: number) => Uint8Array;
  /** The checksum of the copy. */
  readonly expected: number;
  /** Nanoseconds a call, one for each round. */
  readonly times: number[];
}

using map = MemoryMap.createAnonymous(LARGE);
const bytes = map.bytes;
fill(bytes);
const all = checksum(bytes);
const target = new Uint8Array(LARGE);
const memcpy = memcpyBetween(target, map.addr);
const start = checksum(bytes.subarray(0, SMALL));
const small = new Uint8Array(SMALL);

function row(name: string, calls: number, expected: number, run: Row["run"]): Row {
  return { name, calls, run, expected, times: [] };
}

const size = `${LARGE / 1024} KiB`;
const rows = {
  memcpy: row(`libc memcpy of ${size}`, LARGE_CALLS, all, (calls) => {
    for (let i = 0; i < calls; i++) memcpy(LARGE);
    return target;
  }),
  set: row(`Uint8Array.set() of ${size}`, LARGE_CALLS, all, (calls) => {
    for (let i = 0; i < calls; i++) target.set(bytes);
    return target;
  }),
  readInto: row(`MemoryMap.readInto() of ${size}`, LARGE_CALLS, all, (calls) => {
    for (let i = 0; i < calls; i++) map.readInto(target);
    return target;
  }),
  slice: row(`Uint8Array.slice() of ${size}`, LARGE_CALLS, all, (calls) => {
    let copy = target;
    for (let i = 0; i < calls; i++) copy = bytes.slice();
    return copy;
  }),
  read: row(`MemoryMap.read() of ${size}`, LARGE_CALLS, all, (calls) => {
    let copy = target;
    for (let i = 0; i < calls; i++) copy = map.read(LARGE);
    return copy;
  }),
  smallSet: row(`Uint8Array.set() of ${SMALL} bytes`, SMALL_CALLS, start, (calls) => {
    for (let i = 0; i < calls; i++) small.set(bytes.subarray(0, SMALL));
    return small;
  }),
  smallReadInto: row(`MemoryMap.readInto() of ${SMALL} bytes`, SMALL_CALLS, start, (calls) => {
    for (let i = 0; i < calls; i++) map.readInto(small);
    return small;
  }),
};

/** Makes a row's calls; returns the nanoseconds that one took. */
function measure({ calls, run, expected }: Row): number {
  target[0] = target[LARGE - 1] = small[0] = 255;
  const before = process.hrtime.bigint();
  const copy = run(calls);
  const after = process.hrtime.bigint();
  checkCopy(copy, expected);
  return Number(after - before) / calls;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
}

/** What is compared with what. */
const contests: readonly (readonly Row[])[] = [
  [rows.memcpy, rows.set, rows.readInto],
  [rows.slice, rows.read],
  [rows.smallSet, rows.smallReadInto],
];

for (const each of Object.values(rows)) for (let i = 0; i < 5; i++) measure(each); // warm
for (let round = 0; round < ROUNDS; round++) {
  for (const contest of contests) {
    // There and back, from either side in turn: each finds the caches and the heap as the one before
    // has left them. Where the last contest left them counts for nobody.
    const there = round % 2 === 0 ? contest : contest.toReversed();
    measure(there[0]!);
    const first = there.map(measure);
    const second = there.toReversed().map(measure).reverse();
    there.forEach(({ times }, i) => times.push((first[i]! + second[i]!) / 2));
  }
}

const version = process.versions[runtime().name.toLowerCase()] ?? process.versions.node;
console.log(`${runtime().name} ${version}, ${ROUNDS} rounds, medians`);
for (const { name, times, calls } of Object.values(rows)) {
  const nanoseconds = median(times);
  const speed = calls === LARGE_CALLS ? `${(LARGE / nanoseconds).toFixed(1)} GB/s` : "";
  console.log(`${name.padEnd(40)}${nanoseconds.toFixed(0).padStart(10)} ns  ${speed}`);
}

/** How many times as fast as `rival` a row is: the median of the rounds' own ratios. */
function ratio(one: Row, rival: Row): number {
  return median(one.times.map((time, round) => rival.times[round]! / time));
}

const figures: [string, number, string, boolean][] = [
  ["readInto() to memcpy", ratio(rows.readInto, rows.memcpy), "at least 0.9", true],
  ["readInto() to set()", ratio(rows.readInto, rows.set), "for comparison", true],
  ["read() to slice()", ratio(rows.read, rows.slice), "at least 1.0", true],
  [
    `readInto() of ${SMALL} bytes, ns`,
    median(rows.smallReadInto.times),
    "at most 150, in Deno",
    false,
  ],
];
console.log();
for (const [name, value, wanted, isRatio] of figures) {
  console.log(`${name.padEnd(40)}${value.toFixed(isRatio ? 2 : 0).padStart(10)}  (${wanted})`);
}
