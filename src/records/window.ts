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
import type { MemoryMap } from "../memory_map.ts";

const { PROT_READ, PROT_WRITE } = hostConstants;

/** Bytes that a view of any map can have in every runtime. */
const MOVING_VIEW_BYTES = 2 ** 31;

/** Up to here engines have quick ways with whole numbers. */
const MAX_INT32 = 2 ** 31 - 1;

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
  const near = length <= MAX_INT32;
  const window = new (near ? Window : WideWindow)(map, byteOffset, stride, length, noun);
  try {
    window.open(0);
    return window;
  } catch (error) {
    const small = length * stride <= MOVING_VIEW_BYTES;
    if (small || !(error instanceof MMapInvalidParameterError)) throw error;
    // More than one ArrayBuffer of this runtime can hold; whatever else is wrong comes up again.
    const moving = new MovingWindow(map, byteOffset, stride, length, noun);
    moving.open(0);
    return moving;
  }
}

/** A window whose view has all elements. Made by {@link windowOver}. */
export class Window {
  readonly map: MemoryMap;
  readonly byteOffset: number;
  readonly stride: number;
  readonly length: number;
  readonly noun: string;
  /** Exactly the bytes of some elements, in most cases of all. */
  view: DataView<ArrayBuffer> = new DataView(new ArrayBuffer(0));
  /** The elements in the view: from the first up to another. */
  first: number = 0;
  end: number = 0;
  /** The element that was chosen last, and its place in the view. */
  index: number = -1;
  here: number = -1e9;

  constructor(map: MemoryMap, byteOffset: number, stride: number, length: number, noun: string) {
    this.map = map;
    this.byteOffset = byteOffset;
    this.stride = stride;
    this.length = length;
    this.noun = noun;
  }

  /** Makes a view that has an element. */
  open(_index: number): void {
    this.view = this.map.asDataView(this.byteOffset, this.length * this.stride);
    this.end = this.length;
  }

  /** Whether the map may be written now. */
  get writable(): boolean {
    return (this.map.prot & PROT_WRITE) !== 0;
  }

  /**
   * The place of an element in the view: outside of the view if the element is, and far below zero,
   * with any offset in the element added, for what is no whole number.
   */
  place(index: number): number {
    return (index | 0) === index ? index * this.stride : -1e9;
  }

  /** Chooses an element; that it is there is checked when it is touched. */
  choose(index: number): void {
    this.index = index;
    this.here = this.place(index);
  }

  /** The chosen element. One that was counted from the end is counted from the start now. */
  chosen(): number {
    if (this.index < 0 && this.index >= -this.length) this.choose(this.index + this.length);
    return this.index;
  }

  /**
   * Called when touching an element failed: throws the reason, or brings the element into view. To be
   * tried again then.
   */
  recover(verb: Verb, error: unknown, index: number): void {
    const { view } = this;
    this.#check(verb, index);
    this.#bring(index);
    // Nothing to try again with: a bug, or an error of the user's.
    if (view === this.view) throw error;
  }

  /** {@link Window.recover} for the chosen element. */
  recoverHere(verb: Verb, error: unknown): void {
    const { view, here } = this;
    const index = this.chosen();
    this.#check(verb, index);
    this.#bring(index);
    if (view === this.view && here === this.here) throw error;
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
    return index >= this.first && index < this.end && Number.isInteger(index) &&
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
    if (!this.#sees(index)) this.open(index);
    this.here = this.place(this.index);
  }
}

/** A window of more elements than there are 32-bit integers; `Number.isInteger` is slow in V8. */
class WideWindow extends Window {
  override place(index: number): number {
    return Number.isInteger(index) ? index * this.stride : -1e9;
  }
}

/** A window whose view moves. */
class MovingWindow extends WideWindow {
  #base = 0;

  override open(index: number): void {
    const { map, byteOffset, stride, length } = this;
    const count = Math.floor(MOVING_VIEW_BYTES / stride);
    this.first = Math.floor(index / count) * count;
    this.end = Math.min(this.first + count, length);
    this.#base = this.first * stride;
    this.view = map.asDataView(byteOffset + this.#base, (this.end - this.first) * stride);
  }

  override place(index: number): number {
    return super.place(index) - this.#base;
  }
}
