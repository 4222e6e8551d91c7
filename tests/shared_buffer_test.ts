/**
 * `sharedBuffer: true`: a map whose buffer is a true SharedArrayBuffer, for Workers, `Atomics.wait` and
 * WebAssembly.
 */
import { describe, test } from "node:test";
import fs from "node:fs";
import { assertEquals, assertInstanceOf, assertMatch, assertStrictEquals } from "@std/assert";
import {
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
  type OpenOptions,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type SharedMemoryMap,
} from "../mod.ts";
import {
  assertRefused,
  descriptorsOf,
  fileBytes,
  firstReason,
  fixtureResult,
  mappingAt,
  mappingsOf,
  pattern,
  runtimeName,
  type Skip,
  skipEmulated,
  skipOnWindows,
  skipWithoutChildren,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";
import { skipOutsideLinux, sparseFile } from "./helpers_paging.ts";
import { bump32, bump64, hasMemory64 } from "./helpers_wasm.ts";
import { freshName, startWorker } from "./helpers_workers.ts";

const page = pageSize();
const skip: Skip = skipOnWindows;
const skipProc = firstReason(skipOutsideLinux, skipWithoutProc);
const GIB = 2 ** 30;

/** The map's words as a true SharedArrayBuffer has them. */
function words(map: SharedMemoryMap): Int32Array<SharedArrayBuffer> {
  assertInstanceOf(map.buffer, SharedArrayBuffer);
  return new Int32Array(map.buffer, map.wasmOffset, map.size >> 2);
}

describe("MemoryMap.buffer with sharedBuffer", { skip }, () => {
  const kinds: Record<string, (path: string) => MemoryMap> = {
    "an anonymous map": () =>
      MemoryMap.createAnonymous(3 * page, undefined, undefined, { sharedBuffer: true }),
    "a file": (path) => MemoryMap.open(path, { mode: "r+", sharedBuffer: true }),
    "a file read only": (path) => MemoryMap.open(path, { sharedBuffer: true }),
    "a file, copy on write": (path) => MemoryMap.open(path, { mode: "c", sharedBuffer: true }),
    "part of a file": (path) =>
      MemoryMap.open(path, { mode: "r+", sharedBuffer: true, offset: 100, size: 5000 }),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    test(`is a SharedArrayBuffer: ${kind}`, () => {
      using dir = tempDir();
      using map = make(dir.file("data", pattern(3 * page)));
      assertInstanceOf(map.buffer, SharedArrayBuffer);
      assertStrictEquals(map.buffer, map.wasmMemory?.buffer);
      assertStrictEquals(map.wasmOffset, map.bytes.byteOffset);
      assertEquals(map.bytes.length, map.size);
      const { offset, size, path } = map;
      if (path === undefined) assertEquals(map.count(0), size);
      else assertEquals(map.bytes.slice(), pattern(3 * page).subarray(offset, offset + size));
    });
  }
  test("is one of a memfd and of named memory, too", { skip: skipOutsideLinux }, () => {
    const name = freshName();
    using memfd = MemoryMap.createMemfd(page, { sharedBuffer: true });
    using named = MemoryMap.createNamed(name, page, { sharedBuffer: true, owned: true });
    using opened = MemoryMap.openNamed(name, { sharedBuffer: true });
    Atomics.store(words(named), 5, 77);
    assertEquals([words(memfd)[5], words(opened)[5]], [0, 77]);
  });
  test("is one of openAsync() and createAnonymousAsync(), too", async () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(page));
    using file = await MemoryMap.openAsync(path, { sharedBuffer: true });
    using anonymous = await MemoryMap.createAnonymousAsync(page, undefined, undefined, {
      sharedBuffer: true,
    });
    for (const map of [file, anonymous]) assertInstanceOf(map.buffer, SharedArrayBuffer);
  });
  test("is typed as one where the option is true, and as either where it may be", () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(page));
    using map = MemoryMap.open(path, { sharedBuffer: true });
    const shared: SharedArrayBuffer = map.buffer;
    const options: OpenOptions = { sharedBuffer: true };
    using perhaps: MemoryMap = MemoryMap.open(path, options);
    const either: ArrayBuffer | SharedArrayBuffer = perhaps.buffer;
    for (const buffer of [shared, either]) assertInstanceOf(buffer, SharedArrayBuffer);
  });
  test("is none without the option, and there is no wasmMemory", () => {
    using map = MemoryMap.createAnonymous(page);
    assertInstanceOf(map.buffer, ArrayBuffer);
    assertEquals([map.wasmMemory, map.wasmOffset], [undefined, undefined]);
  });
  test("has the file's bytes: what is stored in it is in the file", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    Atomics.store(words(map), 1, 0x01020304);
    map.flush();
    assertEquals(fileBytes(path).subarray(4, 8), new Uint8Array([4, 3, 2, 1]));
  });
  test("sees what others write into the file", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path, { sharedBuffer: true });
    using writer = MemoryMap.open(path, { mode: "r+" });
    writer.write("later", 10);
    assertEquals(map.read(5, 10), utf8("later"));
  });
  test("of a copy-on-write map keeps changes from the file", () => {
    using dir = tempDir();
    const path = dir.file("data", "original");
    using map = MemoryMap.open(path, { mode: "c", sharedBuffer: true });
    map.bytes.set(utf8("changed!"));
    assertEquals(map.read(8), utf8("changed!"));
    assertEquals(fs.readFileSync(path, "utf8"), "original");
  });
  test("maps the pages of the file, not a copy", { skip: skipProc }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(3 * page));
    using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    const [area, ...others] = mappingsOf(path);
    assertEquals([area?.start, area?.access, others.length], [map.addr, "rw-s", 0]);
  });
  test("of an empty file is empty", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("empty", ""), { sharedBuffer: true });
    assertInstanceOf(map.buffer, SharedArrayBuffer);
    assertEquals([map.size, map.bytes.length], [0, 0]);
  });
});

