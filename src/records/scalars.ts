/**
 * How single values are read and written, a table with one row of functions for each type.
 *
 * The rows look alike on purpose. Engines collect types at each function's text: functions made at
 * one place for all types would see all types, and a loop that calls them would be slow in programs
 * with more than one type of field. With a text for each type a loop over a field compiles to loads.
 */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import type { ScalarType, ScalarTypes } from "./field_types.ts";
import type { Window } from "./window.ts";

/** Reads the value at a place of a view. */
type Get<T> = (view: DataView, place: number, littleEndian: boolean) => T;
/** Writes a value that fits. */
type Set<T> = (view: DataView, place: number, value: T, littleEndian: boolean) => void;
/**
 * Makes a function that does something with the values at `at` bytes into a window's elements, which
 * are little-endian.
 */
type Make<F> = (w: Window, at: number) => F;

/** Adds up `count` values that are `step` bytes apart, little-endian. */
type Sum = (view: DataView, place: number, step: number, count: number) => number;

/** What can be done with the values of a type. */
export interface Scalar<T> {
  readonly get: Get<T>;
  readonly set: Set<T>;
  /** Makes a function that reads from the chosen element. */
  readonly readHere: Make<() => T>;
  /** Makes a function that writes to the chosen element. */
  readonly writeHere: Make<(value: T) => void>;
  /** Makes a function that reads from any element. */
  readonly readAt: Make<(index: number) => T>;
  /** Makes a function that writes to any element. */
  readonly writeAt: Make<(index: number, value: T) => void>;
  /** Missing for types that hold bigints. */
  readonly sum?: Sum;
}

// A page that was lost holds zeros: only where one is read has to be asked whether it is true. A store
// is asked about always, in a way that is cheap because no engine keeps a value over a store.

// What may be written. Some throw a TypeError for what is not even a number.
const fitsU8 = (v: number) => (v & 0xff) === v;
const fitsI8 = (v: number) => (v << 24 >> 24) === v;
const fitsU16 = (v: number) => (v & 0xffff) === v;
const fitsI16 = (v: number) => (v << 16 >> 16) === v;
const fitsU32 = (v: number) => (v >>> 0) === v;
const fitsI32 = (v: number) => (v | 0) === v;
const fitsU64 = (v: bigint) => typeof v === "bigint" && BigInt.asUintN(64, v) === v;
const fitsI64 = (v: bigint) => typeof v === "bigint" && BigInt.asIntN(64, v) === v;
const fitsF16 = (v: number) => typeof v === "number";
const fitsF32 = (v: number) => typeof v === "number";
const fitsF64 = (v: number) => typeof v === "number";
const fitsBool = (v: boolean) => typeof v === "boolean";

