/**
 * Notices faults that raw views ran into, for the maps that want to be told: a timer that looks at them.
 * It exists only while there is such a map, and never keeps the process alive.
 */
import { nodeTimers } from "./ffi/builtin.ts";

/** What wants to be told. */
export interface Watched {
  /** Finds out whether there was a fault since the last time. */
  lookForFaults(): void;
}

/** Milliseconds between two looks. */
const PERIOD = 10;

/** Weak: a map that was dropped is not kept for the sake of its faults. */
const watched = new Set<WeakRef<Watched>>();
let timer: { unref(): unknown } | undefined;

/** Looks at something from now on. @returns What {@link unwatch} takes. */
export function watch(what: Watched): WeakRef<Watched> {
  const reference = new WeakRef(what);
  watched.add(reference);
  timer ??= nodeTimers().setInterval(look, PERIOD).unref();
  return reference;
}

/** Ends it. */
export function unwatch(reference: WeakRef<Watched>): void {
  watched.delete(reference);
  if (watched.size > 0 || timer === undefined) return;
  nodeTimers().clearInterval(timer as ReturnType<typeof setInterval>);
  timer = undefined;
}

function look(): void {
  for (const reference of watched) {
    const what = reference.deref();
    if (what === undefined) unwatch(reference);
    else what.lookForFaults();
  }
}
