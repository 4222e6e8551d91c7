/** `waitForChange()`, `waitForChangeAsync()` and `wake()`: waiting on the user's own words. */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
  PROT_NONE,
} from "../mod.ts";
import { waitForChange, waitForChangeAsync, wake } from "../src/sync/mod.ts";
import { assertRefused, firstReason, runtimeName, skipWithoutChildren } from "./helpers.ts";
import { assertRefusedLater } from "./helpers_paging.ts";
import {
  ask,
  pause,
  sharedBuffers,
  sharedFile,
  sharedMemory,
  skipWithoutSync,
  startPeer,
  within,
} from "./helpers_sync.ts";
import { takeTurns } from "./sync_stress.ts";

const skip = skipWithoutSync;
const skipPeers = firstReason(skip, skipWithoutChildren());

describe("waitForChange()", { skip }, () => {
  test("returns true at once when the word has another value", () => {
    using map = sharedMemory();
    map.asTypedArray(Int32Array, 8, 1)[0] = -5;
    assertEquals(waitForChange(map, 8, 0), true);
    assertEquals(waitForChange(map, 8, -6, 0), true);
  });
  test("returns false when the time is over", () => {
    using map = sharedMemory();
    const start = performance.now();
    assertEquals(waitForChange(map, 4092, 0, 150), false);
    const waited = performance.now() - start;
    assert(waited >= 149 && waited < 5000, `${waited} ms`);
    assertEquals(waitForChange(map, 0, 0, 0), false);
  });
  test("takes a value signed or unsigned, and nothing else", () => {
    using map = sharedMemory();
    map.asTypedArray(Uint32Array, 0, 1)[0] = 0xffffffff;
    assertEquals([waitForChange(map, 0, -1, 0), waitForChange(map, 0, 0xffffffff, 0)], [
      false,
      false,
    ]);
    for (const value of [0.5, 2 ** 32, NaN, "1", undefined, Symbol("1"), 1n, Object.create(null)]) {
      assertRefused(
        () => waitForChange(map, 0, value as number, 0),
        MMapInvalidParameterError,
        "32 bits",
      );
    }
  });
  test("refuses private memory, misaligned and outside words, no time, no map", () => {
    using map = sharedMemory();
    using lonely = MemoryMap.createAnonymous(4096);
    const refused = (call: () => unknown) => assertRefused(call, MMapInvalidParameterError);
    refused(() => waitForChange(lonely, 0, 0, 0));
    refused(() => wake(lonely, 0));
    for (const offset of [1, 2, 3, 4093, 4096, -4, 2 ** 40]) {
      refused(() => waitForChange(map, offset, 0, 0));
      refused(() => wake(map, offset));
    }
    refused(() => waitForChange(map, 0, 0, -1));
    refused(() => wake(map, 0, -1));
    refused(() => wake(map, 0, 1.5));
    refused(() => wake({} as MemoryMap, 0));
  });
  test("works in a map that may only be read, not in one that may not", () => {
    using file = sharedFile();
    using map = MemoryMap.open(file.path);
    assertEquals(waitForChange(map, 0, 0, 5), false);
    assert(wake(map, 0) <= 1); // where that is unknown, 1 stands for all
    map.mprotect(PROT_NONE);
    assertRefused(() => waitForChange(map, 0, 0, 5), MMapProtectionError);
  });
  test("throws MMapClosedError in a closed map, also with a SharedArrayBuffer", () => {
    for (const sharedBuffer of sharedBuffers) {
      const map = sharedMemory(4096, sharedBuffer);
      assertEquals(waitForChange(map, 0, 0, 0), false);
      map.close();
      assertRefused(() => waitForChange(map, 0, 0, 0), MMapClosedError);
      assertRefused(() => wake(map, 0), MMapClosedError);
    }
  });
  test("follows a map that was resized", () => {
    using file = sharedFile();
    const { map } = file;
    assertEquals(waitForChange(map, 0, 0, 0), false);
    map.resize(1 << 22);
    map.asTypedArray(Int32Array, 0, 1)[0] = 1;
    assertEquals(waitForChange(map, 0, 0, 0), true);
    assertEquals(waitForChange(map, 0, 1, 5), false);
  });
});

