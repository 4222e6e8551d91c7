/** Event: something has happened, or not yet, between threads and processes. */
import { readOptions } from "../check.ts";
import { inspectable } from "../inspect.ts";
import type { MemoryMap } from "../memory_map.ts";
import { EVENT_LENGTH, KIND_EVENT, STATE_OFFSET, WORD } from "./layout.ts";
import { LockMemory } from "./memory.ts";
import { deadlineOf, remaining, run, runAsync, type Steps } from "./waiting.ts";

const STATE = STATE_OFFSET / WORD;
const SET = 1;
const WAITING = 2;
/** Added at each set: what lies above counts. */
const ONCE = 4;
const COUNT_MASK = ~(SET | WAITING);

/** Options of {@link Event}. */
export interface EventOptions {
  /** Whether one wait uses the event up: it lets one through and is not set any more. Default false. */
  autoReset?: boolean;
}

/**
 * Threads of any process wait until somebody sets the event. It stays set until it is reset; with
 * `autoReset` it lets one of those who wait through and is reset by that.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { Event } from "@mman/mman/sync";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(4096);
 * const ready = new Event(map);
 * assertEquals(ready.wait(10), false);
 * const later = ready.waitAsync();
 * ready.set();
 * assertEquals(await later, true);
 * ```
 */
export class Event {
  static {
    inspectable(this, (event) => event.#memory.facts);
  }

  /** Bytes of an event in the map. */
  static readonly byteLength: number = EVENT_LENGTH;

  readonly #memory: LockMemory;
  readonly #autoReset: boolean;

  /**
   * The event at a place of a map; made there, not set, if the memory is zeroed.
   *
   * @param map Shared, readable and writable.
   * @param byteOffset A multiple of 8, better of 64. Default 0.
   * @param options Whether it resets itself, the same for all users.
   * @throws {MMapInvalidParameterError} If the map is private, the place misaligned or not in the map,
   * something else is there, or an option is unknown.
   * @throws {MMapProtectionError} If the map cannot be written.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the event was lost.
   */
  constructor(map: MemoryMap, byteOffset: number = 0, options: EventOptions = {}) {
    this.#autoReset = readOptions("Event", options, ["autoReset"]).autoReset === true;
    const parameter = this.#autoReset ? 1 : 0;
    this.#memory = LockMemory.at(map, byteOffset, EVENT_LENGTH, KIND_EVENT, parameter);
  }

  /** Whether the event is set. */
  get isSet(): boolean {
    return (this.#memory.load(STATE) & SET) !== 0;
  }

  /**
   * Sets the event, and wakes those who wait for it.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the event was lost.
   */
  set(): void {
    const words = this.#memory.current();
    for (;;) {
      const state = Atomics.load(words, STATE);
      const next = (state & COUNT_MASK) + ONCE | SET;
      if (Atomics.compareExchange(words, STATE, state, next) !== state) continue;
      this.#memory.intact();
      if ((state & WAITING) !== 0) {
        this.#memory.platform.wake(this.#memory.address(STATE), Infinity);
      }
      return;
    }
  }

  /**
   * Makes the event not set.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the event was lost.
   */
  reset(): void {
    Atomics.and(this.#memory.current(), STATE, ~SET);
    this.#memory.intact();
  }

  /**
   * Waits until the event is set, parked. Who waits when it is set goes on, even if it is reset at once;
   * with `autoReset` one of them does.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns False when the time is over.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the event was lost.
   */
  wait(timeoutMs: number = Infinity): boolean {
    return run(this.#memory, this.#steps(deadlineOf(timeoutMs)));
  }

  /**
   * As {@link Event.wait}, with the event loop free.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapClosedError} If the map is closed, also meanwhile. The promise is rejected.
   * @throws {MMapFaultError} If a page of the event was lost. The promise is rejected.
   */
  async waitAsync(timeoutMs: number = Infinity): Promise<boolean> {
    return await runAsync(this.#memory, this.#steps(deadlineOf(timeoutMs)));
  }

  *#steps(deadline: number): Steps<boolean> {
    const first = this.#memory.load(STATE) & COUNT_MASK;
    for (;;) {
      const words = this.#memory.current();
      const state = this.#memory.load(STATE);
      if (this.#autoReset && (state & SET) !== 0) {
        if (Atomics.compareExchange(words, STATE, state, state & ~SET) === state) return true;
        continue;
      }
      if (!this.#autoReset && ((state & SET) !== 0 || (state & COUNT_MASK) !== first)) return true;
      const timeoutMs = remaining(deadline);
      if (timeoutMs <= 0) return false;
      const expected = state | WAITING;
      if (Atomics.compareExchange(words, STATE, state, expected) !== state) continue;
      yield { index: STATE, expected, timeoutMs };
    }
  }
}
