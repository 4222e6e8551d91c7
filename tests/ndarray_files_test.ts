/** MappedArray.open(): modes, shapes, offsets, growth; and what is refused. */
import { describe, test } from "node:test";
import { statSync } from "node:fs";
import { assertEquals } from "@std/assert";
import { MemoryMap, MMapError, MMapInvalidParameterError, MMapProtectionError } from "../mod.ts";
import {
  createNpy,
  MappedArray,
  type MappedArrayOptions,
  type NdArray,
  openNpy,
} from "../src/ndarray/mod.ts";
import { defineRecord } from "../src/records/mod.ts";
import { assertRefused, fileBytes, skipOnWindows, tempDir, utf8 } from "./helpers.ts";

const doubles = (...values: number[]) => new Uint8Array(Float64Array.from(values).buffer);

describe("MappedArray.open()", () => {
  test('"r" reads, and is the default', () => {
    using dir = tempDir();
    using array = MappedArray.open(dir.file("a", doubles(1, 2, 3, 4)), { dtype: "f8" });
    assertEquals([array.shape, [...array], array.dtype], [[4], [1, 2, 3, 4], "<f8"]);
    assertRefused(() => array.set(0, 0), MMapProtectionError);
  });

  test('"r+" writes to the file, and makes it grow to the shape', () => {
    using dir = tempDir();
    const path = dir.file("a", doubles(1, 2));
    {
      using array = MappedArray.open(path, { dtype: "f8", mode: "r+" });
      array.set(5, 1);
    }
    {
      using array = MappedArray.open(path, { dtype: "f8", mode: "r+", shape: [2, 2] });
      array.set(7, 1, 1);
    }
    assertEquals(fileBytes(path), doubles(1, 5, 0, 7));
  });

  test('"w+" creates and empties', () => {
    using dir = tempDir();
    const path = dir.file("a", doubles(1, 2, 3, 4));
    {
      using array = MappedArray.open(path, { dtype: "<i4", mode: "w+", shape: [3], offset: 5 });
      for (let i = 0; i < 3; i++) array.set(i + 1, i);
    }
    assertEquals([...fileBytes(path)], [0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
  });

  test('"c" keeps changes to itself', () => {
    using dir = tempDir();
    const path = dir.file("a", doubles(1, 2));
    using array = MappedArray.open(path, { dtype: "f8", mode: "c" });
    array.set(9, 0);
    assertEquals(array.sum(), 11);
    assertEquals(fileBytes(path), doubles(1, 2));
  });

  test("infers one size of -1, and a shape that is left out", () => {
    using dir = tempDir();
    const path = dir.file("a", new Uint8Array(48 + 3));
    const shape = (options: Omit<MappedArrayOptions, "dtype">) => {
      using array = MappedArray.open(path, { dtype: "i2", ...options });
      return array.shape;
    };
    assertEquals(shape({ offset: 3 }), [24]);
    assertEquals(shape({ offset: 3, shape: undefined }), [24]);
    assertEquals(shape({ offset: 3, shape: [-1, 4] }), [6, 4]);
    assertEquals(shape({ offset: 3, shape: [2, -1, 3] }), [2, 4, 3]);
    assertEquals(shape({ offset: 3, shape: [-1] }), [24]);
    assertEquals(shape({ offset: 51 }), [0]);
    assertEquals(shape({ shape: [2, 3] }), [2, 3]);
    assertEquals(shape({ shape: [] }), []);
    assertEquals(shape({ offset: 1, shape: [5, 5] }), [5, 5]);
  });

  test("takes any byte as offset", () => {
    using dir = tempDir();
    const path = dir.file("a", new Uint8Array(20_000));
    for (const offset of [0, 1, 2, 7, 8, 4095, 4096, 4097, 12_345]) {
      using array = MappedArray.open(path, { dtype: "f8", mode: "r+", offset, shape: [3, 5] });
      array.set(1.5, 2, 4);
      assertEquals(new DataView(fileBytes(path).buffer).getFloat64(offset + 14 * 8, true), 1.5);
      assertEquals(array.sum(), 1.5);
      array.set(0, 2, 4);
      assertEquals(array.map.offset, offset);
    }
  });

  test("takes shapes without elements, and empty files", () => {
    using dir = tempDir();
    const path = dir.file("a");
    for (const shape of [[0], [3, 0], [0, 0, 2]]) {
      {
        using array = MappedArray.open(path, { dtype: "f8", mode: "w+", shape, offset: 3 });
        assertEquals([array.shape, array.size, [...array]], [shape, 0, []]);
        assertEquals(array.data, new Float64Array(0));
      }
      assertEquals(statSync(path).size, 3);
      using array = MappedArray.open(path, { dtype: "f8", shape, offset: 3 });
      assertEquals([array.shape, array.sum(), String(array)], [shape, 0, "[]"]);
    }
    using array = MappedArray.open(dir.file("empty", ""), { dtype: "f8", mode: "r+" });
    assertEquals(array.shape, [0]);
  });

  test("passes the options of MemoryMap.open() on", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const path = dir.file("a");
    {
      const options = { mode: "w+", permissions: 0o640, preallocate: true } as const;
      using _array = MappedArray.open(path, { dtype: "u1", shape: [100_000], ...options });
      assertEquals(statSync(path).mode & 0o777, 0o640);
      assertEquals(statSync(path).blocks * 512 >= 100_000, true);
    }
    using _locked = MappedArray.open(path, { dtype: "u1", lock: "exclusive" });
    const again = () => MappedArray.open(path, { dtype: "u1", lock: "exclusive" });
    assertEquals(assertRefused(again, MMapError).code, "EWOULDBLOCK");
  });

  test("refuses shapes that do not fit", () => {
    using dir = tempDir();
    const path = dir.file("a", new Uint8Array(48));
    const open = (options: Omit<MappedArrayOptions, "dtype">) => () =>
      MappedArray.open(path, { dtype: "f8", ...options }).close();
    const refused = (options: object, ...parts: string[]) =>
      assertRefused(open(options as never), MMapInvalidParameterError, ...parts);
    refused({ shape: [-1, -1] }, "[-1, -1]", "only one");
    refused({ shape: [-2] }, "[-2]");
    refused({ shape: [2, -3] }, "[2, -3]");
    refused({ shape: [1.5] }, "1.5", "whole");
    refused({ shape: [NaN] }, "NaN");
    refused({ shape: ["3"] }, "whole");
    refused({ shape: 6 }, "array of sizes");
    refused({ shape: null }, "array of sizes");
    refused({ shape: [-1, 4] }, "6 elements", "multiple of 4");
    refused({ shape: [-1, 0] }, "multiple of 0");
    refused({ shape: [7] }, "56 bytes", "48 bytes");
    refused({ shape: [7], mode: "c" }, "48 bytes");
    refused({ shape: [2 ** 30, 2 ** 30] }, "elements");
    refused({ offset: 3 }, "45 bytes", "multiple of 8");
    refused({ offset: 3, shape: [-1] }, "45 bytes");
    refused({ offset: 49 }, "49");
    refused({ offset: -1 }, "offset");
    refused({ mode: "w+" }, "size of each axis");
    refused({ mode: "w+", shape: [-1, 3] }, "-1");
    refused({ mode: "w" }, '"w"');
    assertEquals(fileBytes(path), new Uint8Array(48));
  });

  test("refuses dtypes that it does not know, and says which there are", () => {
    using dir = tempDir();
    const path = dir.file("a", new Uint8Array(48));
    const open = (dtype: unknown) => () => MappedArray.open(path, { dtype: dtype as string });
    for (const dtype of ["", "f3", "f", "x8", "float", "<", "<>f4", "i16", "b8", "c4", "M4", "S"]) {
      assertRefused(open(dtype), MMapInvalidParameterError, JSON.stringify(dtype), "float32");
    }
    assertRefused(open("f16"), MMapInvalidParameterError, "long doubles", "f2");
    assertRefused(open("O"), MMapInvalidParameterError, "Python objects");
    assertRefused(open("|O8"), MMapInvalidParameterError, "Python objects");
    for (const dtype of [undefined, null, 8, {}, Float64Array]) {
      assertRefused(open(dtype), MMapInvalidParameterError, "dtype");
    }
  });

  test("refuses options that it does not know, as do the other ways to an array", () => {
    using dir = tempDir();
    const path = dir.file("a", new Uint8Array(48));
    using map = MemoryMap.createAnonymous(100);
    const calls: ((more: object) => unknown)[] = [
      (more) => MappedArray.open(path, { dtype: "u1", ...more }),
      (more) => MappedArray.over(map, { dtype: "u1", ...more }),
      (more) => createNpy(dir.file("b.npy"), { dtype: "u1", shape: [1], ...more }),
    ];
    for (const call of calls) {
      assertRefused(() => call({ shapes: [1] }), MMapInvalidParameterError, "shapes", "dtype");
      assertRefused(() => call({ size: 1 }), MMapInvalidParameterError, "size");
      assertRefused(() => call({ dType: "u1" }), MMapInvalidParameterError, '"dtype"');
      assertRefused(() => call({ fortranOrder: "F" }), MMapInvalidParameterError, '"F"');
    }
    createNpy(dir.file("c.npy"), { dtype: "u1", shape: [1] }).close();
    const open = () => openNpy(dir.file("c.npy"), { shape: [1] } as object);
    assertRefused(open, MMapInvalidParameterError, '"shape"', "maxHeaderSize");
    const none = () => MappedArray.open(path, undefined as never);
    assertRefused(none, MMapInvalidParameterError, "options");
  });

  test("says what is wrong with the file", () => {
    using dir = tempDir();
    const error = assertRefused(
      () => MappedArray.open(dir.file("none"), { dtype: "f8" }),
      MMapError,
    );
    assertEquals(error.code, "ENOENT");
  });
});

describe("MappedArray.over()", () => {
  test("finds arrays anywhere in a map, and refuses those that overrun it", () => {
    using map = MemoryMap.createAnonymous(100);
    const over = (options: object) => () => MappedArray.over(map, options as never);
    const at = (options: object): NdArray => over(options)();
    assertEquals(at({ dtype: "u1", shape: [-1, 3], byteOffset: 1 }).shape, [33, 3]);
    assertEquals(at({ dtype: "f4" }).shape, [25]);
    assertEquals(at({ dtype: "f4", shape: [5], byteOffset: 80 }).shape, [5]);
    const refused = (options: object, ...parts: string[]) =>
      assertRefused(over(options), MMapInvalidParameterError, ...parts);
    refused({ dtype: "f4", shape: [5], byteOffset: 81 }, "20 bytes", "19");
    refused({ dtype: "f8" }, "100 bytes", "multiple of 8");
    refused({ dtype: "u1", byteOffset: 101 }, "101");
    refused({ dtype: "u1", byteOffset: -1 });
    refused({ dtype: "u1", byteOffset: 0.5 });
    const noMap = () => MappedArray.over(new Uint8Array(8) as never, { dtype: "u1" });
    assertRefused(noMap, MMapInvalidParameterError, "MemoryMap");
  });
});

describe("NdArray.append()", () => {
  test("makes a raw file grow", () => {
    using dir = tempDir();
    const path = dir.file("a", new Uint8Array(3));
    {
      using array = MappedArray.open(path, { dtype: "<i2", mode: "r+", offset: 3, shape: [-1, 2] });
      assertEquals(array.append([1, 2]).append(Int16Array.of(3, 4, 5, 6)).shape, [3, 2]);
      assertEquals(array.toArray(), [[1, 2], [3, 4], [5, 6]]);
      assertEquals([...array], [1, 2, 3, 4, 5, 6]);
      array.append([]);
    }
    assertEquals([...fileBytes(path)], [0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]);
  });

  test("makes .npy files grow, to what np.save would have written", () => {
    using dir = tempDir();
    const grown = dir.file("grown.npy");
    const whole = dir.file("whole.npy");
    {
      using array = createNpy(grown, { dtype: ">f4", shape: [0, 2, 3] });
      for (let i = 0; i < 120; i++) array.append([0, 1, 2, 3, 4, i]);
      assertEquals(array.shape, [120, 2, 3]);
      using other = createNpy(whole, { dtype: ">f4", shape: [120, 2, 3] });
      for (let i = 0; i < 120; i++) {
        for (let k = 0; k < 6; k++) other.set(k === 5 ? i : k, i, Math.floor(k / 3), k % 3);
      }
    }
    assertEquals(fileBytes(grown), fileBytes(whole));
    using again = openNpy(grown, { mode: "r+" });
    again.append(again.slice(0, 2).toTypedArray() as Float32Array);
    assertEquals(again.shape, [122, 2, 3]);
    assertEquals([...again.at(121)], [...again.at(1)]);
  });

  test("takes records, complex numbers, 64-bit integers and text", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const Tick = defineRecord({ index: "u32", value: "f64" });
    using ticks = createNpy(dir.file("t.npy"), { dtype: Tick, shape: [0] });
    ticks.append([{ index: 1, value: 0.5 }, { index: 2, value: 1.5 }]);
    assertEquals(ticks.records.get(1), { index: 2, value: 1.5 });
    using complex = createNpy(dir.file("c.npy"), { dtype: "c8", shape: [0] });
    complex.append([[1, 2]]).append(Float32Array.of(3, 4, 5, 6));
    assertEquals(complex.toArray(), [[1, 2], [3, 4], [5, 6]]);
    using bigints = createNpy(dir.file("b.npy"), { dtype: "i8", shape: [0] });
    bigints.append([1n]).append(BigInt64Array.of(2n));
    assertEquals(bigints.toArray(), [1n, 2n]);
    using text = createNpy(dir.file("s.npy"), { dtype: "U3", shape: [0] });
    assertEquals(text.append(["abc", "é"]).toArray(), ["abc", "é"]);
    using bools = createNpy(dir.file("?.npy"), { dtype: "?", shape: [0] });
    assertEquals(bools.append([true, false]).toArray(), [true, false]);
  });

  test("changes nothing when the elements do not fit", () => {
    using dir = tempDir();
    const path = dir.file("a.npy");
    using array = createNpy(path, { dtype: "u1", shape: [2, 2] });
    const before = fileBytes(path);
    const refused = (elements: unknown, ...parts: string[]) =>
      assertRefused(() => array.append(elements as []), MMapInvalidParameterError, ...parts);
    refused([1, 2, 3], "whole rows of 2");
    refused([1, 256], "0 to 255");
    refused([1, 2, 3, "4"], "0 to 255");
    refused(Int8Array.of(-1, 1), "0 to 255");
    refused(5, "5");
    refused(null, "null");
    assertEquals(fileBytes(path), before);
    assertEquals(array.shape, [2, 2]);
  });

  test("is refused where the header has no room for a longer shape, as other writers leave it", () => {
    using dir = tempDir();
    const text = "{'descr': '|u1', 'fortran_order': False, 'shape': (8,), }\n";
    const preamble = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length, 0);
    const bytes = new Uint8Array(10 + text.length + 8);
    bytes.set(preamble);
    bytes.set(utf8(text), 10);
    const path = dir.file("a.npy", bytes);
    using array = openNpy(path, { mode: "r+" });
    array.append([7]); // (9,) is no longer than (8,)
    const before = fileBytes(path);
    assertRefused(() => array.append([8]), MMapInvalidParameterError, "69 bytes", "68");
    assertEquals([array.shape, fileBytes(path)], [[9], before]);
    using again = openNpy(path);
    assertEquals(again.toArray(), [0, 0, 0, 0, 0, 0, 0, 0, 7]);
  });

  test("is refused where the file cannot grow", () => {
    using dir = tempDir();
    const path = dir.file("a.npy");
    createNpy(path, { dtype: "u1", shape: [2] }).close();
    for (const mode of ["r", "c"] as const) {
      using array = openNpy(path, { mode });
      assertRefused(() => array.append([1]), MMapProtectionError, "r+");
    }
    const refused = (array: NdArray, elements: number[], part: string) =>
      assertRefused(() => array.append(elements), MMapInvalidParameterError, part);
    using array = openNpy(path, { mode: "r+" });
    refused(array.slice(0, 1), [1], "part");
    refused(MappedArray.over(array.map, { dtype: "u1" }) as NdArray, [1], "map of yours");
    const fortran = { dtype: "u1", shape: [2, 2], fortranOrder: true };
    using columns = createNpy(dir.file("f.npy"), fortran);
    refused(columns as NdArray, [1, 2], "Fortran");
    using scalar = createNpy(dir.file("s.npy"), { dtype: "u1", shape: [] });
    refused(scalar as NdArray, [1], "no axes");
    using empty = createNpy(dir.file("e.npy"), { dtype: "u1", shape: [2, 0] });
    refused(empty as NdArray, [1], "whole rows");
    const raw = dir.file("raw", new Uint8Array(10));
    using start = MappedArray.open(raw, { dtype: "u1", mode: "r+", shape: [4] });
    refused(start as NdArray, [1], "goes on");
    assertEquals(fileBytes(raw), new Uint8Array(10));
  });
});
