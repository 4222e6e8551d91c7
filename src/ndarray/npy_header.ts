/**
 * The header of `.npy` files.
 *
 *   0                             6       7       8
 *   +-----------------------------+-------+-------+------------------------+
 *   |  Magic \x93 N U M P Y       | Major | Minor | Length of the text     |
 *   +-----------------------------+-------+-------+------------------------+
 *   |  Text: a dict of Python, spaces, a line feed                        ...
 *
 * The length has two bytes in version 1, four in 2 and 3, low byte first. The text is Latin-1, UTF-8 in
 * version 3. All together are a multiple of 64 bytes.
 */
import { checkInteger } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { MemoryMap } from "../memory_map.ts";
import { type DType, fromDescr } from "./dtype.ts";
import { type Literal, parseLiteral, repr, Tuple } from "./literal.ts";
import { sizeOf } from "./shape.ts";

const MAGIC_LENGTH = 6;
const MAJOR_OFFSET = MAGIC_LENGTH;
const MINOR_OFFSET = MAJOR_OFFSET + 1;
const LENGTH_OFFSET = MINOR_OFFSET + 1;
const ALIGNMENT = 64;
const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);

/** Characters that NumPy leaves for the size of the axis that can grow. */
const GROWTH_DIGITS = 21;

/** What a header tells. */
export interface Contents {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly fortranOrder: boolean;
}

/** A header of a file. */
export interface Parsed extends Contents {
  /** 1, 2 or 3. */
  readonly version: number;
  /** Bytes of the whole header: where the elements start. */
  readonly byteLength: number;
}

function textOffset(version: number): number {
  return LENGTH_OFFSET + (version === 1 ? 2 : 4);
}

/**
 * Reads the header at the start of a map.
 *
 * @param what The request, for messages.
 * @throws {MMapInvalidParameterError} If there is none, or it is not to be trusted.
 */
export function parseHeader(what: string, map: MemoryMap, maxSize: number): Parsed {
  checkInteger("the longest header in bytes", maxSize, 1);
  const refuse = (why: string): never => {
    throw new MMapInvalidParameterError(`${what}: ${why}`);
  };
  const start = map.read(Math.min(map.size, textOffset(2)));
  if (!MAGIC.every((byte, k) => start[k] === byte) || start.length < textOffset(1)) {
    refuse("it does not begin as a .npy file does");
  }
  const [version, minor] = [start[MAJOR_OFFSET]!, start[MINOR_OFFSET]!];
  if (version < 1 || version > 3 || minor !== 0) {
    refuse(`it is of version ${version}.${minor}; known are 1.0, 2.0 and 3.0`);
  }
  const offset = textOffset(version);
  if (start.length < offset) refuse("its header is cut off");
  const view = new DataView(start.buffer);
  const length = version === 1
    ? view.getUint16(LENGTH_OFFSET, true)
    : view.getUint32(LENGTH_OFFSET, true);
  if (length > maxSize) {
    refuse(
      `its header has ${length} bytes, more than ${maxSize}; if you trust the file, raise ` +
        "maxHeaderSize",
    );
  }
  if (length > map.size - offset) {
    refuse(`its header says that it has ${length} bytes, but ${map.size - offset} follow`);
  }
  const entries = parseLiteral(decode(map.read(length, offset), version, refuse));
  if (!(entries instanceof Map)) return refuse("its header is no dict");
  const keys = [...entries.keys()].map((key) => repr(key as Literal)).sort().join(", ");
  if (keys !== "'descr', 'fortran_order', 'shape'") {
    refuse(`its header has the keys ${keys} instead of descr, fortran_order and shape`);
  }
  const fortranOrder = entries.get("fortran_order");
  if (typeof fortranOrder !== "boolean") return refuse("its fortran_order is no bool");
  const shape = entries.get("shape");
  const sizes: readonly Literal[] = shape instanceof Tuple ? shape.items : [null];
  if (!sizes.every((size) => typeof size === "number" && size >= 0)) {
    refuse(`its shape ${repr(shape)} is no tuple of sizes`);
  }
  const dtype = fromDescr(entries.get("descr"));
  const numbers = sizes as number[];
  // Sizes beyond a file's are told from a product that lost digits.
  if (!Number.isSafeInteger(sizeOf(numbers) * dtype.shape.byteLength)) {
    refuse(`its shape ${repr(shape)} is larger than any file`);
  }
  return { dtype, shape: numbers, fortranOrder, version, byteLength: offset + length };
}

function decode(bytes: Uint8Array, version: number, refuse: (why: string) => never): string {
  if (version < 3) {
    let text = "";
    // TextDecoder takes "latin1" for Windows-1252, which has other characters at 0x80 to 0x9f.
    for (const byte of bytes) text += String.fromCharCode(byte);
    return text;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("its header is no UTF-8");
  }
}

/**
 * Writes a header as NumPy does.
 *
 * @param version By default the lowest that can hold it.
 * @param byteLength The room of a header that is to be replaced; by default what NumPy takes.
 * @throws {MMapInvalidParameterError} If there is not enough room.
 */
export function formatHeader(
  { dtype, shape, fortranOrder }: Contents,
  version?: number,
  byteLength?: number,
): Uint8Array<ArrayBuffer> {
  const dict = `{'descr': ${repr(dtype.descr)}, 'fortran_order': ${repr(fortranOrder)}, ` +
    `'shape': ${repr(new Tuple(...shape))}, }`;
  const growing = fortranOrder ? shape.at(-1) : shape[0];
  const room = growing === undefined ? 0 : GROWTH_DIGITS - `${growing}`.length;
  const text = dict + " ".repeat(room);
  // deno-lint-ignore no-control-regex -- Latin-1 is all that one byte can hold
  const latin1 = /^[\x00-\xff]*$/.test(text);
  const major = version ?? (!latin1 ? 3 : roundedUp(text.length, 1) <= 0xffff + 10 ? 1 : 2);
  const bytes = major === 3
    ? new TextEncoder().encode(text)
    : Uint8Array.from(text, (character) => character.charCodeAt(0));
  const offset = textOffset(major);
  const total = byteLength ?? roundedUp(bytes.length, major);
  // The spaces at the end may go when a header is replaced, the line feed may not.
  const needed = offset + bytes.length - (byteLength === undefined ? 0 : room) + 1;
  if (needed > total) {
    throw new MMapInvalidParameterError(
      `Cannot write a header of ${needed} bytes: the file has room for ${total}; make a new file`,
    );
  }
  const header = new Uint8Array(total).fill(0x20);
  header.set(MAGIC);
  header[MAJOR_OFFSET] = major;
  header[MINOR_OFFSET] = 0;
  const view = new DataView(header.buffer);
  if (major === 1) view.setUint16(LENGTH_OFFSET, total - offset, true);
  else view.setUint32(LENGTH_OFFSET, total - offset, true);
  header.set(bytes.subarray(0, total - offset - 1), offset);
  header[total - 1] = 0x0a;
  return header;
}

/** Bytes of a header with a text: a multiple of 64, with a line feed and one to 64 spaces. */
function roundedUp(textLength: number, version: number): number {
  const bare = textOffset(version) + textLength + 1;
  return bare + ALIGNMENT - bare % ALIGNMENT;
}
