/** Mutex: one owner at a time, between threads and processes. */
import { inspectable } from "../inspect.ts";
import type { MemoryMap } from "../memory_map.ts";
import { KIND_MUTEX, MUTEX_LENGTH, MUTEX_OWNER_OFFSET, WORD } from "./layout.ts";
import { Lock } from "./lock.ts";
import { LockMemory } from "./memory.ts";
import {
  abandonAll,
  give,
  isMine,
  type LockOutcome,
  take,
  takeAny,
  tryRecover,
  tryTake,
} from "./owners.ts";
import { deadlineOf, runAsync } from "./waiting.ts";

const OWNER = MUTEX_OWNER_OFFSET / WORD;
const OWNERS = [OWNER];

/**
 * A lock that one thread of any process holds at a time. If that thread dies, killed or not, the next
 * one gets the lock and is told: `"recovered"`. Not recursive.
 *
 * All processes use the same place of a shared mapping: a file, named shared memory, a memfd.
 * Zeroed memory is a free mutex.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { Mutex } from "@mman/mman/sync";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(4096);
 * const mutex = new Mutex(map);
 * const total = map.asTypedArray(Float64Array, Mutex.byteLength, 1);
 * mutex.withLock((outcome) => {
 *   if (outcome === "recovered") total[0] = 0; // whoever died may have left it half-written
 *   total[0]! += 1;
 * });
 * assertEquals(total[0], 1);
 * ```
 */
export class Mutex extends Lock implements Disposable {
  static {
    inspectable(this, (mutex) => mutex.#memory.facts);
  }

  /** Bytes of a mutex in the map. */
  static readonly byteLength: number = MUTEX_LENGTH;

  readonly #memory: LockMemory;

  /**
   * The mutex at a place of a map; made there if the memory is zeroed.
   *
   * @param map Shared, readable and writable.
   * @param byteOffset A multiple of 8, better of 64. Default 0.
   * @throws {MMapInvalidParameterError} If the map is private, the place misaligned or not in the map,
   * or something else is there.
   * @throws {MMapProtectionError} If the map cannot be written.
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapFaultError} If a page of the mutex was lost.
   */
  constructor(map: MemoryMap, byteOffset: number = 0) {
    super();
    this.#memory = LockMemory.at(map, byteOffset, MUTEX_LENGTH, KIND_MUTEX, 0);
    this.#memory.letGo ??= () => abandonAll(this.#memory);
  }

  /** As {@link Lock.lock}. */
  override lock(timeoutMs: number = Infinity): LockOutcome {
    const deadline = timeoutMs === Infinity ? Infinity : deadlineOf(timeoutMs);
    return tryTake(this.#memory, OWNER) ?? take(this.#memory, OWNER, deadline);
  }

  /** As {@link Lock.tryLock}. */
  override tryLock(): boolean {
    return tryRecover(this.#memory, OWNER) !== undefined;
  }

  /** As {@link Lock.unlock}. */
  override unlock(): void {
    give(this.#memory, OWNER, "Cannot unlock a mutex");
  }

  /** As {@link Lock.lockAsync}. */
  override async lockAsync(timeoutMs: number = Infinity): Promise<LockOutcome> {
    const steps = takeAny(this.#memory, OWNERS, deadlineOf(timeoutMs));
    return (await runAsync(this.#memory, steps))?.taken ?? "timeout";
  }

  /** Whether this thread holds the mutex. */
  get isHeld(): boolean {
    const mine = isMine(this.#memory, OWNER);
    this.#memory.intact();
    return mine;
  }

  /** Releases the mutex if this thread holds it; for `using`. */
  [Symbol.dispose](): void {
    if (!this.#memory.mapping.closed && this.isHeld) this.unlock();
  }
}
