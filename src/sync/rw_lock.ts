/** RwLock: many readers or one writer, between threads and processes. */
import type { MemoryMap } from "../memory_map.ts";
import {
  GATE_OFFSET,
  KIND_RW_LOCK,
  READER_LENGTH,
  READERS,
  READERS_OFFSET,
  RW_LOCK_LENGTH,
  WORD,
  WRITING_OFFSET,
} from "./layout.ts";
import { Lock } from "./lock.ts";
import { LockMemory } from "./memory.ts";
import {
  abandonAll,
  give,
  type LockOutcome,
  notHeld,
  take,
  takeAny,
  type Taken,
  tryRecover,
  tryTake,
} from "./owners.ts";
import { deadlineOf, run, runAsync, type Steps } from "./waiting.ts";

const GATE = GATE_OFFSET / WORD;
const WRITING = WRITING_OFFSET / WORD;
const FIRST_SLOT = READERS_OFFSET / WORD;
const SLOT = READER_LENGTH / WORD;

/** How one owner word is waited for: parked, or by steps. */
type TakeOne = (memory: LockMemory, index: number, deadline: number) => Steps<LockOutcome>;

// deno-lint-ignore require-yield -- parks inside; the other form yields
function* parked(memory: LockMemory, index: number, deadline: number): Steps<LockOutcome> {
  return take(memory, index, deadline);
}

function* stepwise(memory: LockMemory, index: number, deadline: number): Steps<LockOutcome> {
  return (yield* takeAny(memory, [index], deadline))?.taken ?? "timeout";
}

/** What this thread does with one lock, whichever object it uses. */
class Side {
  readonly memory: LockMemory;
  /** The slot that this thread took last. */
  slot: number;
  /** How many tasks of this thread read; they share the slot. */
  readers = 0;
  writing = false;

  constructor(memory: LockMemory) {
    this.memory = memory;
    this.slot = FIRST_SLOT + memory.platform.self.number % READERS * SLOT;
    memory.letGo = () => {
      this.readers = 0;
      this.writing = false;
      abandonAll(memory);
    };
  }

  /** `"recovered"` while what a dead writer left has not been written over. */
  get state(): Taken {
    return this.memory.load(WRITING) === 0 ? "acquired" : "recovered";
  }
}

const sides = new WeakMap<LockMemory, Side>();

function sideOf(memory: LockMemory): Side {
  let side = sides.get(memory);
  if (side === undefined) sides.set(memory, side = new Side(memory));
  return side;
}

class ReadLock extends Lock {
  readonly #side: Side;

  constructor(side: Side) {
    super();
    this.#side = side;
  }

