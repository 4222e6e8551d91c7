/** What everything that can be held and released has in common: guards, `using`, functions under the lock. */
import { show } from "../check.ts";
import { MMapError, MMapInvalidParameterError } from "../errors.ts";
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
   * @throws {MMapFaultError} If a page of the lock was lost.
   */
  abstract lock(timeoutMs?: number): LockOutcome;

  /**
   * Takes the lock if nobody holds it, or who holds it is dead.
   *
   * @returns Whether it was taken.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the lock was lost.
   */
  abstract tryLock(): boolean;

  /**
   * Releases the lock.
   *
   * @throws {MMapInvalidParameterError} If this thread does not hold it (code `EPERM`).
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the lock was lost.
   */
  abstract unlock(): void;

  /**
   * Takes the lock for this thread, with the event loop free meanwhile. Also while another task of
   * this thread holds it.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns As {@link Lock.lock}.
   * @throws {MMapClosedError} If the map is closed, also meanwhile. The promise is rejected.
   * @throws {MMapFaultError} If a page of the lock was lost. The promise is rejected.
   */
  abstract lockAsync(timeoutMs?: number): Promise<LockOutcome>;

  /**
   * Takes the lock until the end of the block: `using held = mutex.hold()`.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over.
   * @throws {MMapFaultError} If a page of the lock was lost.
   */
  hold(timeoutMs: number = Infinity): Held {
    return this.#held(this.lock(timeoutMs), timeoutMs);
  }

  /**
   * As {@link Lock.hold}, with the event loop free: `using held = await mutex.holdAsync()`.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over. The promise is rejected.
   * @throws {MMapFaultError} If a page of the lock was lost. The promise is rejected.
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
   * @throws {MMapInvalidParameterError} If it is no function.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over.
   * @throws {MMapFaultError} If a page of the lock was lost.
   */
  withLock<T>(fn: (outcome: Taken) => T, timeoutMs: number = Infinity): T {
    return runHeld(() => this.hold(timeoutMs), fn);
  }

  /**
   * As {@link Lock.withLock}, with the event loop free while it waits.
   *
   * @param fn Gets `"recovered"` if the last owner died holding the lock.
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns What the function returns.
   * @throws {MMapInvalidParameterError} If it is no function.
   * @throws {MMapError} With code `ETIMEDOUT` if the time is over. The promise is rejected.
   * @throws {MMapFaultError} If a page of the lock was lost. The promise is rejected.
   */
  async withLockAsync<T>(
    fn: (outcome: Taken) => T | PromiseLike<T>,
    timeoutMs: number = Infinity,
  ): Promise<T> {
    checkTask(fn);
    const held = await this.holdAsync(timeoutMs);
    return await runHeld(() => held, fn);
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

/**
 * Runs a function and releases: at once, or when the promise that it returned is settled. An error of the
 * function's is thrown as it is, whatever becomes of the lock.
 */
export function runHeld<T>(hold: () => Held, fn: (outcome: Taken) => T): T {
  checkTask(fn);
  const held = hold();
  const release = (): void => held[Symbol.dispose]();
  const failed = (error: unknown): never => {
    try {
      release();
    } catch {
      // The map is closed, say: the function's own error comes first.
    }
    throw error;
  };
  let later: Promise<unknown> | undefined;
  let result: T;
  try {
    result = fn(held.outcome);
    if (typeof (result as { then?: unknown } | null | undefined)?.then === "function") {
      later = Promise.resolve(result);
    }
  } catch (error) {
    return failed(error);
  }
  if (later !== undefined) return later.then((value) => (release(), value), failed) as T;
  release();
  return result;
}

/** Throws unless it is a function: before the lock is taken. */
function checkTask(fn: unknown): void {
  if (typeof fn === "function") return;
  throw new MMapInvalidParameterError(`Cannot run ${show(fn)} under a lock: give a function`);
}
