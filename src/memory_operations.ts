/**
 * Whole-range operations: fill, copy, compare, search, count. JavaScript where the range is short,
 * libc where it is long; the thresholds were measured (`bench/memory_operations.ts`).
 */
import { bytesFrom, show } from "./check.ts";
import { compareChecked, countBytes } from "./checked_memory.ts";
import { MMapInvalidParameterError } from "./errors.ts";
import { hostConstants } from "./ffi/host.ts";
import type { Mapping } from "./mapping.ts";

const { PROT_READ, PROT_WRITE } = hostConstants;

/** Below this many bytes a loop in JavaScript beats a foreign call. */
const SHORT = 64;

/** `rfind` looks through blocks of this many bytes, last first. */
const BLOCK = 1 << 20;

const encoder = new TextEncoder();

/** What can be searched for. */
export type Needle = ArrayBufferView | ArrayBufferLike | string;

/** The bytes of a needle; text counts as UTF-8. */
export function needleBytes(needle: Needle): Uint8Array {
  if (typeof needle === "string") return encoder.encode(needle);
  return asBytes(needle);
}

// The engine's own members: a view of the user's may have others, which may lie or close the map.
function getterOf(prototype: object, name: string): (this: unknown) => unknown {
  return Object.getOwnPropertyDescriptor(prototype, name)!.get!;
}
const typedArray = Object.getPrototypeOf(Uint8Array.prototype);
const arrayBuffer = getterOf(typedArray, "buffer");
const arrayOffset = getterOf(typedArray, "byteOffset");
const arrayLength = getterOf(typedArray, "byteLength");
const arraySet: Uint8Array["set"] = typedArray.set;
const viewBuffer = getterOf(DataView.prototype, "buffer");
const viewOffset = getterOf(DataView.prototype, "byteOffset");
const viewLength = getterOf(DataView.prototype, "byteLength");

const bufferLengths = [ArrayBuffer, SharedArrayBuffer].map(({ prototype }) =>
  getterOf(prototype, "byteLength")
);

/** The true length of a byte array that the user may have tampered with. */
export function lengthOf(bytes: Uint8Array): number {
  return arrayLength.call(bytes) as number;
}

/**
 * The true `set` of such a byte array; nothing is to be set in one that is detached.
 *
 * @param length Its true length, for callers that know it.
 */
export function setBytes(
  target: Uint8Array,
  source: Uint8Array,
  at: number = 0,
  length: number = lengthOf(source),
): void {
  if (length > 0) arraySet.call(target, source, at);
}

/** A byte array as it is, for {@link lengthOf} and {@link setBytes} only; else {@link asBytes}. */
export function asByteArray(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  // A Proxy of one is no view.
  return ArrayBuffer.isView(data) && data instanceof Uint8Array ? data : asBytes(data);
}

/** The bytes of a buffer; undefined for what only claims to be one. */
function bufferLength(data: unknown): number | undefined {
  for (const length of bufferLengths) {
    try {
      return length.call(data) as number;
    } catch {
      // the other kind, or nothing of that sort
    }
  }
  return undefined;
}

/** The bytes of any view or buffer, as a fresh view without anything of the user's on it. */
export function asBytes(data: ArrayBufferView | ArrayBufferLike): Uint8Array<ArrayBufferLike> {
  if (ArrayBuffer.isView(data)) {
    const array = !(data instanceof DataView);
    let length: number;
    try {
      length = (array ? arrayLength : viewLength).call(data) as number;
    } catch {
      length = 0; // a DataView that is detached
    }
    if (length === 0) return new Uint8Array(0);
    return new Uint8Array(
      (array ? arrayBuffer : viewBuffer).call(data) as ArrayBuffer,
      (array ? arrayOffset : viewOffset).call(data) as number,
      length,
    );
  }
  const length = bufferLength(data);
  // One that is detached has no bytes, as its views have none.
  if (length !== undefined) return length === 0 ? new Uint8Array(0) : new Uint8Array(data);
  // Who takes text does not come here with it.
  const allowed = typeof data === "string"
    ? "or an ArrayBuffer; TextEncoder makes bytes of text"
    : "an ArrayBuffer, or text";
  throw new MMapInvalidParameterError(
    `Cannot take bytes from ${show(data)}: give a typed array, a DataView, ${allowed}`,
  );
}

/** A copy of a range, already checked. */
export function copyOf(map: Mapping, offset: number, length: number): Uint8Array<ArrayBuffer> {
  if (length <= map.span && !map.checked) return new Uint8Array(map.range(offset, length));
  const copy = new Uint8Array(length);
  if (map.checked) map.load("read", offset, copy);
  else map.eachPiece(offset, length, (piece, done) => copy.set(piece, done));
  return copy;
}

