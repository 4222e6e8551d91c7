/** Objects that have to be closed. */
import { MMapClosedError } from "../../mod.ts";

/** Whether something refuses a call because it is closed. */
export function isClosed(call: () => unknown): boolean {
  try {
    call();
    return false;
  } catch (error) {
    return error instanceof MMapClosedError;
  }
}
