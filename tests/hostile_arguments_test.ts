/**
 * Arguments that no call expects: of types that operators choke on, that answer differently when asked
 * again, or whose memory is gone. Found by `deno task fuzz`; each ends in an error of the contract.
 */
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  MMapError,
  MMapInvalidParameterError,
  mmapRegion,
  MS_SYNC,
  PROT_READ,
} from "../mod.ts";
import { platform } from "../src/ffi/host.ts";
import { SystemCallError } from "../src/ffi/platform.ts";
import { createNpy, MappedArray, openNpy } from "../src/ndarray/mod.ts";
import { defineRecord } from "../src/records/mod.ts";
import { assertRefused, mappingAt, type Skip, tempDir, utf8 } from "./helpers.ts";
import { memoryInfo } from "./helpers_paging.ts";

/** An object that closes a map when it is turned into a number. */
function closing(map: MemoryMap): number {
  return { valueOf: () => (map.close(), 0) } as unknown as number;
}

const calls: Readonly<Record<string, (map: MemoryMap, bad: number) => unknown>> = {
  "read() with an offset": (map, bad) => map.read(1, bad),
  "readInto() with an offset": (map, bad) => map.readInto(new Uint8Array(1), bad),
  "write() with an offset": (map, bad) => map.write("x", bad),
  "asDataView() with an offset": (map, bad) => map.asDataView(bad),
  "asDataView() with a length": (map, bad) => map.asDataView(0, bad),
  "asTypedArray() with an offset": (map, bad) => map.asTypedArray(Uint8Array, bad),
  "mprotect() with an offset": (map, bad) => map.mprotect(PROT_READ, bad),
  "mprotect() with a length": (map, bad) => map.mprotect(PROT_READ, 0, bad),
  "msync() with an offset": (map, bad) => map.msync(MS_SYNC, bad),
  "msync() with a length": (map, bad) => map.msync(MS_SYNC, 0, bad),
  "flush() with an offset": (map, bad) => map.flush(bad),
  "mlock() with an offset": (map, bad) => map.mlock(bad),
  "munlock() with a length": (map, bad) => map.munlock(0, bad),
  "hint() with an offset": (map, bad) => map.hint("normal", bad),
  "hint() with a hint": (map, bad) => map.hint(bad as never),
  "discard() with an offset": (map, bad) => map.discard(bad),
  "discard() with a length": (map, bad) => map.discard(0, bad),
  "residency() with an offset": (map, bad) => map.residency(bad),
  "prefault() with an offset": (map, bad) => map.prefault(bad),
  "fill() with an offset": (map, bad) => map.fill(0, bad),
  "compare() with an offset": (map, bad) => map.compare(new Uint8Array(1), bad),
  "compare() with an offset of the view": (map, bad) => map.compare(new Uint8Array(1), 0, bad),
  "compare() with an offset of the other map": (map, bad) => map.compare(map, 0, bad),
  "compare() with a length": (map, bad) => map.compare(new Uint8Array(1), 0, 0, bad),
  "copyWithin() with a source": (map, bad) => map.copyWithin(0, bad, 1),
  "find() with an offset": (map, bad) => map.find("x", bad),
  "rfind() with an end": (map, bad) => map.rfind("x", 0, bad),
  "readMany() with a length": (map, bad) => map.readMany([0], bad, new Uint8Array(1)),
  "prefetch() with a length": (map, bad) => map.prefetch([0], bad),
  "punchHole() with a length": (map, bad) => map.punchHole(0, bad),
  "unmapRange() with an offset": (map, bad) => map.unmapRange(bad, 1),
  "resize()": (map, bad) => map.resize(bad),
  "count() with an offset": (map, bad) => map.count(0, bad),
  "mmapRegion() with flags": (_, bad) => mmapRegion(1, undefined, bad),
  "records.at()": (map, bad) => defineRecord({ x: "u32" }).over(map).at(bad).x,
  "records.get()": (map, bad) => defineRecord({ x: "u32" }).over(map).get(bad),
  "array.row()": (map, bad) => MappedArray.over(map, { dtype: "u1", shape: [2, 2] }).row(bad),
  "array.slice()": (map, bad) => MappedArray.over(map, { dtype: "u1" }).slice(bad),
};

for (const [name, call] of Object.entries(calls)) {
  test(`${name} refuses what is no number`, () => {
    for (const bad of [Symbol("s"), "0", Object.create(null), [0]]) {
      using map = MemoryMap.createAnonymous(4096);
      assertRefused(() => call(map, bad), MMapInvalidParameterError);
    }
  });
  test(`${name} runs no code of the user's that closes the map`, () => {
    using map = MemoryMap.createAnonymous(4096);
    try {
      call(map, closing(map));
    } catch (error) {
      assertEquals(error instanceof MMapInvalidParameterError || !map.isValid, true, String(error));
      return;
    }
    assertEquals(map.isValid, true); // or nothing came of it
  });
}

