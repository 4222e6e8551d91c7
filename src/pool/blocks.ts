/** Taking and freeing blocks: the steps on states that layout.ts argues about. */
import { findRun, markTaken, nextFree, type Places, rebuild, settle } from "./free_index.ts";
import {
  freeAfter,
  generationOf,
  HIDDEN_BY_MANY,
  HIDDEN_OFFSET,
  OWNER_MASK,
  TAIL,
  WORD,
} from "./layout.ts";
import type { PoolMemory } from "./memory.ts";

const HIDDEN = HIDDEN_OFFSET / WORD;

/** Freed blocks that a thread keeps at hand. */
const AT_HAND = 32;

/** Every block, as it is without an alignment. */
const ANYWHERE: Places = { first: 0, step: 1 };

/** Takes and frees blocks for one thread. */
export class Blocks {
  readonly memory: PoolMemory;
  /** Blocks that this thread has freed and that the index still hides; the last one is the warmest. */
  readonly #atHand = new Int32Array(AT_HAND);
  #count = 0;
  /** Who we are when it comes to hiding: a thread may use a pool through several objects. */
  readonly #id = 1 + Math.floor(Math.random() * 0x7ffffffe);

  constructor(memory: PoolMemory) {
    this.memory = memory;
  }

  /** Takes one block; its index, or -1 if none is free. */
  takeOne(): number {
    const { memory } = this;
    const words = memory.words.length === 0 ? memory.current() : memory.words;
    const owner = memory.owner === 0 ? this.#join() : memory.owner;
    const { states } = memory.geometry;
    while (this.#count > 0) {
      const index = this.#atHand[--this.#count]!;
      const state = words[states + index]!;
      if ((state & OWNER_MASK) !== 0) continue; // somebody has found it meanwhile
      if (Atomics.compareExchange(words, states + index, state, state | owner) === state) {
        return index;
      }
    }
    const index = this.#findOne(words, owner);
    return index === -1 && this.#rebuildIfHidden(words) ? this.#findOne(words, owner) : index;
  }

  /** Takes a run of blocks; the index of its head, or -1 if no such run is free. */
  takeRun(count: number, places: Places = ANYWHERE): number {
    const words = this.memory.current();
    const owner = this.#join();
    const find = () => this.#findRun(words, owner, count, places);
    let index = find();
    if (index === -1 && this.#show(words)) index = find();
    return index === -1 && this.#rebuildIfHidden(words) ? find() : index;
  }

  /** Frees the run at a head that has a generation; false if it is freed already. */
  free(index: number, generation: number): boolean {
    const { memory } = this;
    const words = memory.words.length === 0 ? memory.current() : memory.words;
    const at = memory.geometry.states + index;
    const isRun = index + 1 < memory.geometry.blocks && (words[at + 1]! & TAIL) !== 0;
    for (;;) {
      const state = words[at]!;
      if (generationOf(state) !== generation || (state & OWNER_MASK) === 0) return false;
      const next = isRun ? freeAfter(state) | this.#join() : freeAfter(state);
      if (Atomics.compareExchange(words, at, state, next) !== state) continue;
      if (isRun) this.#freeChain(words, index);
      else this.#hide(words, index);
      return true;
    }
  }

  /** Makes this thread the owner of a head that has a generation; false if it is freed already. */
  adopt(index: number, generation: number): boolean {
    const words = this.memory.current();
    const owner = this.#join();
    const at = this.memory.geometry.states + index;
    for (;;) {
      const state = Atomics.load(words, at);
      if (generationOf(state) !== generation || (state & OWNER_MASK) === 0) return false;
      const mine = state & ~OWNER_MASK | owner;
      if (Atomics.compareExchange(words, at, state, mine) === state) return true;
    }
  }

  /** Blocks of the run at a head. */
  lengthOf(index: number): number {
    const words = this.memory.current();
    const { states, blocks } = this.memory.geometry;
    let end = index + 1;
    while (end < blocks && (Atomics.load(words, states + end) & TAIL) !== 0) end++;
    return end - index;
  }

  /** Frees what dead owners have; returns how many blocks. */
  recover(): number {
    const { memory } = this;
    const dead = memory.deadOwners();
    const words = memory.current();
    let freed = 0;
    if (dead.size > 0) {
      const { states, blocks } = memory.geometry;
      for (let index = 0; index < blocks; index++) {
        const state = Atomics.load(words, states + index);
        if ((state & TAIL) !== 0) continue;
        const pair = dead.get(state & OWNER_MASK);
        // The number may be a later thread's by now: then the state is a later one, too.
        if (pair === undefined || memory.ownerPair(state & OWNER_MASK) !== pair) continue;
        freed += this.#freeOf(words, index, state);
      }
      for (const [number, pair] of dead) memory.forget(number, pair);
    }
    this.#count = 0;
    rebuild(words, memory.geometry);
    return freed;
  }

  /** Frees a run of a dead owner; how many blocks, 0 if somebody else was faster. */
  #freeOf(words: Int32Array, index: number, state: number): number {
    const at = this.memory.geometry.states + index;
    // Ours first: if we are killed while we free it, the next one goes on.
    const mine = freeAfter(state) | this.#join();
    if (Atomics.compareExchange(words, at, state, mine) !== state) return 0;
    return this.#freeChain(words, index);
  }

