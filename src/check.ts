/** Checks of arguments, shared by everything that takes sizes, offsets and ranges. */
import { MMapInvalidParameterError } from "./errors.ts";

/** How a value that was given appears in a message. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "function":
      return typeof value.name === "string" ? `function ${value.name}` : "a function";
    case "object":
      return value === null ? "null" : kindOf(value);
    default:
      return String(value);
  }
}

// The engine's own: an array of the user's may say something else of itself.
const typedArray = Object.getPrototypeOf(Uint8Array.prototype);
const elements = Object.getOwnPropertyDescriptor(typedArray, "length")!.get!;
const className = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)!.get!;

/** Objects that are given where something else was meant. */
const classes = [Promise, ArrayBuffer, SharedArrayBuffer, DataView, Map, Set, Date, URL];

/** What an object is, as far as it can be known: what a proxy answers may be anything, or an error. */
function kindOf(value: object): string {
  const name: string | undefined = className.call(value);
  if (name !== undefined) return withArticle(name, elements.call(value));
  try {
    if (Array.isArray(value)) return withArticle("array", value.length);
    const found = classes.find((Class) => value instanceof Class);
    return found === undefined ? "an object" : withArticle(found.name);
  } catch {
    return "an object";
  }
}

function withArticle(name: string, length?: unknown): string {
  const some = `${/^[AEIO]/i.test(name) ? "an" : "a"} ${name}`;
  if (!Number.isSafeInteger(length)) return some;
  return `${some} of ${length} element${length === 1 ? "" : "s"}`;
}

/** Throws unless `value` is a safe integer of at least `minimum`. */
export function checkInteger(what: string, value: unknown, minimum: number): void {
  if (!Number.isSafeInteger(value) || (value as number) < minimum) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(value)} as ${what}: it must be a whole number from ${minimum} to ` +
        `${Number.MAX_SAFE_INTEGER}`,
    );
  }
}

/** Throws unless `length` bytes at `offset` lie within `limit` bytes. */
export function checkRange(
  verb: string,
  offset: number,
  length: number,
  limit: number,
): void {
  // First that they are numbers: comparing an object would run its valueOf, which may close the map.
  const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 &&
    length >= 0 && offset <= limit && length <= limit - offset;
  if (inside) return;
  checkInteger("an offset in bytes", offset, 0);
  checkInteger("a length in bytes", length, 0);
  throw new MMapInvalidParameterError(
    `Cannot ${verb} ${length} bytes at offset ${offset}: map has ${limit} bytes`,
  );
}

/**
 * The bytes behind an offset. Of what is no number nothing is asked, which might close the map: the
 * check of the range refuses it.
 */
export function bytesFrom(offset: number, limit: number): number {
  return typeof offset === "number" ? limit - offset : 0;
}

/** A length for the check of the offset before it: one that is negative is refused after that. */
export function lengthOrZero(length: number): number {
  return typeof length === "number" ? Math.max(length, 0) : length;
}

/** Throws if `flags` has a bit outside `known`. */
export function checkBits(what: string, flags: unknown, known: number, names: string): void {
  const bits = flags as number;
  // Beyond 32 bits the operator would look at the lower ones only.
  if (Number.isInteger(flags) && (bits | 0) === bits && (bits & ~known) === 0) return;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(flags)} as ${what}: it must combine ${names}`,
  );
}

/** Throws unless `name` can name memory. */
export function checkName(name: unknown): void {
  if (typeof name === "string" && !name.includes("\0") && name.length <= 200) return;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(name)} as a name: it must have at most 200 characters, and no NUL`,
  );
}

/** Throws unless `options` is an object with no other keys than those known. */
export function checkOptionKeys(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(options)} as the options of ${call}: give an object such as ` +
        `{ ${known[0]} }`,
    );
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const meant = known.find((name) => name.toLowerCase() === key.toLowerCase());
    throw new MMapInvalidParameterError(
      `Cannot use the option ${show(key)} of ${call}: ` +
        (meant === undefined ? `it knows ${known.join(", ")}` : `did you mean ${show(meant)}?`),
    );
  }
}

/**
 * The options of a call, each read once: a getter that answers differently the next time, or closes a
 * map, does nothing after the checks.
 *
 * @throws {MMapInvalidParameterError} If `options` is no object, has another key than those known, or
 * a `signal` that is none.
 */
export function readOptions<T extends object>(
  call: string,
  options: T,
  known: readonly string[],
): T {
  checkOptionKeys(call, options, known);
  const read: Record<string, unknown> = {};
  for (const key of known) {
    const value = (options as Record<string, unknown>)[key];
    if (value !== undefined) read[key] = value;
  }
  checkSignal(read["signal"]);
  return read as T;
}

/** Throws unless `signal` is an AbortSignal, or missing. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(signal)} as a signal: give an AbortSignal, such as controller.signal`,
  );
}
