/** `MemoryMap.share()` and `MemoryMap.attach()`: one map in several threads of a process. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  type MapHandle,
  MemoryMap,
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_READ,
} from "../mod.ts";
import { platform } from "../src/ffi/host.ts";
import {
  assertRefused,
  countDescriptors,
  descriptorsOf,
  fileBytes,
  firstReason,
  fixtureResult,
  mappingAt,
  mappings,
  mappingsOf,
  pattern,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";
import {
  eventually,
  freshName,
  namePrefix,
  skipWithoutThreadNumbers,
  startWorker,
} from "./helpers_workers.ts";

const page = pageSize();
const skipFiles = skipWithoutProc;

/** What a Worker says of a map that it has attached. */
type Attached = Pick<MemoryMap, "addr" | "size" | "prot" | "offset" | "path" | "name">;

/** How `/proc` spells a memfd. */
const memfdFile = (name: string): string => `/memfd:${name} (deleted)`;

describe("MemoryMap.share()", () => {
  test("gives a handle that is small, whatever the size of the map, and can be cloned", () => {
    using map = MemoryMap.createAnonymous(2 ** 30);
    const handle = map.share();
    assert(handle.record.byteLength <= page, `${handle.record.byteLength} bytes`);
    const clone = structuredClone(handle);
    assertEquals(Object.keys(clone).sort(), Object.keys(handle).sort());
    using other = MemoryMap.attach(clone);
    assertEquals([other.addr, other.size], [map.addr, map.size]);
  });
  test("gives handles of one mapping, however often it is called", () => {
    using map = MemoryMap.createAnonymous(page);
    assertStrictEquals(map.share().record, map.share().record);
  });
  test("opens one descriptor for all holders of a file", { skip: skipFiles }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path);
    map.share();
    using _other = MemoryMap.attach(map.share());
    assertEquals(descriptorsOf(path).length, 2);
  });
  test("throws when the map is closed", () => {
    const map = MemoryMap.createAnonymous(page);
    map.close();
    assertRefused(() => map.share(), MMapClosedError, "Cannot share");
  });
  test("throws when parts of the map differ in protection", () => {
    using map = MemoryMap.createAnonymous(2 * page);
    map.mprotect(PROT_READ, 0, page);
    assertRefused(() => map.share(), MMapInvalidParameterError, "mprotect()");
  });
  test("throws when a part was unmapped", () => {
    using map = MemoryMap.createAnonymous(16 * page);
    map.unmapRange(0, map.size);
    assertRefused(() => map.share(), MMapInvalidParameterError, "unmapRange()");
  });
});

