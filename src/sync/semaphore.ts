/** Semaphore: a number of permits, each held by one thread, between threads and processes. */
import { checkInteger } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable } from "../inspect.ts";
import type { MemoryMap } from "../memory_map.ts";
import {
  KIND_SEMAPHORE,
  MAX_PERMITS,
  OWNER_LENGTH,
  PERMITS_OFFSET,
  SEMAPHORE_LENGTH,
  WORD,
} from "./layout.ts";
import { type Held, heldUntil, runHeld } from "./lock.ts";
import { LockMemory } from "./memory.ts";
import {
  abandonAll,
  give,
  isMine,
  type LockOutcome,
  notHeld,
  take,
  takeAny,
  type Taken,
  tryRecover,
  tryTake,
} from "./owners.ts";
import { spin } from "./spin.ts";
import { deadlineOf, run, runAsync, type Steps } from "./waiting.ts";

/**
 * Up to N threads of any process hold one of N permits each, or several. The permits of a thread that
 * dies come back: who gets one is told `"recovered"`. A permit is released by the thread that
 * acquired it; to signal something to another thread, use an {@link Event}.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { Semaphore } from "@mman/mman/sync";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(4096);
 * const connections = new Semaphore(map, 0, 2);
 * assertEquals(connections.acquire(), "acquired");
 * assertEquals(connections.tryAcquire(), true);
 * assertEquals(connections.acquire(10), "timeout");
 * connections.release();
 * assertEquals(connections.available, 1);
 * ```
 */
