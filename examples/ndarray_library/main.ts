/**
 * A numeric library of the ecosystem, `ndarray` with `ndarray-ops`, on the bytes of a `.npy` file: it
 * takes our typed array, shape and strides, computes, and the file has the result. No copies.
 */
import path from "node:path";
import ndarray, { type NdArray as ScijsArray } from "ndarray";
import ops from "ndarray-ops";
import { TemporaryFolder } from "../common/folder.ts";
import { createNpy, type NdArray, openNpy } from "../../src/ndarray/mod.ts";

/** An array of ours as one of `ndarray`'s, over the same bytes. */
export function toScijs(array: NdArray<"f8">): ScijsArray<Float64Array> {
  return ndarray(array.data, [...array.shape], [...array.strides]);
}

/** Makes `c = 2 a + b'` in files; returns the sum of `c`. */
export function compute(folder: string): number {
  const file = (name: string) => path.join(folder, `${name}.npy`);
  {
    using a = createNpy(file("a"), { dtype: "f8", shape: [300, 200] });
    using b = createNpy(file("b"), { dtype: "f8", shape: [200, 300], fortranOrder: true });
    for (let i = 0; i < 300; i++) {
      for (let j = 0; j < 200; j++) {
        a.set(i, i, j);
        b.set(j, j, i);
      }
    }
  }
  using a = openNpy(file("a"), { dtype: "f8" });
  using b = openNpy(file("b"), { dtype: "f8" });
  using c = createNpy(file("c"), { dtype: "f8", shape: [300, 200] });
  const result = toScijs(c);
  ops.muls(result, toScijs(a), 2);
  ops.addeq(result, toScijs(b).transpose(1, 0));
  return ops.sum(result);
}

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const sum = compute(folder.path);
  using c = openNpy(folder.file("c.npy"), { dtype: "f8" });
  console.log(`2 a + b' has the sum ${sum}; the file says ${c.sum()}`);
  console.log(String(c));
}
