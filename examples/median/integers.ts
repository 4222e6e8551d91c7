/** Files of 16-bit integers to find the median of. */
import { MappedArray } from "../../src/ndarray/mod.ts";

/** Elements that are viewed at a time: any runtime has an ArrayBuffer for them. */
const PIECE = 2 ** 26;

/** Writes a file of 16-bit integers that look random, most of them near 1000. */
export function writeIntegers(file: string, mebibytes: number): void {
  const shape = [mebibytes * 2 ** 19];
  using array = MappedArray.open(file, { mode: "w+", dtype: "<i2", shape });
  let state = 1;
  for (let start = 0; start < array.size; start += PIECE) {
    const { data } = array.slice(start, start + PIECE);
    for (let i = 0; i < data.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      const spread = state >> 16;
      data[i] = 1000 + ((spread * (spread & 0xfff)) >> 13);
    }
  }
}
