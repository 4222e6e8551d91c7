/** NumPy's element types: from their spellings to the layout of an element, and back. */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { ScalarType } from "../records/field_types.ts";
import {
  type ArrayShape,
  arrayShape,
  type FieldLayout,
  type RecordShape,
  recordShape,
  scalarShape,
  type Shape,
  textShape,
} from "../records/layout.ts";
import { RecordType, shapeOfType } from "../records/record_type.ts";
import { MACHINE_LITTLE_ENDIAN } from "../records/typed.ts";
import { type Literal, parseLiteral, repr, Tuple } from "./literal.ts";

/** An element type. */
export interface DType {
  /** As the header of a `.npy` file has it: a string, or a list of fields. */
  readonly descr: Literal;
  /** `descr` as text: `"<f4"`, `"|b1"`, `"[('x', '<i4'), ('y', '<f8')]"`. */
  readonly name: string;
  /** What kind of values: NumPy's letter, `V` for records. */
  readonly kind: string;
  /** The layout of an element. */
  readonly shape: Shape;
  /** The record type, if the user gave one. */
  readonly type?: RecordType<unknown>;
}

/** Numbers by NumPy's letter and bytes. */
const SCALARS: Readonly<Record<string, ScalarType>> = {
  b1: "bool",
  i1: "i8",
  i2: "i16",
  i4: "i32",
  i8: "i64",
  u1: "u8",
  u2: "u16",
  u4: "u32",
  u8: "u64",
  f2: "f16",
  f4: "f32",
  f8: "f64",
};

const LETTER: Readonly<Record<ScalarType, string>> = Object.fromEntries(
  Object.entries(SCALARS).map(([letter, scalar]) => [scalar, letter]),
) as Record<ScalarType, string>;

/** The long names, such as `float32`, by what they stand for. */
const NAMES: Readonly<Record<string, string>> = {
  bool: "b1",
  "?": "b1",
  int8: "i1",
  int16: "i2",
  int32: "i4",
  int64: "i8",
  uint8: "u1",
  uint16: "u2",
  uint32: "u4",
  uint64: "u8",
  float16: "f2",
  float32: "f4",
  float64: "f8",
  complex64: "c8",
  complex128: "c16",
};

const KNOWN =
  "it must be one of bool, int8 to int64, uint8 to uint64, float16, float32, float64, " +
  "complex64, complex128, or such as <f4, >i2, S8, U8, M8[ns], or a record type";

/**
 * The element type behind what a user gives: a spelling of NumPy's, the text of a list of fields, or a
 * record type.
 *
 * @throws {MMapInvalidParameterError} If there is no such type, or it cannot be mapped.
 */
export function dtypeOf(given: unknown): DType {
  if (typeof given === "string") {
    return fromDescr(given.startsWith("[") ? parseLiteral(given) : given);
  }
  const shape = given instanceof RecordType ? shapeOfType(given) : undefined;
  if (shape === undefined) {
    throw new MMapInvalidParameterError(`Cannot use ${show(given)} as a dtype: ${KNOWN}`);
  }
  const descr = descrOf(shape);
  return { descr, name: repr(descr), kind: "V", shape, type: given as RecordType<unknown> };
}

/**
 * The element type of a file that the user has an expectation of: bytes as the file says, meaning as
 * the user says, who may call text what NumPy can only call bytes.
 *
 * @returns The type, or undefined if the bytes are others.
 */
export function expectedDType(file: DType, wanted: DType): DType | undefined {
  if (file.shape.kind !== "record" || wanted.shape.kind !== "record") {
    return file.name === wanted.name ? file : undefined;
  }
  const same = repr(descrOf(file.shape)) === repr(descrOf(wanted.shape));
  return same ? { ...wanted, descr: file.descr, name: file.name } : undefined;
}

/** The element type that the header of a `.npy` file tells. */
export function fromDescr(descr: Literal): DType {
  if (typeof descr === "string") return fromString(descr);
  if (Array.isArray(descr)) {
    const shape = recordOf(descr);
    return { descr, name: repr(descr), kind: "V", shape };
  }
  throw new MMapInvalidParameterError(`Cannot use ${repr(descr)} as a dtype: ${KNOWN}`);
}

