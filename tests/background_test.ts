/**
 * `createAnonymousAsync()`, `openAsync()`, `prefaultAsync()` and `msyncAsync()`: what they do, that the
 * event loop stays free, and that close(), resize() and an AbortSignal may come in the middle.
 */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapAllocationError,
  MMapClosedError,
  MMapError,
  MMapFaultError,
  MMapInvalidParameterError,
  MMapProtectionError,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
  type OpenOptions,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import {
  descriptorsOf,
  fileBytes,
  firstReason,
  fixtureResult,
  mappings,
  mappingsOf,
  pattern,
  runFixture,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";
import {
  allocatedBytes,
  areaAt,
  assertRefusedLater,
  pagesIn,
  pause,
  skipInMemory,
  skipOutsideLinux,
  sparseFile,
} from "./helpers_paging.ts";

const page = pageSize();
const READ_WRITE = PROT_READ | PROT_WRITE;
const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS;
const MiB = 1 << 20;
const skip = firstReason(skipOutsideLinux, skipWithoutProc);
/** Where faulting in is taken, and not done, nothing takes long. */
const skipFaultIn = firstReason(skip, skipWithoutAdvice);

/** Long enough to come in the middle of: some tenths of a second. */
const LONG = 512 * MiB;

/** The reason with which a promise is rejected; undefined if it is not. */
function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(() => undefined, (error: unknown) => error);
}

/** A line of `/proc/self/status`, in bytes: `VmRSS` is in memory, `VmSize` has an address. */
function ownBytes(field: "VmRSS" | "VmSize"): number {
  const status = fs.readFileSync("/proc/self/status", "utf8");
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
}

describe("MemoryMap.createAnonymousAsync()", () => {
  for (
    const [kind, flags] of [["private", PRIVATE], ["shared", MAP_SHARED | MAP_ANONYMOUS]] as const
  ) {
    test(`gives ${kind} memory that is all there`, { skip: skipFaultIn }, async () => {
      using map = await MemoryMap.createAnonymousAsync(100 * page + 1, READ_WRITE, flags);
      assertEquals([map.size, map.prot], [100 * page + 1, READ_WRITE]);
      assertEquals(pagesIn(map), "#".repeat(101));
      assertEquals(map.count(0), map.size);
      map.write(pattern(1000), 5000);
      assertEquals(map.read(1000, 5000), pattern(1000));
    });
  }
  test("has the defaults of createAnonymous()", { skip }, async () => {
    using map = await MemoryMap.createAnonymousAsync(page);
    assertEquals([map.prot, map.name, areaAt(map.addr).access], [READ_WRITE, undefined, "rw-p"]);
    using named = await MemoryMap.createAnonymousAsync(page, READ_WRITE, PRIVATE, { name: "big" });
    assertEquals(named.name, "big");
  });
  test("gives read-only memory", { skip: skipFaultIn }, async () => {
    using map = await MemoryMap.createAnonymousAsync(4 * page, PROT_READ);
    assertEquals(pagesIn(map), "####");
  });
  test("rejects what createAnonymous() refuses, and never throws", async () => {
    const bad: [unknown, number?, number?][] = [
      [0],
      [-1],
      [1.5],
      [NaN],
      ["5"],
      [undefined],
      [page, 64],
      [page, READ_WRITE, MAP_PRIVATE | MAP_SHARED],
    ];
    for (const [size, prot, flags] of bad) {
      const promise = MemoryMap.createAnonymousAsync(size as number, prot, flags);
      await assertRefusedLater(promise, MMapInvalidParameterError);
    }
  });
  test("of more than the address space is rejected", { skip: skipOnWindows }, async () => {
    const error = await assertRefusedLater(
      MemoryMap.createAnonymousAsync(2 ** 50),
      MMapAllocationError,
      String(2 ** 50),
    );
    assertEquals([error.code, error.syscall], ["ENOMEM", "mmap"]);
  });
});

