/** Block: a piece of a pool. */
import { MMapClosedError } from "../errors.ts";
import { inspectable } from "../inspect.ts";
import type { Blocks } from "./blocks.ts";
import { generationOf, handleOf, OWNER_MASK } from "./layout.ts";
import type { Batch } from "./leaks.ts";

/** Makes a block; for the pool only. */
export let makeBlock: (blocks: Blocks, index: number, size: number, batch?: Batch) => Block;

/**
 * Bytes of a pool, until they are freed: by `free()`, by `using`, or after the collector has found that the
 * program has dropped the block. Blocks whose `handle` was taken, and those from `pool.at()`, stay until
 * somebody frees them, or `recover()` does.
 *
 * Views of a block that were taken before it was freed go on showing the memory, whoever has it then.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { MemoryPool } from "@mman/mman/pool";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(1 << 20);
 * const pool = new MemoryPool(map, { blockSize: 256 });
 * const block = pool.allocate(100);
 * block.bytes.fill(7);
 * assertEquals(map.read(1, block.offset + 99)[0], 7);
 * block.free();
 * assertThrows(() => block.bytes);
 * ```
 */
export class Block implements Disposable {
  static {
    makeBlock = (blocks, index, size, batch) => new Block(blocks, index, size, batch);
    inspectable(this, ({ offset, size }) => ({ offset, size }));
  }

  readonly #blocks: Blocks;
  readonly #index: number;
  readonly #generation: number;
  readonly #size: number;
  #batch: Batch | undefined;
  #slot = 0;

  private constructor(blocks: Blocks, index: number, size: number, batch?: Batch) {
    const { words, geometry } = blocks.memory;
    this.#blocks = blocks;
    this.#index = index;
    this.#size = size;
    this.#generation = generationOf(words[geometry.states + index]!);
    this.#batch = batch;
    if (batch !== undefined) this.#slot = batch.add(index, this.#generation);
  }

  /** Bytes from the start of the map. */
  get offset(): number {
    const { byteOffset, geometry } = this.#blocks.memory;
    return byteOffset + geometry.start + this.#index * geometry.blockSize;
  }

  /** Bytes that were asked for. */
  get size(): number {
    return this.#size;
  }

  /**
   * The bytes, zero copy: whatever the last one left there.
   *
   * @throws {MMapClosedError} If the block is freed, by whomever, or the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    this.#check("view");
    const { mapping } = this.#blocks.memory;
    const { offset } = this;
    mapping.use("view a block in", offset, this.#size, 0);
    const { buffer, start } = mapping.publicBuffer(offset, this.#size);
    return new Uint8Array(buffer, offset - start, this.#size);
  }

  /**
   * A number for a message: `pool.at(handle)` gives the same block in any thread or process that has the
   * pool. From then on the collector does not free the block any more.
   *
   * @throws {MMapClosedError} If the block is freed, by whomever, or the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  get handle(): bigint {
    this.#check("pass on");
    this.#settleLeak();
    const { salt } = this.#blocks.memory;
    return handleOf({ index: this.#index, generation: this.#generation, salt });
  }

  /** Whether the block is not freed yet, by whomever, and the map is open. */
  get isValid(): boolean {
    if (this.#blocks.memory.mapping.closed) return false;
    const state = this.#state();
    return generationOf(state) === this.#generation && (state & OWNER_MASK) !== 0;
  }

  /**
   * Makes this thread the owner: if the last one dies, `recover()` does not free the block. For who receives
   * a handle and keeps it.
   *
   * @throws {MMapClosedError} If the block is freed, by whomever, or the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  adopt(): void {
    const adopted = this.#blocks.adopt(this.#index, this.#generation);
    if (!this.#blocks.memory.sound(adopted)) throw this.#freed("adopt");
  }

  /**
   * Gives the memory back to the pool. Any thread that has the block may do that, once.
   *
   * @throws {MMapClosedError} If the block is freed already, by whomever, or the map is closed.
   * @throws {MMapFaultError} If a page of the pool was lost.
   */
  free(): void {
    if (!this.#free()) throw this.#freed("free");
    this.#settleLeak();
  }

  /** As {@link Block.free}; nothing if it is freed already. */
  [Symbol.dispose](): void {
    if (!this.#blocks.memory.mapping.closed) this.#free();
    this.#settleLeak();
  }

  /** False if it is freed already. */
  #free(): boolean {
    return this.#blocks.memory.sound(this.#blocks.free(this.#index, this.#generation));
  }

  #settleLeak(): void {
    this.#batch?.remove(this.#slot);
    this.#batch = undefined;
  }

  #state(): number {
    const { memory } = this.#blocks;
    return memory.sound(Atomics.load(memory.current(), memory.geometry.states + this.#index));
  }

  #check(verb: string): void {
    const state = this.#state();
    if (generationOf(state) !== this.#generation || (state & OWNER_MASK) === 0) {
      throw this.#freed(verb);
    }
  }

  #freed(verb: string): MMapClosedError {
    return new MMapClosedError(
      `Cannot ${verb} the block at offset ${this.offset}: it was freed; allocate again`,
    );
  }
}
