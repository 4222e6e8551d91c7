/** Shapes and strides: arithmetic on the sizes of an array's axes. */
import { checkInteger, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";

/**
 * The shape of an array, checked. One size may be -1, and the whole may be left out, where the number
 * of elements is known.
 *
 * @param given What the user gave.
 * @param room How many elements there are; undefined if the array is to be made.
 */
export function resolveShape(
  given: readonly number[] | undefined,
  room: number | undefined,
): number[] {
  const refuse = (why: string): never => {
    const text = Array.isArray(given) ? `[${given.map(show).join(", ")}]` : show(given);
    throw new MMapInvalidParameterError(`Cannot use ${text} as a shape: ${why}`);
  };
  if (given === undefined) {
    return room === undefined ? refuse("give the size of each axis") : [room];
  }
  if (!Array.isArray(given)) refuse("it must be an array of sizes");
  const sizes = [...given];
  for (const size of sizes) {
    if (Number.isSafeInteger(size) && size >= -1 && !Object.is(size, -0)) continue;
    refuse("sizes must be whole numbers from 0, or one of them -1");
  }
  const open = sizes.indexOf(-1);
  if (open === -1) {
    checkInteger("the number of elements", sizeOf(sizes), 0);
    return sizes;
  }
  if (sizes.lastIndexOf(-1) !== open) refuse("only one size can be -1");
  const rest = sizeOf(sizes.toSpliced(open, 1));
  if (room === undefined) refuse("-1 needs a file that has its size already");
  if (rest === 0 || room! % rest !== 0) {
    refuse(`the file has ${room} elements, which are not a multiple of ${rest}`);
  }
  return sizes.with(open, room! / rest);
}

/** The number of elements. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Elements from one index to the next on each axis, if the last axis runs fastest, or the first. */
export function stridesOf(shape: readonly number[], fortranOrder: boolean): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let k = 0; k < shape.length; k++) {
    const axis = fortranOrder ? k : shape.length - 1 - k;
    strides[axis] = step;
    step *= Math.max(shape[axis]!, 1);
  }
  return strides;
}

/** Whether elements lie one behind the other, with the last axis (or the first) running fastest. */
export function isContiguous(
  shape: readonly number[],
  strides: readonly number[],
  fortranOrder: boolean,
): boolean {
  if (shape.includes(0)) return true;
  const expected = stridesOf(shape, fortranOrder);
  return shape.every((size, axis) => size === 1 || strides[axis] === expected[axis]);
}

/** Elements from the first to the last that can be reached, both included. */
export function spanOf(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((last, size, axis) => last + (size - 1) * strides[axis]!, 1);
}

/** Goes through the places of all elements, with the last axis running fastest. */
export function* places(
  shape: readonly number[],
  strides: readonly number[],
): Generator<number, void, undefined> {
  if (shape.includes(0)) return;
  const depth = shape.length;
  const inner = depth === 0 ? 1 : shape[depth - 1]!;
  const step = depth === 0 ? 0 : strides[depth - 1]!;
  const index = new Array<number>(Math.max(depth - 1, 0)).fill(0);
  let start = 0;
  while (true) {
    for (let k = 0; k < inner; k++) yield start + k * step;
    let axis = depth - 2;
    for (; axis >= 0; axis--) {
      start += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      start -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}
