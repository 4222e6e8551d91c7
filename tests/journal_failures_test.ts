/** A journal whose storage fails at any step gives back all that it has opened, and its lock. */
import { describe, test } from "node:test";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { MMapError } from "../mod.ts";
import { Disk } from "../src/journal/disk.ts";
import { openJournal } from "../src/journal/journal.ts";
import { Journal, type JournalOptions } from "../src/journal/mod.ts";
import type { SegmentFile, Storage } from "../src/journal/storage.ts";
import { tempDir } from "./helpers.ts";

/** Windows takes longer for files: some of the steps have to do there. */
const STRIDE = process.platform === "win32" ? 7 : 1;

class Failure extends MMapError {}

/** Calls of a storage and of its files, counted; one of them fails. */
class FailingDisk {
  /** Until the one that fails. */
  left: number;
  /** Files and locks that are open, by the calls that opened them. */
  readonly open = new Map<object, string>();
  readonly storage: Storage;

  constructor(path: string, left: number) {
    this.left = left;
    this.storage = this.#failing(new Disk(path, 0o600));
  }

  #failing<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, key) => {
        const value = target[key as keyof T];
        if (typeof value !== "function") return value;
        return (...args: unknown[]) =>
          this.#call(target, String(key), () => value.apply(target, args));
      },
    });
  }

  #call(target: object, name: string, call: () => unknown): unknown {
    const fails = this.left-- === 0;
    // What cannot be closed in order is closed all the same.
    if (name === "close") {
      call();
      this.open.delete(target);
    }
    if (fails) throw new Failure("The storage has failed");
    if (name === "close") return undefined;
    const result = call();
    if (!["open", "make", "lock"].includes(name)) return result;
    this.open.set(result as object, name);
    return this.#failing(result as SegmentFile);
  }
}

/** Uses all that a journal has. */
function use(journal: Journal): void {
  const records = journal.readFrom(0);
  try {
    records.next();
    if (journal.durability !== "none") {
      for (let i = 0; i < 8; i++) journal.append(new Uint8Array(500));
      journal.removeBefore(8);
    }
    for (const _ of records);
  } finally {
    records.return();
  }
  for (const _ of journal.readFrom(9)) break;
  journal.verify();
}

/** Opens and uses a journal whose storage fails at a step. Returns whether there was such a step. */
function failAt(step: number, options: JournalOptions): boolean {
  using dir = tempDir();
  const path = dir.file("log");
  {
    using journal = Journal.open(path, { size: 4096, durability: "none" });
    for (let i = 0; i < 10; i++) journal.append(new Uint8Array(500)); // seven in a segment
  }
  const disk = new FailingDisk(path, step);
  let error: unknown;
  const attempt = (run: () => void): void => {
    try {
      run();
    } catch (caught) {
      assert(caught instanceof Failure || (caught as MMapError).code === "EIO", `${caught}`);
      error = caught;
    }
  };
  let journal: Journal | undefined;
  attempt(() => journal = openJournal(disk.storage, path, { size: 4096, ...options }));
  if (journal !== undefined) {
    attempt(() => use(journal!));
    attempt(() => journal!.close());
  }
  assertEquals(
    [...disk.open.values()],
    [],
    `open after step ${step} of ${JSON.stringify(options)}: ${error}`,
  );
  return disk.left < 0;
}

describe("a journal whose storage fails gives everything back", () => {
  for (const mode of ["r", "r+", "a+", "w+"] as const) {
    test(`at any step, with mode ${mode}`, () => {
      const options = { mode, durability: mode === "r" ? "none" : "every" } as const;
      let steps = 0;
      while (failAt(steps, options)) steps += STRIDE;
      assert(steps > 50, `${steps} steps`);
    });
  }
});
