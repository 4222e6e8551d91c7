/** A field of several values, looked at in place. */
import { checkInteger, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable, memoryFacts } from "../inspect.ts";
import type { FieldInput, FieldType, FieldValue } from "./field_types.ts";
import type { ArrayShape } from "./layout.ts";
import { Slot } from "./slot.ts";
import { type AnyTypedArray, typedView } from "./typed.ts";
import type { Window } from "./window.ts";

/**
 * The values of a field such as `["f32", 3]`, in place: what is read and written is the map.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { defineRecord } from "@mman/mman/records";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createAnonymous(4096);
 * const points = defineRecord({ id: "u32", position: ["f32", 3] }).over(map);
 * const { position } = points.at(7);
 * position.set(1, 0.5);
 * assertEquals([...position], [0, 0.5, 0]);
 * assertEquals(points.get(7), { id: 0, position: [0, 0.5, 0] });
 * ```
 */
export class FieldArray<T = FieldType> {
  static {
    inspectable(this, (array) => ({ length: array.length, ...memoryFacts(array.#window.mapping) }));
  }

  readonly #window: Window;
  readonly #at: number;
  readonly #shape: ArrayShape;
  readonly #whole: Slot;
  /** One slot for each value, made when it is first asked for. */
  readonly #slots: Slot[] = [];

  /** Made by {@link RecordArray.at}. */
  constructor(window: Window, at: number, shape: ArrayShape, field: string) {
    this.#window = window;
    this.#at = at;
    this.#shape = shape;
    this.#whole = new Slot(window, at, shape, field);
  }

  /** How many values the field has. */
  get length(): number {
    return this.#shape.length;
  }

  /**
   * One value; a copy if it is not a number.
   *
   * @param k From 0 to `length - 1`.
   * @throws {MMapInvalidParameterError} If there is no such value.
   * @throws {MMapClosedError} If the map is closed.
   */
  get(k: number): FieldValue<T> {
    return this.#slot(k).read(this.#window.chosen()) as FieldValue<T>;
  }

  /**
   * Writes one value.
   *
   * @param k From 0 to `length - 1`.
   * @param value What fits into the type.
   * @throws {MMapInvalidParameterError} If there is no such value, or it does not fit.
   * @throws {MMapProtectionError} If the map may not be written.
   * @throws {MMapClosedError} If the map is closed.
   */
  set(k: number, value: FieldInput<T>): void {
    this.#slot(k).write(this.#window.chosen(), value);
  }

  /**
   * A copy of all values.
   *
   * @throws {MMapInvalidParameterError} If they would take more than 1 GiB of the heap: use `asTypedArray()`.
   * @throws {MMapClosedError} If the map is closed.
   */
  toArray(): FieldValue<T>[] {
    return this.#whole.read(this.#window.chosen()) as FieldValue<T>[];
  }

  /**
   * The values as a typed array, zero copy.
   *
   * @throws {MMapInvalidParameterError} If they are no numbers in the byte order of this machine, or
   * not aligned in memory: use `toArray()`.
   * @throws {MMapClosedError} If the map is closed.
   */
  asTypedArray(): AnyTypedArray {
    const { map, byteOffset, stride } = this.#window;
    const index = this.#window.chosen();
    this.#window.readable(index);
    const { element, length } = this.#shape;
    return typedView(map, element, byteOffset + index * stride + this.#at, length);
  }

  /** Goes through copies of the values. */
  [Symbol.iterator](): ArrayIterator<FieldValue<T>> {
    return this.toArray()[Symbol.iterator]();
  }

  /** Writes all values, for an assignment to the field. */
  assign(values: ArrayLike<FieldInput<T>>): void {
    this.#whole.write(this.#window.chosen(), values);
  }

  #slot(k: number): Slot {
    const { element, length } = this.#shape;
    if (!(Number.isInteger(k) && k >= 0 && k < length)) {
      checkInteger("an index", k, 0);
      throw new MMapInvalidParameterError(
        `Cannot use ${show(k)} as an index: the field has ${length} values, counted from 0`,
      );
    }
    return this.#slots[k] ??= new Slot(this.#window, this.#at + k * element.byteLength, element);
  }
}
