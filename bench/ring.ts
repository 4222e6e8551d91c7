/**
 * Measures the rings beside the same protocols in C (`ring_floor.c`), Python, `MessageChannel`, pipes and Unix sockets,
 * in turns. Runs under Deno, Bun and Node alike:
 *
 *   deno run -A bench/ring.ts
 *
 * Every side adds up what it got; a wrong sum ends the run.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isMainThread, MessageChannel, Worker, workerData } from "node:worker_threads";
import { MessageQueue, RecordRing } from "../src/ring/mod.ts";
import { canPin, openClock, smoke } from "./common.ts";
import { median } from "./rivals.ts";

const TURNS = smoke ? 1 : 5;
const MESSAGE = 64;
const CAPACITY = 1 << 20;
const RECORD = 200;
const RECORDS = 100_000;
/** How often each thing is done in a turn. */
const TIMES = smoke
  ? {
    throughput: 20_000,
    latency: 2000,
    parked: 20,
    records: 200_000,
    python: 200_000,
    others: 2000,
  }
  : {
    throughput: 5_000_000,
    latency: 200_000,
    parked: 10_000, // of which engines compile the way to and from the kernel after some thousand
    records: 2_000_000,
    python: 300_000,
    others: 200_000,
  };
/** Round trips between two looks at the clock, which costs as much as a message in Node. */
const BATCH = 20;
/** A giver of parked messages waits so long that the taker is parked. */
const NAP_MS = 0.2;

const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});
const script = fileURLToPath(import.meta.url);

/** What a side of a measurement prints. */
interface Result {
  readonly ns: number;
  readonly sum?: number;
}

/** Messages that carry their number. */
function numbered(): { message: Uint8Array; words: Int32Array } {
  const message = new Uint8Array(MESSAGE);
  return { message, words: new Int32Array(message.buffer) };
}

function produce(queue: MessageQueue, count: number): void {
  const { message, words } = numbered();
  for (let i = 0; i < count; i++) {
    words[0] = i;
    while (!queue.tryWrite(message)) pause();
  }
}

/** Nanoseconds a message, from the first that was there to the last. */
function consume(queue: MessageQueue, count: number): Result {
  let sum = 0;
  const handler = (bytes: Uint8Array) => {
    sum = sum + (bytes[0]! | bytes[1]! << 8 | bytes[2]! << 16 | bytes[3]! << 24) | 0;
  };
  let seen = 0;
  while ((seen = queue.read(handler)) === 0) pause();
  const first = seen;
  const start = performance.now();
  while (seen < count) {
    const more = queue.read(handler);
    if (more === 0) pause();
    seen += more;
  }
  return { ns: (performance.now() - start) * 1e6 / (count - first), sum: sum >>> 0 };
}

/** The sum of all numbers below, as 32 bits. */
function sumBelow(count: number): number {
  return Number(BigInt.asUintN(32, BigInt(count) * BigInt(count - 1) / 2n));
}

/** The sum of the first bytes of the last records, when so many were written. */
function sumOfRecords(count: number): number {
  let sum = 0;
  for (let i = count - RECORDS; i < count; i++) sum += i & 255;
  return sum;
}

function answer(there: MessageQueue, back: MessageQueue, rounds: number): void {
  const { message } = numbered();
  for (let i = 0; i < rounds; i++) {
    while (there.read(() => {}) === 0) pause();
    back.tryWrite(message);
  }
}

/** Half of the time there and back, both sides spinning. */
function latency(there: MessageQueue, back: MessageQueue, rounds: number): Result {
  const { message } = numbered();
  const clock = openClock();
  const times: number[] = [];
  const handler = () => {};
  for (let i = 0; i < rounds; i += BATCH) {
    const start = clock();
    for (let j = 0; j < BATCH; j++) {
      there.tryWrite(message);
      while (back.read(handler) === 0) pause();
    }
    times.push((clock() - start) / 2 / BATCH);
  }
  return { ns: median(times.slice(times.length / 2)) };
}

