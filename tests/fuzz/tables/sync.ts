/** Locks, and waiting for words, in maps that anybody writes to, resizes and closes meanwhile. */
import { MemoryMap } from "../../../mod.ts";
import {
  Barrier,
  Event,
  type Held,
  Lock,
  Mutex,
  RwLock,
  Semaphore,
  waitForChange,
  waitForChangeAsync,
  wake,
} from "../../../src/sync/mod.ts";
import { UsersError } from "../errors.ts";
import { act, options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { type Kind, oneOf, plain, type Shown, type Source } from "../shown.ts";
import { type AnyTable, type ClassTable, classTable, functionTable } from "../table.ts";
import { PLACES } from "../world.ts";

const { patience } = kind;

/** Bytes of the maps made here: each lock may take a page. */
const SIZE = 8 * 4096;

/** Where locks are put: few places, so that they meet. */
const OFFSETS: readonly number[] = [0, 0, 64, 4096, 8192, 3 * 4096];

/** The maps of the locks, which do not tell. */
const maps = new WeakMap<object, MemoryMap>();

/** A new lock: most have a fresh map, which is zeroed. */
function fresh<T extends object>(
  name: string,
  make: (map: MemoryMap, at: number, count: number) => T,
): (from: Source) => Shown<() => T> {
  return ({ world, dice, map }) => {
    const at = dice.pick(OFFSETS);
    const count = dice.pick([1, 1, 2, 3]);
    const shared = dice.chance(0.4) ? map : undefined;
    const place = dice.between(0, PLACES - 1);
    const base = shared === undefined ? `map${place} = MemoryMap.createMemfd(${SIZE})` : "a map";
    return {
      text: `${name} for ${count} at ${at} of ${base}`,
      value: () => {
        const base = shared ??
          world.put("map", place, MemoryMap.createMemfd(SIZE), undefined).value;
        const made = make(base, at, count);
        maps.set(made, base);
        return made;
      },
    };
  };
}

/** What all tables of locks have in common. */
const common = {
  mapOf: (subject: object) => maps.get(subject),
} satisfies Partial<ClassTable<object>>;

/** A function to be run under a lock. */
const task: Kind = orHostile((from) => {
  const { text, run } = act(from);
  const how = from.dice.pick(["value", "value", "promise", "rejection", "thenable", "bad then"]);
  const result = (): unknown => {
    switch (how) {
      case "promise":
        return new Promise((resolve) => setTimeout(resolve, 1));
      case "rejection":
        return Promise.reject(new UsersError());
      case "thenable":
        return { then: (settle: (value: number) => void) => settle(1) };
      case "bad then":
        return {
          get then() {
            throw new UsersError();
          },
        };
      default:
        return 1;
    }
  };
  return { value: () => (run(), result()), text: `() => (${text}, ${how})` };
});

const isTaken = (outcome: unknown): boolean => outcome === "acquired" || outcome === "recovered";
const isOutcome = (outcome: unknown): boolean => isTaken(outcome) || outcome === "timeout";
const isFlag = (flag: unknown): boolean => typeof flag === "boolean";

const lockMethods = {
  lock: [patience],
  tryLock: [],
  unlock: [],
  lockAsync: [patience],
  hold: [patience],
  holdAsync: [patience],
  withLock: [task, patience],
  withLockAsync: [task, patience],
} as const;

const lockResults = {
  lock: isOutcome,
  lockAsync: isOutcome,
  tryLock: isFlag,
  hold: ({ outcome }: Held) => isTaken(outcome),
  holdAsync: ({ outcome }: Held) => isTaken(outcome),
};

const mutexes = classTable<Mutex>({
  ...common,
  name: "mutex",
  weight: 1,
  is: (value) => value instanceof Mutex,
  make: fresh("a Mutex", (map, at) => new Mutex(map, at)),
  methods: { ...lockMethods, [Symbol.dispose]: [] },
  results: lockResults,
});

const rwLocks = classTable<RwLock>({
  ...common,
  name: "rwLock",
  weight: 0.3,
  is: (value) => value instanceof RwLock,
  make: fresh("a RwLock", (map, at) => new RwLock(map, at)),
  methods: {},
  actions: {
    read: { takes: [], run: ({ read }) => read },
    write: { takes: [], run: ({ write }) => write },
  },
});

const locks = classTable<Lock>({
  ...common,
  name: "lock",
  weight: 1,
  is: (value) => value instanceof Lock,
  make: (from) => {
    const side = from.dice.pick(["read", "write"] as const);
    return fresh(`the ${side} of a RwLock`, (map, at) => new RwLock(map, at)[side])(from);
  },
  methods: lockMethods,
  results: lockResults,
});

const holds = classTable<Held>({
  name: "held",
  weight: 0.7,
  is: (value): value is Held => isTaken((value as Held).outcome),
  make: fresh("hold(1) of a Mutex", (map, at) => new Mutex(map, at).hold(1)),
  mapOf: common.mapOf,
  methods: { [Symbol.dispose]: [] },
  results: { [Symbol.dispose]: (result: unknown) => result === undefined },
});

const semaphores = classTable<Semaphore>({
  ...common,
  name: "semaphore",
  weight: 1,
  is: (value) => value instanceof Semaphore,
  make: fresh("a Semaphore", (map, at, permits) => new Semaphore(map, at, permits)),
  methods: {
    acquire: [patience],
    tryAcquire: [],
    acquireAsync: [patience],
    release: [],
    hold: [patience],
    holdAsync: [patience],
    withPermit: [task, patience],
    [Symbol.dispose]: [],
  },
  results: {
    acquire: isOutcome,
    acquireAsync: isOutcome,
    tryAcquire: isFlag,
    hold: ({ outcome }: Held) => isTaken(outcome),
    holdAsync: ({ outcome }: Held) => isTaken(outcome),
  },
});

const events = classTable<Event>({
  ...common,
  name: "event",
  weight: 1,
  is: (value) => value instanceof Event,
  make: fresh("an Event", (map, at, count) => new Event(map, at, { autoReset: count > 1 })),
  methods: { set: [], reset: [], wait: [patience], waitAsync: [patience] },
  results: { wait: isFlag, waitAsync: isFlag },
});

const isPassage = (outcome: unknown): boolean => outcome === "passed" || isOutcome(outcome);

const barriers = classTable<Barrier>({
  ...common,
  name: "barrier",
  weight: 1,
  is: (value) => value instanceof Barrier,
  make: fresh("a Barrier", (map, at, parties) => new Barrier(map, at, parties)),
  methods: { wait: [patience], waitAsync: [patience], leave: [], [Symbol.dispose]: [] },
  results: { wait: isPassage, waitAsync: isPassage },
});

/** A place for a lock or a word. */
const place: Kind = orHostile(oneOf(...OFFSETS, 4, 2, 8, SIZE - 64, SIZE - 4, SIZE, -8));

/** How many permits or parties. */
const count: Kind = orHostile(oneOf(1, 1, 2, 3, 0, -1, 252, 504, 505, 1e6));

/** What is in a word, most often nothing. */
const word: Kind = orHostile(oneOf(0, 0, 1, -1, 7, 2 ** 32 - 1, 2 ** 32, 0.5));

/** How many to wake. */
const few: Kind = orHostile((from) => plain(from.dice.pick([0, 1, 2, Infinity, -1, 2 ** 40])));

/** Keeps in mind whose map it is, so that calls of the lock are calls about that map. */
function made<T extends object>(lock: T, map: unknown): T {
  if (map instanceof MemoryMap) maps.set(lock, map);
  return lock;
}

const functions = functionTable({
  name: "sync",
  weight: 1.5,
  owner: {
    waitForChange,
    waitForChangeAsync,
    wake,
    Mutex: (...args: ConstructorParameters<typeof Mutex>) => made(new Mutex(...args), args[0]),
    RwLock: (...args: ConstructorParameters<typeof RwLock>) => made(new RwLock(...args), args[0]),
    Semaphore: (...args: ConstructorParameters<typeof Semaphore>) =>
      made(new Semaphore(...args), args[0]),
    Event: (...args: ConstructorParameters<typeof Event>) => made(new Event(...args), args[0]),
    Barrier: (...args: ConstructorParameters<typeof Barrier>) =>
      made(new Barrier(...args), args[0]),
  },
  functions: {
    waitForChange: [kind.map, place, word, patience],
    waitForChangeAsync: [kind.map, place, word, patience],
    wake: [kind.map, place, few],
    Mutex: [kind.map, place],
    RwLock: [kind.map, place],
    Semaphore: [kind.map, place, count],
    Event: [kind.map, place, orHostile(options({ autoReset: kind.flag }))],
    Barrier: [kind.map, place, count],
  },
});

/** The tables of this file. */
export const syncTables: readonly AnyTable[] = [
  ...[mutexes, rwLocks, locks, holds, semaphores, events, barriers, functions],
];
