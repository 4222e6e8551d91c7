/** Which errors a call may end in. */
import { MMapError } from "../../mod.ts";

/** Thrown by the objects that are handed to the library: it has to come out again as it is. */
export class UsersError extends Error {
  override name = "UsersError";
}

const ABORTED: readonly string[] = ["AbortError", "TimeoutError"];

/** The form of the library's messages. */
const MESSAGE = /^[A-Z][^]*[^.]$/;

/** Whether an error is one of the library's, in its form, or the user's own, or an abort. */
export function isAllowed(error: unknown): boolean {
  if (error instanceof MMapError) return MESSAGE.test(error.message);
  if (error instanceof UsersError) return true;
  return error instanceof DOMException && ABORTED.includes(error.name);
}

/** Whether an error is one that engines throw by themselves, for what is done to views. */
export function isEngines(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError;
}