function giveParked(there: MessageQueue, back: MessageQueue, rounds: number): void {
  const stamp = new Float64Array(1);
  const clock = openClock();
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < rounds * 2; i++) {
    if (i >= rounds) Atomics.wait(nap, 0, 0, NAP_MS); // the first half compiles
    stamp[0] = clock();
    there.tryWrite(stamp);
    while (back.read(() => {}) === 0) pause();
  }
}

/** From the write to the reader that was parked. */
function takeParked(there: MessageQueue, back: MessageQueue, rounds: number): Result {
  const clock = openClock();
  const { message } = numbered();
  const times: number[] = [];
  for (let i = 0; i < rounds * 2; i++) {
    there.wait();
    const now = clock();
    there.read((bytes) => times.push(now - new Float64Array(bytes.slice().buffer)[0]!));
    back.tryWrite(message);
  }
  return { ns: median(times.slice(rounds)) };
}

function writeRecords(file: string, count: number): Result {
  using ring = RecordRing.create(file, { capacity: RECORDS, recordSize: RECORD });
  const record = new Uint8Array(RECORD);
  const write = (count: number): void => {
    for (let i = 0; i < count; i++) {
      record[0] = i;
      ring.write(record);
    }
  };
  write(Math.min(count, RECORDS)); // compiles, and faults the file's pages in
  const start = performance.now();
  write(count);
  const ns = (performance.now() - start) * 1e6 / count;
  let sum = 0;
  for (const bytes of ring) sum += bytes[0]!;
  return { ns, sum };
}

const PYTHON = `
import mmap, struct, sys, time
path, count, capacity, size = sys.argv[1], *map(int, sys.argv[2:])
with open(path, "wb") as file: file.truncate(16 + capacity * size)
file = open(path, "r+b")
memory = mmap.mmap(file.fileno(), 16 + capacity * size)
header = struct.Struct("<QQ")
class MmapRingBuffer:
    def write(self, record):
        position, stored = header.unpack_from(memory, 0)
        start = 16 + position * size
        memory[start:start + size] = record
        header.pack_into(memory, 0, (position + 1) % capacity, min(stored + 1, capacity))
ring = MmapRingBuffer()
record = bytearray(size)
def write(count):
    for i in range(count):
        record[0] = i & 255
        ring.write(record)
write(min(count, capacity))
start = time.perf_counter_ns()
write(count)
print('{"ns": %f, "sum": %d}' % ((time.perf_counter_ns() - start) / count, sum(memory[16::size])))
`;

/** What one process or thread of a measurement does; the side that measures returns a result. */
const roles: Record<
  string,
  (there: MessageQueue, back: MessageQueue, count: number) => Result | void
> = {
  produce: (there, _, count) => produce(there, count),
  consume: (there, _, count) => consume(there, count),
  answer,
  latency,
  giveParked,
  takeParked,
};

/** Runs a command to its end, and reads what it prints. */
function run(
  command: string,
  args: readonly string[],
  stdin?: number,
): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: [stdin ?? "ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout!.setEncoding("utf8").on("data", (more: string) => text += more);
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(text === "" ? undefined : JSON.parse(text));
      else reject(new Error(`${command} ${args.join(" ")} ended with ${code}`));
    });
  });
}

const ownArguments = process.versions["deno"] === undefined ? [] : ["run", "-A"];

/**
 * Runs two roles in processes of their own; the result of the one that has it.
 *
 * @param pinned Whether each stays on a processor of its own.
 */
async function pair(
  names: readonly string[],
  files: readonly string[],
  count: number,
  pinned: boolean,
): Promise<Result> {
  const results = await Promise.all(
    names.map((name, processor) => {
      const command = [process.execPath, ...ownArguments, script, name, ...files, String(count)];
      if (pinned) command.unshift("taskset", "--cpu-list", String(processor));
      return run(command[0]!, command.slice(1));
    }),
  );
  return results.find((result) => result !== undefined)!;
}

