/** Order between a compare-and-swap and what is read after it. */
import { keepsOrder } from "../ffi/runtime.ts";

type Look = (words: Int32Array, index: number) => number;

const plain: Look = (words, index) => words[index]!;
const atomic: Look = (words, index) => Atomics.load(words, index);

/**
 * Reads a word after everything that this thread has read or changed by `Atomics` before, and before
 * whatever it reads later: what `Atomics.load` promises.
 *
 * On x86-64 the processor gives that to every load, since a compare-and-swap is a full fence there, and no
 * engine moves a load across an atomic access. A plain load takes nothing, where Bun makes `Atomics.load`
 * an exchange that takes the cache line from all others, and Deno and Node make it a call. On arm64 a
 * plain load may overtake the store of a compare-and-swap. Not for a loop without an atomic access
 * in it: there the engine may read once for all.
 */
export const look: Look = keepsOrder ? plain : atomic;