describe("MemoryMap.attach() in a Worker", () => {
  test("gives the same memory: both see what the other writes", async () => {
    await using worker = startWorker();
    using map = MemoryMap.createAnonymous(page);
    map.write("from main");
    const { addr } = await worker.ask<Attached>({ do: "attach", handle: map.share() });
    assertEquals(addr, map.addr);
    assertEquals(await worker.ask({ do: "read", length: 9 }), "from main");
    await worker.ask({ do: "write", text: "from the Worker", offset: 100 });
    assertEquals(map.read(15, 100), utf8("from the Worker"));
    await worker.ask({ do: "close" });
  });
  test("carries size, protection, place, path and name", async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", pattern(5000));
    using map = MemoryMap.open(path, { mode: "r", offset: 4097, size: 700, name: "part" });
    assertEquals(await worker.ask<Attached>({ do: "attach", handle: map.share() }), {
      addr: map.addr,
      size: 700,
      prot: PROT_READ,
      offset: 4097,
      path,
      name: "part",
    });
    await assertRejects(() => worker.ask({ do: "write", text: "x" }), Error, "PROT_WRITE");
    await worker.ask({ do: "close" });
  });
  test("of a file: what the Worker writes is in the file", async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path, { mode: "r+" });
    await worker.ask({ do: "attach", handle: map.share() });
    map.close();
    await worker.ask({ do: "write", text: "Worker", offset: 10 });
    await worker.ask({ do: "close" });
    assertEquals(fileBytes(path).subarray(10, 16), utf8("Worker"));
  });
  test("of a copy-on-write map: both see the copy, the file keeps its bytes", async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", "original");
    using map = MemoryMap.open(path, { mode: "c" });
    map.write("changed!");
    await worker.ask({ do: "attach", handle: map.share() });
    assertEquals(await worker.ask({ do: "read", length: 8 }), "changed!");
    assertEquals(fs.readFileSync(path, "utf8"), "original");
    await worker.ask({ do: "close" });
  });
  test("goes on when the thread that shared it closes; the last one unmaps", {
    skip: firstReason(skipOutsideLinux, skipWithoutProc),
  }, async () => {
    await using worker = startWorker();
    const name = freshName();
    const map = MemoryMap.createMemfd(4 * page, { name });
    const view = map.bytes;
    map.write("still here");
    await worker.ask({ do: "attach", handle: map.share() });
    map.close();
    assertEquals(view.length, 0);
    assertEquals(mappingsOf(memfdFile(name)).length, 1);
    assertEquals(await worker.ask({ do: "read", length: 10 }), "still here");
    await worker.ask({ do: "write", text: "and writable" });
    await worker.ask({ do: "close" });
    assertEquals(mappingsOf(memfdFile(name)), []);
    assertEquals(descriptorsOf(memfdFile(name)), []);
  });
  test("goes on in the thread that shared it when the Worker closes", async () => {
    await using worker = startWorker();
    using map = MemoryMap.createAnonymous(4 * page);
    const view = map.bytes;
    await worker.ask({ do: "attach", handle: map.share() });
    assertEquals(await worker.ask({ do: "view" }), 4 * page);
    await worker.ask({ do: "close" });
    assertEquals(await worker.ask({ do: "viewLength" }), 0);
    view.fill(7);
    assertEquals([view.length, map.count(7)], [4 * page, 4 * page]);
  });
  test("forbids resize(), mprotect() and unmapRange() to every holder meanwhile", async () => {
    await using worker = startWorker();
    using map = MemoryMap.createAnonymous(16 * page);
    await worker.ask({ do: "attach", handle: map.share() });
    const calls = [
      () => map.resize(32 * page),
      () => map.mprotect(PROT_READ),
      () => map.unmapRange(0, map.size),
    ];
    for (const call of calls) assertRefused(call, MMapInvalidParameterError, "threads", "close");
    await assertRejects(() => worker.ask({ do: "resize", size: page }), Error, "threads");
    const view = map.bytes;
    await worker.ask({ do: "write", text: "x" });
    assertEquals([view.length, view[0]], [16 * page, 0x78]);
    await worker.ask({ do: "close" });
    for (const call of calls) call();
    assertEquals([map.size, map.prot], [32 * page, PROT_READ]);
  });
  test("with a handle from before a resize() gives the map as it is now", async () => {
    await using worker = startWorker();
    using map = MemoryMap.createAnonymous(page);
    const handle = map.share();
    map.resize(1000 * page);
    map.mprotect(PROT_READ);
    const { addr, size, prot } = await worker.ask<Attached>({ do: "attach", handle });
    assertEquals([addr, size, prot], [map.addr, 1000 * page, PROT_READ]);
    await worker.ask({ do: "close" });
  });
  test("throws when the map was taken apart after share()", () => {
    using map = MemoryMap.createAnonymous(16 * page);
    const handle = map.share();
    map.mprotect(PROT_READ, 0, map.pageSize);
    assertRefused(() => MemoryMap.attach(handle), MMapInvalidParameterError, "protection");
    map.mprotect(PROT_READ);
    using other = MemoryMap.attach(handle);
    assertEquals(other.prot, PROT_READ);
    assertRefused(() => other.write("x"), MMapProtectionError, "PROT_WRITE");
  });
  test("lets the last holder truncate the file", async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(3 * page));
    const map = MemoryMap.open(path, { mode: "r+", truncateOnClose: 100 });
    await worker.ask({ do: "attach", handle: map.share() });
    map.close();
    assertEquals(fs.statSync(path).size, 3 * page);
    await worker.ask({ do: "write", text: "end", offset: 3 * page - 3 });
    await worker.ask({ do: "close" });
    assertEquals(fs.statSync(path).size, 100);
  });
  test("keeps the lock of the file until the last holder closes", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    const map = MemoryMap.open(path, { mode: "r+", lock: "exclusive" });
    const other = MemoryMap.attach(map.share());
    map.close();
    const error = assertRefused(
      () => MemoryMap.open(path, { mode: "r+", lock: "exclusive" }),
      MMapError,
      "exclusive",
    );
    assertEquals(error.code, "EWOULDBLOCK");
    other.close();
    MemoryMap.open(path, { mode: "r+", lock: "exclusive" }).close();
  });
  test("passes on: a Worker's holder count includes those of its own thread", () => {
    const map = MemoryMap.createAnonymous(page);
    const second = MemoryMap.attach(map.share());
    const third = MemoryMap.attach(second.share());
    map.write("chain");
    map.close();
    second.close();
    assertEquals(third.read(5), utf8("chain"));
    third.close();
    assertRefused(() => third.share(), MMapClosedError);
  });
  test("of an empty file gives an empty map", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""));
    using other = MemoryMap.attach(map.share());
    assertEquals([other.size, other.bytes.length], [0, 0]);
  });
});