/** {@link pair} over fresh queues. */
function together(
  folder: string,
  count: number,
  names: readonly string[],
  pinned: boolean = false,
): Promise<Result> {
  const queues = ["there", "back"].map((name) => path.join(folder, name));
  for (const file of queues) MessageQueue.create({ path: file }, { capacity: CAPACITY }).close();
  return pair(names, queues, count, pinned);
}

async function byQueueBetweenThreads(count: number): Promise<Result> {
  const queue = MessageQueue.create({ anonymous: true }, { capacity: CAPACITY });
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { handle: queue.share(), count },
  });
  const exited = once(worker, "exit");
  const result = consume(queue, count);
  await exited;
  queue.close();
  return result;
}

/** Messages of 64 bytes from a Worker, all of them posted without waiting. */
function byMessageChannel(count: number): Promise<Result> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { port: port2, count },
    transferList: [port2],
  });
  const exited = once(worker, "exit"); // it may have ended before its last message is here
  return new Promise((resolve) => {
    let seen = 0;
    let sum = 0;
    let start = 0;
    port1.on("message", (bytes: Uint8Array) => {
      if (seen++ === 0) start = performance.now();
      sum = sum + new Int32Array(bytes.buffer)[0]! | 0;
      if (seen < count) return;
      const ns = (performance.now() - start) * 1e6 / (count - 1);
      port1.close();
      exited.then(() => resolve({ ns, sum: sum >>> 0 }));
    });
  });
}

function sendBySocket(file: string, count: number): void {
  const { message, words } = numbered();
  const socket = net.connect(file);
  let i = 0;
  const more = (): void => {
    while (i < count) {
      words[0] = i++;
      if (!socket.write(message.slice())) return void socket.once("drain", more);
    }
    socket.end();
  };
  socket.once("connect", more);
}

/** Messages of 64 bytes from another process through a stream socket. */
function bySocket(folder: string, count: number): Promise<Result> {
  const file = path.join(folder, "socket");
  fs.rmSync(file, { force: true });
  return new Promise((resolve) => {
    const server = net.createServer((socket) => {
      let bytes = 0;
      let sum = 0;
      let start = 0;
      let rest = new Uint8Array(0);
      socket.on("data", (chunk: Uint8Array) => {
        if (bytes === 0) start = performance.now();
        bytes += chunk.length;
        const all = rest.length === 0 ? chunk : new Uint8Array([...rest, ...chunk]);
        const view = new DataView(all.buffer, all.byteOffset, all.length);
        let at = 0;
        for (; at + MESSAGE <= all.length; at += MESSAGE) sum = sum + view.getInt32(at, true) | 0;
        rest = all.slice(at);
      });
      socket.on("end", () => {
        const ns = (performance.now() - start) * 1e6 / count;
        server.close(() => resolve({ ns, sum: sum >>> 0 }));
        if (bytes !== count * MESSAGE) throw new Error(`got ${bytes} bytes`);
      });
    });
    server.listen(file, () => {
      void run(process.execPath, [...ownArguments, script, "socket", file, "-", String(count)]);
    });
  });
}

