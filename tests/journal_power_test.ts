/**
 * A journal that loses power at any store, flush or change of a name. Whatever of the pages that were
 * not flushed is found then: recovery gives a prefix of what was appended, with everything that was
 * acknowledged, and goes on.
 */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { MMapError } from "../mod.ts";
import { type Journal, openJournal } from "../src/journal/journal.ts";
import type { Durability } from "../src/journal/mod.ts";
import { pattern, random } from "./helpers.ts";
import { type Choice, SimulatedDisk } from "./simulated_disk.ts";

/** Up to so many uncertain pages, all combinations of old and new are tried. */
const FEW = 5;

/** What was appended, what was acknowledged, what was taken away. */
interface History {
  readonly records: Uint8Array[];
  acknowledged: number;
  /** Records before it may be missing. */
  removed: number;
}

function open(disk: SimulatedDisk, durability: Durability, size: number = 8192): Journal {
  return openJournal(disk, "simulated", {
    mode: "a+",
    size,
    durability,
    batchMs: 60_000,
    batchBytes: 3000,
  });
}

function isSame(bytes: Uint8Array, expected: Uint8Array): boolean {
  if (bytes.length !== expected.length) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== expected[i]) return false;
  return true;
}

/** Opens what is left, compares it with what must be there. */
function checkRecovered(disk: SimulatedDisk, history: History): Journal {
  const journal = open(disk, "every");
  const { firstSequence, nextSequence } = journal;
  assert(
    nextSequence >= history.acknowledged,
    `${history.acknowledged} records were acknowledged, ${nextSequence} are left`,
  );
  assert(nextSequence <= history.records.length, `${nextSequence} records were not appended`);
  assert(firstSequence <= history.removed, `${firstSequence} records were not removed`);
  let sequence = firstSequence;
  for (const record of journal.readFrom(0)) {
    assertEquals(record.sequence, sequence);
    assert(isSame(record.bytes, history.records[sequence]!), `record ${sequence}`);
    sequence++;
  }
  assertEquals(sequence, nextSequence);
  const report = journal.verify();
  assertEquals(report.damage, undefined);
  return journal;
}

/** Appends and the like, at random; `history` is up to date whenever something happens on the disk. */
function work(
  journal: Journal,
  history: History,
  steps: number,
  next: () => number,
  largest: number,
  appended: () => void = () => {},
): void {
  for (let i = 0; i < steps; i++) {
    const what = next();
    if (what < 0.04) journal.sync();
    else if (what < 0.08) {
      const sequence = Math.floor(next() * (history.records.length + 1));
      history.removed = Math.max(history.removed, sequence);
      journal.removeBefore(sequence);
    } else {
      const length = Math.floor(next() ** 3 * largest);
      const bytes = pattern(length, Math.floor(next() * 2 ** 31));
      history.records.push(bytes);
      journal.append(bytes);
      appended();
    }
    history.acknowledged = Math.max(history.acknowledged, journal.durableSequence);
  }
}

/**
 * Several processes, one after the other, that work on a disk until they are killed or power fails, within
 * recovery too. The last of them shows what is left.
 */
function live(durability: Durability, next: () => number, lives: number): void {
  const over = new Error("The end of this life");
  let disk = new SimulatedDisk();
  let history: History = { records: [], acknowledged: 0, removed: 0 };
  /** Records that a killed process leaves behind: those whose append() has returned. */
  let appended = 0;
  for (let life = 0; life < lives; life++) {
    let steps = Math.floor(next() ** 2 * 400);
    const killed = next() < 0.5;
    let left: SimulatedDisk | undefined;
    disk.happened = () => {
      if (steps-- > 0) return;
      left ??= killed ? disk : disk.afterPowerLoss((contents) => Math.floor(next() * contents));
      throw over;
    };
    try {
      const journal = open(disk, durability);
      history.records.length = journal.nextSequence; // the rest is lost for good
      history.acknowledged = appended = journal.durableSequence; // recovery flushes what it keeps
      work(journal, history, 60, next, 700, () => appended++);
      journal.close();
    } catch (error) {
      if (error !== over) throw error;
    }
    if (left === undefined) disk.afterKill();
    else if (killed) {
      disk.afterKill();
      // What was returned from is there, whatever the durability.
      const copy = disk.afterPowerLoss((contents) => contents - 1);
      checkRecovered(copy, { ...history, acknowledged: appended }).close();
    } else {
      disk = left;
      appended = history.acknowledged;
      const copy = disk.afterPowerLoss(() => 0);
      if (copy.list().length === 0) assertEquals(history.acknowledged, 0);
      else checkRecovered(copy, history).close();
    }
    history = { ...history, records: [...history.records] };
  }
}

