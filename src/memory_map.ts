/**
 * MemoryMap: the one class that owns a mapping. Every method checks its arguments, makes the
 * platform's call, and turns a failure into a typed error.
 *
 * Not promised: that a view of a file keeps its bytes while somebody else writes the file, or that
 * a page survives when somebody else truncates it.
 */
import { Buffers } from "./buffers.ts";
import { checkBits, checkInteger, checkRange, show } from "./check.ts";
import {
  explain,
  MMapAllocationError,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "./errors.ts";
import { hostConstants, platform } from "./ffi/host.ts";
import type { Platform } from "./ffi/platform.ts";
import { checkMappable, type Descriptor, openFile, type OpenOptions } from "./file.ts";
import { Protections } from "./protections.ts";

const {
  PROT_READ,
  PROT_WRITE,
  PROT_EXEC,
  MAP_SHARED,
  MAP_PRIVATE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MS_ASYNC,
  MS_SYNC,
  MS_INVALIDATE,
} = hostConstants;

/** Any of the typed array classes, such as `Float64Array`. */
export interface TypedArrayConstructor<T> {
  /** The class's name. */
  readonly name: string;
  /** Bytes of one element. */
  readonly BYTES_PER_ELEMENT: number;
  /** A view of `length` elements over a buffer. */
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T;
}

// deno-lint-ignore ban-types -- the abstract class %TypedArray% has no name in TypeScript
const TypedArray = Object.getPrototypeOf(Uint8Array) as Function;

/** Copies longer than this go through windows piece by piece where one buffer cannot hold a map. */
const PIECE = 2 ** 30;

const encoder = new TextEncoder();

/** What must be given back when a map ends; kept apart from the map so that a finalizer can. */
interface Holdings {
  readonly platform: Platform;
  /** Page-aligned start and length of the mapping; length 0 if nothing is mapped. */
  readonly base: bigint;
  readonly length: number;
  readonly file: Descriptor | undefined;
}

function giveBack({ platform, base, length, file }: Holdings): void {
  try {
    if (length > 0) platform.unmap(base, length);
  } finally {
    file?.close();
  }
}

const finalizers = new FinalizationRegistry<Holdings>(giveBack);

/** What a constructor needs to know about a fresh mapping. */
interface Mapped {
  readonly holdings: Holdings;
  readonly addr: bigint;
  readonly size: number;
  readonly prot: number;
  readonly offset: number;
  readonly path: string | undefined;
}

/**
 * Bytes of memory: of a file, or anonymous. The bytes are handed out without copying, as typed
 * arrays over the operating system's pages; {@link MemoryMap.read} and its kin copy.
 *
 * `close()` empties every view that was handed out and then unmaps, so that a stale view reads
 * `undefined` instead of foreign memory. A map that nobody closed is unmapped after it and all its
 * views were garbage-collected.
 *
 * Linux, macOS and Windows; Deno (`--allow-ffi`), Bun, and Node 26.1 or later.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createAnonymous(4096);
 * map.write("hello");
 * assertEquals(new TextDecoder().decode(map.read(5)), "hello");
 * ```
 */
export class MemoryMap implements Disposable {
  readonly #platform: Platform;
  readonly #holdings: Holdings;
  readonly #buffers: Buffers;
  readonly #protections: Protections;
  readonly #offset: number;
  readonly #path: string | undefined;
  #addr: bigint;
  #size: number;
  #prot: number;
  /** The view of everything, once it was needed; empty when closed or transferred away. */
  #view: Uint8Array<ArrayBuffer> | undefined;
  #closed = false;

  private constructor({ holdings, addr, size, prot, offset, path }: Mapped) {
    this.#platform = holdings.platform;
    this.#holdings = holdings;
    this.#buffers = new Buffers(holdings.platform.runtime, addr, size, this);
    this.#protections = new Protections(size, prot);
    this.#addr = addr;
    this.#size = size;
    this.#prot = prot;
    this.#offset = offset;
    this.#path = path;
    finalizers.register(this, holdings, this);
  }

  /**
   * Maps zero-filled memory without a file ({@link https://man7.org/linux/man-pages/man2/mmap.2.html | mmap(2)}).
   *
   * @param size Bytes, at least 1; the system rounds up to pages.
   * @param prot Default `PROT_READ | PROT_WRITE`.
   * @param flags Default `MAP_PRIVATE | MAP_ANONYMOUS`; `MAP_ANONYMOUS` is implied.
   * @returns The map; close it, or declare it with `using`.
   * @throws {MMapInvalidParameterError} If a size, protection or flag is not one of these.
   * @throws {MMapAllocationError} If the system has not that much memory or address space.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(1 << 20);
   * assertEquals(map.size, 1048576);
   * assertEquals(map.bytes[0], 0);
   * ```
   */
  static createAnonymous(
    size: number,
    prot: number = PROT_READ | PROT_WRITE,
    flags: number = MAP_PRIVATE | MAP_ANONYMOUS,
  ): MemoryMap {
    checkInteger("a size in bytes", size, 1);
    const system = platform();
    checkProt(prot);
    checkMapFlags(system, flags);
    const what = `Cannot map ${size} bytes of memory`;
    return new MemoryMap({
      ...mapPages(system, what, size, prot, flags | MAP_ANONYMOUS, undefined, 0),
      path: undefined,
    });
  }

  /**
   * Maps part of an open file. The descriptor is duplicated: closing `fd` does not end the map.
   *
   * @param fd A file descriptor, as `openSync` of `node:fs` gives it.
   * @param offset Bytes from the start of the file, any value.
   * @param size Bytes, at least 1; `offset + size` must not pass the end of a regular file.
   * @param prot Default `PROT_READ | PROT_WRITE`; the descriptor must be open for it.
   * @param flags Default `MAP_SHARED`; `MAP_PRIVATE` keeps writes in this map.
   * @returns The map; close it, or declare it with `using`.
   * @throws {MMapInvalidParameterError} If the descriptor is bad or a directory, or the range is
   * not in the file.
   * @throws {MMapAllocationError} If the system refuses the mapping.
   *
   * @example
   * ```ts
   * import { closeSync, openSync, writeFileSync } from "node:fs";
   * import { MemoryMap, PROT_READ } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/data`;
   * writeFileSync(path, "0123456789");
   * const fd = openSync(path, "r");
   * using map = MemoryMap.createFileMapping(fd, 3, 4, PROT_READ);
   * closeSync(fd);
   * assertEquals(new TextDecoder().decode(map.read(4)), "3456");
   * ```
   */
  static createFileMapping(
    fd: number,
    offset: number,
    size: number,
    prot: number = PROT_READ | PROT_WRITE,
    flags: number = MAP_SHARED,
  ): MemoryMap {
    checkInteger("a file descriptor", fd, 0);
    checkInteger("an offset in bytes", offset, 0);
    checkInteger("a size in bytes", size, 1);
    checkInteger("the end of a range in bytes", offset + size, 1);
    const system = platform();
    checkProt(prot);
    checkMapFlags(system, flags);
    if ((flags & MAP_ANONYMOUS) !== 0) {
      throw new MMapInvalidParameterError(
        "Cannot map a file with MAP_ANONYMOUS: leave the flag out, or use createAnonymous()",
      );
    }
    const what = `Cannot map ${size} bytes at offset ${offset} of descriptor ${fd}`;
    let file: Descriptor | undefined;
    try {
      const info = system.fileInfo(fd);
      checkMappable(`descriptor ${fd}`, info);
      if (info.kind === "file" && size > info.size - offset) {
        throw new MMapInvalidParameterError(
          `${what}: the file has ${info.size} bytes; make it longer first`,
        );
      }
      const duplicate = system.duplicate(fd);
      file = { fd: duplicate, close: () => system.closeDuplicate(duplicate) };
      return new MemoryMap({
        ...mapPages(system, what, size, prot, flags, file, offset),
        path: undefined,
      });
    } catch (error) {
      file?.close();
      throw explain(what, error);
    }
  }

  /**
   * Opens a file and maps it. Deno asks for `--allow-read`, and `--allow-write` for the modes `"r+"`
   * and `"w+"`. An empty file gives a valid map of size 0.
   *
   * @param path A path or a `file:` URL.
   * @param options Mode, offset and size; by default the whole file, read only.
   * @returns The map; close it, or declare it with `using`.
   * @throws {MMapError} If the file cannot be opened; `code` says why (`ENOENT`, ...).
   * @throws {MMapInvalidParameterError} If an option is wrong, the path is a directory, or the
   * range is not in the file.
   * @throws {MMapAllocationError} If the disk or the system refuses the size.
   *
   * @example
   * ```ts
   * import { readFileSync } from "node:fs";
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/values`;
   * {
   *   using map = MemoryMap.open(path, { mode: "w+", size: 16 });
   *   map.asTypedArray(Float64Array).set([1.5, 2.5]);
   * }
   * assertEquals(readFileSync(path).readDoubleLE(8), 2.5);
   * ```
   */
  static open(path: string | URL, options: OpenOptions = {}): MemoryMap {
    const system = platform();
    const file = openFile(system, path, options);
    const { offset, size, prot, flags } = file;
    try {
      const what = `Cannot map ${size} bytes at offset ${offset} of ${show(file.path)}`;
      return new MemoryMap({
        ...mapPages(system, what, size, prot, flags, file, offset),
        path: file.path,
      });
    } catch (error) {
      file.undoGrowth();
      file.close();
      throw error;
    }
  }

  /** Address of the first byte; 0n for an empty map and after `close()`. */
  get addr(): bigint {
    return this.#addr;
  }

  /** Bytes of the map; 0 after `close()`. */
  get size(): number {
    return this.#size;
  }

  /** Whether the map is open. */
  get isValid(): boolean {
    return !this.#closed;
  }

  /** Bytes of a page, the unit of protection and paging. */
  get pageSize(): number {
    return this.#platform.pageSize;
  }

  /** The protection given at creation, or by the last `mprotect` of the whole map. */
  get prot(): number {
    return this.#prot;
  }

  /** Bytes from the start of the file to the start of the map; 0 without a file. */
  get offset(): number {
    return this.#offset;
  }

  /** The path given to `open`; undefined for other maps. */
  get path(): string | undefined {
    return this.#path;
  }

  /**
   * All bytes, zero copy. Writing to a map without `PROT_WRITE` through it is an error of the
   * hardware, not an exception: use {@link MemoryMap.write} when in doubt.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapInvalidParameterError} If the map is larger than one ArrayBuffer can be (4 GiB in
   * Bun): use `asTypedArray` or `asDataView` for ranges.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#whole("view the bytes of a map");
  }

  /**
   * The buffer behind {@link MemoryMap.bytes}, zero copy.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapInvalidParameterError} If the map is larger than one ArrayBuffer can be.
   */
  get buffer(): ArrayBuffer | SharedArrayBuffer {
    return this.#whole("view the buffer of a map").buffer;
  }

  /**
   * A copy of a range.
   *
   * @param size Bytes to copy.
   * @param offset Bytes from the start of the map. Default 0.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   * @throws {MMapProtectionError} If the range may not be read.
   * @throws {MMapClosedError} If the map is closed.
   */
  read(size: number, offset: number = 0): Uint8Array<ArrayBuffer> {
    this.#use("read", offset, size, PROT_READ);
    if (size <= this.#buffers.span) return new Uint8Array(this.#range(offset, size));
    const copy = new Uint8Array(size);
    this.#copyOut(copy, offset);
    return copy;
  }

  /**
   * Copies bytes into a view that is already there, without allocating; short when the map ends
   * before the view does.
   *
   * @param target Any view; its bytes are filled from its start.
   * @param offset Bytes from the start of the map. Default 0.
   * @returns The bytes copied: `target.byteLength`, or fewer at the end of the map.
   * @throws {MMapInvalidParameterError} If the offset is past the end of the map.
   * @throws {MMapProtectionError} If the range may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(10);
   * map.write("0123456789");
   * const chunk = new Uint8Array(8);
   * assertEquals(map.readInto(chunk), 8);
   * assertEquals(map.readInto(chunk, 8), 2);
   * ```
   */
  readInto(target: ArrayBufferView, offset: number = 0): number {
    const bytes = asBytes(target);
    this.#use("read", offset, 0, 0);
    const length = Math.min(bytes.length, this.#size - offset);
    this.#use("read", offset, length, PROT_READ);
    if (length === bytes.length && length <= this.#buffers.span) {
      bytes.set(this.#range(offset, length));
    } else {
      this.#copyOut(bytes.subarray(0, length), offset);
    }
    return length;
  }

  /**
   * Copies bytes into the map, all or none.
   *
   * @param data Bytes, or text that is written as UTF-8.
   * @param offset Bytes from the start of the map. Default 0.
   * @returns The bytes written.
   * @throws {MMapInvalidParameterError} If the data does not fit, or is of another kind.
   * @throws {MMapProtectionError} If the range may not be written.
   * @throws {MMapClosedError} If the map is closed.
   */
  write(data: ArrayBufferView | ArrayBufferLike | string, offset: number = 0): number {
    const bytes = typeof data === "string" ? encoder.encode(data) : asBytes(data);
    this.#use("write", offset, bytes.length, PROT_WRITE);
    const span = Math.min(this.#buffers.span, PIECE);
    if (bytes.length <= span) {
      this.#range(offset, bytes.length).set(bytes);
    } else {
      for (let done = 0; done < bytes.length; done += span) {
        const piece = bytes.subarray(done, done + span);
        this.#range(offset + done, piece.length).set(piece);
      }
    }
    return bytes.length;
  }

  /**
   * The map as a typed array, zero copy. All eleven classes and `Float16Array`.
   *
   * @param type The class, such as `Float64Array`.
   * @param byteOffset Bytes from the start of the map. Default 0.
   * @param length Elements. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If the range is not in the map, its address is not a
   * multiple of the element's size, or, without a `length`, what is left is not whole elements.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * const values = map.asTypedArray(Float32Array, 1024, 4);
   * values.set([1, 2, 3, 4]);
   * assertEquals(map.asTypedArray(Float32Array)[257], 2);
   * ```
   */
  asTypedArray<T>(type: TypedArrayConstructor<T>, byteOffset: number = 0, length?: number): T {
    if (typeof type !== "function" || !(type.prototype instanceof TypedArray)) {
      throw new MMapInvalidParameterError(
        `Cannot view a map as ${show(type)}: give a typed array class such as Float64Array`,
      );
    }
    const unit = type.BYTES_PER_ELEMENT;
    this.#use(`view as ${type.name}`, byteOffset, 0, 0);
    const left = this.#size - byteOffset;
    if (length === undefined && left % unit !== 0) {
      throw new MMapInvalidParameterError(
        `Cannot view ${left} bytes at offset ${byteOffset} as ${type.name}: they are not a ` +
          `multiple of ${unit} bytes; give a length in elements`,
      );
    }
    const elements = length ?? left / unit;
    checkInteger("a length in elements", elements, 0);
    this.#use(`view as ${type.name}`, byteOffset, elements * unit, 0);
    // Checked on the address: a map may start anywhere in a page of its file.
    if ((this.#addr + BigInt(byteOffset)) % BigInt(unit) !== 0n) {
      throw new MMapInvalidParameterError(
        `Cannot view offset ${byteOffset} as ${type.name}: ${this.#offset + byteOffset} is not a ` +
          `multiple of ${unit} bytes; use another offset, or asDataView()`,
      );
    }
    const { buffer, start } = this.#covering(byteOffset, elements * unit);
    return new type(buffer, byteOffset - start, elements);
  }

  /**
   * The map as a DataView, zero copy: values of any type at any offset, in either byte order.
   *
   * @param byteOffset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   * @throws {MMapClosedError} If the map is closed.
   */
  asDataView(
    byteOffset: number = 0,
    length: number = this.#size - byteOffset,
  ): DataView<ArrayBuffer> {
    this.#use("view", byteOffset, Math.max(length, 0), 0);
    checkInteger("a length in bytes", length, 0);
    const { buffer, start } = this.#covering(byteOffset, length);
    return new DataView(buffer, byteOffset - start, length);
  }

  /**
   * Changes what may be done with a range
   * ({@link https://man7.org/linux/man-pages/man2/mprotect.2.html | mprotect(2)}).
   *
   * @param prot `PROT_NONE`, or `PROT_READ`, `PROT_WRITE`, `PROT_EXEC` combined.
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map. Every page that the range touches changes.
   * @throws {MMapProtectionError} If the file is not open for it.
   * @throws {MMapInvalidParameterError} If the range is not in the map or `prot` is unknown.
   * @throws {MMapClosedError} If the map is closed.
   */
  mprotect(prot: number, offset: number = 0, length: number = this.#size - offset): void {
    checkProt(prot);
    const pages = this.#pages("protect", offset, length);
    if (pages === undefined) return;
    this.#call(
      `Cannot protect ${length} bytes at offset ${offset}`,
      () => this.#platform.protect(pages.address, pages.length, prot),
    );
    const start = Number(pages.address - this.#addr);
    this.#protections.set(
      Math.max(start, 0),
      Math.min(roundUp(start + pages.length, this.pageSize), this.#size),
      prot,
    );
    this.#prot = this.#protections.uniform ?? this.#prot;
  }

  /**
   * Writes changed pages back to the file
   * ({@link https://man7.org/linux/man-pages/man2/msync.2.html | msync(2)}).
   *
   * @param flags `MS_SYNC` (default) waits until the storage has the data; `MS_ASYNC` does not wait
   * (and does nothing on Linux, which writes back by itself). `MS_INVALIDATE` may be added.
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If the range is not in the map or the flags are unknown.
   * @throws {MMapError} If the storage fails; `code` says how (`EIO`, ...).
   * @throws {MMapClosedError} If the map is closed.
   */
  msync(flags: number = MS_SYNC, offset: number = 0, length: number = this.#size - offset): void {
    checkBits(
      "flags of msync",
      flags,
      MS_ASYNC | MS_SYNC | MS_INVALIDATE,
      "MS_SYNC or MS_ASYNC, and MS_INVALIDATE",
    );
    if ((flags & MS_SYNC) !== 0 && (flags & MS_ASYNC) !== 0) {
      throw new MMapInvalidParameterError(
        "Cannot flush with MS_SYNC and MS_ASYNC: waiting or not waiting, give one",
      );
    }
    const pages = this.#pages("flush", offset, length);
    if (pages === undefined) return;
    this.#call(
      `Cannot flush ${length} bytes at offset ${offset}`,
      () => this.#platform.sync(pages.address, pages.length, flags, this.#holdings.file?.fd ?? -1),
    );
  }

  /**
   * Keeps a range in memory ({@link https://man7.org/linux/man-pages/man2/mlock.2.html | mlock(2)}).
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map. Every page that the range touches is locked.
   * @throws {MMapAllocationError} If RLIMIT_MEMLOCK (the working set, on Windows) is too small.
   * @throws {MMapProtectionError} If the process may lock nothing.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   * @throws {MMapClosedError} If the map is closed.
   */
  mlock(offset: number = 0, length: number = this.#size - offset): void {
    const pages = this.#pages("lock", offset, length);
    if (pages === undefined) return;
    this.#call(
      `Cannot lock ${length} bytes at offset ${offset}`,
      () => this.#platform.lock(pages.address, pages.length),
    );
  }

  /**
   * Undoes {@link MemoryMap.mlock}.
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   * @throws {MMapClosedError} If the map is closed.
   */
  munlock(offset: number = 0, length: number = this.#size - offset): void {
    const pages = this.#pages("unlock", offset, length);
    if (pages === undefined) return;
    this.#call(
      `Cannot unlock ${length} bytes at offset ${offset}`,
      () => this.#platform.unlock(pages.address, pages.length),
    );
  }

  /**
   * Empties every view that was handed out, unmaps the memory and closes the file. Changes of a
   * shared map reach the file in any case; `msync` first if they must be on the storage. Calling it
   * again does nothing.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#addr = 0n;
    this.#size = 0;
    finalizers.unregister(this);
    const { platform, base, length, file } = this.#holdings;
    if (this.#buffers.detach()) return giveBack(this.#holdings);
    // A buffer was transferred, say to a Worker, and cannot be emptied from here: its bytes become
    // zeros, and its addresses stay taken, so that whoever has it cannot touch foreign memory.
    try {
      platform.blank(base, length);
    } finally {
      file?.close();
    }
  }

  /** Calls `close()`; for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Throws unless the map is open, holds the range, and all of it has the protection `mask`. */
  #use(verb: string, offset: number, length: number, mask: number): void {
    if (this.#closed) {
      throw new MMapClosedError(`Cannot ${verb} a closed map: open it again`);
    }
    checkRange(verb, offset, length, this.#size);
    const prot = this.#protections.uniform;
    if (mask === 0 || (prot !== undefined && (prot & mask) !== 0)) return;
    const missing = this.#protections.firstWithout(mask, offset, length);
    if (missing === -1) return;
    throw new MMapProtectionError(
      `Cannot ${verb} ${length} bytes at offset ${offset}: byte ${missing} has no ` +
        `${mask === PROT_WRITE ? "PROT_WRITE" : "PROT_READ"}; open the map with another mode, or ` +
        "use mprotect()",
    );
  }

  /** The pages that a range touches, or undefined if it touches none. */
  #pages(
    verb: string,
    offset: number,
    length: number,
  ): { address: bigint; length: number } | undefined {
    this.#use(verb, offset, Math.max(length, 0), 0);
    checkInteger("a length in bytes", length, 0);
    if (length === 0) return undefined;
    const address = this.#addr + BigInt(offset);
    const slack = Number(address % BigInt(this.pageSize));
    return { address: address - BigInt(slack), length: length + slack };
  }

  #call(what: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      throw explain(what, error);
    }
  }

  /** The view of everything. */
  #whole(what: string): Uint8Array<ArrayBuffer> {
    if (this.#closed) throw new MMapClosedError(`Cannot ${what} that is closed: open it again`);
    // The length differs when the user has transferred the buffer away.
    if (this.#view?.length !== this.#size) {
      this.#view = new Uint8Array(this.#covering(0, this.#size).buffer);
    }
    return this.#view!;
  }

  /** A view of a range that fits a window. */
  #range(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (this.#view?.length === this.#size) return this.#view.subarray(offset, offset + length);
    if (this.#size <= this.#buffers.limit) {
      return this.#whole("view a map").subarray(offset, offset + length);
    }
    const { buffer, start } = this.#covering(offset, length);
    return new Uint8Array(buffer, offset - start, length);
  }

  #covering(offset: number, length: number): { buffer: ArrayBuffer; start: number } {
    if (length > this.#buffers.limit) {
      throw new MMapInvalidParameterError(
        `Cannot view ${length} bytes at once: an ArrayBuffer of ${this.#platform.runtime.name} ` +
          `holds at most ${this.#buffers.limit}; view ranges with asTypedArray(type, byteOffset, ` +
          "length) or asDataView(byteOffset, length), or copy with read() and readInto()",
      );
    }
    return this.#buffers.covering(offset, length);
  }

  /** Copies a range of any length. */
  #copyOut(target: Uint8Array, offset: number): void {
    const span = Math.min(this.#buffers.span, PIECE);
    for (let done = 0; done < target.length; done += span) {
      const length = Math.min(span, target.length - done);
      target.set(this.#range(offset + done, length), done);
    }
  }
}

