/** NdArray: elements, parts, typed arrays over them, sums. */
import { describe, test } from "node:test";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import {
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_NONE,
} from "../mod.ts";
import { createNpy, MappedArray, type NdArray } from "../src/ndarray/mod.ts";
import { sumPiece } from "../src/ndarray/sum.ts";
import { defineRecord } from "../src/records/mod.ts";
import { assertRefused, fileBytes, random, tempDir } from "./helpers.ts";

/** An array of 0, 1, 2, ... in the order of indices. */
function counting(
  map: MemoryMap,
  shape: readonly number[],
  options: { dtype?: string; fortranOrder?: boolean; byteOffset?: number } = {},
): NdArray {
  const array = MappedArray.over(map, { dtype: "f8", shape, ...options });
  let next = 0;
  const fill = (...index: number[]): void => {
    if (index.length === shape.length) return array.set(next++, ...index);
    for (let i = 0; i < shape[index.length]!; i++) fill(...index, i);
  };
  fill();
  return array as NdArray;
}

const counted = (length: number) => Array.from({ length }, (_, i) => i);

describe("NdArray.get() and set()", () => {
  test("reach every element, in C and Fortran order, at any offset", () => {
    using map = MemoryMap.createAnonymous(4096);
    for (const shape of [[], [0], [5], [2, 3], [3, 1, 4], [2, 2, 2, 2], [2, 0, 3]]) {
      const size = shape.reduce((product, length) => product * length, 1);
      for (const fortranOrder of [false, true]) {
        for (const byteOffset of [0, 3]) {
          const array = counting(map, shape, { fortranOrder, byteOffset });
          assertEquals([...array], counted(size));
          assertEquals(array.size, size);
          assertEquals(array.shape, shape);
        }
      }
    }
  });

  test("put the last axis next to each other in C order, the first in Fortran order", () => {
    using map = MemoryMap.createAnonymous(4096);
    const c = counting(map, [2, 3], { dtype: "u1" });
    assertEquals([...map.read(6)], [0, 1, 2, 3, 4, 5]);
    assertEquals([c.strides, c.isContiguous, c.isFortranContiguous], [[3, 1], true, false]);
    const f = counting(map, [2, 3], { dtype: "u1", fortranOrder: true });
    assertEquals([...map.read(6)], [0, 3, 1, 4, 2, 5]);
    assertEquals([f.strides, f.isContiguous, f.isFortranContiguous], [[1, 2], false, true]);
  });

  test("take elements of every dtype", () => {
    using map = MemoryMap.createAnonymous(4096);
    const values: [string, unknown][] = [
      ["?", true],
      ["i1", -128],
      ["u1", 255],
      ["i2", -32768],
      ["u2", 65535],
      ["i4", -(2 ** 31)],
      ["u4", 2 ** 32 - 1],
      ["i8", -(2n ** 63n)],
      ["u8", 2n ** 64n - 1n],
      ["f2", 0.5],
      ["f4", -1.5],
      ["f8", Math.PI],
      ["c8", [0.5, -1]],
      ["c16", [Math.PI, -Math.E]],
      ["S3", Uint8Array.of(65, 66, 0)],
      ["U2", "é\u{1f600}"],
      ["V2", Uint8Array.of(1, 0)],
      ["M8[ns]", 1_700_000_000_000_000_000n],
      ["m8[D]", -7n],
    ];
    for (const [dtype, value] of values) {
      for (const order of ["<", ">"]) {
        const array = MappedArray.over(map, { dtype: order + dtype, shape: [2, 3], byteOffset: 1 });
        array.set(value as never, 1, 2);
        assertEquals(array.get(1, 2) as unknown, value, order + dtype);
        assertEquals([...array].at(-1) as unknown, value, order + dtype);
      }
    }
  });

  test("count negative indices from the end", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = counting(map, [3, 4]);
    assertEquals(array.get(-1, -1), 11);
    assertEquals(array.get(-3, 0), 0);
    array.set(50, -1, 0);
    assertEquals(array.get(2, 0), 50);
  });

  test("refuse indices that are outside, not whole, too many or too few", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = counting(map, [3, 4]);
    for (const index of [[3, 0], [0, 4], [-4, 0], [0, 0.5], [NaN, 0], ["0", 0], [0, undefined]]) {
      const given = index as number[];
      assertRefused(() => array.get(...given), MMapInvalidParameterError, "axis");
      assertRefused(() => array.set(1, ...given), MMapInvalidParameterError, "axis");
    }
    for (const index of [[], [0], [0, 0, 0]]) {
      assertRefused(() => array.get(...index), MMapInvalidParameterError, "2 axes");
    }
  });

  test("refuse values that do not fit", () => {
    using map = MemoryMap.createAnonymous(4096);
    const set = (dtype: string, value: unknown) => () =>
      MappedArray.over(map, { dtype, shape: [4] }).set(value as never, 0);
    assertRefused(set("u1", 256), MMapInvalidParameterError, "0 to 255");
    assertRefused(set("i8", 1), MMapInvalidParameterError, "bigint");
    assertRefused(set("f8", "1"), MMapInvalidParameterError, "a number");
    assertRefused(set("c8", [1]), MMapInvalidParameterError, "2 values");
    assertRefused(set("S2", [1, 2, 3]), MMapInvalidParameterError, "2 bytes");
    assertRefused(set("U2", "abc"), MMapInvalidParameterError, "3 code points");
    assertRefused(set(">i2", 40000), MMapInvalidParameterError, "32767");
    assertEquals(map.count(0), 4096);
  });

  test("refuse closed maps, and writing to maps for reading", () => {
    using dir = tempDir();
    const array = MappedArray.open(dir.file("a", new Uint8Array(16)), { dtype: "f8" });
    assertRefused(() => array.set(1, 0), MMapProtectionError, "PROT_WRITE");
    array.close();
    assertRefused(() => array.get(0), MMapClosedError);
    assertRefused(() => array.data, MMapClosedError);
    assertRefused(() => array.sum(), MMapClosedError);
    assertRefused(() => [...array], MMapClosedError);
    assertRefused(() => array.flush(), MMapClosedError);
    assertRefused(() => array.append([1]), MMapClosedError);
    array.close();
  });
});

