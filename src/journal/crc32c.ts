/**
 * CRC-32C (Castagnoli), as iSCSI has it: {@link https://www.rfc-editor.org/rfc/rfc3720#section-12.1 | RFC 3720}.
 * The processor's instruction where there is one, eight tables where not.
 */
import { platform } from "../ffi/host.ts";

/** The polynomial, lowest bit first. */
const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

let tables: Int32Array | undefined;

/** Slice `k` has the CRC of each byte followed by `k` zeros. */
function makeTables(): Int32Array {
  const made = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    made[byte] = crc;
  }
  for (let i = 256; i < made.length; i++) {
    const shorter = made[i - 256]!;
    made[i] = made[shorter & 0xff]! ^ (shorter >>> 8);
  }
  return made;
}

/**
 * The CRC-32C of bytes by tables, eight bytes a step.
 *
 * @param crc That of what comes before them; 0 to begin with.
 * @returns 32 bits, unsigned.
 */
export function crc32cByTables(bytes: Uint8Array, crc: number = 0): number {
  const t = tables ??= makeTables();
  const { length } = bytes;
  let state = ~crc;
  let i = 0;
  for (; i + SLICES <= length; i += SLICES) {
    state ^= bytes[i]! | bytes[i + 1]! << 8 | bytes[i + 2]! << 16 | bytes[i + 3]! << 24;
    state = t[0x700 | state & 0xff]! ^ t[0x600 | state >>> 8 & 0xff]! ^
      t[0x500 | state >>> 16 & 0xff]! ^ t[0x400 | state >>> 24]! ^
      t[0x300 | bytes[i + 4]!]! ^ t[0x200 | bytes[i + 5]!]! ^
      t[0x100 | bytes[i + 6]!]! ^ t[bytes[i + 7]!]!;
  }
  for (; i < length; i++) state = t[(state ^ bytes[i]!) & 0xff]! ^ (state >>> 8);
  return ~state >>> 0;
}

/**
 * A function for the CRC-32C of parts of some bytes.
 *
 * @param bytes Memory that does not move as long as the function is used: of a map, not of the heap.
 * @param address The address of the first one.
 * @returns From an offset and a length to 32 bits, unsigned.
 */
export function crc32cOf(
  bytes: Uint8Array,
  address: bigint,
): (offset: number, length: number) => number {
  const { crc32c } = platform().memory;
  if (crc32c === undefined) {
    return (offset, length) => crc32cByTables(bytes.subarray(offset, offset + length));
  }
  const start = Number(address);
  return (offset, length) => crc32c(start + offset, length, 0);
}
