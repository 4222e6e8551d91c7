/** What everything that can be held and released has in common: guards, `using`, functions under the lock. */
import { MMapError } from "../errors.ts";
import type { LockOutcome, Taken } from "./owners.ts";

export type { LockOutcome, Taken } from "./owners.ts";

/** A lock that is held until the end of a block: `using held = mutex.hold()`. */
export interface Held extends Disposable {
  /** `"recovered"` if the last owner died holding the lock. */
  readonly outcome: Taken;
  /** Releases the lock; once. */
  [Symbol.dispose](): void;
}

/** A lock between threads and processes. A thread that holds it must release it, and no other can. */
export abstract class Lock {
  /**
   * Takes the lock, parked while somebody else holds it.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns `"recovered"` if the last owner died holding it; `"timeout"` without the lock.
   * @throws {MMapInvalidParameterError} If this thread holds it (code `EDEADLK`).
   * @throws {MMapError} With code `EDEADLK` if its owner waits for a lock that this thread holds (Linux).
   * @throws {MMapClosedError} If the map is closed.
   */
  abstract lock(timeoutMs?: number): LockOutcome;

  /**
   * Takes the lock if nobody holds it, or who holds it is dead.
   *
   * @returns Whether it was taken.
   * @throws {MMapClosedError} If the map is closed.
   */
  abstract tryLock(): boolean;

  /**
   * Releases the lock.
   *
   * @throws {MMapInvalidParameterError} If this thread does not hold it (code `EPERM`).
   * @throws {MMapClosedError} If the map is closed.
   */
  abstract unlock(): void;

  /**
   * Takes the lock for this thread, with the event loop free meanwhile. Also while another task of
   * this thread holds it.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns As {@link Lock.lock}.
   * @throws {MMapClosedError} If the map is closed, also meanwhile. The promise is rejected.
   */
  abstract lockAsync(timeoutMs?: number): Promise<LockOutcome>;

  /**
   * Takes the lock until the end of the block: `using held = mutex.hold()`.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over.
   */
  hold(timeoutMs: number = Infinity): Held {
    return this.#held(this.lock(timeoutMs), timeoutMs);
  }

  /**
   * As {@link Lock.hold}, with the event loop free: `using held = await mutex.holdAsync()`.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over. The promise is rejected.
   */
  async holdAsync(timeoutMs: number = Infinity): Promise<Held> {
    return this.#held(await this.lockAsync(timeoutMs), timeoutMs);
  }

  /**
   * Runs a function under the lock. A promise that it returns keeps the lock until it is settled.
   *
   * @param fn Gets `"recovered"` if the last owner died holding the lock.
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns What the function returns.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over.
   */
  withLock<T>(fn: (outcome: Taken) => T, timeoutMs: number = Infinity): T {
    return runHeld(this.hold(timeoutMs), fn);
  }

  /**
   * As {@link Lock.withLock}, with the event loop free while it waits.
   *
   * @param fn Gets `"recovered"` if the last owner died holding the lock.
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns What the function returns.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over. The promise is rejected.
   */
  async withLockAsync<T>(
    fn: (outcome: Taken) => T | PromiseLike<T>,
    timeoutMs: number = Infinity,
  ): Promise<T> {
    using held = await this.holdAsync(timeoutMs);
    return await fn(held.outcome);
  }

  #held(outcome: LockOutcome, timeoutMs: number): Held {
    return heldUntil(outcome, timeoutMs, () => this.unlock());
  }
}

/** A guard that releases once. @throws {MMapError} With code `ETIMEDOUT` for `"timeout"`. */
export function heldUntil(outcome: LockOutcome, timeoutMs: number, release: () => void): Held {
  if (outcome === "timeout") {
    throw new MMapError(
      `Cannot get the lock within ${timeoutMs} milliseconds: somebody holds it; wait longer`,
      { code: "ETIMEDOUT" },
    );
  }
  let held = true;
  return {
    outcome,
    [Symbol.dispose](): void {
      if (!held) return;
      held = false;
      release();
    },
  };
}

/** Runs a function and releases: at once, or when the promise that it returned is settled. */
export function runHeld<T>(held: Held, fn: (outcome: Taken) => T): T {
  let result: T;
  try {
    result = fn(held.outcome);
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
  if (typeof (result as { then?: unknown } | null | undefined)?.then === "function") {
    return Promise.resolve(result).finally(() => held[Symbol.dispose]()) as T;
  }
  held[Symbol.dispose]();
  return result;
}
