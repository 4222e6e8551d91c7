/** Adds up the doubles of a `.npy` file. */
import { createNpy, openNpy } from "../../src/ndarray/mod.ts";

/** Writes a file of `rows` x 3 doubles from 0 up to 1. Returns the bytes of its header. */
export function writeDoubles(file: string, rows: number): number {
  using array = createNpy(file, { dtype: "f8", shape: [rows, 3] });
  const { data } = array;
  for (let i = 0; i < data.length; i++) data[i] = (Math.imul(i, 0x9e3779b1) >>> 0) / 2 ** 32;
  return array.byteOffset;
}

/** Opens the file and adds up what is in it. */
export function sumFile(file: string): number {
  using array = openNpy(file, { dtype: "f8" });
  return array.sum();
}