  override lock(timeoutMs: number = Infinity): LockOutcome {
    const deadline = timeoutMs === Infinity ? Infinity : deadlineOf(timeoutMs);
    if (this.#enter()) return this.#side.state;
    return run(this.#side.memory, this.#steps(parked, deadline));
  }

  override async lockAsync(timeoutMs: number = Infinity): Promise<LockOutcome> {
    return await runAsync(this.#side.memory, this.#steps(stepwise, deadlineOf(timeoutMs)));
  }

  override tryLock(): boolean {
    const { memory } = this.#side;
    if (this.#enter()) return true;
    // The gate of a living writer is closed.
    if (tryRecover(memory, GATE) === undefined) return false;
    try {
      if (this.#takeSlot()) return true;
      const { slot } = this.#side;
      return tryRecover(memory, slot) !== undefined && this.#admit(slot);
    } finally {
      give(memory, GATE, "Cannot leave the gate");
    }
  }

  override unlock(): void {
    const side = this.#side;
    side.memory.current();
    if (side.readers === 0) throw notHeld(side.memory, "Cannot unlock for reading");
    if (--side.readers === 0) give(side.memory, side.slot, "Cannot unlock for reading");
    else side.memory.load(side.slot); // throws if the page was lost
  }

  /** Takes part unless a writer holds or wants the lock. */
  #enter(): boolean {
    const { memory, readers } = this.#side;
    const words = memory.current();
    if (readers > 0) {
      memory.load(this.#side.slot); // throws if the page was lost
      this.#side.readers++;
      return true;
    }
    if (words[GATE] !== 0 || !this.#takeSlot()) return false;
    // The slot first, then the gate: a writer takes the gate first and looks at the slots then.
    if (memory.load(GATE) === 0) return true;
    this.unlock();
    return false;
  }

  /** Takes a free slot, if there is one. */
  #takeSlot(): boolean {
    const { memory, slot } = this.#side;
    const first = (slot - FIRST_SLOT) / SLOT;
    for (let i = 0; i < READERS; i++) {
      const next = FIRST_SLOT + (first + i) % READERS * SLOT;
      if (tryTake(memory, next) !== undefined) return this.#admit(next);
    }
    return false;
  }

  /** Another task of this thread may have got a slot meanwhile: one is enough. */
  #admit(slot: number): true {
    if (this.#side.readers++ > 0) give(this.#side.memory, slot, "Cannot leave a slot");
    else this.#side.slot = slot;
    return true;
  }

  *#steps(takeOne: TakeOne, deadline: number): Steps<LockOutcome> {
    const side = this.#side;
    const { memory } = side;
    if (this.#enter()) return side.state;
    if ((yield* takeOne(memory, GATE, deadline)) === "timeout") return "timeout";
    try {
      // With the gate ours no writer is about; no slot is free with too many readers, or dead ones.
      if (side.readers > 0) side.readers++;
      else if (!this.#takeSlot()) {
        const { slot } = side;
        if ((yield* takeOne(memory, slot, deadline)) === "timeout") return "timeout";
        this.#admit(slot);
      }
      return side.state;
    } finally {
      if (!memory.mapping.closed) give(memory, GATE, "Cannot leave the gate");
    }
  }
}

class WriteLock extends Lock {
  readonly #side: Side;

  constructor(side: Side) {
    super();
    this.#side = side;
  }

  override lock(timeoutMs: number = Infinity): LockOutcome {
    const deadline = timeoutMs === Infinity ? Infinity : deadlineOf(timeoutMs);
    return this.#tryAlone(tryTake) ?? run(this.#side.memory, this.#steps(parked, deadline));
  }

  override async lockAsync(timeoutMs: number = Infinity): Promise<LockOutcome> {
    return await runAsync(this.#side.memory, this.#steps(stepwise, deadlineOf(timeoutMs)));
  }

  override tryLock(): boolean {
    return this.#tryAlone(tryRecover) !== undefined;
  }

  override unlock(): void {
    const side = this.#side;
    const words = side.memory.current();
    if (!side.writing) throw notHeld(side.memory, "Cannot unlock for writing");
    side.writing = false;
    words[WRITING] = 0;
    give(side.memory, GATE, "Cannot unlock for writing");
  }

  /** Takes the lock if the gate can be had and nobody reads. */
  #tryAlone(takeGate: typeof tryTake): Taken | undefined {
    const { memory } = this.#side;
    if (takeGate(memory, GATE) === undefined) return undefined;
    if (this.#isAlone(takeGate)) return this.#begin();
    this.#leave();
    return undefined;
  }

  #isAlone(takeSlot: typeof tryTake): boolean {
    const { memory } = this.#side;
    const words = memory.current();
    // Orders the looks after the taking of the gate.
    Atomics.load(words, GATE);
    for (let i = 0; i < READERS; i++) {
      const slot = FIRST_SLOT + i * SLOT;
      if (words[slot] === 0) continue;
      if (takeSlot(memory, slot) === undefined) return false; // a living reader's
      give(memory, slot, "Cannot leave a slot");
    }
    return true;
  }

  *#steps(takeOne: TakeOne, deadline: number): Steps<LockOutcome> {
    const { memory } = this.#side;
    if ((yield* takeOne(memory, GATE, deadline)) === "timeout") return "timeout";
    let alone = false;
    try {
      for (let i = 0; i < READERS; i++) {
        const slot = FIRST_SLOT + i * SLOT;
        if (Atomics.load(memory.current(), slot) === 0) continue;
        if ((yield* takeOne(memory, slot, deadline)) === "timeout") return "timeout";
        give(memory, slot, "Cannot leave a slot");
      }
      alone = true;
      return this.#begin();
    } finally {
      if (!alone) this.#leave();
    }
  }

  #begin(): Taken {
    const { state, memory } = this.#side;
    memory.current()[WRITING] = 1;
    this.#side.writing = true;
    return state;
  }

  /** Opens the gate without having written. */
  #leave(): void {
    const { memory } = this.#side;
    if (!memory.mapping.closed) give(memory, GATE, "Cannot leave the gate");
  }
}

/**
 * A lock for many readers or one writer, threads of any process; `read` and `write` are used like a
 * {@link Mutex}. A writer that waits lets no new readers in. Up to 63 threads read at the same time.
 *
 * A reader that dies is forgotten. If a writer dies in the middle, everyone is told `"recovered"`, readers
 * too, until the next writer has released.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { RwLock } from "@mman/mman/sync";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(8192);
 * const lock = new RwLock(map);
 * const pair = map.asTypedArray(Int32Array, RwLock.byteLength, 2);
 * lock.write.withLock(() => pair.set([1, 2]));
 * assertEquals(lock.read.withLock(() => [...pair]), [1, 2]);
 * ```
 */
export class RwLock {
  /** Bytes of the lock in the map. */
  static readonly byteLength: number = RW_LOCK_LENGTH;
  /** For those who only read. */
  readonly read: Lock;
  /** For those who write. */
  readonly write: Lock;

  /**
   * The lock at a place of a map; made there if the memory is zeroed.
   *
   * @param map Shared, readable and writable.
   * @param byteOffset A multiple of 8, better of 64. Default 0.
   * @throws {MMapInvalidParameterError} If the map is private, the place misaligned or not in the map,
   * or something else is there.
   * @throws {MMapProtectionError} If the map cannot be written.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the lock was lost.
   */
  constructor(map: MemoryMap, byteOffset: number = 0) {
    const memory = LockMemory.at(map, byteOffset, RW_LOCK_LENGTH, KIND_RW_LOCK, 0);
    const side = sideOf(memory);
    this.read = new ReadLock(side);
    this.write = new WriteLock(side);
  }
}
