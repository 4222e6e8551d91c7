/**
 * The fault guard's account of itself. Every map is guarded without further ado where the system allows
 * it; this entry tells whether it does.
 *
 * @module
 */
import { platform } from "../ffi/host.ts";

/** What {@link guardStatus} tells. */
export interface GuardStatus {
  /** Whether an access to a page that is gone ends as an error instead of ending the process. */
  active: boolean;
  /** Why not; missing if it is active. */
  reason?: string;
  /** Pages replaced in all maps of the process so far, in every thread. */
  faults: number;
}

/**
 * Tells whether the fault guard works in this process. It is installed by the first map, or by this call.
 *
 * Where it is not active, methods of maps of files leave copying to the system, which finds a missing page
 * without a fault, and throw {@link MMapFaultError} as well; raw views (`bytes`, `asTypedArray`, ...,
 * records and arrays over them) can end the process as in C. Linux has a guard on x86-64 and arm64, unless
 * the system refuses signal handlers or executable memory; macOS and Windows have none.
 *
 * Deno asks for `--allow-ffi`.
 *
 * @example
 * ```ts
 * import { guardStatus } from "@mman/mman/guard";
 * import { assertEquals } from "@std/assert";
 *
 * const { active, reason } = guardStatus();
 * assertEquals(active, reason === undefined);
 * ```
 */
export function guardStatus(): GuardStatus {
  const system = platform();
  const guard = system.guard?.() ?? `there is no guard for ${system.name}`;
  if (typeof guard === "string") return { active: false, reason: guard, faults: 0 };
  const faults = guard.totalEvents();
  if (guard.isInstalled()) return { active: true, faults };
  return {
    active: false,
    reason: "somebody has installed another handler of SIGBUS or SIGSEGV since",
    faults,
  };
}
