/**
 * Values to bytes and back, for fields of every layout, at any place of a DataView. This is the way of
 * whole records; single values in loops go through the functions that `scalars.ts` makes.
 */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { asBytes } from "../memory_operations.ts";
import type { ArrayShape, RecordShape, ScalarShape, Shape, TextShape } from "./layout.ts";
import { check, scalar } from "./scalars.ts";

/** Reads a value. */
export type Decode = (view: DataView, place: number) => unknown;
/** Writes a value, or throws before or in the middle. */
export type Encode = (view: DataView, place: number, value: unknown) => void;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What the values of one copy may take at the most: a heap that is full ends the process. */
const MOST_BYTES = 2 ** 30;

/** Bytes of a place in an array or object; and about those of what lies elsewhere, without its content. */
const PLACE = 8;
const BOX = 24;
const OBJECT = 56;

/** About how many bytes a copy of a value takes in the engine's heap. */
export function heapBytes(shape: Shape): number {
  switch (shape.kind) {
    case "scalar":
      return shape.scalar === "i64" || shape.scalar === "u64" ? PLACE + BOX : PLACE;
    case "array":
      return PLACE + OBJECT + shape.length * heapBytes(shape.element);
    case "record":
      return shape.fields.reduce((sum, { shape }) => sum + heapBytes(shape), PLACE + OBJECT);
    default:
      return PLACE + OBJECT + shape.byteLength;
  }
}

/** Throws if copies would take too much of the heap. */
export function checkHeapBytes(bytes: number, instead: string): void {
  if (bytes <= MOST_BYTES) return;
  throw new MMapInvalidParameterError(
    `Cannot copy values into arrays and objects that take some ${bytes} bytes: ${MOST_BYTES} are ` +
      `the most; ${instead}`,
  );
}

/** Makes the function that reads values of a layout. */
export function decoderOf(shape: Shape): Decode {
  const bytes = heapBytes(shape);
  if (bytes <= MOST_BYTES) return partDecoder(shape);
  return () => checkHeapBytes(bytes, "use at() or asTypedArray(), which copy nothing");
}

function partDecoder(shape: Shape): Decode {
  switch (shape.kind) {
    case "scalar": {
      const { get } = scalar(shape.scalar);
      const { littleEndian } = shape;
      return (view, place) => get(view, place, littleEndian);
    }
    case "bytes":
      return (view, place) => bytesAt(view, place, shape.byteLength).slice();
    case "utf8":
      return (view, place) => decodeUtf8(bytesAt(view, place, shape.byteLength));
    case "utf32":
      return (view, place) => decodeUtf32(view, place, shape);
    case "array":
      return arrayDecoder(shape);
    case "record":
      return recordDecoder(shape);
  }
}

/**
 * Makes the function that writes values of a layout.
 *
 * @param field The field's name, for messages.
 */
export function encoderOf(shape: Shape, field?: string): Encode {
  switch (shape.kind) {
    case "scalar":
      return scalarEncoder(shape, field);
    case "array":
      return arrayEncoder(shape, field);
    case "record":
      return recordEncoder(shape, field);
    default:
      return (view, place, value) => {
        const bytes = shape.kind === "bytes"
          ? plainBytes(value, shape, field)
          : textBytes(value, shape, field);
        const room = bytesAt(view, place, shape.byteLength);
        room.set(bytes);
        room.fill(0, bytes.length);
      };
  }
}

/** The bytes at a place, as they are in memory. */
export function bytesAt(view: DataView, place: number, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset + place, length);
}

function target(field: string | undefined): string {
  return field === undefined ? "" : ` to field ${show(field)}`;
}

function scalarEncoder({ scalar: type, littleEndian }: ScalarShape, field?: string): Encode {
  const { set } = scalar(type);
  return (view, place, value) => {
    check(type, value, field);
    set(view, place, value as never, littleEndian);
  };
}

function arrayDecoder({ element, length }: ArrayShape): Decode {
  const decode = partDecoder(element);
  const size = element.byteLength;
  return (view, place) => {
    const values: unknown[] = [];
    for (let k = 0; k < length; k++) values.push(decode(view, place + k * size));
    return values;
  };
}

function arrayEncoder({ element, length }: ArrayShape, field?: string): Encode {
  const encode = encoderOf(element, field);
  const size = element.byteLength;
  return (view, place, value) => {
    const values = value as ArrayLike<unknown> | null | undefined;
    const count = typeof values === "object" ? values?.length : undefined;
    if (count !== length) {
      throw new MMapInvalidParameterError(
        `Cannot write ${count === undefined ? show(values) : `${show(count)} values`}` +
          `${target(field)}: it takes an array of ${length} values`,
      );
    }
    for (let k = 0; k < length; k++) encode(view, place + k * size, values![k]);
  };
}

