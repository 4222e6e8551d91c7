/** MemoryMap, the functions beside it, and handles. */
import * as mman from "../../../mod.ts";
import { type MapHandle, MemoryMap } from "../../../mod.ts";
import { data, listOf, needle, target } from "../bytes.ts";
import { options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { anyOf, oneOf, plain, type Shown, type Source } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";

const { flag, size, offset, length } = kind;
const sharedBuffer = orHostile(oneOf(true, false, false, false));
const name = orHostile(oneOf("a name", "", "x".repeat(201), "\0"));

/** A map that is in order, of any sort. */
function fresh({ dice, world }: Source): Shown<() => MemoryMap> {
  const bytes = dice.pick([1, 4096, 10_000, 65_536, 1 << 18]);
  const file = world.file(dice.between(2, 7));
  const name = `${world.prefix}-${dice.between(0, 5)}`;
  const mode = dice.pick(["r", "r+", "r+", "c"] as const);
  const shared = dice.chance(0.1);
  return dice.pick<Shown<() => MemoryMap>>([
    {
      text: `MemoryMap.createAnonymous(${bytes}, 3, undefined, { sharedBuffer: ${shared} })`,
      value: () => MemoryMap.createAnonymous(bytes, 3, undefined, { sharedBuffer: shared }),
    },
    {
      text: `MemoryMap.createAnonymous(${bytes})`,
      value: () => MemoryMap.createAnonymous(bytes),
    },
    {
      text: `MemoryMap.createMemfd(${bytes}, { name: "${name}" })`,
      value: () => MemoryMap.createMemfd(bytes, { name }),
    },
    {
      text: `MemoryMap.open("${file}", { mode: "w+", size: ${bytes} })`,
      value: () => MemoryMap.open(file, { mode: "w+", size: bytes }),
    },
    {
      text: `MemoryMap.open("${world.file(5)}", { mode: "${mode}", sharedBuffer: ${shared} })`,
      value: () => MemoryMap.open(world.file(5), { mode, sharedBuffer: shared }),
    },
    {
      text: `MemoryMap.createNamed("${name}-owned", ${bytes}, { owned: true }), or openNamed`,
      value: () => {
        try {
          return MemoryMap.createNamed(`${name}-owned`, bytes, { owned: true });
        } catch {
          return MemoryMap.openNamed(`${name}-owned`); // it is there from an earlier call
        }
      },
    },
    {
      text: `MemoryMap.createNamed("${name}", ${bytes}), or openNamed`,
      value: () => {
        try {
          return MemoryMap.createNamed(name, bytes);
        } catch {
          return MemoryMap.openNamed(name);
        }
      },
    },
  ]);
}

const isPlace = (place: unknown, { size }: MemoryMap): boolean =>
  Number.isInteger(place) && (place as number) >= -1 && (place as number) <= size;
const isCount = (count: unknown): boolean => Number.isInteger(count) && (count as number) >= 0;

const maps = classTable<MemoryMap>({
  name: "map",
  weight: 10,
  is: (value) => value instanceof MemoryMap,
  make: fresh,
  isSpent: (map) => !map.isValid,
  mapOf: (map) => map,
  methods: {
    read: [length, offset],
    readInto: [target, offset],
    write: [data, offset],
    asTypedArray: [kind.arrayClass, offset, length],
    asDataView: [offset, length],
    mprotect: [kind.prot, offset, length],
    msync: [kind.syncFlags, offset, length],
    msyncAsync: [kind.syncFlags, offset, length, kind.asyncOptions],
    flush: [offset, length],
    mlock: [offset, length, flag],
    munlock: [offset, length],
    madvise: [kind.advice, offset, length],
    hint: [kind.hint, offset, length],
    discard: [offset, length],
    residency: [offset, length],
    prefault: [offset, length],
    prefaultAsync: [offset, length, kind.asyncOptions],
    resize: [size],
    punchHole: [offset, length],
    unmapRange: [offset, length],
    fill: [kind.byte, offset, length],
    copyWithin: [offset, offset, length],
    compare: [
      orHostile((from) => from.dice.chance(0.5) ? kind.map(from) : target(from)),
      offset,
      offset,
      length,
    ],
    find: [needle, offset, offset],
    rfind: [needle, offset, offset],
    indexOfByte: [kind.byte, offset, offset],
    count: [anyOf(kind.byte, needle), offset, length],
    stats: [],
    prefetch: [listOf(offset), length],
    readMany: [listOf(offset), length, target],
    checkFaults: [],
    remap: [],
    share: [],
    cursor: [],
    close: [],
    [Symbol.dispose]: [],
  },
  setters: { onFault: orHostile(() => ({ value: () => {}, text: "() => {}" }), 0.3) },
  results: {
    readInto: isCount,
    write: isCount,
    find: isPlace,
    rfind: isPlace,
    indexOfByte: isPlace,
    count: isCount,
    compare: (order: unknown) => order === -1 || order === 0 || order === 1,
    readMany: isCount,
    stats: (stats: object) => Object.values(stats).every(isCount),
  },
});

const memoryMap = functionTable<typeof MemoryMap>({
  name: "MemoryMap",
  weight: 3,
  owner: MemoryMap,
  functions: {
    createAnonymous: [
      size,
      kind.prot,
      kind.flags,
      orHostile(options({ name, hugePages: flag, populate: flag, sharedBuffer }, 0.2)),
    ],
    createAnonymousAsync: [
      size,
      kind.prot,
      kind.flags,
      orHostile(options({ name, hugePages: flag, sharedBuffer, signal: kind.signal }, 0.2)),
    ],
    createMemfd: [size, orHostile(options({ name, hugePages: flag, sharedBuffer }, 0.2))],
    createFileMapping: [kind.descriptor, offset, size, kind.prot, kind.flags],
    open: [kind.anyPath, kind.openOptions],
    openAsync: [kind.anyPath, (from) => {
      const { value, text } = kind.openOptions(from);
      if (typeof value !== "object" || value === null || from.dice.chance(0.5)) {
        return { value, text };
      }
      const { value: signal, text: signalText } = kind.signal(from);
      return {
        value: Object.defineProperty(value, "signal", { value: signal, enumerable: true }),
        text: `${text} with signal: ${signalText}`,
      };
    }],
    createNamed: [
      kind.sharedName,
      size,
      orHostile(
        options({ permissions: oneOf(0o600, 0o400, -1, 0o10000), owned: flag, sharedBuffer }),
      ),
    ],
    openNamed: [
      kind.sharedName,
      orHostile(options({ mode: orHostile(oneOf("r", "r+")), size, sharedBuffer })),
    ],
    unlinkNamed: [kind.sharedName],
    attach: [kind.handle],
  },
});

const { mlockAll, munlockAll, mmapRegion, pageSize, allocationGranularity } = mman;

const functions = functionTable({
  name: "mman",
  weight: 0.7,
  owner: { mlockAll, munlockAll, mmapRegion, pageSize, allocationGranularity },
  functions: {
    mlockAll: [options({ current: flag, future: flag, onFault: flag })],
    munlockAll: [],
    mmapRegion: [
      size,
      kind.prot,
      kind.flags,
      orHostile((from) => from.dice.chance(0.5) ? plain(-1) : kind.descriptor(from)),
      offset,
    ],
    pageSize: [],
    allocationGranularity: [],
  },
});

const handles = classTable<MapHandle>({
  name: "handle",
  weight: 0,
  is: (value): value is MapHandle => (value as MapHandle).kind === "mman map",
  make: () => undefined,
  methods: {},
});

/** The tables of this file. */
export const memoryMapTables: readonly AnyTable[] = [maps, memoryMap, functions, handles];
