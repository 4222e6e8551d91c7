/** RwLock: many readers or one writer, between threads and processes. */
import { inspectable } from "../inspect.ts";
import type { MemoryMap } from "../memory_map.ts";
import {
  GATE_OFFSET,
  KIND_RW_LOCK,
  MARKS_OFFSET,
  READER_LENGTH,
  READERS,
  READERS_OFFSET,
  RW_LOCK_LENGTH,
  WORD,
  WRITING_OFFSET,
} from "./layout.ts";
import { Lock } from "./lock.ts";
import { LockMemory } from "./memory.ts";
import { look } from "./order.ts";
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
const MARKS = MARKS_OFFSET / WORD;
const FIRST_SLOT = READERS_OFFSET / WORD;
const SLOT = READER_LENGTH / WORD;
/** Marked slots without owners that a writer puts up with. */
const MAX_STALE = 8;

/** The owner word of a slot. */
function slotAt(place: number): number {
  return FIRST_SLOT + place * SLOT;
}

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
  /** The number of the slot that this thread took last. */
  place: number;
  /** How many tasks of this thread read; they share the slot. */
  readers = 0;
  writing = false;

  constructor(memory: LockMemory) {
    this.memory = memory;
    this.place = memory.platform.self.number % READERS;
    memory.letGo = () => {
      this.readers = 0;
      this.writing = false;
      abandonAll(memory);
    };
  }

  /** `"recovered"` while what a dead writer left has not been written over. */
  get state(): Taken {
    const writing = look(this.memory.current(), WRITING);
    this.memory.intact();
    return writing === 0 ? "acquired" : "recovered";
  }

  /** To be called with the gate just taken: who owned it before may have died while it changed marks. */
  passGate(taken: Taken): void {
    if (taken === "recovered") this.markAll();
  }

  markAll(): void {
    const words = this.memory.current();
    for (let i = 0; i < READERS; i += 32) Atomics.store(words, MARKS + (i >>> 5), -1);
  }

  /** Sees to it that writers look at a slot that this thread has taken. */
  mark(place: number): void {
    const words = this.memory.current();
    const index = MARKS + (place >>> 5);
    const mark = 1 << (place & 31);
    if ((look(words, index) & mark) === 0) Atomics.or(words, index, mark);
  }

  /** Whether a slot has an owner, dead or alive; with the gate ours. */
  hasReaders(): boolean {
    const { words } = this.memory;
    let stale = 0;
    for (let first = 0; first < READERS; first += 32) {
      for (let marks = look(words, MARKS + (first >>> 5)); marks !== 0; marks &= marks - 1) {
        const place = first + 31 - Math.clz32(marks & -marks);
        if (place < READERS && look(words, slotAt(place)) !== 0) return true;
        stale++;
      }
    }
    if (stale > MAX_STALE) this.unmark();
    return false;
  }

  /** Takes the marks from slots without owners; with the gate ours. */
  unmark(): void {
    const words = this.memory.current();
    for (let i = 0; i < READERS; i += 32) Atomics.store(words, MARKS + (i >>> 5), 0);
    for (let place = 0; place < READERS; place++) {
      if (look(words, slotAt(place)) !== 0) this.mark(place);
    }
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
    const taken = tryRecover(memory, GATE);
    if (taken === undefined) return false; // the gate of a living writer is closed
    try {
      this.#side.passGate(taken);
      if (this.#takeSlot()) return true;
      const { place } = this.#side;
      return tryRecover(memory, slotAt(place)) !== undefined && this.#admit(place);
    } finally {
      give(memory, GATE, "Cannot leave the gate");
    }
  }

  override unlock(): void {
    const side = this.#side;
    side.memory.current();
    if (side.readers === 0) throw notHeld(side.memory, "Cannot unlock for reading");
    if (--side.readers === 0) give(side.memory, slotAt(side.place), "Cannot unlock for reading");
    else side.memory.load(slotAt(side.place)); // throws if the page was lost
  }

  /** Takes part unless a writer holds or wants the lock. */
  #enter(): boolean {
    const { memory, readers } = this.#side;
    const words = memory.current();
    if (readers > 0) {
      memory.load(slotAt(this.#side.place)); // throws if the page was lost
      this.#side.readers++;
      return true;
    }
    if (words[GATE] !== 0 || !this.#takeSlot()) return false;
    // The slot first, then the gate: a writer takes the gate first and looks at the slots then.
    const free = look(words, GATE) === 0;
    memory.intact();
    if (!free) this.unlock();
    return free;
  }

  /** Takes a free slot, if there is one. */
  #takeSlot(): boolean {
    const { memory, place } = this.#side;
    for (let i = place; i < place + READERS; i++) {
      const next = i < READERS ? i : i - READERS;
      if (tryTake(memory, slotAt(next)) !== undefined) return this.#admit(next);
    }
    return false;
  }

  /** Another task of this thread may have got a slot meanwhile: one is enough. */
  #admit(place: number): true {
    const side = this.#side;
    if (side.readers++ > 0) give(side.memory, slotAt(place), "Cannot leave a slot");
    else {
      side.place = place;
      side.mark(place);
    }
    return true;
  }

  *#steps(takeOne: TakeOne, deadline: number): Steps<LockOutcome> {
    const side = this.#side;
    const { memory } = side;
    if (this.#enter()) return side.state;
    const taken = yield* takeOne(memory, GATE, deadline);
    if (taken === "timeout") return "timeout";
    try {
      side.passGate(taken);
      // With the gate ours no writer is about; no slot is free with too many readers, or dead ones.
      if (side.readers > 0) side.readers++;
      else if (!this.#takeSlot()) {
        side.markAll(); // for the next writer, who finds the dead
        const { place } = side;
        if ((yield* takeOne(memory, slotAt(place), deadline)) === "timeout") return "timeout";
        this.#admit(place);
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
    return this.#enter() ?? run(this.#side.memory, this.#steps(parked, deadline));
  }

  override async lockAsync(timeoutMs: number = Infinity): Promise<LockOutcome> {
    return await runAsync(this.#side.memory, this.#steps(stepwise, deadlineOf(timeoutMs)));
  }

  override tryLock(): boolean {
    if (this.#enter() !== undefined) return true;
    const { memory } = this.#side;
    const taken = tryRecover(memory, GATE);
    if (taken === undefined) return false;
    this.#side.passGate(taken);
    for (let place = 0; place < READERS; place++) {
      const slot = slotAt(place);
      if (look(memory.current(), slot) === 0) continue;
      if (tryRecover(memory, slot) === undefined) {
        this.#leave();
        return false;
      }
      give(memory, slot, "Cannot leave a slot");
    }
    this.#begin();
    return true;
  }

  override unlock(): void {
    const side = this.#side;
    const words = side.memory.current();
    if (!side.writing) throw notHeld(side.memory, "Cannot unlock for writing");
    side.writing = false;
    words[WRITING] = 0;
    give(side.memory, GATE, "Cannot unlock for writing");
  }

  /** Takes the lock if the gate is free and no slot has an owner. */
  #enter(): Taken | undefined {
    const side = this.#side;
    const taken = tryTake(side.memory, GATE);
    if (taken === undefined) return undefined;
    side.passGate(taken);
    if (side.hasReaders()) {
      this.#leave();
      return undefined;
    }
    return this.#begin();
  }

  *#steps(takeOne: TakeOne, deadline: number): Steps<LockOutcome> {
    const { memory } = this.#side;
    const taken = yield* takeOne(memory, GATE, deadline);
    if (taken === "timeout") return "timeout";
    let alone = false;
    try {
      this.#side.passGate(taken);
      // All of them: it takes a moment longer, and finds those who died before they had a mark.
      for (let place = 0; place < READERS; place++) {
        const slot = slotAt(place);
        if (look(memory.current(), slot) === 0) continue;
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
    const side = this.#side;
    const { words } = side.memory;
    const writing = look(words, WRITING);
    side.memory.intact();
    words[WRITING] = 1;
    side.writing = true;
    return writing === 0 ? "acquired" : "recovered";
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
  static {
    inspectable(this, (lock) => lock.#memory.facts);
  }

  /** Bytes of the lock in the map. */
  static readonly byteLength: number = RW_LOCK_LENGTH;
  /** For those who only read. */
  readonly read: Lock;
  /** For those who write. */
  readonly write: Lock;
  readonly #memory: LockMemory;

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
    this.#memory = memory;
    this.read = new ReadLock(side);
    this.write = new WriteLock(side);
  }
}
