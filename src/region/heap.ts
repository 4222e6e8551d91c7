/** Regions of memory that JavaScript itself allocates: no foreign call, no permission. */
import { bytesFrom, checkInteger, checkRange } from "../check.ts";
import { MMapAllocationError, MMapClosedError } from "../errors.ts";
import { inspectable } from "../inspect.ts";
import {
  asByteArray,
  checkByte,
  clampSearch,
  lengthOf,
  type Needle,
  needleBytes,
  setBytes,
} from "../memory_operations.ts";
import type { MemoryRegion } from "./region.ts";

const encoder = new TextEncoder();

/** The classes of buffers that JavaScript allocates. */
type BufferClass = new (size: number) => ArrayBufferLike;

/** A region over an ArrayBuffer or a SharedArrayBuffer. */
export class HeapRegion implements MemoryRegion {
  static {
    inspectable(this, (region) => ({
      size: region.#bytes?.length,
      closed: region.#bytes === undefined || undefined,
    }));
  }

  #bytes: Uint8Array<ArrayBufferLike> | undefined;

  /** @throws {MMapAllocationError} If the runtime has not that much memory. */
  constructor(size: number, Buffer: BufferClass) {
    checkInteger("a size in bytes", size, 1);
    try {
      this.#bytes = new Uint8Array(new Buffer(size));
    } catch (error) {
      throw new MMapAllocationError(
        `Cannot allocate ${size} bytes as ${Buffer.name}: the runtime has no memory for it; ask for ` +
          "less, or use another backend",
        { cause: error },
      );
    }
  }

  get size(): number {
    return this.#bytes?.length ?? 0;
  }

  get bytes(): Uint8Array<ArrayBufferLike> {
    return this.#open("view");
  }

  read(size: number, offset: number = 0): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#range("read", offset, size));
  }

  readInto(target: ArrayBufferView, offset: number = 0): number {
    const bytes = asByteArray(target);
    this.#range("read", offset, 0);
    const length = Math.min(lengthOf(bytes), this.size - offset);
    setBytes(bytes, this.#range("read", offset, length));
    return length;
  }

  write(data: ArrayBufferView | ArrayBufferLike | string, offset: number = 0): number {
    const bytes = typeof data === "string" ? encoder.encode(data) : asByteArray(data);
    const length = lengthOf(bytes);
    setBytes(this.#range("write", offset, length), bytes);
    return length;
  }

  fill(value: number, offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    checkByte(value);
    this.#range("fill", offset, length).fill(value);
  }

  find(needle: Needle, offset: number = 0, end: number = this.size): number {
    const bytes = needleBytes(needle);
    const all = this.#open("search");
    const range = clampSearch(all.length, offset, end, bytes.length);
    if (range === undefined) return -1;
    if (bytes.length === 0) return range.start;
    const last = range.start + range.length - bytes.length;
    for (let at = range.start; at <= last; at++) {
      at = all.indexOf(bytes[0]!, at);
      if (at === -1 || at > last) return -1;
      if (bytes.every((byte, i) => all[at + i] === byte)) return at;
    }
    return -1;
  }

  /** Nothing but the range check: there is no disk behind the heap. */
  flush(offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    this.#range("flush", offset, length);
  }

  close(): void {
    const buffer = this.#bytes?.buffer;
    this.#bytes = undefined;
    // Empties every view, as closing a map does; what threads share cannot be emptied.
    if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(verb: string): Uint8Array<ArrayBufferLike> {
    const bytes = this.#bytes;
    if (bytes === undefined) {
      throw new MMapClosedError(`Cannot ${verb} a closed region: create it again`);
    }
    if (bytes.length > 0) return bytes;
    throw new MMapClosedError(
      `Cannot ${verb} a region whose buffer was transferred: create it again, or post a copy`,
    );
  }

  #range(verb: string, offset: number, length: number): Uint8Array<ArrayBufferLike> {
    const bytes = this.#open(verb);
    checkRange(verb, offset, length, bytes.length);
    return bytes.subarray(offset, offset + length);
  }
}