function fromString(text: string): DType {
  const refuse = (why: string): never => {
    throw new MMapInvalidParameterError(`Cannot use ${show(text)} as a dtype: ${why}`);
  };
  const [, order = "", bare = ""] = /^([<>=|]?)(.*)$/s.exec(text) ?? [];
  const spelled = Object.hasOwn(NAMES, bare) ? NAMES[bare]! : bare;
  const [, kind = "", digits = "", unit = ""] =
    /^([a-zA-Z])([1-9]\d{0,8})?(\[[\w/]{1,20}\])?$/.exec(spelled) ?? [];
  if (kind === "O") refuse("Python objects are no bytes that could be mapped");
  const littleEndian = order === "<" || (order !== ">" && MACHINE_LITTLE_ENDIAN);
  const shape = shapeOfLetter(kind, digits, unit, littleEndian) ??
    refuse(spelled === "f16" ? "long doubles have no type here; float16 is spelled f2" : KNOWN);
  const oneByte = kind === "S" || kind === "V" || (kind !== "U" && shape.byteLength === 1);
  const mark = oneByte ? "|" : littleEndian ? "<" : ">";
  const descr = `${mark}${kind}${digits}${unit}`;
  return { descr, name: descr, kind, shape };
}

function shapeOfLetter(
  kind: string,
  digits: string,
  unit: string,
  littleEndian: boolean,
): Shape | undefined {
  // Dates and durations count units since 1970 in 64 bits.
  if (kind === "m" || kind === "M") {
    return digits === "8" ? scalarShape("i64", littleEndian) : undefined;
  }
  if (unit !== "") return undefined;
  if (Object.hasOwn(SCALARS, kind + digits)) {
    return scalarShape(SCALARS[kind + digits]!, littleEndian);
  }
  if (digits === "") return undefined;
  if (kind === "S" || kind === "V") return textShape("bytes", Number(digits), littleEndian);
  if (kind === "U") return textShape("utf32", Number(digits), littleEndian);
  if (kind !== "c" || (digits !== "8" && digits !== "16")) return undefined;
  return arrayShape(scalarShape(digits === "8" ? "f32" : "f64", littleEndian), 2);
}

/** A list of fields: `(name, type)` or `(name, type, shape)`; a name may have a title before it. */
function recordOf(descr: readonly Literal[]): RecordShape {
  const fields: FieldLayout[] = [];
  let end = 0;
  for (const entry of descr) {
    const items = entry instanceof Tuple ? entry.items : [];
    const [title, type, dimensions] = items;
    const name = title instanceof Tuple ? title.items[1] : title;
    if (typeof name !== "string" || type === undefined || items.length > 3) {
      throw new MMapInvalidParameterError(
        `Cannot use ${repr(entry)} as a field of a dtype: it must be (name, type) or ` +
          "(name, type, shape)",
      );
    }
    const inner = fromDescr(type);
    const shape = dimensions === undefined ? inner.shape : nested(inner.shape, dimensions);
    // Bytes without a name are padding.
    const padding = name === "" && inner.kind === "V" && inner.shape.kind === "bytes";
    if (!padding) fields.push({ name, offset: end, shape });
    end += shape.byteLength;
  }
  return recordShape(fields, end, 1);
}

/** Arrays in arrays for a field of several dimensions. */
function nested(shape: Shape, dimensions: Literal): Shape {
  const sizes = dimensions instanceof Tuple ? dimensions.items : [dimensions];
  for (const size of sizes) {
    if (!Number.isSafeInteger(size) || size as number < 1) {
      throw new MMapInvalidParameterError(
        `Cannot use ${repr(dimensions)} as the shape of a field: its sizes must be at least 1`,
      );
    }
  }
  return sizes.reduceRight<Shape>((inner, size) => arrayShape(inner, size as number), shape);
}

/** The fields of a record as NumPy describes them, with the padding between them. */
function descrOf({ fields, byteLength }: RecordShape): Literal[] {
  const descr: Literal[] = [];
  let end = 0;
  const pad = (to: number) => {
    if (to > end) descr.push(new Tuple("", `|V${to - end}`));
  };
  for (const { name, offset, shape } of fields) {
    pad(offset);
    const dimensions: number[] = [];
    let inner: Shape = shape;
    while (inner.kind === "array") {
      dimensions.push(inner.length);
      inner = inner.element;
    }
    const type = typeOf(inner);
    descr.push(
      dimensions.length === 0
        ? new Tuple(name, type)
        : new Tuple(name, type, new Tuple(...dimensions)),
    );
    end = offset + shape.byteLength;
  }
  pad(byteLength);
  return descr;
}

function typeOf(shape: Exclude<Shape, ArrayShape>): Literal {
  switch (shape.kind) {
    case "record":
      return descrOf(shape);
    case "scalar":
      return mark(shape) + LETTER[shape.scalar];
    case "utf32":
      return `${mark(shape)}U${shape.length}`;
    default:
      return `|S${shape.length}`;
  }
}

function mark(shape: { byteLength: number; kind: string; littleEndian: boolean }): string {
  if (shape.kind === "scalar" && shape.byteLength === 1) return "|";
  return shape.littleEndian ? "<" : ">";
}
