/**
 * MemoryPool when a thread dies: at every single step that others can see. A thread that stops at one of
 * its atomic operations has left exactly what a killed process leaves.
 */
import { test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import { replaceSyncPlatform, syncPlatform } from "../src/ffi/host_sync.ts";
import type { MemoryMap } from "../mod.ts";
import { MemoryPool } from "../src/pool/mod.ts";
import { sharedMemory, skipWithoutSync } from "./helpers_sync.ts";

const BLOCK_SIZE = 64;
const SIZE = 16_384;

/** What a thread that is killed throws, so that its program goes no further. */
class Death extends Error {}

const steps = ["compareExchange", "or", "and", "store"] as const;
type Step = (...args: unknown[]) => unknown;

/** Runs a program until its step of a number, which it does not make; false if it came to its end. */
function diesAtStep(step: number, program: () => void): boolean {
  const atomics = Atomics as unknown as Record<string, Step>;
  const real = Object.fromEntries(steps.map((name) => [name, atomics[name]!]));
  let made = 0;
  for (const name of steps) {
    atomics[name] = (...args) => {
      if (made++ === step) throw new Death();
      return real[name]!(...args);
    };
  }
  try {
    program();
    return false;
  } catch (error) {
    if (!(error instanceof Death)) throw error;
    return true;
  } finally {
    Object.assign(atomics, real);
  }
}

/** A pool as another thread has it, whose number is nobody's by the time that anybody asks. */
function poolOfTheDead(map: MemoryMap, number: number): MemoryPool {
  const platform = syncPlatform()!;
  const self = { ...platform.self, number, identity: number };
  replaceSyncPlatform({ ...platform, self });
  try {
    return new MemoryPool(map, { blockSize: BLOCK_SIZE });
  } finally {
    replaceSyncPlatform(platform);
  }
}

/** No thread of any system has these numbers. */
const FIRST = 0x3fff0000;
const SECOND = 0x3fff0001;

const programs: Readonly<Record<string, (pool: MemoryPool, passed: bigint) => void>> = {
  "allocates blocks": (pool) => {
    for (let i = 0; i < 40; i++) pool.allocate(1);
  },
  "allocates the last block": (pool) => {
    while (pool.tryAllocate(BLOCK_SIZE * 8) !== undefined);
    while (pool.tryAllocate(1) !== undefined);
  },
  "allocates runs": (pool) => {
    for (const size of [65, 5000, 200]) pool.allocate(size);
  },
  "allocates aligned runs": (pool) => {
    for (const align of [256, 4096]) pool.allocate(300, { align });
  },
  "frees blocks": (pool) => {
    const blocks = Array.from({ length: 50 }, () => pool.allocate(1));
    for (const block of blocks) block.free();
    for (let i = 0; i < 5; i++) pool.allocate(1);
  },
  "frees runs": (pool) => {
    const blocks = [65, 5000, 200].map((size) => pool.allocate(size));
    for (const block of blocks) block.free();
  },
  "frees a run of ours": (pool, passed) => pool.at(passed).free(),
  "adopts a run of ours": (pool, passed) => {
    const block = pool.at(passed);
    block.adopt();
    block.free();
  },
  "recovers the runs of another one": (pool) => pool.recover(),
};

for (const [what, program] of Object.entries(programs)) {
  test(`MemoryPool.recover() after a thread that ${what} died at any step`, {
    skip: skipWithoutSync,
  }, () => {
    let step = 0;
    for (;; step++) {
      using map = sharedMemory(SIZE);
      const ours = new MemoryPool(map, { blockSize: BLOCK_SIZE });
      const kept = ours.allocate(150);
      kept.bytes.fill(5);
      const passed = ours.allocate(1000);
      if (what.startsWith("recovers")) {
        const other = poolOfTheDead(map, SECOND);
        for (const size of [1, 500, 70]) other.allocate(size);
      }
      const { handle } = passed;
      const victim = poolOfTheDead(map, FIRST);
      const died = diesAtStep(step, () => program(victim, handle));
      ours.recover();
      // Ours as long as the dead one had not begun to free it, nor made it its own.
      const expected = passed.isValid ? 3 + 16 : 3;
      assertEquals(ours.stats().used, expected * BLOCK_SIZE, `step ${step}`);
      assertEquals(ours.verify(), [], `step ${step}`);
      assertEquals(kept.bytes.every((byte) => byte === 5), true);
      passed[Symbol.dispose]();
      for (let rest = ours.stats().free; rest > 0; rest -= BLOCK_SIZE) ours.allocate(BLOCK_SIZE);
      assertEquals(ours.tryAllocate(1), undefined);
      if (!died) break;
    }
    assertGreater(step, 3);
  });
}
