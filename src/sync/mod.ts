/**
 * Locks and waiting between threads and processes, in shared memory. What a lock needs lies in the map;
 * all users of a lock give the same place of the same memory.
 *
 * Locks survive their owners: when a thread dies holding one, the next gets it and is told
 * `"recovered"`. All waits can end in time and have a form that leaves the event loop free.
 *
 * Not promised: fairness between tasks that wait with the event loop free and parked threads; anything
 * between machines, or between PID namespaces (containers).
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { Mutex } from "@mman/mman/sync";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(4096);
 * const mutex = new Mutex(map);
 * {
 *   using held = mutex.hold(1000);
 *   assertEquals(held.outcome, "acquired");
 * }
 * assertEquals(mutex.isHeld, false);
 * ```
 *
 * @module
 */
export { Barrier, type BarrierOutcome } from "./barrier.ts";
export { waitForChange, waitForChangeAsync, wake } from "./change.ts";
export { Event, type EventOptions } from "./event.ts";
export { type Held, Lock, type LockOutcome, type Taken } from "./lock.ts";
export { Mutex } from "./mutex.ts";
export { RwLock } from "./rw_lock.ts";
export { Semaphore } from "./semaphore.ts";