  #join(): number {
    return this.memory.join(() => this.#recoverToJoin());
  }

  /** All numbers are taken: those of dead owners without blocks can go without one of ours. */
  #recoverToJoin(): void {
    const { memory } = this;
    const dead = memory.deadOwners();
    const words = memory.current();
    const { states, blocks } = memory.geometry;
    for (let index = 0; index < blocks && dead.size > 0; index++) {
      dead.delete(Atomics.load(words, states + index) & OWNER_MASK);
    }
    for (const [number, pair] of dead) memory.forget(number, pair);
  }

  /** The block is free already: keeps it at hand, hidden, or shows it to all. */
  #hide(words: Int32Array, index: number): void {
    if (this.#count === AT_HAND) return settle(words, this.memory.geometry, index);
    this.#atHand[this.#count++] = index;
    const hider = words[HIDDEN]!;
    if (hider !== this.#id && hider !== HIDDEN_BY_MANY) this.#sayHidden(words);
  }

  #sayHidden(words: Int32Array): void {
    for (;;) {
      const hider = Atomics.load(words, HIDDEN);
      const both = hider === 0 || hider === this.#id ? this.#id : HIDDEN_BY_MANY;
      if (Atomics.compareExchange(words, HIDDEN, hider, both) === hider) return;
    }
  }

  /** Shows what we hide; false if that is nothing. */
  #show(words: Int32Array): boolean {
    if (this.#count === 0) return false;
    while (this.#count > 0) settle(words, this.memory.geometry, this.#atHand[--this.#count]!);
    return true;
  }

  /** Makes the index anew if others hide blocks; false if not. */
  #rebuildIfHidden(words: Int32Array): boolean {
    const hider = Atomics.load(words, HIDDEN);
    if (hider === 0 || hider === this.#id) return false;
    Atomics.store(words, HIDDEN, 0);
    rebuild(words, this.memory.geometry);
    return true;
  }

  #findOne(words: Int32Array, owner: number): number {
    const { geometry } = this.memory;
    for (let index = 0;;) {
      index = nextFree(words, geometry, index);
      if (index === -1 || this.#claim(words, index, owner)) return index;
    }
  }

  #findRun(words: Int32Array, owner: number, count: number, places: Places): number {
    for (;;) {
      const index = findRun(words, this.memory.geometry, count, places);
      // If it was not free, one more bit of the index is right now.
      if (index === -1 || this.#claimRun(words, index, count, owner)) return index;
    }
  }

  #claim(words: Int32Array, index: number, mark: number): boolean {
    const { geometry } = this.memory;
    const state = Atomics.load(words, geometry.states + index);
    const free = (state & OWNER_MASK) === 0;
    const before = free
      ? Atomics.compareExchange(words, geometry.states + index, state, state | mark)
      : undefined;
    if (before !== state) {
      settle(words, geometry, index);
      return false;
    }
    markTaken(words, geometry, index);
    return true;
  }

  #claimRun(words: Int32Array, index: number, count: number, owner: number): boolean {
    if (!this.#claim(words, index, owner)) return false;
    for (let i = 1; i < count; i++) {
      if (this.#claim(words, index + i, owner | TAIL)) continue;
      this.#freeBack(words, index, i);
      return false;
    }
    return true;
  }

  /** Frees a run whose head is ours and known to nobody; returns how many blocks it had. */
  #freeChain(words: Int32Array, index: number): number {
    const count = this.lengthOf(index);
    this.#freeBack(words, index, count);
    return count;
  }

  /** Frees blocks that are ours alone, from the last to the first. */
  #freeBack(words: Int32Array, index: number, count: number): void {
    const { geometry } = this.memory;
    for (let i = index + count - 1; i >= index; i--) {
      const at = geometry.states + i;
      Atomics.store(words, at, freeAfter(Atomics.load(words, at)));
      settle(words, geometry, i);
    }
  }
}
