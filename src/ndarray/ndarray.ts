/** Arrays of any number of axes over the bytes of a map. */
import { checkInteger, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable, memoryFacts } from "../inspect.ts";
import { mappingOf, type MemoryMap } from "../memory_map.ts";
import { checkHeapBytes, heapBytes } from "../records/codec.ts";
import { Column } from "../records/column.ts";
import { type ArrayShape, arrayShape, type ScalarShape, type Shape } from "../records/layout.ts";
import type { RecordArray } from "../records/record_array.ts";
import { RecordType } from "../records/record_type.ts";
import { newTypedArray, typedView } from "../records/typed.ts";
import { windowOver } from "../records/window.ts";
import type { DType } from "./dtype.ts";
import type { AnyElement, DataOf, DTypeLike, ElementInput, ElementOf } from "./element_types.ts";
import { formatArray } from "./format.ts";
import type { Growth } from "./growth.ts";
import { isContiguous, places, sizeOf, spanOf } from "./shape.ts";
import { sumInPlace, sumOneByOne } from "./sum.ts";

/** What an array is made of; the library makes it. */
export interface NdArrayParts {
  readonly map: MemoryMap;
  readonly dtype: DType;
  /** Bytes from the start of the map to the first element. */
  readonly byteOffset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** How the file grows; missing if it is not this array's to grow. */
  readonly growth?: Growth;
}

/**
 * An array of any number of axes over the bytes of a map, zero copy. Made by {@link MappedArray.open},
 * {@link openNpy} and {@link createNpy}.
 *
 * @example
 * ```ts
 * import { createNpy } from "@mman/mman/ndarray";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/matrix.npy`;
 * using matrix = createNpy(path, { dtype: "f8", shape: [2, 3] });
 * matrix.data.set([1, 2, 3, 4, 5, 6]); // a Float64Array over the file
 * assertEquals(matrix.get(1, 0), 4);
 * assertEquals(matrix.row(1), Float64Array.of(4, 5, 6));
 * assertEquals(String(matrix), "[[1. 2. 3.]\n [4. 5. 6.]]");
 * ```
 */
export class NdArray<D extends DTypeLike = DTypeLike> implements Disposable {
  static {
    inspectable(this, ({ dtype, shape, map }) => ({
      dtype: show(dtype),
      shape: `[${shape.join(", ")}]`,
      ...memoryFacts(mappingOf(map)),
    }));
  }

  /** Where the elements are. Closing it ends the array, and every other array over it. */
  readonly map: MemoryMap;
  /** Bytes from the start of the map to the first element. */
  readonly byteOffset: number;
  /**
   * Elements from one index to the next, by axis: element `[i, j]` is
   * `data[i * strides[0] + j * strides[1]]`. (NumPy counts strides in bytes.)
   */
  readonly strides: readonly number[];
  readonly #dtype: DType;
  readonly #growth: Growth | undefined;
  #shape: readonly number[];
  #data: DataOf<D> | undefined;
  /** All elements from the first to the last in memory, made when first needed. */
  #elements: Column<never> | undefined;

  /** Use {@link MappedArray.open}, {@link MappedArray.over}, {@link openNpy} or {@link createNpy}. */
  constructor(parts: NdArrayParts) {
    this.map = parts.map;
    this.byteOffset = parts.byteOffset;
    this.strides = parts.strides;
    this.#dtype = parts.dtype;
    this.#shape = parts.shape;
    this.#growth = parts.growth;
  }

  /** The size of each axis. */
  get shape(): readonly number[] {
    return this.#shape;
  }