describe("A posted SharedArrayBuffer", { skip }, () => {
  test("is the same memory in a Worker, and the file's", async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(2 * page));
    // From an offset that no page begins at.
    using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true, offset: 100 });
    assertEquals(await worker.ask({ do: "take", bytes: map.bytes }), true);
    await worker.ask({ do: "set", index: 3, value: 0x41424344 });
    assertEquals(words(map)[3], 0x41424344);
    map.flush();
    assertEquals(fileBytes(path).subarray(112, 116), utf8("DCBA"));
  });
  test("wakes a Worker in Atomics.wait()", async () => {
    await using worker = startWorker();
    using map = MemoryMap.createAnonymous(page, undefined, undefined, { sharedBuffer: true });
    const shared = words(map);
    await worker.ask({ do: "take", bytes: map.bytes });
    assertEquals(
      await worker.ask({ do: "wait", index: 0, value: 1, limit: 10_000 }),
      "not-equal",
    );
    assertEquals(await worker.ask({ do: "wait", index: 0, value: 0, limit: 1 }), "timed-out");
    const woken = worker.ask({ do: "wait", index: 0, value: 0, limit: 10_000 });
    while (Atomics.notify(shared, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals(await woken, "ok");
  });
  test("is woken by a Worker in Atomics.waitAsync()", {
    skip: "waitAsync" in Atomics ? false : "needs Atomics.waitAsync()",
  }, async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    await worker.ask({ do: "take", bytes: map.bytes });
    const wait = Atomics.waitAsync(words(map), 7, 0, 10_000);
    assertEquals(wait.async, true);
    assertEquals(await worker.ask({ do: "notify", index: 7 }), 1);
    assertEquals(await wait.value, "ok");
  });
  test("stays whole in the Worker after close(): it shows zeros and takes writes", async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", pattern(page));
    const map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    const shared = words(map);
    await worker.ask({ do: "take", bytes: map.bytes });
    map.close();
    await worker.ask({ do: "set", index: 3, value: 5 });
    assertEquals([...shared.subarray(0, 5)], [0, 0, 0, 5, 0]);
    assertEquals(fileBytes(path), new Uint8Array(pattern(page)));
  });
  test("goes with a handle: the Worker's map has the memory, too", async () => {
    await using worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    const map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    const shared = words(map);
    await worker.ask({ do: "attach", handle: map.share() });
    assertEquals(await worker.ask({ do: "wasmSize" }), 65536);
    map.close(); // the Worker goes on
    await worker.ask({ do: "write", text: "ABCD" });
    assertEquals([shared[0], fileBytes(path)[0]], [0x44434241, 0x41]);
    await worker.ask({ do: "close" }); // the last one leaves zeros
    assertEquals([shared[0], fileBytes(path)[0]], [0, 0x41]);
  });
});

