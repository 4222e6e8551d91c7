/**
 * RwLock step by step: at every single access to its memory a thread dies, or others come in between. A
 * thread that stops there has left exactly what a killed process leaves.
 */
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { replaceSyncPlatform, syncPlatform } from "../src/ffi/host_sync.ts";
import type { SyncPlatform } from "../src/ffi/sync_platform.ts";
import { MemoryMap } from "../mod.ts";
import {
  GATE_OFFSET,
  KIND_RW_LOCK,
  MARKS_OFFSET,
  READER_LENGTH,
  READERS,
  READERS_OFFSET,
  RW_LOCK_LENGTH,
} from "../src/sync/layout.ts";
import { LockMemory } from "../src/sync/memory.ts";
import { RwLock } from "../src/sync/mod.ts";
import { sharedFile, skipWithoutSync } from "./helpers_sync.ts";

/** What a thread that is killed throws, so that its program goes no further. */
class Death extends Error {}

/** Called before each access of whoever runs by steps. */
let beforeStep: (() => void) | undefined;

/** What is called before a step takes none itself. */
function step(): void {
  const before = beforeStep;
  beforeStep = undefined;
  try {
    before?.();
  } finally {
    beforeStep = before;
  }
}

/** Words whose accesses are steps, by what stands for them. */
const targets = new WeakMap<object, Int32Array>();

function stepwise(words: Int32Array): Int32Array {
  const isIndex = (key: string | symbol): boolean => typeof key === "string" && /^\d+$/.test(key);
  const proxy = new Proxy(words, {
    get(target, key): unknown {
      if (isIndex(key)) step();
      return Reflect.get(target, key, target);
    },
    set(target, key, value): boolean {
      step();
      return Reflect.set(target, key, value, target);
    },
  });
  targets.set(proxy, words);
  return proxy;
}

const operations = ["load", "store", "compareExchange", "exchange", "or", "and", "add"] as const;
type Operation = (words: object, ...rest: unknown[]) => unknown;

/** Makes all atomic operations steps, too; gives what undoes that. */
function makeSteps(): () => void {
  const atomics = Atomics as unknown as Record<string, Operation>;
  const real = Object.fromEntries(operations.map((name) => [name, atomics[name]!]));
  for (const name of operations) {
    atomics[name] = (words, ...rest) => {
      step();
      return real[name]!(targets.get(words) ?? words, ...rest);
    };
  }
  return () => void Object.assign(atomics, real);
}

/** Runs a program and calls `other` before its step of that number; whether it came so far. */
function interrupt(at: number, other: () => void, program: () => void): boolean {
  const outer = beforeStep;
  let made = 0;
  beforeStep = () => {
    if (made++ === at) other();
  };
  try {
    program();
  } finally {
    beforeStep = outer;
  }
  return made > at;
}

/** A thread of its own, as the others see it. */
interface Party {
  readonly number: number;
  readonly map: MemoryMap;
  readonly platform: SyncPlatform;
}

/** Threads that nobody but the test knows, and a place for many locks. */
class World implements Disposable {
  readonly dead = new Set<number>();
  readonly #file = sharedFile(1 << 26);
  readonly #real = syncPlatform()!;
  readonly #parties: Party[] = [];
  readonly #undoSteps = makeSteps();
  #at = 0;

  constructor(count: number) {
    const { ownership: _, waitForAny: __, ...rest } = this.#real;
    for (let number = 101; number < 101 + count; number++) {
      const map = MemoryMap.open(this.#file.path, { mode: "r+" });
      const platform: SyncPlatform = {
        ...rest,
        self: { ...rest.self, number, identity: number },
        wait: () => {},
        lookAfter: (other) => this.dead.has(other) ? "dead" : "alive",
      };
      this.#parties.push({ number, map, platform });
    }
  }

  /** A new lock, as each of the threads has it. */
  lock(marks: number): RwLock[] {
    this.dead.clear();
    const at = this.#at;
    this.#at += RW_LOCK_LENGTH;
    const locks = this.#parties.map(({ map, platform }) => {
      replaceSyncPlatform(platform);
      const lock = new RwLock(map, at);
      const memory = LockMemory.at(map, at, RW_LOCK_LENGTH, KIND_RW_LOCK, 0);
      memory.words = stepwise(memory.words);
      return lock;
    });
    replaceSyncPlatform(this.#real);
    this.words(MARKS_OFFSET, 2).fill(marks);
    return locks;
  }

