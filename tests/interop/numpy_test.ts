/** Interchange with NumPy, both ways: all dtypes, orders and shapes; needs python3 with NumPy. */
import { describe, test } from "node:test";
import { join } from "node:path";
import { assert, assertEquals } from "@std/assert";
import { createNpy, MappedArray, type NdArray, openNpy } from "../../src/ndarray/mod.ts";
import { defineRecord } from "../../src/records/mod.ts";
import { fileBytes, tempDir } from "../helpers.ts";
import { plain, runPython, skipWithoutNumpy, skipWithoutNumpyOne, told } from "./numpy.ts";

/** An array that NumPy wrote. */
interface Entry {
  readonly file: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly order: "C" | "F";
  readonly items: readonly unknown[];
  /** Its text; null where ours is not meant to be the same. */
  readonly text: string | null;
}

const name = ({ dtype, shape, order }: Entry) => `${dtype} (${shape.join(", ")}) ${order}`;

describe("NumPy", { skip: skipWithoutNumpy }, () => {
  test("openNpy() reads what np.save writes: dtypes, orders, shapes of 0 to 4 axes, versions", () => {
    using dir = tempDir();
    const entries: Entry[] = JSON.parse(runPython("numpy_make.py", [dir.path]));
    assertEquals(entries.length > 900, true);
    for (const entry of entries) {
      using array = openNpy(join(dir.path, entry.file));
      assertEquals(array.shape, entry.shape, name(entry));
      assertEquals([...array].map(plain), entry.items.map(told), name(entry));
    }
  });

  test("createNpy() writes what np.save writes, byte by byte", () => {
    using dir = tempDir();
    const entries: Entry[] = JSON.parse(runPython("numpy_make.py", [dir.path]));
    for (const entry of entries.filter(({ file }) => !file.startsWith("version"))) {
      const path = dir.file("ours.npy");
      createNpy(path, {
        dtype: entry.dtype,
        shape: entry.shape,
        fortranOrder: entry.order === "F",
      }).close();
      assertEquals(fileBytes(path), fileBytes(join(dir.path, `zeros-${entry.file}`)), name(entry));
      // And with the values, element by element, in the order of indices.
      using theirs = openNpy(join(dir.path, entry.file));
      using ours: NdArray = openNpy(path, { mode: "r+" });
      copy(theirs, ours);
      assertEquals(fileBytes(path), fileBytes(join(dir.path, entry.file)), name(entry));
    }
  });

  test("np.load reads what createNpy() and append() write, also as a memmap", () => {
    using dir = tempDir();
    const Tick = defineRecord({ index: "u32", value: "f64", name: "utf8:4", at: ["f32", 2] });
    {
      using ticks = createNpy(dir.file("ticks.npy"), { dtype: Tick, shape: [0] });
      for (let i = 0; i < 300; i++) {
        ticks.append([{ index: i, value: i / 2, name: `n${i}`, at: [i, -i] }]);
      }
      using columns = createNpy(dir.file("f.npy"), {
        dtype: ">f4",
        shape: [30, 40],
        fortranOrder: true,
      });
      for (let i = 0; i < 30; i++) for (let j = 0; j < 40; j++) columns.set(i * 100 + j, i, j);
    }
    const program = `
import json, sys
import numpy as np
out = []
for mode in [None, "r"]:
    t = np.load(sys.argv[1] + "/ticks.npy", mmap_mode=mode)
    f = np.load(sys.argv[1] + "/f.npy", mmap_mode=mode)
    out.append([t.shape[0], t.itemsize, int(t["index"].sum()), float(t["value"].sum()),
                t["name"][299].decode(), t["at"][7].tolist(), bool(f.flags.f_contiguous),
                f.dtype.str, f[29].astype(int).tolist()])
print(json.dumps(out))`;
    const row = Array.from({ length: 40 }, (_, j) => 2900 + j);
    const expected = [300, 32, 44850, 22425, "n299", [7, -7], true, ">f4", row];
    assertEquals(JSON.parse(runPython(program, [dir.path])), [expected, expected]);
  });

  test("append() makes of what np.save wrote what np.save writes of all rows, byte by byte", () => {
    using dir = tempDir();
    const program = `
import sys
import numpy as np
for name, t in [("a", "<f8"), ("b", ">i2"), ("c", "<c8")]:
    rows = (np.arange(1200 * 2) % 100).reshape(1200, 2).astype(t)
    for n in [0, 7, 9, 10, 99, 101, 1200]:
        np.save(f"{sys.argv[1]}/{name}{n}.npy", rows[:n])`;
    runPython(program, [dir.path]);
    for (const name of ["a", "b", "c"]) {
      using all = openNpy(dir.file(`${name}1200.npy`));
      using grown: NdArray = openNpy(dir.file(`${name}0.npy`), { mode: "r+" });
      for (const rows of [7, 9, 10, 99, 101, 1200]) {
        grown.append([...all.slice(grown.shape[0], rows)] as number[]);
        const [ours, theirs] = [0, rows].map((n) => fileBytes(dir.file(`${name}${n}.npy`)));
        assertEquals(ours, theirs, `${grown.dtype}, ${rows} rows`);
      }
    }
  });

  test("np.memmap and MappedArray have the same files in common, in all modes", () => {
    using dir = tempDir();
    const path = dir.file("raw");
    const python = (program: string): unknown =>
      JSON.parse(runPython(`import json, sys\nimport numpy as np\n${program}`, [path]));
    {
      using ours = MappedArray.open(path, { mode: "w+", dtype: "<i2", shape: [4, 3], offset: 7 });
      for (let i = 0; i < 12; i++) ours.set(i * i, Math.floor(i / 3), i % 3);
    }
    const changed = python(`
a = np.memmap(sys.argv[1], dtype="<i2", mode="r+", offset=7, shape=(4, 3))
before = a.tolist()
a[2] = [-1, -2, -3]
a.flush()
print(json.dumps(before))`);
    assertEquals(changed, [[0, 1, 4], [9, 16, 25], [36, 49, 64], [81, 100, 121]]);
    using back = MappedArray.open(path, { mode: "r+", dtype: "<i2", shape: [-1, 3], offset: 7 });
    assertEquals([...back.at(2)], [-1, -2, -3]);
    back.append([7, 8, 9]);
    const program = `
a = np.memmap(sys.argv[1], dtype="<i2", mode="c", offset=7)
a[0] = 99
print(json.dumps([a.shape[0], int(a.sum())]))`;
    assertEquals(python(program), [15, 99 + back.sum()]);
    assertEquals(back.get(0, 0), 0);
  });

  test("NdArray.sum() adds up to what NumPy adds up to", () => {
    using dir = tempDir();
    const dtypes = ["f8", "f4", "i2", "u4", "i8", ">f8", "c16", "?"];
    const program = `
import json, sys
import numpy as np
rng = np.random.default_rng(7)
out = []
for i, t in enumerate(sys.argv[2].split()):
    a = (rng.normal(size=(999, 101)) * 100).astype(t)
    np.save(f"{sys.argv[1]}/{i}.npy", a)
    s = a.astype("f8").sum() if t == "f4" else a.sum()
    out.append([s.real, s.imag] if t[0] == "c" else float(s))
print(json.dumps(out))`;
    const sums: (number | number[])[] = JSON.parse(
      runPython(program, [dir.path, dtypes.join(" ")]),
    );
    for (const [i, theirs] of sums.entries()) {
      using array = openNpy(join(dir.path, `${i}.npy`));
      const ours = [array.sum()].flat().map(Number);
      const close = [theirs].flat().every((sum, k) => Math.abs(ours[k]! - sum) <= 1e-9 * 1e6);
      assert(close, `${array.dtype}: ${ours}, NumPy ${theirs}`);
    }
  });

  test("NdArray.toString() prints every dtype and shape as NumPy does", {
    skip: skipWithoutNumpyOne,
  }, () => {
    using dir = tempDir();
    const entries: Entry[] = JSON.parse(runPython("numpy_make.py", [dir.path]));
    for (const { file, text } of entries.filter(({ text }) => text !== null)) {
      using array = openNpy(join(dir.path, file));
      assertEquals(String(array), text, `${array.dtype} (${array.shape.join(", ")})`);
    }
  });

  test("NdArray.toString() prints numbers as NumPy does", { skip: skipWithoutNumpyOne }, () => {
    using dir = tempDir();
    const texts: string[] = JSON.parse(runPython("numpy_print.py", [dir.path]));
    for (const [k, text] of texts.entries()) {
      using array = openNpy(join(dir.path, `${k}.npy`));
      assertEquals(String(array), text, `${array.dtype} (${array.shape.join(", ")})`);
    }
  });
});

/** Copies all elements through `get` and `set`. */
function copy(from: NdArray, to: NdArray, ...index: number[]): void {
  if (index.length === from.shape.length) return to.set(from.get(...index), ...index);
  for (let i = 0; i < from.shape[index.length]!; i++) copy(from, to, ...index, i);
}
