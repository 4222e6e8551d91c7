/** Arrays as text, laid out as NumPy prints them. */
import type { RecordShape, Shape } from "../records/layout.ts";
import type { DType } from "./dtype.ts";
import type { AnyElement } from "./element_types.ts";
import { floatFormat, floatText, type Round } from "./float_format.ts";
import { repr } from "./literal.ts";

/** Arrays of more elements show the first and the last three of each axis. */
const THRESHOLD = 1000;
const EDGE = 3;
const LINE_WIDTH = 75;
const ELLIPSIS = "...";

/** What is needed of an array. */
export interface Printable {
  readonly shape: readonly number[];
  readonly size: number;
  get(...index: number[]): unknown;
}

/** Writes one element. */
type Format = (element: unknown) => string;

/** An array as NumPy's `str` has it. */
export function formatArray(array: Printable, dtype: DType): string {
  const { shape, size } = array;
  if (shape.length === 0) return formatAlone(array.get() as AnyElement, dtype);
  if (size === 0) return "[]";
  const summary = size > THRESHOLD;
  const shown = shape.map((length) => shownIndices(length, summary));
  const elements = [...combinations(shown)].map((index) => array.get(...index));
  const format = formatFor(elements, dtype.shape, dtype.kind);
  return nested([], " ", LINE_WIDTH);

  function nested(index: readonly number[], indent: string, width: number): string {
    const axesLeft = shape.length - index.length;
    if (axesLeft === 0) return format(array.get(...index));
    const indices = shown[index.length]!;
    const items = indices.map((i) => () => nested([...index, i], `${indent} `, width - 1));
    if (indices.length < shape[index.length]!) items.splice(EDGE, 0, () => ELLIPSIS);
    const text = axesLeft === 1
      ? lines(items.map((item) => item()), indent, width - 1)
      : items.map((item) => indent + item()).join("\n".repeat(axesLeft - 1));
    return `[${text.slice(indent.length)}]`;
  }
}

/** Words one after the other, in lines of a width. */
function lines(words: readonly string[], indent: string, width: number): string {
  let text = "";
  let line = indent;
  words.forEach((word, k) => {
    if (line.length + word.length > width && line.length > indent.length) {
      text += `${line.trimEnd()}\n`;
      line = indent;
    }
    line += word + (k < words.length - 1 ? " " : "");
  });
  return text + line;
}

function shownIndices(length: number, summary: boolean): number[] {
  const all = !summary || length <= 2 * EDGE;
  return Array.from(
    { length: all ? length : 2 * EDGE },
    (_, k) => all || k < EDGE ? k : length - 2 * EDGE + k,
  );
}

function* combinations(axes: readonly number[][]): Generator<number[]> {
  const [first, ...rest] = axes;
  if (first === undefined) return yield [];
  for (const i of first) {
    for (const index of combinations(rest)) yield [i, ...index];
  }
}

/** The nearest number of each type of numbers with a point. */
const ROUND: Readonly<Record<string, Round>> = {
  f16: Math.f16round,
  f32: Math.fround,
  f64: (value) => value,
};

function roundOf(shape: Shape): Round | undefined {
  return shape.kind === "scalar" ? ROUND[shape.scalar] : undefined;
}

/** Makes the function that writes elements so that they stand in columns with `elements`. */
function formatFor(elements: readonly unknown[], shape: Shape, kind: string): Format {
  if (kind === "c" && shape.kind === "array") {
    const round = roundOf(shape.element)!;
    const pairs = elements as [number, number][];
    const real = floatFormat(pairs.map(([re]) => re), round);
    const imaginary = floatFormat(pairs.map(([, im]) => im), round, true);
    return (element) => {
      const [re, im] = element as [number, number];
      return real(re) + imaginary(im).replace(/ *$/, (spaces) => `j${spaces}`);
    };
  }
  switch (shape.kind) {
    case "record":
      return recordFormat(elements as Record<string, unknown>[], shape);
    case "array": {
      const inner = formatFor((elements as unknown[][]).flat(), shape.element, "");
      return (element) => `[${(element as unknown[]).map(inner).join(", ")}]`;
    }
    case "scalar": {
      const round = roundOf(shape);
      if (round !== undefined) return floatFormat(elements as number[], round) as Format;
      if (shape.scalar === "bool") return (element) => element ? " True" : "False";
      const width = elements.reduce<number>((most, value) => Math.max(most, `${value}`.length), 0);
      return (element) => `${element}`.padStart(width);
    }
    case "bytes":
      return (element) => bytesText(element as Uint8Array, kind === "V");
    default:
      return (element) => repr(element as string);
  }
}

function recordFormat(records: readonly Record<string, unknown>[], shape: RecordShape): Format {
  const fields = shape.fields.map(({ name, shape: inner }) => ({
    name,
    format: formatFor(records.map((record) => record[name]), inner, ""),
  }));
  return (record) => {
    const texts = fields.map(({ name, format }) => format((record as typeof records[0])[name]));
    return texts.length === 1 ? `(${texts[0]},)` : `(${texts.join(", ")})`;
  };
}

/** Bytes as Python writes them; NumPy takes zeros at the end of text for padding. */
function bytesText(bytes: Uint8Array, raw: boolean): string {
  if (raw) {
    const digits = bytes.slice().toHex().toUpperCase();
    return `b'${digits.replace(/../g, "\\x$&")}'`;
  }
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const text = Array.from(bytes.subarray(0, end), (byte) => String.fromCharCode(byte)).join("");
  const escaped = (character: string) => `\\x${character.charCodeAt(0).toString(16)}`;
  return `b${repr(text).replace(/[\x80-\xff]/g, escaped)}`;
}

/** The element of an array without axes. */
function formatAlone(element: AnyElement, { shape, kind }: DType): string {
  if (kind === "c" && shape.kind === "array") {
    const round = roundOf(shape.element)!;
    const [re, im] = element as [number, number];
    const imaginary = floatText(im, round, true);
    if (Object.is(re, 0)) return `${imaginary}j`;
    return `(${floatText(re, round, true)}${/^[-]/.test(imaginary) ? "" : "+"}${imaginary}j)`;
  }
  const round = roundOf(shape);
  if (round !== undefined) return floatText(element as number, round);
  if (typeof element === "boolean") return element ? "True" : "False";
  if (typeof element === "string") return element;
  if (shape.kind === "scalar") return `${element}`;
  return formatFor([element], shape, kind)(element);
}