describe("MemoryMap.openAsync()", () => {
  const modes: OpenOptions[] = [
    {},
    { mode: "r" },
    { mode: "r+" },
    { mode: "c" },
    { mode: "r", offset: 100, size: 50 },
    { mode: "r+", offset: page + 1, size: 3 * page },
    { mode: "w+", size: 1000 },
    { mode: "r+", populate: true },
    { mode: "c", populate: true, access: "sequential" },
  ];
  for (const options of modes) {
    test(`gives the map of open() for ${JSON.stringify(options)}`, async () => {
      using dir = tempDir();
      const [path, other] = ["one", "other"].map((name) => dir.file(name, pattern(2 * page)));
      using expected = MemoryMap.open(other!, options);
      using map = await MemoryMap.openAsync(path!, options);
      assertEquals(
        [map.size, map.offset, map.prot, map.path],
        [expected.size, expected.offset, expected.prot, path],
      );
      assertEquals(map.compare(expected), 0);
      assertEquals(fs.statSync(path!).size, fs.statSync(other!).size);
    });
  }
  test("faults everything in with populate, and leaves holes holes", {
    skip: firstReason(skipFaultIn, skipInMemory),
  }, async () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), 64 * MiB);
    using map = await MemoryMap.openAsync(path, { mode: "r+", populate: true });
    assertEquals(areaAt(map.addr).bytes("Rss"), 64 * MiB);
    assertEquals(allocatedBytes(path), 0);
  });
  test("rejects what open() refuses, and never throws", async () => {
    using dir = tempDir();
    const error = await assertRefusedLater(
      MemoryMap.openAsync(dir.file("absent")),
      MMapError,
      "Cannot open",
    );
    assertEquals([error.code, error.syscall], ["ENOENT", "open"]);
    const path = dir.file("data", "content");
    const bad: [unknown, OpenOptions?][] = [
      [5],
      [""],
      [dir.path],
      [path, { mode: "rw" as "r" }],
      [path, { mode: "w+" }],
      [path, { offset: -1 }],
      [path, { offset: 8 }],
      [path, { size: 8 }],
      [path, { size: 0 }],
      [path, { access: "often" as "random" }],
    ];
    for (const [name, options] of bad) {
      await assertRefusedLater(
        MemoryMap.openAsync(name as string, options),
        MMapInvalidParameterError,
      );
    }
    assertEquals(fs.readFileSync(path, "utf8"), "content");
  });
  test("opens a hundred files at once", async () => {
    using dir = tempDir();
    const maps = await Promise.all(
      Array.from(
        { length: 100 },
        (_, i) =>
          MemoryMap.openAsync(dir.file(`${i}`), { mode: "w+", size: page + i, populate: true }),
      ),
    );
    for (const [i, map] of maps.entries()) {
      assertEquals(map.size, page + i);
      map.write(`${i}`);
      map.close();
      assertEquals(fileBytes(dir.file(`${i}`)).length, page + i);
    }
  });
  test("rejects at once when the signal has said so before, and touches nothing", async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    const reason = new Error("enough");
    const options = { mode: "w+", size: 5, signal: AbortSignal.abort(reason) } as const;
    assertStrictEquals(await reasonOf(MemoryMap.openAsync(path, options)), reason);
    assertStrictEquals(await reasonOf(MemoryMap.openAsync(dir.file("new"), options)), reason);
    assertEquals(fs.readFileSync(path, "utf8"), "content");
    assertEquals(fs.existsSync(dir.file("new")), false);
  });
  test("aborted while it faults in leaves nothing open", { skip: skipFaultIn }, async () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), LONG);
    const aborter = new AbortController();
    const opening = MemoryMap.openAsync(path, {
      mode: "r+",
      populate: true,
      signal: aborter.signal,
    });
    setTimeout(() => aborter.abort(), 20);
    const reason = await reasonOf(opening);
    assertEquals((reason as Error)?.name, "AbortError");
    assertEquals([mappingsOf(path).length, descriptorsOf(path).length], [0, 0]);
  });
  test(
    "aborted while it faults in undoes what it did to the file",
    { skip: skipFaultIn },
    async () => {
      using dir = tempDir();
      const path = dir.file("data", "content");
      const fresh = dir.file("fresh");
      for (const [file, mode] of [[path, "r+"], [fresh, "w+"]] as const) {
        const aborter = new AbortController();
        const opening = MemoryMap.openAsync(file, {
          mode,
          size: LONG,
          populate: true,
          signal: aborter.signal,
        });
        setTimeout(() => aborter.abort(), 20);
        assertEquals((await reasonOf(opening) as Error)?.name, "AbortError");
        assertEquals([mappingsOf(file).length, descriptorsOf(file).length], [0, 0]);
      }
      assertEquals(fs.readFileSync(path, "utf8"), "content");
      assertEquals(fs.existsSync(fresh), false);
    },
  );
});

