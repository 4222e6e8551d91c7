/** `MemoryMap.open()` with `lock`: advisory locks between processes, waited for and given back. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals } from "@std/assert";
import {
  MemoryMap,
  MMapError,
  MMapInvalidParameterError,
  type OpenOptions,
  pageSize,
} from "../mod.ts";
import {
  assertRefused,
  descriptorsOf,
  firstReason,
  pattern,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
} from "./helpers.ts";
import { assertRefusedLater, pause, startFixture } from "./helpers_paging.ts";

const page = pageSize();
const skip = skipWithoutChildren();
type Lock = "shared" | "exclusive";

/** A process that holds a lock of a file. */
async function holder(path: string, lock: Lock, mode: "r" | "r+" = "r+", cut?: number) {
  const child = startFixture("paging_lock_holder.ts", [
    path,
    mode,
    lock,
    ...(cut === undefined ? [] : [String(cut)]),
  ]);
  assertEquals(await child.line(), "held");
  return child;
}

/** Whether a lock can be had right now. */
function free(path: string, lock: Lock): boolean {
  try {
    MemoryMap.open(path, { lock }).close();
    return true;
  } catch (error) {
    if (error instanceof MMapError && error.code === "EWOULDBLOCK") return false;
    throw error;
  }
}

describe("MemoryMap.open() with lock, between two processes:", () => {
  const cases: [Lock, Lock, boolean][] = [
    ["shared", "shared", true],
    ["shared", "exclusive", false],
    ["exclusive", "shared", false],
    ["exclusive", "exclusive", false],
  ];
  for (const [held, wanted, allowed] of cases) {
    test(`${wanted} while the other holds ${held}: ${allowed ? "had" : "refused"}`, {
      skip,
    }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      await using other = await holder(path, held);
      assertEquals(free(path, wanted), allowed);
      assertEquals(await other.end(), 0);
      assertEquals(free(path, wanted), true);
    });
  }
  for (const mode of ["r", "r+", "c"] as const) {
    test(`both kinds with mode "${mode}"`, { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      for (const lock of ["shared", "exclusive"] as const) {
        using map = MemoryMap.open(path, { mode, lock });
        assertEquals(new TextDecoder().decode(map.read(7)), "content");
        assertEquals(free(path, "shared"), lock === "shared");
        assertEquals(free(path, "exclusive"), false);
      }
      await Promise.resolve();
    });
  }
  test("who does not ask for a lock is not held up", { skip }, async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    await using _other = await holder(path, "exclusive");
    using map = MemoryMap.open(path, { mode: "r+" });
    map.write("CONTENT");
    assertEquals(fs.readFileSync(path, "utf8"), "CONTENT");
  });
  test("it is given back by close()", { skip }, async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    await using other = await holder(path, "exclusive");
    assertEquals(free(path, "shared"), false);
    await other.tell("close");
    assertEquals(await other.line(), "close done");
    assertEquals(free(path, "exclusive"), true);
  });
  test("it is given back by kill -9 of the holder", { skip }, async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    await using other = await holder(path, "exclusive");
    assertEquals(free(path, "shared"), false);
    await other.kill();
    assertEquals(free(path, "exclusive"), true);
  });
  test("it is kept through resize()", { skip }, async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    await using other = await holder(path, "exclusive");
    await other.tell("resize 100000");
    assertEquals(await other.line(), "resize done");
    assertEquals(free(path, "shared"), false);
  });
});

describe("MemoryMap.open() with lock, in one process:", () => {
  test("two maps of one file exclude each other as two processes do", () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    const first = MemoryMap.open(path, { lock: "shared" });
    assertEquals([free(path, "shared"), free(path, "exclusive")], [true, false]);
    first.close();
    using _second = MemoryMap.open(path, { lock: "exclusive" });
    assertEquals([free(path, "shared"), free(path, "exclusive")], [false, false]);
  });
  test("two files do not", () => {
    using dir = tempDir();
    using _first = MemoryMap.open(dir.file("first", "1"), { lock: "exclusive" });
    using _second = MemoryMap.open(dir.file("second", "2"), { lock: "exclusive" });
  });
  test("an empty file can be locked", () => {
    using dir = tempDir();
    const path = dir.file("empty", "");
    const map = MemoryMap.open(path, { lock: "exclusive" });
    assertEquals(free(path, "shared"), false);
    map.close();
    assertEquals(free(path, "exclusive"), true);
  });
  test("a map whose buffer was transferred away gives the lock back, too", () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    const map = MemoryMap.open(path, { mode: "r+", lock: "exclusive" });
    (map.buffer as ArrayBuffer).transfer();
    map.close();
    assertEquals(free(path, "exclusive"), true);
  });
  test("a failed open() keeps no lock", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    assertRefused(
      () => MemoryMap.open(path, { lock: "exclusive", offset: 100 }),
      MMapInvalidParameterError,
    );
    assertEquals(free(path, "exclusive"), true);
    assertEquals(descriptorsOf(path), []);
  });
});