export class Semaphore implements Disposable {
  static {
    inspectable(this, (lock) => ({ permits: lock.permits, ...lock.#memory.facts }));
  }

  /** Bytes of a semaphore in the map. */
  static readonly byteLength: number = SEMAPHORE_LENGTH;
  /** The most permits that a semaphore can have. */
  static readonly maxPermits: number = MAX_PERMITS;

  /** How many permits there are. */
  readonly permits: number;
  readonly #memory: LockMemory;
  /** The words of the permits, each thread beginning elsewhere. */
  readonly #indices: readonly number[];

  /**
   * The semaphore at a place of a map; made there if the memory is zeroed.
   *
   * @param map Shared, readable and writable.
   * @param byteOffset A multiple of 8, better of 64. Default 0.
   * @param permits How many there are, the same for all users. Default 1.
   * @throws {MMapInvalidParameterError} If the map is private, the place misaligned or not in the map,
   * something else is there, or a semaphore with another number of permits.
   * @throws {MMapProtectionError} If the map cannot be written.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the semaphore was lost.
   */
  constructor(map: MemoryMap, byteOffset: number = 0, permits: number = 1) {
    checkInteger("a number of permits", permits, 1);
    if (permits > MAX_PERMITS) {
      throw new MMapInvalidParameterError(
        `Cannot make a Semaphore of ${permits} permits: it has at most ${MAX_PERMITS}`,
      );
    }
    this.permits = permits;
    this.#memory = LockMemory.at(map, byteOffset, SEMAPHORE_LENGTH, KIND_SEMAPHORE, permits);
    this.#memory.letGo ??= () => abandonAll(this.#memory);
    const first = this.#memory.platform.self.number % permits;
    this.#indices = Array.from(
      { length: permits },
      (_, i) => (PERMITS_OFFSET + (first + i) % permits * OWNER_LENGTH) / WORD,
    );
  }

  /**
   * Takes a permit, parked while all are taken.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns `"recovered"` if the last owner of the permit died holding it; `"timeout"` without one.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the semaphore was lost.
   */
  acquire(timeoutMs: number = Infinity): LockOutcome {
    const deadline = timeoutMs === Infinity ? Infinity : deadlineOf(timeoutMs);
    const taken = this.#take() ?? spin(this.#memory.spinning, () => this.#take());
    if (taken !== undefined) return taken;
    const [only] = this.#indices;
    if (this.permits === 1 && !isMine(this.#memory, only!)) {
      return take(this.#memory, only!, deadline); // the kernel knows whom to wait for
    }
    return run(this.#memory, this.#steps(deadline));
  }

  /**
   * Takes a permit if there is one, or one of a dead thread.
   *
   * @returns Whether one was taken.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the semaphore was lost.
   */
  tryAcquire(): boolean {
    if (this.#take() !== undefined) return true;
    return this.#indices.some((index) => tryRecover(this.#memory, index) !== undefined);
  }

  /**
   * Takes a permit, with the event loop free meanwhile.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns As {@link Semaphore.acquire}.
   * @throws {MMapClosedError} If the map is closed, also meanwhile. The promise is rejected.
   * @throws {MMapFaultError} If a page of the semaphore was lost. The promise is rejected.
   */
  async acquireAsync(timeoutMs: number = Infinity): Promise<LockOutcome> {
    return await runAsync(this.#memory, this.#steps(deadlineOf(timeoutMs)));
  }

  /**
   * Gives a permit back.
   *
   * @throws {MMapInvalidParameterError} If this thread holds none (code `EPERM`).
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the semaphore was lost.
   */
  release(): void {
    this.#memory.current(); // throws if the map was closed
    const index = this.#held();
    if (index === undefined) throw notHeld(this.#memory, "Cannot release a permit");
    give(this.#memory, index, "Cannot release a permit");
  }

  /**
   * Takes a permit until the end of the block: `using permit = semaphore.hold()`.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over.
   * @throws {MMapFaultError} If a page of the semaphore was lost.
   */
  hold(timeoutMs: number = Infinity): Held {
    return heldUntil(this.acquire(timeoutMs), timeoutMs, () => this.release());
  }

  /**
   * As {@link Semaphore.hold}, with the event loop free.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over. The promise is rejected.
   * @throws {MMapFaultError} If a page of the semaphore was lost. The promise is rejected.
   */
  async holdAsync(timeoutMs: number = Infinity): Promise<Held> {
    return heldUntil(await this.acquireAsync(timeoutMs), timeoutMs, () => this.release());
  }

  /**
   * Runs a function with a permit. A promise that it returns keeps the permit until it is settled.
   *
   * @param fn Gets `"recovered"` if the last owner of the permit died holding it.
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns What the function returns.
   * @throws {MMapInvalidParameterError} If it is no function.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over.
   * @throws {MMapFaultError} If a page of the semaphore was lost.
   */
  withPermit<T>(fn: (outcome: Taken) => T, timeoutMs: number = Infinity): T {
    return runHeld(() => this.hold(timeoutMs), fn);
  }

  /** Permits that nobody holds now. */
  get available(): number {
    const words = this.#memory.current();
    const free = this.#indices.filter((index) => Atomics.load(words, index) === 0).length;
    this.#memory.intact();
    return free;
  }

  /** Releases the permits that this thread holds; for `using`. */
  [Symbol.dispose](): void {
    if (this.#memory.mapping.closed) return;
    for (const index of this.#indices) {
      if (isMine(this.#memory, index)) give(this.#memory, index, "Cannot release a permit");
    }
    this.#memory.intact();
  }

  /** The word of a permit that this thread holds. */
  #held(): number | undefined {
    const { held } = this.#memory;
    const indices = this.#indices;
    for (let i = 0; i < indices.length; i++) if (held[indices[i]!] !== 0) return indices[i]!;
    // Taken through another map of the same memory.
    return this.#indices.find((index) => isMine(this.#memory, index));
  }

  #take(): Taken | undefined {
    const words = this.#memory.current();
    const indices = this.#indices;
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]!;
      const taken = words[index] === 0 ? tryTake(this.#memory, index) : undefined;
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  *#steps(deadline: number): Steps<LockOutcome> {
    return (yield* takeAny(this.#memory, this.#indices, deadline))?.taken ?? "timeout";
  }
}