describe("MemoryMap.prefaultAsync()", () => {
  const ranges: [number, number | undefined, string][] = [
    [0, undefined, "########"],
    [0, 1, "#......."],
    [page - 1, 2, "##......"],
    [2 * page, page, "..#....."],
    [6 * page + 1, undefined, "......##"],
    [3 * page, 0, "........"],
    [8 * page, undefined, "........"],
  ];
  for (const [offset, length, expected] of ranges) {
    test(`of ${length ?? "the rest"} at ${offset} takes the pages that it touches`, {
      skip: skipFaultIn,
    }, async () => {
      using map = MemoryMap.createAnonymous(8 * page);
      map.hint("noHugePages");
      await map.prefaultAsync(offset, length);
      assertEquals(pagesIn(map), expected);
    });
  }
  test("of a sparse file leaves its holes holes", {
    skip: firstReason(skipFaultIn, skipInMemory),
  }, async () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), 100 * MiB, { [99 * MiB]: "end" });
    const before = allocatedBytes(path);
    for (const mode of ["r", "r+", "c"] as const) {
      using map = MemoryMap.open(path, { mode });
      await map.prefaultAsync();
      assertEquals(areaAt(map.addr).bytes("Rss"), 100 * MiB);
      assertEquals(allocatedBytes(path), before);
    }
  });
  test("of a map of which a part is read-only", { skip: skipFaultIn }, async () => {
    using map = MemoryMap.createAnonymous(16 * page);
    map.hint("noHugePages");
    map.mprotect(PROT_READ, 0, 4 * page);
    await map.prefaultAsync();
    assertEquals(pagesIn(map), "#".repeat(16));
  });
  test("of an empty map does nothing", async () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { mode: "r+" });
    await map.prefaultAsync();
    await map.msyncAsync();
  });
  test("past the end of a file that was cut is rejected, with the system's code", {
    skip: skipFaultIn,
  }, async () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(8 * page));
    using map = MemoryMap.open(path, { mode: "r+" });
    fs.truncateSync(path, 2 * page);
    const error = await assertRefusedLater(
      map.prefaultAsync(),
      MMapFaultError,
      `Cannot prefault ${8 * page} bytes at offset 0`,
    );
    assertEquals([error.code, error.errno, error.syscall], ["EFAULT", 14, "madvise"]);
    assertEquals(error.offset, 2 * page);
    await map.prefaultAsync(0, 2 * page);
  });
  test("rejects what prefault() refuses, and never throws", async () => {
    using map = MemoryMap.createAnonymous(page);
    await assertRefusedLater(
      map.prefaultAsync(1, page),
      MMapInvalidParameterError,
      `Cannot prefault ${page} bytes at offset 1: map has ${page} bytes`,
    );
    for (const [offset, length] of [[-1, 1], [0, -1], [0.5, 1], [0, NaN], [page + 1, undefined]]) {
      await assertRefusedLater(map.prefaultAsync(offset, length), MMapInvalidParameterError);
    }
    map.mprotect(PROT_NONE);
    await assertRefusedLater(map.prefaultAsync(), MMapProtectionError, "PROT_READ");
    map.close();
    await assertRefusedLater(map.prefaultAsync(), MMapClosedError, "closed");
  });
});

