/** Records beyond 4 GiB, where one ArrayBuffer of Bun cannot hold the map. */
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  MAP_NORESERVE,
  MAP_PRIVATE,
  MemoryMap,
  MMapInvalidParameterError,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import { MappedArray } from "../src/ndarray/mod.ts";
import { defineRecord } from "../src/records/mod.ts";
import { assertRefused, skipOnWindows, tempDir } from "./helpers.ts";

const SIZE = 9 * 2 ** 30 + 4096;
const create = () =>
  MemoryMap.createAnonymous(SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);

describe("records beyond 4 GiB", { skip: skipOnWindows }, () => {
  const Tick = defineRecord({ index: "u32", value: "f64" }, { packed: true });
  const places = [0, 2 ** 31, 2 ** 32, 2 ** 33].flatMap((byte) => {
    const i = Math.floor(byte / 12);
    return [i - 1, i, i + 1].filter((index) => index >= 0);
  });

  test("are read and written at the ends of every window", () => {
    using map = create();
    const ticks = Tick.over(map, 5);
    const indices = [...places, ticks.length - 1];
    const [index, value] = [ticks.column("index"), ticks.column("value")];
    indices.forEach((i, k) => ticks.set(i, { index: k, value: k / 2 }));
    indices.forEach((i, k) => {
      const place = 5 + i * 12;
      assertEquals(map.asDataView(place, 12).getUint32(0, true), k);
      assertEquals(ticks.get(i), { index: k, value: k / 2 });
      assertEquals([ticks.at(i).index, ticks.at(i).value], [k, k / 2]);
      assertEquals([index.get(i), value.get(i)], [k, k / 2]);
    });
    indices.toReversed().forEach((i) => {
      const view = ticks.at(i);
      view.value = -1;
      assertEquals(ticks.get(places[0]!).index, 0); // another window meanwhile
      assertEquals(view.value, -1);
      value.set(i, i);
      assertEquals(view.value, i);
    });
    assertEquals(ticks.at(-1).value, ticks.length - 1);
  });

  test("are searched and iterated across windows", () => {
    using map = create();
    const ticks = Tick.over(map);
    const middle = Math.floor(2 ** 31 / 12);
    const part = ticks.subarray(middle - 3, middle + 3);
    for (let i = 0; i < part.length; i++) part.at(i).index = i + 1;
    assertEquals([...part].map(({ index }) => index), [1, 2, 3, 4, 5, 6]);
    assertEquals(ticks.subarray(0, middle + 3).search("index", 5), middle + 1);
  });

  test("elements of an array are read, written and iterated", () => {
    using dir = tempDir();
    const shape = [2 ** 30 + 2, 1];
    using array = MappedArray.open(dir.file("large"), { mode: "w+", dtype: "f8", shape });
    for (const i of [0, 2 ** 28 - 1, 2 ** 28, 2 ** 29, 2 ** 30 + 1]) {
      array.set(i, i, 0);
      assertEquals(array.get(i, 0), i);
      assertEquals(array.row(i)[0], i);
      assertEquals([...array.slice(i, i + 1)], [i]);
    }
    assertEquals(array.get(-1, 0), 2 ** 30 + 1);
    assertEquals([...array.slice(2 ** 28 - 1, 2 ** 28 + 1)], [2 ** 28 - 1, 2 ** 28]);
  });

  test("more elements than 32-bit integers can count are told apart, and halves refused", () => {
    using map = create();
    const shape = [2 ** 32 + 2 ** 31];
    const array = MappedArray.over(map, { dtype: "u1", shape, byteOffset: 3 });
    for (const i of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, shape[0]! - 1]) {
      array.set(200, i);
      assertEquals([map.read(1, 3 + i)[0], array.get(i)], [200, 200]);
      assertRefused(() => array.get(i + 0.5), MMapInvalidParameterError, `${i + 0.5}`);
    }
    const bytes = defineRecord({ byte: "u8" }).over(map, 3);
    assertEquals([bytes.at(2 ** 32).byte, bytes.column("byte").get(2 ** 31)], [200, 200]);
    assertRefused(() => bytes.at(2 ** 31 + 0.5).byte, MMapInvalidParameterError, "2147483648.5");
  });
});
