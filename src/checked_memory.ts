/**
 * The memory functions where no fault guard is: on copies that the system makes, because it finds out
 * without a fault that a page is not there. Slower by the copy; only for maps of files.
 */
import type { MemoryFunctions } from "./ffi/platform.ts";
import type { Mapping } from "./mapping.ts";

/** Bytes of a copy. */
const PIECE = 1 << 20;

let scratch: Uint8Array<ArrayBuffer> | undefined;

/** Memory of this thread for a copy of at least so many bytes. */
export function scratchOf(length: number): Uint8Array<ArrayBuffer> {
  if (scratch === undefined || scratch.length < length) {
    scratch = new Uint8Array(Math.max(length, PIECE));
  }
  return scratch.subarray(0, length);
}

/** The functions over a map, by address as ever. What is not there is the map's MMapFaultError. */
export function checkedMemory(map: Mapping): MemoryFunctions {
  const { memory, runtime } = map.platform;

  /**
   * Calls `look` with the address of a copy of each piece of a range, each beginning with the last
   * `overlap` bytes of the one before, until it finds something.
   */
  const search = (
    address: bigint,
    length: number,
    overlap: number,
    look: (copy: bigint, length: number) => number,
  ): number => {
    const start = Number(address - map.addr);
    const piece = Math.max(PIECE, 2 * overlap);
    for (let done = 0; done + overlap < length; done += piece - overlap) {
      const copy = scratchOf(Math.min(piece, length - done));
      map.load("read", start + done, copy);
      const found = look(runtime.addressOf(copy), copy.length);
      if (found !== -1) return done + found;
    }
    return -1;
  };

  return {
    memchr: (address, length, byte) =>
      search(address, length, 0, (copy, size) => memory.memchr(copy, size, byte)),
    memmem: (address, length, needle) =>
      search(
        address,
        length,
        needle.length - 1,
        (copy, size) => memory.memmem(copy, size, needle),
      ),
    count(address: bigint, length: number, byte: number): number {
      let total = 0;
      search(address, length, 0, (copy, size) => {
        total += memory.count?.(copy, size, byte) ?? countBytes(scratchOf(size), byte);
        return -1;
      });
      return total;
    },
    memcmp: memory.memcmp,
    memset(address: bigint, byte: number, length: number): void {
      const start = Number(address - map.addr);
      const bytes = scratchOf(Math.min(PIECE, length)).fill(byte);
      for (let done = 0; done < length; done += PIECE) {
        map.store("fill", start + done, bytes.subarray(0, Math.min(PIECE, length - done)));
      }
    },
    memmove(target: bigint, source: bigint, length: number): void {
      const to = Number(target - map.addr);
      const from = Number(source - map.addr);
      const pieces = Math.ceil(length / PIECE);
      for (let k = 0; k < pieces; k++) {
        // What lies ahead must not be overwritten before it was copied.
        const done = (to <= from ? k : pieces - 1 - k) * PIECE;
        const copy = scratchOf(Math.min(PIECE, length - done));
        map.load("copy", from + done, copy);
        map.store("copy to", to + done, copy);
      }
    },
  };
}

/** How often a byte value occurs. */
export function countBytes(bytes: Uint8Array, byte: number): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === byte) total++;
  return total;
}

/** Compares a range of a map with as many bytes that `loadOther` gives, piece by piece. */
export function compareChecked(
  map: Mapping,
  offset: number,
  length: number,
  loadOther: (done: number, target: Uint8Array) => void,
): number {
  const half = PIECE / 2;
  for (let done = 0; done < length; done += half) {
    const size = Math.min(half, length - done);
    const copies = scratchOf(2 * half);
    const mine = copies.subarray(0, size);
    if (map.checked) map.load("compare", offset + done, mine);
    else mine.set(map.range(offset + done, size));
    loadOther(done, copies.subarray(half, half + size));
    const address = map.platform.runtime.addressOf(copies);
    const order = map.platform.memory.memcmp(address, address + BigInt(half), size);
    if (order !== 0) return order;
  }
  return 0;
}
