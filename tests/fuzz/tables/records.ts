/** Records, their arrays, columns and fields. */
import {
  Column,
  defineRecord,
  FieldArray,
  RecordArray,
  type RecordFields,
  RecordType,
} from "../../../src/records/mod.ts";
import { data, listOf } from "../bytes.ts";
import { options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { anyOf, type Kind, oneOf, plain, type Shown, type Source } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";

const { index, offset, length } = kind;

/** Types of fields, most of them in order. */
const fieldType: Kind = orHostile(({ dice }) => {
  const value = dice.pick<unknown>([
    ...["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f16", "f32", "f64", "bool"],
    ...["bytes:5", "utf8:9", "utf32:2", ["u16", 3], ["utf8:4", 2], [["f32", 2], 2]],
    ...[{ x: "f32", y: "f32" }, [{ a: "u8" }, 2], "bytes:0", "bytes:-1", "u128", ["u8", -1]],
    ...["bytes:9007199254740991", ["u32", 2 ** 47], [], ["u8"]],
  ]);
  return { value, text: JSON.stringify(value) };
}, 0.03);

const FIELDS: readonly string[] = ["index", "value", "x", "__proto__", "length", "constructor"];

/** The fields of a record. */
const fields: Kind = orHostile(
  options(Object.fromEntries(FIELDS.map((name) => [name, fieldType])), 0.4),
);

const fieldName: Kind = orHostile(oneOf(...FIELDS, "value", "value", "missing"));

/** What is written to a field or an element. */
const value: Kind = orHostile(anyOf(
  index,
  kind.byte,
  oneOf(0, 1, 1.5, -1, 255, 256, 5n, -1n, 2n ** 64n, true, "ab", "a\0b", "x".repeat(20)),
  data,
  listOf(kind.byte),
  options({ x: kind.byte, y: kind.byte }),
));

const record: Kind = orHostile(
  options({ index: kind.byte, value, x: value, length: value, constructor: value }, 0.9),
);

const layouts: readonly RecordType<RecordFields>[] = [
  defineRecord({ index: "u32", value: "f64" }, { packed: true }),
  defineRecord({ index: "u8", value: "bytes:5", x: ["u16", 3] }),
  defineRecord({ index: "u32", value: "utf8:9" }, { endian: "big" }),
  defineRecord({ index: "u16", value: { x: "f32", y: "i64" }, x: "bool" }),
] as unknown as RecordType<RecordFields>[];

/** A record type that is in order. */
export function layout({ dice }: Source): Shown<() => RecordType<RecordFields>> {
  const k = dice.between(0, layouts.length - 1);
  return { text: `layouts[${k}]`, value: () => layouts[k]! };
}

/** An array over an open map. */
function records(from: Source): Shown<() => RecordArray<RecordFields>> | undefined {
  const { map } = from;
  const type = layout(from);
  return map && { text: `${type.text}.over(a map)`, value: () => type.value().over(map) };
}

const types = classTable<RecordType<RecordFields>>({
  name: "type",
  weight: 1,
  is: (value) => value instanceof RecordType,
  make: layout,
  methods: { over: [kind.map, offset, length], encode: [record], decode: [data, offset] },
});

const arrays = classTable<RecordArray<RecordFields>>({
  name: "records",
  weight: 2,
  is: (value) => value instanceof RecordArray,
  make: records,
  mapOf: ({ map }) => map,
  methods: {
    get: [index],
    set: [index, record],
    at: [index],
    bytes: [index],
    column: [fieldName, index],
    subarray: [index, index],
    lowerBound: [fieldName, value],
    upperBound: [fieldName, value],
    search: [fieldName, value],
    [Symbol.iterator]: [],
  },
  actions: {
    getField: {
      takes: [index, fieldName],
      run: (array, at, name) => {
        const view = array.at(at) as Record<string, unknown>;
        return typeof name === "string" ? view[name] : undefined; // others the engine converts
      },
    },
    setField: {
      takes: [index, fieldName, value],
      run: (array, at, name, value) => {
        const view = array.at(at) as Record<string, unknown>;
        const isField = typeof name === "string" &&
          Object.hasOwn(Object.getPrototypeOf(view), name);
        if (isField) view[name] = value;
      },
    },
  },
});

const columns = classTable<Column>({
  name: "column",
  weight: 1,
  is: (value) => value instanceof Column,
  make: (from) => {
    const array = records(from);
    return array && { text: `${array.text}.column("value")`, value: () => columnOf(array.value()) };
  },
  methods: {
    get: [index],
    set: [index, value],
    strided: [],
    toTypedArray: [],
    sum: [],
    [Symbol.iterator]: [],
  },
});

function columnOf(array: RecordArray<RecordFields>): Column {
  return array.column("value") as unknown as Column;
}

const fieldArrays = classTable<FieldArray>({
  name: "field",
  weight: 0.5,
  is: (value) => value instanceof FieldArray,
  make: ({ map, dice }) => {
    const k = dice.between(0, 20);
    return map && {
      text: `layouts[1].over(a map).at(${k}).x`,
      value: () => layouts[1]!.over(map).at(k)["x"] as unknown as FieldArray,
    };
  },
  methods: {
    get: [index],
    set: [index, value],
    toArray: [],
    asTypedArray: [],
    assign: [listOf(kind.byte)],
    [Symbol.iterator]: [],
  },
});

const functions = functionTable({
  name: "records",
  weight: 0.5,
  owner: { defineRecord },
  functions: {
    defineRecord: [
      fields,
      orHostile(options({ packed: kind.flag, endian: orHostile(oneOf("little", "big")) })),
    ],
  },
});

/** The tables of this file. */
export const recordTables: readonly AnyTable[] = [types, arrays, columns, fieldArrays, functions];

/** A record type as an argument. */
export const recordType: Kind = orHostile((from) => {
  const { value, text } = layout(from);
  return from.dice.chance(0.9) ? { value: value(), text } : plain("layouts");
});
