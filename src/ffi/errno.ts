/** Names of the running system's POSIX error numbers. */
import { nodeOs } from "./builtin.ts";

let names: Map<number, string> | undefined;

/** The symbolic name of an error number, such as `"ENOMEM"` for 12. */
export function errnoName(errno: number): string {
  if (names === undefined) {
    names = new Map();
    for (const [name, value] of Object.entries(nodeOs().constants.errno)) {
      // Aliases share a number (EAGAIN, EWOULDBLOCK); the first in the table is the usual name.
      if (!names.has(value)) names.set(value, name);
    }
  }
  return names.get(errno) ?? `errno ${errno}`;
}
