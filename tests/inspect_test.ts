/** What a console shows of the library's objects: one line each, without touching the memory; the values of a record. */
import fs from "node:fs";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MemoryMap, PROT_NONE, PROT_READ } from "../mod.ts";
import { SYMBOLS } from "../src/inspect.ts";
import { Journal } from "../src/journal/mod.ts";
import { createNpy } from "../src/ndarray/mod.ts";
import { MemoryPool } from "../src/pool/mod.ts";
import { defineRecord } from "../src/records/mod.ts";
import { createRegion } from "../src/region/mod.ts";
import { Broadcast, MessageQueue, RecordRing } from "../src/ring/mod.ts";
import { Barrier, Event, Mutex, RwLock, Semaphore } from "../src/sync/mod.ts";
import { runtimeName, skipOnWindows, tempDir } from "./helpers.ts";
import { sharedMemory, skipWithoutSync } from "./helpers_sync.ts";

type Inspectable = { readonly [symbol: symbol]: () => string };

/** What all runtimes get; the one that runs this really shows it. */
function shown(object: object): string {
  const lines = SYMBOLS.map((symbol) => (object as Inspectable)[symbol]!());
  assertEquals(lines[0], lines[1]);
  const console = runtimeName === "deno" ? Deno.inspect : inspect;
  assertEquals(console(object), lines[0]!);
  assertEquals(console({ object }).includes(lines[0]!), true);
  return lines[0]!;
}

test("a MemoryMap shows its size, origin, protection, and whether it is closed", () => {
  using dir = tempDir();
  const path = dir.file("data", "content");
  const quoted = JSON.stringify(path);
  const map = MemoryMap.open(path, { mode: "r+", name: "mine" });
  const origin = `path: ${quoted}, name: "mine"`;
  assertEquals(shown(map), `MemoryMap { size: 7, ${origin}, prot: PROT_READ | PROT_WRITE }`);
  map.mprotect(PROT_READ);
  assertEquals(shown(map), `MemoryMap { size: 7, ${origin}, prot: PROT_READ }`);
  map.mprotect(PROT_NONE);
  assertEquals(shown(map), `MemoryMap { size: 7, ${origin}, prot: PROT_NONE }`);
  assertEquals(
    shown(map.cursor()),
    `Cursor { position: 0, size: 7, ${origin}, prot: PROT_NONE }`,
  );
  map.close();
  assertEquals(shown(map), `MemoryMap { ${origin}, closed }`);
  using anonymous = MemoryMap.createAnonymous(4096);
  assertEquals(shown(anonymous), "MemoryMap { size: 4096, prot: PROT_READ | PROT_WRITE }");
  // Deno asks the prototype, too.
  const { prototype } = MemoryMap as unknown as { prototype: Inspectable };
  assertEquals(SYMBOLS.map((symbol) => prototype[symbol]!()), ["MemoryMap {}", "MemoryMap {}"]);
  inspect(MemoryMap.prototype);
});

test("records, columns and arrays show their layout", () => {
  using dir = tempDir();
  using map = MemoryMap.createAnonymous(4096);
  const points = defineRecord({ x: "f64", ids: ["u8", 4] }).over(map, 8, 10);
  const end = "prot: PROT_READ | PROT_WRITE }";
  assertEquals(
    shown(points),
    `RecordArray { length: 10, fields: [x, ids], byteLength: 16, byteOffset: 8, ${end}`,
  );
  assertEquals(
    shown(points.column("x")),
    `Column { length: 10, byteOffset: 8, byteStride: 16, ${end}`,
  );
  assertEquals(shown(points.at(0).ids), `FieldArray { length: 4, ${end}`);
  const path = dir.file("array.npy");
  using array = createNpy(path, { dtype: "f4", shape: [3, 4] });
  const text = `NdArray { dtype: "<f4", shape: [3, 4], path: ${JSON.stringify(path)}, ${end}`;
  assertEquals(shown(array), text);
});