describe("MemoryMap.wasmMemory", { skip }, () => {
  test("lets a module compute on the mapped file in place", () => {
    using dir = tempDir();
    const values = Uint32Array.from({ length: 10_000 }, (_, i) => i);
    const path = dir.file("data", new Uint8Array(values.buffer));
    using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    const sum = bump32(map.wasmMemory!)(map.wasmOffset!, values.length);
    assertEquals(sum, 9999 * 5000);
    map.flush();
    const after = new Uint32Array(new Uint8Array(fs.readFileSync(path)).buffer);
    assertEquals(after, values.map((value) => value + 1));
  });
  test("from wasmOffset on, for a part of the file that begins anywhere", () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(3 * page).fill(1));
    using map = MemoryMap.open(path, {
      mode: "r+",
      sharedBuffer: true,
      offset: page + 12,
      size: 400,
    });
    assertEquals(map.wasmOffset, 12);
    assertEquals(bump32(map.wasmMemory!)(map.wasmOffset!, 100), 100 * 0x01010101 | 0);
    map.flush();
    const changed = [...fileBytes(path)].flatMap((byte, i) => byte === 1 ? [] : [i]);
    assertEquals(changed, Array.from({ length: 100 }, (_, i) => page + 12 + 4 * i));
  });
  test("is undefined after close(), and a module that has it finds zeros", () => {
    using map = MemoryMap.createAnonymous(page, undefined, undefined, { sharedBuffer: true });
    words(map).fill(3);
    const bump = bump32(map.wasmMemory!);
    assertEquals(bump(0, 100), 300);
    map.close();
    assertEquals([map.wasmMemory, map.wasmOffset], [undefined, undefined]);
    assertEquals(bump(0, 100), 0);
  });
  test("reaches 4 GiB", { skip: firstReason(skipEmulated, skipOutsideLinux) }, () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("large"), 4 * GIB, { [4 * GIB - 4]: "\x29\0\0\0" });
    using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    assertEquals([map.size, map.bytes.length], [4 * GIB, 4 * GIB]);
    assertEquals(bump32(map.wasmMemory!)(4 * GIB - 4, 1), 41);
    map.flush(4 * GIB - page, page);
    assertEquals(map.read(1, 4 * GIB - 4), new Uint8Array([42]));
    const fd = fs.openSync(path, "r");
    const last = new Uint8Array(4);
    fs.readSync(fd, last, 0, 4, 4 * GIB - 4);
    fs.closeSync(fd);
    assertEquals(last, new Uint8Array([42, 0, 0, 0]));
  });
  test("reaches beyond 4 GiB through memory64", {
    skip: firstReason(
      hasMemory64 ? false : "needs an engine with memory64",
      skipEmulated,
      skipOutsideLinux,
    ),
  }, () => {
    using dir = tempDir();
    const at = 5 * GIB - 8;
    const path = sparseFile(dir.file("large"), 5 * GIB, { [at]: "\x29\0\0\0" });
    using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    assertInstanceOf(map.buffer, SharedArrayBuffer);
    assertEquals(bump64(map.wasmMemory!)(BigInt(map.wasmOffset! + at), 1), 41);
    using check = MemoryMap.open(path, { offset: at });
    assertEquals(check.read(4), new Uint8Array([42, 0, 0, 0]));
  });
  test("is refused, with the limit, where the engine has no memory so large", {
    skip: firstReason(skipEmulated, skipOutsideLinux),
  }, () => {
    using dir = tempDir();
    const path = sparseFile(dir.file("large"), 2 ** 40);
    assertRefused(
      () => MemoryMap.open(path, { sharedBuffer: true }),
      MMapInvalidParameterError,
      "4 GiB",
      "sharedBuffer",
    );
    assertEquals(descriptorsOf(path), []);
  });
});

