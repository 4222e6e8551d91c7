/** Columns, and searching in them. */
import { describe, test } from "node:test";
import { assert, assertAlmostEquals, assertEquals, assertStrictEquals } from "@std/assert";
import { MemoryMap, MMapClosedError, MMapInvalidParameterError } from "../mod.ts";
import { defineRecord, type FieldType, type RecordArray } from "../src/records/mod.ts";
import { assertRefused, pattern, random } from "./helpers.ts";

const numbers = ["u8", "i8", "u16", "i16", "u32", "i32", "f16", "f32", "f64", "bool"] as const;

/** One field of a type between two others, in both byte orders, packed and not. */
function* arrays(map: MemoryMap, type: FieldType): Generator<RecordArray<{ field: FieldType }>> {
  for (const endian of ["little", "big"] as const) {
    for (const packed of [true, false]) {
      const fields = { before: "u8", field: type, behind: "u16" } as const;
      yield defineRecord(fields, { endian, packed }).over(map, 3) as never;
    }
  }
}

describe("Column", () => {
  test("reads what RecordArray.get() reads, for every type", () => {
    using map = MemoryMap.createAnonymous(4096);
    map.write(pattern(4096));
    const types: FieldType[] = [...numbers, "u64", "i64", "bytes:5", "utf8:3", ["u16", 3]];
    for (const type of [...types, { x: "u8", y: "f64" }] as FieldType[]) {
      for (const records of arrays(map, type)) {
        const column = records.column("field");
        assertEquals(column.length, records.length);
        const expected = [...records].map(({ field }) => field);
        assertEquals([...column] as unknown[], expected as unknown[], `${type}`);
        assertEquals(column.get(5) as unknown, expected[5] as unknown);
      }
    }
  });

  test("writes what RecordArray.get() reads, for every type, and nothing else", () => {
    const values: [FieldType, unknown][] = [
      ...numbers.map((type): [FieldType, unknown] => [type, type === "bool" ? true : 7]),
      ["u64", 2n ** 63n],
      ["i64", -1n],
      ["bytes:3", Uint8Array.of(1, 2, 3)],
      ["utf8:4", "text"],
      [["i16", 2], [-1, 2]],
      [{ x: "u8", y: "f64" }, { x: 1, y: 2 }],
    ];
    for (const [type, value] of values) {
      using map = MemoryMap.createAnonymous(1024);
      for (const records of arrays(map, type)) {
        map.fill(0xee);
        const before = records.get(3) as Record<string, unknown>;
        records.column("field").set(3, value as never);
        assertEquals(records.get(3), { ...before, field: value } as never, `${type}`);
        assertEquals(records.get(2) as unknown, before);
        assertEquals(records.get(4) as unknown, before);
      }
    }
  });

  test("refuses indices and values that do not fit", () => {
    using map = MemoryMap.createAnonymous(96);
    for (const endian of ["little", "big"] as const) {
      const column = defineRecord({ a: "u32", b: "f64" }, { packed: true, endian }).over(map)
        .column("a");
      for (const index of [8, -1, 0.5, NaN, Infinity, "0", undefined]) {
        assertRefused(() => column.get(index as number), MMapInvalidParameterError, "0 to 7");
        assertRefused(() => column.set(index as number, 1), MMapInvalidParameterError, "0 to 7");
      }
      for (const value of [-1, 2 ** 32, 0.5, "1", 1n, undefined]) {
        assertRefused(
          () => column.set(0, value as number),
          MMapInvalidParameterError,
          "4294967295",
        );
      }
    }
    assertEquals(map.count(0), 96);
  });

  test("follows a path into records and arrays", () => {
    using map = MemoryMap.createAnonymous(4096);
    const shapes = defineRecord({ box: { min: ["f32", 2], max: ["f32", 2] }, tags: ["u8", 4] })
      .over(map);
    shapes.set(3, { box: { min: [1, 2], max: [3, 4] }, tags: [5, 6, 7, 8] });
    assertEquals(shapes.column("box", "max", 1).get(3), 4);
    assertEquals(shapes.column("box", "min").get(3), [1, 2]);
    assertEquals(shapes.column("tags", 2).get(3), 7);
    const column = (...path: (string | number)[]) => () => shapes.column(...path as ["tags"]);
    assertRefused(column("none"), MMapInvalidParameterError, '"none"', "box, tags");
    assertRefused(column("tags", 4), MMapInvalidParameterError, "4 values");
    assertRefused(column("tags", -1), MMapInvalidParameterError);
    assertRefused(column("tags", 0, 0), MMapInvalidParameterError, "no parts");
    assertRefused(column("box", "min", "x"), MMapInvalidParameterError, '"box.min"');
    assertRefused(column("toString"), MMapInvalidParameterError);
  });

  test("is the same object when asked for again", () => {
    using map = MemoryMap.createAnonymous(4096);
    const ticks = defineRecord({ a: "u32" }).over(map);
    assertStrictEquals(ticks.column("a"), ticks.column("a"));
  });
});

