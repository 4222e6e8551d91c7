/** How often each value occurs in an array of 16-bit integers. */
import { MappedArray, type NdArray } from "../../src/ndarray/mod.ts";

/** The values that 16 bits can have. */
export const VALUES: number = 2 ** 16;

/** How often each value occurs, from the least to the greatest. */
export type Counts = Float64Array<ArrayBuffer>;

/** Elements that are counted at a time: few enough for 32-bit counters, and for any ArrayBuffer. */
const PIECE = 2 ** 28;

/** Counts the values of an array. */
export function countValues(array: NdArray<"<i2">): Counts {
  const counts = new Float64Array(VALUES);
  for (let start = 0; start < array.size; start += PIECE) {
    const piece = array.slice(start, start + PIECE).data;
    // Two tables, so that two equal values in a row need not wait for each other.
    const [even, odd] = [new Uint32Array(VALUES), new Uint32Array(VALUES)];
    countPairs(piece, even, odd);
    // Stored by bits: 0 to 32767, then -32768 to -1.
    for (let i = 0; i < VALUES; i++) counts[(i + VALUES / 2) % VALUES]! += even[i]! + odd[i]!;
  }
  return counts;
}

/** Counts two values with every load, where the addresses allow it. */
function countPairs(values: Int16Array, even: Uint32Array, odd: Uint32Array): void {
  const { buffer, byteOffset, length } = values;
  const head = Math.min((byteOffset % 4) / 2, length);
  for (let i = 0; i < head; i++) even[values[i]! & 0xffff]! += 1;
  const pairs = new Uint32Array(buffer, byteOffset + head * 2, (length - head) >> 1);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    even[pair & 0xffff]! += 1;
    odd[pair >>> 16]! += 1;
  }
  for (let i = head + pairs.length * 2; i < length; i++) even[values[i]! & 0xffff]! += 1;
}

/** Counts the values of a part of a file. */
export function countInFile(path: string, start: number, end: number): Counts {
  using array = MappedArray.open(path, { dtype: "<i2", access: "sequential" });
  return countValues(array.slice(start, end));
}
