/** Rings of records and of messages, on files and names that others cut, fill with lies and use, too. */
import fs from "node:fs";
import { type MapHandle, MemoryMap } from "../../../mod.ts";
import {
  Broadcast,
  BroadcastReader,
  type Claim,
  MessageQueue,
  RecordRing,
} from "../../../src/ring/mod.ts";
import { data } from "../bytes.ts";
import { isClosed } from "../closable.ts";
import { damage } from "../damage.ts";
import { UsersError } from "../errors.ts";
import { act, options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { type Kind, needed, oneOf, plain, type Shown, type Source } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";
import { PLACES } from "../world.ts";

const { patience } = kind;

/** Small ones: they are full soon, and what a wrong capacity makes must not fill the disk. */
const capacity: Kind = orHostile(oneOf(1, 3, 63, 64, 100, 256, 256, 1024, 4096, 10_000));
const recordSize: Kind = orHostile(oneOf(1, 4, 7, 8, 16, 100, 4096));

const PATHS: readonly string[] = ["ring-0", "ring-1", "ring-2", "ring-3", "ring-4", "ring-5"];

/** The path of a ring of whatever sort; now and then of something else. */
const path: Kind = orHostile((from) =>
  from.dice.chance(0.9) ? plain(from.dice.pick(PATHS)) : kind.anyPath(from)
);

/** The maps of the rings that lie in one. */
const maps = new WeakMap<object, MemoryMap>();

/** Where a ring is or will be. */
const place: Kind = orHostile((from) => {
  const keys = ["path", "path", "path", "name", "map", "anonymous", "handle"];
  const several = from.dice.chance(0.03);
  const known: Record<string, Kind> = {
    path,
    name: kind.sharedName,
    map: kind.map,
    anonymous: oneOf(true),
    handle: kind.handle,
  };
  if (several) return options(known)(from);
  const key = from.dice.pick(keys);
  return options({ [key]: known[key]! }, 1)(from);
}, 0.03);

/** A message or a record: few bytes, so that many fit. */
const message: Kind = orHostile((from) => {
  const { dice } = from;
  if (dice.chance(0.3)) return data(from);
  const length = dice.pick([0, 1, 7, 8, 16, 50, 100, 300, 1000]);
  return { value: new Uint8Array(length).fill(length), text: `new Uint8Array(${length})` };
});

const type: Kind = orHostile(oneOf(1, 1, 2, 7, 2 ** 31 - 1, 0, -1, { type: 7 }, { tpye: 7 }));
const limit: Kind = orHostile(oneOf(0, 1, 2, 5, Infinity));
const writeOptions: Kind = needed((from) => {
  const { value, text } = patience(from);
  const rest = options({ type }, 0.3)(from);
  return {
    value: Object.defineProperty(rest.value, "timeoutMs", { value, enumerable: true }),
    text: `${rest.text} with timeoutMs: ${text}`,
  };
});

type Ring = RecordRing | MessageQueue | Broadcast;

/** What a handler does: to the ring that calls it, to any ring, to a file, to a map. */
function deed(from: Source): Shown<(ring: Ring | undefined) => void> {
  const { dice, world } = from;
  const file = damage(dice.pick(PATHS), from);
  const other = dice.pick(["queue", "broadcast", "reader", "records-ring", "queue"]);
  const entries = world.all(other);
  const entry = entries.length === 0 ? undefined : dice.pick(entries);
  const mapAct = act(from);
  return dice.pick<Shown<(ring: Ring | undefined) => void>>([
    { text: "nothing", value: () => {} },
    { text: "nothing", value: () => {} },
    {
      text: "throws",
      value: () => {
        throw new UsersError("Handler");
      },
    },
    { text: "closes", value: (ring) => ring?.close() },
    { text: file.text, value: file.value },
    { text: mapAct.text, value: mapAct.run },
    {
      text: `reads ${entry?.label}`,
      value: (ring) => {
        const subject = (entry?.value ?? ring) as { read?(handler: () => void): unknown };
        subject?.read?.(() => {});
      },
    },
    {
      text: "writes",
      value: (ring) => {
        if (ring instanceof MessageQueue) ring.tryWrite("from a handler");
        else ring?.write(new Uint8Array(1));
      },
    },
    {
      text: "claims, and closes with the claim open",
      value: (ring) => {
        if (!(ring instanceof MessageQueue)) return;
        ring.tryClaim(8);
        ring.close();
      },
    },
  ]);
}

/** A function that gets messages. */
const handler: Kind = orHostile((from) => {
  const { text, value } = deed(from);
  return { text: `handler: ${text}`, value: () => value(undefined) };
});

const deedKind: Kind = needed(deed);

/** Opens what is there, or makes it; a file that is in the way goes. */
function openOrCreate<T extends Ring>(
  path: string,
  open: () => T,
  create: () => T,
): T {
  try {
    return open();
  } catch {
    fs.rmSync(path, { force: true });
    return create();
  }
}

/** A queue or a broadcast, on memory of any sort. */
function freshRing<T extends MessageQueue | Broadcast>(
  ring: {
    name: string;
    open(place: { path: string } | { map: MemoryMap }): T;
    create(
      place: { path: string } | { map: MemoryMap } | { anonymous: true },
      options: { capacity: number },
    ): T;
    byteLength(capacity: number): number;
  },
): (from: Source) => Shown<() => T> {
  return ({ dice, world }) => {
    const { name } = ring;
    const capacity = dice.pick([64, 256, 256, 1024, 4096, 1 << 16]);
    const path = dice.pick(PATHS);
    const mapPlace = dice.between(0, PLACES - 1);
    return dice.pick<Shown<() => T>>([
      ...Array<Shown<() => T>>(3).fill({
        text: `${name} in { path: "${path}" }, new with ${capacity} if there is none`,
        value: () =>
          openOrCreate(
            path,
            () => ring.open({ path }),
            () => ring.create({ path }, { capacity }),
          ),
      }),
      {
        text: `${name}.create({ anonymous: true }, { capacity: ${capacity} })`,
        value: () => ring.create({ anonymous: true }, { capacity }),
      },
      {
        text: `${name} of ${capacity} in map${mapPlace} = a memfd`,
        value: () => {
          const map = MemoryMap.createMemfd(ring.byteLength(capacity));
          world.put("map", mapPlace, map, map);
          const made = ring.create({ map }, { capacity });
          maps.set(made, map);
          return made;
        },
      },
    ]);
  };
}

const isFlag = (flag: unknown): boolean => typeof flag === "boolean";
const isCount = (count: unknown): boolean => Number.isInteger(count) && (count as number) >= 0;

/** Takes two messages of an iterator that its ring's end ends, too: it waits without end. */
async function iterate(
  ring: MessageQueue | BroadcastReader,
  close: () => void,
): Promise<void> {
  const iterator = ring[Symbol.asyncIterator]();
  setTimeout(close, 3); // whether there are messages or not
  for await (const { bytes } of { [Symbol.asyncIterator]: () => iterator }) {
    if (bytes.length === 0) break;
  }
}

const recordRings = classTable<RecordRing>({
  name: "records-ring",
  weight: 3,
  is: (value) => value instanceof RecordRing,
  isSpent: (ring) => isClosed(() => ring.count),
  make: ({ dice }) => {
    const path = dice.pick(PATHS);
    const capacity = dice.pick([1, 2, 3, 10, 100]);
    const recordSize = dice.pick([1, 7, 8, 64]);
    const mode = dice.pick(["r", "r+"] as const);
    return {
      text: `RecordRing.open("${path}", { mode: "${mode}" }), new ${capacity} x ${recordSize}`,
      value: () =>
        openOrCreate(
          path,
          () => RecordRing.open(path, { mode }),
          () => RecordRing.create(path, { capacity, recordSize }),
        ),
    };
  },
  methods: {
    write: [message],
    get: [kind.index],
    at: [kind.index],
    flush: [],
    close: [],
    [Symbol.iterator]: [],
    [Symbol.dispose]: [],
  },
  actions: {
    writeFitting: {
      takes: [],
      run: (ring) => ring.write(new Uint8Array(Math.min(ring.recordSize, 4096))),
    },
    getNewest: { takes: [], run: (ring) => void (ring.count > 0 && ring.get(ring.count - 1)) },
    iterateWith: {
      takes: [deedKind],
      run: (ring, deed) => {
        let left = 5;
        for (const record of ring) {
          if (record.length !== ring.recordSize) throw new Error("A record of another size");
          deed(ring);
          if (left-- === 0) break;
        }
      },
    },
  },
});

const queues = classTable<MessageQueue>({
  name: "queue",
  weight: 5,
  is: (value) => value instanceof MessageQueue,
  isSpent: (queue) => isClosed(() => queue.read(undefined as never)),
  make: freshRing(MessageQueue),
  mapOf: (queue) => maps.get(queue),
  methods: {
    share: [],
    tryWrite: [message, type],
    write: [message, writeOptions],
    writeAsync: [message, writeOptions],
    tryClaim: [orHostile(oneOf(0, 1, 8, 50, 200, 1000)), type],
    read: [handler, limit],
    wait: [patience],
    waitAsync: [patience],
    readAsync: [patience],
    close: [],
    [Symbol.dispose]: [],
    [Symbol.asyncIterator]: [],
  },
  actions: {
    readWith: { takes: [deedKind], run: (queue, deed) => queue.read(() => deed(queue)) },
    iterate: { takes: [], run: (queue) => iterate(queue, () => queue.close()) },
    fillUp: {
      takes: [],
      run: (queue) => {
        for (let k = 0; k < 100 && queue.tryWrite("x".repeat(k)); k++);
      },
    },
  },
  results: {
    tryWrite: isFlag,
    write: isFlag,
    writeAsync: isFlag,
    wait: isFlag,
    waitAsync: isFlag,
    read: isCount,
  },
});

const claims = classTable<Claim>({
  name: "claim",
  weight: 1.5,
  is: (value): value is Claim =>
    typeof (value as Claim).commit === "function" && typeof (value as Claim).abort === "function",
  isSpent: (claim) => {
    try {
      return claim.bytes === undefined;
    } catch {
      return true;
    }
  },
  make: ({ world, dice }) => {
    const entries = world.all("queue");
    if (entries.length === 0) return undefined;
    const { value, label } = dice.pick(entries);
    const length = dice.pick([0, 8, 50]);
    return {
      text: `${label}.tryClaim(${length}), or a claim of a new queue`,
      value: () =>
        (value as MessageQueue).tryClaim(length) ??
          MessageQueue.create({ anonymous: true }, { capacity: 256 }).tryClaim(length)!,
    };
  },
  methods: { commit: [], abort: [], [Symbol.dispose]: [] },
  actions: {
    bytes: { takes: [], run: (claim) => claim.bytes },
    fill: { takes: [kind.byte], run: (claim, value) => void claim.bytes.fill(Number(value)) },
  },
  // The bytes are the engine's, and so is what it says of a value that is no number.
  allows: (error) => error instanceof TypeError,
});

const broadcasts = classTable<Broadcast>({
  name: "broadcast",
  weight: 3,
  is: (value) => value instanceof Broadcast,
  isSpent: (broadcast) => isClosed(() => broadcast.write("", 0)),
  make: freshRing(Broadcast),
  mapOf: (broadcast) => maps.get(broadcast),
  methods: {
    share: [],
    write: [message, type],
    reader: [],
    close: [],
    [Symbol.dispose]: [],
  },
  actions: {
    overrun: {
      takes: [],
      run: (broadcast) => {
        for (let k = 0; k < 40; k++) broadcast.write(new Uint8Array(k));
      },
    },
  },
});

const owners = new WeakMap<BroadcastReader, Broadcast>();

const readers = classTable<BroadcastReader>({
  name: "reader",
  weight: 3,
  is: (value) => value instanceof BroadcastReader,
  isSpent: (reader) => isClosed(() => reader.read(() => {}, 0)),
  make: ({ world, dice }) => {
    const entries = world.all("broadcast");
    if (entries.length === 0) return undefined;
    const { value, label } = dice.pick(entries);
    return {
      text: `${label}.reader()`,
      value: () => {
        const reader = (value as Broadcast).reader();
        owners.set(reader, value as Broadcast);
        return reader;
      },
    };
  },
  methods: {
    read: [handler, limit],
    wait: [patience],
    waitAsync: [patience],
    readAsync: [patience],
    [Symbol.asyncIterator]: [],
  },
  actions: {
    readWith: {
      takes: [deedKind],
      run: (reader, deed) => reader.read(() => deed(owners.get(reader))),
    },
    iterate: {
      takes: [],
      run: (reader) => {
        const owner = owners.get(reader);
        return owner && iterate(reader, () => owner.close());
      },
    },
  },
  results: { read: isCount, wait: isFlag, waitAsync: isFlag },
});

const placeOptions: Kind = orHostile(options({ capacity }, 0.95));

const recordRing = functionTable({
  name: "RecordRing",
  weight: 0.7,
  owner: RecordRing,
  functions: {
    create: [path, orHostile(options({ capacity, recordSize }, 0.95))],
    open: [
      path,
      orHostile(options({ mode: orHostile(oneOf("r", "r+", "r+")), recordSize }, 0.4)),
    ],
  },
});

const messageQueue = functionTable<typeof MessageQueue>({
  name: "MessageQueue",
  weight: 0.7,
  owner: MessageQueue,
  functions: {
    create: [place, placeOptions],
    open: [place],
    byteLength: [capacity],
  },
});

const broadcast = functionTable<typeof Broadcast>({
  name: "Broadcast",
  weight: 0.5,
  owner: Broadcast,
  functions: {
    create: [place, placeOptions],
    open: [place],
    byteLength: [capacity],
  },
});

/** What becomes of a ring's file, and of memory that was shared, behind its back. */
const damages = functionTable({
  name: "rings",
  weight: 1,
  owner: {
    damage: (deed: () => void) => deed(),
    attach: (handle: MapHandle) => MemoryMap.attach(handle),
  },
  functions: {
    damage: [needed((from) => damage(from.dice.pick(PATHS), from))],
    attach: [kind.handle],
  },
});

/** The tables of this file. */
export const ringTables: readonly AnyTable[] = [
  ...[recordRings, queues, claims, broadcasts, readers],
  ...[recordRing, messageQueue, broadcast, damages],
];