describe("waitForChangeAsync()", { skip }, () => {
  test("ends when the word is changed and woken, or the time is over", async () => {
    using map = sharedMemory();
    const word = map.asTypedArray(Int32Array, 64, 1);
    assertEquals(await waitForChangeAsync(map, 64, 1), true);
    assertEquals(await waitForChangeAsync(map, 64, 0, 0), false);
    assertEquals(await waitForChangeAsync(map, 64, 0, 20), false);
    const later = waitForChangeAsync(map, 64, 0, 20_000);
    while (wake(map, 64) === 0) await pause(1); // until it is parked
    word[0] = 1;
    wake(map, 64);
    assertEquals(await later, true);
  });
  test("goes on when it is woken without a change", async () => {
    using map = sharedMemory();
    const later = waitForChangeAsync(map, 0, 0, 60);
    await pause(10);
    wake(map, 0);
    assertEquals(await later, false);
  });
  test("is rejected when the map is closed meanwhile, and for what is wrong", async () => {
    const map = sharedMemory();
    const waiting = waitForChangeAsync(map, 0, 0);
    await assertRefusedLater(waitForChangeAsync(map, 2, 0), MMapInvalidParameterError);
    await assertRefusedLater(waitForChangeAsync(map, 0, 0, NaN), MMapInvalidParameterError);
    map.close();
    await within(5, "the rejection", assertRefusedLater(waiting, MMapClosedError));
    await assertRefusedLater(waitForChangeAsync(map, 0, 0), MMapClosedError);
  });
  test("does not keep others waiting who wait on other words", async () => {
    using map = sharedMemory();
    const words = map.asTypedArray(Int32Array);
    const ended: number[] = [];
    const waits = Array.from({ length: 20 }, async (_, i) => {
      if (await waitForChangeAsync(map, i * 64, 0, 60_000)) ended.push(i);
    });
    for (const i of [7, 3, 19, 0]) {
      words[i * 16] = 1;
      wake(map, i * 64);
      await within(10, `wait ${i}`, waits[i]!);
    }
    assertEquals(ended, [7, 3, 19, 0]);
    words.fill(1);
    for (let i = 0; i < 20; i++) wake(map, i * 64);
    await within(10, "the rest", Promise.all(waits));
  });
});

describe("wake() between threads and processes", { skip: skipPeers }, () => {
  test("wakes no more than asked for, and says how many", async () => {
    using file = sharedFile();
    await using first = startPeer("sync_member.ts", [file.path]);
    await using second = startPeer("sync_member.ts", [file.path]);
    for (const peer of [first, second]) {
      await ask(peer, { do: "waitForChange", value: 0, timeout: 0 });
      await peer.tell({ do: "waitForChange", value: 0 });
    }
    await pause(50);
    assertEquals(wake(file.map, 0, 0), 0);
    // Without a change they wait again. They look by themselves now and then, so both may be missed.
    assert(wake(file.map, 0, 1) <= 1);
    file.map.asTypedArray(Int32Array, 0, 1)[0] = 1;
    assert(wake(file.map, 0) <= 2);
    assertEquals(await within(10, "waking", Promise.all([first.line(), second.line()])), [
      "true",
      "true",
    ]);
  });
  test("reaches an asynchronous wait in another process", async () => {
    using file = sharedFile();
    await using peer = startPeer("sync_member.ts", [file.path]);
    await peer.tell({ do: "waitForChangeAsync", at: 4, value: 0 });
    await pause(100);
    file.map.asTypedArray(Int32Array, 4, 1)[0] = 9;
    wake(file.map, 4);
    assertEquals(await within(10, "waking", peer.line()), "true");
    const later = waitForChangeAsync(file.map, 4, 9);
    await ask(peer, { do: "store", at: 4, value: 10 });
    assertEquals(await within(10, "waking", later), true);
  });
  for (const how of ["change", "changeAsync"] as const) {
    const turns = how === "change" ? 20_000 : 2000;
    test(`loses none of ${turns} waits of two who take turns (${how})`, async () => {
      await takeTurns(how, turns, ["thread", "thread"]);
      await takeTurns(how, turns, [runtimeName, runtimeName]);
    });
  }
});
