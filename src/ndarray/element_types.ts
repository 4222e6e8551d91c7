/** The TypeScript types that follow from a dtype's spelling. */
import type { RecordInput, RecordOf } from "../records/field_types.ts";
import type { RecordType } from "../records/record_type.ts";
import type { AnyTypedArray } from "../records/typed.ts";

/** A complex number: its real and its imaginary part. */
export type Complex = [re: number, im: number];

/**
 * What a dtype can be given as: a spelling of NumPy's, such as `"<f4"`, `"float32"`, `">i2"`, `"S8"`,
 * or a record type.
 */
// deno-lint-ignore no-explicit-any -- a record of any fields
export type DTypeLike = string | RecordType<any>;

/** The mark before a dtype that tells the byte order: little, big, the machine's, or none. */
export type ByteOrderMark = "" | "<" | ">" | "=" | "|";

/** An element of any dtype. */
export type AnyElement =
  | number
  | bigint
  | boolean
  | Complex
  | Uint8Array
  | string
  | Record<string, unknown>;

/** What an element of a dtype is; {@link AnyElement} if TypeScript cannot know. */
export type ElementOf<D> = D extends RecordType<infer F> ? RecordOf<F>
  : D extends `${ByteOrderMark}${"?" | "b1" | "bool"}` ? boolean
  : D extends `${ByteOrderMark}${"i8" | "u8" | "int64" | "uint64"}` ? bigint
  : D extends `${ByteOrderMark}${"i1" | "i2" | "i4" | "u1" | "u2" | "u4" | "f2" | "f4" | "f8"}`
    ? number
  : D extends `${ByteOrderMark}${"" | "u"}int${8 | 16 | 32}` ? number
  : D extends `${ByteOrderMark}float${16 | 32 | 64}` ? number
  : D extends `${ByteOrderMark}${"c8" | "c16" | "complex64" | "complex128"}` ? Complex
  : AnyElement;

/** What can be written to an element of a dtype. */
export type ElementInput<D> = D extends RecordType<infer F> ? RecordInput<F> : ElementOf<D>;

/** The typed array that elements of a dtype lie in: bytes for `bool`, two numbers for complex ones. */
export type DataOf<D> = D extends `${ByteOrderMark}${"f8" | "float64" | "c16" | "complex128"}`
  ? Float64Array
  : D extends `${ByteOrderMark}${"f4" | "float32" | "c8" | "complex64"}` ? Float32Array
  : D extends `${ByteOrderMark}${"f2" | "float16"}` ? Float16Array
  : D extends `${ByteOrderMark}${"u1" | "uint8" | "?" | "b1" | "bool"}` ? Uint8Array
  : D extends `${ByteOrderMark}${"i1" | "int8"}` ? Int8Array
  : D extends `${ByteOrderMark}${"u2" | "uint16"}` ? Uint16Array
  : D extends `${ByteOrderMark}${"i2" | "int16"}` ? Int16Array
  : D extends `${ByteOrderMark}${"u4" | "uint32"}` ? Uint32Array
  : D extends `${ByteOrderMark}${"i4" | "int32"}` ? Int32Array
  : D extends `${ByteOrderMark}${"u8" | "uint64"}` ? BigUint64Array
  : D extends `${ByteOrderMark}${"i8" | "int64"}` ? BigInt64Array
  : AnyTypedArray;
