/** One field of all records of an array. */
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable, memoryFacts } from "../inspect.ts";
import type { FieldInput, FieldType, FieldValue } from "./field_types.ts";
import { isLittleEndian, type Shape } from "./layout.ts";
import { scalar } from "./scalars.ts";
import { Slot } from "./slot.ts";
import { sumOf } from "./sum.ts";
import { type AnyTypedArray, newTypedArray, typedView } from "./typed.ts";
import type { Window } from "./window.ts";

/**
 * One field of all records, zero copy: element `i` is the field in record `i`.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { defineRecord } from "@mman/mman/records";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createAnonymous(1600);
 * const ticks = defineRecord({ index: "u32", value: "f64" }).over(map);
 * const values = ticks.column("value");
 * for (let i = 0; i < values.length; i++) values.set(i, i / 2);
 * assertEquals(ticks.get(5).value, 2.5);
 * assertEquals(values.sum(), 2475);
 * ```
 */
export class Column<T = FieldType> {
  static {
    inspectable(this, (column) => ({
      length: column.length,
      byteOffset: column.byteOffset,
      byteStride: column.byteStride,
      ...memoryFacts(column.#window.mapping),
    }));
  }

  /** Elements: the records of the array. */
  readonly length: number;
  /** Bytes from the start of the map to the first element. */
  readonly byteOffset: number;
  /** Bytes from one element to the next. */
  readonly byteStride: number;
  /**
   * The value in record `index`; a copy if it is no number.
   *
   * Throws {@link MMapInvalidParameterError} if there is no such record, {@link MMapClosedError} if
   * the map is closed.
   */
  readonly get: (index: number) => FieldValue<T>;
  /**
   * Writes the value in record `index`.
   *
   * Throws {@link MMapInvalidParameterError} if there is no such record or the value does not fit,
   * {@link MMapProtectionError} if the map may not be written, {@link MMapClosedError} if it is closed.
   */
  readonly set: (index: number, value: FieldInput<T>) => void;
  readonly #window: Window;
  readonly #at: number;
  readonly #shape: Shape;

  /** Made by {@link RecordArray.column}. */
  constructor(window: Window, at: number, shape: Shape, field?: string) {
    this.length = window.length;
    this.byteOffset = window.byteOffset + at;
    this.byteStride = window.stride;
    this.#window = window;
    this.#at = at;
    this.#shape = shape;
    if (isLittleEndian(shape)) {
      const { readAt, writeAt } = scalar(shape.scalar);
      this.get = readAt(window, at) as Column<T>["get"];
      this.set = writeAt(window, at) as Column<T>["set"];
    } else {
      const slot = new Slot(window, at, shape, field);
      this.get = (index) => slot.read(index) as FieldValue<T>;
      this.set = (index, value) => slot.write(index, value);
    }
  }

  /**
   * The elements within a typed array, zero copy: element `i` is `data[i * stride]`. For numeric
   * libraries that take a stride.
   *
   * @throws {MMapInvalidParameterError} If the elements are no numbers in the byte order of this
   * machine, or not aligned to their size in every record: use `get`.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { defineRecord } from "@mman/mman/records";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * const points = defineRecord({ x: "f64", y: "f64" }).over(map);
   * points.set(9, { x: 1, y: 2 });
   * const { data, stride } = points.column("y").strided();
   * assertEquals(data[9 * stride], 2);
   * ```
   */
  strided(): { data: AnyTypedArray; stride: number } {
    const size = this.#shape.byteLength;
    const stride = this.byteStride / size;
    if (this.#shape.kind === "scalar" && !Number.isInteger(stride)) {
      throw new MMapInvalidParameterError(
        `Cannot view numbers of ${size} bytes that are ${this.byteStride} bytes apart as a typed ` +
          `array: ${this.byteStride} is not a multiple of ${size}; use get(), or toTypedArray()`,
      );
    }
    const span = this.length === 0 ? 0 : (this.length - 1) * stride + 1;
    return { data: typedView(this.#window.map, this.#shape, this.byteOffset, span), stride };
  }

  /**
   * A copy of all elements as a typed array; bytes 0 and 1 for `bool`.
   *
   * @throws {MMapInvalidParameterError} If the elements are no numbers: use `[...column]`.
   * @throws {MMapClosedError} If the map is closed.
   */
  toTypedArray(): AnyTypedArray {
    if (this.#shape.kind !== "scalar") {
      throw new MMapInvalidParameterError(
        "Cannot copy values that are no numbers to a typed array: spread the column, [...column]",
      );
    }
    const copy = newTypedArray(this.#shape, this.length);
    const values = copy as unknown as FieldValue<T>[];
    for (let i = 0; i < this.length; i++) values[i] = this.get(i);
    return copy;
  }

  /**
   * The sum of all elements: a number, or a bigint for `u64` and `i64`; of `bool` how many are true.
   *
   * @throws {MMapInvalidParameterError} If the elements are no numbers.
   * @throws {MMapClosedError} If the map is closed.
   */
  sum(): FieldValue<T> extends bigint ? bigint : number {
    return sumOf(this.#window, this.#at, this.#shape) as never;
  }

  /** Goes through the elements. */
  *[Symbol.iterator](): Generator<FieldValue<T>, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.get(i);
  }
}
