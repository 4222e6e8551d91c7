/** Pools and their blocks, in maps that anybody writes to, resizes, protects and closes meanwhile. */
import { MemoryMap } from "../../../mod.ts";
import { Block } from "../../../src/pool/block.ts";
import { MemoryPool, type PoolStats } from "../../../src/pool/mod.ts";
import { options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { type Kind, oneOf, type Shown, type Source } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";
import { PLACES } from "../world.ts";

const blockSize: Kind = orHostile(oneOf(8, 64, 64, 256, 1024, 4096, 7, 0));
const bytes: Kind = orHostile(oneOf(1, 8, 63, 64, 100, 256, 1000, 5000, 1 << 20));
const allocateOptions: Kind = orHostile(
  options({ align: orHostile(oneOf(1, 8, 64, 4096, 8192, 3, 0)) }),
);

/** The maps of the pools, which do not tell. */
const maps = new WeakMap<object, MemoryMap>();

/** A pool in a map of its own, or one more for the pool of a map that is there. */
function fresh({ world, dice, map }: Source): Shown<() => MemoryPool> {
  const blockSize = dice.pick([8, 64, 64, 1024]);
  const size = dice.pick([16_384, 65_536]);
  const place = dice.between(0, PLACES - 1);
  const path = `pool-${dice.between(0, 2)}`;
  const own = dice.pick<Shown<() => MemoryMap>>([
    { text: `createMemfd(${size})`, value: () => MemoryMap.createMemfd(size) },
    { text: `createAnonymous(${size})`, value: () => MemoryMap.createAnonymous(size) },
    {
      text: `open("${path}", { mode: "r+", size: ${size} }), or "w+"`,
      value: () => {
        try {
          return MemoryMap.open(path, { mode: "r+", size });
        } catch {
          return MemoryMap.open(path, { mode: "w+", size });
        }
      },
    },
  ]);
  const shared = dice.chance(0.2) ? map : undefined;
  const where = shared === undefined ? `map${place} = MemoryMap.${own.text}` : "a map";
  return {
    text: `new MemoryPool(${where}, { blockSize: ${blockSize} })`,
    value: () => {
      const base = shared ?? world.put("map", place, own.value(), undefined).value;
      return made(new MemoryPool(base, { blockSize }), base);
    },
  };
}

/** Keeps in mind whose map it is, so that calls of the pool are calls about that map. */
function made(pool: MemoryPool, map: unknown): MemoryPool {
  if (map instanceof MemoryMap) maps.set(pool, map);
  return pool;
}

/** A handle of some block, or of none. */
const handle: Kind = orHostile(({ world, dice }) => {
  const entries = world.all("block handle");
  if (entries.length === 0 || dice.chance(0.2)) {
    const value = dice.pick([0n, 1n, -1n, 2n ** 64n, 2n ** 64n - 1n, 123_456_789_123n]);
    return { value, text: `${value}n` };
  }
  const { value, label } = dice.pick(entries);
  return { value, text: label };
});

const isCount = (count: unknown): boolean => Number.isInteger(count) && (count as number) >= 0;

const pools = classTable<MemoryPool>({
  name: "pool",
  weight: 4,
  is: (value) => value instanceof MemoryPool,
  make: fresh,
  mapOf: (pool) => maps.get(pool),
  methods: {
    allocate: [bytes, allocateOptions],
    tryAllocate: [bytes, allocateOptions],
    at: [handle],
    recover: [],
    stats: [],
    picture: [orHostile(oneOf(1, 2, 64, 512, 0, 0.5))],
    verify: [],
  },
  actions: {
    fillUp: {
      takes: [],
      run: (pool) => {
        const blocks: Block[] = [];
        for (let k = 0; k < 50; k++) {
          const block = pool.tryAllocate(k % 3 * pool.blockSize + 1);
          if (block !== undefined && k % 2 === 0) blocks.push(block);
        }
        for (const block of blocks) block.free();
        return blocks[0];
      },
    },
  },
  results: {
    recover: isCount,
    stats: ({ size, used, free, largestFree, fragmentation }: PoolStats) =>
      [size, used, free, largestFree].every(isCount) && used + free === size &&
      largestFree <= free && fragmentation >= 0 && fragmentation <= 1,
  },
});

const blocks = classTable<Block>({
  name: "block",
  weight: 3,
  is: (value) => value instanceof Block,
  make: ({ world, dice }) => {
    const entries = world.all("pool");
    if (entries.length === 0) return undefined;
    const { value, label, map } = dice.pick(entries);
    const size = dice.pick([1, 64, 1000]);
    return {
      text: `${label}.allocate(${size})`,
      value: () => {
        const block = (value as MemoryPool).allocate(size);
        if (map !== undefined) maps.set(block, map);
        return block;
      },
    };
  },
  mapOf: (block) => maps.get(block),
  methods: { adopt: [], free: [], [Symbol.dispose]: [] },
  actions: {
    passOn: {
      takes: [({ world, dice }) => {
        const place = dice.between(0, PLACES - 1);
        return {
          text: `block handle${place}`,
          value: (handle: bigint) => void world.put("block handle", place, handle, undefined),
        };
      }],
      run: (block, keep) => keep?.(block.handle),
    },
  },
});

const functions = functionTable({
  name: "pool",
  weight: 0.5,
  owner: {
    MemoryPool: (...args: ConstructorParameters<typeof MemoryPool>) =>
      made(new MemoryPool(...args), args[0]),
  },
  functions: {
    MemoryPool: [
      kind.map,
      orHostile((from) => {
        const place = { byteOffset: kind.offset, byteLength: kind.length };
        const { dice } = from;
        return options(dice.chance(0.5) ? { blockSize } : { blockSize, ...place }, 0.8)(from);
      }),
    ],
  },
});

/** The tables of this file. */
export const poolTables: readonly AnyTable[] = [pools, blocks, functions];