describe("MemoryMap.msyncAsync()", () => {
  const flags = [undefined, MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE, MS_INVALIDATE, 0];
  test("writes to the file with any flags and range", async () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(3 * page));
    using map = MemoryMap.open(path, { mode: "r+", offset: 5 });
    map.write(pattern(3 * page - 5));
    for (const value of flags) await map.msyncAsync(value);
    for (const [offset, length] of [[0, 1], [page, 17], [page - 6, 2], [7, 0], [3 * page - 5, 0]]) {
      await map.msyncAsync(MS_SYNC, offset, length);
    }
    assertEquals(fileBytes(path).slice(5), pattern(3 * page - 5));
  });
  test("of maps without changes is allowed", async () => {
    using dir = tempDir();
    const path = dir.file("data", "content");
    using readOnly = MemoryMap.open(path);
    using copy = MemoryMap.open(path, { mode: "c" });
    using anonymous = MemoryMap.createAnonymous(page);
    copy.write("CHANGED");
    for (const map of [readOnly, copy, anonymous]) await map.msyncAsync();
    assertEquals(fs.readFileSync(path, "utf8"), "content");
  });
  test("rejects what msync() refuses, and never throws", async () => {
    using map = MemoryMap.createAnonymous(page);
    for (const value of [64, -1, 0.5, NaN, "4", null, MS_SYNC | MS_ASYNC]) {
      await assertRefusedLater(
        map.msyncAsync(value as number),
        MMapInvalidParameterError,
        "MS_SYNC",
      );
    }
    await assertRefusedLater(
      map.msyncAsync(MS_SYNC, 1, page),
      MMapInvalidParameterError,
      `Cannot flush ${page} bytes at offset 1: map has ${page} bytes`,
    );
    map.close();
    await assertRefusedLater(map.msyncAsync(), MMapClosedError, "closed");
  });
});

/**
 * Milliseconds for which this thread could have run but had no processor, since it started: what other
 * programs take from it is not the library's doing. 0 where the system does not count them.
 */
function starved(): number {
  const file = "/proc/thread-self/schedstat";
  if (!fs.existsSync(file)) return 0;
  return Number(fs.readFileSync(file, "utf8").split(" ")[1]) / 1e6;
}

describe("the event loop is free during", () => {
  /** Checks that a timer goes on while the promise is pending: no gap is most of the time. */
  async function assertTicks(start: () => Promise<unknown>): Promise<void> {
    const began = performance.now();
    const starvedBefore = starved();
    let [last, gap, ticks] = [began, 0, 0];
    const tick = () => {
      const now = performance.now() - (starved() - starvedBefore);
      gap = Math.max(gap, now - last);
      last = now;
    };
    const timer = setInterval(() => {
      ticks++;
      tick();
    }, 1);
    try {
      await start();
    } finally {
      clearInterval(timer);
    }
    tick();
    const all = last - began;
    assert(ticks >= 3 && gap < all / 2, `${ticks} ticks in ${all} ms, the longest gap ${gap} ms`);
  }
  test("createAnonymousAsync()", { skip: skipWithoutAdvice }, async () => {
    await assertTicks(async () => {
      (await MemoryMap.createAnonymousAsync(LONG)).close();
    });
  });
  test("prefaultAsync()", { skip: skipWithoutAdvice }, async () => {
    using map = MemoryMap.createAnonymous(LONG);
    if (process.platform === "linux") map.hint("noHugePages");
    await assertTicks(() => map.prefaultAsync());
  });
  test("openAsync() with populate", {
    skip: firstReason(skipInMemory, skipWithoutAdvice),
  }, async () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), LONG);
    await assertTicks(async () => {
      (await MemoryMap.openAsync(path, { populate: true })).close();
    });
  });
  test("msyncAsync()", { skip: skipInMemory }, async () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data"), { mode: "w+", size: 128 * MiB });
    map.fill(1);
    await assertTicks(() => map.msyncAsync());
  });
});

