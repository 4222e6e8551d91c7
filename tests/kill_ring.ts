/** Kills those who use rings at random moments: producers, consumers, writers, broadcasters. */
import fs from "node:fs";
import process from "node:process";
import { MemoryMap } from "../mod.ts";
import { Broadcast, MessageQueue, RecordRing } from "../src/ring/mod.ts";
import { tempDir } from "./helpers.ts";
import { pause, type Peer, type RuntimeName, startPeer, within } from "./helpers_sync.ts";
import { readStamp } from "./stamps.ts";

/** What came of killing. */
export interface Killed {
  /** Messages or records that were seen. */
  seen: number;
  /** Of those, the ones that were not whole, came twice, or in another order. */
  broken: number;
  repeated: number;
  /** Messages that never came. */
  lost: number;
  /** Milliseconds from each death to the next message of somebody else, sorted. */
  readonly times: number[];
  /** The same without the time for which one of those who take part waited for a processor, sorted. */
  readonly ownTimes: number[];
}

/** Bytes of the queue: small, so that producers stand at its end as often as not. */
const CAPACITY = 1 << 15;
/** How long a victim lives at most. */
const MOST_MS = 15;

function fresh(): Killed {
  return { seen: 0, broken: 0, repeated: 0, lost: 0, times: [], ownTimes: [] };
}

function sortTimes({ times, ownTimes }: Killed): void {
  for (const list of [times, ownTimes]) list.sort((a, b) => a - b);
}

/** Milliseconds for which a process has waited for a processor so far; 0 where only the system knows. */
function waitedFor(pid: number): number {
  if (process.platform !== "linux") return 0;
  // Time on a processor and time that it waited for one, in nanoseconds, of its first thread.
  return Number(fs.readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6;
}

/** Starts to measure; what it returns ends that and adds the time to the result. */
function measure(result: Killed, peers: readonly Peer[]): () => void {
  const pids = [process.pid, ...peers.map((peer) => peer.pid)];
  const before = pids.map(waitedFor);
  const start = performance.now();
  return () => {
    const time = performance.now() - start;
    // Their waits overlap: the longest one is the least that the machine has cost.
    const waited = Math.max(...pids.map((pid, i) => waitedFor(pid) - before[i]!));
    result.times.push(time);
    result.ownTimes.push(Math.max(time - waited, 0));
  };
}

async function start(name: string, args: (string | number)[], runtime: RuntimeName): Promise<Peer> {
  const peer = startPeer(name, args, runtime);
  await within(60, `starting ${name}`, peer.line());
  return peer;
}

/** Kills `kills` producers, one after the other, while another one goes on, and reads here. */
export async function killProducers(
  kills: number,
  runtimes: readonly RuntimeName[],
): Promise<Killed> {
  using dir = tempDir();
  const path = dir.file("queue");
  using queue = MessageQueue.create({ path }, { capacity: CAPACITY });
  const result = fresh();
  const next = new Map<number, number>();
  let last = -1;
  const read = (): number =>
    queue.read((bytes) => {
      const found = readStamp(bytes);
      result.seen++;
      if (found === undefined) return void result.broken++;
      const { sender, number } = found;
      const expected = next.get(sender) ?? 0;
      if (number < expected) result.repeated++;
      else result.lost += number - expected;
      next.set(sender, number + 1);
      last = sender;
    });
  /** Reads for some time; the event loop gets its turns. */
  const readFor = async (milliseconds: number): Promise<void> => {
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
      for (let i = 0; i < 20; i++) read();
      await pause(0);
    }
  };
  const survivor = await start("ring_producer.ts", [path, 0], runtimes[0]!);
  let coming = start("ring_producer.ts", [path, 1], runtimes[0]!);
  for (let kill = 1; kill <= kills; kill++) {
    let victim: Peer | undefined;
    void coming.then((peer) => victim = peer);
    while (victim === undefined) await readFor(1);
    if (kill < kills) {
      const runtime = runtimes[kill % runtimes.length]!;
      coming = start("ring_producer.ts", [path, kill + 1], runtime);
    }
    await readFor(Math.random() * MOST_MS);
    const measured = measure(result, [survivor, victim]);
    victim.kill();
    // Whatever it had completed comes first; the survivor's next message shows that the queue moves.
    const end = performance.now() + 10_000;
    last = -1;
    while (last !== 0 && performance.now() < end) read();
    measured(); // the victim is not waited for yet: /proc still has it
    await victim[Symbol.asyncDispose]();
  }
  await survivor[Symbol.asyncDispose]();
  await readFor(50);
  sortTimes(result);
  return result;
}