// A table: one line for each function.
// deno-fmt-ignore
const table: { readonly [K in ScalarType]: Scalar<ScalarTypes[K]> } = {
  u8: {
    get: (view, at) => view.getUint8(at),
    set: (view, at, v) => view.setUint8(at, v),
    readHere: (w, at) => function read() { try { const v = w.view.getUint8(w.here[0]! + at); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsU8(v) ? w.here[0]! + at : -1e9; w.view.setUint8(p, v); if (w.touched) w.soundHere("write"); } catch (e) { check("u8", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getUint8(p); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsU8(v) ? w.place(i) + at : -1e9; w.view.setUint8(p, v); if (w.touched) w.sound("write", i); } catch (e) { check("u8", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getUint8(p); return s; },
  },
  i8: {
    get: (view, at) => view.getInt8(at),
    set: (view, at, v) => view.setInt8(at, v),
    readHere: (w, at) => function read() { try { const v = w.view.getInt8(w.here[0]! + at); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsI8(v) ? w.here[0]! + at : -1e9; w.view.setInt8(p, v); if (w.touched) w.soundHere("write"); } catch (e) { check("i8", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getInt8(p); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsI8(v) ? w.place(i) + at : -1e9; w.view.setInt8(p, v); if (w.touched) w.sound("write", i); } catch (e) { check("i8", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getInt8(p); return s; },
  },
  u16: {
    get: (view, at, le) => view.getUint16(at, le),
    set: (view, at, v, le) => view.setUint16(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getUint16(w.here[0]! + at, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsU16(v) ? w.here[0]! + at : -1e9; w.view.setUint16(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("u16", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getUint16(p, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsU16(v) ? w.place(i) + at : -1e9; w.view.setUint16(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("u16", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getUint16(p, true); return s; },
  },
  i16: {
    get: (view, at, le) => view.getInt16(at, le),
    set: (view, at, v, le) => view.setInt16(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getInt16(w.here[0]! + at, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsI16(v) ? w.here[0]! + at : -1e9; w.view.setInt16(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("i16", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getInt16(p, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsI16(v) ? w.place(i) + at : -1e9; w.view.setInt16(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("i16", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getInt16(p, true); return s; },
  },
  u32: {
    get: (view, at, le) => view.getUint32(at, le),
    set: (view, at, v, le) => view.setUint32(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getUint32(w.here[0]! + at, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsU32(v) ? w.here[0]! + at : -1e9; w.view.setUint32(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("u32", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getUint32(p, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsU32(v) ? w.place(i) + at : -1e9; w.view.setUint32(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("u32", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getUint32(p, true); return s; },
  },
  i32: {
    get: (view, at, le) => view.getInt32(at, le),
    set: (view, at, v, le) => view.setInt32(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getInt32(w.here[0]! + at, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsI32(v) ? w.here[0]! + at : -1e9; w.view.setInt32(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("i32", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getInt32(p, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsI32(v) ? w.place(i) + at : -1e9; w.view.setInt32(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("i32", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getInt32(p, true); return s; },
  },
  u64: {
    get: (view, at, le) => view.getBigUint64(at, le),
    set: (view, at, v, le) => view.setBigUint64(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getBigUint64(w.here[0]! + at, true); if (v === 0n && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsU64(v) ? w.here[0]! + at : -1e9; w.view.setBigUint64(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("u64", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getBigUint64(p, true); if (v === 0n && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsU64(v) ? w.place(i) + at : -1e9; w.view.setBigUint64(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("u64", v); w.recover("write", e, i); write(i, v); } },
  },
  i64: {
    get: (view, at, le) => view.getBigInt64(at, le),
    set: (view, at, v, le) => view.setBigInt64(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getBigInt64(w.here[0]! + at, true); if (v === 0n && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsI64(v) ? w.here[0]! + at : -1e9; w.view.setBigInt64(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("i64", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getBigInt64(p, true); if (v === 0n && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsI64(v) ? w.place(i) + at : -1e9; w.view.setBigInt64(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("i64", v); w.recover("write", e, i); write(i, v); } },
  },
  f16: {
    get: (view, at, le) => view.getFloat16(at, le),
    set: (view, at, v, le) => view.setFloat16(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getFloat16(w.here[0]! + at, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsF16(v) ? w.here[0]! + at : -1e9; w.view.setFloat16(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("f16", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getFloat16(p, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsF16(v) ? w.place(i) + at : -1e9; w.view.setFloat16(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("f16", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getFloat16(p, true); return s; },
  },
  f32: {
    get: (view, at, le) => view.getFloat32(at, le),
    set: (view, at, v, le) => view.setFloat32(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getFloat32(w.here[0]! + at, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsF32(v) ? w.here[0]! + at : -1e9; w.view.setFloat32(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("f32", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getFloat32(p, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsF32(v) ? w.place(i) + at : -1e9; w.view.setFloat32(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("f32", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getFloat32(p, true); return s; },
  },
  f64: {
    get: (view, at, le) => view.getFloat64(at, le),
    set: (view, at, v, le) => view.setFloat64(at, v, le),
    readHere: (w, at) => function read() { try { const v = w.view.getFloat64(w.here[0]! + at, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsF64(v) ? w.here[0]! + at : -1e9; w.view.setFloat64(p, v, true); if (w.touched) w.soundHere("write"); } catch (e) { check("f64", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getFloat64(p, true); if (v === 0 && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsF64(v) ? w.place(i) + at : -1e9; w.view.setFloat64(p, v, true); if (w.touched) w.sound("write", i); } catch (e) { check("f64", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getFloat64(p, true); return s; },
  },
  bool: {
    get: (view, at) => view.getUint8(at) !== 0,
    set: (view, at, v) => view.setUint8(at, v ? 1 : 0),
    readHere: (w, at) => function read() { try { const v = w.view.getUint8(w.here[0]! + at) !== 0; if (!v && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.soundHere("read"); return v; } catch (e) { w.recoverHere("read", e); return read(); } },
    writeHere: (w, at) => function write(v) { try { const p = w.writable && fitsBool(v) ? w.here[0]! + at : -1e9; w.view.setUint8(p, v ? 1 : 0); if (w.touched) w.soundHere("write"); } catch (e) { check("bool", v); w.recoverHere("write", e); write(v); } },
    readAt: (w, at) => function read(i) { try { const p = w.place(i) + at; const v = w.view.getUint8(p) !== 0; if (!v && (w.asked[0] = w.mapping.touched[0]!) !== 0) w.sound("read", i); return v; } catch (e) { w.recover("read", e, i); return read(i); } },
    writeAt: (w, at) => function write(i, v) { try { const p = w.writable && fitsBool(v) ? w.place(i) + at : -1e9; w.view.setUint8(p, v ? 1 : 0); if (w.touched) w.sound("write", i); } catch (e) { check("bool", v); w.recover("write", e, i); write(i, v); } },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getUint8(p); return s; },
  },
};

const allowed: Readonly<Record<ScalarType, string>> = {
  u8: "a whole number from 0 to 255",
  i8: "a whole number from -128 to 127",
  u16: "a whole number from 0 to 65535",
  i16: "a whole number from -32768 to 32767",
  u32: "a whole number from 0 to 4294967295",
  i32: "a whole number from -2147483648 to 2147483647",
  u64: "a bigint from 0n to 18446744073709551615n",
  i64: "a bigint from -9223372036854775808n to 9223372036854775807n",
  f16: "a number",
  f32: "a number",
  f64: "a number",
  bool: "true or false",
};

// deno-lint-ignore no-explicit-any -- each takes the values of its own type only
const fits: Readonly<Record<ScalarType, (value: any) => boolean>> = {
  u8: fitsU8,
  i8: fitsI8,
  u16: fitsU16,
  i16: fitsI16,
  u32: fitsU32,
  i32: fitsI32,
  u64: fitsU64,
  i64: fitsI64,
  f16: fitsF16,
  f32: fitsF32,
  f64: fitsF64,
  bool: fitsBool,
};

/** What can be done with the values of a type. */
export function scalar<K extends ScalarType>(type: K): Scalar<ScalarTypes[K]> {
  return table[type];
}

/**
 * Throws unless a value fits into a type.
 *
 * @param field The field, for the message, or none.
 */
export function check(type: ScalarType, value: unknown, field?: string): void {
  try {
    if (fits[type](value)) return;
  } catch (error) {
    // Bitwise operators throw it for numbers where bigints belong, and for bigints where not.
    if (!(error instanceof TypeError)) throw error;
  }
  const target = field === undefined ? type : `field ${show(field)} of type ${type}`;
  throw new MMapInvalidParameterError(
    `Cannot write ${show(value)} to ${target}: it must be ${allowed[type]}`,
  );
}
