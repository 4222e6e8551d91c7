/** RecordArray, its views in place, and its columns. */
import fs from "node:fs";
import { describe, test } from "node:test";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { defineRecord, type RecordArray } from "../src/records/mod.ts";
import { assertRefused, fileBytes, random, tempDir } from "./helpers.ts";

const Tick = defineRecord({ index: "u32", value: "f64" }, { packed: true });
const Trade = defineRecord({
  time: "i64",
  symbol: "utf8:8",
  key: "bytes:3",
  open: "bool",
  at: { x: "f32", y: "f32" },
  levels: ["u16", 4],
  points: [{ a: "i8", b: "u8" }, 2],
});
const trade = {
  time: -5n,
  symbol: "ABC",
  key: Uint8Array.of(1, 2, 3),
  open: true,
  at: { x: 0.5, y: -1 },
  levels: [1, 2, 3, 65535],
  points: [{ a: -1, b: 2 }, { a: 3, b: 4 }],
};

describe("RecordType.over()", () => {
  test("finds whole records from an offset to the end of the map", () => {
    using map = MemoryMap.createAnonymous(100);
    assertEquals(Tick.over(map).length, 8);
    assertEquals(Tick.over(map, 3).length, 8);
    assertEquals(Tick.over(map, 5).length, 7);
    assertEquals(Tick.over(map, 100).length, 0);
    const some = Tick.over(map, 1, 2);
    assertEquals([some.length, some.byteOffset], [2, 1]);
    assertStrictEquals(some.map, map);
    assertStrictEquals(some.type, Tick);
  });

  test("refuses records that overrun the map", () => {
    using map = MemoryMap.createAnonymous(100);
    assertRefused(() => Tick.over(map, 89), MMapInvalidParameterError, "12 bytes", "11 bytes");
    assertRefused(() => Tick.over(map, 0, 9), MMapInvalidParameterError, "9 records", "100 bytes");
    assertRefused(() => Tick.over(map, 101), MMapInvalidParameterError, "101");
  });

  test("refuses what is no offset, length or map", () => {
    using map = MemoryMap.createAnonymous(100);
    for (const bad of [-1, 0.5, NaN, Infinity]) {
      assertRefused(() => Tick.over(map, bad), MMapInvalidParameterError);
      assertRefused(() => Tick.over(map, 0, bad), MMapInvalidParameterError);
    }
    assertRefused(() => Tick.over(new Uint8Array(24) as never), MMapInvalidParameterError);
  });

  test("refuses a closed map", () => {
    const map = MemoryMap.createAnonymous(100);
    map.close();
    assertRefused(() => Tick.over(map), MMapClosedError);
  });
});