describe("MemoryMap.attach() throws", () => {
  test("when all who held the map have closed it", async () => {
    await using worker = startWorker();
    const map = MemoryMap.createAnonymous(page);
    const handle = map.share();
    const other = MemoryMap.attach(handle);
    map.close();
    other.close();
    assertRefused(() => MemoryMap.attach(handle), MMapClosedError, "share it again");
    const refused = await assertRejects(() => worker.ask({ do: "attach", handle }), Error);
    assertEquals(refused.name, "MMapClosedError");
  });
  test("when the handle went to another process", {
    skip: skipWithoutChildren(),
  }, async () => {
    using map = MemoryMap.createAnonymous(page);
    const { name, message } = await fixtureResult<Error>("attach_json.ts", {
      args: [JSON.stringify(map.share())],
    });
    assertEquals(name, "MMapInvalidParameterError");
    assert(message.includes("createNamed()"), message);
  });

  using sample = MemoryMap.createAnonymous(page);
  const good = sample.share();
  const scribbled = good.record.slice();
  new Int32Array(scribbled)[0] = 0;
  const malformed: Record<string, unknown> = {
    "undefined": undefined,
    "null": null,
    "a number": 5,
    "a text": "mman map",
    "an object": {},
    "a map": MemoryMap.prototype,
    "another kind": { ...good, kind: "map" },
    "no record": { ...good, record: undefined },
    "a record of a plain ArrayBuffer": { ...good, record: new ArrayBuffer(2080) },
    "a record of four bytes": { ...good, record: new SharedArrayBuffer(4) },
    "a record of zeros": { ...good, record: new SharedArrayBuffer(good.record.byteLength) },
    "a record that was overwritten": { ...good, record: scribbled },
    "a typed array for a record": { ...good, record: new Int32Array(good.record) },
    "a path that is no text": { ...good, path: 5 },
    "a name that is no text": { ...good, name: {} },
  };
  for (const [what, handle] of Object.entries(malformed)) {
    test(`when the handle is ${what}`, () => {
      assertRefused(
        () => MemoryMap.attach(handle as MapHandle),
        MMapInvalidParameterError,
        "Cannot attach",
      );
    });
  }
});

describe("MemoryMap.attach() throws when the memory of the handle", () => {
  const another = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const refuses = (map: MemoryMap, memory: unknown): void => {
    const handle = { ...map.share(), memory: memory as WebAssembly.Memory };
    assertRefused(() => MemoryMap.attach(handle), MMapInvalidParameterError, "was changed");
    map.mprotect(PROT_READ); // nobody else holds it
  };
  test("is none", () => {
    using map = MemoryMap.createAnonymous(4096);
    refuses(map, {});
  });
  test("was not there", () => {
    using map = MemoryMap.createAnonymous(4096);
    refuses(map, another);
  });
  test("is lost, or another", {
    skip: platform().mapOver === undefined && "needs sharedBuffer",
  }, () => {
    using map = MemoryMap.createAnonymous(4096, undefined, undefined, { sharedBuffer: true });
    refuses(map, undefined);
    refuses(map, another);
  });
});

