/** Order among the values of a field, and binary search. */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { Shape } from "./layout.ts";
import { check } from "./scalars.ts";

/** Negative, zero or positive, as the first value comes before, with or after the second. */
export type Order = (a: unknown, b: unknown) => number;

const encoder = new TextEncoder();

/**
 * How values of a field compare.
 *
 * @throws {MMapInvalidParameterError} If they have no order, or `value` is not one of them.
 */
export function orderOf(shape: Shape, name: string, value: unknown): Order {
  const refuse = (allowed: string): never => {
    throw new MMapInvalidParameterError(
      `Cannot search field ${show(name)} for ${show(value)}: ${allowed}`,
    );
  };
  switch (shape.kind) {
    case "scalar":
      // Any number may be looked for, also one that the field could not hold.
      if (typeof value !== "number" || shape.byteLength === 8 && shape.scalar !== "f64") {
        check(shape.scalar, value, name);
      }
      return (a, b) =>
        Number((a as number) > (b as number)) - Number((a as number) < (b as number));
    case "utf8":
    case "utf32":
      if (typeof value !== "string") refuse("give text");
      // The order of bytes in UTF-8 is that of code points; that of JavaScript's strings is not.
      return (a, b) => compareBytes(encoder.encode(a as string), encoder.encode(b as string));
    case "bytes":
      if (!(value instanceof Uint8Array)) refuse("give a Uint8Array");
      return (a, b) => compareBytes(a as Uint8Array, b as Uint8Array);
    default:
      return refuse("records and arrays have no order; search one of their fields");
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let k = 0; k < shorter; k++) {
    if (a[k] !== b[k]) return a[k]! - b[k]!;
  }
  return a.length - b.length;
}

/** The first of `length` indices for which `reached` holds, if it holds for all that follow. */
export function lowerBound(length: number, reached: (index: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    if (reached(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
