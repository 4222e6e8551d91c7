/**
 * Where in memory the elements of an array are: a view of the map, and the way from an index to a
 * place in that view. A map that was resized is viewed anew, and one that no single view can cover
 * (over 4 GiB in Bun) through a view that moves.
 *
 * Loops over millions of elements come through here, so the good case is arithmetic without a branch
 * that leaves the loop, which would keep V8 from optimizing the loop around it: what is not there gets
 * a place that the DataView itself refuses, and only then is the reason looked for.
 */
import { show } from "../check.ts";
import { MMapClosedError, MMapInvalidParameterError, MMapProtectionError } from "../errors.ts";
import { hostConstants } from "../ffi/host.ts";
import { isV8 } from "../ffi/runtime.ts";
import type { Mapping } from "../mapping.ts";
import { mappingOf, type MemoryMap } from "../memory_map.ts";

const { PROT_READ, PROT_WRITE } = hostConstants;

/** Bytes whose places are integers that engines have quick ways with; any map can be viewed so far. */
const NEAR_BYTES = 2 ** 31 - 1;

/** A place outside of every view, also with any offset in an element added. */
const NOWHERE = -1_000_000_000;

/** The global `NaN` would be looked up where it was never used, which V8 takes for a change of anything. */
const NO_NUMBER = NaN;

/** See {@link Window.v8}. */
const V8 = isV8;

/** See {@link Window.intact} and {@link Window.asked}. */
const [INTACT, ASKED] = [new Int8Array(1), new Int32Array(1)];

/** What is done with an element. */
export type Verb = "read" | "write";

/**
 * Elements of a fixed size in a map, one right behind the other, seen through a window.
 *
 * @param byteOffset Bytes from the start of the map to the first element.
 * @param stride Bytes of an element.
 * @param length Elements.
 * @param noun What messages call an element.
 */
export function windowOver(
  map: MemoryMap,
  byteOffset: number,
  stride: number,
  length: number,
  noun: string,
): Window {
  if (length * stride <= NEAR_BYTES) return new Window(map, byteOffset, stride, length, noun);
  try {
    return new FarWindow(map, byteOffset, stride, length, noun);
  } catch (error) {
    if (!(error instanceof MMapInvalidParameterError)) throw error;
    // More than one ArrayBuffer of this runtime can hold; whatever else is wrong comes up again.
    return new MovingWindow(map, byteOffset, stride, length, noun);
  }
}

/** A window whose view has all elements. Made by {@link windowOver}. */
export class Window {
  // Declared only: what is defined as undefined first is to V8 a constant no more, nor an integer.
  declare readonly map: MemoryMap;
  declare readonly mapping: Mapping;
  declare readonly byteOffset: number;
  declare readonly stride: number;
  declare readonly length: number;
  declare readonly noun: string;
  /** Exactly the bytes of some elements, in most cases of all. */
  view: DataView<ArrayBuffer> = new DataView(new ArrayBuffer(0));
  /**
   * Has an element for the guard's word as long as no page of the map was replaced, so that
   * `intact[word] === undefined` asks for that: to engines no array that was never read past its end
   * gives undefined, and nothing is left of the question but that check.
   */
  readonly intact: Int8Array<ArrayBuffer> = INTACT;
  /**
   * What is stored to whenever the guard's word is read after a load: engines keep no element of a typed
   * array over a store to one, and a call would make them forget all that they know in a loop.
   */
  readonly asked: Int32Array<ArrayBuffer> = ASKED;
  /** The elements in the view: from the first up to another. */
  first: number = 0;
  end: number = 0;
  /**
   * The place in the view of the element that was chosen last. In a typed array, because that is where
   * engines keep a number that changes at the least cost.
   */
  readonly here: Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer> = new Int32Array(1);
  /**
   * The element that was chosen last, as it was given; NaN if that was no number. For V8, which after a
   * store to a property loads others anew that lie as far into their objects.
   */
  readonly given: Float64Array<ArrayBuffer> = new Float64Array(1);
  /** The same for JavaScriptCore, which need not convert it. */
  last: number = 0;

  constructor(map: MemoryMap, byteOffset: number, stride: number, length: number, noun: string) {
    this.map = map;
    this.mapping = mappingOf(map);
    this.byteOffset = byteOffset;
    this.stride = stride;
    this.length = length;
    this.noun = noun;
    this.open(0);
  }

  /** Makes a view that has an element. */
  protected open(_index: number): void {
    this.show(0, this.length);
  }

  /** Makes a view of the elements from one up to another. */
  protected show(first: number, end: number): void {
    const { map, byteOffset, stride } = this;
    this.view = map.asDataView(byteOffset + first * stride, (end - first) * stride);
    this.first = first;
    this.end = end;
  }

