/** Sums of values that lie a fixed number of bytes apart. */
import { MMapInvalidParameterError } from "../errors.ts";
import { hostConstants } from "../ffi/host.ts";
import { mappingOf } from "../memory_map.ts";
import { isLittleEndian, type ScalarShape, type Shape } from "./layout.ts";
import { scalar } from "./scalars.ts";
import type { Window } from "./window.ts";

/**
 * Values that are added up by themselves before they join the total. It keeps rounding errors smaller,
 * and the sum of as many 32-bit halves is exact. It must be large: the loop over a block runs fast on
 * its own, but not as part of a loop over blocks that an engine takes for the hot one.
 */
const BLOCK = 2 ** 20;

/**
 * The sum of the values that start `at` bytes into a window's elements.
 *
 * @throws {MMapInvalidParameterError} If they are no numbers.
 */
export function sumOf(window: Window, at: number, shape: Shape): number | bigint {
  if (shape.kind !== "scalar") {
    throw new MMapInvalidParameterError("Cannot add up values that are no numbers");
  }
  const { map, byteOffset, length, stride } = window;
  mappingOf(map).use("add up", byteOffset, length * stride, hostConstants.PROT_READ);
  if (shape.scalar === "u64" || shape.scalar === "i64") return sumOf64(window, at, shape);
  let total = 0;
  eachBlock(window, at, shape, (sum) => total += sum);
  return total;
}

/** In halves, which are numbers: bigints would be many times slower. */
function sumOf64(window: Window, at: number, shape: ScalarShape): bigint {
  const { littleEndian, scalar: type } = shape;
  let [low, high] = [0n, 0n];
  const lower: ScalarShape = { ...shape, scalar: "u32" };
  const upper: ScalarShape = { ...shape, scalar: type === "i64" ? "i32" : "u32" };
  eachBlock(window, at + (littleEndian ? 0 : 4), lower, (sum) => low += BigInt(sum));
  eachBlock(window, at + (littleEndian ? 4 : 0), upper, (sum) => high += BigInt(sum));
  return (high << 32n) + low;
}

/** Calls `add` with the sums of consecutive values. */
function eachBlock(
  window: Window,
  at: number,
  shape: ScalarShape,
  add: (sum: number) => void,
): void {
  const { sum, get } = scalar(shape.scalar);
  const { length, stride } = window;
  const direct = isLittleEndian(shape) ? sum : undefined;
  for (let start = 0; start < length;) {
    const place = window.readable(start) + at;
    const count = Math.min(BLOCK, window.end - start);
    const part = direct?.(window.view, place, stride, count) ?? slowSum(place, count);
    window.sound("read", start, count);
    add(part);
    start += count;
  }

  function slowSum(place: number, count: number): number {
    let total = 0;
    for (let k = 0; k < count; k++) {
      total += Number(get(window.view, place + k * stride, false));
    }
    return total;
  }
}