describe("NdArray.data", () => {
  test("is a typed array of the dtype's class over the map", () => {
    using map = MemoryMap.createAnonymous(4096);
    const classes = {
      "?": Uint8Array,
      i1: Int8Array,
      uint8: Uint8Array,
      "<i2": Int16Array,
      u2: Uint16Array,
      int32: Int32Array,
      u4: Uint32Array,
      i8: BigInt64Array,
      uint64: BigUint64Array,
      f2: Float16Array,
      "=f4": Float32Array,
      float64: Float64Array,
      c8: Float32Array,
      complex128: Float64Array,
      "M8[us]": BigInt64Array,
    };
    for (const [dtype, type] of Object.entries(classes)) {
      const array = MappedArray.over(map, { dtype, shape: [2, 3], byteOffset: 16 });
      assertStrictEquals(array.data.constructor, type, dtype);
      assertStrictEquals(array.data.buffer, map.buffer);
      assertEquals(array.data.byteOffset, 16);
      assertEquals(array.data.byteLength, 6 * array.itemSize);
      assertStrictEquals(array.data, array.data);
    }
  });

  test("holds parts as they lie in memory, so that strides find every element", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = counting(map, [4, 3, 2]);
    const parts = [
      array,
      array.transpose(),
      array.slice(1, 3),
      array.at(2),
      array.transpose().at(1),
    ];
    for (const part of [...parts, array.transpose().slice(1).transpose()]) {
      const data = part.data as Float64Array;
      const found: number[] = [];
      const walk = (axis: number, place: number): void => {
        if (axis === part.shape.length) return void found.push(data[place]!);
        for (let i = 0; i < part.shape[axis]!; i++) walk(axis + 1, place + i * part.strides[axis]!);
      };
      walk(0, 0);
      assertEquals(found, [...part] as number[]);
    }
  });

  test("is taken anew after map.resize()", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = MappedArray.over(map, { dtype: "f8", shape: [4] });
    array.data[0] = 1;
    map.resize(8192);
    assertEquals(array.data[0], 1);
    assertEquals(array.get(0), 1);
  });

  test("is refused for big-endian numbers, text, records and odd addresses", () => {
    using map = MemoryMap.createAnonymous(4096);
    const data = (dtype: string, byteOffset = 0) => () =>
      MappedArray.over(map, { dtype, shape: [2], byteOffset }).data;
    assertRefused(data(">f4"), MMapInvalidParameterError, "big-endian");
    assertRefused(data(">c8"), MMapInvalidParameterError, "big-endian");
    assertRefused(data("S4"), MMapInvalidParameterError, "|S4", "get()");
    assertRefused(data("U4"), MMapInvalidParameterError, "<U4");
    assertRefused(data("[('a', '<i4')]"), MMapInvalidParameterError, "records");
    assertRefused(data("f8", 4), MMapInvalidParameterError, "multiple of 8");
    assertEquals(data(">u1")().length, 2);
  });
});

