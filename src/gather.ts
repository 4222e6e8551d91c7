/** Many scattered ranges at once: their reading from the disk overlaps instead of one waiting for another. */
import { checkInteger, show } from "./check.ts";
import { MMapInvalidParameterError } from "./errors.ts";
import { hostConstants } from "./ffi/host.ts";
import { SystemCallError } from "./ffi/platform.ts";
import type { Mapping } from "./mapping.ts";
import { asByteArray, asBytes, lengthOf } from "./memory_operations.ts";

const { PROT_READ, MADV_WILLNEED } = hostConstants;

/** Ranges that are asked for together: more than a disk works on at a time. */
const PORTION = 512;

/** Offsets as numbers of our own: whatever gives them is asked once. */
function numbersOf(offsets: ArrayLike<number>): Float64Array {
  try {
    return Float64Array.from(offsets);
  } catch (error) {
    throw new MMapInvalidParameterError(
      `Cannot read at the offsets ${show(offsets)}: give an array of numbers`,
      { cause: error },
    );
  }
}

/** Asks the system for the pages of some ranges, already checked; it need not be able to. */
function request(map: Mapping, offsets: Float64Array, length: number): void {
  const { platform } = map;
  for (const offset of offsets) {
    const pages = map.pagesAround("prefetch", offset, length);
    if (pages === undefined) return; // nothing is wanted anywhere
    try {
      platform.advise(pages.address, pages.length, MADV_WILLNEED);
    } catch (error) {
      if (error instanceof SystemCallError) return; // it was a hint
      throw error;
    }
  }
}

/** Starts the reading of `length` bytes at each offset. */
export function prefetch(map: Mapping, offsets: ArrayLike<number>, length: number): void {
  const numbers = numbersOf(offsets);
  checkInteger("a length in bytes", length, 0);
  for (const offset of numbers) map.use("prefetch", offset, length, PROT_READ);
  request(map, numbers, length);
}

/** Copies `length` bytes at each offset into a view, one range behind the other; returns the bytes. */
export function readMany(
  map: Mapping,
  offsets: ArrayLike<number>,
  length: number,
  target: ArrayBufferView,
): number {
  const numbers = numbersOf(offsets);
  checkInteger("a length in bytes", length, 0);
  const bytes = asByteArray(target);
  const total = numbers.length * length;
  for (const offset of numbers) map.use("read", offset, length, PROT_READ);
  if (total > lengthOf(bytes)) {
    throw new MMapInvalidParameterError(
      `Cannot read ${numbers.length} ranges of ${length} bytes into ${lengthOf(bytes)} bytes: ` +
        `give a view of at least ${total}`,
    );
  }
  const into = asBytes(bytes);
  for (let i = 0; i < numbers.length; i++) {
    // The first time for two portions, then always for one more: one is under way while one is copied.
    if (i % PORTION === 0) {
      request(map, numbers.subarray(i === 0 ? 0 : i + PORTION, i + 2 * PORTION), length);
    }
    const offset = numbers[i]!;
    const part = into.subarray(i * length, (i + 1) * length);
    if (map.checked) map.load("read", offset, part);
    else if (length <= map.span) part.set(map.range(offset, length));
    else map.eachPiece(offset, length, (piece, done) => part.set(piece, done));
    map.intact("read", offset, length, PROT_READ);
  }
  return total;
}
