/** MemoryRegion: what all kinds of memory have in common. A MemoryMap is one, without further ado. */
import type { Needle } from "../memory_operations.ts";

/**
 * Bytes of memory, of whatever kind. Code that is written against this interface works on a file, on
 * shared memory and on the heap alike; `MemoryMap` has all of it, and more.
 *
 * @example
 * ```ts
 * import { createRegion, type MemoryRegion } from "@mman/mman/region";
 * import { assertEquals } from "@std/assert";
 *
 * function greet(region: MemoryRegion): string {
 *   region.write("hello");
 *   return new TextDecoder().decode(region.read(5));
 * }
 *
 * using heap = createRegion(4096, { backend: "heap" });
 * using memory = createRegion(4096, { backend: "anonymous" });
 * assertEquals(greet(heap), greet(memory));
 * ```
 */
export interface MemoryRegion extends Disposable {
  /** Bytes; 0 when closed. */
  readonly size: number;
  /**
   * All bytes, zero copy.
   *
   * @throws {MMapClosedError} If the region is closed, or the buffer of the heap was transferred away.
   */
  readonly bytes: Uint8Array<ArrayBufferLike>;
  /**
   * Copies bytes out.
   *
   * @param size Bytes.
   * @param offset Bytes from the start. Default 0.
   */
  read(size: number, offset?: number): Uint8Array<ArrayBuffer>;
  /**
   * Copies bytes into a view: as many as fit, or as there are; returns how many.
   *
   * @param target Any typed array, or a DataView.
   * @param offset Bytes from the start. Default 0.
   */
  readInto(target: ArrayBufferView, offset?: number): number;
  /**
   * Copies bytes in; returns how many.
   *
   * @param data Bytes; text as UTF-8.
   * @param offset Bytes from the start. Default 0.
   */
  write(data: ArrayBufferView | ArrayBufferLike | string, offset?: number): number;
  /**
   * Sets every byte of a range.
   *
   * @param value From 0 to 255.
   * @param offset Bytes from the start. Default 0.
   * @param length Bytes. Default: to the end.
   */
  fill(value: number, offset?: number, length?: number): void;
  /**
   * The first place of some bytes, or -1.
   *
   * @param needle Bytes; text as UTF-8.
   * @param offset Where to begin. Default 0.
   * @param end Where to end. Default: the end.
   */
  find(needle: Needle, offset?: number, end?: number): number;
  /**
   * Writes a range to the disk, where there is one behind the memory.
   *
   * @param offset Bytes from the start. Default 0.
   * @param length Bytes. Default: to the end.
   */
  flush(offset?: number, length?: number): void;
  /** Gives the memory back. Again is allowed. */
  close(): void;
}