describe("RecordArray.get() and set()", () => {
  test("write the bytes of the file and read them back", () => {
    using dir = tempDir();
    const path = dir.file("ticks", new Uint8Array(5 + 12 * 3));
    {
      using map = MemoryMap.open(path, { mode: "r+" });
      const ticks = Tick.over(map, 5);
      ticks.set(1, { index: 7, value: -2.5 });
      assertEquals(ticks.get(1), { index: 7, value: -2.5 });
    }
    const view = new DataView(fileBytes(path).buffer);
    assertEquals(view.getUint32(5 + 12, true), 7);
    assertEquals(view.getFloat64(5 + 16, true), -2.5);
    assertEquals(fileBytes(path).reduce((sum, byte) => sum + byte, 0), 7 + 0x04 + 0xc0);
  });

  test("take every type of field", () => {
    using map = MemoryMap.createAnonymous(4096);
    const trades = Trade.over(map);
    trades.set(trades.length - 1, trade);
    assertEquals(trades.get(trades.length - 1), trade);
    assertEquals(trades.get(0).symbol, "");
  });

  test("give copies: a record that was read stays as it was", () => {
    using map = MemoryMap.createAnonymous(4096);
    const trades = Trade.over(map);
    trades.set(0, trade);
    const copy = trades.get(0);
    map.fill(0xff);
    assertEquals(copy, trade);
  });

  test("refuse indices outside of the array", () => {
    using map = MemoryMap.createAnonymous(48);
    const ticks = Tick.over(map);
    for (const index of [4, -1, 0.5, NaN, Infinity, 2 ** 53, "0", undefined, null, 1n]) {
      const given = index as number;
      assertRefused(() => ticks.get(given), MMapInvalidParameterError, "0 to 3");
      const set = () => ticks.set(given, { index: 0, value: 0 });
      assertRefused(set, MMapInvalidParameterError, "0 to 3");
    }
    const none = Tick.over(map, 48);
    assertRefused(() => none.get(0), MMapInvalidParameterError, "none");
  });

  test("write all fields or none", () => {
    using map = MemoryMap.createAnonymous(4096);
    const trades = Trade.over(map);
    trades.set(3, trade);
    const before = map.read(map.size);
    for (const bad of [{ points: [{ a: 1, b: 1 }, { a: 1 }] }, { levels: [9, 9, 9, -1] }]) {
      const set = () => trades.set(3, { ...trade, time: 9n, symbol: "X", ...bad } as never);
      assertRefused(set, MMapInvalidParameterError);
      assertEquals(map.read(map.size), before);
    }
  });

  test("refuse fields that the record does not have, and name them and those it has", () => {
    using map = MemoryMap.createAnonymous(4096);
    const ticks = Tick.over(map);
    ticks.set(0, { index: 1, value: 2 });
    for (const wrong of [{ vlaue: 3, index: 1, value: 2 }, { index: 1, value: 2, vlaue: 3 }]) {
      const message = ['"vlaue"', "index, value"] as const;
      assertRefused(() => ticks.set(0, wrong), MMapInvalidParameterError, ...message);
      assertRefused(() => Tick.encode(wrong), MMapInvalidParameterError, ...message);
    }
    assertEquals(ticks.get(0), { index: 1, value: 2 });
    const trades = Trade.over(map, 0, 2);
    const set = (bad: object) => () => trades.set(1, { ...trade, ...bad } as never);
    const wrong = { ...trade.at, z: 1 };
    assertRefused(set({ at: wrong }), MMapInvalidParameterError, '"at.z"', "has x, y");
    assertRefused(
      set({ points: [{ a: 1, b: 2 }, { a: 1, b: 2, c: 3 }] }),
      MMapInvalidParameterError,
      "a, b",
    );
    const assign = () => void (trades.at(1).at = wrong);
    assertRefused(assign, MMapInvalidParameterError, '"at.z"');
    assertRefused(() => trades.column("at").set(1, wrong), MMapInvalidParameterError, '"at.z"');
  });

  test("take fields in any order, inherited ones, and a record in place", () => {
    using map = MemoryMap.createAnonymous(4096);
    const ticks = Tick.over(map);
    ticks.set(0, { value: 2, index: 1 });
    class Sample {
      index = 3;
      get value() {
        return this.index / 2;
      }
      method() {}
    }
    ticks.set(1, new Sample());
    ticks.set(2, Object.create({ index: 4, value: 5, further: 6 }));
    ticks.set(3, ticks.at(1));
    assertEquals([0, 1, 2, 3].map((index) => ticks.get(index)), [
      { index: 1, value: 2 },
      { index: 3, value: 1.5 },
      { index: 4, value: 5 },
      { index: 3, value: 1.5 },
    ]);
  });

  test("zero the padding", () => {
    using map = MemoryMap.createAnonymous(4096);
    map.fill(0xff);
    const padded = defineRecord({ a: "u8", b: "u32" }).over(map);
    padded.set(1, { a: 1, b: 2 });
    assertEquals(padded.bytes(1), Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0));
    assertEquals(padded.bytes(0)[0], 0xff);
  });

  test("survive code of the user's that closes or resizes the map in the middle", () => {
    const closed = MemoryMap.createAnonymous(4096);
    const value = {
      index: 1,
      get value(): number {
        closed.close();
        return 1;
      },
    };
    const closing = Tick.over(closed);
    assertRefused(() => closing.set(0, value), MMapClosedError);

    using map = MemoryMap.createAnonymous(4096);
    const ticks = Tick.over(map);
    ticks.set(1, {
      index: 1,
      get value(): number {
        map.resize(8192);
        ticks.set(0, { index: 9, value: 9 }); // writing while a write is under way
        return 2;
      },
    });
    assertEquals([ticks.get(0), ticks.get(1)], [{ index: 9, value: 9 }, { index: 1, value: 2 }]);
  });

  test("are refused by maps that may not be written, or read", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("ticks", new Uint8Array(4096)));
    const ticks = Tick.over(map);
    const column = ticks.column("value");
    const view = ticks.at(0);
    const zero = { index: 0, value: 0 };
    assertRefused(() => ticks.set(0, zero), MMapProtectionError, "PROT_WRITE", "r+");
    assertRefused(() => column.set(0, 0), MMapProtectionError, "PROT_WRITE");
    assertRefused(() => view.value = 0, MMapProtectionError, "PROT_WRITE");
    assertEquals(column.get(0), 0);

    using other = MemoryMap.createAnonymous(4096);
    const records = Tick.over(other);
    other.mprotect(PROT_READ);
    assertRefused(() => records.set(0, zero), MMapProtectionError);
    assertRefused(() => records.at(0).index = 1, MMapProtectionError);
    assertRefused(() => records.column("index").set(0, 1), MMapProtectionError);
    other.mprotect(0);
    assertRefused(() => records.get(0), MMapProtectionError, "PROT_READ");
    other.mprotect(PROT_READ | PROT_WRITE);
    records.set(0, { index: 4, value: 4 });
    assertEquals(records.get(0), { index: 4, value: 4 });
  });
});

