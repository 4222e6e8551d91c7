/**
 * Measures what locks and waiting cost: uncontended, and from one parked process to another beside a C
 * program that makes the same futex calls (`sync_floor.c`, where there is a C compiler). Runs
 * under Deno, Bun and Node alike:
 *
 *   deno run -A bench/sync.ts [pairs | handoffs]
 */
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MemoryMap } from "../mod.ts";
import {
  Event,
  Mutex,
  RwLock,
  Semaphore,
  waitForChange,
  waitForChangeAsync,
  wake,
} from "../src/sync/mod.ts";
import { canPin, openClock, smoke } from "./common.ts";

/** Rounds of short loops: the median of many resists what else the machine does. */
const ROUNDS = smoke ? 3 : 201;
const CALLS = smoke ? 100 : 20_000;
/** Handoffs between processes, in turns of C and this runtime. */
const TURNS = smoke ? 1 : 5;
const HANDOFFS = smoke ? 20 : 500;
/** Handoffs before that, with short naps, until the engines have compiled what they run. */
const WARM_UP = smoke ? 20 : 10_000;
const SHORT_NAP_MS = 0.03;
/** The one that gives waits so long: the other one is parked by then. */
const NAP_MS = 0.2;

/** Where everything lies in the shared file. */
const AT = { mutex: 0, turn: 64, change: 128, asyncChange: 192, stamp: 256, size: 4096 };

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Nanoseconds of one call in a loop, the median of many loops. */
function timeCalls(calls: number, run: () => void): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) run();
    return (performance.now() - start) * 1e6 / calls;
  });
  return median(times);
}

function uncontended(): void {
  using map = MemoryMap.createMemfd(1 << 16);
  const counter = map.asTypedArray(Int32Array, 1 << 15, 1);
  const mutex = new Mutex(map, 0);
  const lock = new RwLock(map, 4096);
  const semaphore = new Semaphore(map, 8192, 4);
  const event = new Event(map, 64);
  event.set();
  const rows: [string, number, () => void][] = [
    ["Mutex lock() and unlock()", CALLS, () => {
      mutex.lock();
      counter[0]!++;
      mutex.unlock();
    }],
    ["RwLock read.lock() and read.unlock()", CALLS, () => {
      lock.read.lock();
      counter[0]!++;
      lock.read.unlock();
    }],
    ["RwLock write.lock() and write.unlock()", CALLS, () => {
      lock.write.lock();
      counter[0]!++;
      lock.write.unlock();
    }],
    ["Semaphore acquire() and release()", CALLS, () => {
      semaphore.acquire();
      counter[0]!++;
      semaphore.release();
    }],
    ["Event wait(), set", CALLS, () => {
      event.wait();
      counter[0]!++;
    }],
    ["wake() with nobody there", Math.ceil(CALLS / 10), () => {
      wake(map, 1 << 14);
      counter[0]!++;
    }],
  ];
  for (const [name, calls, run] of rows) {
    counter[0] = 0;
    const time = timeCalls(calls, run);
    if (counter[0] !== calls * ROUNDS) throw new Error(`${name}: ran ${counter[0]} times`);
    console.log(`${name.padEnd(40)} ${time.toFixed(1).padStart(8)} ns`);
  }
}

/** What both processes of a handoff have. */
function openShared(file: string) {
  const map = MemoryMap.open(file, { mode: "r+" });
  const words = map.asTypedArray(Int32Array);
  return {
    map,
    mutex: new Mutex(map, AT.mutex),
    stamp: map.asTypedArray(Float64Array, AT.stamp, 1),
    set(offset: number, value: number): void {
      Atomics.store(words, offset / 4, value);
      wake(map, offset, 1);
    },
    await(offset: number, value: number): void {
      for (;;) {
        const seen = Atomics.load(words, offset / 4);
        if (seen === value) return;
        waitForChange(map, offset, seen);
      }
    },
  };
}