test("an error message can show a function whose name is no text", () => {
  using map = MemoryMap.createAnonymous(1);
  const odd = Object.defineProperty(() => {}, "name", { value: Symbol("name") });
  assertRefused(() => map.write(odd as never), MMapInvalidParameterError, "a function");
});

test("an error message says what an object is, without asking it", () => {
  using map = MemoryMap.createAnonymous(4096);
  const proxy = (target: object, trap: "get" | "getPrototypeOf") =>
    new Proxy(target, {
      [trap]: () => {
        throw new RangeError("mine");
      },
    });
  const lying = new Int16Array(2);
  Object.defineProperties(lying, { length: { value: 99 }, constructor: { value: Date } });
  const { proxy: revoked, revoke } = Proxy.revocable([], {});
  revoke();
  const cases: readonly [unknown, string][] = [
    [new Uint8Array(3), "a Uint8Array of 3 elements"],
    [Float64Array.of(1), "a Float64Array of 1 element"],
    [lying, "an Int16Array of 2 elements"],
    [new DataView(new ArrayBuffer(2)), "a DataView"],
    [new ArrayBuffer(2), "an ArrayBuffer"],
    [[], "an array of 0 elements"],
    [["4096"], "an array of 1 element"],
    [Promise.resolve(4096), "a Promise"],
    [new Date(), "a Date"],
    [{ length: 3 }, "an object"],
    [proxy([], "get"), "an object"],
    [proxy({}, "getPrototypeOf"), "an object"],
    [revoked, "an object"],
    [new Proxy([], { get: () => Symbol("x") }), "an array"],
  ];
  for (const [value, shown] of cases) {
    const resize = () => map.resize(value as number);
    assertRefused(resize, MMapInvalidParameterError, `Cannot use ${shown} as a size`);
  }
});

test("what takes bytes only says how text becomes bytes", () => {
  using map = MemoryMap.createAnonymous(4096);
  const read = () => map.readInto("text" as never);
  const error = assertRefused(read, MMapInvalidParameterError, "TextEncoder", "typed array");
  assert(!error.message.includes("or text"), error.message);
  assertRefused(() => map.write([1] as never), MMapInvalidParameterError, "an array of 1 element");
});

test("MemoryMap.write() takes what is detached for no bytes", () => {
  using map = MemoryMap.createAnonymous(4);
  map.write("kept");
  const gone = new Uint8Array(4);
  const { buffer } = gone;
  buffer.transfer();
  assertEquals([map.write(gone), map.write(buffer), map.readInto(gone)], [0, 0, 0]);
  assertEquals(map.find(buffer), 0); // as an empty needle
  assertEquals(new Uint8Array(map.read(4)), utf8("kept"));
});

test("-0 is a byte, and no flags, like 0", async () => {
  using map = MemoryMap.createAnonymous(4096);
  assertEquals([map.indexOfByte(-0), map.count(-0), map.find(Uint8Array.of(-0))], [0, 4096, 0]);
  map.fill(-0);
  map.msync(-0);
  await map.msyncAsync(-0);
});

/** Options of which one is another when it is read a second time. */
function changing<T extends object>(name: string, first: unknown, later: unknown): T {
  let reads = 0;
  return Object.defineProperty({}, name, {
    enumerable: true,
    get: () => reads++ === 0 ? first : later,
  }) as T;
}

test("options are read once: what was checked is what is used", () => {
  using dir = tempDir();
  const file = dir.file("data", "0123456789");
  {
    using map = MemoryMap.open(file, changing("size", 4, 2 ** 40));
    assertEquals(map.size, 4);
  }
  {
    using map = MemoryMap.open(file, changing("mode", "r", "r+"));
    assertEquals(map.prot, PROT_READ);
  }
  using map = MemoryMap.createAnonymous(1, undefined, undefined, changing("name", "a", Symbol()));
  assertEquals(map.name, "a");
});

test("options that are no object are refused, also where a signal is looked for first", async () => {
  using dir = tempDir();
  const file = dir.file("data", "0123456789");
  using map = MemoryMap.createAnonymous(1);
  for (const none of [null, 5, "signal"]) {
    const options = none as never;
    await assertRejects(() => MemoryMap.openAsync(file, options), MMapInvalidParameterError);
    await assertRejects(
      () => MemoryMap.createAnonymousAsync(1, undefined, undefined, options),
      MMapInvalidParameterError,
    );
    await assertRejects(() => map.prefaultAsync(0, 1, options), MMapInvalidParameterError);
    await assertRejects(() => map.msyncAsync(MS_SYNC, 0, 1, options), MMapInvalidParameterError);
  }
});