/** Throws unless `value` is a byte. */
export function checkByte(value: unknown): void {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255) return;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(value)} as a byte: it must be a whole number from 0 to 255`,
  );
}

/** Sets every byte of a range. */
export function fill(map: Mapping, value: number, offset: number, length: number): void {
  checkByte(value);
  map.use("fill", offset, length, PROT_WRITE);
  setAll(map, value, offset, length);
  map.intact("fill", offset, length, PROT_WRITE);
}

/** Sets every byte of a range, already checked. */
export function setAll(map: Mapping, value: number, offset: number, length: number): void {
  if (map.checked) map.functions.memset(map.addr + BigInt(offset), value, length);
  else map.eachPiece(offset, length, (view) => void view.fill(value));
}

/** Copies within the map; the ranges may overlap. */
export function copyWithin(map: Mapping, target: number, source: number, length: number): void {
  map.use("copy", source, length, PROT_READ);
  map.use("copy to", target, length, PROT_WRITE);
  if (map.size <= map.span && !map.checked) {
    map.range(0, map.size).copyWithin(target, source, source + length);
  } else {
    map.functions.memmove(map.addr + BigInt(target), map.addr + BigInt(source), length);
  }
  map.intact("copy", source, length, PROT_READ);
  map.intact("copy to", target, length, PROT_WRITE);
}

/** Compares ranges of two maps, or of a map and a view. */
export function compare(
  map: Mapping,
  other: Mapping | ArrayBufferView,
  offset: number,
  otherOffset: number,
  length: number | undefined,
): number {
  const bytes = ArrayBuffer.isView(other) ? asBytes(other) : undefined;
  const otherSize = bytes?.length ?? (other as Mapping).size;
  map.use("compare", offset, length ?? 0, PROT_READ);
  const left = length ?? map.size - offset;
  map.use("compare", offset, left, PROT_READ);
  let right: number;
  if (bytes === undefined) {
    (other as Mapping).use("compare", otherOffset, length ?? 0, PROT_READ);
    right = length ?? otherSize - otherOffset;
    (other as Mapping).use("compare", otherOffset, right, PROT_READ);
  } else {
    right = length ?? bytesFrom(otherOffset, otherSize);
    if (
      !Number.isSafeInteger(otherOffset) || otherOffset < 0 || !(right >= 0) ||
      right > otherSize - otherOffset
    ) {
      throw new MMapInvalidParameterError(
        `Cannot compare ${show(length ?? "the rest")} at offset ${
          show(otherOffset)
        } of the other ` +
          `view: it has ${otherSize} bytes`,
      );
    }
  }
  const common = Math.min(left, right);
  const order = common === 0
    ? 0
    : bytes === undefined
    ? compareMaps(map, offset, other as Mapping, otherOffset, common)
    : compareBytes(map, offset, bytes, otherOffset, common);
  return order !== 0 ? order : Math.sign(left - right);
}

function compareBytes(
  map: Mapping,
  offset: number,
  bytes: Uint8Array,
  start: number,
  length: number,
): number {
  const { memory, runtime } = map.platform;
  const order = map.checked
    ? compareChecked(map, offset, length, (done, target) => {
      target.set(bytes.subarray(start + done, start + done + target.length));
    })
    : memory.memcmp(
      map.addr + BigInt(offset),
      runtime.addressOf(bytes) + BigInt(start),
      length,
    );
  map.intact("compare", offset, length, PROT_READ);
  return order;
}

function compareMaps(
  map: Mapping,
  offset: number,
  other: Mapping,
  start: number,
  length: number,
): number {
  const order = map.checked || other.checked
    ? compareChecked(map, offset, length, (done, target) => {
      if (other.checked) other.load("compare", start + done, target);
      else target.set(other.range(start + done, target.length));
    })
    : map.platform.memory.memcmp(map.addr + BigInt(offset), other.addr + BigInt(start), length);
  map.intact("compare", offset, length, PROT_READ);
  other.intact("compare", start, length, PROT_READ);
  return order;
}

/** A search range as Python and JavaScript clamp it, or undefined if nothing fits in it. */
export function clampSearch(
  size: number,
  offset: number,
  end: number,
  needle: number,
): { start: number; length: number } | undefined {
  for (const value of [offset, end]) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new MMapInvalidParameterError(
      `Cannot search from ${show(offset)} to ${show(end)}: both must be whole numbers of bytes ` +
        "from the start of the map",
    );
  }
  const start = Math.min(offset, size);
  const length = Math.min(end, size) - start;
  if (length < needle || (length === 0 && end < start)) return undefined;
  return { start, length };
}

/** The same in a map, for reading. */
function searchRange(
  map: Mapping,
  offset: number,
  end: number,
  needle: number,
): { start: number; length: number } | undefined {
  map.use("search", 0, 0, 0);
  const range = clampSearch(map.size, offset, end, needle);
  if (range !== undefined) map.use("search", range.start, range.length, PROT_READ);
  return range;
}

/** First place of a needle in a range, or -1. */
export function find(map: Mapping, needle: Needle, offset: number, end: number): number {
  const bytes = needleBytes(needle);
  const range = searchRange(map, offset, end, bytes.length);
  if (range === undefined) return -1;
  if (bytes.length === 0) return range.start;
  return searched(map, range, firstIn(map, bytes, range.start, range.length));
}

/** The result of a search, if what was searched is what the range holds. */
function searched(map: Mapping, range: { start: number; length: number }, found: number): number {
  map.intact("search", range.start, range.length, PROT_READ);
  return found;
}

/** First place of a needle of at least one byte in a range, already checked. */
function firstIn(map: Mapping, needle: Uint8Array, offset: number, length: number): number {
  if (needle.length === 1) return firstByte(map, needle[0]!, offset, length);
  const found = map.functions.memmem(map.addr + BigInt(offset), length, needle);
  return found === -1 ? -1 : offset + found;
}

function firstByte(map: Mapping, byte: number, offset: number, length: number): number {
  if (length <= SHORT && !map.checked) {
    const at = map.range(offset, length).indexOf(byte);
    return at === -1 ? -1 : offset + at;
  }
  // `| 0` makes 0 of -0, which Deno's FFI does not take for a whole number.
  const found = map.functions.memchr(map.addr + BigInt(offset), length, byte | 0);
  return found === -1 ? -1 : offset + found;
}

/** First place of a byte value in a range, or -1. */
export function indexOfByte(map: Mapping, byte: number, offset: number, end: number): number {
  checkByte(byte);
  const range = searchRange(map, offset, end, 1);
  if (range === undefined) return -1;
  return searched(map, range, firstByte(map, byte, range.start, range.length));
}

/** Last place of a needle in a range, or -1. */
export function rfind(map: Mapping, needle: Needle, offset: number, end: number): number {
  const bytes = needleBytes(needle);
  const range = searchRange(map, offset, end, bytes.length);
  if (range === undefined) return -1;
  if (bytes.length === 0) return range.start + range.length;
  return searched(map, range, lastInBlocks(map, bytes, range));
}

function lastInBlocks(
  map: Mapping,
  bytes: Uint8Array,
  range: { start: number; length: number },
): number {
  const overlap = bytes.length - 1;
  const { start } = range;
  let last = start + range.length;
  // Block by block from the end: the first block that has a match has the last one.
  while (last - start >= bytes.length) {
    const first = Math.max(start, last - BLOCK - overlap);
    const found = firstIn(map, bytes, first, last - first);
    if (found !== -1) return lastIn(map, bytes, found, last);
    last = first + overlap;
    if (first === start) break;
  }
  return -1;
}

/** The last match between `found`, where there is one, and `end`: halves the range, keeps the later. */
function lastIn(map: Mapping, needle: Uint8Array, found: number, end: number): number {
  let best = found;
  let top = end - needle.length; // the last place where a match could begin
  while (best < top) {
    const middle = best + Math.ceil((top - best) / 2);
    const later = firstIn(map, needle, middle, top + needle.length - middle);
    if (later !== -1) best = later;
    else top = middle - 1;
  }
  return best;
}

/** How often a byte value or a needle occurs in a range, no two places overlapping. */
export function count(
  map: Mapping,
  what: number | Needle,
  offset: number,
  length: number,
): number {
  const needle = bytesToCount(what);
  map.use("count", offset, length, PROT_READ);
  const total = needle.length === 1
    ? counted(map, needle[0]!, offset, length)
    : countedNeedles(map, needle, offset, length);
  map.intact("count", offset, length, PROT_READ);
  return total;
}

function bytesToCount(what: number | Needle): Uint8Array {
  const isNeedle = typeof what === "string" || (typeof what === "object" && what !== null);
  if (isNeedle) return needleBytes(what);
  checkByte(what);
  return Uint8Array.of(what);
}

/** As Python counts them: an empty needle is found at every place and at the end. */
function countedNeedles(map: Mapping, needle: Uint8Array, offset: number, length: number): number {
  if (needle.length === 0) return length + 1;
  const end = offset + length;
  let total = 0;
  for (let at = offset; end - at >= needle.length; total++) {
    const found = firstIn(map, needle, at, end - at);
    if (found === -1) break;
    at = found + needle.length;
  }
  return total;
}

function counted(map: Mapping, byte: number, offset: number, length: number): number {
  const { functions } = map;
  if (functions.count !== undefined && (length > SHORT || map.checked)) {
    return functions.count(map.addr + BigInt(offset), length, byte);
  }
  let total = 0;
  map.eachPiece(offset, length, (view) => {
    total += countBytes(view, byte);
  });
  return total;
}
