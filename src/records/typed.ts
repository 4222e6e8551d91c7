/** Typed arrays over the values of a map, where their layout allows it. */
import { MMapInvalidParameterError } from "../errors.ts";
import type { MemoryMap, TypedArrayConstructor } from "../memory_map.ts";
import type { ScalarType } from "./field_types.ts";
import type { ScalarShape, Shape } from "./layout.ts";

/** A typed array of any class. */
export type AnyTypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float16Array
  | Float32Array
  | Float64Array;

/** The class of typed arrays that holds values of a type; bytes 0 and 1 for `bool`. */
export const TYPED_ARRAYS: Readonly<Record<ScalarType, TypedArrayConstructor<AnyTypedArray>>> = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f16: Float16Array,
  f32: Float32Array,
  f64: Float64Array,
  bool: Uint8Array,
};

/** A typed array of zeros for values of a type. */
export function newTypedArray(shape: ScalarShape, length: number): AnyTypedArray {
  const type = TYPED_ARRAYS[shape.scalar] as unknown as new (length: number) => AnyTypedArray;
  return new type(length);
}

/** Whether this machine puts the low byte of a number first, as every current one does. */
export const MACHINE_LITTLE_ENDIAN: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Whether the bytes of values of a layout are as a typed array has them. */
export function isNative(shape: Shape): boolean {
  return shape.kind === "scalar" &&
    (shape.byteLength === 1 || shape.littleEndian === MACHINE_LITTLE_ENDIAN);
}

/**
 * Values of a map as a typed array.
 *
 * @param shape The layout of one value.
 * @param byteOffset Bytes from the start of the map.
 * @param length Values.
 * @throws {MMapInvalidParameterError} If they are no numbers, in the other byte order, not aligned, or
 * not in the map.
 */
export function typedView(
  map: MemoryMap,
  shape: Shape,
  byteOffset: number,
  length: number,
): AnyTypedArray {
  if (shape.kind !== "scalar") {
    throw new MMapInvalidParameterError(
      "Cannot view values that are no plain numbers as a typed array: read them one by one",
    );
  }
  if (!isNative(shape)) {
    throw new MMapInvalidParameterError(
      `Cannot view ${
        shape.littleEndian ? "little" : "big"
      }-endian numbers as a typed array: this ` +
        "machine has the other byte order; read them one by one, or copy them",
    );
  }
  const type = TYPED_ARRAYS[shape.scalar];
  if (map.isValid && (map.addr + BigInt(byteOffset)) % BigInt(shape.byteLength) !== 0n) {
    throw new MMapInvalidParameterError(
      `Cannot view numbers at offset ${map.offset + byteOffset} as ${type.name}: it is not a ` +
        `multiple of ${shape.byteLength} bytes; read them one by one, or copy them`,
    );
  }
  return map.asTypedArray(type, byteOffset, length);
}
