/** The records of a map, as an array. */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable, memoryFacts } from "../inspect.ts";
import { mappingOf, type MemoryMap } from "../memory_map.ts";
import { Column } from "./column.ts";
import type {
  FieldAt,
  FieldPath,
  FieldValue,
  RecordFields,
  RecordInput,
  RecordOf,
  RecordView,
} from "./field_types.ts";
import type { RecordShape, Shape } from "./layout.ts";
import type { RecordType } from "./record_type.ts";
import { lowerBound, orderOf } from "./search.ts";
import { Slot } from "./slot.ts";
import { recordView } from "./view.ts";
import { type Window, windowOver } from "./window.ts";

/**
 * The records of a map, zero copy. Made by {@link RecordType.over}. It survives `map.resize()` as long
 * as its records are still in the map.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { defineRecord } from "@mman/mman/records";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createAnonymous(1600);
 * const ticks = defineRecord({ index: "u32", value: "f64" }).over(map);
 * for (let i = 0; i < ticks.length; i++) ticks.set(i, { index: i, value: i / 4 });
 *
 * let sum = 0;
 * for (let i = 0; i < ticks.length; i++) sum += ticks.at(i).value; // makes no objects
 * assertEquals(sum, 1237.5);
 * assertEquals(ticks.get(3), { index: 3, value: 0.75 });
 * ```
 */
export class RecordArray<F = RecordFields> {
  static {
    inspectable(this, ({ length, byteOffset, map, type: { byteLength, fields } }) => ({
      length,
      fields: `[${fields.map(({ name }) => name).join(", ")}]`,
      byteLength,
      byteOffset,
      ...memoryFacts(mappingOf(map)),
    }));
  }

  /** Records. */
  readonly length: number;
  /** The layout of each. */
  readonly type: RecordType<F>;
  /** Where they are. */
  readonly map: MemoryMap;
  /** Bytes from the start of the map to the first record. */
  readonly byteOffset: number;
  readonly #shape: RecordShape;
  readonly #records: Slot;
  readonly #chosen: Window;
  readonly #view: RecordView<F>;
  readonly #columns = new Map<string, Column<never>>();

  /** Use {@link RecordType.over}. */
  constructor(
    type: RecordType<F>,
    shape: RecordShape,
    map: MemoryMap,
    byteOffset: number,
    length: number,
  ) {
    this.type = type;
    this.map = map;
    this.byteOffset = byteOffset;
    this.length = length;
    this.#shape = shape;
    this.#records = new Slot(this.#window(), 0, shape);
    this.#chosen = this.#window();
    this.#view = recordView(this.#chosen, 0, shape) as RecordView<F>;
  }

  /**
   * A copy of a record.
   *
   * @param index From 0 to `length - 1`.
   * @throws {MMapInvalidParameterError} If there is no such record, or it would take more than 1 GiB of the heap.
   * @throws {MMapProtectionError} If the map may not be read.
   * @throws {MMapClosedError} If the map is closed.
   */
  get(index: number): RecordOf<F> {
    return this.#records.read(index) as RecordOf<F>;
  }

  /**
   * Writes a record, all fields or, if one does not fit, none. Padding becomes zero.
   *
   * @param index From 0 to `length - 1`.
   * @param record An object with all the fields, and no others.
   * @throws {MMapInvalidParameterError} If there is no such record, or a field is missing, does not
   * fit, or is none of the record's.
   * @throws {MMapProtectionError} If the map may not be written.
   * @throws {MMapClosedError} If the map is closed.
   */
  set(index: number, record: RecordInput<F>): void {
    this.#records.write(index, record);
  }