  /**
   * The place of an element in the view: outside of the view if the element is, and nowhere for what is
   * no whole number. (`Number.isInteger` is slow in V8.)
   */
  place(index: number): number {
    const { stride } = this;
    // A symbol could not even be compared, and an object would be asked for its value.
    return typeof index === "number" && (index | 0) === index ? index * stride : NOWHERE;
  }

  /** Chooses an element; that it is there is checked when it is touched. */
  choose(index: number): void {
    // Loaded before any question: V8 keeps over a loop only what was loaded whatever the answers were.
    // The two lines of `keep` are written out for JavaScriptCore.
    const { stride, given, here } = this;
    if (V8) given[0] = typeof index === "number" ? index : NO_NUMBER;
    else this.last = index;
    const place = typeof index === "number" && (index | 0) === index ? index * stride : NOWHERE;
    here[0] = (place | 0) === place ? place : NOWHERE;
  }

  /** Keeps in mind which element was chosen. */
  protected keep(index: number): void {
    if (V8) this.given[0] = typeof index === "number" ? index : NO_NUMBER;
    else this.last = index;
  }

  /** The chosen element. One that was counted from the end is counted from the start now. */
  chosen(): number {
    const index = V8 ? this.given[0]! : this.last;
    if (!(index < 0 && index >= -this.length)) return index;
    this.choose(index + this.length);
    return index + this.length;
  }

  /** Whether the engine is V8, which is led to good code by other ways than JavaScriptCore. */
  get v8(): boolean {
    return V8;
  }

  /** Whether a page of the map was replaced, asked after a store. */
  get lost(): boolean {
    return this.intact[this.mapping.touched[0]!] === undefined;
  }

  /** Throws if what was read from an element, or written to it, is not what the map holds. */
  sound(verb: Verb, index: number, count: number = 1): void {
    this.mapping.intact(
      verb,
      this.byteOffset + index * this.stride,
      count * this.stride,
      verb === "read" ? PROT_READ : PROT_WRITE,
    );
  }

  /** Checks that an element may be read, and brings it into view. Returns its place. */
  readable(index: number): number {
    return this.#ready("read", index);
  }

  /** Checks that an element may be written, and brings it into view. Returns its place. */
  writeable(index: number): number {
    return this.#ready("write", index);
  }

  #ready(verb: Verb, index: number): number {
    const bit = verb === "read" ? PROT_READ : PROT_WRITE;
    if ((this.map.prot & bit) === 0 || !this.#sees(index)) {
      this.#check(verb, index);
      this.#bring(index);
    }
    return this.place(index);
  }

  #sees(index: number): boolean {
    return Number.isInteger(index) && index >= this.first && index < this.end &&
      !this.view.buffer.detached;
  }

  #check(verb: Verb, index: number): void {
    const what = `Cannot ${verb} ${this.noun} ${show(index)}`;
    if (!this.map.isValid) throw new MMapClosedError(`${what}: the map is closed; open it again`);
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new MMapInvalidParameterError(
        this.length === 0
          ? `${what}: there are none`
          : `${what}: use a whole number from 0 to ${this.length - 1}`,
      );
    }
    const [bit, name] = verb === "read" ? [PROT_READ, "PROT_READ"] : [PROT_WRITE, "PROT_WRITE"];
    if ((this.map.prot & bit) === 0) {
      throw new MMapProtectionError(
        `${what}: the map has no ${name}; open it with mode "r+" or "c", or use mprotect()`,
      );
    }
  }

  #bring(index: number): void {
    if (this.#sees(index)) return;
    this.open(index);
    this.choose(this.chosen());
  }
}

/** A window of more bytes than are near. */
class FarWindow extends Window {
  override readonly here: Float64Array<ArrayBuffer> = new Float64Array(1);

  override place(index: number): number {
    return Number.isInteger(index) ? index * this.stride : NOWHERE;
  }

  override choose(index: number): void {
    this.keep(index);
    this.here[0] = this.place(index);
  }
}

/** A window whose view moves. */
class MovingWindow extends Window {
  protected override open(index: number): void {
    const count = Math.floor(NEAR_BYTES / this.stride);
    const first = Math.floor(index / count) * count;
    this.show(first, Math.min(first + count, this.length));
  }

  override place(index: number): number {
    return super.place(index - this.first);
  }

  override choose(index: number): void {
    this.keep(index);
    const place = typeof index === "number" ? this.place(index) : NOWHERE;
    this.here[0] = (place | 0) === place ? place : NOWHERE;
  }
}