describe("parts of an NdArray", () => {
  test("row() is a typed array over one index of the first axis", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = MappedArray.over(map, { dtype: "f4", shape: [3, 2, 2] });
    array.row(1).set([1, 2, 3, 4]);
    assertEquals([...array], [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]);
    assertEquals(array.row(-2), Float32Array.of(1, 2, 3, 4));
    assertEquals(array.at(1).row(1), Float32Array.of(3, 4));
    assertRefused(() => array.row(3), MMapInvalidParameterError, "axis 0");
    const fortran = MappedArray.over(map, { dtype: "f4", shape: [3, 2], fortranOrder: true });
    assertRefused(() => fortran.row(0), MMapInvalidParameterError, "lie apart", "at(0)");
    assertEquals(fortran.transpose().row(1).length, 3);
  });

  test("slice() has the bounds of Array.slice()", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = counting(map, [10]);
    const next = random(4);
    for (let round = 0; round < 200; round++) {
      const [a, b] = [Math.floor(next() * 30) - 15, Math.floor(next() * 30) - 15];
      assertEquals([...array.slice(a, b)] as number[], counted(10).slice(a, b), `${a} ${b}`);
    }
    assertEquals([...array.slice(7)] as number[], [7, 8, 9]);
    assertEquals(array.slice().shape, [10]);
    assertRefused(() => array.slice(0.5), MMapInvalidParameterError, "0.5");
    assertRefused(() => array.at(0).slice(), MMapInvalidParameterError, "without axes");
  });

  test("at() fixes leading axes, and writes through", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = counting(map, [2, 3, 4]);
    assertEquals([...array.at(1, 2)] as number[], [20, 21, 22, 23]);
    assertEquals(array.at(1, 2, 3).get(), 23);
    assertEquals(array.at(1, 2, 3).shape, []);
    assertEquals(array.at().shape, [2, 3, 4]);
    array.at(1).set(-1, 0, 0);
    assertEquals(array.get(1, 0, 0), -1);
    assertRefused(() => array.at(0, 0, 0, 0), MMapInvalidParameterError, "3 axes");
    assertRefused(() => array.at(2), MMapInvalidParameterError, "-2 to 1");
  });

  test("toArray() makes no array of the library's for each element", () => {
    const length = 1 << 18;
    using map = MemoryMap.createAnonymous(length);
    const array = MappedArray.over(map, { dtype: "u1", shape: [length] });
    const fastest = (copy: () => unknown): number => {
      const times = Array.from({ length: 5 }, () => {
        const start = performance.now();
        copy();
        return performance.now() - start;
      });
      return Math.min(...times);
    };
    const spread = fastest(() => [...array]);
    const ratio = fastest(() => array.toArray()) / spread;
    assert(ratio < 5, `it takes ${ratio} times as long as spreading`); // 0.3 to 2; it was 11
  });
  test("transpose() and toArray() have the elements where they belong", () => {
    using map = MemoryMap.createAnonymous(4096);
    const array = counting(map, [2, 3]);
    assertEquals(array.toArray(), [[0, 1, 2], [3, 4, 5]]);
    assertEquals(array.transpose().toArray(), [[0, 3], [1, 4], [2, 5]]);
    assertEquals(array.transpose().transpose().toArray(), array.toArray());
    assertEquals(counting(map, []).toArray(), 0);
    assertEquals(counting(map, [0, 3]).toArray(), []);
    assertEquals(counting(map, [2, 0]).toArray(), [[], []]);
  });

  test("toArray() refuses what would end the process", () => {
    using map = MemoryMap.createAnonymous(2 ** 27);
    const shapes = [[2 ** 27], [2 ** 24, 1], [2 ** 33, 0], [2, 2 ** 26, 0], [2 ** 50, 0]];
    for (const shape of shapes) {
      const array = MappedArray.over(map, { dtype: "u1", shape });
      assertRefused(() => array.toArray(), MMapInvalidParameterError, "slice()");
    }
    const pairs = MappedArray.over(map, { dtype: "c16", shape: [2 ** 21] });
    assertEquals((pairs.toArray() as unknown[]).at(-1), [0, 0]);
  });

  test("toTypedArray() copies in order, from any order, byte order and alignment", () => {
    using map = MemoryMap.createAnonymous(4096);
    for (const dtype of ["<f8", ">f8", "<i2", ">i2", "u1"]) {
      for (const fortranOrder of [false, true]) {
        const array = counting(map, [3, 4], { dtype, fortranOrder, byteOffset: 5 });
        const copy = array.toTypedArray();
        assertEquals([...copy as Float64Array], counted(12), dtype);
        assert((copy as Float64Array).buffer !== map.buffer);
      }
    }
    const complex = MappedArray.over(map, { dtype: ">c8", shape: [2], byteOffset: 1 });
    complex.set([1, 2], 0);
    complex.set([3, 4], 1);
    assertEquals(complex.toTypedArray() as unknown, Float32Array.of(1, 2, 3, 4));
    assertEquals([...MappedArray.over(map, { dtype: "?", shape: [2] }).toTypedArray()].length, 2);
    const text = MappedArray.over(map, { dtype: "U2", shape: [2] });
    assertRefused(() => text.toTypedArray(), MMapInvalidParameterError, "no numbers");
  });
});

