/**
 * What the fault guard costs: the same work with it and without, in processes that take turns. Prints
 * medians and ratios; 1.00 is the time without.
 *
 *   deno run -A bench/guard.ts
 *   bun bench/guard.ts
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MemoryMap } from "../mod.ts";
import { refuseGuard } from "../src/ffi/guard_refusal.ts";
import { guardStatus } from "../src/guard/mod.ts";
import { checkCopy, checksum, fill, LARGE, SMALL, smoke } from "./common.ts";

/** Pairs of processes. */
const PAIRS = smoke ? 1 : 12;
/** Rounds in a process, of which the median counts. */
const ROUNDS = smoke ? 3 : 61;

/** Nanoseconds a call, by name. */
type Times = Record<string, number>;

/** Names and numbers of calls of a round. */
const CALLS = {
  readInto: smoke ? 2 : 20,
  readIntoSmall: smoke ? 10 : 5_000,
  loop: smoke ? 1 : 4,
  openClose: smoke ? 2 : 100,
  createClose: smoke ? 2 : 200,
};

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/** What a process measures. */
function measure(guarded: boolean): Times {
  if (!guarded) refuseGuard("a measurement");
  using map = MemoryMap.createAnonymous(LARGE);
  if (guardStatus().active !== guarded) throw new Error(`The guard is ${!guarded}`);
  fill(map.bytes);
  const target = new Uint8Array(LARGE);
  const small = new Uint8Array(SMALL);
  const expected = checksum(map.bytes);
  const values = map.asTypedArray(Float64Array).fill(0.5);
  const halves = checksum(map.bytes);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mman-bench-"));
  const file = path.join(folder, "file");
  fs.writeFileSync(file, new Uint8Array(65536).fill(1));

  let read = 0;
  const work: Record<keyof typeof CALLS, () => void> = {
    readInto: () => void map.readInto(target),
    readIntoSmall: () => void map.readInto(small),
    loop: () => {
      if (sum(values) !== values.length / 2) throw new Error("The sum is wrong");
    },
    openClose: () => {
      using opened = MemoryMap.open(file);
      read += opened.size;
    },
    createClose: () => {
      using created = MemoryMap.createAnonymous(65536);
      read += created.size;
    },
  };
  const names = Object.keys(work) as (keyof typeof CALLS)[];
  const times: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) {
      const calls = CALLS[name];
      const start = performance.now();
      for (let i = 0; i < calls; i++) work[name]();
      times[name]!.push((performance.now() - start) * 1e6 / calls);
    }
  }
  checkCopy(target, halves);
  if (read !== ROUNDS * 65536 * (CALLS.openClose + CALLS.createClose) || expected === halves) {
    throw new Error("The bytes are wrong");
  }
  fs.rmSync(folder, { recursive: true });
  return Object.fromEntries(names.map((name) => [name, median(times[name]!)]));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** {@link measure} in a process of its own. */
function inProcess(guarded: boolean): Times {
  const script = fileURLToPath(import.meta.url);
  const flags = process.versions["deno"] !== undefined
    ? ["run", "-A", "--no-config"]
    : process.versions["bun"] !== undefined
    ? []
    : ["--disable-warning=ExperimentalWarning"];
  const output = execFileSync(process.execPath, [...flags, script, guarded ? "on" : "off"]);
  return JSON.parse(output.toString());
}

const [kind] = process.argv.slice(2);
if (kind === undefined) {
  const pairs = Array.from({ length: PAIRS }, (_, i) => {
    const [first, second] = [inProcess(i % 2 === 0), inProcess(i % 2 !== 0)];
    return i % 2 === 0 ? { on: first, off: second } : { on: second, off: first };
  });
  for (const name of Object.keys(CALLS)) {
    const on = median(pairs.map((pair) => pair.on[name]!));
    const off = median(pairs.map((pair) => pair.off[name]!));
    const ratio = median(pairs.map((pair) => pair.on[name]! / pair.off[name]!));
    console.log(
      `${name.padEnd(16)} ${on.toFixed(0).padStart(9)} ns with, ${off.toFixed(0).padStart(9)} ns ` +
        `without: ${ratio.toFixed(3)}`,
    );
  }
} else {
  console.log(JSON.stringify(measure(kind === "on")));
}
