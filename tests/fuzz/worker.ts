/** A thread that works on a map of another thread's until it is told to end, or terminated. */
import { workerData } from "node:worker_threads";
import { MemoryMap } from "../../mod.ts";
import {
  Barrier,
  Event,
  Mutex,
  RwLock,
  Semaphore,
  waitForChange,
  wake,
} from "../../src/sync/mod.ts";
import { random } from "../random.ts";
import { isAllowed } from "./errors.ts";
import { callUntilTold } from "./thread.ts";

const { handle, seed } = workerData;
const next = random(seed);
const map = attached();
const views = [map.bytes];

/** The map, or another if it was closed, protected or cut before this thread was there. */
function attached(): MemoryMap {
  try {
    return MemoryMap.attach(handle);
  } catch (error) {
    if (!isAllowed(error)) throw error;
    return MemoryMap.createAnonymous(65_536);
  }
}

/** Calls of locks where the other thread puts them, too; a wait ends after a millisecond. */
const lockCalls: readonly (() => unknown)[] = [
  () => new Mutex(map, 0).lock(1),
  () => new Mutex(map, 0).unlock(),
  () => new Event(map, 64).set(),
  () => new Event(map, 64).wait(1),
  () => new RwLock(map, 4096).read.lock(1),
  () => new RwLock(map, 4096).read.unlock(),
  () => new RwLock(map, 4096).write.withLock(() => map.write("x", 60_000), 1),
  () => new Semaphore(map, 8192, 2).acquire(1),
  () => new Semaphore(map, 8192, 2).release(),
  () => new Barrier(map, 3 * 4096, 2).wait(1),
  () => waitForChange(map, 128, 0, 1),
  () => wake(map, 128),
];

const calls: readonly ((place: number) => unknown)[] = [
  (place) => map.read(100, place),
  (place) => map.write("from a Worker", place),
  (place) => map.fill(1, place),
  (place) => map.find("x", place),
  (place) => map.count(0, place),
  (place) => views[0]![place],
  (place) => views[0]![place] = 1,
  () => views[0] = map.bytes,
  () => map.residency(),
  () => map.flush(),
  () => {
    const bytes = views[0]!;
    let total = 0;
    for (let i = 0; i < bytes.length; i++) total += bytes[i]!;
    return total;
  },
];

callUntilTold((k) => {
  const some = k % 10 === 0 ? lockCalls : calls;
  some[Math.floor(next() * some.length)]!(Math.floor(next() * 70_000));
}, () => map.close());
