/** Owner words: what all locks are made of. */
import { describe, test } from "node:test";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { KIND_MUTEX, MUTEX_LENGTH, MUTEX_OWNER_OFFSET, WORD } from "../src/sync/layout.ts";
import { LockMemory, TURN } from "../src/sync/memory.ts";
import { type MemoryMap, PROT_READ } from "../mod.ts";
import { abandonAll, isMine, takeAny, tryTake } from "../src/sync/owners.ts";
import { Mutex, RwLock, Semaphore } from "../src/sync/mod.ts";
import { pause, sharedFile, sharedMemory, skipWithoutSync, startThread } from "./helpers_sync.ts";
import { descriptorsOf, firstReason, skipWithoutProc } from "./helpers.ts";

const OWNER = MUTEX_OWNER_OFFSET / WORD;
/** No thread of any system has this number. */
const DEAD = 0x3fff0000;

describe("takeAny()", { skip: skipWithoutSync }, () => {
  test("finds a dead owner, also when others release all the time", () => {
    using map = sharedMemory();
    const memory = LockMemory.at(map, 0, MUTEX_LENGTH, KIND_MUTEX, 0);
    memory.words.fill(DEAD, OWNER, OWNER + 2);
    const steps = takeAny(memory, [OWNER], Infinity);
    const start = performance.now();
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) {
        assertEquals(value, { index: OWNER, taken: "recovered" });
        break;
      }
      assert(performance.now() - start < 5000, "it was not looked at");
      Atomics.add(memory.words, TURN, 2);
    }
    assertEquals(isMine(memory, OWNER), true);
  });
});

describe("abandonAll()", { skip: skipWithoutSync }, () => {
  test("passes over a word that others write over just then", () => {
    using map = sharedMemory();
    const memory = LockMemory.at(map, 0, MUTEX_LENGTH, KIND_MUTEX, 0);
    assertEquals(tryTake(memory, OWNER), "acquired");
    const { words } = memory;
    let looks = 0;
    memory.current = () => {
      if (++looks === 2) Atomics.store(words, OWNER, DEAD); // after it was found to be ours
      return words;
    };
    abandonAll(memory);
    assertEquals(looks >= 2, true);
    assertEquals(words[OWNER], DEAD);
  });
});

const PLACE = 65536;

describe("MemoryMap.close() with a lock held", { skip: skipWithoutSync }, () => {
  const locks: Readonly<Record<string, (map: MemoryMap) => unknown>> = {
    Mutex: (map) => new Mutex(map, PLACE).lock(),
    "RwLock for reading": (map) => new RwLock(map, PLACE).read.lock(),
    "RwLock for writing": (map) => new RwLock(map, PLACE).write.lock(),
    Semaphore: (map) => new Semaphore(map, PLACE, 2).acquire(),
  };
  const changes: Readonly<Record<string, (map: MemoryMap) => void>> = {
    "was cut away": (map) => map.resize(PLACE),
    "was unmapped": (map) => map.unmapRange(PLACE, PLACE),
    "became read-only, elsewhere": (map) => {
      map.resize(3 * PLACE);
      map.mprotect(PROT_READ);
    },
  };
  for (const [lock, take] of Object.entries(locks)) {
    for (const [what, change] of Object.entries(changes)) {
      test(`closes the map whose ${lock} ${what}`, () => {
        using file = sharedFile(2 * PLACE);
        take(file.map);
        change(file.map);
        file.map.close();
        assertEquals(file.map.isValid, false);
      });
    }
  }
});

test("a Worker that is terminated while it looks after an owner leaves no descriptor open", {
  skip: firstReason(skipWithoutSync, skipWithoutProc),
}, async () => {
  for (let k = 0; k < 4; k++) {
    const thread = startThread("looking_thread.ts", undefined);
    assertEquals(await thread.message(), "alive");
    await thread.terminate();
  }
  // They may run on for a while: what was left open stays open.
  const left = (): number => descriptorsOf(`/proc/${process.pid}/task/${process.pid}/stat`).length;
  const end = performance.now() + 15_000;
  for (let none = 0; none < 10;) {
    none = left() === 0 ? none + 1 : 0;
    assert(performance.now() < end, `${left()} descriptors are open`);
    await pause(20);
  }
});