  /**
   * A record in place: its properties read and write the map. There is **one** such object for the
   * array, which the next call of `at` moves; use `get` for what must stay.
   *
   * @param index From 0 to `length - 1`, or from `-length` to -1 to count from the end. That there is
   * such a record is checked when a property is used.
   * @returns The object, which takes no other properties than its fields.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { defineRecord } from "@mman/mman/records";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(1600);
   * const ticks = defineRecord({ index: "u32", value: "f64" }).over(map);
   * ticks.at(-1).value = 0.5;
   * assertEquals(ticks.get(99), { index: 0, value: 0.5 });
   * ```
   */
  at(index: number): RecordView<F> {
    // What is no number is none to `choose` either; JavaScriptCore makes better code of a number that is
    // known to be one (and of the window if it is not kept), and V8 worse around a branch never taken.
    if (this.#chosen.v8 || typeof index === "number") this.#chosen.choose(index);
    else this.#chosen.choose(NaN);
    return this.#view;
  }

  /**
   * The bytes of a record, zero copy.
   *
   * @param index From 0 to `length - 1`.
   * @throws {MMapInvalidParameterError} If there is no such record.
   * @throws {MMapClosedError} If the map is closed.
   */
  bytes(index: number): Uint8Array<ArrayBuffer> {
    return this.#records.bytes(index);
  }

  /**
   * One field of all records, zero copy.
   *
   * @param name The field's name; for a record or an array in the record, more names or indices may
   * follow.
   * @throws {MMapInvalidParameterError} If there is no such field.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { defineRecord } from "@mman/mman/records";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * const points = defineRecord({ at: { x: "f32", y: "f32" }, rgb: ["u8", 4] }).over(map);
   * points.set(2, { at: { x: 1, y: 2 }, rgb: [3, 4, 5, 6] });
   * assertEquals(points.column("at").get(2), { x: 1, y: 2 });
   * assertEquals(points.column("at", "y").get(2), 2);
   * assertEquals(points.column("rgb", 3).get(2), 6);
   * ```
   */
  column<const P extends readonly [keyof F & string, ...FieldPath]>(
    ...name: P
  ): Column<FieldAt<F, P>> {
    const { offset, shape } = this.#follow(name);
    // Kept: engines make a loop's code for one column, and would make it anew for its twin.
    const key = JSON.stringify(name);
    let column = this.#columns.get(key);
    if (column === undefined) {
      column = new Column<never>(this.#window(), offset, shape, name.join("."));
      this.#columns.set(key, column);
    }
    return column as Column<FieldAt<F, P>>;
  }

  /**
   * The records from one index up to another, over the same bytes.
   *
   * @param start Default 0; negative counts from the end.
   * @param end Default `length`; negative counts from the end. Both are brought into the array.
   */
  subarray(start: number = 0, end: number = this.length): RecordArray<F> {
    const inside = (index: number) => {
      if (!Number.isInteger(index)) {
        throw new MMapInvalidParameterError(
          `Cannot begin or end at record ${show(index)}: use a whole number`,
        );
      }
      return Math.min(Math.max(index < 0 ? index + this.length : index, 0), this.length);
    };
    const first = inside(start);
    const count = Math.max(inside(end) - first, 0);
    const byteOffset = this.byteOffset + first * this.type.byteLength;
    return new RecordArray(this.type, this.#shape, this.map, byteOffset, count);
  }

  /**
   * The first record whose field is not less than a value, in an array that is sorted by that field. A
   * binary search.
   *
   * @param name The field: numbers, text (ordered by its bytes in UTF-8), or bytes.
   * @param value What to compare with.
   * @returns The index; `length` if the field is less than the value in all records.
   * @throws {MMapInvalidParameterError} If the field has no order, or the value is of another type.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { defineRecord } from "@mman/mman/records";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(1600);
   * const ticks = defineRecord({ index: "u32", value: "f64" }).over(map);
   * for (let i = 0; i < ticks.length; i++) ticks.at(i).index = 10 * i;
   * assertEquals(ticks.lowerBound("index", 55), 6);
   * assertEquals(ticks.search("index", 50), 5);
   * assertEquals(ticks.search("index", 55), -1);
   * ```
   */
  lowerBound<K extends keyof F & string>(name: K, value: FieldValue<F[K]>): number {
    const { order, column } = this.#ordered(name, value);
    return lowerBound(this.length, (i) => order(column.get(i), value) >= 0);
  }

  /**
   * The first record whose field is greater than a value, in an array that is sorted by that field.
   *
   * @param name The field.
   * @param value What to compare with.
   * @returns The index; `length` if the field is greater than the value in no record.
   * @throws {MMapInvalidParameterError} If the field has no order, or the value is of another type.
   */
  upperBound<K extends keyof F & string>(name: K, value: FieldValue<F[K]>): number {
    const { order, column } = this.#ordered(name, value);
    return lowerBound(this.length, (i) => order(column.get(i), value) > 0);
  }

  /**
   * The first record whose field has a value, in an array that is sorted by that field. A binary
   * search.
   *
   * @param name The field.
   * @param value What to look for.
   * @returns The index, or -1.
   * @throws {MMapInvalidParameterError} If the field has no order, or the value is of another type.
   */
  search<K extends keyof F & string>(name: K, value: FieldValue<F[K]>): number {
    const { order, column } = this.#ordered(name, value);
    const index = lowerBound(this.length, (i) => order(column.get(i), value) >= 0);
    return index < this.length && order(column.get(index), value) === 0 ? index : -1;
  }

  /** Goes through copies of the records. */
  *[Symbol.iterator](): Generator<RecordOf<F>, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.get(i);
  }

  #window(): Window {
    const { map, byteOffset, length, type: { byteLength } } = this;
    return windowOver(map, byteOffset, byteLength, length, "record");
  }

  #ordered(name: string, value: unknown) {
    const { offset, shape } = this.#follow([name]);
    const order = orderOf(shape, name, value);
    const column = new Column<never>(this.#window(), offset, shape, name);
    return { order, column: column as { get(index: number): unknown } };
  }

  #follow(path: FieldPath): { offset: number; shape: Shape } {
    let offset = 0;
    let shape: Shape = this.#shape;
    for (const [depth, step] of path.entries()) {
      const outer = shape as Shape;
      let found: { offset: number; shape: Shape } | undefined;
      if (outer.kind === "record") found = outer.fields.find(({ name }) => name === step);
      if (outer.kind === "array" && Number.isInteger(step)) {
        const index = Number(step);
        const element: Shape = outer.element;
        const there = index >= 0 && index < outer.length;
        if (there) found = { offset: index * element.byteLength, shape: element };
      }
      if (found === undefined) {
        const where = depth === 0 ? "the record" : show(path.slice(0, depth).join("."));
        throw new MMapInvalidParameterError(
          `Cannot find a column ${show(step)} in ${where}: it has ${parts(outer)}`,
        );
      }
      offset += found.offset;
      shape = found.shape;
    }
    return { offset, shape };
  }
}

function parts(shape: Shape): string {
  if (shape.kind === "record") return shape.fields.map(({ name }) => name).join(", ");
  return shape.kind === "array" ? `${shape.length} values, counted from 0` : "no parts";
}
