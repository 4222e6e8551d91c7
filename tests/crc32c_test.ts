/** CRC-32C by the processor's instruction and by tables, against the values of RFC 3720. */
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { MemoryMap } from "../mod.ts";
import { platform } from "../src/ffi/host.ts";
import { crc32cByTables, crc32cOf } from "../src/journal/crc32c.ts";
import { pattern, random, utf8 } from "./helpers.ts";

/** RFC 3720, appendix B.4, where the bytes of each CRC stand in the order in which they are sent. */
const vectors: [name: string, bytes: Uint8Array, crc: number][] = [
  ["32 bytes of zeros", new Uint8Array(32), 0x8a9136aa],
  ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 bytes that count up", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ["32 bytes that count down", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  [
    "a SCSI read command",
    Uint8Array.from([
      ...[0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18],
      ...[0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0],
    ]),
    0xd9963a56,
  ],
  ["the digits 1 to 9", utf8("123456789"), 0xe3069283], // the check value of every catalogue
  ["nothing", new Uint8Array(0), 0],
];

/** The CRC of bytes that lie in a map, at an odd address. */
function inMap(bytes: Uint8Array): number {
  using map = MemoryMap.createAnonymous(bytes.length + 3);
  map.write(bytes, 3);
  return crc32cOf(map.bytes, map.addr)(3, bytes.length);
}

describe("crc32c", () => {
  for (const [name, bytes, crc] of vectors) {
    test(`crc32cByTables() of ${name}`, () => assertEquals(crc32cByTables(bytes), crc));
    test(`crc32cOf() of ${name}`, () => assertEquals(inMap(bytes), crc));
  }

  test("crc32cByTables() and crc32cOf() agree on every length and at every place", () => {
    using map = MemoryMap.createAnonymous(4096);
    map.write(pattern(4096));
    const { bytes } = map;
    const crc = crc32cOf(bytes, map.addr);
    const next = random(3);
    for (let length = 0; length < 300; length++) {
      const offset = Math.floor(next() * 3000);
      const expected = crc32cByTables(bytes.slice(offset, offset + length));
      assertEquals(crc(offset, length), expected, `${length} bytes at ${offset}`);
    }
  });

  test("crc32cByTables() goes on from what comes before", () => {
    const bytes = pattern(1000);
    const first = crc32cByTables(bytes.subarray(0, 333));
    assertEquals(crc32cByTables(bytes.subarray(333), first), crc32cByTables(bytes));
  });

  const { crc32c } = platform().memory;
  test("the instruction goes on from what comes before", {
    skip: crc32c === undefined && "needs an instruction for it, and machine code",
  }, () => {
    using map = MemoryMap.createAnonymous(1000);
    map.write(pattern(1000));
    const start = Number(map.addr);
    const first = crc32c!(start, 333, 0);
    assertEquals(crc32c!(start + 333, 667, first), crc32cByTables(map.bytes));
  });
});