describe("Column.strided()", () => {
  test("is a typed array in which each element is a stride from the last", () => {
    using map = MemoryMap.createAnonymous(4096);
    const points = defineRecord({ x: "f64", id: "i32", y: "f32" }).over(map, 16);
    for (let i = 0; i < points.length; i++) points.set(i, { x: i, id: -i, y: i / 2 });
    for (const [name, factor] of [["x", 1], ["id", -1], ["y", 0.5]] as const) {
      const { data, stride } = points.column(name).strided();
      assertStrictEquals(data.buffer, map.buffer);
      assertEquals(stride, 16 / data.BYTES_PER_ELEMENT);
      for (let i = 0; i < points.length; i++) assert(data[i * stride] === i * factor);
      assertEquals(data.length, (points.length - 1) * stride + 1);
    }
  });

  test("refuses what a typed array cannot hold", () => {
    using map = MemoryMap.createAnonymous(4096);
    const packed = defineRecord({ a: "u32", b: "f64" }, { packed: true }).over(map);
    assertRefused(() => packed.column("b").strided(), MMapInvalidParameterError, "12", "get()");
    const big = defineRecord({ a: "f64" }, { endian: "big" }).over(map);
    assertRefused(() => big.column("a").strided(), MMapInvalidParameterError, "big-endian");
    const odd = defineRecord({ a: "f64" }).over(map, 4);
    assertRefused(() => odd.column("a").strided(), MMapInvalidParameterError);
    const text = defineRecord({ a: "utf8:8" }).over(map);
    assertRefused(() => text.column("a").strided(), MMapInvalidParameterError);
    assertEquals(
      defineRecord({ a: "u8" }, { endian: "big" }).over(map).column("a").strided().stride,
      1,
    );
  });
});

describe("Column.toTypedArray() and sum()", () => {
  test("agree with the elements, for every type of number, byte order and alignment", () => {
    using map = MemoryMap.createAnonymous(1 << 16);
    const next = random(2);
    for (const type of numbers) {
      for (const records of arrays(map, type)) {
        const column = records.column("field");
        const set = column.set as (index: number, value: unknown) => void;
        let expected = 0;
        for (let i = 0; i < records.length; i++) {
          const value = type === "bool" ? next() < 0.5 : Math.floor(next() * 100);
          set(i, value);
          expected += Number(value);
        }
        assertEquals(column.sum() as number, expected, type);
        const copy = column.toTypedArray();
        assertEquals(copy.length, records.length);
        let sum = 0;
        for (const value of copy) sum += Number(value);
        assertEquals(sum, expected, type);
      }
    }
  });

  test("add up 64-bit integers exactly", () => {
    using map = MemoryMap.createAnonymous(1 << 16);
    for (const type of ["u64", "i64"] as const) {
      for (const records of arrays(map, type)) {
        map.write(pattern(1 << 16, 5));
        const column = records.column("field") as unknown as Iterable<bigint> & { sum(): bigint };
        assertEquals(column.sum(), [...column].reduce((sum, value) => sum + value, 0n), type);
      }
    }
  });

  test("keep the rounding error of many elements small", () => {
    using map = MemoryMap.createAnonymous(8 * 3_000_000);
    const column = defineRecord({ a: "f64" }).over(map).column("a");
    map.asTypedArray(Float64Array).fill(0.1);
    assertAlmostEquals(column.sum(), 300_000, 1e-4);
  });

  test("refuse what are no numbers, and closed maps", () => {
    const map = MemoryMap.createAnonymous(4096);
    const records = defineRecord({ a: "u8", t: "utf8:8", r: { x: "u8" } }).over(map);
    assertRefused(() => records.column("t").sum(), MMapInvalidParameterError, "no numbers");
    assertRefused(
      () => records.column("r").toTypedArray(),
      MMapInvalidParameterError,
      "no numbers",
    );
    const column = records.column("a");
    map.close();
    assertRefused(() => column.sum(), MMapClosedError);
    assertRefused(() => column.toTypedArray(), MMapClosedError);
    assertRefused(() => column.strided(), MMapClosedError);
  });
});

