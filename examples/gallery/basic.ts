/**
 * The first showcase: 4 KiB of memory without a file. Runs alone, without any package:
 * `deno run --allow-ffi examples/gallery/basic.ts`, or the same file under Bun or Node.
 */

import {
  allocationGranularity,
  MemoryMap,
  MMapClosedError,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../../mod.ts";
import { errorOf, heading, sameBytes, verify } from "./showcase.ts";

const SIZE = 4096;
const GREETING = "Hello, mapped memory, grüß dich!";
const MARK_OFFSET = 1024;
const MARK = Uint8Array.of(0xde, 0xad, 0xbe, 0xef);

/** Maps anonymous memory, writes to it, reads it back, and prints what the map knows of itself. */
export function basic(): string[] {
  heading("Basic: anonymous memory");
  using map = MemoryMap.createAnonymous(SIZE);
  verify(map.isValid && map.size === SIZE, `mapped ${map.size} bytes`);
  verify(map.bytes.every((byte) => byte === 0), "every byte is zero at first");

  const greeting = new TextEncoder().encode(GREETING);
  const written = map.write(GREETING);
  verify(
    written === greeting.length,
    `wrote ${written} bytes of UTF-8 for ${GREETING.length} characters`,
  );
  const read = new TextDecoder().decode(map.read(written));
  verify(read === GREETING, `read back ${JSON.stringify(read)}`);

  map.write(MARK, MARK_OFFSET);
  const end = MARK_OFFSET + MARK.length;
  const hex = Array.from(map.read(MARK.length, MARK_OFFSET), (byte) => byte.toString(16)).join(" ");
  verify(
    sameBytes(map.bytes.subarray(MARK_OFFSET, end), MARK),
    `wrote ${hex} at offset ${MARK_OFFSET}, seen through the zero-copy view`,
  );
  verify(
    map.bytes.subarray(written, MARK_OFFSET).every((byte) => byte === 0) &&
      map.bytes.subarray(end).every((byte) => byte === 0),
    "all other bytes are still zero",
  );

  verify(
    pageSize() > 0 && map.pageSize === pageSize(),
    `the page size is ${pageSize()} bytes, the allocation granularity ${allocationGranularity()}`,
  );
  verify(
    map.addr > 0n && map.addr % BigInt(pageSize()) === 0n,
    `the address is 0x${map.addr.toString(16)}, the start of a page`,
  );
  verify(
    map.prot === (PROT_READ | PROT_WRITE),
    `the protection is ${map.prot} = PROT_READ | PROT_WRITE`,
  );
  verify(
    map.offset === 0 && map.path === undefined,
    `the offset is ${map.offset}, the path ${map.path}`,
  );

  const view = map.bytes;
  map.close();
  verify(!map.isValid && view.length === 0, `closed: the old view has ${view.length} bytes`);
  const refusal = errorOf(() => map.read(1));
  verify(refusal instanceof MMapClosedError, `reading now ends in: ${refusal}`);
  return [];
}

if (import.meta.main) basic();
