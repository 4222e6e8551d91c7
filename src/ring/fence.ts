/** Order between plain loads of memory that is read only, and that nobody may write to; and between stores. */
import { keepsOrder } from "../ffi/runtime.ts";

const own = new Int32Array(new SharedArrayBuffer(4));

/**
 * What is loaded before this call is loaded before everything after it.
 *
 * A store and a load of a word of our own: the store waits for the loads before it, the load comes after
 * the store, and what follows waits for the load. `Atomics.load` of the memory itself would do, but
 * Bun compiles it to an instruction that writes, which kills the process where it may not.
 */
export function loadFence(): void {
  Atomics.store(own, 0, 0);
  Atomics.load(own, 0);
}

/**
 * Stores a word after all that was stored before this call, and before all that is stored after it.
 *
 * Engines do not move stores across a call that writes bytes (`set`, `fill`), and processors of x64 do
 * not move them across each other. `Atomics.store` would wait there until everything before has
 * reached the cache, which takes as long as a short write. Elsewhere it orders what comes before, and
 * the load what comes after.
 */
export function storeInOrder(words: Int32Array, index: number, value: number): void {
  if (keepsOrder) {
    words[index] = value;
  } else {
    Atomics.store(words, index, value);
    Atomics.load(words, index);
  }
}
