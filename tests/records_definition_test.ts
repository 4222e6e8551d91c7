/** `defineRecord()`: layouts, types, encoding, and what is refused. */
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { MMapInvalidParameterError } from "../mod.ts";
import {
  defineRecord,
  type FieldAt,
  type FieldType,
  type RecordFields,
  type RecordOf,
  type RecordType,
  type RecordView,
} from "../src/records/mod.ts";
import { assertRefused } from "./helpers.ts";

const offsets = (type: RecordType<never>) => type.fields.map(({ offset }) => offset);

describe("defineRecord()", () => {
  test("puts packed fields right behind each other", () => {
    const type = defineRecord({ a: "u8", b: "f64", c: "u16", d: "i64" }, { packed: true });
    assertEquals(offsets(type as never), [0, 1, 9, 11]);
    assertEquals([type.byteLength, type.alignment], [19, 1]);
  });

  test("pads fields and the end as C does, unless packed", () => {
    const type = defineRecord({ a: "u8", b: "f64", c: "u16", d: "f32", e: "bool" });
    assertEquals(offsets(type as never), [0, 8, 16, 20, 24]);
    assertEquals([type.byteLength, type.alignment], [32, 8]);
  });

  test("aligns every type of number to its size", () => {
    const sizes = { u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, u64: 8, i64: 8 };
    for (const [type, size] of Object.entries({ ...sizes, f16: 2, f32: 4, f64: 8, bool: 1 })) {
      const { fields, byteLength } = defineRecord({ first: "u8", second: type as FieldType });
      assertEquals(fields[1], { name: "second", offset: size, byteLength: size }, type);
      assertEquals(byteLength, 2 * size, type);
    }
  });

  test("aligns arrays as their elements, and bytes and text not at all", () => {
    const type = defineRecord({ a: "bytes:3", b: ["u16", 3], c: "utf8:5", d: "u8", e: "utf32:2" });
    assertEquals(offsets(type as never), [0, 4, 10, 15, 16]);
    assertEquals(type.byteLength, 24);
  });

  test("lays records in records out by their own rules", () => {
    const Inner = defineRecord({ a: "u8", b: "u32" }); // 8 bytes, with padding inside
    assertEquals(offsets(defineRecord({ x: "u8", inner: Inner }) as never), [0, 4]);
    const packed = defineRecord({ x: "u8", inner: Inner, y: "u8" }, { packed: true });
    assertEquals(offsets(packed as never), [0, 1, 9]);
    assertEquals(packed.byteLength, 10);
  });

  test("lays fields in fields out by the rules of the outer record", () => {
    const inner = { a: "u8", b: "u32" } as const;
    assertEquals(defineRecord({ inner }).byteLength, 8);
    assertEquals(defineRecord({ inner }, { packed: true }).byteLength, 5);
    const big = defineRecord({ inner }, { packed: true, endian: "big" });
    assertEquals(big.encode({ inner: { a: 1, b: 2 } }), Uint8Array.of(1, 0, 0, 0, 2));
  });

  test("keeps the order of names, whatever they are", () => {
    const type = defineRecord({ z: "u8", a: "u8", "no identifier": "u8", constructor: "u8" });
    assertEquals(type.fields.map(({ name }) => name), ["z", "a", "no identifier", "constructor"]);
    const record = { z: 1, a: 2, "no identifier": 3, constructor: 4 };
    assertEquals(type.decode(type.encode(record)), record);
  });

  test("refuses unknown types and says which there are", () => {
    for (const type of ["u9", "U8", "", "bytes", "bytes:0", "bytes:-1", "utf8:1.5", "bytes:1e3"]) {
      const define = () => defineRecord({ field: type as FieldType });
      assertRefused(define, MMapInvalidParameterError, JSON.stringify(type), '"field"', "utf8:N");
    }
    for (const type of [null, undefined, 8, ["u8"], ["u8", 2, 3], () => "u8"]) {
      const define = () => defineRecord({ field: type as unknown as FieldType });
      assertRefused(define, MMapInvalidParameterError, '"field"');
    }
  });

  test("refuses arrays without a length of at least 1", () => {
    for (const length of [0, -1, 1.5, NaN, "2"]) {
      const define = () => defineRecord({ field: ["u8", length as number] });
      assertRefused(define, MMapInvalidParameterError, '"field"', "from 1");
    }
  });

  test("refuses names that cannot be kept", () => {
    assertRefused(() => defineRecord({ 0: "u8" }), MMapInvalidParameterError, '"0"', '"f0"');
    assertRefused(() => defineRecord({ a: "u8", 7: "u8" }), MMapInvalidParameterError, '"7"');
    assertRefused(() => defineRecord({ "": "u8" }), MMapInvalidParameterError, '""');
    const proto = JSON.parse('{"__proto__":"u8"}') as RecordFields;
    assertRefused(() => defineRecord(proto), MMapInvalidParameterError, '"__proto__"');
  });

  test("refuses records without fields, and what is no object", () => {
    assertRefused(() => defineRecord({}), MMapInvalidParameterError, "at least one");
    assertRefused(() => defineRecord({ a: {} }), MMapInvalidParameterError, "at least one");
    for (const fields of [null, undefined, "u8", ["u8", 2]]) {
      assertRefused(() => defineRecord(fields as never), MMapInvalidParameterError);
    }
  });

  test("refuses options that it does not know", () => {
    const define = (options: unknown) => () => defineRecord({ a: "u8" }, options as never);
    assertRefused(define({ endian: "middle" }), MMapInvalidParameterError, '"middle"', '"big"');
    assertRefused(define({ packed: 1 }), MMapInvalidParameterError, "packed 1");
    assertRefused(define({ Packed: true }), MMapInvalidParameterError, '"packed"');
    assertRefused(define(null), MMapInvalidParameterError, "options");
  });

  test("refuses records of half a gibibyte and more", () => {
    const define = () => defineRecord({ a: ["u64", 2 ** 26] });
    assertRefused(define, MMapInvalidParameterError, String(2 ** 29));
    assertEquals(defineRecord({ a: `bytes:${2 ** 29 - 1}` }).byteLength, 2 ** 29 - 1);
  });
});

