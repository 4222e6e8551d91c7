/**
 * Blocks that were dropped without being freed. To register every block with the engine would cost more
 * than all else: blocks of one stretch of a program share a batch, and the engine tells when all of them are
 * gone. What was freed meanwhile has another generation, and is left alone.
 */
import type { Blocks } from "./blocks.ts";

const BATCH = 32;
const NONE = -1;

/** What the engine keeps until a batch is gone: pairs of index and generation. */
interface Held {
  readonly blocks: Blocks;
  readonly entries: readonly number[];
}

const finalizers = new FinalizationRegistry<Held>(({ blocks, entries }) => {
  if (blocks.memory.mapping.closed) return;
  for (let i = 0; i < entries.length; i += 2) {
    if (entries[i] !== NONE) blocks.free(entries[i]!, entries[i + 1]!);
  }
});

/** Up to {@link BATCH} blocks, which refer to it. */
export class Batch {
  readonly entries: number[] = [];
  #end = 0;

  /** Where the next block is noted. */
  add(index: number, generation: number): number {
    const slot = this.#end;
    this.entries[slot] = index;
    this.entries[slot + 1] = generation;
    this.#end = slot + 2;
    return slot;
  }

  /** Forgets a block, which was freed or is somebody else's affair. */
  remove(slot: number): void {
    this.entries[slot] = NONE;
    if (slot + 2 === this.#end) this.#end = slot;
  }

  get isFull(): boolean {
    return this.#end >= 2 * BATCH;
  }
}

/** The batches of one pool. */
export class Leaks {
  readonly #blocks: Blocks;
  #batch: Batch | undefined;

  constructor(blocks: Blocks) {
    this.#blocks = blocks;
  }

  /** The batch for the next block. */
  batch(): Batch {
    return this.#batch === undefined || this.#batch.isFull ? this.#next() : this.#batch;
  }

  #next(): Batch {
    const batch = new Batch();
    finalizers.register(batch, { blocks: this.#blocks, entries: batch.entries });
    // Only for what runs now: afterwards its blocks alone keep it.
    if (this.#batch === undefined) queueMicrotask(() => this.#batch = undefined);
    return this.#batch = batch;
  }
}
