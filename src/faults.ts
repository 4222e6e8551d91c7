/**
 * What became of a mapping's pages when they could not be accessed: the part of a mapping that talks to
 * the platform's fault guard. Offsets are bytes from the start of the map.
 */
import { type Guard, GUARD_COPY, GUARD_HOLES, GUARD_PRIVATE } from "./guard/guard.ts";
import type { Platform } from "./ffi/platform.ts";

/** Where the faults of a mapping are counted, for other threads that take part in it. */
export interface FaultPlace {
  /** The guard's table. */
  readonly guard: number;
  /** The slot in it. */
  readonly slot: number;
}

/** A range of a map; empty if it ends where it starts. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Not 0 once a page was replaced; this one stays 0. */
const UNTOUCHED = new Int32Array(1);
const NOTHING: Extent = { start: 0, end: 0 };

/** What is guarded, and how. */
export interface Guarded {
  readonly platform: Platform;
  readonly base: bigint;
  readonly length: number;
  /** Whether changes of the pages stay in this mapping. */
  readonly isPrivate: boolean;
  /** Bytes of a page. */
  readonly unit: number;
  /** Bytes from `base` to the first byte of the map. */
  readonly slack: number;
}

/** The faults of one mapping, from when it is mapped until just before it is unmapped. */
export class Faults {
  readonly #guard: Guard | undefined;
  readonly #slack: number;
  #slot: number;
  /** One word, not 0 from before the first page is replaced. */
  readonly touched: Int32Array;

  /** @param place Where they are counted already, in a mapping that several threads hold. */
  constructor(guarded: Guarded, place?: FaultPlace) {
    const { platform, base, length, isPrivate, unit, slack } = guarded;
    const guard = length === 0 ? undefined : platform.guard?.();
    this.#slack = slack;
    this.#slot = -1;
    if (typeof guard === "object") {
      const flags = GUARD_COPY | GUARD_HOLES | (isPrivate ? GUARD_PRIVATE : 0);
      this.#slot = place?.slot ?? guard.register(Number(base), length, flags, unit);
    }
    this.#guard = this.#slot === -1 ? undefined : guard as Guard;
    this.touched = this.#guard?.watch(this.#slot) ?? UNTOUCHED;
  }

  /** Whether faults in the mapping end as counts. */
  get guarded(): boolean {
    return this.#guard !== undefined;
  }

  /** For other threads. */
  get place(): FaultPlace {
    return { guard: this.#guard?.id ?? 0, slot: this.#slot };
  }

  /** Whether faults that are counted there are counted by our guard. */
  static canShare(platform: Platform, place: FaultPlace): boolean {
    if (place.slot === -1) return true;
    const guard = platform.guard?.();
    return typeof guard === "object" && guard.id === place.guard;
  }

  /** Ends what {@link Faults.release} would end, for whom only the place is left of it. */
  static end(platform: Platform, { slot }: FaultPlace): void {
    const guard = slot === -1 ? undefined : platform.guard?.();
    if (typeof guard === "object") guard.unregister(slot);
  }

  /** Ends the guarding, before the pages are unmapped. */
  release(): void {
    if (this.#slot !== -1) this.#guard?.unregister(this.#slot);
    this.#slot = -1;
  }

  /** Pages replaced. */
  get count(): number {
    if (this.touched[0] === 0) return 0;
    const { count, violations } = this.#guard!.readFaults(this.#slot);
    return count + violations;
  }

  /** The pages that were replaced by zeros, from the lowest to the highest. */
  get lost(): Extent {
    if (this.touched[0] === 0) return NOTHING;
    const { lostStart, lostEnd } = this.#guard!.readFaults(this.#slot);
    return this.#extent(lostStart, lostEnd);
  }

  /** The protected pages that became private copies, from the lowest to the highest. */
  get copied(): Extent {
    if (this.touched[0] === 0) return NOTHING;
    const { copiedStart, copiedEnd } = this.#guard!.readFaults(this.#slot);
    return this.#extent(copiedStart, copiedEnd);
  }

  /** Where the first access failed since the last `takeFirst`, and the first forbidden one was; or -1. */
  get first(): { fault: number; violation: number } {
    if (this.touched[0] === 0) return { fault: -1, violation: -1 };
    const { firstFault, firstViolation } = this.#guard!.readFaults(this.#slot);
    const offset = (first: number): number => first < 0 ? -1 : Math.max(first - this.#slack, 0);
    return { fault: offset(firstFault), violation: offset(firstViolation) };
  }

  /** Lets `first` be those of the next ones. */
  takeFirst(): void {
    if (this.touched[0] !== 0) this.#guard!.forgetFirst(this.#slot);
  }

  /** Forgets everything, once `restore` has brought the pages back. */
  forget(restore: () => void): void {
    this.#guard?.forget(this.#slot, restore);
  }

  #extent(start: number, end: number): Extent {
    if (end <= start) return NOTHING;
    return { start: Math.max(start - this.#slack, 0), end: end - this.#slack };
  }
}

/** The first byte of a range that lies in an extent, or -1. */
export function firstInside({ start, end }: Extent, offset: number, length: number): number {
  const first = Math.max(start, offset);
  return first < Math.min(end, offset + length) ? first : -1;
}
