/** Checks of the options that the ways to an array have in common. */
import { checkOptionKeys, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";

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

/** Throws unless options have known names only: those of arrays, and of files, and `more`. */
export function checkFileOptions(call: string, options: unknown, ...more: readonly string[]): void {
  checkOptionKeys(call, options, [...ARRAY_OPTIONS, ...more, ...FILE_OPTIONS]);
  checkOrder(options as { fortranOrder?: unknown });
}

/** Throws unless options have known names only: those of arrays, and `more`. */
export function checkArrayOptions(
  call: string,
  options: unknown,
  ...more: readonly string[]
): void {
  checkOptionKeys(call, options, [...ARRAY_OPTIONS, ...more]);
  checkOrder(options as { fortranOrder?: unknown });
}

function checkOrder({ fortranOrder }: { fortranOrder?: unknown }): void {
  if (fortranOrder === undefined || typeof fortranOrder === "boolean") return;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(fortranOrder)} as fortranOrder: it must be true or false`,
  );
}