/** Kills `kills` consumers, one after the other, each followed by another. */
export async function killConsumers(
  kills: number,
  runtimes: readonly RuntimeName[],
): Promise<Killed> {
  using dir = tempDir();
  const path = dir.file("queue");
  MessageQueue.create({ path }, { capacity: CAPACITY }).close();
  const file = dir.file("accounts", new Uint8Array(4096));
  using map = MemoryMap.open(file, { mode: "r+" });
  const accounts = map.asTypedArray(Int32Array);
  const read = () => accounts[3]! + accounts[4]!;
  const result = fresh();
  const producers = await Promise.all(
    [0, 1].map((sender) =>
      start("ring_producer.ts", [path, sender], runtimes[sender % runtimes.length]!)
    ),
  );
  for (let kill = 0; kill < kills; kill++) {
    const victim = await start("ring_consumer.ts", [path, file], runtimes[kill % runtimes.length]!);
    const before = read();
    const measured = measure(result, [victim, ...producers]);
    const end = performance.now() + 10_000;
    while (read() === before && performance.now() < end) Atomics.load(accounts, 0);
    measured();
    await pause(Math.random() * MOST_MS);
    victim.kill();
    await victim.ended();
  }
  for (const producer of producers) await producer[Symbol.asyncDispose]();
  result.seen = read();
  [result.broken = 0, result.repeated = 0, result.lost = 0] = accounts;
  sortTimes(result);
  return result;
}

/** Kills `kills` writers of a ring of records, each followed by another. */
export async function killWriters(
  kills: number,
  runtimes: readonly RuntimeName[],
): Promise<Killed> {
  using dir = tempDir();
  const file = dir.file("ring");
  RecordRing.create(file, { capacity: 50, recordSize: 300 }).close();
  using ring = RecordRing.open(file);
  const result = fresh();
  let next = 0;
  for (let kill = 0; kill < kills; kill++) {
    const measured = measure(result, []);
    const writer = await start("ring_writer.ts", [file, next], runtimes[kill % runtimes.length]!);
    measured();
    const end = performance.now() + Math.random() * MOST_MS;
    let last = -1;
    const look = (): void => {
      last = -1;
      for (const record of ring) {
        const found = readStamp(record);
        result.seen++;
        if (found === undefined) result.broken++;
        else if (found.number <= last) result.repeated++;
        last = found?.number ?? last;
      }
    };
    while (performance.now() < end) look();
    writer.kill();
    await writer.ended();
    look();
    // Whole up to the newest, without a gap: at most the one in hand is missing.
    const numbers = [...ring].map((record) => readStamp(record)?.number ?? -1);
    result.lost += numbers.filter((number, i) => i > 0 && number !== numbers[i - 1]! + 1).length;
    if (numbers.length < Math.min(last + 1, 49)) result.lost++;
    next = last + 1;
  }
  sortTimes(result);
  return result;
}

/** Kills `kills` producers of a Broadcast, each followed by another; a reader here is told what it missed. */
export async function killBroadcasters(
  kills: number,
  runtimes: readonly RuntimeName[],
): Promise<Killed> {
  using dir = tempDir();
  const path = dir.file("ring");
  using ring = Broadcast.create({ path }, { capacity: CAPACITY });
  const reader = ring.reader();
  const result = fresh();
  let last = { sender: -1, number: -1 };
  const read = (): number =>
    reader.read((bytes, _, missed) => {
      const found = readStamp(bytes);
      result.seen++;
      if (found === undefined) return void result.broken++;
      if (found.sender < last.sender) result.repeated++;
      else if (found.sender === last.sender) {
        if (found.number <= last.number) result.repeated++;
        // What is missing must have been told, and no more than that.
        else if (found.number !== last.number + 1 + missed) result.lost++;
      }
      last = found;
    });
  for (let kill = 0; kill < kills; kill++) {
    const runtime = runtimes[kill % runtimes.length]!;
    const victim = await start("ring_broadcaster.ts", [path, kill], runtime);
    const measured = measure(result, [victim]);
    const latest = performance.now() + 10_000;
    while (last.sender !== kill && performance.now() < latest) read();
    measured();
    const end = performance.now() + Math.random() * MOST_MS;
    while (performance.now() < end) read();
    victim.kill();
    await victim.ended();
    read();
  }
  sortTimes(result);
  return result;
}
