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

// Every row is a question of nanoseconds, in both engines (bench/arrays.ts has the loops):
// - The good case is a try block without calls, and what it lacks is done slowly, or refused, behind it.
//   V8 moves checks out of a loop only if nothing leaves it, not even to say what was never seen yet.
// - What may be written is checked in place, because a function would be one more for V8 to inline, and it
//   stops at some 900 bytes of bytecode in a loop: at five accesses. A constant outside would be asked
//   whether it is there already; so would PROT_WRITE, which is 2 on every system.
// - A page that was lost holds zeros: where one is read has to be asked whether it is true, and after every
//   store. In V8 every value is doubted: a loop that met no zero yet would keep a way out for the first
//   one, and with it every check in every round. `lost` is the same question for stores; Bun would not
//   inline it for loads.

// A table: one line for each function.
// deno-fmt-ignore
const table: { readonly [K in ScalarType]: Scalar<ScalarTypes[K]> } = {
  u8: {
    get: (view, at) => view.getUint8(at),
    set: (view, at, v) => view.setUint8(at, v),
    readHere: (w, at) => () => { try { const v = w.view.getUint8(w.here[0]! + at); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("u8", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && (v & 0xff) === v ? near : -1e9; w.view.setUint8(p, v); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("u8", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getUint8(w.place(i) + at); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("u8", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && (v & 0xff) === v ? near : -1e9; w.view.setUint8(p, v); if (!w.lost) return; } catch { /* slowly */ } slowWrite("u8", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getUint8(p); return s; },
  },
  i8: {
    get: (view, at) => view.getInt8(at),
    set: (view, at, v) => view.setInt8(at, v),
    readHere: (w, at) => () => { try { const v = w.view.getInt8(w.here[0]! + at); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("i8", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && (v << 24 >> 24) === v ? near : -1e9; w.view.setInt8(p, v); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("i8", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getInt8(w.place(i) + at); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("i8", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && (v << 24 >> 24) === v ? near : -1e9; w.view.setInt8(p, v); if (!w.lost) return; } catch { /* slowly */ } slowWrite("i8", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getInt8(p); return s; },
  },
  u16: {
    get: (view, at, le) => view.getUint16(at, le),
    set: (view, at, v, le) => view.setUint16(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getUint16(w.here[0]! + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("u16", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && (v & 0xffff) === v ? near : -1e9; w.view.setUint16(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("u16", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getUint16(w.place(i) + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("u16", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && (v & 0xffff) === v ? near : -1e9; w.view.setUint16(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("u16", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getUint16(p, true); return s; },
  },
  i16: {
    get: (view, at, le) => view.getInt16(at, le),
    set: (view, at, v, le) => view.setInt16(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getInt16(w.here[0]! + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("i16", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && (v << 16 >> 16) === v ? near : -1e9; w.view.setInt16(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("i16", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getInt16(w.place(i) + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("i16", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && (v << 16 >> 16) === v ? near : -1e9; w.view.setInt16(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("i16", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getInt16(p, true); return s; },
  },
  u32: {
    get: (view, at, le) => view.getUint32(at, le),
    set: (view, at, v, le) => view.setUint32(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getUint32(w.here[0]! + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("u32", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && (v >>> 0) === v ? near : -1e9; w.view.setUint32(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("u32", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getUint32(w.place(i) + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("u32", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && (v >>> 0) === v ? near : -1e9; w.view.setUint32(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("u32", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getUint32(p, true); return s; },
  },
  i32: {
    get: (view, at, le) => view.getInt32(at, le),
    set: (view, at, v, le) => view.setInt32(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getInt32(w.here[0]! + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("i32", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && (v | 0) === v ? near : -1e9; w.view.setInt32(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("i32", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getInt32(w.place(i) + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("i32", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && (v | 0) === v ? near : -1e9; w.view.setInt32(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("i32", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getInt32(p, true); return s; },
  },
  u64: {
    get: (view, at, le) => view.getBigUint64(at, le),
    set: (view, at, v, le) => view.setBigUint64(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getBigUint64(w.here[0]! + at, true); if (!((w.v8 || v === 0n) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("u64", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "bigint" && BigInt.asUintN(64, v) === v ? near : -1e9; w.view.setBigUint64(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("u64", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getBigUint64(w.place(i) + at, true); if (!((w.v8 || v === 0n) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("u64", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "bigint" && BigInt.asUintN(64, v) === v ? near : -1e9; w.view.setBigUint64(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("u64", w, at, i, v); },
  },
  i64: {
    get: (view, at, le) => view.getBigInt64(at, le),
    set: (view, at, v, le) => view.setBigInt64(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getBigInt64(w.here[0]! + at, true); if (!((w.v8 || v === 0n) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("i64", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "bigint" && BigInt.asIntN(64, v) === v ? near : -1e9; w.view.setBigInt64(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("i64", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getBigInt64(w.place(i) + at, true); if (!((w.v8 || v === 0n) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("i64", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "bigint" && BigInt.asIntN(64, v) === v ? near : -1e9; w.view.setBigInt64(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("i64", w, at, i, v); },
  },
  f16: {
    get: (view, at, le) => view.getFloat16(at, le),
    set: (view, at, v, le) => view.setFloat16(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getFloat16(w.here[0]! + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("f16", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "number" ? near : -1e9; w.view.setFloat16(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("f16", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getFloat16(w.place(i) + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("f16", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "number" ? near : -1e9; w.view.setFloat16(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("f16", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getFloat16(p, true); return s; },
  },
  f32: {
    get: (view, at, le) => view.getFloat32(at, le),
    set: (view, at, v, le) => view.setFloat32(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getFloat32(w.here[0]! + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("f32", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "number" ? near : -1e9; w.view.setFloat32(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("f32", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getFloat32(w.place(i) + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("f32", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "number" ? near : -1e9; w.view.setFloat32(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("f32", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getFloat32(p, true); return s; },
  },
  f64: {
    get: (view, at, le) => view.getFloat64(at, le),
    set: (view, at, v, le) => view.setFloat64(at, v, le),
    readHere: (w, at) => () => { try { const v = w.view.getFloat64(w.here[0]! + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("f64", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "number" ? near : -1e9; w.view.setFloat64(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("f64", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getFloat64(w.place(i) + at, true); if (!((w.v8 || v === 0) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("f64", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "number" ? near : -1e9; w.view.setFloat64(p, v, true); if (!w.lost) return; } catch { /* slowly */ } slowWrite("f64", w, at, i, v); },
    sum: (view, p, step, n) => { let s = 0; for (; n > 0; n--, p += step) s += view.getFloat64(p, true); return s; },
  },
  bool: {
    get: (view, at) => view.getUint8(at) !== 0,
    set: (view, at, v) => view.setUint8(at, v ? 1 : 0),
    readHere: (w, at) => () => { try { const v = w.view.getUint8(w.here[0]! + at) !== 0; if (!((w.v8 || !v) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowReadHere("bool", w, at); },
    writeHere: (w, at) => (v) => { try { const near = w.here[0]! + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "boolean" ? near : -1e9; w.view.setUint8(p, v ? 1 : 0); if (!w.lost) return; } catch { /* slowly */ } slowWriteHere("bool", w, at, v); },
    readAt: (w, at) => (i) => { try { const v = w.view.getUint8(w.place(i) + at) !== 0; if (!((w.v8 || !v) && w.intact[w.asked[0] = w.mapping.touched[0]!] === undefined)) return v; } catch { /* slowly */ } return slowRead("bool", w, at, i); },
    writeAt: (w, at) => (i, v) => { try { const near = w.place(i) + at; const p = (w.mapping.prot & 2) !== 0 && typeof v === "boolean" ? near : -1e9; w.view.setUint8(p, v ? 1 : 0); if (!w.lost) return; } catch { /* slowly */ } slowWrite("bool", w, at, i, v); },
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

// What may be written, as in the table. Some throw a TypeError for what is not even a number.
// deno-lint-ignore no-explicit-any -- each takes the values of its own type only
const fits: Readonly<Record<ScalarType, (value: any) => boolean>> = {
  u8: (v) => (v & 0xff) === v,
  i8: (v) => (v << 24 >> 24) === v,
  u16: (v) => (v & 0xffff) === v,
  i16: (v) => (v << 16 >> 16) === v,
  u32: (v) => (v >>> 0) === v,
  i32: (v) => (v | 0) === v,
  u64: (v) => typeof v === "bigint" && BigInt.asUintN(64, v) === v,
  i64: (v) => typeof v === "bigint" && BigInt.asIntN(64, v) === v,
  f16: (v) => typeof v === "number",
  f32: (v) => typeof v === "number",
  f64: (v) => typeof v === "number",
  bool: (v) => typeof v === "boolean",
};

/** Reads from an element, brought into view if need be. Throws the reason if it cannot. */
function slowRead<K extends ScalarType>(
  type: K,
  w: Window,
  at: number,
  index: number,
): ScalarTypes[K] {
  const place = w.readable(index);
  const value = table[type].get(w.view, place + at, true);
  w.sound("read", index);
  return value;
}

/** {@link slowRead} from the chosen element. */
function slowReadHere<K extends ScalarType>(type: K, w: Window, at: number): ScalarTypes[K] {
  return slowRead(type, w, at, w.chosen());
}

/** Writes to an element, brought into view if need be. Throws the reason if it cannot. */
function slowWrite<K extends ScalarType>(
  type: K,
  w: Window,
  at: number,
  index: number,
  value: ScalarTypes[K],
): void {
  check(type, value);
  const place = w.writeable(index);
  table[type].set(w.view, place + at, value, true);
  w.sound("write", index);
}

/** {@link slowWrite} to the chosen element. */
function slowWriteHere<K extends ScalarType>(
  type: K,
  w: Window,
  at: number,
  value: ScalarTypes[K],
): void {
  slowWrite(type, w, at, w.chosen(), value);
}

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
