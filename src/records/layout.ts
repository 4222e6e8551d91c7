/**
 * Where the bytes of a record's fields are: the rules of C for structs, or one field right behind the
 * other. Pure arithmetic on a description; nothing here touches memory.
 */
import { checkInteger, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { FieldType, RecordFields, ScalarType } from "./field_types.ts";

/** Bytes of one value. In C, on every 64-bit system, they are also its alignment. */
export const SCALAR_BYTES: Readonly<Record<ScalarType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f16: 2,
  f32: 4,
  f64: 8,
  bool: 1,
};

/** Records are smaller than this, so that no place in them comes near `Window.miss`. */
const MAX_BYTES = 2 ** 29;

/** One value. */
export interface ScalarShape {
  readonly kind: "scalar";
  readonly scalar: ScalarType;
  readonly littleEndian: boolean;
  readonly byteLength: number;
  readonly alignment: number;
}

/** Bytes, or text of a fixed room. */
export interface TextShape {
  readonly kind: "bytes" | "utf8" | "utf32";
  /** Bytes, or code points for `utf32`. */
  readonly length: number;
  readonly littleEndian: boolean;
  readonly byteLength: number;
  readonly alignment: number;
}

/** Several of the same, one after the other. */
export interface ArrayShape {
  readonly kind: "array";
  readonly element: Shape;
  readonly length: number;
  readonly byteLength: number;
  readonly alignment: number;
}

/** A field with its place. */
export interface FieldLayout {
  /** The key in the object. */
  readonly name: string;
  /** Bytes from the start of the record. */
  readonly offset: number;
  /** What is there. */
  readonly shape: Shape;
}

/** Fields, each at its place. */
export interface RecordShape {
  readonly kind: "record";
  readonly fields: readonly FieldLayout[];
  readonly byteLength: number;
  readonly alignment: number;
}

/** The layout of a field. */
export type Shape = ScalarShape | TextShape | ArrayShape | RecordShape;

/** How a record is laid out. */
export interface LayoutOptions {
  /** Put each field right behind the one before, as `#pragma pack(1)` does. Default false: C's rules. */
  readonly packed?: boolean;
  /** The order of the bytes in a number. Default `"little"`. */
  readonly endian?: "little" | "big";
}

/** Knows a record type when it sees one; given by `record_type.ts`, which stands on this file. */
export type ShapeOf = (value: object) => RecordShape | undefined;

/** Lays the fields of a description out, one after the other. */
export function layOut(fields: RecordFields, options: LayoutOptions, known: ShapeOf): RecordShape {
  const { packed = false, endian = "little" } = options;
  if (typeof packed !== "boolean") {
    throw new MMapInvalidParameterError(
      `Cannot lay a record out with packed ${show(packed)}: it must be true or false`,
    );
  }
  if (endian !== "little" && endian !== "big") {
    throw new MMapInvalidParameterError(
      `Cannot lay a record out with endian ${show(endian)}: it must be "little" or "big"`,
    );
  }
  let end = 0;
  const placed = Object.entries(fields).map(([name, type]): FieldLayout => {
    if (String(Number(name) >>> 0) === name) {
      throw new MMapInvalidParameterError(
        `Cannot name a field ${show(name)}: JavaScript moves keys that are numbers to the front; ` +
          `use another name, such as ${show(`f${name}`)}`,
      );
    }
    const shape = shapeOf(name, type, options, known);
    const offset = packed ? end : roundUp(end, shape.alignment);
    end = offset + shape.byteLength;
    return { name, offset, shape };
  });
  const alignment = packed ? 1 : Math.max(1, ...placed.map(({ shape }) => shape.alignment));
  return recordShape(placed, roundUp(end, alignment), alignment);
}

/** A record of fields that have their places already, checked. */
export function recordShape(
  fields: readonly FieldLayout[],
  byteLength: number,
  alignment: number,
): RecordShape {
  if (fields.length === 0) {
    throw new MMapInvalidParameterError("Cannot define a record without fields: name at least one");
  }
  const taken = new Set<string>();
  for (const { name, offset, shape } of fields) {
    if (name === "" || name === "__proto__") {
      throw new MMapInvalidParameterError(
        `Cannot name a field ${show(name)}: objects have no such key; use another name`,
      );
    }
    if (taken.has(name)) {
      throw new MMapInvalidParameterError(
        `Cannot name a field ${show(name)}: the name is taken; use each name once`,
      );
    }
    taken.add(name);
    if (offset + shape.byteLength > byteLength) {
      throw new MMapInvalidParameterError(
        `Cannot put field ${show(name)} of ${shape.byteLength} bytes at offset ${offset}: ` +
          `the record has ${byteLength} bytes`,
      );
    }
  }
  if (byteLength >= MAX_BYTES) {
    throw new MMapInvalidParameterError(
      `Cannot define a record of ${byteLength} bytes: it must have fewer than ${MAX_BYTES}`,
    );
  }
  return { kind: "record", fields, byteLength, alignment };
}

/** One value of a type. */
export function scalarShape(scalar: ScalarType, littleEndian: boolean): ScalarShape {
  const bytes = SCALAR_BYTES[scalar];
  return { kind: "scalar", scalar, littleEndian, byteLength: bytes, alignment: bytes };
}

/** Bytes or text of a fixed room. */
export function textShape(
  kind: TextShape["kind"],
  length: number,
  littleEndian: boolean,
): TextShape {
  const unit = kind === "utf32" ? 4 : 1;
  return { kind, length, littleEndian, byteLength: length * unit, alignment: unit };
}

/** Whether values are single ones with the low byte first, for which there are fast ways. */
export function isLittleEndian(shape: Shape): shape is ScalarShape {
  return shape.kind === "scalar" && (shape.littleEndian || shape.byteLength === 1);
}

/** Several of the same. */
export function arrayShape(element: Shape, length: number): ArrayShape {
  const { alignment } = element;
  return { kind: "array", element, length, byteLength: element.byteLength * length, alignment };
}

function shapeOf(name: string, type: FieldType, options: LayoutOptions, known: ShapeOf): Shape {
  const littleEndian = options.endian !== "big";
  if (typeof type === "string") {
    if (Object.hasOwn(SCALAR_BYTES, type)) return scalarShape(type as ScalarType, littleEndian);
    const [, kind, digits] = /^(bytes|utf8|utf32):([1-9]\d{0,9})$/.exec(type) ?? [];
    if (kind !== undefined) {
      return textShape(kind as TextShape["kind"], Number(digits), littleEndian);
    }
  } else if (Array.isArray(type)) {
    if (type.length === 2) {
      checkInteger(`the length of field ${show(name)}`, type[1], 1);
      return arrayShape(shapeOf(name, type[0], options, known), type[1]);
    }
  } else if (typeof type === "object" && type !== null) {
    return known(type) ?? layOut(type as RecordFields, options, known);
  }
  throw new MMapInvalidParameterError(
    `Cannot use ${show(type)} as the type of field ${show(name)}: it must be one of ` +
      `${Object.keys(SCALAR_BYTES).join(", ")}, "bytes:N", "utf8:N", "utf32:N", [type, N], or a ` +
      "record",
  );
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
