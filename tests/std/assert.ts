/**
 * The part of `@std/assert` that the tests use, for Bun, Node, and Deno where JSR cannot be reached.
 * Signatures and verdicts are those of `@std/assert`, so that a test cannot tell.
 */
import { inspect } from "node:util";

/** What a failed check throws. */
export class AssertionError extends Error {
  override readonly name: string = "AssertionError";
}

// deno-lint-ignore ban-types -- what `instanceof` takes
type AnyClass<T> = Function & { prototype: T };
type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;
type Indexed = ArrayLike<number | bigint>;

/** Throws with `message`, and with `note` of the test's author behind it. */
function refuse(message: string, note: string | undefined): never {
  throw new AssertionError(note ? `${message}: ${note}` : message);
}

/** A value as text, short enough to read when it is a megabyte. */
function show(value: unknown): string {
  return inspect(value, { depth: 6, maxArrayLength: 64, maxStringLength: 1000, sorted: true });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function sameClass(a: object, b: object): boolean {
  const classOf = (value: object) => Object.getPrototypeOf(value) ?? Object.prototype;
  return classOf(a) === classOf(b);
}

/** The elements of a typed array or the bytes of a buffer; undefined for any other value. */
function elementsOf(value: object): Indexed | undefined {
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return new Uint8Array(value);
  }
  if (value instanceof DataView) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return ArrayBuffer.isView(value) ? value as unknown as Indexed : undefined;
}

/** The first index at which two lists differ, or -1. */
function firstDifference(a: Indexed, b: Indexed): number {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a[i];
    const y = b[i];
    if (x !== y && !(Number.isNaN(x) && Number.isNaN(y))) return i;
  }
  return -1;
}

/** Deep equality as `@std/assert` defines it: same class, `NaN` equals `NaN`, `0` equals `-0`. */
export function equal(actual: unknown, expected: unknown): boolean {
  const compared = new Map<object, object>(); // pairs under comparison, so that cycles end

  function entriesEqual(a: Map<unknown, unknown>, b: Map<unknown, unknown>): boolean {
    if (a.size !== b.size) return false;
    const unmatched = new Set(b.keys());
    return [...a].every(([key, value]) => {
      const candidates = unmatched.has(key) ? [key] : [...unmatched];
      const found = candidates.findIndex((other) => same(key, other) && same(value, b.get(other)));
      return found !== -1 && unmatched.delete(candidates[found]);
    });
  }

  function propertiesEqual(a: object, b: object): boolean {
    const enumerable = (value: object) =>
      Reflect.ownKeys(value).filter((key) =>
        Object.prototype.propertyIsEnumerable.call(value, key)
      );
    const keys = enumerable(a);
    if (keys.length !== enumerable(b).length) return false;
    return keys.every((key) =>
      Object.hasOwn(b, key) && same(Reflect.get(a, key), Reflect.get(b, key))
    );
  }

  function same(a: unknown, b: unknown): boolean {
    if (a === b || Object.is(a, b)) return true;
    if (!isObject(a) || !isObject(b) || !sameClass(a, b)) return false;
    if (a instanceof Date) return Object.is(a.getTime(), (b as Date).getTime());
    if (a instanceof RegExp || a instanceof URL) return String(a) === String(b);
    const [left, right] = [elementsOf(a), elementsOf(b)];
    if (left && right) return firstDifference(left, right) === -1;
    if (compared.get(a) === b) return true;
    compared.set(a, b);
    if (a instanceof Error && a.message !== (b as Error).message) return false;
    if (a instanceof Set) {
      return entriesEqual(new Map(a.entries()), new Map((b as Set<unknown>).entries()));
    }
    if (a instanceof Map) return entriesEqual(a, b as Map<unknown, unknown>);
    return propertiesEqual(a, b);
  }

  return same(actual, expected);
}

/** Fails the test. */
export function fail(note?: string): never {
  refuse("Failed assertion", note);
}

/** Checks that `value` is truthy. */
export function assert(value: unknown, note = ""): asserts value {
  if (!value) throw new AssertionError(note || "Expected a truthy value");
}

