/**
 * The ArrayBuffers laid over a mapping. One covers everything where the runtime can; where an
 * ArrayBuffer is limited (4 GiB in Bun), windows that overlap by half cover every range.
 */
import type { Runtime } from "./ffi/runtime.ts";

/** What views of a mapping are made of. */
export interface Views {
  /** Bytes that one buffer can cover at most. */
  readonly limit: number;
  /** Bytes that a range may have so that some buffer holds it, wherever it starts. */
  readonly span: number;
  /**
   * A buffer that holds a range within the mapping, and where it starts in the mapping. The range
   * must not be longer than `limit`; it starts a multiple of `unit` bytes into the buffer.
   */
  covering(offset: number, length: number, unit?: number): { buffer: ArrayBuffer; start: number };
  /** Empties all views; returns whether that was possible. */
  detach(): boolean;
}

/** Makes `new` of a class that extends it initialize an object that is there already. */
class Existing {
  constructor(part: object) {
    return part;
  }
}

/**
 * What owns a part, in a private field that any object can get: nobody else sees it, and it goes with the
 * part. V8 keeps the owners in a WeakMap alive, and moves them, until it collects the old generation.
 */
class Owned extends Existing {
  #owner: object;

  constructor(part: object, owner: object) {
    super(part);
    this.#owner = owner;
  }

  static keep(part: object, owner: object): void {
    if (#owner in part) part.#owner = owner;
    else new Owned(part, owner);
  }
}

/** Keeps `owner` alive as long as `part`, something that was handed out, is. */
export function keepAlive(owner: object, part: object): void {
  Owned.keep(part, owner);
}

/** The ArrayBuffers over one mapping, made as they are asked for. */
export class Buffers implements Views {
  readonly #runtime: Runtime;
  readonly #address: bigint;
  readonly #size: number;
  readonly #owner: object;
  /** By first offset in the mapping. */
  readonly #windows = new Map<number, ArrayBuffer>();
  #moved = false;

  /** @param owner Kept alive by every buffer made here. */
  constructor(runtime: Runtime, address: bigint, size: number, owner: object) {
    this.#runtime = runtime;
    this.#address = address;
    this.#size = size;
    this.#owner = owner;
  }

  /** Bytes that one buffer can cover at most. */
  get limit(): number {
    return this.#runtime.maxBufferLength;
  }

  /** Bytes that a range may have so that some window holds it, wherever it starts. */
  get span(): number {
    return this.#size <= this.limit ? this.#size : this.limit / 2;
  }

  /**
   * A buffer that holds a range within the mapping, and where it starts in the mapping. The range
   * must not be longer than `limit`; it starts a multiple of `unit` bytes into the buffer.
   */
  covering(
    offset: number,
    length: number,
    unit: number = 1,
  ): { buffer: ArrayBuffer; start: number } {
    let start = 0;
    if (this.#size > this.limit) {
      const half = this.limit / 2;
      start = length <= half ? Math.floor(offset / half) * half : offset;
    }
    // A mapping may start anywhere in a page of its file: then aligned elements need a buffer that
    // starts a few bytes further on.
    start += (offset - start) % unit;
    let buffer = this.#windows.get(start);
    if (buffer === undefined || buffer.detached) {
      // A buffer that somebody transferred away is still laid over the mapping elsewhere.
      if (buffer !== undefined) this.#moved = true;
      const size = Math.min(this.#size - start, this.limit);
      buffer = size === 0
        ? new ArrayBuffer(0)
        : this.#runtime.bufferAt(this.#address + BigInt(start), size);
      keepAlive(this.#owner, buffer);
      this.#windows.set(start, buffer);
    }
    return { buffer, start };
  }

  /**
   * Detaches every buffer, which empties all views of them.
   *
   * @returns Whether none had been transferred away: only then may the memory be unmapped.
   */
  detach(): boolean {
    for (const buffer of this.#windows.values()) {
      if (buffer.detached) this.#moved = true;
      else buffer.transfer(0);
    }
    this.#windows.clear();
    return !this.#moved;
  }
}
