/**
 * Kills writers of journals at random moments and looks at what they leave behind. Used by a test, with few
 * kills, and by `tests/soak/journal.ts`.
 */
import { assert } from "@std/assert";
import { type Durability, Journal } from "../src/journal/mod.ts";
import { tempDir } from "./helpers.ts";
import { pause, type Peer, type RuntimeName, sharedFile, startPeer } from "./helpers_sync.ts";
import { isRecordOf, recordOf } from "./journal_records.ts";

/** What came of it. */
export interface KilledWriters {
  /** Records that were acknowledged, over all. */
  readonly acknowledged: number;
  /** How often something torn was dropped. */
  readonly torn: number;
  /** How often there was a record that had not been acknowledged yet. */
  readonly ahead: number;
}

/** Writers that are started together, each with a journal of its own. */
const BATCH = 8;

/**
 * Kills that many writers, in turns of the runtimes.
 *
 * @throws {Error} If a record is missing that was acknowledged, or one is not what was appended.
 */
export async function killWriters(
  durability: Durability,
  kills: number,
  runtimes: readonly RuntimeName[],
): Promise<KilledWriters> {
  using dir = tempDir();
  const shared = Array.from({ length: Math.min(BATCH, kills) }, () => sharedFile(4096));
  let acknowledged = 0;
  let torn = 0;
  let ahead = 0;
  const victims: Peer[] = [];
  try {
    for (let i = 0; i < kills; i++) {
      const slot = i % BATCH;
      if (victims.length === 0) {
        for (let j = i; j < Math.min(i + BATCH, kills); j++) {
          const args = [dir.file(`journal${j % BATCH}`), shared[j % BATCH]!.path, durability];
          victims.push(startPeer("journal_victim.ts", args, runtimes[j % runtimes.length]));
        }
        await Promise.all(victims.map((victim) => victim.line()));
      }
      {
        await using victim = victims.shift()!;
        await victim.tell("go");
        await pause(Math.random() ** 2 * 60);
        victim.kill();
      }
      const count = shared[slot]!.map.asTypedArray(Int32Array, 0, 1);
      const result = check(dir.file(`journal${slot}`), Atomics.load(count, 0));
      acknowledged += result.acknowledged;
      torn += result.torn ? 1 : 0;
      ahead += result.ahead ? 1 : 0;
      Atomics.store(count, 0, result.next);
    }
  } finally {
    await Promise.all(victims.map((victim) => victim[Symbol.asyncDispose]()));
    for (const file of shared) file[Symbol.dispose]();
  }
  return { acknowledged, torn, ahead };
}

/** Recovers a journal, reads all of it, and leaves another record. */
function check(path: string, acknowledged: number) {
  using journal = Journal.open(path, { size: 1 << 16 });
  const { firstSequence, nextSequence } = journal;
  assert(
    nextSequence >= acknowledged,
    `${acknowledged} records were acknowledged, ${nextSequence} are left`,
  );
  let sequence = firstSequence;
  for (const record of journal.readFrom(0)) {
    assert(record.sequence === sequence, `${record.sequence} came instead of ${sequence}`);
    assert(isRecordOf(sequence, record.bytes), `Record ${sequence} is not what was appended`);
    sequence++;
  }
  assert(sequence === nextSequence, `${nextSequence - sequence} records could not be read`);
  const report = journal.verify();
  assert(report.ok, JSON.stringify(report));
  journal.append(recordOf(nextSequence));
  return {
    next: nextSequence + 1,
    acknowledged: acknowledged - firstSequence,
    torn: journal.recovered.droppedBytes > 0,
    ahead: nextSequence > acknowledged,
  };
}