describe("a lock that somebody else holds", () => {
  /** `open` and `openAsync` promise the same. */
  const openers: [string, (path: string, options: OpenOptions) => Promise<MemoryMap>][] = [
    // deno-lint-ignore require-await -- an error becomes a rejection, as the other's
    ["open()", async (path, options) => MemoryMap.open(path, options)],
    ["openAsync()", (path, options) => MemoryMap.openAsync(path, options)],
  ];
  for (const [name, open] of openers) {
    test(`is an error of ${name} at once, by default`, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      using _held = MemoryMap.open(path, { lock: "exclusive" });
      const start = performance.now();
      const error = await assertRefusedLater(
        open(path, { lock: "shared" }),
        MMapError,
        "Cannot take a shared lock",
        JSON.stringify(path),
        "lockTimeout",
      );
      assert(performance.now() - start < 2000);
      assertEquals([error.code, error.syscall], ["EWOULDBLOCK", "flock"]);
      if (skipWithoutProc === false) assertEquals(descriptorsOf(path).length, 1);
    });
    test(`is an error of ${name} after lockTimeout, which the message tells`, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      using _held = MemoryMap.open(path, { lock: "shared" });
      const start = performance.now();
      await assertRefusedLater(
        open(path, { mode: "r+", lock: "exclusive", lockTimeout: 150 }),
        MMapError,
        "Cannot take an exclusive lock",
        "150 ms",
      );
      const waited = performance.now() - start;
      assert(waited >= 149 && waited < 5000, `${waited} ms`);
    });
    test(`is had by ${name} as soon as it is free`, { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      await using other = await holder(path, "exclusive");
      await other.tell("wait 200", "close");
      assertEquals(await other.line(), "waiting");
      const start = performance.now();
      using map = await open(path, { mode: "r+", lock: "exclusive", lockTimeout: 20_000 });
      assert(performance.now() - start >= 100);
      map.write("CONTENT");
      assertEquals(free(path, "shared"), false);
    });
    test(`and whose holder is killed is had by ${name}`, { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      await using other = await holder(path, "exclusive");
      if (name === "open()") {
        await other.kill();
        (await open(path, { lock: "exclusive" })).close();
      } else {
        const opening = open(path, { lock: "exclusive", lockTimeout: 20_000 });
        await pause(20);
        await other.kill();
        (await opening).close();
      }
    });
    test(`does not let ${name} with mode "w+" empty the file`, { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      await using _other = await holder(path, "shared", "r");
      for (const lockTimeout of [0, 50]) {
        await assertRefusedLater(
          open(path, { mode: "w+", size: 3, lock: "exclusive", lockTimeout }),
          MMapError,
          "exclusive lock",
        );
        assertEquals(fs.readFileSync(path, "utf8"), "content");
      }
      await assertRefusedLater(
        open(path, { mode: "r+", size: 100, lock: "exclusive" }),
        MMapError,
      );
      assertEquals(fs.readFileSync(path, "utf8"), "content");
    });
    for (const lockTimeout of [-1, NaN, "soon", {}, Symbol("soon")]) {
      test(`and lockTimeout ${String(lockTimeout)} are refused by ${name}`, async () => {
        using dir = tempDir();
        const path = dir.file("data", "content");
        using _held = MemoryMap.open(path, { lock: "exclusive" });
        const opening = open(path, { lock: "shared", lockTimeout: lockTimeout as number });
        const late = pause(1000).then(() => {
          throw new Error("still waiting after a second");
        });
        await assertRefusedLater(
          Promise.race([opening, late]),
          MMapInvalidParameterError,
          "lockTimeout",
          "milliseconds",
        );
        await late.catch(() => {});
      });
    }
    test(`and other words for it are refused by ${name}`, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      for (const lock of ["SHARED", "", true, null, 1]) {
        await assertRefusedLater(
          open(path, { lock: lock as Lock }),
          MMapInvalidParameterError,
          "lock",
          '"shared" or "exclusive"',
        );
      }
    });
    test(
      `and whose holder makes the file longer: ${name} sees the new size`,
      { skip },
      async () => {
        using dir = tempDir();
        const path = dir.file("data", "content");
        await using other = await holder(path, "exclusive");
        await other.tell("wait 150", "resize 100000", "close");
        assertEquals(await other.line(), "waiting");
        using map = await open(path, { lock: "shared", lockTimeout: 20_000 });
        assertEquals(map.size, 100_000);
      },
    );
    test(`and whose holder makes the file longer: ${name} cuts nothing off`, { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      await using other = await holder(path, "exclusive");
      await other.tell("wait 150", "resize 100000", "close");
      assertEquals(await other.line(), "waiting");
      const options = { size: 50_000, lock: "exclusive", lockTimeout: 20_000 } as const;
      using map = await open(path, { mode: "r+", ...options });
      assertEquals(map.size, 50_000);
      assertEquals(fs.statSync(path).size, 100_000);
    });
    test(`and whose holder cuts the file: ${name} maps no more than is left`, {
      skip: firstReason(skip, skipOnWindows),
    }, async () => {
      using dir = tempDir();
      const path = dir.file("data", pattern(20 * page));
      await using other = await holder(path, "exclusive", "r+", 100);
      await other.tell("wait 150", "close");
      assertEquals(await other.line(), "waiting");
      using map = await open(path, { lock: "shared", lockTimeout: 20_000 });
      assertEquals(fs.statSync(path).size, 100);
      assertEquals(map.size, 100);
    });
    test(`and whose holder writes an empty file: ${name} with "w+" empties it`, {
      skip,
    }, async () => {
      using dir = tempDir();
      const path = dir.file("data", "");
      await using other = await holder(path, "exclusive");
      await other.tell("wait 150", "resize 100000", "close");
      assertEquals(await other.line(), "waiting");
      const options = { size: 10, lock: "exclusive", lockTimeout: 20_000 } as const;
      using map = await open(path, { mode: "w+", ...options });
      assertEquals([map.size, fs.statSync(path).size], [10, 10]);
    });
  }
  test("leaves the event loop free while openAsync() waits", async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    const held = MemoryMap.open(path, { lock: "exclusive" });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    setTimeout(() => held.close(), 300);
    using _map = await MemoryMap.openAsync(path, { lock: "exclusive", lockTimeout: 20_000 });
    clearInterval(timer);
    assert(ticks >= 10, `${ticks} ticks`);
  });
  test("is no longer waited for when the signal says so", { skip: skipWithoutProc }, async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    using _held = MemoryMap.open(path, { lock: "exclusive" });
    const aborter = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => aborter.abort(reason), 100);
    const start = performance.now();
    const error = await MemoryMap.openAsync(path, {
      lock: "exclusive",
      lockTimeout: 20_000,
      signal: aborter.signal,
    }).then(() => undefined, (error: unknown) => error);
    assertEquals(error, reason);
    assert(performance.now() - start < 5000);
    assertEquals(descriptorsOf(path).length, 1);
  });
  test("is not asked for when the signal has said so before", async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    const reason = new Error("enough");
    const error = await MemoryMap.openAsync(path, {
      lock: "exclusive",
      signal: AbortSignal.abort(reason),
    }).then(() => undefined, (error: unknown) => error);
    assertEquals(error, reason);
    assertEquals(free(path, "exclusive"), true);
  });
  test("is had by ten that wait, one after the other", async () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8));
    const add = async () => {
      const options = { mode: "r+", lock: "exclusive", lockTimeout: 30_000 } as const;
      using map = await MemoryMap.openAsync(path, options);
      const counter = map.asTypedArray(Uint32Array);
      const before = counter[0]!;
      await pause(5);
      counter[0] = before + 1;
    };
    await Promise.all(Array.from({ length: 10 }, add));
    assertEquals(fs.readFileSync(path).readUInt32LE(), 10);
  });
});