describe("A Worker terminated without closing its map", { skip: skipWithoutThreadNumbers }, () => {
  test("holds it no longer: resize() works again", async () => {
    const worker = startWorker();
    using map = MemoryMap.createMemfd(page);
    await worker.ask({ do: "attach", handle: map.share() });
    await worker.ask({ do: "write", text: "kept" });
    assertRefused(() => map.resize(2 * page), MMapInvalidParameterError);
    await worker.terminate();
    map.resize(2 * page);
    assertEquals(map.read(4), utf8("kept"));
  });
  test("does not keep the memory of a map that is closed later", async () => {
    const worker = startWorker();
    const name = freshName();
    const map = MemoryMap.createMemfd(page, { name });
    await worker.ask({ do: "attach", handle: map.share() });
    await worker.terminate();
    map.close();
    assertEquals(mappingsOf(memfdFile(name)), []);
    assertEquals(descriptorsOf(memfdFile(name)), []);
  });
  test("nor of one that was closed before: the next share() or close() gives it back", async () => {
    const worker = startWorker();
    const name = freshName();
    const map = MemoryMap.createMemfd(page, { name });
    await worker.ask({ do: "attach", handle: map.share() });
    map.close();
    assertEquals(mappingsOf(memfdFile(name)).length, 1);
    await worker.terminate();
    using another = MemoryMap.createAnonymous(page);
    another.share();
    assertEquals(mappingsOf(memfdFile(name)), []);
    assertEquals(descriptorsOf(memfdFile(name)), []);
  });
  test("and by whom it had been closed elsewhere: the last one gives it back", async () => {
    const [first, second] = [startWorker(), startWorker()];
    const name = freshName();
    const map = MemoryMap.createMemfd(page, { name });
    await first.ask({ do: "attach", handle: map.share() });
    await second.ask({ do: "attach", handle: map.share() });
    map.close();
    await first.terminate();
    assertEquals(await second.ask({ do: "write", text: "alone" }), 5);
    await second.ask({ do: "close" });
    await second.terminate();
    assertEquals(mappingsOf(memfdFile(name)), []);
    assertEquals(descriptorsOf(memfdFile(name)), []);
  });
  test("lets a view that it had transferred show zeros, never foreign memory", async () => {
    const worker = startWorker();
    const name = freshName();
    using map = MemoryMap.createMemfd(page, { name });
    map.write("secret");
    await worker.ask({ do: "attach", handle: map.share() });
    const stray = new Uint8Array(await worker.ask<ArrayBuffer>({ do: "transfer" }));
    assertEquals(stray.subarray(0, 6), utf8("secret"));
    await worker.terminate();
    const at = map.addr;
    map.resize(1000 * page);
    assertEquals([stray.length, stray[0], stray[page - 1]], [page, 0, 0]);
    assertEquals(mappingAt(at)?.path, "");
    assertEquals(map.read(6), utf8("secret"));
  });
  test("forty times leaves nothing behind", async () => {
    const name = freshName();
    using map = MemoryMap.createMemfd(page, { name });
    const handle = map.share();
    for (let i = 0; i < 10; i++) {
      const workers = Array.from({ length: 4 }, () => startWorker());
      await Promise.all(workers.map((worker) => worker.ask({ do: "attach", handle })));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    assert(
      await eventually(() => {
        try {
          map.resize(map.size + page);
          return true;
        } catch (error) {
          if (error instanceof MMapInvalidParameterError) return false;
          throw error;
        }
      }),
    );
    assertEquals([mappingsOf(memfdFile(name)).length, descriptorsOf(memfdFile(name)).length], [
      1,
      2,
    ]);
  });
});

describe("10,000 attach and detach cycles by Workers", {
  skip: firstReason(skipOutsideLinux, skipWithoutProc),
}, () => {
  /** Four Workers attach and close a map, all at once. */
  async function cycle(map: MemoryMap): Promise<void> {
    const workers = Array.from({ length: 4 }, () => startWorker());
    map.bytes[0] = 1;
    // 5,000 cycles.
    const sums = await Promise.all(
      workers.map((worker) => worker.ask({ do: "cycles", handle: map.share(), count: 1250 })),
    );
    await Promise.all(workers.map((worker) => worker.terminate()));
    assertEquals(sums, [1250, 1250, 1250, 1250]);
  }
  test("leave nothing behind: descriptors, mappings, names", async () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    const [file, name] = [MemoryMap.open(path, { mode: "r+" }), freshName()];
    await cycle(file); // a first time, for what the runtime keeps for later Workers
    const before = { descriptors: countDescriptors(), areas: mappings().length };
    const named = MemoryMap.createNamed(name, page);
    await cycle(named);
    await cycle(file);
    file.close();
    named.close();
    MemoryMap.unlinkNamed(name);
    assertEquals(descriptorsOf(path), []);
    assertEquals(mappingsOf(path), []);
    assertEquals(mappings().filter(({ path }) => path.includes(namePrefix)), []);
    assertEquals(fs.readdirSync("/dev/shm").filter((entry) => entry.startsWith(name)), []);
    // The threads of Workers, with what belongs to them, go a moment after terminate().
    await eventually(() => countDescriptors() <= before.descriptors + 5);
    assert(countDescriptors() <= before.descriptors + 5, `${countDescriptors()} descriptors`);
    assert(mappings().length <= before.areas + 200, `${mappings().length} areas`);
  });
});