describe("close() in the middle of", () => {
  const operations: [string, (map: MemoryMap) => Promise<void>][] = [
    ["prefaultAsync()", (map) => map.prefaultAsync()],
    ["msyncAsync()", (map) => map.msyncAsync()],
  ];
  for (const [name, operate] of operations) {
    for (const delay of [undefined, 0, 15]) {
      const when = delay === undefined ? "at once" : `after ${delay} ms`;
      test(
        `${name}, ${when}, rejects and gives everything back`,
        { skip: skipFaultIn },
        async () => {
          using dir = tempDir();
          const path = dir.file("data");
          using map = MemoryMap.open(path, { mode: "w+", size: LONG });
          if (name === "msyncAsync()") map.fill(1, 0, 64 * MiB);
          const view = map.asTypedArray(Uint8Array, 0, 100);
          const operating = operate(map);
          const ended = reasonOf(operating);
          if (delay !== undefined) await pause(delay);
          map.close();
          assertEquals([map.isValid, map.size, map.addr, view.length], [false, 0, 0n, 0]);
          const reason = await ended;
          assert(reason instanceof MMapClosedError, String(reason));
          assert(/closed or resized/.test(reason.message), reason.message);
          assertEquals([mappingsOf(path).length, descriptorsOf(path).length], [0, 0]);
        },
      );
    }
  }
  test("many operations of many maps", { skip }, async () => {
    const maps = Array.from({ length: 20 }, () => MemoryMap.createAnonymous(40 * MiB + page));
    const ended = maps.flatMap((map) => [map.prefaultAsync(), map.msyncAsync()]).map(reasonOf);
    for (const [i, map] of maps.entries()) if (i % 2 === 0) map.close();
    await pause(5);
    const fresh = Array.from({ length: 20 }, () => MemoryMap.createAnonymous(MiB));
    for (const map of fresh) map.fill(1);
    for (const map of maps) map.close();
    for (const reason of await Promise.all(ended)) {
      assert(reason === undefined || reason instanceof MMapClosedError, String(reason));
    }
    for (const map of fresh) {
      assertEquals(map.count(1), MiB);
      map.close();
    }
    const large = mappings().filter(({ start, end }) => end - start === BigInt(40 * MiB + page));
    assertEquals(large, []);
  });
  test("an operation whose buffer was transferred away", { skip }, async () => {
    const map = MemoryMap.createAnonymous(LONG);
    const elsewhere = new Uint8Array(map.asTypedArray(Uint8Array, 0, page).buffer.transfer());
    const ended = reasonOf(map.prefaultAsync());
    map.close();
    assert(await ended instanceof MMapClosedError);
    elsewhere.fill(1, 0, 100);
    assertEquals(elsewhere[99], 1);
  });
});

describe("resize() in the middle of", () => {
  for (const size of [LONG + 100 * MiB, 2 * LONG, 10 * page, LONG / 2 + 3]) {
    for (const kind of ["anonymous memory", "a file"] as const) {
      test(`prefaultAsync() of ${kind}, to ${size} bytes, rejects and keeps the map`, {
        skip: skipFaultIn,
      }, async () => {
        using dir = tempDir();
        using map = kind === "a file"
          ? MemoryMap.open(dir.file("data"), { mode: "w+", size: LONG })
          : MemoryMap.createAnonymous(LONG);
        map.write("kept");
        const ended = reasonOf(map.prefaultAsync());
        await pause(10);
        map.resize(size);
        using neighbour = MemoryMap.createAnonymous(MiB);
        neighbour.fill(3);
        const reason = await ended;
        assert(reason instanceof MMapClosedError, String(reason));
        assert(/closed or resized/.test(reason.message), reason.message);
        assertEquals([map.size, map.isValid], [size, true]);
        assertEquals(map.read(4), utf8("kept"));
        map.write("end", size - 3);
        assertEquals(map.read(3, size - 3), utf8("end"));
        assertEquals(neighbour.count(3), MiB);
        await map.prefaultAsync(0, 10 * page);
      });
    }
  }
  test("msyncAsync() rejects, and the file gets the bytes", { skip }, async () => {
    using dir = tempDir();
    const path = dir.file("data");
    using map = MemoryMap.open(path, { mode: "w+", size: 100 * MiB });
    map.fill(1);
    const ended = reasonOf(map.msyncAsync());
    map.resize(200 * MiB);
    const reason = await ended;
    assert(reason instanceof MMapClosedError, String(reason));
    await map.msyncAsync(MS_SYNC, 0, 100 * MiB);
    assertEquals(map.count(1), 100 * MiB);
    assertEquals(fs.statSync(path).size, 200 * MiB);
  });
  test("to its own size does not disturb", { skip }, async () => {
    using map = MemoryMap.createAnonymous(64 * MiB);
    const faulting = map.prefaultAsync();
    map.resize(64 * MiB);
    await faulting;
  });
});