/**
 * C's `mmap` as one function.
 *
 * @param size Bytes, at least 1.
 * @param prot Default `PROT_READ | PROT_WRITE`.
 * @param flags Default `MAP_PRIVATE | MAP_ANONYMOUS`.
 * @param fd A file descriptor; -1 (default) with `MAP_ANONYMOUS`.
 * @param offset Bytes from the start of the file. Default 0.
 * @returns The map; close it, or declare it with `using`.
 * @throws {MMapInvalidParameterError} If an argument is wrong, or `fd` and `MAP_ANONYMOUS` disagree.
 * @throws {MMapAllocationError} If the system refuses the mapping.
 *
 * @example
 * ```ts
 * import { mmapRegion } from "@mman/mman";
 * import { assertEquals } from "@std/assert";
 *
 * using map = mmapRegion(4096);
 * assertEquals(map.bytes.length, 4096);
 * ```
 */
export function mmapRegion(
  size: number,
  prot: number = PROT_READ | PROT_WRITE,
  flags: number = MAP_PRIVATE | MAP_ANONYMOUS,
  fd: number = -1,
  offset: number = 0,
): MemoryMap {
  if (fd !== -1) return MemoryMap.createFileMapping(fd, offset, size, prot, flags);
  if ((flags & MAP_ANONYMOUS) === 0) {
    throw new MMapInvalidParameterError(
      "Cannot map a file without a descriptor: give fd, or add MAP_ANONYMOUS to the flags",
    );
  }
  return MemoryMap.createAnonymous(size, prot, flags);
}

