/** NumPy's arrays and files. */
import { createNpy, MappedArray, NdArray, openNpy } from "../../../src/ndarray/mod.ts";
import { data, listOf } from "../bytes.ts";
import { options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { anyOf, type Kind, oneOf, type Shown, type Source } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";
import { recordType } from "./records.ts";

const { index } = kind;

const dtype: Kind = orHostile(anyOf(
  oneOf("f4", "<f8", ">i2", "bool", "complex64", "u1", "i8", "S5", "U3", "V4", "f2", "O", "x9"),
  oneOf("float64", "int32", "uint8", "f8"),
  recordType,
));

const axis: Kind = orHostile(oneOf(0, 1, 2, 3, 10, 100, -1), 0.03);
const shape: Kind = orHostile(listOf(axis));
const order = orHostile(oneOf(true, false));
const { howToOpen } = kind;

/** Elements of any type. */
const value: Kind = orHostile(
  anyOf(index, kind.byte, oneOf(1.5, 5n, true, "ab", "x".repeat(9)), listOf(kind.byte)),
);

/** An array over an open map. */
function fresh({ map, dice }: Source): Shown<() => NdArray> | undefined {
  if (map === undefined) return undefined;
  const dtype = dice.pick(["f4", ">i2", "u1", "f8", "complex64", "bool"]);
  const shape = dice.pick([[2, 3], [10], [4, 2, 5], [0, 3], []]);
  const fortranOrder = dice.chance(0.3);
  const text = JSON.stringify({ dtype, shape, fortranOrder });
  return {
    text: `MappedArray.over(a map, ${text})`,
    value: () => MappedArray.over(map, { dtype, shape, fortranOrder }) as NdArray,
  };
}

const arrays = classTable<NdArray>({
  name: "array",
  weight: 2,
  is: (value) => value instanceof NdArray,
  make: fresh,
  mapOf: ({ map }) => map,
  methods: {
    get: [index, index, index],
    set: [value, index, index],
    row: [index],
    at: [index, index],
    slice: [index, index],
    transpose: [],
    sum: [],
    toTypedArray: [],
    toArray: [],
    append: [orHostile(anyOf(data, listOf(value)))],
    flush: [],
    close: [],
    toString: [],
    [Symbol.dispose]: [],
    [Symbol.iterator]: [],
  },
});

const mapped = functionTable<typeof MappedArray>({
  name: "MappedArray",
  weight: 0.7,
  owner: MappedArray,
  functions: {
    open: [
      kind.anyPath,
      orHostile((from) => {
        const few = options({ dtype, mode: kind.openMode }, 0.95);
        const many = options(
          { dtype, shape, fortranOrder: order, mode: kind.openMode, offset: kind.offset },
          0.7,
        );
        const all = options({ dtype, shape, mode: kind.openMode, ...howToOpen }, 0.3);
        return from.dice.pick([few, many, many, all])(from);
      }),
    ],
    over: [
      kind.map,
      orHostile(options({ dtype, shape, fortranOrder: order, byteOffset: kind.offset }, 0.8)),
    ],
  },
});

const files = functionTable({
  name: "npy",
  weight: 0.7,
  owner: { createNpy, openNpy },
  functions: {
    createNpy: [
      kind.anyPath,
      orHostile((from) => {
        const few = options({ dtype, shape, fortranOrder: order }, 0.95);
        const all = options({ dtype, shape, fortranOrder: order, ...howToOpen }, 0.3);
        return from.dice.pick([few, few, all])(from);
      }),
    ],
    openNpy: [
      kind.anyPath,
      orHostile(
        options({ dtype, mode: kind.openMode, maxHeaderSize: index, ...howToOpen }, 0.15),
      ),
    ],
  },
});

/** The tables of this file. */
export const ndarrayTables: readonly AnyTable[] = [arrays, mapped, files];