  /** How many elements there are. */
  get size(): number {
    return sizeOf(this.#shape);
  }

  /** The type of the elements as NumPy spells it, such as `"<f8"`, or a list of fields. */
  get dtype(): string {
    return this.#dtype.name;
  }

  /** Bytes of an element. */
  get itemSize(): number {
    return this.#dtype.shape.byteLength;
  }

  /** Whether the elements lie one behind the other, the last axis running fastest. */
  get isContiguous(): boolean {
    return isContiguous(this.#shape, this.strides, false);
  }

  /** Whether the elements lie one behind the other, the first axis running fastest. */
  get isFortranContiguous(): boolean {
    return isContiguous(this.#shape, this.strides, true);
  }

  /**
   * The elements as a typed array, zero copy: all of them in order if {@link NdArray.isContiguous}, else
   * those from the first to the last, among which `strides` tell the way. Complex numbers are two
   * numbers each, booleans are bytes.
   *
   * @throws {MMapInvalidParameterError} If they are no numbers, big-endian, not aligned in memory, or
   * more than one ArrayBuffer can hold (4 GiB in Bun): use `get`, `row`, or `toTypedArray`.
   * @throws {MMapClosedError} If the map is closed.
   */
  get data(): DataOf<D> {
    // Empty after `map.resize()` and `map.close()`, unless it was so before.
    if (this.#data === undefined || (this.#data as Uint8Array<ArrayBuffer>).buffer.detached) {
      const { shape, perElement } = this.#numbers();
      const span = spanOf(this.#shape, this.strides);
      this.#data = typedView(this.map, shape, this.byteOffset, span * perElement) as DataOf<D>;
    }
    return this.#data;
  }

  /**
   * The elements of a structured array as records, zero copy, in the order of memory.
   *
   * @throws {MMapInvalidParameterError} If the dtype has no fields, or the elements do not lie one
   * behind the other.
   */
  get records(): D extends RecordType<infer F> ? RecordArray<F> : RecordArray {
    const { shape, name, type } = this.#dtype;
    if (shape.kind !== "record") {
      throw new MMapInvalidParameterError(
        `Cannot view elements of ${name} as records: they have no fields; use data, or get()`,
      );
    }
    if (!this.isContiguous && !this.isFortranContiguous) {
      throw new MMapInvalidParameterError(
        "Cannot view elements that lie apart as records: use get()",
      );
    }
    return (type ?? new RecordType(shape)).over(this.map, this.byteOffset, this.size) as never;
  }

  /**
   * One element.
   *
   * @param index One whole number for each axis; negative ones count from the end.
   * @throws {MMapInvalidParameterError} If there is no such element.
   * @throws {MMapClosedError} If the map is closed.
   */
  get(...index: number[]): ElementOf<D> {
    return this.#column().get(this.#place(index, true)) as ElementOf<D>;
  }

  /**
   * Writes one element.
   *
   * @param value What fits into the dtype.
   * @param index One whole number for each axis; negative ones count from the end.
   * @throws {MMapInvalidParameterError} If there is no such element, or the value does not fit.
   * @throws {MMapProtectionError} If the map may not be written.
   * @throws {MMapClosedError} If the map is closed.
   */
  set(value: ElementInput<D>, ...index: number[]): void {
    this.#column().set(this.#place(index, true), value as never);
  }

  /**
   * All elements with one index on the first axis, as a typed array, zero copy.
   *
   * @param i The index; negative ones count from the end.
   * @throws {MMapInvalidParameterError} If there is no such row, or its elements do not lie one behind
   * the other, or `data` could not view them: use `at(i)`.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MappedArray } from "@mman/mman/ndarray";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/vectors`;
   * using vectors = MappedArray.open(path, { mode: "w+", dtype: "f4", shape: [1000, 128] });
   * vectors.row(7).fill(0.5);
   * assertEquals(vectors.get(7, 127), 0.5);
   * ```
   */
  row(i: number): DataOf<D> {
    const row = this.at(i);
    if (!row.isContiguous) {
      throw new MMapInvalidParameterError(
        `Cannot view row ${show(i)} as a typed array: its elements lie apart; use at(${show(i)})`,
      );
    }
    return row.data as DataOf<D>;
  }

  /**
   * The array of all elements that begin with some indices, zero copy: NumPy's `a[i, j]`.
   *
   * @param index Whole numbers for the first axes; negative ones count from the end.
   * @throws {MMapInvalidParameterError} If there are no such elements.
   */
  at(...index: number[]): NdArray<D> {
    const place = this.#place(index, false);
    const axes = index.length;
    return this.#part(place, this.#shape.slice(axes), this.strides.slice(axes));
  }

  /**
   * The array from one index of the first axis up to another, zero copy: NumPy's `a[start:end]`.
   *
   * @param start Default 0; negative counts from the end.
   * @param end Default: the end; negative counts from there. Both are brought into the array.
   * @throws {MMapInvalidParameterError} If the array has no axes, or one of them is no whole number.
   *
   * @example
   * ```ts
   * import { createNpy } from "@mman/mman/ndarray";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/a.npy`;
   * using a = createNpy(path, { dtype: "i4", shape: [4, 2] });
   * a.data.set([0, 1, 2, 3, 4, 5, 6, 7]);
   * assertEquals([...a.slice(1, 3)], [2, 3, 4, 5]);
   * assertEquals(a.slice(-1).shape, [1, 2]);
   * ```
   */
  slice(start: number = 0, end: number = Infinity): NdArray<D> {
    const [length, ...rest] = this.#shape;
    if (length === undefined) {
      throw new MMapInvalidParameterError("Cannot slice an array without axes: use get()");
    }
    const inside = (index: number) => {
      if (index !== Infinity) checkInteger("an index", index, Number.MIN_SAFE_INTEGER);
      return Math.min(Math.max(index < 0 ? index + length : index, 0), length);
    };
    const first = inside(start);
    const count = Math.max(inside(end) - first, 0);
    const place = count === 0 ? 0 : first * this.strides[0]!;
    return this.#part(place, [count, ...rest], this.strides);
  }

  /** The array with its axes in the opposite order, zero copy: NumPy's `a.T`. */
  transpose(): NdArray<D> {
    return this.#part(0, this.#shape.toReversed(), this.strides.toReversed());
  }

  /**
   * The sum of all elements: a number, a bigint for 64-bit integers (NumPy's wraps around, this does
   * not), of `bool` how many are true, of complex numbers a pair.
   *
   * @throws {MMapInvalidParameterError} If the elements are no numbers.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { createNpy } from "@mman/mman/ndarray";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/a.npy`;
   * using a = createNpy(path, { dtype: "f8", shape: [1000, 3] });
   * a.data.fill(0.5);
   * assertEquals(a.sum(), 1500);
   * ```
   */
  sum(): ElementOf<D> extends boolean ? number : ElementOf<D> {
    const dense = this.isContiguous || this.isFortranContiguous;
    return (dense
      ? sumInPlace(this.map, this.#dtype, this.byteOffset, this.size)
      : sumOneByOne(this, this.#dtype)) as never;
  }

  /**
   * A copy of all elements in order (the last axis running fastest) as a typed array.
   *
   * @throws {MMapInvalidParameterError} If the elements are no numbers: use `[...array]`.
   * @throws {MMapClosedError} If the map is closed.
   */
  toTypedArray(): DataOf<D> {
    const { shape, perElement } = this.#numbers();
    const copy = newTypedArray(shape, this.size * perElement);
    const values = copy as unknown as AnyElement[];
    let k = 0;
    for (const element of this) {
      if (perElement === 1) values[k++] = element as AnyElement;
      else for (const part of element as number[]) values[k++] = part;
    }
    return copy as DataOf<D>;
  }

  /**
   * Copies of all elements in arrays in arrays, one level for each axis; NumPy's `tolist`.
   *
   * @throws {MMapInvalidParameterError} If they would take more than 1 GiB of the engine's heap, which ends the
   * process when it is full. Use `toTypedArray()`, or `slice()`.
   * @throws {MMapClosedError} If the map is closed.
   */
  toArray(): unknown {
    const { strides } = this;
    const shape = this.#shape;
    const nested = shape.reduceRight<Shape>(arrayShape, this.#dtype.shape);
    checkHeapBytes(heapBytes(nested), "use toTypedArray(), or slice()");
    const column = this.#column();
    const from = (place: number, axis: number): unknown => {
      if (axis === shape.length) return column.get(place);
      const step = strides[axis]!;
      return Array.from({ length: shape[axis]! }, (_, i) => from(place + i * step, axis + 1));
    };
    return from(0, 0);
  }

  /**
   * Adds rows at the end of the first axis: the file grows, and the header of a `.npy` file tells so.
   * Typed arrays that were handed out are empty afterwards; take `data` again.
   *
   * @param elements The elements of whole rows, one after the other: an array of elements, or a typed
   * array as `data` is one.
   * @returns This array, with its new shape.
   * @throws {MMapInvalidParameterError} If it is not the array that was opened, has Fortran order, is not
   * the end of its file, or the elements do not fit, in kind or number. Nothing has changed then.
   * @throws {MMapProtectionError} If the array was opened with mode `"r"` or `"c"`.
   * @throws {MMapAllocationError} If the disk is full.
   *
   * @example
   * ```ts
   * import { createNpy, openNpy } from "@mman/mman/ndarray";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/log.npy`;
   * {
   *   using log = createNpy(path, { dtype: "f8", shape: [0, 2] });
   *   log.append([1, 2, 3, 4]).append(Float64Array.of(5, 6));
   * }
   * using log = openNpy(path);
   * assertEquals(log.toArray(), [[1, 2], [3, 4], [5, 6]]);
   * ```
   */
  append(elements: ArrayLike<ElementInput<D>> | ArrayLike<number> | ArrayLike<bigint>): this {
    if (this.#growth === undefined) {
      throw new MMapInvalidParameterError(
        "Cannot append to a part of an array, or to one over a map of yours: append to the array " +
          "that opened the file",
      );
    }
    this.#shape = this.#growth.append(this.#shape, elements as ArrayLike<unknown>);
    this.#data = undefined;
    this.#elements = undefined;
    return this;
  }

  /**
   * Writes changes back and waits until the storage has them.
   *
   * @throws {MMapError} If the storage fails; `code` says how.
   * @throws {MMapClosedError} If the map is closed.
   */
  flush(): void {
    this.map.flush();
  }

  /** Closes the map. Typed arrays over it are empty then; other arrays over it end, too. */
  close(): void {
    this.map.close();
  }

  /** Calls `close()`; for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Goes through the elements in order, the last axis running fastest. */
  *[Symbol.iterator](): Generator<ElementOf<D>, void, undefined> {
    const column = this.#column();
    for (const place of places(this.#shape, this.strides)) {
      yield column.get(place) as ElementOf<D>;
    }
  }

  /** The array as NumPy prints it; of more than 1000 elements the first and the last of each axis. */
  toString(): string {
    return formatArray(this, this.#dtype);
  }

  #part(place: number, shape: readonly number[], strides: readonly number[]): NdArray<D> {
    const byteOffset = this.byteOffset + place * this.itemSize;
    return new NdArray<D>({ map: this.map, dtype: this.#dtype, byteOffset, shape, strides });
  }

  #column(): { get(place: number): unknown; set(place: number, value: never): void } {
    if (this.#elements === undefined) {
      const span = spanOf(this.#shape, this.strides);
      const window = windowOver(this.map, this.byteOffset, this.itemSize, span, "element");
      this.#elements = new Column<never>(window, 0, this.#dtype.shape);
    }
    return this.#elements;
  }

  /** Elements from the first element to the one with some indices. */
  #place(index: readonly number[], whole: boolean): number {
    const shape = this.#shape;
    if (whole ? index.length !== shape.length : index.length > shape.length) {
      throw new MMapInvalidParameterError(
        `Cannot use ${index.length} indices: the array has ${shape.length} axes`,
      );
    }
    let place = 0;
    for (let axis = 0; axis < index.length; axis++) {
      const length = shape[axis]!;
      let i = index[axis]!;
      if (Number.isInteger(i) && i < 0) i += length;
      if (!(Number.isInteger(i) && i >= 0 && i < length)) {
        throw new MMapInvalidParameterError(
          `Cannot use ${
            show(index[axis])
          } as an index of axis ${axis}: it must be a whole number ` +
            `from ${-length} to ${length - 1}`,
        );
      }
      place += i * this.strides[axis]!;
    }
    return place;
  }

  /** What the typed array of these elements holds. */
  #numbers(): { shape: ScalarShape; perElement: number } {
    const { shape, name } = this.#dtype;
    if (shape.kind === "scalar") return { shape, perElement: 1 };
    if (this.#dtype.kind === "c") {
      const { element, length } = shape as ArrayShape;
      return { shape: element as ScalarShape, perElement: length };
    }
    throw new MMapInvalidParameterError(
      `Cannot view elements of ${name} as a typed array: they are no numbers; use get()` +
        (shape.kind === "record" ? ", or records" : ""),
    );
  }
}
