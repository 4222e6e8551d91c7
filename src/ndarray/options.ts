/** Checks of the options that the ways to an array have in common. */
import { readOptions, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { explainMissing } from "../explain.ts";
import type { MemoryMap } from "../memory_map.ts";

/** What describes an array. */
const ARRAY_OPTIONS = ["dtype", "shape", "fortranOrder"] as const;

/** What tells {@link MemoryMap.open} how to open a file, but for its place and size. */
export const FILE_OPTIONS: readonly string[] = [
  "permissions",
  "access",
  "preallocate",
  "populate",
  "hugePages",
  "truncateOnClose",
  "lock",
  "lockTimeout",
  "inherit",
  "sharedBuffer",
  "name",
];

/** Reads options, of which the names must be those of arrays, and of files, or `more`. */
export function readFileOptions<T extends object>(
  call: string,
  options: T,
  ...more: readonly string[]
): T {
  return readArrayOptions(call, options, ...more, ...FILE_OPTIONS);
}

/** Reads options, of which the names must be those of arrays, or `more`. */
export function readArrayOptions<T extends object>(
  call: string,
  options: T,
  ...more: readonly string[]
): T {
  const how = readOptions(call, options, [...ARRAY_OPTIONS, ...more]);
  checkOrder(how);
  return how;
}

function checkOrder({ fortranOrder }: { fortranOrder?: unknown }): void {
  if (fortranOrder === undefined || typeof fortranOrder === "boolean") return;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(fortranOrder)} as fortranOrder: it must be true or false`,
  );
}

/** Does what opens the file of an array. @param cure How a file that is missing is made. */
export function openingArray(path: string | URL, cure: string, open: () => MemoryMap): MemoryMap {
  try {
    return open();
  } catch (error) {
    const shown = show(path instanceof URL ? String(path) : path);
    throw explainMissing(`Cannot open ${shown} as an array`, error, cure);
  }
}