describe("RecordType.encode()", () => {
  test("writes each type of number at its ends", () => {
    const ends: [FieldType, number | bigint, string][] = [
      ["u8", 255, "ff"],
      ["i8", -128, "80"],
      ["u16", 65535, "ffff"],
      ["i16", -32768, "0080"],
      ["u32", 4294967295, "ffffffff"],
      ["i32", -2147483648, "00000080"],
      ["u64", 2n ** 64n - 1n, "ffffffffffffffff"],
      ["i64", -(2n ** 63n), "0000000000000080"],
      ["f16", 65504, "ff7b"],
      ["f32", 1.5, "0000c03f"],
      ["f64", -2.5, "00000000000004c0"],
    ];
    for (const [type, value, hex] of ends) {
      const little = defineRecord({ a: type }, { packed: true });
      const big = defineRecord({ a: type }, { packed: true, endian: "big" });
      const record = { a: value } as never;
      assertEquals(little.encode(record).toHex(), hex, `${type}`);
      assertEquals(big.encode(record).toReversed().toHex(), hex, `${type}`);
      assertEquals(little.decode(little.encode(record)) as unknown, record);
      assertEquals(big.decode(big.encode(record)) as unknown, record);
    }
  });

  test("refuses numbers beyond the ends, with the field and what is allowed", () => {
    const beyond: [FieldType, unknown[]][] = [
      ["u8", [256, -1, 0.5, NaN, "1", 1n, null, undefined, {}, true]],
      ["i8", [128, -129]],
      ["u16", [65536, -1]],
      ["i16", [32768, -32769]],
      ["u32", [2 ** 32, -1]],
      ["i32", [2 ** 31, -(2 ** 31) - 1]],
      ["u64", [2n ** 64n, -1n, 1, "1", null, undefined]],
      ["i64", [2n ** 63n, -(2n ** 63n) - 1n, 1]],
      ["f16", ["1", 1n, null, undefined, {}]],
      ["f32", ["1", 1n, null, undefined]],
      ["f64", ["1", 1n, null, undefined, [1]]],
      ["bool", [0, 1, "true", null, undefined]],
    ];
    for (const [type, values] of beyond) {
      const record = defineRecord({ inner: { a: type } });
      for (const value of values) {
        const encode = () => record.encode({ inner: { a: value as never } });
        assertRefused(encode, MMapInvalidParameterError, '"inner.a"', `${type}: it must be`);
      }
    }
  });

  test("fills text and bytes with zeros, and reads them back", () => {
    const type = defineRecord({ text: "utf8:6", raw: "bytes:3", wide: "utf32:3" });
    const bytes = type.encode({ text: "né", raw: [1], wide: "a\u{1f600}" });
    assertEquals(
      bytes.toHex(),
      "6ec3a9000000" + "010000" + "000000" + "61000000" + "00f60100" + "00000000",
    );
    assertEquals(type.decode(bytes), {
      text: "né",
      raw: Uint8Array.of(1, 0, 0),
      wide: "a\u{1f600}",
    });
    assertEquals(defineRecord({ t: "utf8:2" }).decode(Uint8Array.of(0x41, 0x42)), { t: "AB" });
  });

  test("refuses text and bytes that do not fit, or would not come back", () => {
    const type = defineRecord({ text: "utf8:4", raw: "bytes:3", wide: "utf32:2" });
    const good = { text: "abcd", raw: [1, 2, 3], wide: "ab" };
    type.encode(good);
    const cases: [Record<string, unknown>, string, string][] = [
      [{ text: "abcde" }, '"text"', "5 bytes"],
      [{ text: "ééé" }, '"text"', "6 bytes"],
      [{ text: "a\0b" }, '"text"', "zero"],
      [{ text: "\ud800" }, '"text"', "well-formed"],
      [{ text: 5 }, '"text"', "text"],
      [{ raw: [1, 2, 3, 4] }, '"raw"', "4 bytes"],
      [{ raw: [256] }, '"raw"', "0 to 255"],
      [{ raw: "abc" }, '"raw"', "at most 3"],
      [{ raw: undefined }, '"raw"', "undefined"],
      [{ wide: "abc" }, '"wide"', "3 code points"],
    ];
    for (const [bad, ...parts] of cases) {
      const encode = () => type.encode({ ...good, ...bad } as never);
      assertRefused(encode, MMapInvalidParameterError, ...parts);
    }
  });

  test("reads what is no UTF-8, and no code point, as the replacement character", () => {
    assertEquals(defineRecord({ t: "utf8:3" }).decode(Uint8Array.of(0x41, 0xff, 0x42)), {
      t: "A\ufffdB",
    });
    const wide = defineRecord({ t: "utf32:2" });
    assertEquals(wide.decode(Uint8Array.of(0, 0xd8, 0, 0, 0x41, 0, 0, 0)), { t: "\ufffdA" });
    assertEquals(wide.decode(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)), { t: "\ufffd" });
  });

  test("refuses arrays of another length, and records with a field missing", () => {
    const type = defineRecord({ list: ["u8", 3], inner: { a: "u8", b: ["u8", 2] } });
    const good = { list: [1, 2, 3], inner: { a: 1, b: [1, 2] } };
    type.encode(good);
    type.encode({ ...good, list: Uint8Array.of(1, 2, 3) });
    for (const list of [[1, 2], [1, 2, 3, 4], [], "abc", 5, null, undefined]) {
      const encode = () => type.encode({ ...good, list } as never);
      assertRefused(encode, MMapInvalidParameterError, '"list"', "3 values");
    }
    const missing = () => type.encode({ ...good, inner: { a: 1 } } as never);
    assertRefused(missing, MMapInvalidParameterError, '"inner.b"');
    const none = () => type.encode({ list: [1, 2, 3] } as never);
    assertRefused(none, MMapInvalidParameterError, '"inner"', "a, b");
    assertRefused(() => type.encode(null as never), MMapInvalidParameterError, "list, inner");
  });
});