describe("MemoryMap with sharedBuffer", { skip }, () => {
  test("close() leaves zero pages in its place, never a hole", { skip: skipProc }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(40 * page));
    const map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    const [at, bytes] = [map.addr, map.bytes];
    map.close();
    assertEquals(mappingsOf(path), []);
    assertEquals(descriptorsOf(path), []);
    for (const place of [at, at + BigInt(39 * page)]) {
      const area = mappingAt(place);
      assertEquals([area?.access.slice(0, 2), area?.path], ["rw", ""]);
    }
    assertEquals([bytes.length, bytes.every((byte) => byte === 0)], [40 * page, true]);
    bytes.fill(9);
    assertEquals(fileBytes(path), new Uint8Array(pattern(40 * page)));
  });
  test("close() of a read-only map leaves pages that can be written", () => {
    using dir = tempDir();
    const map = MemoryMap.open(dir.file("data", pattern(page)), { sharedBuffer: true });
    const { bytes } = map;
    map.close();
    bytes[0] = 1;
    assertEquals([bytes[0], bytes[1]], [1, 0]);
    assertRefused(() => map.bytes, MMapClosedError, "closed");
  });
  test("throws from resize() and unmapRange(), and stays as it is", () => {
    using map = MemoryMap.createAnonymous(16 * page, undefined, undefined, { sharedBuffer: true });
    const { bytes } = map;
    bytes[0] = 1;
    for (const call of [() => map.resize(page), () => map.unmapRange(0, map.size)]) {
      assertRefused(call, MMapInvalidParameterError, "sharedBuffer", "close");
    }
    assertEquals([map.size, bytes.length, bytes[0]], [16 * page, 16 * page, 1]);
  });
  test("write() is refused when it is read only", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", pattern(page)), { sharedBuffer: true });
    assertRefused(() => map.write("x"), MMapProtectionError, "PROT_WRITE");
  });
  test("mprotect() cannot make it writable when it is read only", () => {
    using dir = tempDir();
    const path = dir.file("data", "original");
    using map = MemoryMap.open(path, { sharedBuffer: true });
    assertRefused(
      () => map.mprotect(PROT_READ | PROT_WRITE),
      MMapProtectionError,
      "PROT_WRITE",
      "r+",
    );
    assertRefused(() => map.write("x"), MMapProtectionError);
    map.mprotect(PROT_NONE);
    map.mprotect(PROT_READ);
    assertEquals(map.read(8), utf8("original"));
  });
  for (const mode of ["r", "r+", "c"]) {
    const refused = mode === "r+" && runtimeName === "bun"; // it would overwrite the file
    test(
      `of mode "${mode}" may be left open by Workers that are terminated, and at the end` +
        (refused ? ": refused in Workers of Bun" : ""),
      { skip: skipWithoutChildren() },
      async () => {
        using dir = tempDir();
        const path = dir.file("data", pattern(page));
        const seen = await fixtureResult<unknown[]>("shared_buffer_left_open.ts", {
          args: [path, mode],
        });
        const first = pattern(1)[0];
        assertEquals(seen.pop(), first);
        if (refused) { for (const message of seen) assertMatch(String(message), /main thread/); }
        else assertEquals(seen, Array(5).fill(first));
        assertEquals(fileBytes(path), new Uint8Array(pattern(page)));
      },
    );
  }
  test("attached by a Worker that is terminated keeps the file's bytes", async () => {
    const worker = startWorker();
    using dir = tempDir();
    const path = dir.file("data", pattern(page));
    const map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
    await worker.ask({ do: "attach", handle: map.share() });
    map.close(); // the Worker is the last holder
    await worker.terminate();
    using another = MemoryMap.createAnonymous(page);
    another.share();
    assertEquals(fileBytes(path), new Uint8Array(pattern(page)));
    if (skipProc === false) assertEquals(mappingsOf(path), []);
  });
  test("serves all that reads, writes and searches", () => {
    using map = MemoryMap.createAnonymous(100_000, undefined, undefined, { sharedBuffer: true });
    map.write("needle", 70_000);
    map.fill(0x61, 0, 1000);
    map.copyWithin(90_000, 70_000, 6);
    assertEquals([map.find("needle"), map.rfind("needle"), map.count(0x61)], [
      70_000,
      90_000,
      1000,
    ]);
    assertEquals(map.read(6, 90_000), utf8("needle"));
    const copy = new Uint8Array(6);
    assertEquals([map.readInto(copy, 70_000), copy], [6, utf8("needle")]);
    assertEquals(map.compare(utf8("needle"), 70_000, 0, 6), 0);
    assertEquals(map.asTypedArray(Float64Array, 8, 2).length, 2);
    assertEquals(map.asDataView(70_000).getUint8(0), 0x6e);
  });
  test("a thousand times leaves nothing mapped", { skip: skipProc }, () => {
    using dir = tempDir();
    const path = dir.file("data", pattern(page));
    for (let i = 0; i < 1000; i++) {
      using map = MemoryMap.open(path, { mode: "r+", sharedBuffer: true });
      if (map.bytes[0] !== pattern(1)[0]) throw new Error(`map ${i} has other bytes`);
    }
    assertEquals([mappingsOf(path), descriptorsOf(path)], [[], []]);
  });
  test("dropped and collected, gives pages and descriptor back, and later memories are zero", {
    skip: firstReason(skipProc, skipWithoutChildren()),
  }, async () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page).fill(0xaa));
    const result = await fixtureResult("shared_buffer_dropped.ts", { args: [path] });
    assertEquals(result, { mapped: true, descriptors: true, dirty: 0, kept: 0xaa });
    assertEquals(fileBytes(path), new Uint8Array(page).fill(0xaa));
  });
});