/** Checks deep equality. */
export function assertEquals<T>(actual: T, expected: T, note?: string): void {
  if (equal(actual, expected)) return;
  const [a, b] = [actual, expected].map((value) => isObject(value) ? elementsOf(value) : undefined);
  const at = a && b ? firstDifference(a, b) : -1;
  const where = at === -1
    ? ""
    : `\nfirst difference at index ${at}: ${a?.[at]}, expected ${b?.[at]}`;
  refuse(
    `Values are not equal\nactual:   ${show(actual)}\nexpected: ${show(expected)}${where}`,
    note,
  );
}

/** Checks that two values are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, note?: string): void {
  if (equal(actual, expected)) refuse(`Expected a value other than ${show(expected)}`, note);
}

/** Checks identity (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  note?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  refuse(`Values are not identical\nactual:   ${show(actual)}\nexpected: ${show(expected)}`, note);
}

/** Checks that two values are not identical. */
export function assertNotStrictEquals<T>(actual: T, expected: T, note?: string): void {
  if (Object.is(actual, expected)) refuse(`Expected a value other than ${show(expected)}`, note);
}

/** Checks that `actual` is neither null nor undefined. */
export function assertExists<T>(actual: T, note?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) refuse(`Expected a value, got ${actual}`, note);
}

/** Checks that `actual` is an instance of `expectedClass`. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedClass: AnyClass<T>,
  note?: string,
): asserts actual is T {
  if (actual instanceof expectedClass) return;
  refuse(`Expected an instance of ${expectedClass.name}, got ${show(actual)}`, note);
}

/** Checks that two numbers differ by at most `tolerance` (default: 1e-7 of the expected one). */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance: number = Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7,
  note?: string,
): void {
  if (Object.is(actual, expected) || Math.abs(actual - expected) <= tolerance) return;
  refuse(`Expected ${actual} to be within ${tolerance} of ${expected}`, note);
}

/** Checks that `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, note?: string): void {
  if (!(actual > expected)) refuse(`Expected ${show(actual)} > ${show(expected)}`, note);
}

/** Checks that `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, note?: string): void {
  if (!(actual >= expected)) refuse(`Expected ${show(actual)} >= ${show(expected)}`, note);
}

/** Checks that `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, note?: string): void {
  if (!(actual < expected)) refuse(`Expected ${show(actual)} < ${show(expected)}`, note);
}

/** Checks that `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, note?: string): void {
  if (!(actual <= expected)) refuse(`Expected ${show(actual)} <= ${show(expected)}`, note);
}

/** Checks that `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, note?: string): void {
  if (!expected.test(actual)) refuse(`Expected ${show(actual)} to match ${expected}`, note);
}

/** Checks that `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, note?: string): void {
  if (!actual.includes(expected)) {
    refuse(`Expected ${show(actual)} to include ${show(expected)}`, note);
  }
}

/** Checks the class of a thrown value and what its message includes. */
function checkError<E extends Error>(
  error: unknown,
  expectedClass: ErrorClass<E>,
  includes: string,
  note: string | undefined,
): asserts error is E {
  if (!(error instanceof Error)) refuse(`Expected an Error, got ${show(error)}`, note);
  if (!(error instanceof expectedClass)) {
    refuse(`Expected ${expectedClass.name}, got ${error.constructor.name}: ${error.message}`, note);
  }
  if (!error.message.includes(includes)) {
    refuse(`Expected an error message with ${show(includes)}, got ${show(error.message)}`, note);
  }
}

/** Checks that `fn` throws. Returns what it threw. */
export function assertThrows(fn: () => unknown, note?: string): unknown;
/** Checks that `fn` throws an error of a class, with a message that includes a text. Returns the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  note?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrNote?: ErrorClass<E> | string,
  msgIncludes = "",
  note?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    if (typeof classOrNote === "function") checkError(error, classOrNote, msgIncludes, note);
    return error;
  }
  refuse("Expected function to throw", typeof classOrNote === "string" ? classOrNote : note);
}

/** Checks that the promise of `fn` rejects. Resolves to its reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, note?: string): Promise<unknown>;
/** Checks that the promise of `fn` rejects with an error of a class and a message that includes a text. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  note?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrNote?: ErrorClass<E> | string,
  msgIncludes = "",
  note?: string,
): Promise<unknown> {
  const message = typeof classOrNote === "string" ? classOrNote : note;
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    refuse(`Expected function to reject, but it threw ${show(error)}`, message);
  }
  try {
    await promise;
  } catch (error) {
    if (typeof classOrNote === "function") checkError(error, classOrNote, msgIncludes, note);
    return error;
  }
  refuse("Expected function to reject", message);
}