describe("RecordArray.at()", () => {
  test("is one view that moves and writes through", () => {
    using map = MemoryMap.createAnonymous(4096);
    const trades = Trade.over(map);
    const view = trades.at(2);
    assertStrictEquals(trades.at(3), view);
    view.time = 7n;
    view.symbol = "DEF";
    view.key = Uint8Array.of(9);
    view.open = true;
    view.at.x = 1.5;
    view.at = { x: view.at.x, y: 2 };
    view.levels.set(2, 8);
    view.points.set(0, { a: -1, b: 1 });
    assertEquals(trades.get(3), {
      time: 7n,
      symbol: "DEF",
      key: Uint8Array.of(9, 0, 0),
      open: true,
      at: { x: 1.5, y: 2 },
      levels: [0, 0, 8, 0],
      points: [{ a: -1, b: 1 }, { a: 0, b: 0 }],
    });
    assertEquals(Object.keys(view), Object.keys(trade));
    assertEquals(trades.at(2).time, 0n);
    assertEquals(view.time, 0n);
  });

  test("shows bytes and arrays in place", () => {
    using map = MemoryMap.createAnonymous(4096);
    const trades = Trade.over(map);
    trades.set(1, trade);
    const { key, levels, points } = trades.at(1);
    assertStrictEquals(key.buffer, map.buffer);
    assertEquals([levels.length, levels.get(3), points.get(1)], [4, 65535, { a: 3, b: 4 }]);
    assertEquals([...levels], trade.levels);
    assertEquals(points.toArray(), trade.points);
    const numbers = levels.asTypedArray();
    assertInstanceOf(numbers, Uint16Array);
    numbers[0] = 77;
    assertEquals(levels.get(0), 77);
    assertRefused(() => points.asTypedArray(), MMapInvalidParameterError, "no plain numbers");
    for (const k of [4, -1, 0.5, NaN]) {
      assertRefused(() => levels.get(k), MMapInvalidParameterError);
      assertRefused(() => levels.set(k, 1), MMapInvalidParameterError);
    }
    assertRefused(() => levels.set(0, -1), MMapInvalidParameterError, "65535");
  });

  test("counts negative indices from the end", () => {
    using map = MemoryMap.createAnonymous(1200);
    const ticks = Tick.over(map);
    const last = ticks.at(-1);
    last.index = 5;
    last.value = 0.5;
    assertEquals(ticks.get(99), { index: 5, value: 0.5 });
    assertEquals(ticks.at(-100).index, 0);
    assertRefused(() => ticks.at(-101).index, MMapInvalidParameterError, "-101");
  });

  test("checks the index when a property is used", () => {
    using map = MemoryMap.createAnonymous(1200);
    const ticks = Tick.over(map);
    for (const index of [100, 0.5, NaN, Infinity, 2 ** 40]) {
      const view = ticks.at(index);
      assertRefused(() => view.index, MMapInvalidParameterError, "0 to 99");
      assertRefused(() => view.value = 1, MMapInvalidParameterError, "0 to 99");
    }
  });

  test("refuses values that do not fit", () => {
    using map = MemoryMap.createAnonymous(1200);
    const view = Tick.over(map).at(3);
    for (const bad of [-1, 2 ** 32, 0.5, "1", 1n, null, undefined]) {
      assertRefused(() => view.index = bad as number, MMapInvalidParameterError, "4294967295");
    }
    const sly = { valueOf: () => 1 } as unknown as number;
    assertRefused(() => view.index = sly, MMapInvalidParameterError);
    assertEquals(view.index, 0);
  });

  test("makes no copies that would end the process", () => {
    using map = MemoryMap.createAnonymous(2 ** 28);
    const large = defineRecord({ values: ["u8", 2 ** 27] }).over(map);
    large.at(1).values.set(2 ** 27 - 1, 7);
    assertRefused(() => large.get(1), MMapInvalidParameterError, "at()");
    assertRefused(() => large.at(1).values.toArray(), MMapInvalidParameterError, "asTypedArray()");
    assertEquals(large.at(1).values.asTypedArray().at(-1), 7);
    const nested = defineRecord({ values: [["u8", 2], 2 ** 24] }).over(map);
    assertRefused(() => nested.get(0), MMapInvalidParameterError, "1073741824");
  });

  test("takes no property that is not a field", () => {
    using map = MemoryMap.createAnonymous(4096);
    const view = Trade.over(map).at(1) as unknown as Record<string, unknown>;
    assertThrows(() => view.tiem = 1n, TypeError);
    assertThrows(() => (view.at as Record<string, unknown>).z = 1, TypeError);
    assertEquals("tiem" in view, false);
  });

  test("throws after close", () => {
    const map = MemoryMap.createAnonymous(4096);
    const trades = Trade.over(map);
    const view = trades.at(1);
    const { levels, key } = view;
    map.close();
    assertRefused(() => view.time, MMapClosedError);
    assertRefused(() => view.time = 1n, MMapClosedError);
    assertRefused(() => view.symbol, MMapClosedError);
    assertRefused(() => view.at.x, MMapClosedError);
    assertRefused(() => levels.get(0), MMapClosedError);
    assertRefused(() => [...levels], MMapClosedError);
    assertRefused(() => trades.get(0), MMapClosedError);
    assertRefused(() => trades.set(0, trade), MMapClosedError);
    assertRefused(() => trades.column("time").get(0), MMapClosedError);
    assertRefused(() => trades.column("time").sum(), MMapClosedError);
    assertRefused(() => [...trades], MMapClosedError);
    assertRefused(() => trades.bytes(0), MMapClosedError);
    assertEquals(key.length, 0);
  });
});