describe("RecordArray.lowerBound(), upperBound() and search()", () => {
  const type = defineRecord({ n: "f64", i: "i64", t: "utf8:12", b: "bytes:2", r: { x: "u8" } });

  test("find what a search from the start finds", () => {
    using map = MemoryMap.createAnonymous(type.byteLength * 200);
    const records = type.over(map);
    const next = random(3);
    const sorted = Array.from({ length: 200 }, () => Math.floor(next() * 60)).sort((a, b) => a - b);
    sorted.forEach((n, i) => {
      const t = String.fromCodePoint(0x1f600 - 60 + n);
      records.set(i, { n, i: BigInt(n), t, b: [n, 1], r: { x: n } });
    });
    for (let n = -1; n <= 61; n++) {
      const first = sorted.findIndex((value) => value >= n);
      const lower = first === -1 ? 200 : first;
      const after = sorted.findIndex((value) => value > n);
      const found = sorted.indexOf(n);
      assertEquals(records.lowerBound("n", n), lower);
      assertEquals(records.upperBound("n", n), after === -1 ? 200 : after);
      assertEquals(records.search("n", n), found);
      assertEquals(records.search("i", BigInt(n)), found);
      if (n < 0) continue;
      assertEquals(records.search("b", Uint8Array.of(n, 1)), found);
      assertEquals(records.search("t", String.fromCodePoint(0x1f600 - 60 + n)), found);
    }
  });

  test("order text by its bytes, as C and NumPy do", () => {
    using map = MemoryMap.createAnonymous(4096);
    const texts = ["", "A", "a", "ab", "é", "\uffee", "\u{1f600}"]; // JavaScript has the last two swapped
    const records = defineRecord({ t: "utf8:4" }).over(map, 0, texts.length);
    texts.forEach((t, i) => records.set(i, { t }));
    texts.forEach((t, i) => assertEquals(records.search("t", t), i));
  });

  test("find nothing in an empty array", () => {
    using map = MemoryMap.createAnonymous(4096);
    const records = type.over(map, 4096);
    assertEquals([records.lowerBound("n", 1), records.search("n", 1)], [0, -1]);
  });

  test("refuse values of another type, and fields without an order", () => {
    using map = MemoryMap.createAnonymous(4096);
    const records = type.over(map);
    assertRefused(() => records.search("n", 1n as never), MMapInvalidParameterError);
    assertRefused(() => records.search("i", 1 as never), MMapInvalidParameterError, "bigint");
    assertRefused(() => records.search("t", 1 as never), MMapInvalidParameterError, "text");
    assertRefused(() => records.search("b", "a" as never), MMapInvalidParameterError, "Uint8Array");
    assertRefused(() => records.search("r", { x: 1 }), MMapInvalidParameterError, "no order");
    assertRefused(() => records.search("none" as never, 1 as never), MMapInvalidParameterError);
  });
});
