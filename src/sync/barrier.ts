/** Barrier: nobody goes on before everybody has arrived, between threads and processes. */
import { checkInteger } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable } from "../inspect.ts";
import type { MemoryMap } from "../memory_map.ts";
import {
  ARRIVED_OFFSET,
  BARRIER_LENGTH,
  IDENTITY_OFFSET,
  KIND_BARRIER,
  MAX_PARTIES,
  PHASE_OFFSET,
  PLACE_LENGTH,
  PLACES_OFFSET,
  WORD,
} from "./layout.ts";
import { LockMemory } from "./memory.ts";
import { abandonAll, give, isMine, isThorough, tryRecover, tryTake } from "./owners.ts";
import { deadlineOf, interval, remaining, run, runAsync, type Steps } from "./waiting.ts";

const PHASE = PHASE_OFFSET / WORD;
const FIRST_PLACE = PLACES_OFFSET / WORD;
const PLACE = PLACE_LENGTH / WORD;
const IDENTITY = IDENTITY_OFFSET / WORD;
const ARRIVED = ARRIVED_OFFSET / WORD;

/** The part of the phase that says that somebody was missing. */
const INCOMPLETE = 1;
/** The step from phase to phase. */
const NEXT = 2;
/** In the place of a phase: its party has died and is not waited for. */
const LOST = -1;

/**
 * How a wait at a barrier ended: `"passed"` with all parties; `"recovered"` if one or more have died, whose
 * part may be missing; `"timeout"` before all had arrived.
 */
export type BarrierOutcome = "passed" | "recovered" | "timeout";

/**
 * A number of threads, of any processes, wait for each other, again and again. A party is a
 * thread; it belongs to the barrier from its first wait until it leaves. One that dies is not
 * waited for any more, and the others are told: `"recovered"`, until another thread takes its place.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { Barrier } from "@mman/mman/sync";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(4096);
 * const alone = new Barrier(map, 0, 1);
 * assertEquals(alone.wait(), "passed");
 * assertEquals(await alone.waitAsync(), "passed");
 * ```
 */