test("a RecordArray goes on after map.resize(), as far as its records are in the map", () => {
  using map = MemoryMap.createAnonymous(1200);
  const ticks = Tick.over(map);
  const column = ticks.column("index");
  const view = ticks.at(7);
  view.index = 7;
  map.resize(2400);
  assertEquals(view.index, 7);
  assertEquals(column.get(7), 7);
  assertEquals(ticks.get(7).index, 7);
  map.resize(4800);
  view.index = 8;
  column.set(6, 6);
  assertEquals([...ticks.subarray(6, 8)].map(({ index }) => index), [6, 8]);
  map.resize(600);
  assertRefused(() => ticks.get(7), MMapInvalidParameterError, "600");
  assertRefused(() => view.index, MMapInvalidParameterError, "600");
});

test("RecordArray.bytes() is the record itself", () => {
  using map = MemoryMap.createAnonymous(1200);
  const ticks = Tick.over(map, 7);
  ticks.bytes(2).fill(1);
  assertEquals(ticks.get(2).index, 0x01010101);
  assertEquals(map.count(1), 12);
  assertRefused(() => ticks.bytes(99), MMapInvalidParameterError);
});

describe("RecordArray.subarray()", () => {
  test("is over the same bytes, with the bounds of TypedArray.subarray()", () => {
    using map = MemoryMap.createAnonymous(120);
    const ticks = Tick.over(map);
    for (let i = 0; i < 10; i++) ticks.at(i).index = i;
    const indices = (part: RecordArray<{ index: "u32" }>) => [...part].map(({ index }) => index);
    const plain = Uint32Array.from({ length: 10 }, (_, i) => i);
    const next = random(1);
    for (let round = 0; round < 200; round++) {
      const [a, b] = [Math.floor(next() * 30) - 15, Math.floor(next() * 30) - 15];
      assertEquals(indices(ticks.subarray(a, b) as never), [...plain.subarray(a, b)], `${a} ${b}`);
    }
    assertEquals(indices(ticks.subarray(4).subarray(2) as never), [6, 7, 8, 9]);
    ticks.subarray(3).set(0, { index: 33, value: 0 });
    assertEquals(ticks.get(3).index, 33);
    assertRefused(() => ticks.subarray(0.5), MMapInvalidParameterError, "0.5");
  });
});

test("a RecordArray can be iterated, also twice at a time, and from a file", () => {
  using dir = tempDir();
  const path = dir.file("ticks");
  const bytes = new Uint8Array(12 * 1000);
  for (let i = 0; i < 1000; i++) bytes.set(Tick.encode({ index: i, value: i / 2 }), 12 * i);
  fs.writeFileSync(path, bytes);
  using map = MemoryMap.open(path);
  const ticks = Tick.over(map);
  assertEquals(ticks.length, 1000);
  let count = 0;
  for (const a of ticks.subarray(0, 10)) {
    for (const b of ticks.subarray(0, 10)) count += Number(a.index === b.index);
  }
  assertEquals(count, 10);
  let sum = 0;
  for (const { value } of ticks) sum += value;
  assertEquals(sum, 249750);
  assert(Array.from(ticks).every(({ index }, i) => index === i));
});