/** Makes named pipes in a folder. */
function makePipes(folder: string, ...names: string[]): string[] {
  const files = names.map((name) => path.join(folder, name));
  for (const file of files) fs.rmSync(file, { force: true });
  const { status, stderr } = spawnSync("mkfifo", files, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return files;
}

function sendByPipe(file: string, count: number): void {
  const { message, words } = numbered();
  const fd = fs.openSync(file, "w");
  for (let i = 0; i < count; i++) {
    words[0] = i;
    fs.writeSync(fd, message);
  }
  fs.closeSync(fd);
}

/** Messages of 64 bytes from another process through a pipe, as many as are there read at once. */
async function byPipe(folder: string, count: number): Promise<Result> {
  const [file = ""] = makePipes(folder, "pipe");
  const sent = run(process.execPath, [...ownArguments, script, "pipe", file, "-", String(count)]);
  const fd = fs.openSync(file, "r"); // waits for the sender
  const bytes = new Uint8Array(64 * 1024);
  const view = new DataView(bytes.buffer);
  let sum = 0;
  let seen = 0;
  let start = 0;
  for (let length = 0; (length = fs.readSync(fd, bytes)) > 0; seen += length) {
    if (seen === 0) start = performance.now();
    for (let at = 0; at < length; at += MESSAGE) sum = sum + view.getInt32(at, true) | 0;
  }
  const ns = (performance.now() - start) * 1e6 / count;
  fs.closeSync(fd);
  await sent;
  if (seen !== count * MESSAGE) throw new Error(`got ${seen} bytes`);
  return { ns, sum: sum >>> 0 };
}

/** The same as {@link giveParked} and {@link takeParked} through two pipes, whose reader sleeps. */
function giveByPipe(there: string, back: string, rounds: number): void {
  const stamp = new Float64Array(1);
  const clock = openClock();
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const to = fs.openSync(there, "w");
  const from = fs.openSync(back, "r");
  const answer = new Uint8Array(1);
  for (let i = 0; i < rounds * 2; i++) {
    if (i >= rounds) Atomics.wait(nap, 0, 0, NAP_MS);
    stamp[0] = clock();
    fs.writeSync(to, stamp);
    fs.readSync(from, answer);
  }
}

function takeByPipe(there: string, back: string, rounds: number): Result {
  const stamp = new Float64Array(1);
  const clock = openClock();
  const from = fs.openSync(there, "r");
  const to = fs.openSync(back, "w");
  const answer = new Uint8Array(1);
  const times: number[] = [];
  for (let i = 0; i < rounds * 2; i++) {
    fs.readSync(from, stamp);
    times.push(clock() - stamp[0]!);
    fs.writeSync(to, answer);
  }
  return { ns: median(times.slice(rounds)) };
}

/** One participant: its name, how often it does it, and the sum that it must have. */
interface Side {
  readonly name: string;
  readonly run: () => Promise<Result | undefined>;
  readonly sum?: number;
  /** Least or greatest ratio of its time to ours, or of ours to its. */
  readonly goal?: string;
}

/** Lets all take turns and prints the medians, and the ratio of each to the first. */
async function compare(
  question: string,
  unit: "rate" | "time",
  sides: readonly Side[],
): Promise<void> {
  const times = sides.map((): number[] => []);
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [i, side] of sides.entries()) {
      const result = (await side.run())!;
      if (side.sum !== undefined && result.sum !== side.sum) {
        throw new Error(`${side.name}: the sum is ${result.sum}, not ${side.sum}`);
      }
      times[i]!.push(result.ns);
    }
  }
  console.log(`\n${question}`);
  for (const [i, { name, goal = "" }] of sides.entries()) {
    const ns = median(times[i]!);
    const rate = unit === "rate" ? `${(1000 / ns).toFixed(2).padStart(9)} M/s` : "";
    const ratios = times[0]!.map((ours, turn) => ours / times[i]![turn]!);
    const ratio = i === 0 ? "" : `   time ours / this ${median(ratios).toFixed(3)}  ${goal}`;
    console.log(`  ${name.padEnd(34)} ${ns.toFixed(1).padStart(9)} ns${rate}${ratio}`);
  }
}

