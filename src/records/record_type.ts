/** `defineRecord()`: from the description of a record to its layout and its type. */
import { checkInteger, checkRange, readOptions, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { MemoryMap } from "../memory_map.ts";
import { asBytes } from "../memory_operations.ts";
import { type Decode, decoderOf, type Encode, encoderOf } from "./codec.ts";
import type { RecordFields, RecordInput, RecordOf } from "./field_types.ts";
import { layOut, type LayoutOptions, type RecordShape } from "./layout.ts";
import { RecordArray } from "./record_array.ts";

/** Options of {@link defineRecord}. */
export interface RecordOptions {
  /**
   * Put each field right behind the one before, as Python's `struct` does with `<` and `>`, and C with
   * `#pragma pack(1)`. Default false: padding as C compilers put it on 64-bit systems.
   */
  packed?: boolean;
  /** The order of the bytes in numbers. Default `"little"`. */
  endian?: "little" | "big";
}

/** A field and its place in a record. */
export interface RecordField {
  /** The field's name. */
  readonly name: string;
  /** Bytes from the start of the record. */
  readonly offset: number;
  /** Bytes of the field. */
  readonly byteLength: number;
}

const shapes = new WeakMap<object, RecordShape>();

/** The layout of a record type; undefined for any other object. */
export function shapeOfType(type: object): RecordShape | undefined {
  return shapes.get(type);
}

/**
 * The layout of a record, made by {@link defineRecord}.
 *
 * @example
 * ```ts
 * import { defineRecord } from "@mman/mman/records";
 * import { assertEquals } from "@std/assert";
 *
 * const Tick = defineRecord({ index: "u32", value: "f64" });
 * assertEquals(Tick.byteLength, 16); // as in C: 4 bytes of padding before the double
 * assertEquals(Tick.fields.map(({ offset }) => offset), [0, 8]);
 * ```
 */
export class RecordType<F> {
  /** The fields in the order of their bytes. */
  readonly fields: readonly RecordField[];
  /** Bytes of a record. */
  readonly byteLength: number;
  /** What C would align a record to; 1 if packed. */
  readonly alignment: number;
  readonly #shape: RecordShape;
  #decode: Decode | undefined;
  #encode: Encode | undefined;

  /** Use {@link defineRecord}. */
  constructor(shape: RecordShape) {
    this.#shape = shape;
    this.fields = shape.fields.map(({ name, offset, shape: { byteLength } }) => ({
      name,
      offset,
      byteLength,
    }));
    this.byteLength = shape.byteLength;
    this.alignment = shape.alignment;
    shapes.set(this, shape);
  }

  /**
   * The records of a map, zero copy.
   *
   * @param map Where they are.
   * @param byteOffset Bytes from the start of the map to the first record, any. Default 0.
   * @param length Records. Default: as many as are whole up to the end of the map.
   * @throws {MMapInvalidParameterError} If a record overruns the map: `length` of them, or the only one
   * that begins.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { defineRecord } from "@mman/mman/records";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(1200);
   * const ticks = defineRecord({ index: "u32", value: "f64" }, { packed: true }).over(map);
   * assertEquals(ticks.length, 100);
   * ticks.set(99, { index: 7, value: 0.5 });
   * assertEquals(map.asDataView().getUint32(99 * 12, true), 7);
   * ```
   */
  over(map: MemoryMap, byteOffset: number = 0, length?: number): RecordArray<F> {
    if (!(map instanceof MemoryMap)) {
      throw new MMapInvalidParameterError(
        `Cannot find records in ${show(map)}: give a MemoryMap`,
      );
    }
    // A check of the map's state and of the offset, with the map's own messages.
    map.asDataView(byteOffset, 0);
    const left = map.size - byteOffset;
    const size = this.byteLength;
    const count = length ?? (left > 0 ? Math.max(1, Math.floor(left / size)) : 0);
    checkInteger("a length in records", count, 0);
    if (count * size > left) {
      throw new MMapInvalidParameterError(
        `Cannot find ${count} records of ${size} bytes at offset ${byteOffset}: the map has ` +
          `${left} bytes from there`,
      );
    }
    return new RecordArray<F>(this, this.#shape, map, byteOffset, count);
  }

  /**
   * A record as bytes, as Python's `struct.pack` gives it. Padding is zero.
   *
   * @param record An object with all the fields, and no others.
   * @throws {MMapInvalidParameterError} If a field is missing, does not fit, or is none of the record's.
   *
   * @example
   * ```ts
   * import { defineRecord } from "@mman/mman/records";
   * import { assertEquals } from "@std/assert";
   *
   * const Pixel = defineRecord({ x: "u16", color: ["u8", 3] }, { packed: true, endian: "big" });
   * assertEquals(Pixel.encode({ x: 258, color: [9, 8, 7] }), Uint8Array.of(1, 2, 9, 8, 7));
   * ```
   */
  encode(record: RecordInput<F>): Uint8Array<ArrayBuffer> {
    this.#encode ??= encoderOf(this.#shape);
    const view = new DataView(new ArrayBuffer(this.byteLength));
    this.#encode(view, 0, record);
    return new Uint8Array(view.buffer);
  }

  /**
   * The record at a place of some bytes, as Python's `struct.unpack_from` gives it.
   *
   * @param bytes Any view.
   * @param byteOffset Bytes from the start of the view. Default 0.
   * @throws {MMapInvalidParameterError} If the record overruns the view, or would take more than 1 GiB of the
   * heap.
   *
   * @example
   * ```ts
   * import { defineRecord } from "@mman/mman/records";
   * import { assertEquals } from "@std/assert";
   *
   * const Pixel = defineRecord({ x: "u16", y: "u16" });
   * assertEquals(Pixel.decode(Uint8Array.of(0, 1, 0, 2, 0), 1), { x: 1, y: 2 });
   * ```
   */
  decode(bytes: ArrayBufferView, byteOffset: number = 0): RecordOf<F> {
    const { buffer, byteOffset: start, byteLength } = asBytes(bytes);
    checkRange("decode", byteOffset, this.byteLength, byteLength);
    this.#decode ??= decoderOf(this.#shape);
    const view = new DataView(buffer, start, byteLength);
    return this.#decode(view, byteOffset) as RecordOf<F>;
  }
}

/**
 * Describes records of a fixed size by the names and types of their fields. The TypeScript type of a
 * record follows from it.
 *
 * Field types: `u8 i8 u16 i16 u32 i32 f16 f32 f64` (numbers), `u64 i64` (bigints), `bool`; `[type, n]`
 * for n values, `"bytes:N"` for bytes, `"utf8:N"` and `"utf32:N"` for text; a record type, or the
 * fields of one, for a record in the record.
 *
 * @param fields The type of each field by name, in the order of their bytes.
 * @param options Padding and byte order.
 * @throws {MMapInvalidParameterError} If a type is unknown or a name cannot be used.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { defineRecord } from "@mman/mman/records";
 * import { assertEquals } from "@std/assert";
 *
 * const Point = defineRecord({ x: "f32", y: "f32" });
 * const Trade = defineRecord({
 *   time: "i64", // a bigint
 *   symbol: "utf8:8",
 *   at: Point,
 *   levels: ["u16", 4],
 * });
 * using map = MemoryMap.createAnonymous(Trade.byteLength * 1000);
 * const trades = Trade.over(map);
 * const trade = { time: 1n, symbol: "ABC", at: { x: 1, y: 2 }, levels: [1, 2, 3, 4] };
 * trades.set(3, trade);
 * assertEquals(trades.get(3), trade);
 * ```
 */
export function defineRecord<const F extends RecordFields>(
  fields: F,
  options: RecordOptions = {},
): RecordType<F> {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    throw new MMapInvalidParameterError(
      `Cannot define a record by ${show(fields)}: give an object of names and types, such as ` +
        '{ index: "u32", value: "f64" }',
    );
  }
  const how = readOptions("defineRecord", options, ["packed", "endian"]);
  return new RecordType<F>(layOut(fields, how as LayoutOptions, shapeOfType));
}