test("operations that end in a promise refuse ranges that cannot be shown in a message", async () => {
  using map = MemoryMap.createAnonymous(4096, undefined, MAP_SHARED | MAP_ANONYMOUS);
  for (const bad of [Symbol("0"), Object.create(null)] as never[]) {
    await assertRejects(() => map.prefaultAsync(bad), MMapInvalidParameterError);
    await assertRejects(() => map.prefaultAsync(0, bad), MMapInvalidParameterError);
    await assertRejects(() => map.msyncAsync(MS_SYNC, bad), MMapInvalidParameterError);
    await assertRejects(() => map.msyncAsync(MS_SYNC, 0, bad), MMapInvalidParameterError);
  }
});

test("arrays refuse a path that cannot be shown in a message", () => {
  for (const bad of [Symbol("path"), Object.create(null)] as never[]) {
    assertRefused(() => openNpy(bad), MMapInvalidParameterError, "as a path");
    assertRefused(() => createNpy(bad, { dtype: "u1", shape: [1] }), MMapInvalidParameterError);
    assertRefused(() => MappedArray.open(bad, { dtype: "u1" }), MMapInvalidParameterError);
  }
});

test("RecordType.decode() refuses what is no view", () => {
  const type = defineRecord({ x: "u32" });
  for (const bad of [null, 5, "text", {}]) {
    assertRefused(() => type.decode(bad as never), MMapInvalidParameterError);
  }
});

test("RecordType.encode() looks at the bytes that are there, whatever their length claims", () => {
  const type = defineRecord({ x: "bytes:4", y: ["u8", 2] });
  const lying = Object.defineProperty(new Uint8Array(8), "length", { value: 1 });
  assertRefused(() => type.encode({ x: lying, y: [1, 2] }), MMapInvalidParameterError, "8 bytes");
  const gone = new Uint8Array(4);
  gone.buffer.transfer();
  assertEquals(type.encode({ x: gone, y: [1, 2] }), Uint8Array.of(0, 0, 0, 0, 1, 2));
  for (const length of [Symbol("length"), -1, 2 ** 40]) {
    const bad = { length } as never;
    assertRefused(() => type.encode({ x: bad, y: [1, 2] }), MMapInvalidParameterError);
    assertRefused(() => type.encode({ x: gone, y: bad }), MMapInvalidParameterError);
  }
});

test("RecordType.encode() refuses text where a bigint belongs", () => {
  const type = defineRecord({ x: "u64", y: "i64" });
  for (const bad of ["text", "1", {}, [1]]) {
    assertRefused(() => type.encode({ x: bad as never, y: 1n }), MMapInvalidParameterError);
    assertRefused(() => type.encode({ x: 1n, y: bad as never }), MMapInvalidParameterError);
  }
});

test("NdArray.append() refuses what has no number of elements", () => {
  using dir = tempDir();
  using array = createNpy(dir.file("a.npy"), { dtype: "f4", shape: [1] });
  for (const length of [undefined, "1", -1, Symbol("length"), 2 ** 53]) {
    const elements = { length } as never;
    assertRefused(() => array.append(elements), MMapInvalidParameterError);
  }
  assertEquals(array.shape, [1]);
});

test("MappedArray.open() of a folder, for no elements, is an error of the library", () => {
  using dir = tempDir();
  const options = { mode: "w+", dtype: "f4", shape: [0, 3] } as const;
  const error = assertRefused(
    () => MappedArray.open(dir.path, options),
    MMapInvalidParameterError,
  );
  assertEquals(error.code, "EISDIR");
});

/** Where a huge page cannot be had, and pages can be mapped over others. */
function skipWithHugePages(): Skip {
  if (process.platform !== "linux") return "needs the huge pages of Linux";
  return memoryInfo("HugePages_Free") === 0 ? false : "needs an empty pool of huge pages";
}

test("Platform.mapOver() that the system refuses leaves the pages that were there", {
  skip: skipWithHugePages(),
}, () => {
  const system = platform();
  const length = 4 << 20;
  const base = system.map(length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const aligned = base + (-base & BigInt((2 << 20) - 1));
  const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB;
  assertThrows(() => system.mapOver!(aligned, 2 << 20, PROT_READ, flags, -1, 0), SystemCallError);
  assertEquals(mappingAt(aligned)?.access, "r--p");
  system.unmap(base, length);
});

test(
  "createAnonymousAsync() without reserved huge pages gives the map, or an error of the library's",
  {
    skip: platform().name !== "Linux" && "needs MAP_NORESERVE",
  },
  async () => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    try {
      using map = await MemoryMap.createAnonymousAsync(100, PROT_READ, flags, { hugePages: true });
      assertEquals(map.isValid, true);
    } catch (error) {
      assertEquals(error instanceof MMapError, true, String(error));
    }
  },
);