/**
 * Bytes of a page of the running system: 4096 on x86-64, 16384 on Apple silicon.
 *
 * @example
 * ```ts
 * import { pageSize } from "@mman/mman";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(Math.log2(pageSize()) % 1, 0);
 * ```
 */
export function pageSize(): number {
  return platform().pageSize;
}

/**
 * Bytes that the system aligns mappings to: the page size, or 65536 on Windows. The library hides
 * it; any offset can be mapped.
 *
 * @example
 * ```ts
 * import { allocationGranularity, pageSize } from "@mman/mman";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(allocationGranularity() % pageSize(), 0);
 * ```
 */
export function allocationGranularity(): number {
  return platform().allocationGranularity;
}

/** Maps the pages that hold a range of a file, or anonymous pages when there is no file. */
function mapPages(
  system: Platform,
  what: string,
  size: number,
  prot: number,
  flags: number,
  file: Descriptor | undefined,
  offset: number,
): Omit<Mapped, "path"> {
  const slack = offset % system.allocationGranularity;
  const length = size === 0 ? 0 : size + slack;
  let base = 0n;
  if (length > 0) {
    try {
      base = system.map(length, prot, flags, file?.fd ?? -1, offset - slack);
    } catch (error) {
      throw explain(what, error, MMapAllocationError);
    }
  }
  const holdings = { platform: system, base, length, file };
  return { holdings, addr: size === 0 ? 0n : base + BigInt(slack), size, prot, offset };
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function checkProt(prot: number): void {
  checkBits(
    "a protection",
    prot,
    PROT_READ | PROT_WRITE | PROT_EXEC,
    "PROT_READ, PROT_WRITE and PROT_EXEC, or be PROT_NONE",
  );
}

function checkMapFlags(system: Platform, flags: number): void {
  checkInteger("flags of mmap", flags, -(2 ** 31));
  if ((flags & MAP_FIXED) !== 0) {
    throw new MMapInvalidParameterError(
      "Cannot map with MAP_FIXED: no call here takes an address; leave the flag out",
    );
  }
  const unknown = flags & ~system.mapFlags;
  if (unknown !== 0) {
    const name = Object.entries(system.constants)
      .find(([name, value]) => value === unknown && /MAP_/.test(name))?.[0];
    throw new MMapInvalidParameterError(
      `Cannot map with ${name ?? `flag 0x${(unknown >>> 0).toString(16)}`}: ` +
        `${system.name} does not have it; leave it out`,
    );
  }
  const sharing = flags & (MAP_SHARED | MAP_PRIVATE);
  if (sharing !== MAP_SHARED && sharing !== MAP_PRIVATE) {
    throw new MMapInvalidParameterError(
      `Cannot map with flags 0x${flags.toString(16)}: give MAP_SHARED or MAP_PRIVATE, one of them`,
    );
  }
}

/** The bytes of any view or buffer. */
function asBytes(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) return new Uint8Array(data);
  throw new MMapInvalidParameterError(
    `Cannot take bytes from ${
      show(data)
    }: give a typed array, a DataView, an ArrayBuffer or a string`,
  );
}