async function main(): Promise<void> {
  const pins = canPin();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mman-bench-"));
  try {
    const floor = path.join(folder, "floor");
    const source = fileURLToPath(new URL("./ring_floor.c", import.meta.url));
    const compiled = spawnSync("cc", ["-O2", "-o", floor, source]).status === 0;
    const hasPython = spawnSync("python3", ["--version"]).status === 0;
    const inC = (what: string, count: number, goal: string, sum?: number): Side[] =>
      compiled
        ? [{
          name: "C",
          goal,
          run: () =>
            run(floor, [
              what,
              String(count),
              ...(pins && what !== "throughput" ? ["pinned"] : []),
            ]),
          ...(sum === undefined ? {} : { sum }),
        }]
        : [];
    const hasPipes = spawnSync("mkfifo", ["--version"]).status === 0;
    const piped = (sides: Side[]): Side[] => hasPipes ? sides : [];
    const { throughput, latency, parked, records, python, others } = TIMES;
    const file = path.join(folder, "records");
    const recordsInC: Side = {
      name: "C",
      sum: sumOfRecords(records),
      goal: "(at most 3)",
      run: async () => {
        fs.writeFileSync(file, "");
        fs.truncateSync(file, 16 + RECORDS * RECORD + 256);
        const fd = fs.openSync(file, "r+");
        return await run(floor, ["records", String(records)], fd).finally(() => fs.closeSync(fd));
      },
    };
    await compare(`RecordRing.write of ${RECORD} bytes, ${RECORDS} records`, "rate", [
      {
        name: "RecordRing",
        sum: sumOfRecords(records),
        run: () =>
          run(process.execPath, [...ownArguments, script, "records", file, "-", String(records)]),
      },
      ...(compiled ? [recordsInC] : []),
      ...(hasPython
        ? [{
          name: "Python",
          sum: sumOfRecords(python),
          goal: "(at most 0.1)",
          run: () =>
            run("python3", ["-c", PYTHON, file, String(python), String(RECORDS), String(RECORD)]),
        }]
        : []),
    ]);
    const sum = sumBelow(throughput);
    await compare(`One to one, ${MESSAGE} bytes, two processes`, "rate", [
      {
        name: "MessageQueue",
        sum,
        run: () => together(folder, throughput, ["produce", "consume"]),
      },
      ...inC("throughput", throughput, "(at most 2)", sum),
      ...piped([{ name: "pipe", sum: sumBelow(others), run: () => byPipe(folder, others) }]),
      { name: "Unix socket", sum: sumBelow(others), run: () => bySocket(folder, others) },
    ]);
    const where = pins ? "each on a processor of its own" : "wherever the scheduler puts them";
    await compare(`One way, both sides spinning, two processes, ${where}`, "time", [
      { name: "MessageQueue", run: () => together(folder, latency, ["latency", "answer"], pins) },
      ...inC("latency", latency, "(at most 2.5)"),
    ]);
    await compare(`One way, to a parked process, ${where}`, "time", [
      {
        name: "MessageQueue",
        run: () => together(folder, parked, ["takeParked", "giveParked"], pins),
      },
      ...inC("parked", parked, "(at most 1.5)"),
      ...piped([{
        name: "pipe",
        run: () =>
          pair(["takeByPipe", "giveByPipe"], makePipes(folder, "to", "from"), parked, pins),
      }]),
    ]);
    await compare(`One to one, ${MESSAGE} bytes, two threads`, "rate", [
      { name: "MessageQueue", sum, run: () => byQueueBetweenThreads(throughput) },
      { name: "MessageChannel", sum: sumBelow(others), run: () => byMessageChannel(others) },
    ]);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

if (!isMainThread) {
  const { handle, port, count } = workerData;
  if (port === undefined) {
    using queue = MessageQueue.open({ handle });
    produce(queue, count);
  } else {
    const { message, words } = numbered();
    for (let i = 0; i < count; i++) {
      words[0] = i;
      port.postMessage(message.slice());
    }
    port.close();
  }
} else {
  const [role, there = "", back = "", count = ""] = process.argv.slice(2);
  if (role === undefined) await main();
  else if (role === "records") console.log(JSON.stringify(writeRecords(there, Number(count))));
  else if (role === "socket") sendBySocket(there, Number(count));
  else if (role === "pipe") sendByPipe(there, Number(count));
  else if (role === "giveByPipe") giveByPipe(there, back, Number(count));
  else if (role === "takeByPipe") {
    console.log(JSON.stringify(takeByPipe(there, back, Number(count))));
  } else {
    using one = MessageQueue.open({ path: there });
    using other = MessageQueue.open({ path: back });
    const result = roles[role]!(one, other, Number(count));
    if (result !== undefined) console.log(JSON.stringify(result));
  }
}