describe("NdArray.sum()", () => {
  test("adds up every dtype of numbers, in order and in parts", () => {
    using map = MemoryMap.createAnonymous(1 << 16);
    for (
      const dtype of ["i1", "u1", "<i2", ">u2", "<i4", ">u4", "<f2", "<f4", ">f4", "<f8", ">f8"]
    ) {
      for (const byteOffset of [0, 3]) {
        const array = counting(map, [3, 5, 7], { dtype, byteOffset });
        assertEquals(array.sum(), 105 * 104 / 2, dtype);
        assertEquals(array.transpose().sum(), 105 * 104 / 2, dtype);
        assertEquals(array.slice(1, 2).sum(), 35 * (35 + 69) / 2, dtype);
        assertEquals(array.transpose().at(0).sum(), 7 * (15 * 14 / 2), dtype);
      }
    }
  });

  test("is a bigint for 64-bit integers, a count for bool, a pair for complex numbers", () => {
    using map = MemoryMap.createAnonymous(4096);
    for (const order of ["<", ">"]) {
      for (const dtype of ["i8", "u8"]) {
        const array = MappedArray.over(map, { dtype: order + dtype, shape: [2, 3] });
        for (let i = 0; i < 6; i++) array.set(2n ** 62n + BigInt(i), i % 2, i >> 1);
        assertEquals(array.sum(), 6n * 2n ** 62n + 15n);
        assertEquals(array.transpose().at(2).sum(), 2n * 2n ** 62n + 9n);
      }
      const complex = MappedArray.over(map, { dtype: `${order}c16`, shape: [3, 2] });
      for (let i = 0; i < 6; i++) complex.set([i, -i / 2], i >> 1, i % 2);
      assertEquals(complex.sum(), [15, -7.5]);
      assertEquals(complex.transpose().at(1).sum(), [9, -4.5]);
    }
    map.fill(0);
    const bools = MappedArray.over(map, { dtype: "?", shape: [10, 2] });
    bools.set(true, 3, 1);
    bools.set(true, 9, 0);
    assertEquals([bools.sum(), bools.transpose().at(0).sum()], [2, 1]);
  });

  test("is zero of nothing, and refuses what are no numbers", () => {
    using map = MemoryMap.createAnonymous(4096);
    const sum = (dtype: string, shape = [3, 0]) => MappedArray.over(map, { dtype, shape }).sum();
    assertEquals([sum("f8"), sum("i8"), sum("?"), sum("c8")] as unknown[], [0, 0n, 0, [0, 0]]);
    for (const dtype of ["S4", "U4", "V4", "M8[s]", "[('a', '<i4')]"]) {
      assertRefused(() => sum(dtype, [2]), MMapInvalidParameterError, "no numbers");
    }
  });

  test("of many doubles has the precision of pairwise sums, on every system", () => {
    using map = MemoryMap.createAnonymous(8 * 1_000_003);
    const array = MappedArray.over(map, { dtype: "f8", shape: undefined });
    array.data.fill(0.1);
    for (const sum of [array.sum(), sumPiece(array.data)]) {
      assert(Math.abs(sum - 100_000.3) < 1e-7, `${sum}`);
    }
  });

  test("of doubles has each of them once, at every length and place, on every system", () => {
    using map = MemoryMap.createAnonymous(8 * 3000);
    map.asTypedArray(Float64Array).forEach((_, i, all) => all[i] = 2 ** (i % 40) + i);
    const next = random(3);
    const lengths = Array.from({ length: 100 }, (_, k) => k);
    for (let k = 0; k < 100; k++) lengths.push(Math.floor(next() * 2900));
    for (const length of [...lengths, 1023, 1024, 1025, 2048, 2063]) {
      const start = Math.floor(next() * (3000 - length));
      const shape = [length];
      const array = MappedArray.over(map, { dtype: "f8", shape, byteOffset: start * 8 });
      // Whole numbers below 2^53: exact in any order.
      const expected = array.data.reduce((sum, value) => sum + value, 0);
      const what = `${length} from ${start}`;
      assertEquals([array.sum(), sumPiece(array.data)], [expected, expected], what);
    }
  });

  test("of doubles keeps what is no number, and refuses closed and unreadable maps", () => {
    const map = MemoryMap.createAnonymous(2 * pageSize());
    const array = MappedArray.over(map, { dtype: "f8", shape: undefined });
    for (const [value, expected] of [[NaN, NaN], [Infinity, Infinity], [-Infinity, -Infinity]]) {
      array.data[77] = value!;
      assertEquals(array.sum(), expected);
    }
    array.data[3] = Infinity;
    assertEquals(array.sum(), NaN);
    map.mprotect(PROT_NONE, 0, pageSize());
    const numbers = MappedArray.over(map, { dtype: "i2", shape: undefined });
    assertRefused(() => array.sum(), MMapProtectionError, "byte 0");
    assertRefused(() => numbers.sum(), MMapProtectionError, "byte 0");
    map.close();
    assertRefused(() => array.sum(), MMapClosedError);
    assertRefused(() => numbers.sum(), MMapClosedError);
  });
});

