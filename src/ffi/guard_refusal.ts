/**
 * A switch for tests: the library as it is where the system allows no fault guard. It holds for the
 * thread that sets it, until the first map is made.
 */
let reason: string | undefined;

/** Makes the system refuse a guard from now on. */
export function refuseGuard(why: string): void {
  reason = why;
}

/** Why there must be none, if somebody wants that. */
export function guardRefusal(): string | undefined {
  return reason;
}
