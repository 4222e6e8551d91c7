/**
 * A thread that uses the rings, journals, pools and names of a sequence, while the sequence uses, damages and
 * removes them: the second user that there is in practice.
 */
import { workerData } from "node:worker_threads";
import { MemoryMap } from "../../mod.ts";
import { Journal } from "../../src/journal/mod.ts";
import { MemoryPool } from "../../src/pool/mod.ts";
import { Broadcast, type BroadcastReader, MessageQueue, RecordRing } from "../../src/ring/mod.ts";
import { random } from "../random.ts";
import { callUntilTold } from "./thread.ts";

const { prefix, seed } = workerData;
const next = random(seed);

/** A whole number below a limit. */
function below(limit: number): number {
  return Math.floor(next() * limit);
}

/** Something that is used for a while, then closed and opened anew. */
class Held<T extends object> {
  readonly #open: () => T;
  readonly #close: (value: T) => void;
  #value: T | undefined;

  constructor(open: () => T, close: (value: T) => void) {
    this.#open = open;
    this.#close = close;
  }

  /** It; another one now and then. */
  get(): T {
    if (next() < 0.03) this.close();
    return this.#value ??= this.#open();
  }

  close(): void {
    const value = this.#value;
    this.#value = undefined;
    if (value !== undefined) this.#close(value);
  }
}

interface PoolUse {
  readonly map: MemoryMap;
  readonly pool: MemoryPool;
}

function openPool(): PoolUse {
  const map = MemoryMap.open(`pool-${below(3)}`, { mode: "r+" });
  try {
    return { map, pool: new MemoryPool(map, { blockSize: [8, 64, 1024][below(3)]! }) };
  } catch (error) {
    map.close();
    throw error;
  }
}

const close = (value: { close(): void }) => value.close();
const path = () => `ring-${below(6)}`;

const records = new Held(() => RecordRing.open(path(), { mode: "r+" }), close);
const queue = new Held(() => MessageQueue.open({ path: path() }), close);
const broadcast = new Held(() => Broadcast.open({ path: path() }), close);
const journal = new Held(() =>
  Journal.open(`journal-${below(3)}`, {
    mode: next() < 0.5 ? "a+" : "r",
    size: 4096,
    durability: "none",
  }), close);
const pool = new Held(openPool, ({ map }) => map.close());
const named = new Held(
  () => MemoryMap.openNamed(`${prefix}-${below(6)}`, { mode: next() < 0.5 ? "r" : "r+" }),
  close,
);
const all = [records, queue, broadcast, journal, pool, named];

const readers = new WeakMap<Broadcast, BroadcastReader>();

function readerOf(broadcast: Broadcast): BroadcastReader {
  const reader = readers.get(broadcast) ?? broadcast.reader();
  readers.set(broadcast, reader);
  return reader;
}

/** Whatever the sequence has put there. */
const ignore = () => {};

const calls: readonly (() => unknown)[] = [
  () => records.get().write(new Uint8Array(below(9))),
  () => records.get().at(-1),
  () => [...records.get()].length,
  () => queue.get().tryWrite("from a neighbour"),
  () => queue.get().write(new Uint8Array(below(100)), { timeoutMs: 1 }),
  () => queue.get().tryClaim(below(50))?.commit(),
  () => queue.get().tryClaim(below(50)), // left open
  () => queue.get().read(ignore, 5),
  () => queue.get().wait(1),
  () => broadcast.get().write(new Uint8Array(below(100))),
  () => readerOf(broadcast.get()).read(ignore),
  () => readerOf(broadcast.get()).wait(1),
  () => journal.get().append(new Uint8Array(below(500))),
  () => {
    for (const _ of journal.get().readFrom(below(20))) break;
  },
  () => journal.get().verify(),
  () => journal.get().removeBefore(below(20)),
  () => pool.get().pool.tryAllocate(1 + below(300)), // left
  () => pool.get().pool.tryAllocate(1 + below(300))?.free(),
  () => pool.get().pool.recover(),
  () => pool.get().pool.verify(),
  () => named.get().bytes[0],
  () => named.get().write("from a neighbour", below(5000)),
];

callUntilTold(
  () => calls[below(calls.length)]!(),
  () => all.forEach((held) => held.close()),
);