test("an NdArray of records has them as objects and as a RecordArray", () => {
  using map = MemoryMap.createAnonymous(4096);
  const Point = defineRecord({ x: "f32", y: "i16" });
  const array = MappedArray.over(map, { dtype: Point, shape: [2, 3], byteOffset: 1 });
  assertEquals(array.dtype, "[('x', '<f4'), ('y', '<i2'), ('', '|V2')]");
  array.set({ x: 0.5, y: -1 }, 1, 2);
  assertEquals(array.get(1, 2), { x: 0.5, y: -1 });
  const { records } = array;
  assertStrictEquals(records.type, Point);
  assertEquals([records.length, records.get(5).y], [6, -1]);
  records.set(0, { x: 1, y: 2 });
  assertEquals(array.toArray(), [
    [{ x: 1, y: 2 }, { x: 0, y: 0 }, { x: 0, y: 0 }],
    [{ x: 0, y: 0 }, { x: 0, y: 0 }, { x: 0.5, y: -1 }],
  ]);
  assertEquals(array.transpose().records.get(5), { x: 0.5, y: -1 });
  assertEquals(array.at(1).records.length, 3);
  const apart = () => array.transpose().at(0).records;
  assertRefused(apart, MMapInvalidParameterError, "lie apart");
  const numbers = MappedArray.over(map, { dtype: "f8", shape: [2] });
  assertRefused(() => numbers.records, MMapInvalidParameterError, "no fields");
});

test("NdArray.flush() and using write to the file", () => {
  using dir = tempDir();
  const path = dir.file("a.npy");
  let kept: NdArray;
  {
    using array = createNpy(path, { dtype: "u1", shape: [3] });
    kept = array as unknown as NdArray;
    array.data.set([1, 2, 3]);
    array.flush();
    assertEquals([...fileBytes(path).slice(-3)], [1, 2, 3]);
  }
  assert(!kept.map.isValid);
});