test("a record in place shows its values, or why it has none", () => {
  const map = MemoryMap.createAnonymous(4096);
  const points = defineRecord({ id: "u32", at: { x: "f64" }, ids: ["u8", 2] }).over(map, 0, 10);
  points.set(3, { id: 7, at: { x: 0.5 }, ids: [1, 2] });
  const console = runtimeName === "deno" ? Deno.inspect : inspect;
  assertEquals(console(points.at(3)), console({ id: 7, at: { x: 0.5 }, ids: [1, 2] }));
  assertEquals(console(points.at(3).at), console({ x: 0.5 }));
  assertEquals(console([points.at(3)]), console([points.get(3)]));
  assertEquals(Object.keys(points.at(3)), ["id", "at", "ids"]);
  assertStringIncludes(console(points.at(10)), "Cannot read record 10");
  map.close();
  assertStringIncludes(console(points.at(3)), "the map is closed");
});

test("rings, a journal and regions show capacity and origin, and that they are closed", {
  skip: skipWithoutSync,
}, () => {
  using dir = tempDir();
  const [log, queue, prices, journal] = ["log", "queue", "prices", "journal"].map((name) => {
    const path = dir.file(name);
    return { path, text: JSON.stringify(path) };
  });
  const open = "prot: PROT_READ | PROT_WRITE }";
  const cases: readonly [{ close(): void }, string, string][] = [
    [
      RecordRing.create(log!.path, { capacity: 3, recordSize: 8 }),
      `RecordRing { capacity: 3, recordSize: 8, path: ${log!.text}, `,
      open,
    ],
    [
      MessageQueue.create({ path: queue!.path }, { capacity: 100 }),
      `MessageQueue { capacity: 128, path: ${queue!.text}, `,
      open,
    ],
    [
      Broadcast.create({ path: prices!.path }, { capacity: 100 }),
      `Broadcast { capacity: 128, path: ${prices!.text}, `,
      open,
    ],
    [
      Journal.open(journal!.path),
      `Journal { path: ${journal!.text}, mode: "a+", durability: "every"`,
      " }",
    ],
  ];
  for (const [object, start, end] of cases) {
    assertEquals(shown(object), start + end);
    object.close();
    assertEquals(shown(object), `${start.replace(/, $/, "")}, closed }`);
  }
  using reader = Journal.open(journal!.path, { mode: "r" });
  assert(shown(reader).includes('mode: "r"'));
  const region = createRegion(10, { backend: "heap" });
  assertEquals(shown(region), "HeapRegion { size: 10 }");
  region.close();
  assertEquals(shown(region), "HeapRegion { closed }");
});

test("locks and pools show their place", { skip: skipWithoutSync }, () => {
  const map = sharedMemory(1 << 16);
  const objects = [
    new Mutex(map, 64),
    new Event(map, 128),
    new RwLock(map, 4096),
    new Semaphore(map, 8192, 3),
    new Barrier(map, 12288, 2),
    new MemoryPool(map, { blockSize: 64, byteOffset: 16384 }),
  ];
  const lines = objects.map((object) => shown(object).replace(/, (name|prot|path): .*/, ""));
  assertEquals(lines, [
    "Mutex { byteOffset: 64",
    "Event { byteOffset: 128",
    "RwLock { byteOffset: 4096",
    "Semaphore { permits: 3, byteOffset: 8192",
    "Barrier { parties: 2, byteOffset: 12288",
    "MemoryPool { blockSize: 64, byteOffset: 16384, size: 65536",
  ]);
  map.close();
  for (const object of objects) assert(shown(object).endsWith("closed }"), shown(object));
});

describe("showing an object touches no memory", () => {
  test("of a map that may not be read, or whose file was truncated", {
    skip: skipOnWindows, // truncates no file that is mapped
  }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(1 << 16));
    using map = MemoryMap.open(path, { mode: "r+" });
    const records = defineRecord({ x: "f64" }).over(map);
    fs.truncateSync(path, 0);
    shown(map);
    shown(records);
    shown(records.column("x"));
    assertEquals(map.faults, 0);
    map.mprotect(PROT_NONE);
    shown(records);
    assertEquals(map.faults, 0);
  });
});