describe("other calls in the middle of prefaultAsync()", () => {
  test("unmapRange() ends it in an error, or lets it be", { skip }, async () => {
    using map = MemoryMap.createAnonymous(LONG);
    map.write("kept");
    const ended = reasonOf(map.prefaultAsync());
    map.unmapRange(page, LONG - 2 * page);
    const reason = await ended;
    assert(reason === undefined || reason instanceof MMapError, String(reason));
    assertEquals(map.read(4), utf8("kept"));
    // Pages that were given back stay given back.
    assertEquals(areaAt(map.addr + BigInt(LONG / 2)).bytes("Rss"), 0);
  });
  test("mprotect() ends it in an error, or lets it be", { skip }, async () => {
    using map = MemoryMap.createAnonymous(LONG);
    const ended = reasonOf(map.prefaultAsync());
    map.mprotect(PROT_NONE);
    const reason = await ended;
    assert(reason === undefined || reason instanceof MMapError, String(reason));
  });
  test("a file that is cut ends it in an error", { skip: skipFaultIn }, async () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("data"), LONG);
    using map = MemoryMap.open(path, { mode: "r+" });
    const ended = reasonOf(map.prefaultAsync());
    fs.truncateSync(path, page);
    const reason = await ended;
    assert(reason instanceof MMapFaultError, String(reason));
    assertEquals(reason.code, "EFAULT");
  });
  test("reading and writing go on", { skip }, async () => {
    using map = MemoryMap.createAnonymous(LONG);
    const faulting = map.prefaultAsync();
    for (let at = 0; at < LONG; at += 16 * MiB) map.write("x", at);
    await faulting;
    for (let at = 0; at < LONG; at += 16 * MiB) assertEquals(map.read(1, at), utf8("x"));
  });
});