function recordDecoder({ fields }: RecordShape): Decode {
  const parts = fields.map(({ name, offset, shape }) => ({
    name,
    offset,
    decode: partDecoder(shape),
  }));
  return (view, place) => {
    const record: Record<string, unknown> = {};
    for (let k = 0; k < parts.length; k++) {
      const part = parts[k]!;
      record[part.name] = part.decode(view, place + part.offset);
    }
    return record;
  };
}

function recordEncoder({ fields }: RecordShape, field?: string): Encode {
  const parts = fields.map(({ name, offset, shape }) => ({
    name,
    offset,
    encode: encoderOf(shape, field === undefined ? name : `${field}.${name}`),
  }));
  const known = new Set(parts.map(({ name }) => name));
  return (view, place, value) => {
    if (typeof value !== "object" || value === null) {
      throw new MMapInvalidParameterError(
        `Cannot write ${show(value)}${target(field)}: give an object with the fields ` +
          parts.map(({ name }) => name).join(", "),
      );
    }
    const record = value as Record<string, unknown>;
    // A misspelt optional property would be lost in silence; what is inherited is none of the user's.
    let at = 0;
    for (const name in record) {
      if (name === parts[at++]?.name) continue; // in their order, which costs next to nothing
      if (known.has(name) || !Object.hasOwn(record, name)) continue;
      const path = field === undefined ? name : `${field}.${name}`;
      throw new MMapInvalidParameterError(
        `Cannot write the field ${show(path)}: the record has ${[...known].join(", ")}`,
      );
    }
    for (let k = 0; k < parts.length; k++) {
      const part = parts[k]!;
      part.encode(view, place + part.offset, record[part.name]);
    }
  };
}

/** Text up to the first zero byte. */
function decodeUtf8(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  // A copy: decoders refuse memory that is shared.
  return decoder.decode(bytes.slice(0, end === -1 ? bytes.length : end));
}

/** Text without the zeros at its end. */
function decodeUtf32(view: DataView, place: number, shape: TextShape): string {
  let end = shape.length;
  while (end > 0 && view.getUint32(place + (end - 1) * 4) === 0) end--;
  let text = "";
  for (let k = 0; k < end; k++) {
    const point = view.getUint32(place + k * 4, shape.littleEndian);
    const valid = point < 0xd800 || (point > 0xdfff && point <= 0x10ffff);
    text += valid ? String.fromCodePoint(point) : "\ufffd";
  }
  return text;
}

function plainBytes(value: unknown, { length }: TextShape, field?: string): ArrayLike<number> {
  const given = value instanceof Uint8Array ? asBytes(value) : value as ArrayLike<number> | null;
  const count = typeof given === "object" ? given?.length : undefined;
  if (!Number.isInteger(count) || count! < 0 || count! > length) {
    throw new MMapInvalidParameterError(
      `Cannot write ${count === undefined ? show(value) : `${show(count)} bytes`}` +
        `${target(field)}: it takes at most ${length} bytes, as a Uint8Array or an array`,
    );
  }
  if (given instanceof Uint8Array) return given;
  const copy = Array.from({ length: count! }, (_, k) => given![k]!);
  for (const byte of copy) check("u8", byte, field);
  return copy;
}

/** The bytes of text, checked: what is written is what will be read. */
function textBytes(value: unknown, shape: TextShape, field?: string): Uint8Array {
  const { kind, length, littleEndian } = shape;
  const refuse = (allowed: string): never => {
    throw new MMapInvalidParameterError(`Cannot write ${show(value)}${target(field)}: ${allowed}`);
  };
  if (typeof value !== "string" || !value.isWellFormed()) return refuse("give well-formed text");
  if (value.includes("\0")) {
    refuse("a zero character ends the text in the file; leave it out");
  }
  if (kind === "utf8") {
    const bytes = encoder.encode(value);
    if (bytes.length > length) {
      refuse(`it takes ${bytes.length} bytes in UTF-8, and there are ${length}; shorten it`);
    }
    return bytes;
  }
  const points = Array.from(value, (character) => character.codePointAt(0)!);
  if (points.length > length) {
    refuse(`it has ${points.length} code points, and there is room for ${length}; shorten it`);
  }
  const view = new DataView(new ArrayBuffer(points.length * 4));
  points.forEach((point, k) => view.setUint32(k * 4, point, littleEndian));
  return new Uint8Array(view.buffer);
}
