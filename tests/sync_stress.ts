/**
 * Locks and waiting under stress: many who take turns, count, keep step or share permits, and what came of
 * it. Used by tests with small numbers, and by `tests/soak/sync.ts`. Nobody hangs: each is bounded in time.
 */
import { assertEquals } from "@std/assert";
import { type RuntimeName, sharedFile, startPeer, startThread, within } from "./helpers_sync.ts";

/** Where the fixtures have the words that a lock at offset 0 guards. */
const WORDS = 8192;
/** Whoever is parked stays so until it is woken: a lost wake-up is a hang. */
const PATIENT = { SYNC_PATIENT: "1" };
export const SECONDS = 100;

/** Who runs a fixture: a process of a runtime, or a thread of this process. */
export type Party = RuntimeName | "thread";

/** Starts one fixture per party, with the party's number after `args`, and gives what each reports. */
async function runAll<T>(
  fixture: string,
  parties: readonly Party[],
  argumentsOf: (party: Party, index: number) => readonly (string | number)[],
  seconds: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<T[]> {
  const started = parties.map((party, i) => {
    const args = argumentsOf(party, i);
    if (party === "thread") {
      const thread = startThread(fixture, args.map(String));
      return { report: () => thread.message<T>(), end: () => thread[Symbol.asyncDispose]() };
    }
    const name = party === "python" ? fixture.replace(/\.ts$/, ".py") : fixture;
    const peer = startPeer(name, args, party, environment);
    return {
      report: async () => JSON.parse(await peer.line()) as T,
      end: () => peer[Symbol.asyncDispose](),
    };
  });
  try {
    const reports = Promise.all(started.map(({ report }) => report()));
    return await within(seconds, `${fixture} of ${parties.join(", ")}`, reports);
  } finally {
    await Promise.all(started.map(({ end }) => end()));
  }
}

/** Two take turns at adding to a word and wait for each other; patient ones, if they are processes. */
export async function takeTurns(
  how: "change" | "changeAsync" | "event",
  turns: number,
  parties: readonly [Party, Party],
  seconds: number = SECONDS,
): Promise<void> {
  using file = sharedFile();
  const reports = await runAll<string>(
    "sync_turns.ts",
    parties,
    (_, i) => [file.path, turns, i, how],
    seconds,
    PATIENT,
  );
  assertEquals(reports, ["done", "done"]);
  assertEquals(file.map.asTypedArray(Int32Array, 0, 1)[0], turns);
}

/** One that counts: who, how often, and in which form it waits. */
export type Counting = readonly [party: Party, times: number, form: "sync" | "async"];

/** Counts under a lock, and checks the total, and that nobody was in between. */
export async function count(
  kind: string,
  counting: readonly Counting[],
  seconds: number = SECONDS,
  environment: Readonly<Record<string, string>> = PATIENT,
): Promise<void> {
  using file = sharedFile();
  // Python cannot add to the number of those who are ready: it waits for the others.
  const scripts = counting.filter(([party]) => party !== "python").length;
  const reports = await runAll<{ wrong: number }>(
    "sync_count.ts",
    counting.map(([party]) => party),
    (party, i) => {
      const [, times, form] = counting[i]!;
      return [file.path, kind, times, form, party === "python" ? scripts + 1 : scripts];
    },
    seconds,
    environment,
  );
  assertEquals(reports.map(({ wrong }) => wrong), counting.map(() => 0));
  const total = counting.reduce((sum, [, times]) => sum + times, 0);
  assertEquals([...file.map.asTypedArray(Int32Array, WORDS, 2)], [total, total]);
}

/** Keeps parties in step by a barrier, and checks that nobody was ahead. */
export async function keepStep(
  phases: number,
  parties: readonly Party[],
  seconds: number = SECONDS,
): Promise<void> {
  using file = sharedFile();
  const wrong = await runAll<number>(
    "sync_steps.ts",
    parties,
    (_, i) => [file.path, parties.length, phases, i],
    seconds,
    PATIENT,
  );
  assertEquals(wrong, parties.map(() => 0));
}

/** Shares permits, and checks that there were never too many inside, and all of them sometimes. */
export async function sharePermits(
  permits: number,
  times: number,
  parties: readonly Party[],
  seconds: number = SECONDS,
): Promise<void> {
  using file = sharedFile();
  const reports = await runAll<{ wrong: number; most: number }>(
    "sync_permits.ts",
    parties,
    () => [file.path, permits, times, parties.length],
    seconds,
    PATIENT,
  );
  assertEquals(reports.map(({ wrong }) => wrong), parties.map(() => 0));
  assertEquals(Math.max(...reports.map(({ most }) => most)), permits);
  assertEquals(file.map.asTypedArray(Int32Array, WORDS, 1)[0], 0);
}
