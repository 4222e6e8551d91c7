/** Regions: those of the heap are of a class of their own, all others are maps. */
import { HeapRegion } from "../../../src/region/heap.ts";
import { createRegion, type MemoryRegion } from "../../../src/region/mod.ts";
import { data, needle, target } from "../bytes.ts";
import { options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { oneOf } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";

const { size, offset, length } = kind;
const isCount = (count: unknown): boolean => Number.isInteger(count) && (count as number) >= 0;

const regions = classTable<MemoryRegion>({
  name: "region",
  weight: 1,
  is: (value) => value instanceof HeapRegion,
  make: ({ dice }) => {
    const bytes = dice.pick([1, 4096, 4096, 10_000, 65_536]);
    const backend = dice.pick(["heap", "sab"] as const);
    return {
      text: `createRegion(${bytes}, { backend: "${backend}" })`,
      value: () => createRegion(bytes, { backend }),
    };
  },
  isSpent: ({ size }) => size === 0,
  methods: {
    read: [length, offset],
    readInto: [target, offset],
    write: [data, offset],
    fill: [kind.byte, offset, length],
    find: [needle, offset, offset],
    flush: [offset, length],
    close: [],
    [Symbol.dispose]: [],
  },
  results: {
    readInto: isCount,
    write: isCount,
    find: (place: unknown, { size }) =>
      Number.isInteger(place) && (place as number) >= -1 && (place as number) <= size,
  },
});

const backend = orHostile(oneOf("anonymous", "file", "named", "memfd", "sab", "heap", undefined));

const functions = functionTable({
  name: "regions",
  weight: 0.7,
  owner: { createRegion },
  functions: {
    createRegion: [
      size,
      orHostile(options({ backend, name: kind.sharedName, path: kind.anyPath }, 0.8)),
    ],
  },
});

/** The tables of this file. */
export const regionTables: readonly AnyTable[] = [regions, functions];
