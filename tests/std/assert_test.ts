/** What the tests rely on in `@std/assert`: true of JSR's package and of the adapter beside this file. */
import { describe, test } from "node:test";
import * as std from "@std/assert";

/** Whether a check refuses: written without `assertThrows`, which is under test itself. */
function refuses(check: () => void): boolean {
  try {
    check();
    return false;
  } catch (error) {
    return error instanceof std.AssertionError;
  }
}

function expect(verdict: boolean, about: string): void {
  if (!verdict) throw new Error(about);
}

describe("assertEquals()", () => {
  const cycle = () => {
    const node: { self?: unknown } = {};
    node.self = node;
    return node;
  };
  const equal: [unknown, unknown][] = [
    [NaN, NaN],
    [0, -0],
    [1n, 1n],
    [{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }],
    [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
    [new Float64Array([NaN]), new Float64Array([NaN])],
    [new Map([["a", { b: 1 }]]), new Map([["a", { b: 1 }]])],
    [new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 1 }])],
    [new Date(5), new Date(5)],
    [/a/g, /a/g],
    [cycle(), cycle()],
  ];
  const different: [unknown, unknown][] = [
    [1, "1"],
    [1, 1n],
    [null, undefined],
    [{ a: undefined }, {}],
    [[1, 2], [1, 2, 3]],
    [new Uint8Array([1]), new Int8Array([1])],
    [new Uint8Array([1, 2]), new Uint8Array([1, 3])],
    [new Uint8Array(2), new Uint8Array(3)],
    [new Map([["a", 1]]), new Map([["a", 2]])],
    [new Map([[undefined, 1]]), new Map([["a", 1]])],
    [new Set([1]), new Set([2])],
    [new Date(5), new Date(6)],
    [new (class A {})(), new (class B {})()],
  ];
  test("accepts equal values", () => {
    for (const [a, b] of equal) {
      expect(!refuses(() => std.assertEquals(a, b)), `refused ${a} and ${b}`);
      expect(refuses(() => std.assertNotEquals(a, b)), `took ${a} and ${b} for different`);
    }
  });
  test("refuses different values", () => {
    for (const [a, b] of different) {
      expect(refuses(() => std.assertEquals(a, b)), `accepted ${a} and ${b}`);
      expect(!refuses(() => std.assertNotEquals(a, b)), `took ${a} and ${b} for equal`);
    }
  });
});

test("assertThrows() returns the error and checks its class and message", () => {
  const thrown = new RangeError("Cannot map 0 bytes");
  const fn = () => {
    throw thrown;
  };
  expect(std.assertThrows(fn) === thrown, "no error returned");
  expect(std.assertThrows(fn, RangeError, "map 0") === thrown, "no error returned");
  expect(std.assertThrows(fn, Error) === thrown, "a subclass refused");
  expect(refuses(() => std.assertThrows(fn, TypeError)), "another class accepted");
  expect(refuses(() => std.assertThrows(fn, RangeError, "map 1")), "another message accepted");
  expect(refuses(() => std.assertThrows(() => 1)), "a return accepted");
});

test("assertRejects() resolves to the reason and checks its class and message", async () => {
  const reason = new RangeError("Cannot map 0 bytes");
  const fn = () => Promise.reject(reason);
  expect(await std.assertRejects(fn, RangeError, "map 0") === reason, "no reason returned");
  const refused = async (check: Promise<unknown>) =>
    await check.then(() => false, (error: unknown) => error instanceof std.AssertionError);
  expect(await refused(std.assertRejects(fn, TypeError)), "another class accepted");
  expect(await refused(std.assertRejects(() => Promise.resolve(1))), "a value accepted");
  const throws = () => {
    throw reason;
  };
  expect(await refused(std.assertRejects(throws)), "a synchronous throw accepted");
});

test("the simple checks accept and refuse", () => {
  const accepted = [
    () => std.assert(1),
    () => std.assertAlmostEquals(0.1 + 0.2, 0.3),
    () => std.assertAlmostEquals(1, 2, 1),
    () => std.assertExists(0),
    () => std.assertGreater(2, 1),
    () => std.assertGreaterOrEqual(2, 2),
    () => std.assertInstanceOf(new Uint8Array(1), Uint8Array),
    () => std.assertLess(1n, 2n),
    () => std.assertLessOrEqual(1, 1),
    () => std.assertMatch("abc", /b/),
    () => std.assertNotStrictEquals({}, {}),
    () => std.assertStrictEquals(NaN, NaN),
    () => std.assertStringIncludes("abc", "bc"),
  ];
  const refused = [
    () => std.assert(""),
    () => std.assertAlmostEquals(1, 1.1),
    () => std.assertExists(null),
    () => std.assertGreater(1, 1),
    () => std.assertGreaterOrEqual(1, 2),
    () => std.assertInstanceOf({}, Uint8Array),
    () => std.assertLess(1, 1),
    () => std.assertLessOrEqual(2, 1),
    () => std.assertMatch("abc", /d/),
    () => std.assertNotStrictEquals(1, 1),
    () => std.assertStrictEquals({}, {}),
    () => std.assertStrictEquals(0, -0),
    () => std.assertStringIncludes("abc", "d"),
    () => std.fail(),
  ];
  for (const check of accepted) expect(!refuses(check), `refused: ${check}`);
  for (const check of refused) expect(refuses(check), `accepted: ${check}`);
});
