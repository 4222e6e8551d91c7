/**
 * Kills holders of a lock at random moments and measures how long it takes until the next one has the lock.
 * Used by a test, with few kills, and by `tests/soak/sync.ts`.
 */
import { type LockOutcome, Mutex, RwLock, Semaphore } from "../src/sync/mod.ts";
import type { MemoryMap } from "../mod.ts";
import { pause, type Peer, type RuntimeName, sharedFile, startPeer } from "./helpers_sync.ts";

/** What came of it. */
export interface Killed {
  /** Milliseconds from each kill until the lock was taken again, ascending. */
  readonly times: readonly number[];
  /** How often the next one was told that the holder had died. */
  readonly recovered: number;
  /** How often the guarded words differed though nobody was said to have died. */
  readonly torn: number;
}

/** What victims hold. */
export type Holding = "mutex" | "read" | "write" | "semaphore";

/** Nobody may wait longer. */
const HANG_MS = 10_000;
/** Victims that are started together: starting more would keep the processors busy during kills. */
const BATCH = 8;
const WORDS = 8192;

/** Who wants to read waits for nobody but writers: there, the next one writes. */
function nextOf(map: MemoryMap, kind: Holding): { take(): LockOutcome; give(): void } {
  if (kind === "semaphore") {
    const semaphore = new Semaphore(map, 0, 1);
    return { take: () => semaphore.acquire(HANG_MS), give: () => semaphore.release() };
  }
  const lock = kind === "mutex" ? new Mutex(map) : new RwLock(map).write;
  return { take: () => lock.lock(HANG_MS), give: () => lock.unlock() };
}

/** Kills that many holders, in turns of the runtimes. */
export async function killHolders(
  kind: Holding,
  kills: number,
  runtimes: readonly RuntimeName[],
): Promise<Killed> {
  using file = sharedFile();
  const words = file.map.asTypedArray(Int32Array, WORDS, 2);
  const next = nextOf(file.map, kind);
  const times: number[] = [];
  let recovered = 0;
  let torn = 0;
  const victims: Peer[] = [];
  try {
    for (let i = 0; i < kills; i++) {
      if (victims.length === 0) {
        for (let j = i; j < Math.min(i + BATCH, kills); j++) {
          const runtime = runtimes[j % runtimes.length];
          victims.push(startPeer("sync_victim.ts", [file.path, kind, WORDS], runtime));
        }
        await Promise.all(victims.map((victim) => victim.line()));
      }
      await using victim = victims.shift()!;
      await victim.tell("go");
      await pause(2 + Math.random() * 10);
      const killed = performance.now();
      victim.kill();
      const outcome = next.take();
      times.push(performance.now() - killed);
      if (outcome === "timeout") throw new Error(`Hung for ${HANG_MS} ms after a kill`);
      if (outcome === "recovered") recovered++;
      else if (words[0] !== words[1]) torn++;
      words[0] = words[1]!; // what the dead one had begun is undone
      next.give();
    }
  } finally {
    await Promise.all(victims.map((victim) => victim[Symbol.asyncDispose]()));
  }
  return { times: times.toSorted((a, b) => a - b), recovered, torn };
}