describe("an AbortSignal", () => {
  const signals: [string, () => { signal: AbortSignal; reason: unknown }][] = [
    ["without a reason", () => {
      const signal = AbortSignal.abort();
      return { signal, reason: signal.reason };
    }],
    ["with an error", () => {
      const reason = new TypeError("enough");
      return { signal: AbortSignal.abort(reason), reason };
    }],
    ["with any other value", () => ({ signal: AbortSignal.abort("enough"), reason: "enough" })],
  ];
  for (const [name, make] of signals) {
    test(`that was aborted before, ${name}, rejects with its reason and nothing happens`, {
      skip: skipFaultIn,
    }, async () => {
      const { signal, reason } = make();
      using map = MemoryMap.createAnonymous(8 * page);
      map.hint("noHugePages");
      assertStrictEquals(await reasonOf(map.prefaultAsync(0, 8 * page, { signal })), reason);
      assertEquals(pagesIn(map), "........");
      assertStrictEquals(await reasonOf(map.msyncAsync(MS_SYNC, 0, page, { signal })), reason);
      const before = ownBytes("VmRSS");
      const creating = MemoryMap.createAnonymousAsync(LONG, READ_WRITE, PRIVATE, { signal });
      assertStrictEquals(await reasonOf(creating), reason);
      assert(ownBytes("VmRSS") - before < LONG / 2);
      await map.prefaultAsync();
      assertEquals(pagesIn(map), "########");
    });
  }
  for (const delay of [0, 15]) {
    test(`aborted after ${delay} ms ends prefaultAsync() early, and the map stays usable`, {
      skip: skipFaultIn,
    }, async () => {
      using map = MemoryMap.createAnonymous(2 * LONG);
      map.hint("noHugePages");
      map.write("kept");
      const aborter = new AbortController();
      const reason = new Error("enough");
      const ended = reasonOf(map.prefaultAsync(0, 2 * LONG, { signal: aborter.signal }));
      setTimeout(() => aborter.abort(reason), delay);
      assertStrictEquals(await ended, reason);
      assert(map.stats().resident < 2 * LONG);
      assertEquals([map.isValid, map.size], [true, 2 * LONG]);
      assertEquals(map.read(4), utf8("kept"));
      map.resize(10 * page);
      await map.prefaultAsync();
    });
  }
  test("aborted in the middle ends createAnonymousAsync(), and gives the memory back", {
    skip: skipFaultIn,
  }, async () => {
    const size = 4 * LONG;
    const before = ownBytes("VmSize");
    const aborter = new AbortController();
    const creating = MemoryMap.createAnonymousAsync(size, READ_WRITE, PRIVATE, {
      signal: aborter.signal,
    });
    setTimeout(() => aborter.abort(), 20);
    const reason = await reasonOf(creating);
    assertEquals((reason as Error)?.name, "AbortError");
    assert(ownBytes("VmSize") - before < size / 2);
  });
  test("that times out ends msyncAsync()", { skip: firstReason(skip, skipInMemory) }, async () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data"), { mode: "w+", size: 256 * MiB });
    map.fill(1);
    const reason = await reasonOf(
      map.msyncAsync(MS_SYNC, 0, map.size, { signal: AbortSignal.timeout(5) }),
    );
    assertEquals((reason as Error)?.name, "TimeoutError");
    map.write("usable");
  });
  test("aborted afterwards does nothing", async () => {
    const aborter = new AbortController();
    using map = await MemoryMap.createAnonymousAsync(page, READ_WRITE, PRIVATE, {
      signal: aborter.signal,
    });
    aborter.abort();
    map.write("usable");
    assertEquals(map.isValid, true);
  });
  test("of one operation leaves the others alone", { skip: skipFaultIn }, async () => {
    using map = MemoryMap.createAnonymous(LONG);
    map.hint("noHugePages");
    const aborter = new AbortController();
    const first = reasonOf(map.prefaultAsync(0, LONG, { signal: aborter.signal }));
    const second = map.prefaultAsync(0, LONG);
    aborter.abort();
    assertEquals((await first as Error)?.name, "AbortError");
    await second;
    assertEquals(map.stats().resident, LONG);
  });
});

test("operations in the background run side by side", { skip }, async () => {
  using dir = tempDir();
  const sizes = Array.from({ length: 12 }, (_, i) => (i + 1) * 3 * MiB + i * page);
  const maps = await Promise.all(
    sizes.map((size, i) =>
      i % 2 === 0
        ? MemoryMap.createAnonymousAsync(size)
        : MemoryMap.openAsync(dir.file(`${i}`), { mode: "w+", size, populate: true })
    ),
  );
  for (const [i, map] of maps.entries()) map.fill(i);
  await Promise.all(maps.flatMap((map) => [map.msyncAsync(), map.prefaultAsync()]));
  for (const [i, map] of maps.entries()) {
    assertEquals([map.size, map.count(i)], [sizes[i], sizes[i]]);
    map.close();
    if (i % 2 === 1) assertEquals(fileBytes(dir.file(`${i}`))[sizes[i]! - 1], i);
  }
});

describe("a process that has worked in the background ends by itself:", () => {
  const programs: [string, string][] = [
    ["work and close", `${128 * MiB}`],
    ["work and leave open", `${128 * MiB}`],
    ["abort", "enough"],
    ["close in the middle", "MMapClosedError"],
    ["many at once", "0"],
    ["do not wait", "not waited\nfaulted in"],
  ];
  for (const [name, output] of programs) {
    test(name, { skip: firstReason(skipOnWindows, skipWithoutChildren()) }, async () => {
      const { status, stdout, stderr } = await runFixture("paging_exit.ts", { args: [name] });
      assertEquals([status, stdout.trim()], [0, output], stderr);
    });
  }
});

test("a map that nobody keeps is not collected before its work in the background is over", {
  skip: firstReason(skip, skipWithoutChildren()),
}, async () => {
  const { ended, left } = await fixtureResult<{ ended: string[]; left: number }>(
    "paging_dropped.ts",
  );
  assertEquals([ended, left], [["done", "done", "done"], 0]);
});
