/** Views that were handed out, used by the engine alone, whatever has become of their maps. */
import { isEngines } from "../errors.ts";
import * as kind from "../kinds.ts";
import { oneOf, type Source } from "../shown.ts";
import { type AnyTable, engineTable } from "../table.ts";

type Numbers = Uint8Array & { fill(value: unknown): unknown };
type View = Numbers | DataView;

const place = ({ dice }: Source) => {
  const value = dice.pick([0, 1, 100, 4095, 4096, 9999, 65_535, 1 << 17]);
  return { value, text: String(value) };
};

/** The value of an element as the array takes it. */
function element(array: Numbers, value: number): number {
  return (typeof (array as ArrayLike<unknown>)[0] === "bigint" ? BigInt(value) : value) as number;
}

/** A typed array over the bytes of a view. */
function numbersOf(view: View): Numbers {
  if (!(view instanceof DataView)) return view;
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Reads all elements in a loop that engines optimise. */
function sum(view: View): number {
  const numbers = numbersOf(view);
  let total = 0;
  for (let i = 0; i < numbers.length; i++) total += Number(numbers[i]);
  return total;
}

/** Gives the buffer away, as `postMessage` with a transfer list does. */
function giveAway(view: View, how: string): unknown {
  const buffer = view.buffer as ArrayBuffer;
  if (how === "transfer") return new Uint8Array(buffer.transfer());
  if (how === "shorter") return new Uint8Array(buffer.transfer(buffer.byteLength >> 1));
  return new Uint8Array(structuredClone(buffer, { transfer: [buffer] }));
}

const views = engineTable<View>({
  name: "view",
  weight: 3,
  is: ArrayBuffer.isView as (value: unknown) => value is View,
  make: ({ map, dice }) => {
    if (map === undefined) return undefined;
    return dice.pick([
      { text: "a map's bytes", value: () => map.bytes },
      { text: "a map's asDataView()", value: () => map.asDataView() },
      {
        text: "a map's asTypedArray(Int32Array, 0, 1)",
        value: () => map.asTypedArray(Int32Array, 0, 1) as unknown as Numbers,
      },
    ]);
  },
  methods: {},
  actions: {
    get: { takes: [place], run: (view, at) => void numbersOf(view)[at] },
    set: {
      takes: [place, kind.byte],
      run: (view, at, value) => void (numbersOf(view)[at] = value as number),
    },
    sum: { takes: [], run: sum },
    fill: {
      takes: [oneOf(0, 1, 255)],
      run: (view, value) => void numbersOf(view).fill(element(numbersOf(view), value)),
    },
    setAll: {
      takes: [place],
      run: (view, at) => numbersOf(view).set(numbersOf(view).subarray(at)),
    },
    slice: { takes: [place], run: (view, at) => void numbersOf(view).slice(at) },
    copyWithin: {
      takes: [place, place],
      run: (view, to, at) => void numbersOf(view).copyWithin(to, at),
    },
    add: {
      takes: [place],
      run: (view, at) => void Atomics.add(numbersOf(view), at, element(numbersOf(view), 1)),
    },
    getUint32: {
      takes: [place],
      run: (view, at) => void (view instanceof DataView && view.getUint32(at)),
    },
    setFloat64: {
      takes: [place],
      run: (view, at) => void (view instanceof DataView && view.setFloat64(at, 1.5)),
    },
    giveAway: { takes: [oneOf("transfer", "shorter", "clone")], run: giveAway },
  },
  allows: (error) =>
    isEngines(error) || (error instanceof DOMException && error.name === "DataCloneError"),
});

/** The tables of this file. */
export const viewTables: readonly AnyTable[] = [views];
