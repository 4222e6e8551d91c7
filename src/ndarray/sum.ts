/** Sums of the elements of arrays. */
import { MMapInvalidParameterError } from "../errors.ts";
import { hostConstants } from "../ffi/host.ts";
import type { Mapping } from "../mapping.ts";
import { mappingOf, type MemoryMap } from "../memory_map.ts";
import { Column } from "../records/column.ts";
import { isNative } from "../records/typed.ts";
import { windowOver } from "../records/window.ts";
import type { DType } from "./dtype.ts";
import type { Complex } from "./element_types.ts";

const { PROT_READ } = hostConstants;

/** Numbers viewed at once: what one typed array of any runtime can hold. */
const PIECE = 2 ** 27;
/** The same where they have to be copied first. */
const CHECKED_PIECE = 2 ** 17;

/** Numbers added up by themselves before they join the total, which keeps rounding errors small. */
const BLOCK = 4096;

/** The sum of elements that lie one behind the other. */
export function sumInPlace(
  map: MemoryMap,
  { shape, kind, name }: DType,
  byteOffset: number,
  size: number,
): number | bigint | Complex {
  const window = () => windowOver(map, byteOffset, shape.byteLength, size, "element");
  if (kind === "c" && shape.kind === "array") {
    const { element } = shape;
    const part = (at: number) => new Column<"f64">(window(), at, element).sum();
    return [part(0), part(element.byteLength)];
  }
  checkNumbers(kind, name);
  if (shape.kind === "scalar" && shape.scalar === "f64" && isNative(shape)) {
    // Elements that are not aligned have no typed array.
    if ((map.addr + BigInt(byteOffset)) % 8n === 0n) return sumDoubles(map, byteOffset, size);
  }
  return new Column<"f64">(window(), 0, shape).sum();
}

/** The sum of elements one by one. */
export function sumOneByOne(
  elements: Iterable<unknown>,
  { shape, kind, name }: DType,
): number | bigint | Complex {
  if (kind === "c") {
    const total: Complex = [0, 0];
    for (const [re, im] of elements as Iterable<Complex>) {
      total[0] += re;
      total[1] += im;
    }
    return total;
  }
  checkNumbers(kind, name);
  if (shape.kind === "scalar" && (shape.scalar === "i64" || shape.scalar === "u64")) {
    let total = 0n;
    for (const element of elements as Iterable<bigint>) total += element;
    return total;
  }
  let total = 0;
  for (const element of elements as Iterable<number | boolean>) total += Number(element);
  return total;
}

function checkNumbers(kind: string, name: string): void {
  if ("biuf".includes(kind)) return;
  throw new MMapInvalidParameterError(`Cannot add up elements of ${name}: they are no numbers`);
}

function sumDoubles(map: MemoryMap, byteOffset: number, size: number): number {
  const mapping = mappingOf(map);
  mapping.use("add up", byteOffset, size * 8, PROT_READ);
  const piece = mapping.checked ? CHECKED_PIECE : PIECE;
  let total = 0;
  for (let start = 0; start < size; start += piece) {
    const at = byteOffset + start * 8;
    const length = Math.min(piece, size - start);
    total += mapping.checked ? sumCopy(mapping, at, length) : sumThere(map, at, length);
  }
  mapping.intact("add up", byteOffset, size * 8, PROT_READ);
  return total;
}

function sumThere(map: MemoryMap, at: number, length: number): number {
  return mappingOf(map).platform.memory.sumDoubles?.(map.addr + BigInt(at), length) ??
    sumPiece(map.asTypedArray(Float64Array, at, length));
}

function sumCopy(mapping: Mapping, at: number, length: number): number {
  const copy = new Float64Array(length);
  mapping.load("add up", at, new Uint8Array(copy.buffer));
  return sumPiece(copy);
}

/** The sum of numbers, in JavaScript. */
export function sumPiece(piece: Float64Array): number {
  let total = 0;
  for (let i = 0; i < piece.length; i += BLOCK) {
    total += sumBlock(piece, i, Math.min(i + BLOCK, piece.length));
  }
  return total;
}

/**
 * Four sums at a time: the processor adds to one while the additions to the others are under way. The
 * loop's end is known before it starts; written otherwise V8 makes slow code of a first, long call.
 */
function sumBlock(data: Float64Array, start: number, end: number): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const fours = end - (end - start) % 4;
  for (let i = start; i < fours; i += 4) {
    a += data[i]!;
    b += data[i + 1]!;
    c += data[i + 2]!;
    d += data[i + 3]!;
  }
  for (let i = fours; i < end; i++) a += data[i]!;
  return a + b + (c + d);
}
