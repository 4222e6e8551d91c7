/** Order between plain loads of memory that is read only, and that nobody may write to. */

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
