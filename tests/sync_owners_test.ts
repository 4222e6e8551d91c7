/** Owner words: what all locks are made of. */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { KIND_MUTEX, MUTEX_LENGTH, MUTEX_OWNER_OFFSET, WORD } from "../src/sync/layout.ts";
import { LockMemory, TURN } from "../src/sync/memory.ts";
import { isMine, takeAny } from "../src/sync/owners.ts";
import { sharedMemory, skipWithoutSync } from "./helpers_sync.ts";

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