export class Barrier implements Disposable {
  static {
    inspectable(this, (lock) => ({ parties: lock.parties, ...lock.#memory.facts }));
  }

  /** Bytes of a barrier in the map. */
  static readonly byteLength: number = BARRIER_LENGTH;
  /** The most parties that a barrier can have. */
  static readonly maxParties: number = MAX_PARTIES;

  /** How many parties there are. */
  readonly parties: number;
  readonly #memory: LockMemory;
  readonly #places: readonly number[];
  /** The phase in which this thread has arrived, until it knows how that ended. */
  #unfinished: number | undefined;

  /**
   * The barrier at a place of a map; made there if the memory is zeroed.
   *
   * @param map Shared, readable and writable.
   * @param byteOffset A multiple of 8, better of 64.
   * @param parties How many there are, the same for all users.
   * @throws {MMapInvalidParameterError} If the map is private, the place misaligned or not in the map,
   * something else is there, or a barrier for another number of parties.
   * @throws {MMapProtectionError} If the map cannot be written.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the barrier was lost.
   */
  constructor(map: MemoryMap, byteOffset: number, parties: number) {
    checkInteger("a number of parties", parties, 1);
    if (parties > MAX_PARTIES) {
      throw new MMapInvalidParameterError(
        `Cannot make a Barrier for ${parties} parties: it has at most ${MAX_PARTIES}`,
      );
    }
    this.parties = parties;
    this.#memory = LockMemory.at(map, byteOffset, BARRIER_LENGTH, KIND_BARRIER, parties);
    this.#memory.letGo ??= () => abandonAll(this.#memory);
    this.#places = Array.from({ length: parties }, (_, i) => FIRST_PLACE + i * PLACE);
  }

  /**
   * Arrives, and waits parked until all others have arrived, too. After `"timeout"` the arrival counts
   * still: the next wait goes on with it.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapInvalidParameterError} If as many other threads as there are parties belong to it.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the barrier was lost.
   */
  wait(timeoutMs: number = Infinity): BarrierOutcome {
    return run(this.#memory, this.#steps(deadlineOf(timeoutMs)));
  }

  /**
   * As {@link Barrier.wait}, with the event loop free.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapClosedError} If the map is closed, also meanwhile. The promise is rejected.
   * @throws {MMapFaultError} If a page of the barrier was lost. The promise is rejected.
   */
  async waitAsync(timeoutMs: number = Infinity): Promise<BarrierOutcome> {
    return await runAsync(this.#memory, this.#steps(deadlineOf(timeoutMs)));
  }

  /** Gives this thread's place to whoever comes next; the others wait for that one. */
  leave(): void {
    const words = this.#memory.current();
    this.#unfinished = undefined;
    for (const place of this.#places) {
      if (!isMine(this.#memory, place)) continue;
      words[place + ARRIVED] = 0;
      give(this.#memory, place, "Cannot leave a barrier");
    }
    this.#memory.intact();
  }

  /** Leaves; for `using`. */
  [Symbol.dispose](): void {
    if (!this.#memory.mapping.closed) this.leave();
  }

  *#steps(deadline: number): Steps<BarrierOutcome> {
    const memory = this.#memory;
    const place = this.#place();
    const phase = this.#unfinished ??= memory.load(PHASE);
    const arrived = (phase & ~INCOMPLETE) + NEXT | 0;
    Atomics.store(memory.current(), place + ARRIVED, arrived);
    for (let looks = 0;;) {
      this.#goOn(phase, arrived);
      const now = memory.load(PHASE);
      if (now !== phase) {
        this.#unfinished = undefined;
        return (now & INCOMPLETE) === 0 ? "passed" : "recovered";
      }
      if (remaining(deadline) <= 0) return "timeout";
      const timeoutMs = Math.min(interval(looks++), remaining(deadline));
      yield { index: PHASE, expected: phase, timeoutMs };
      if (memory.load(PHASE) === phase) this.#bury(arrived, isThorough(looks));
    }
  }

  /** This thread's place; at its first arrival a free one, or one whose owner has died. */
  #place(): number {
    const memory = this.#memory;
    const { held } = memory;
    const known = this.#places.find((place) => held[place] !== 0 && isMine(memory, place));
    if (known !== undefined) return known;
    const taken = this.#places.find((place) => tryTake(memory, place) !== undefined) ??
      this.#places.find((place) => tryRecover(memory, place) !== undefined);
    if (taken !== undefined) return taken;
    throw new MMapInvalidParameterError(
      `Cannot wait at a barrier for ${this.parties} parties: that many other threads belong to it; ` +
        "let one leave()",
    );
  }

  /** Ends the phase if all have arrived. */
  #goOn(phase: number, arrived: number): void {
    const words = this.#memory.current();
    let lost = 0;
    for (const place of this.#places) {
      const state = Atomics.load(words, place + ARRIVED);
      if (state === LOST) lost++;
      else if (state !== arrived) return;
    }
    const next = arrived | (lost > 0 ? INCOMPLETE : 0);
    if (Atomics.compareExchange(words, PHASE, phase, next) === phase) {
      this.#memory.platform.wake(this.#memory.address(PHASE), Infinity);
    }
  }

  /** Gives up those who have not arrived and are dead, or have closed their map. */
  #bury(arrived: number, thorough: boolean): void {
    const memory = this.#memory;
    const words = memory.current();
    for (const place of this.#places) {
      const state = Atomics.load(words, place + ARRIVED);
      const unclaimed = Atomics.load(words, place) === 0 && words[place + IDENTITY] === 0;
      if (state === arrived || state === LOST || unclaimed) continue;
      const taken = tryRecover(memory, place, thorough);
      if (taken === undefined) continue;
      // "acquired": it was left in this moment.
      if (taken === "recovered") words[place + ARRIVED] = LOST;
      give(memory, place, "Cannot give a dead party's place back");
    }
  }
}