  /** Words of the lock that was made last. */
  words(offset: number, count: number): Int32Array {
    return this.#file.map.asTypedArray(Int32Array, this.#at - RW_LOCK_LENGTH + offset, count);
  }

  /**
   * Runs a thread until its step of that number, at which it dies; whether it came so far.
   *
   * @param each Called before each step.
   */
  kill(index: number, at: number, program: () => void, each?: (step: number) => void): boolean {
    const outer = beforeStep;
    let made = 0;
    beforeStep = () => {
      each?.(made);
      // At all later ones, too: the dead run no `finally`.
      if (made++ >= at) throw new Death();
    };
    try {
      program();
      return false;
    } catch (error) {
      if (!(error instanceof Death)) throw error;
      this.dead.add(this.#parties[index]!.number);
      return true;
    } finally {
      beforeStep = outer;
    }
  }

  [Symbol.dispose](): void {
    replaceSyncPlatform(this.#real);
    for (const { map } of this.#parties) map.close();
    this.#undoSteps();
    this.#file[Symbol.dispose]();
  }
}

/** Takes and gives, if it can be had at once. */
function once(side: RwLock["read"]): void {
  if (side.lock(0) !== "timeout") side.unlock();
}

/** Checks that two threads read together and write alone. */
function checkWhole(first: RwLock, second: RwLock, where: string): void {
  assert(first.write.lock(1000) !== "timeout", `${where}: no writer gets in`);
  assertEquals(second.read.tryLock(), false, `${where}: a reader beside a writer`);
  assertEquals(second.write.tryLock(), false, `${where}: two writers`);
  first.write.unlock();
  for (const [one, other] of [[first, second], [second, first]] as const) {
    assertEquals(one.read.lock(0), "acquired", where);
    assertEquals(other.read.tryLock(), true, where);
    other.read.unlock();
    assertEquals(other.write.tryLock(), false, `${where}: a writer beside a reader`);
    one.read.unlock();
  }
}

/** Marks as a new lock has them, and as one has that many threads have used, or a dead writer. */
const someMarks = [0, -1] as const;

const programs: Readonly<Record<string, (lock: RwLock) => void>> = {
  "reads": ({ read }) => once(read),
  "tries to read": ({ read }) => read.tryLock() && read.unlock(),
  "writes": ({ write }) => once(write),
  "tries to write": ({ write }) => write.tryLock() && write.unlock(),
};

const situations: Readonly<Record<string, (world: World, other: RwLock) => void>> = {
  "a lock that nobody has": () => {},
  "a lock whose writer died": (world, { write }) => {
    write.lock();
    world.dead.add(104);
  },
  "a lock whose reader died": (world, { read }) => {
    read.lock();
    world.dead.add(104);
  },
  "a lock all of whose readers died": (world) => {
    for (let i = 0; i < READERS; i++) {
      world.words(READERS_OFFSET + i * READER_LENGTH, 2).fill(104);
    }
    world.dead.add(104);
  },
};

describe("RwLock by steps", { skip: skipWithoutSync }, () => {
  for (const [where, prepare] of Object.entries(situations)) {
    for (const [what, program] of Object.entries(programs)) {
      test(`is whole after a thread that ${what} died at any step, with ${where}`, () => {
        using world = new World(4);
        for (const marks of someMarks) {
          let at = 0;
          for (let died = true; died; at++) {
            const [first, second, victim, other] = world.lock(marks);
            prepare(world, other!);
            died = world.kill(2, at, () => program(victim!));
            checkWhole(first!, second!, `marks ${marks}, step ${at}`);
          }
          assertGreater(at, 5);
        }
      });
    }
  }

  test("lets no writer to a reader that died beside a living one", () => {
    using world = new World(4);
    for (const marks of someMarks) {
      for (const [what, program] of Object.entries(programs)) {
        for (let at = 0, died = true; died; at++) {
          const [first, second, victim, reader] = world.lock(marks);
          reader!.read.lock();
          died = world.kill(2, at, () => program(victim!));
          const where = `marks ${marks}, ${what}, step ${at}`;
          assertEquals(first!.write.tryLock(), false, where);
          assertEquals(first!.write.lock(0), "timeout", where);
          reader!.read.unlock();
          checkWhole(first!, second!, where);
        }
      }
    }
  });

  const pairs = [["read", "write"], ["write", "read"], ["write", "write"]] as const;
  for (const [one, other] of pairs) {
    test(`never has two in who come in between: ${one} and ${other}`, () => {
      using world = new World(4);
      let both = 0;
      for (const marks of someMarks) {
        for (let at = 0, came = true; came; at++) {
          const [first, second, third, fourth] = world.lock(marks);
          let theirs = "";
          let ours = "";
          came = interrupt(
            at,
            () => theirs = second![other].lock(0),
            () => ours = first![one].lock(0),
          );
          const where = `marks ${marks}, step ${at}`;
          if (came) both++;
          assert(ours === "timeout" || theirs !== "acquired", `${where}: both are in`);
          if (ours !== "timeout") {
            assertEquals(third!.write.tryLock(), false, where);
            first![one].unlock();
          }
          if (theirs === "acquired") {
            assertEquals(third!.write.tryLock(), false, where);
            second![other].unlock();
          }
          checkWhole(third!, fourth!, where);
        }
      }
      assertGreater(both, 10);
    });
  }

  for (const fate of ["went on", "died"]) {
    test(`a reader that went in while a writer came, left and ${fate} is seen by all others`, () => {
      using world = new World(5);
      let entered = 0;
      for (const marks of someMarks) {
        for (let at = 0, came = true; came; at++) {
          for (let writerAt = 0, more = true; more; writerAt++) {
            const [reader, writer, next, last, fifth] = world.lock(marks);
            let taken = "";
            more = false;
            came = interrupt(
              at,
              () => {
                const write = () => once(writer!.write);
                // Somebody who comes before the writer goes on, or after it has died.
                if (fate === "died") {
                  more = world.kill(1, writerAt, write);
                  once(next!.write);
                } else more = interrupt(writerAt, () => once(next!.read), write);
              },
              () => taken = reader!.read.lock(0),
            );
            const where = `marks ${marks}, steps ${at} and ${writerAt}`;
            if (taken !== "timeout") {
              entered++;
              assertEquals(last!.write.tryLock(), false, `${where}: a writer beside a reader`);
              assertEquals(last!.write.lock(0), "timeout", where);
              reader!.read.unlock();
            }
            checkWhole(last!, fifth!, where);
          }
        }
      }
      assertGreater(entered, 100);
    });
  }

  test("a reader that comes between a writer's steps, and looks at the gate when it is free, is seen", () => {
    using world = new World(4);
    const place = 7;
    let entered = 0;
    // The reader's three steps (layout.ts) are made here: it goes on while the writer does.
    for (const marks of someMarks) {
      let steps = 1;
      for (let slotAt = 0; slotAt < steps; slotAt++) {
        for (let end = steps; end >= slotAt; end--) {
          const [writer, next, first, second] = world.lock(marks);
          const slot = world.words(READERS_OFFSET + place * READER_LENGTH, 2);
          const mark = world.words(MARKS_OFFSET, 1);
          const gate = world.words(GATE_OFFSET, 1);
          let count = 0;
          // To the writer's end, or to its death at any step after the reader's second.
          const died = world.kill(
            0,
            end === steps ? Infinity : end,
            () => once(writer!.write),
            (at) => {
              count = Math.max(count, at + 1);
              if (at !== slotAt) return;
              slot.fill(105); // of a thread that is alive
              mark[0]! |= 1 << place;
            },
          );
          if (steps === 1) steps = count;
          const where = `marks ${marks}, steps ${slotAt} and ${end} of ${steps}`;
          if (died) once(next!.write);
          if (gate[0] === 0 && slot[0] !== 0) {
            entered++;
            assertEquals(first!.write.tryLock(), false, `${where}: a writer beside a reader`);
            assertEquals(first!.write.lock(0), "timeout", where);
          }
          slot.fill(0);
          checkWhole(first!, second!, where);
        }
      }
      assertGreater(steps, 10);
    }
    assertGreater(entered, 100);
  });
});