describe("RecordType.decode()", () => {
  test("reads at any byte of any view", () => {
    const type = defineRecord({ a: "u16", b: "f64" });
    const bytes = new Uint8Array(40);
    bytes.set(type.encode({ a: 7, b: 0.5 }), 11);
    assertEquals(type.decode(bytes, 11), { a: 7, b: 0.5 });
    assertEquals(type.decode(bytes.subarray(10), 1), { a: 7, b: 0.5 });
    assertEquals(type.decode(new DataView(bytes.buffer, 11)), { a: 7, b: 0.5 });
  });

  test("refuses a record that overruns the bytes", () => {
    const type = defineRecord({ a: "u32" });
    for (const offset of [1, 4, -1, 0.5, NaN]) {
      assertRefused(() => type.decode(new Uint8Array(4), offset), MMapInvalidParameterError);
    }
  });
});

test("the types of records follow from their definitions", () => {
  const Point = defineRecord({ x: "f32", y: "f32" });
  const Trade = defineRecord({
    time: "i64",
    open: "bool",
    symbol: "utf8:8",
    key: "bytes:4",
    at: Point,
    levels: ["u16", 4],
    nested: { grid: [["u8", 2], 3] },
  });
  type Fields = typeof Trade extends RecordType<infer F> ? F : never;
  interface Expected {
    time: bigint;
    open: boolean;
    symbol: string;
    key: Uint8Array;
    at: { x: number; y: number };
    levels: number[];
    nested: { grid: number[][] };
  }
  same<RecordOf<Fields>, Expected>(true);
  same<RecordView<Fields>["at"]["x"], number>(true);
  same<RecordView<Fields>["time"], bigint>(true);
  same<FieldAt<Fields, ["at", "y"]>, "f32">(true);
  same<FieldAt<Fields, ["levels", 3]>, "u16">(true);
  same<FieldAt<Fields, ["nested", "grid", 1]>, readonly ["u8", 2]>(true);
  assertEquals(Trade.fields.length, 7);
});

/** Compiles if two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

function same<A, B>(_verdict: Same<A, B>): void {}