/** The side that gives: three handoffs a round, each to one who is parked. */
function give(file: string): void {
  const { map, mutex, stamp, set, await: until } = openShared(file);
  const clock = openClock();
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < WARM_UP + HANDOFFS; i++) {
    const pause = () => Atomics.wait(nap, 0, 0, i < WARM_UP ? SHORT_NAP_MS : NAP_MS);
    mutex.lock();
    set(AT.turn, 4 * i + 1);
    pause();
    stamp[0] = clock();
    mutex.unlock();
    until(AT.turn, 4 * i + 2);
    pause();
    stamp[0] = clock();
    set(AT.change, i + 1);
    until(AT.turn, 4 * i + 3);
    pause();
    stamp[0] = clock();
    set(AT.asyncChange, i + 1);
    until(AT.turn, 4 * i + 4);
  }
  map.close();
}

/** The side that takes, and measures. */
async function take(file: string): Promise<void> {
  const { map, mutex, stamp, set, await: until } = openShared(file);
  const clock = openClock();
  const handoff: number[] = [];
  const change: number[] = [];
  const asyncChange: number[] = [];
  for (let i = 0; i < WARM_UP + HANDOFFS; i++) {
    until(AT.turn, 4 * i + 1);
    mutex.lock();
    handoff.push(clock() - stamp[0]!);
    mutex.unlock();
    set(AT.turn, 4 * i + 2);
    until(AT.change, i + 1);
    change.push(clock() - stamp[0]!);
    const changed = waitForChangeAsync(map, AT.asyncChange, i);
    set(AT.turn, 4 * i + 3);
    await changed;
    asyncChange.push(clock() - stamp[0]!);
    set(AT.turn, 4 * i + 4);
  }
  map.close();
  const cold = (times: number[]) => median(times.slice(WARM_UP));
  console.log(JSON.stringify({
    handoff: cold(handoff),
    change: cold(change),
    asyncChange: cold(asyncChange),
  }));
}

/** Runs a command to its end and returns the object that it prints. */
function result(command: string, args: readonly string[]): Promise<Record<string, number>> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (more: string) => text += more);
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(text === "" ? {} : JSON.parse(text));
      else reject(new Error(`${command} ended with ${code}`));
    });
  });
}

async function handoffs(): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mman-bench-"));
  try {
    const floor = path.join(folder, "sync_floor");
    const source = fileURLToPath(new URL("./sync_floor.c", import.meta.url));
    const compiled = spawnSync("cc", ["-O2", "-o", floor, source]).status === 0;
    const file = path.join(folder, "shared");
    const script = fileURLToPath(import.meta.url);
    const own = process.versions["deno"] === undefined ? [] : ["run", "-A"];
    const pins = canPin();
    const ours: Record<string, number>[] = [];
    const theirs: Record<string, number>[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      if (compiled) {
        theirs.push(await result(floor, [String(HANDOFFS), ...(pins ? ["pinned"] : [])]));
      }
      fs.writeFileSync(file, new Uint8Array(AT.size));
      const [taker] = await Promise.all(
        ["take", "give"].map((role, processor) => {
          const command = [process.execPath, ...own, script, role, file];
          if (pins) command.unshift("taskset", "--cpu-list", String(processor));
          return result(command[0]!, command.slice(1));
        }),
      );
      ours.push(taker!);
    }
    const print = (name: string, key: string, floorKey: string): void => {
      const time = median(ours.map((row) => row[key]!));
      const c = median(theirs.map((row) => row[floorKey]!));
      // Side by side: how deep the processors sleep changes from turn to turn.
      const ratio = median(theirs.map((row, i) => ours[i]![key]! / row[floorKey]!));
      const beside = compiled ? `  C ${(c / 1000).toFixed(1)} us, ratio ${ratio.toFixed(2)}` : "";
      console.log(`${name.padEnd(40)} ${(time / 1000).toFixed(1).padStart(8)} us${beside}`);
    };
    print("Mutex, to a parked process", "handoff", "handoff");
    print("waitForChange(), to a parked process", "change", "change");
    print("waitForChangeAsync(), in another process", "asyncChange", "change");
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

const [role, file = ""] = process.argv.slice(2);
if (role === "take") await take(file);
else if (role === "give") give(file);
else {
  if (role !== "handoffs") uncontended();
  if (role !== "pairs") await handoffs();
}
