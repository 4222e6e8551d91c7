/**
 * What may stand in the description of a record, and the TypeScript types that follow from it: of a
 * record as an object, of a field, and of what lies behind a path into a record.
 */
import type { FieldArray } from "./field_array.ts";
import type { RecordType } from "./record_type.ts";

/** The types of fields that hold one value, and that value in TypeScript. */
export interface ScalarTypes {
  /** One byte, 0 to 255. */
  u8: number;
  /** One byte, -128 to 127. */
  i8: number;
  /** Two bytes, 0 to 65535. */
  u16: number;
  /** Two bytes, -32768 to 32767. */
  i16: number;
  /** Four bytes, 0 to 4294967295. */
  u32: number;
  /** Four bytes, -2147483648 to 2147483647. */
  i32: number;
  /** Eight bytes, 0 to 18446744073709551615. */
  u64: bigint;
  /** Eight bytes, -9223372036854775808 to 9223372036854775807. */
  i64: bigint;
  /** Two bytes, IEEE 754 half precision. */
  f16: number;
  /** Four bytes, IEEE 754 single precision. */
  f32: number;
  /** Eight bytes, IEEE 754 double precision. */
  f64: number;
  /** One byte; any but 0 reads as true. */
  bool: boolean;
}

/** A type of field that holds one value. */
export type ScalarType = keyof ScalarTypes;

/**
 * The type of a field:
 *
 * - a {@link ScalarType}, such as `"u32"`;
 * - `"bytes:N"`: N bytes as they are;
 * - `"utf8:N"`: text of at most N bytes in UTF-8, ended by a zero byte if it is shorter;
 * - `"utf32:N"`: text of at most N code points of four bytes each, as NumPy keeps text;
 * - `[type, N]`: N values, one after the other;
 * - a record within the record: a {@link RecordType}, or its fields.
 */
export type FieldType =
  | ScalarType
  | `bytes:${number}`
  | `utf8:${number}`
  | `utf32:${number}`
  | readonly [FieldType, number]
  // deno-lint-ignore no-explicit-any -- a record of any fields
  | RecordType<any>
  | RecordFields;

/** The fields of a record by name, in the order of their bytes. */
export interface RecordFields {
  /** The field's type. */
  readonly [name: string]: FieldType;
}

/** What a field of a type holds, as a value of its own. */
export type FieldValue<T> = T extends ScalarType ? ScalarTypes[T]
  : T extends `bytes:${number}` ? Uint8Array
  : T extends `utf8:${number}` | `utf32:${number}` ? string
  : T extends readonly [infer E, number] ? FieldValue<E>[]
  : T extends RecordType<infer F> ? RecordOf<F>
  : T extends RecordFields ? RecordOf<T>
  : never;

/** A record as an object. */
export type RecordOf<F> = { -readonly [K in keyof F]: FieldValue<F[K]> };

/** What may be written to a field of a type. */
export type FieldInput<T> = T extends `bytes:${number}` ? ArrayLike<number>
  : T extends readonly [infer E, number] ? ArrayLike<FieldInput<E>>
  : T extends RecordType<infer F> ? RecordInput<F>
  : T extends ScalarType | string ? FieldValue<T>
  : T extends RecordFields ? RecordInput<T>
  : never;

/** An object that can be written as a record. */
export type RecordInput<F> = { readonly [K in keyof F]: FieldInput<F[K]> };

/** A field of a record that is looked at in place. */
export type FieldView<T> = T extends readonly [infer E, number] ? FieldArray<E>
  : T extends RecordType<infer F> ? RecordView<F>
  : T extends RecordFields ? RecordView<T>
  : FieldValue<T>;

/** A record that is looked at in place: every field reads and writes the bytes of the map. */
export type RecordView<F> = { -readonly [K in keyof F]: FieldView<F[K]> };

/** Names and indices that lead into a record, such as `["position", "x"]` or `["samples", 3]`. */
export type FieldPath = readonly (string | number)[];

/** The type of field at the end of a path into a type of field, or into fields. */
export type FieldAt<T, P extends FieldPath> = P extends readonly [
  infer H,
  ...infer R extends FieldPath,
] ? T extends RecordType<infer F> ? H extends keyof F ? FieldAt<F[H], R> : never
  : T extends readonly [infer E, number] ? H extends number ? FieldAt<E, R> : never
  : H extends keyof T ? FieldAt<T[H], R>
  : never
  : T;