/** All ways to choose old or new for so many pages, as choices; or random ones of any content. */
function* choices(uncertain: number, otherwise: number, next: () => number): Generator<Choice> {
  if (uncertain <= FEW) {
    for (let bits = 0; bits < 2 ** uncertain; bits++) {
      let at = 0;
      yield (contents) => bits >>> at++ & 1 ? contents - 1 : 0;
    }
  } else {
    for (let i = 0; i < otherwise; i++) {
      // Half of them old or new, half of them anything in between, too.
      yield i % 2 === 0
        ? (contents) => next() < 0.5 ? 0 : contents - 1
        : (contents) => Math.floor(next() * contents);
    }
  }
}

const durabilities: readonly Durability[] = ["every", "batch", "none"];
/** Small segments roll often, large ones have many pages that are not flushed. */
const cases = durabilities.flatMap((durability) =>
  [8192, 1 << 16].map((size) => [durability, size] as const)
);

describe("Journal after a loss of power", () => {
  for (const [durability, size] of cases) {
    test(`has what was acknowledged, at every step, ${durability}, segments of ${size}`, () => {
      const next = random(durability.length);
      const history: History = { records: [], acknowledged: 0, removed: 0 };
      const disk = new SimulatedDisk();
      let points = 0;
      let states = 0;
      disk.happened = () => {
        points++;
        for (const choose of choices(disk.uncertain, 6, next)) {
          states++;
          const left = disk.afterPowerLoss(choose);
          if (left.list().length === 0) assertEquals(history.acknowledged, 0);
          else checkRecovered(left, history).close();
        }
      };
      work(open(disk, durability, size), history, 100, next, 1500);
      assert(points > 700, `${points} steps`);
      assert(states > 2 * points, `${states} states`);
    });
  }

  for (const durability of durabilities) {
    test(`goes on, is killed and loses power again and again, durability "${durability}"`, () => {
      const next = random(77 + durability.length);
      for (let run = 0; run < 60; run++) live(durability, next, 8);
    });
  }

  test("is the old one or the new one, or refused, when another takes its place", () => {
    const next = random(9);
    const old: History = { records: [], acknowledged: 0, removed: 0 };
    const make = (): SimulatedDisk => {
      const disk = new SimulatedDisk();
      const journal = open(disk, "every");
      for (let i = 0; i < 12; i++) journal.append(old.records[i] ??= pattern(2000, i));
      journal.close();
      return disk;
    };
    const seen = { old: 0, none: 0, refused: 0 };
    const disk = make();
    assertEquals(disk.list().length, 4);
    disk.happened = () => {
      for (const choose of choices(disk.uncertain, 20, next)) {
        const left = disk.afterPowerLoss(choose);
        let records = -1;
        try {
          using journal = open(left, "every");
          records = journal.nextSequence;
          for (const { sequence, bytes } of journal.readFrom(0)) {
            assertEquals(bytes, old.records[sequence]);
          }
        } catch (error) {
          assert(error instanceof MMapError && error.message.includes("is missing"), String(error));
          seen.refused++;
          continue;
        }
        records === 0 ? seen.none++ : seen.old++;
      }
    };
    openJournal(disk, "simulated", { mode: "w+", size: 4096 }).close();
    disk.happened = () => {};
    assertEquals(disk.list(), [0]);
    assert(seen.old > 0 && seen.none > 0 && seen.refused > 0, JSON.stringify(seen));
  });

  test("is a prefix in 10,000 states of many pages, old or new", () => {
    const next = random(5);
    const history: History = { records: [], acknowledged: 0, removed: 0 };
    const disk = new SimulatedDisk();
    const journal = openJournal(disk, "simulated", { size: 1 << 17, durability: "none" });
    for (let i = 0; i < 40; i++) {
      history.records.push(pattern(Math.floor(next() * 5000), i));
      journal.append(history.records.at(-1)!);
      if (i === 12) journal.sync();
    }
    history.acknowledged = journal.durableSequence;
    assertEquals(history.acknowledged, 13);
    assert(disk.uncertain >= 16, `${disk.uncertain} pages`);
    const ends = new Set<number>();
    for (let state = 0; state < 10_000; state++) {
      // Mostly new, so that ends of all kinds occur.
      const part = 0.5 + next() / 2;
      const left = disk.afterPowerLoss((contents) => next() < part ? contents - 1 : 0);
      const recovered = openJournal(left, "simulated", { mode: "r+" });
      ends.add(recovered.nextSequence);
      assert(recovered.nextSequence >= 13 && recovered.nextSequence <= 40);
      let sequence = 0;
      for (const { bytes } of recovered.readFrom(0)) {
        assert(isSame(bytes, history.records[sequence]!), `record ${sequence}`);
        sequence++;
      }
      assertEquals(sequence, recovered.nextSequence);
    }
    assert(ends.size > 10, `only ${ends.size} different ends`);
  });
});
