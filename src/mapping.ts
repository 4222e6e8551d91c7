/**
 * The state of one mapping and everything that changes it: views, protections, growth, holes, the
 * end. `MemoryMap` is its public face; the other files of the library work on this class.
 */
import { Buffers } from "./buffers.ts";
import { checkInteger, checkRange } from "./check.ts";
import {
  explain,
  MMapAllocationError,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "./errors.ts";
import { hostConstants } from "./ffi/host.ts";
import { type Platform, SystemCallError } from "./ffi/platform.ts";
import type { Descriptor } from "./file.ts";
import { Protections, UNMAPPED } from "./protections.ts";

const { PROT_READ, PROT_WRITE, MAP_SHARED } = hostConstants;

/** Copies longer than this go piece by piece where one buffer cannot hold a map. */
const PIECE = 2 ** 30;

const NO_HUGE_PAGES =
  "reserve huge pages (sysctl vm.nr_hugepages=N), or use transparent ones with " +
  'hint("hugePages")';

/** What must be given back when a map ends; kept apart from the map so that a finalizer can. */
export interface Holdings {
  readonly platform: Platform;
  /** Page-aligned start and length of what is mapped; length 0 if nothing is. */
  base: bigint;
  length: number;
  readonly file: Descriptor | undefined;
  /** The size that the file gets at the end. */
  readonly truncateOnClose: number | undefined;
}

function giveBack({ platform, base, length, file, truncateOnClose }: Holdings): void {
  try {
    if (length > 0) platform.unmap(base, length);
  } finally {
    endFile(platform, file, truncateOnClose);
  }
}

function endFile(
  platform: Platform,
  file: Descriptor | undefined,
  truncateOnClose: number | undefined,
): void {
  try {
    if (file !== undefined && truncateOnClose !== undefined) {
      platform.truncate(file.fd, truncateOnClose);
    }
  } finally {
    file?.close();
  }
}

const finalizers = new FinalizationRegistry<Holdings>(giveBack);

/** What to map. */
export interface MapRequest {
  readonly platform: Platform;
  readonly size: number;
  readonly prot: number;
  readonly flags: number;
  /** Owned by the mapping from now on; undefined for anonymous memory. */
  readonly file?: Descriptor | undefined;
  readonly offset?: number;
  readonly path?: string | undefined;
  readonly name?: string | undefined;
  /** Bytes that the length is rounded up to, for huge pages. */
  readonly unit?: number;
  readonly inherit?: boolean;
  readonly truncateOnClose?: number | undefined;
}

/** Whole pages. */
export interface Pages {
  readonly address: bigint;
  readonly length: number;
}

/** One mapping, open or closed. */
export class Mapping {
  readonly platform: Platform;
  readonly flags: number;
  readonly offset: number;
  readonly path: string | undefined;
  readonly name: string | undefined;
  /** The class instance that views keep alive. */
  readonly #owner: object;
  readonly #holdings: Holdings;
  readonly #request: MapRequest;
  #buffers: Buffers;
  #protections: Protections;
  /** The view of everything, once it was needed; empty when closed or transferred away. */
  #view: Uint8Array<ArrayBuffer> | undefined;
  /** Address of the first byte; 0 when empty or closed. */
  addr: bigint;
  /** Bytes; 0 when closed. */
  size: number;
  /** The protection of the whole, as last set for the whole. */
  prot: number;
  closed = false;
  /** Counts resizes, so that an operation in pieces sees that its ground has moved. */
  generation = 0;
  #pins = 0;

  /**
   * Maps the pages that hold the range asked for.
   *
   * @param what The request, for an error message.
   * @param owner The public object; kept alive by views, watched by the finalizer.
   */
  constructor(what: string, request: MapRequest, owner: object) {
    const { platform, size, prot, flags, file, offset = 0, path, name } = request;
    const slack = offset % platform.allocationGranularity;
    const length = this.#mappedLength(request, size);
    let base = 0n;
    if (length > 0) {
      try {
        base = platform.map(length, prot, flags, file?.fd ?? -1, offset - slack);
      } catch (error) {
        throw explain(
          what,
          error,
          MMapAllocationError,
          request.unit === undefined ? undefined : NO_HUGE_PAGES,
        );
      }
    }
    this.platform = platform;
    this.flags = flags;
    this.offset = offset;
    this.path = path;
    this.name = name;
    this.addr = length === 0 ? 0n : base + BigInt(slack);
    this.size = size;
    this.prot = prot;
    this.#owner = owner;
    this.#request = request;
    this.#holdings = {
      platform,
      base,
      length,
      file,
      truncateOnClose: request.truncateOnClose,
    };
    this.#buffers = new Buffers(platform.runtime, this.addr, size, owner);
    this.#protections = new Protections(size, prot);
    try {
      this.#settle();
    } catch (error) {
      if (length > 0) platform.unmap(base, length);
      throw explain(what, error);
    }
    finalizers.register(owner, this.#holdings, this);
  }

  /** The descriptor of the file, or -1. */
  get fd(): number {
    return this.#holdings.file?.fd ?? -1;
  }

  /** Whether writes reach a file or other mappings. */
  get shared(): boolean {
    return (this.flags & MAP_SHARED) !== 0;
  }

  /** Bytes that any view may have, wherever it starts. */
  get span(): number {
    return this.#buffers.span;
  }

  /** Throws unless the map is open, holds the range, and all of it has the protection `mask`. */
  use(verb: string, offset: number, length: number, mask: number): void {
    if (this.closed) throw new MMapClosedError(`Cannot ${verb} a closed map: open it again`);
    checkRange(verb, offset, length, this.size);
    const prot = this.#protections.uniform;
    if ((prot !== undefined && (prot & mask) === mask) || length === 0) return;
    const request = `Cannot ${verb} ${length} bytes at offset ${offset}`;
    const hole = this.#protections.firstWith(UNMAPPED, offset, length);
    if (hole !== -1) {
      throw new MMapClosedError(`${request}: byte ${hole} was given back with unmapRange()`);
    }
    const missing = this.#protections.firstWithout(mask, offset, length);
    if (missing === -1) return;
    throw new MMapProtectionError(
      `${request}: byte ${missing} has no ${mask === PROT_WRITE ? "PROT_WRITE" : "PROT_READ"}; ` +
        "open the map with another mode, or use mprotect()",
    );
  }

  /** The pages that a range touches, or undefined if it touches none. */
  pagesAround(verb: string, offset: number, length: number): Pages | undefined {
    this.use(verb, offset, Math.max(length, 0), 0);
    checkInteger("a length in bytes", length, 0);
    if (length === 0) return undefined;
    const address = this.addr + BigInt(offset);
    const slack = Number(address % BigInt(this.platform.pageSize));
    return { address: address - BigInt(slack), length: length + slack };
  }

  /**
   * The pages that lie wholly in a range, or undefined if none does. The page in which the map ends
   * counts when the range reaches the end of the map.
   */
  pagesInside(verb: string, offset: number, length: number): Pages | undefined {
    this.use(verb, offset, Math.max(length, 0), 0);
    checkInteger("a length in bytes", length, 0);
    const page = this.platform.pageSize;
    const shift = Number(this.addr % BigInt(page));
    const start = roundUp(offset + shift, page) - shift;
    const last = offset + length;
    const end = last === this.size
      ? roundUp(last + shift, page) - shift
      : roundDown(last + shift, page) - shift;
    if (end <= start) return undefined;
    return { address: this.addr + BigInt(start), length: end - start };
  }

  /** Makes a call of the platform; a failure says what was asked for. */
  call<T>(what: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw explain(what, error);
    }
  }

  /** The view of everything. */
  whole(verb: string): Uint8Array<ArrayBuffer> {
    this.use(verb, 0, this.size, 0);
    // The length differs when the user has transferred the buffer away.
    if (this.#view?.length !== this.size) {
      this.#view = new Uint8Array(this.covering(0, this.size).buffer);
    }
    return this.#view;
  }

  /** A view of a range of at most `span` bytes, already checked. */
  range(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (this.#view !== undefined && this.#view.length === this.size) {
      return this.#view.subarray(offset, offset + length);
    }
    const { buffer, start } = this.covering(offset, length);
    if (start === 0 && buffer.byteLength === this.size) this.#view = new Uint8Array(buffer);
    return new Uint8Array(buffer, offset - start, length);
  }

  /** A buffer that holds a range, already checked, and where the buffer starts in the map. */
  covering(
    offset: number,
    length: number,
    unit: number = 1,
  ): { buffer: ArrayBuffer; start: number } {
    if (length > this.#buffers.limit) {
      throw new MMapInvalidParameterError(
        `Cannot view ${length} bytes at once: an ArrayBuffer of ${this.platform.runtime.name} ` +
          `holds at most ${this.#buffers.limit}; view ranges with asTypedArray(type, byteOffset, ` +
          "length) or asDataView(byteOffset, length), or copy with read() and readInto()",
      );
    }
    return this.#buffers.covering(offset, length, unit);
  }

  /** Calls `piece` for consecutive views of a range, already checked, of any length. */
  eachPiece(
    offset: number,
    length: number,
    piece: (view: Uint8Array<ArrayBuffer>, done: number) => void,
  ): void {
    const span = Math.min(this.span, PIECE);
    for (let done = 0; done < length; done += span) {
      const size = Math.min(span, length - done);
      piece(this.range(offset + done, size), done);
    }
  }

  /** Changes the protection of the pages that a range touches. */
  protect(prot: number, offset: number, length: number): void {
    const pages = this.pagesAround("protect", offset, length);
    if (pages === undefined) return;
    this.call(
      `Cannot protect ${length} bytes at offset ${offset}`,
      () => this.platform.protect(pages.address, pages.length, prot),
    );
    const start = Number(pages.address - this.addr);
    const end = start + roundUp(pages.length, this.platform.pageSize);
    this.#protections.set(Math.max(start, 0), Math.min(end, this.size), prot);
    this.prot = this.#protections.uniform ?? this.prot;
  }

  /** Gives the whole pages of a range back; their addresses stay taken. */
  unmapRange(offset: number, length: number): void {
    const pages = this.pagesInside("unmap", offset, length);
    if (pages === undefined) return;
    this.#detach();
    this.call(
      `Cannot unmap ${length} bytes at offset ${offset}`,
      () => this.platform.reserve(pages.address, pages.length),
    );
    const start = Number(pages.address - this.addr);
    this.#protections.set(start, Math.min(start + pages.length, this.size), UNMAPPED);
  }

  /** Gives the mapping another size, and the file too where the map ends with it. */
  resize(size: number): void {
    this.use("resize", 0, 0, 0);
    checkInteger("a size in bytes", size, 1);
    const what = `Cannot resize a map from ${this.size} to ${size} bytes`;
    const { file } = this.#holdings;
    checkInteger("the end of a range in bytes", this.offset + size, 1);
    if (file !== undefined && !(this.shared && (this.#request.prot & PROT_WRITE) !== 0)) {
      throw new MMapProtectionError(
        `${what}: it is ${this.shared ? "read-only" : "copy-on-write"}; open it with mode "r+"`,
      );
    }
    if (this.#protections.uniform === undefined) {
      throw new MMapInvalidParameterError(
        `${what}: its parts differ in protection or were unmapped; mprotect() the whole map first`,
      );
    }
    if (file === undefined && (this.shared || this.#request.unit !== undefined)) {
      throw new MMapInvalidParameterError(
        `${what}: shared anonymous memory and huge pages have a fixed size; use ` +
          "createMemfd(), or a file",
      );
    }
    if (size === this.size) return;

    const fileSize = file === undefined ? 0 : this.platform.fileInfo(file.fd).size;
    const end = this.offset + size;
    // The file follows the map if the map ends where the file does; what lies behind is kept.
    const follows = file !== undefined &&
      (end > fileSize || (size < this.size && this.offset + this.size >= fileSize));
    const growing = size > this.size;
    const truncate = (to: number): void => {
      if (follows) this.call(what, () => this.platform.truncate(file!.fd, to));
    };
    if (growing) truncate(end);
    try {
      this.#move(what, size);
    } catch (error) {
      if (growing) truncate(fileSize);
      throw error;
    }
    if (!growing) truncate(end);
  }

  /** Keeps the pages mapped, even through `close()`, until `operation` is over. */
  async pinned<T>(operation: () => Promise<T>): Promise<T> {
    this.#pins++;
    try {
      return await operation();
    } finally {
      this.#pins--;
      if (this.closed && this.#pins === 0) this.#end();
    }
  }

  /** Empties all views, unmaps and closes; at once, or when nothing pins the pages any more. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.addr = 0n;
    this.size = 0;
    finalizers.unregister(this);
    this.#detach();
    if (this.#pins === 0) this.#end();
  }

  #moved = false;

  /** Empties all views. One that was transferred away cannot be emptied from here. */
  #detach(): void {
    this.#view = undefined;
    if (!this.#buffers.detach()) this.#moved = true;
  }

  #end(): void {
    if (!this.#moved) return giveBack(this.#holdings);
    const { platform, file, truncateOnClose } = this.#holdings;
    try {
      this.#abandon();
    } finally {
      endFile(platform, file, truncateOnClose);
    }
  }

  /**
   * Leaves the addresses to a view that was transferred, say to a Worker: the bytes become zeros,
   * so that whoever has it never touches foreign memory.
   */
  #abandon(): void {
    const { platform, base, length } = this.#holdings;
    if (length > 0) platform.blank(base, length);
  }

  #mappedLength(request: MapRequest, size: number): number {
    if (size === 0) return 0;
    const slack = (request.offset ?? 0) % request.platform.allocationGranularity;
    return roundUp(size + slack, request.unit ?? 1);
  }

  /** Brings the mapping to another size, elsewhere if need be. The views are emptied. */
  #move(what: string, size: number): void {
    const { platform, flags, file } = this.#request;
    const prot = this.prot;
    const holdings = this.#holdings;
    const length = this.#mappedLength(this.#request, size);
    const slack = this.offset % platform.allocationGranularity;
    this.#detach();
    let base: bigint;
    if (platform.remap !== undefined && !this.#moved && holdings.length > 0) {
      base = this.call(what, () => platform.remap!(holdings.base, holdings.length, length));
    } else {
      const writable = file === undefined ? PROT_READ | PROT_WRITE : prot;
      base = this.call(
        what,
        () => platform.map(length, writable, flags, file?.fd ?? -1, this.offset - slack),
      );
      if (file === undefined) {
        platform.protect(holdings.base, holdings.length, PROT_READ);
        platform.memory.memmove(base, holdings.base, Math.min(holdings.length, length));
        platform.protect(base, length, prot);
      }
      if (this.#moved) this.#abandon();
      else if (holdings.length > 0) platform.unmap(holdings.base, holdings.length);
      this.#moved = false;
    }
    holdings.base = base;
    holdings.length = length;
    this.addr = base + BigInt(slack);
    this.size = size;
    this.generation++;
    this.#buffers = new Buffers(platform.runtime, this.addr, size, this.#owner);
    this.#protections = new Protections(size, this.prot);
    this.#settle();
  }

  /** What every fresh mapping gets besides its pages. */
  #settle(): void {
    const { platform, file, name, inherit = false } = this.#request;
    const { base, length } = this.#holdings;
    if (length === 0) return;
    if (file !== undefined && !inherit) platform.inherit(base, length, false);
    if (file === undefined && name !== undefined && platform.label !== undefined) {
      try {
        platform.label(base, length, name);
      } catch (error) {
        // A kernel built without CONFIG_ANON_VMA_NAME; the name only helps to read /proc/self/maps.
        if (!(error instanceof SystemCallError && error.code === "EINVAL")) throw error;
      }
    }
  }
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
