/** Bytes to write, targets to read into, needles: of every class, and in every bad shape. */
import { act, orHostile } from "./hostile.ts";
import { text } from "./kinds.ts";
import { anyOf, type Kind, type Shown, type Source } from "./shown.ts";

const LENGTHS: readonly number[] = [0, 1, 2, 7, 64, 100, 4096, 5000, 70_000];

function filled<T extends Uint8Array>(array: T, value: number): T {
  for (let i = 0; i < array.length; i++) array[i] = value + i;
  return array;
}

/** Typed arrays, DataViews and buffers of memory of the engine's own. */
const own: Kind = ({ dice }) => {
  const length = dice.pick(LENGTHS);
  const bytes = filled(new Uint8Array(length), dice.between(0, 255));
  const even = length - length % 8;
  return dice.pick<Shown>([
    { value: bytes, text: `new Uint8Array(${length})` },
    { value: bytes, text: `new Uint8Array(${length})` },
    { value: bytes.subarray(1), text: `new Uint8Array(${length}).subarray(1)` },
    { value: new Float64Array(bytes.buffer, 0, even / 8), text: `new Float64Array(${even / 8})` },
    { value: new BigInt64Array(bytes.buffer, 0, even / 8), text: `new BigInt64Array(${even / 8})` },
    { value: new DataView(bytes.buffer), text: `new DataView(${length} bytes)` },
    { value: bytes.buffer, text: `new ArrayBuffer(${length})` },
    {
      value: new Uint8Array(new SharedArrayBuffer(length)),
      text: `new Uint8Array(new SharedArrayBuffer(${length}))`,
    },
  ]);
};

/** A view that was handed out by a map. */
const ofMap: Kind = ({ world, dice }) => {
  const entries = world.all("view");
  if (entries.length === 0) {
    return { value: new Uint8Array(3), text: "new Uint8Array(3)" };
  }
  const { value, label } = dice.pick(entries);
  return { value, text: label };
};

/** Views whose buffer is gone, shrank under them, or grows. */
const unsound: Kind = ({ dice }) => {
  const detached = new Uint8Array(64);
  detached.buffer.transfer();
  const detachedView = new DataView(new ArrayBuffer(64));
  detachedView.buffer.transfer();
  const resizable = new ArrayBuffer(64, { maxByteLength: 4096 });
  const outside = new Uint8Array(resizable, 32, 16);
  const outsideView = new DataView(resizable, 32, 16);
  const tracking = new Uint8Array(resizable, 8);
  resizable.resize(dice.pick([4, 16, 64, 4096]));
  return dice.pick<Shown>([
    { value: detached, text: "detached" },
    { value: detachedView, text: "detached DataView" },
    { value: detached.buffer, text: "detached ArrayBuffer" },
    { value: outside, text: "out of bounds" },
    { value: outsideView, text: "DataView out of bounds" },
    { value: tracking, text: "length-tracking" },
  ]);
};

/** A typed array whose members do something, or lie. */
function lying(from: Source): Shown {
  const { dice } = from;
  const member = dice.pick(["length", "byteLength", "byteOffset", "buffer", "constructor"]);
  const { text, run } = act(from);
  const value = new Uint8Array(dice.pick(LENGTHS));
  const claimed = dice.pick<unknown>([0, 1, 2 ** 30, -1, NaN, new ArrayBuffer(1), undefined]);
  Object.defineProperty(value, member, { get: () => (run(), claimed) });
  return { value, text: `Uint8Array with ${member}: ${text}, then ${String(claimed)}` };
}

/** Something of bytes. */
export const data: Kind = orHostile(anyOf(own, own, own, ofMap, ofMap, unsound, lying, text));

/** Something to read into. */
export const target: Kind = orHostile(anyOf(own, own, own, ofMap, unsound, lying));

/** Something to search for: mostly short. */
export const needle: Kind = orHostile(anyOf(text, own, ofMap, unsound, lying));

/** Numbers, as an array or as what an array is taken for. */
export function listOf(kind: Kind): Kind {
  return orHostile((from) => {
    const { dice } = from;
    const items = Array.from({ length: dice.between(0, 5) }, () => kind(from));
    const values = items.map(({ value }) => value);
    const text = `[${items.map(({ text }) => text).join(", ")}]`;
    if (dice.chance(0.8)) return { value: values, text };
    const { run, text: what } = act(from);
    return {
      value: {
        ...values,
        get length() {
          run();
          return values.length;
        },
      },
      text: `{ ...${text}, get length: ${what} }`,
    };
  });
}
