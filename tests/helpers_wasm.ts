/** A WebAssembly module that computes on an imported memory, put together byte by byte. */

/** A number as WebAssembly writes it (LEB128). */
function leb(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [value] : [low | 0x80, ...leb(Math.floor(value / 128))];
}

/** A vector: its length, then its bytes. */
const vector = (...bytes: number[]): number[] => [...leb(bytes.length), ...bytes];
const text = (value: string): number[] => vector(...new TextEncoder().encode(value));
const section = (id: number, ...bytes: number[]): number[] => [id, ...vector(...bytes)];

const [I32, I64, FUNCTION] = [0x7f, 0x7e, 0x60];
const [SHARED, SHARED_64] = [0x03, 0x07];
/** The most pages that the module takes, by the width of addresses. */
const MAX_PAGES = { 32: 65536, 64: 262144 };

/**
 * A module that exports `bump(address, count)`: it adds 1 to each of `count` 32-bit integers and returns
 * their sum from before. It imports `env.memory`, shared, with addresses of 32 or 64 bits.
 */
function bumpModule(width: 32 | 64): Uint8Array<ArrayBuffer> {
  const address = width === 64 ? I64 : I32;
  const [constant, add] = width === 64 ? [0x42, 0x7c] : [0x41, 0x6a]; // i64.const, i64.add
  const get = (local: number) => [0x20, local];
  const set = (local: number) => [0x21, local];
  const load = [0x28, 2, 0]; // i32.load, aligned to 4
  const store = [0x36, 2, 0];
  const [ADDRESS, COUNT, SUM] = [0, 1, 2];
  const body = [
    ...[1, 1, I32], // one local: the sum
    ...[0x02, 0x40, 0x03, 0x40], // block, loop
    ...[...get(COUNT), 0x45, 0x0d, 1], // leave the block when the count is 0
    ...[...get(SUM), ...get(ADDRESS), ...load, 0x6a, ...set(SUM)],
    ...[...get(ADDRESS), ...get(ADDRESS), ...load, 0x41, 1, 0x6a, ...store],
    ...[...get(ADDRESS), constant!, 4, add!, ...set(ADDRESS)],
    ...[...get(COUNT), 0x41, 1, 0x6b, ...set(COUNT)],
    ...[0x0c, 0, 0x0b, 0x0b], // again; end of loop and block
    ...[...get(SUM), 0x0b],
  ];
  const limits = [width === 64 ? SHARED_64 : SHARED, 1, ...leb(MAX_PAGES[width])];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, FUNCTION, ...vector(address, I32), ...vector(I32)),
    ...section(2, 1, ...text("env"), ...text("memory"), 0x02, ...limits),
    ...section(3, 1, 0),
    ...section(7, 1, ...text("bump"), 0x00, 0),
    ...section(10, 1, ...vector(...body)),
  ]);
}

/** The function `bump` over a memory with 32-bit addresses. */
export function bump32(memory: WebAssembly.Memory): (address: number, count: number) => number {
  return instantiate(32, memory);
}

/** The function `bump` over a memory with 64-bit addresses. */
export function bump64(memory: WebAssembly.Memory): (address: bigint, count: number) => number {
  return instantiate(64, memory);
}

function instantiate(
  width: 32 | 64,
  memory: WebAssembly.Memory,
): (address: number | bigint, count: number) => number {
  const module = new WebAssembly.Module(bumpModule(width));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return exports["bump"] as (address: number | bigint, count: number) => number;
}

/** Whether a memory64 module runs here. */
export const hasMemory64: boolean = WebAssembly.validate(bumpModule(64));
