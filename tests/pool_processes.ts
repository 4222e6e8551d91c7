/**
 * Processes on one pool: some that allocate and free, and count; some that are killed. Used by a test, with
 * small numbers, and by `tests/soak/pool.ts`.
 */
import { MemoryPool, type PoolProblem } from "../src/pool/mod.ts";
import { pause, type Peer, type RuntimeName, sharedFile, startPeer } from "./helpers_sync.ts";

const BLOCK_SIZE = 64;
const FILE_SIZE = 1 << 16;
/** So small that four processes often find it full. */
const CROWDED_SIZE = 10_240;

/** What came of processes that shared a pool. */
export interface Together {
  readonly allocations: number;
  readonly refused: number;
  /** Blocks whose bytes somebody else had changed. */
  readonly overwritten: number;
  /** Blocks that the processes say they have, and that the pool says are used. */
  readonly held: number;
  readonly used: number;
  /** Blocks used after the processes have ended and `recover()`, and what is wrong then. */
  readonly left: number;
  readonly problems: readonly PoolProblem[];
}

/** Lets one process for each entry work on a pool. */
export async function workTogether(
  runtimes: readonly RuntimeName[],
  milliseconds: number,
): Promise<Together> {
  using file = sharedFile(CROWDED_SIZE);
  const pool = new MemoryPool(file.map, { blockSize: BLOCK_SIZE });
  const members = runtimes.map((runtime) =>
    startPeer("pool_member.ts", [file.path, BLOCK_SIZE, milliseconds], runtime)
  );
  try {
    await Promise.all(members.map((member) => member.line()));
    await Promise.all(members.map((member) => member.tell("go")));
    const totals = await Promise.all(
      members.map(async (member) => JSON.parse(await member.line())),
    );
    const sum = (key: string): number => totals.reduce((all, total) => all + total[key], 0);
    const used = pool.stats().used / BLOCK_SIZE;
    for (const member of members) member.kill();
    await Promise.all(members.map((member) => member.ended()));
    pool.recover();
    return {
      allocations: sum("allocations"),
      refused: sum("refused"),
      overwritten: sum("overwritten"),
      held: sum("blocks"),
      used,
      left: pool.stats().used / BLOCK_SIZE,
      problems: pool.verify(),
    };
  } finally {
    for (const member of members) await member[Symbol.asyncDispose]();
  }
}

/** What came of killing processes that allocated and freed. */
export interface KilledInPool {
  /** Blocks that were given back. */
  readonly recovered: number;
  /** Blocks that were used once all were dead and given back, but for ours, summed up. */
  readonly left: number;
  /** Blocks of ours whose bytes have changed. */
  readonly overwritten: number;
  readonly problems: readonly PoolProblem[];
}

/** Processes that run, and are killed, together. */
const BATCH = 8;

/** Kills that many processes in the middle, in turns of the runtimes. */
export async function killInPool(
  kills: number,
  runtimes: readonly RuntimeName[],
): Promise<KilledInPool> {
  using file = sharedFile(FILE_SIZE);
  const pool = new MemoryPool(file.map, { blockSize: BLOCK_SIZE });
  const ours = Array.from({ length: 10 }, (_, i) => pool.allocate((i + 1) * 50));
  ours.forEach((block, i) => block.bytes.fill(i + 1));
  const before = pool.stats().used;
  const problems: PoolProblem[] = [];
  let recovered = 0;
  let left = 0;
  for (let done = 0; done < kills; done += BATCH) {
    const victims: Peer[] = [];
    try {
      for (let i = done; i < Math.min(done + BATCH, kills); i++) {
        const runtime = runtimes[i % runtimes.length];
        victims.push(startPeer("pool_victim.ts", [file.path, BLOCK_SIZE], runtime));
      }
      await Promise.all(victims.map((victim) => victim.line()));
      await Promise.all(victims.map((victim) => victim.tell("go")));
      for (const victim of victims) {
        await pause(Math.random() * 10);
        victim.kill();
        await victim.ended();
        recovered += pool.recover() / BLOCK_SIZE; // while the others go on
      }
      left += (pool.stats().used - before) / BLOCK_SIZE;
      problems.push(...pool.verify());
    } finally {
      for (const victim of victims) await victim[Symbol.asyncDispose]();
    }
  }
  const overwritten = ours.filter(({ bytes }, i) => bytes.some((byte) => byte !== i + 1)).length;
  return { recovered, left, overwritten, problems };
}
