/**
 * The state of one mapping and everything that changes it: views, protections, growth, holes, the
 * end. `MemoryMap` is its public face; the other files of the library work on this class.
 */
import { Buffers, type Views } from "./buffers.ts";
import { checkedMemory } from "./checked_memory.ts";
import { checkInteger, checkRange, lengthOrZero } from "./check.ts";
import {
  MMapAllocationError,
  MMapClosedError,
  type MMapErrorOptions,
  MMapFaultError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "./errors.ts";
import { explain } from "./explain.ts";
import { unwatch, watch, type Watched } from "./fault_watch.ts";
import { type Extent, type FaultPlace, Faults, firstInside } from "./faults.ts";
import { hostConstants } from "./ffi/host.ts";
import { type MemoryFunctions, type Platform, SystemCallError } from "./ffi/platform.ts";
import type { Descriptor } from "./file.ts";
import { lockNew, noteMapped, noteUnmapped } from "./locking.ts";
import { Protections, type Segment, UNMAPPED } from "./protections.ts";
import { addressOfMemory, createSharedMemory, SharedViews } from "./shared_pages.ts";
import {
  type Ending,
  endPages,
  endUntold,
  type MapHandle,
  type SharedPlace,
  Sharing,
  truncateAtEnd,
} from "./sharing.ts";

const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE } = hostConstants;

const NEVER_TOUCHED = new Int32Array(1);

/** Copies longer than this go piece by piece where one buffer cannot hold a map. */
const PIECE = 2 ** 30;

const NO_HUGE_PAGES =
  "reserve huge pages (sysctl vm.nr_hugepages=N), or use transparent ones with " +
  'hint("hugePages")';

/** What must be given back when a map ends; kept apart from the map so that a finalizer can. */
interface Holdings {
  readonly platform: Platform;
  /** Page-aligned start and length of what is mapped; length 0 if nothing is. */
  base: bigint;
  length: number;
  readonly file: Descriptor | undefined;
  /** The size that the file gets at the end. */
  truncateOnClose: number | undefined;
  /** The memory whose pages they are: the engine unmaps them, after they have ended. */
  readonly memory: WebAssembly.Memory | undefined;
  sharing: Sharing | undefined;
  /** Guards the pages, as long as they are mapped. */
  faults: Faults;
  /** Whether a buffer was handed out, which may have been transferred away since. */
  exposed: boolean;
}

function giveBack(holdings: Holdings, ending: Ending): void {
  noteUnmapped(holdings);
  const { platform, base, length, faults, file, sharing, memory, truncateOnClose } = holdings;
  try {
    if (sharing === undefined) endPages(platform, { base, length, faults: faults.place }, ending);
    else sharing.leave(ending, memory);
  } finally {
    try {
      // A file that others hold, too, is the last one's to truncate.
      if (file !== undefined && truncateOnClose !== undefined && sharing === undefined) {
        truncateAtEnd(platform, file.fd, truncateOnClose);
      }
    } finally {
      file?.close();
    }
  }
}

/**
 * Ends what nobody closed. A buffer that was handed out may live on, transferred to somewhere else, and
 * nobody can tell any more: zero pages take the place of its memory and the addresses stay taken. They
 * cost no memory, and neighbours become one area.
 */
const finalizers = new FinalizationRegistry<Holdings>((holdings) =>
  endUntold(() =>
    giveBack(holdings, holdings.memory !== undefined || holdings.exposed ? "blank" : "unmap")
  )
);

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
  readonly unit?: number | undefined;
  readonly inherit?: boolean;
  readonly truncateOnClose?: number | undefined;
  /** Whether the bytes are to be a SharedArrayBuffer. */
  readonly sharedBuffer?: boolean;
}

/** Whole pages. */
export interface Pages {
  readonly address: bigint;
  readonly length: number;
}

/** One mapping, open or closed. */
export class Mapping implements Watched {
  readonly platform: Platform;
  readonly flags: number;
  readonly offset: number;
  readonly path: string | undefined;
  readonly name: string | undefined;
  /** The class instance that views keep alive. */
  readonly #owner: object;
  readonly #holdings: Holdings;
  readonly #request: MapRequest;
  #buffers: Views;
  #protections: Protections;
  /** Our own view of everything, once it was needed; empty when closed or transferred away. */
  #view: Uint8Array<ArrayBuffer> | undefined;
  #publicView: Uint8Array<ArrayBuffer> | undefined;
  /** Address of the first byte; 0 when empty or closed. */
  addr: bigint;
  /** Bytes; 0 when closed. */
  size: number;
  /** The protection of the whole, as last set for the whole. */
  prot: number;
  closed = false;
  /** Counts resizes, so that an operation in pieces sees that its ground has moved. */
  generation = 0;
  /** Counts every change of what may be touched where, so that a view that is kept sees it. */
  version = 0;
  #pins = 0;
  /** A word of the guard's, not 0 once a page was replaced. */
  touched: Int32Array = NEVER_TOUCHED;
  /** Whether copying is left to the system, because a fault would end the process. */
  checked = false;
  /** The memory functions for addresses in the map. */
  functions: MemoryFunctions;

  /** The memory whose pages the mapping lies over, with `sharedBuffer`. */
  readonly #memory: WebAssembly.Memory | undefined;

  /** That memory itself, for a mapping that takes this one's place. */
  get ownMemory(): WebAssembly.Memory | undefined {
    return this.#memory;
  }

  /** Called, without arguments, when the map closes, while its bytes are still there. */
  readonly closing: Set<() => void> = new Set();

  /**
   * Maps the pages that hold the range asked for, or takes part in a mapping that is there.
   *
   * @param what The request, for an error message.
   * @param owner The public object; kept alive by views, watched by the finalizer.
   * @param sharing The part taken in a mapping that is there.
   * @param memory The memory whose pages that one lies over, if any.
   */
  constructor(
    what: string,
    request: MapRequest,
    owner: object,
    sharing?: Sharing,
    memory?: WebAssembly.Memory,
  ) {
    const { platform, size, prot, flags, file, offset = 0, path, name } = request;
    const slack = offset % platform.allocationGranularity;
    const place = sharing?.place;
    const length = place?.length ?? this.#mappedLength(request, size);
    this.#request = request;
    this.platform = platform;
    this.flags = flags;
    this.offset = offset;
    this.path = path;
    this.name = name;
    this.#memory = memory ??
      (request.sharedBuffer === true ? createSharedMemory(what, length) : undefined);
    const base = place?.base ?? this.#mapPages(what, request, length, offset - slack);
    this.addr = length === 0 ? 0n : base + BigInt(slack);
    this.size = size;
    this.prot = prot;
    this.#owner = owner;
    this.#holdings = {
      platform,
      base,
      length,
      file,
      truncateOnClose: request.truncateOnClose,
      memory: this.#memory,
      exposed: false,
      sharing,
      faults: this.#guarded(base, length, place?.faults),
    };
    this.functions = platform.memory;
    this.#heed(this.#holdings.faults);
    this.#buffers = this.#memory === undefined
      ? new Buffers(platform.runtime, this.addr, size, owner)
      : new SharedViews(this.#memory, slack, size, owner);
    this.#protections = new Protections(size, prot);
    if (sharing === undefined) {
      try {
        this.settle();
        lockNew(this.#holdings);
      } catch (error) {
        const faults = this.#holdings.faults.place;
        const ending = this.#memory === undefined ? "unmap" : "blank";
        endPages(platform, { base, length, faults }, ending);
        throw explain(what, error);
      }
    }
    finalizers.register(owner, this.#holdings, this);
    noteMapped(this.#holdings);
  }

  #heed(faults: Faults): void {
    const { platform } = this;
    this.touched = faults.touched;
    this.checked = !faults.guarded && this.fd !== -1 && platform.copyFrom !== undefined;
    this.functions = this.checked ? checkedMemory(this) : platform.memory;
  }

  #guarded(base: bigint, length: number, place?: FaultPlace): Faults {
    return new Faults({
      platform: this.platform,
      base,
      length,
      isPrivate: !this.shared,
      unit: this.#request.unit ?? this.platform.pageSize,
      slack: this.offset % this.platform.allocationGranularity,
    }, place);
  }

  /** Asks the platform for pages, over those of a shared memory if there is one. */
  #mapPages(what: string, request: MapRequest, length: number, offset: number): bigint {
    const { platform, prot, flags, file } = request;
    if (length === 0) return 0n;
    const fd = file?.fd ?? -1;
    try {
      if (this.#memory === undefined) return platform.map(length, prot, flags, fd, offset);
      if (platform.mapOver === undefined) {
        throw new MMapInvalidParameterError(
          `${what} as a SharedArrayBuffer: ${platform.name} cannot map over pages; leave ` +
            "sharedBuffer out",
        );
      }
      if (platform.runtime.wipesMemory && fd !== -1 && this.shared && !this.#isReadOnlyFile) {
        throw new MMapInvalidParameterError(
          `${what} as a SharedArrayBuffer: a Worker of ${platform.runtime.name} that is terminated would ` +
            "fill it with zeros; map it in the main thread, and share() it with the Worker",
        );
      }
      const base = addressOfMemory(platform.runtime, this.#memory);
      platform.mapOver(base, length, prot, this.#overFlags, fd, offset);
      return base;
    } catch (error) {
      const cure = request.unit === undefined ? undefined : NO_HUGE_PAGES;
      throw explain(what, error, MMapAllocationError, cure);
    }
  }

  /**
   * The flags of pages that are mapped over others. An engine may make its memory writable when it frees
   * it, and Bun's ends the process if it cannot, as with shared pages of a file that is open for reading
   * only. Nobody writes these: private pages are the file's, too.
   */
  get #overFlags(): number {
    const { flags } = this.#request;
    const privately = this.#memory !== undefined && this.#isReadOnlyFile;
    return privately ? flags & ~MAP_SHARED | MAP_PRIVATE : flags;
  }

  /** Whether it is a shared map of a file that may only be read. */
  get #isReadOnlyFile(): boolean {
    const { file, prot } = this.#request;
    return file !== undefined && this.shared && (prot & PROT_WRITE) === 0;
  }

  /** A handle for other threads. */
  handle(): MapHandle {
    this.use("share", 0, 0, 0);
    this.#checkOnePiece("Cannot share a map");
    const holdings = this.#holdings;
    const { platform, truncateOnClose } = holdings;
    if (holdings.sharing === undefined) {
      const fd = this.call(
        "Cannot share a map",
        () => this.fd === -1 ? -1 : platform.duplicate(this.fd),
      );
      const { flags, offset } = this;
      const facts = { flags, offset, fd, truncateOnClose, unit: this.#request.unit };
      const inMemory = this.#memory !== undefined;
      holdings.sharing = Sharing.begin(platform, { ...facts, inMemory }, this.#place);
    }
    return holdings.sharing.handle(this.path, this.name, this.#memory);
  }

  /** That memory as users get it. */
  get memory(): WebAssembly.Memory | undefined {
    return this.#buffers instanceof SharedViews ? this.#buffers.memory : undefined;
  }

  /** Where the mapping lies, for other threads. */
  get #place(): SharedPlace {
    const { base, length, faults: { place: faults } } = this.#holdings;
    const { uniform } = this.#protections;
    const prot = uniform === UNMAPPED ? undefined : uniform;
    return { base, length, size: this.size, prot, faults };
  }

  /**
   * Makes a change of the pages themselves, which other threads must not hold meanwhile.
   *
   * @throws {MMapInvalidParameterError} If others hold them.
   */
  #alone(what: string, change: () => void): void {
    const holdings = this.#holdings;
    const { sharing } = holdings;
    if (sharing === undefined) return change();
    if (!sharing.claim()) {
      throw new MMapInvalidParameterError(
        `${what}: other threads are attached to it; let them close it first, or map again`,
      );
    }
    // As if nobody shared it: the change may fail and end the map.
    holdings.sharing = undefined;
    if (sharing.takeBlank()) this.#moved = true;
    try {
      change();
    } finally {
      if (!this.closed) holdings.sharing = sharing;
      sharing.release(this.closed ? undefined : this.#place);
    }
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
    if (length === 0 || (prot !== undefined && prot !== UNMAPPED && (prot & mask) === mask)) {
      if (mask !== 0) this.intact(verb, offset, length, mask);
      return;
    }
    this.#refuseProtected(verb, offset, length, mask);
    if (mask !== 0) this.intact(verb, offset, length, mask);
  }

  #refuseProtected(verb: string, offset: number, length: number, mask: number): void {
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

  /**
   * Throws if a page of a range was lost, or may not be written by methods any more because it is not
   * the file's. `use` asks before the memory is touched; after it was, the same question tells whether
   * what was read, or written, is what the range holds.
   */
  intact(verb: string, offset: number, length: number, mask: number): void {
    if (this.platform.runtime.peek(this.touched) !== 0) {
      this.#refuseReplaced(verb, offset, length, mask);
    }
  }

  #refuseReplaced(verb: string, offset: number, length: number, mask: number): void {
    const { faults } = this.#holdings;
    const lost = firstInside(faults.lost, offset, length);
    if (lost !== -1) {
      const { fault } = faults.first;
      if (fault >= lost && fault < offset + length) this.#named = lost;
      throw this.missing(verb, offset, length, lost);
    }
    if (mask !== PROT_WRITE || !this.shared) return;
    const copied = firstInside(faults.copied, offset, length);
    if (copied === -1) return;
    throw new MMapProtectionError(
      `Cannot ${verb} ${length} bytes at offset ${offset}: the page of byte ${copied} is a copy, ` +
        "because a view wrote to it when it was read-only; remap() brings the page back",
    );
  }

  /** The error for a byte that is not there. */
  missing(
    verb: string,
    offset: number,
    length: number,
    lost: number,
    options?: MMapErrorOptions,
  ): MMapFaultError {
    return new MMapFaultError(
      `Cannot ${verb} ${length} bytes at offset ${offset}: the page of byte ${lost} is gone; the ` +
        "file was truncated, or the disk is full: make it whole and call remap()",
      lost,
      options,
    );
  }

  /** Whether a range within the map may be read now. */
  isReadable(offset: number, length: number): boolean {
    const prot = this.#protections.uniform;
    if (prot !== undefined) return (prot & PROT_READ) !== 0;
    return this.#protections.firstWithout(PROT_READ, offset, length) === -1;
  }

  /** Bytes of a page of this mapping: larger than the system's for huge pages. */
  get unit(): number {
    return this.#request.unit ?? this.platform.pageSize;
  }

  /** The pages, of `unit` bytes, that a range touches, or undefined if it touches none. */
  pagesAround(
    verb: string,
    offset: number,
    length: number,
    unit: number = this.unit,
  ): Pages | undefined {
    this.use(verb, offset, lengthOrZero(length), 0);
    checkInteger("a length in bytes", length, 0);
    if (length === 0) return undefined;
    const address = this.addr + BigInt(offset);
    const slack = Number(address % BigInt(unit));
    return { address: address - BigInt(slack), length: roundUp(length + slack, unit) };
  }

  /**
   * The pages that lie wholly in a range, or undefined if none does. The pages in which the map
   * starts and ends are all its own: they count when the range reaches so far.
   */
  pagesInside(verb: string, offset: number, length: number): Pages | undefined {
    this.use(verb, offset, lengthOrZero(length), 0);
    checkInteger("a length in bytes", length, 0);
    if (length === 0) return undefined;
    const { unit } = this;
    const shift = Number(this.addr % BigInt(unit));
    const last = offset + length;
    const start = (offset === 0 ? 0 : roundUp(offset + shift, unit)) - shift;
    const end = (last === this.size ? roundUp(last + shift, unit) : roundDown(last + shift, unit)) -
      shift;
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

  /** The view of everything that users have: what they put on it does not reach our own. */
  publicView(): Uint8Array<ArrayBuffer> {
    this.use("view", 0, this.size, 0);
    // The length differs when the user has transferred the buffer away.
    if (this.#publicView?.length !== this.size) {
      const { buffer, start } = this.publicBuffer(0, this.size);
      this.#publicView = new Uint8Array(buffer, -start, this.size);
    }
    return this.#publicView;
  }

  /** {@link covering}, for views that leave the library. */
  publicBuffer(
    offset: number,
    length: number,
    unit: number = 1,
  ): { buffer: ArrayBuffer; start: number } {
    const found = this.covering(offset, length, unit);
    this.#holdings.exposed = true;
    return found;
  }

  /** A view of a range of at most `span` bytes, already checked. */
  range(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const view = this.#view;
    if (view !== undefined && view.length === this.size) {
      // Faster than subarray(), which asks the view what class it is of.
      return new Uint8Array(view.buffer, view.byteOffset + offset, length);
    }
    const { buffer, start } = this.covering(offset, length);
    const coversAll = start <= 0 && buffer.byteLength + start >= this.size;
    if (coversAll) this.#view = new Uint8Array(buffer, -start, this.size);
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

  /** Copies a range, already checked, out of a map whose pages may not be there. */
  load(verb: string, offset: number, target: Uint8Array): void {
    const copyFrom = this.platform.copyFrom!;
    this.#copyPages(verb, offset, target, (address, part) => copyFrom(address, part));
  }

  /** Copies into a range, already checked, of a map whose pages may not be there. */
  store(verb: string, offset: number, source: Uint8Array): void {
    const copyTo = this.platform.copyTo!;
    this.#copyPages(verb, offset, source, (address, part) => copyTo(address, part));
  }

  #copyPages(
    verb: string,
    offset: number,
    bytes: Uint8Array,
    copy: (address: bigint, part: Uint8Array) => number,
  ): void {
    const { pageSize } = this.platform;
    const attempt = (done: number, length: number): number =>
      copy(this.addr + BigInt(offset + done), bytes.subarray(done, done + length));
    for (let done = 0; done < bytes.length; done += PIECE) {
      const length = Math.min(PIECE, bytes.length - done);
      let copied = attempt(done, length);
      // A refusal tells nothing about the pages before the one that is missing.
      while (copied < length) {
        const size = Math.min(pageSize - (offset + done + copied) % pageSize, length - copied);
        const more = attempt(done + copied, size);
        copied += more;
        if (more < size) throw this.missing(verb, offset, bytes.length, offset + done + copied);
      }
    }
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

  /** The parts of a range, already checked, by protection. */
  segments(offset: number, length: number): readonly Segment[] {
    return this.#protections.within(offset, length);
  }

  /** Changes the protection of the pages that a range touches. */
  protect(prot: number, offset: number, length: number): void {
    const pages = this.pagesAround("protect", offset, length);
    if (pages === undefined) return;
    const what = `Cannot protect ${length} bytes at offset ${offset}`;
    if (this.#memory !== undefined && this.#isReadOnlyFile && (prot & PROT_WRITE) !== 0) {
      throw new MMapProtectionError(
        `${what} with PROT_WRITE: the map is read only; open it with mode "r+"`,
      );
    }
    this.#alone(what, () => {
      this.call(what, () => this.platform.protect(pages.address, pages.length, prot));
      const start = Number(pages.address - this.addr);
      const end = start + pages.length;
      this.#protections.set(Math.max(start, 0), Math.min(end, this.size), prot);
      this.prot = this.#protections.uniform ?? this.prot;
      this.version++;
    });
  }

  /** Gives the whole pages of a range back; their addresses stay taken. */
  unmapRange(offset: number, length: number): void {
    const pages = this.pagesInside("unmap", offset, length);
    if (pages === undefined) return;
    const what = `Cannot unmap ${length} bytes at offset ${offset}`;
    this.#checkMovable(what);
    this.#alone(what, () => {
      this.#detach();
      this.call(
        what,
        // A view that was transferred away cannot be emptied: what it shows becomes zeros.
        () =>
          this.#moved
            ? this.platform.blank(pages.address, pages.length)
            : this.platform.reserve(pages.address, pages.length),
      );
      const start = Number(pages.address - this.addr);
      const end = Math.min(start + pages.length, this.size);
      this.#protections.set(Math.max(start, 0), end, UNMAPPED);
    });
  }

  /** Gives the mapping another size, and the file too where the map ends with it. */
  resize(size: number): void {
    this.use("resize", 0, 0, 0);
    if (size === 0) {
      throw new MMapInvalidParameterError(
        "Cannot use 0 as a size in bytes: a mapping has at least one byte; close() the map, and truncate its " +
          "file if that is to be empty",
      );
    }
    checkInteger("a size in bytes", size, 1);
    const what = `Cannot resize a map from ${this.size} to ${size} bytes`;
    const { file } = this.#holdings;
    checkInteger("the end of a range in bytes", this.offset + size, 1);
    if (file !== undefined && !(this.shared && (this.#request.prot & PROT_WRITE) !== 0)) {
      throw new MMapProtectionError(
        `${what}: it is ${this.shared ? "read-only" : "copy-on-write"}; open it with mode "r+"`,
      );
    }
    this.#checkOnePiece(what);
    const info = file && this.platform.fileInfo(file.fd);
    const isFixed = info === undefined ? this.shared : info.kind !== "file";
    if (isFixed || this.#request.unit !== undefined) {
      throw new MMapInvalidParameterError(
        `${what}: shared memory that is no file, devices and huge pages have a fixed size; use ` +
          "createMemfd(), or a file",
      );
    }
    this.#checkMovable(what);
    if (size !== this.size) this.#alone(what, () => this.#resizeFileToo(what, size));
  }

  #resizeFileToo(what: string, size: number): void {
    const { file } = this.#holdings;
    const fileSize = file === undefined ? 0 : this.platform.fileInfo(file.fd).size;
    const end = this.offset + size;
    const oldEnd = this.offset + this.size;
    const sealed = file !== undefined && this.platform.isShrinkSealed?.(file.fd) === true;
    // The file follows the map if the map ends where the file does; what lies behind is kept. A sealed
    // one keeps its size, and only what the map had of it is freed.
    const follows = file !== undefined &&
      (end > fileSize || (size < this.size && (sealed || oldEnd >= fileSize)));
    const growing = size > this.size;
    const { platform } = this;
    const truncate = (to: number): void => {
      if (!follows) return;
      this.call(what, () => {
        if (!sealed || to > fileSize) platform.truncate(file!.fd, to);
        else if (to < oldEnd) platform.punchHole!(file!.fd, to, oldEnd - to);
      });
    };
    if (growing) truncate(end);
    try {
      const inBetween = !growing && follows && !this.platform.truncatesMapped;
      this.#move(what, size, inBetween ? () => truncate(end) : undefined);
    } catch (error) {
      if (growing) truncate(fileSize);
      throw error;
    }
    if (!growing && this.platform.truncatesMapped) truncate(end);
  }

  /** Throws if the pages must stay as they are. */
  #checkMovable(what: string): void {
    if (this.#memory === undefined && !this.#mirrored) return;
    throw new MMapInvalidParameterError(
      `${what}: a map with ${
        this.#mirrored ? "a mirror" : "sharedBuffer"
      } stays as it is; close it ` +
        "and map again",
    );
  }

  /** Throws unless all of the mapping is there, with one protection. */
  #checkOnePiece(what: string): void {
    const { uniform } = this.#protections;
    if (uniform !== undefined && uniform !== UNMAPPED) return;
    throw new MMapInvalidParameterError(
      `${what}: its parts differ in protection, or were unmapped by unmapRange(); give them ` +
        "one protection with mprotect(), or close the map and map again",
    );
  }

  /** Whether {@link mirror} can show what lies from `offset` on a second time. */
  canMirror(offset: number): boolean {
    const { platform, shared } = this;
    const unit = platform.allocationGranularity;
    return platform.mapOver !== undefined && shared && this.fd !== -1 &&
      this.#holdings.sharing === undefined && this.#memory === undefined &&
      this.#request.unit === undefined &&
      [this.offset, offset, this.size].every((place) => place % unit === 0);
  }

  /**
   * Shows what lies from `offset` on a second time behind the end: the map gets so much longer, the
   * file does not, and a range that crosses the old end goes on where the range from `offset`
   * begins. The views are emptied; the size stays as it is from now on.
   */
  mirror(offset: number): void {
    const { platform, prot, flags, fd, addr, size } = this;
    const length = size - offset;
    const what = `Cannot mirror ${length} bytes at offset ${offset}`;
    const base = this.call(what, () => {
      // The second half lies beyond the end of the file until it is replaced.
      const pages = platform.map(size + length, prot, flags, fd, this.offset);
      try {
        const second = pages + BigInt(size);
        platform.mapOver!(second, length, prot, flags, fd, this.offset + offset);
      } catch (error) {
        platform.unmap(pages, size + length);
        throw error;
      }
      return pages;
    });
    this.#detach();
    if (this.#moved) platform.blank(addr, size);
    this.#holdings.faults.release();
    if (!this.#moved) platform.unmap(addr, size);
    this.#moved = false;
    this.#settleAt(base, size + length, size + length);
    this.#mirrored = true;
  }

  #mirrored = false;

  /** Keeps the pages of an open map mapped, even through `close()`, until `operation` is over. */
  async pinned<T>(operation: () => Promise<T>): Promise<T> {
    this.use("work on", 0, 0, 0);
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
    for (const end of this.closing) end();
    if (this.#onFault !== undefined) this.onFault = undefined;
    this.closed = true;
    this.touched = NEVER_TOUCHED;
    this.addr = 0n;
    this.size = 0;
    finalizers.unregister(this);
    this.#detach();
    if (this.#pins === 0) this.#end();
  }

  /** Ends a mapping that nobody gets: its file stays as long as it is. */
  forgo(): void {
    this.#holdings.truncateOnClose = undefined;
    this.close();
  }

  #moved = false;

  /** Empties all views. One that was transferred away cannot be emptied from here. */
  #detach(): void {
    this.version++;
    this.#view = undefined;
    this.#publicView = undefined;
    if (!this.#buffers.detach()) this.#moved = true;
  }

  #end(): void {
    // A view that was transferred, say to a Worker, is still there: its bytes become zeros and its
    // addresses stay taken, so that whoever has it never touches foreign memory.
    const zeros = this.#moved || this.#memory !== undefined;
    giveBack(this.#holdings, zeros ? "blank" : "unmap");
  }

  #mappedLength(request: MapRequest, size: number): number {
    if (size === 0) return 0;
    const slack = (request.offset ?? 0) % request.platform.allocationGranularity;
    return roundUp(size + slack, request.unit ?? 1);
  }

  /**
   * Brings the mapping to another size, elsewhere if need be. The views are emptied.
   *
   * @param unmapped Called while nothing is mapped, for what a mapping would hinder.
   */
  #move(what: string, size: number, unmapped?: () => void): void {
    const { platform, flags, file } = this.#request;
    const prot = this.prot;
    const holdings = this.#holdings;
    const length = this.#mappedLength(this.#request, size);
    const slack = this.offset % platform.allocationGranularity;
    this.#detach();
    // Replaced pages are mappings of their own, which cannot be moved along.
    const inOnePiece = this.touched[0] === 0;
    if (file === undefined && size > this.size) this.#clearTail();
    let base: bigint;
    if (platform.remap !== undefined && !this.#moved && inOnePiece && holdings.length > 0) {
      try {
        // All views are empty: nothing can touch the pages while nobody guards them.
        holdings.faults.release();
        base = platform.remap(holdings.base, holdings.length, length);
      } catch (error) {
        this.#guardAnew(holdings.base, holdings.length);
        throw explain(what, error, MMapAllocationError);
      }
    } else {
      if (unmapped !== undefined && !this.#moved) this.#unmapFor(unmapped);
      const writable = file === undefined ? PROT_READ | PROT_WRITE : prot;
      try {
        base = platform.map(length, writable, flags, file?.fd ?? -1, this.offset - slack);
      } catch (error) {
        if (holdings.length === 0) this.close(); // there is nothing left to go on with
        throw explain(what, error, MMapAllocationError);
      }
      try {
        if (file === undefined) {
          platform.protect(holdings.base, holdings.length, PROT_READ);
          platform.memory.memmove(base, holdings.base, Math.min(holdings.length, length));
          platform.protect(base, length, prot);
        }
        if (this.#moved && holdings.length > 0) platform.blank(holdings.base, holdings.length);
      } catch (error) {
        platform.unmap(base, length);
        throw explain(what, error, MMapAllocationError);
      }
      holdings.faults.release();
      if (!this.#moved && holdings.length > 0) platform.unmap(holdings.base, holdings.length);
      this.#moved = false;
    }
    this.#settleAt(base, length, size);
  }

  /** Goes on with other pages, all of one protection. */
  #settleAt(base: bigint, length: number, size: number): void {
    const { platform } = this;
    this.#holdings.base = base;
    this.#holdings.length = length;
    this.#guardAnew(base, length);
    this.#holdings.exposed = false;
    this.addr = length === 0 ? 0n : base + BigInt(this.offset % platform.allocationGranularity);
    this.size = size;
    this.generation++;
    this.#buffers = new Buffers(platform.runtime, this.addr, size, this.#owner);
    this.#protections = new Protections(size, this.prot);
    this.settle();
  }

  #guardAnew(base: bigint, length: number): void {
    this.#holdings.faults = this.#guarded(base, length);
    this.#heed(this.#holdings.faults);
    this.#told = 0;
  }

  /** Pages replaced since the map was made, resized or remapped. */
  get faults(): number {
    return this.closed ? 0 : this.#holdings.faults.count;
  }

  /** Throws if pages were replaced. */
  checkFaults(): void {
    this.use("check the faults of", 0, 0, 0);
    const { lost, copied, first } = this.#holdings.faults;
    if (lost.end > 0) {
      const at = this.#firstFault(first.fault) ?? lost.start;
      throw this.missing("use", lost.start, Math.min(lost.end, this.size) - lost.start, at);
    }
    if (copied.end === 0) return;
    const at = first.violation === -1 ? copied.start : first.violation;
    if (this.#protections.firstWith(UNMAPPED, at, 1) !== -1) {
      throw new MMapClosedError(`Cannot use byte ${at}: it was given back with unmapRange()`);
    }
    throw new MMapProtectionError(
      `Cannot keep what was done to byte ${at} through a view: its protection forbids it; the page ` +
        "has become a copy and the file has not changed; remap() brings the page back",
    );
  }

  /** Brings the true pages back where they were replaced. */
  remap(): void {
    this.use("remap", 0, 0, 0);
    const { faults } = this.#holdings;
    if (faults.touched[0] === 0) return;
    if (this.#mirrored) this.#checkMovable("Cannot remap");
    this.#checkWhole(faults.lost);
    this.call("Cannot remap", () => faults.forget(() => this.#restore(faults)));
    this.#told = 0;
    this.#named = undefined;
    this.settle();
  }

  /** Throws unless the file has the pages that were lost. */
  #checkWhole(lost: Extent): void {
    const { file } = this.#holdings;
    if (this.shared && file === undefined) {
      throw new MMapInvalidParameterError(
        "Cannot remap: shared anonymous memory has no file that its pages could come from; map anew",
      );
    }
    if (file === undefined || lost.end === 0) return;
    const info = this.platform.fileInfo(file.fd);
    const missing = Math.max(info.size - this.offset, 0);
    if (info.kind !== "file" || missing >= Math.min(lost.end, this.size)) return;
    throw new MMapFaultError(
      `Cannot remap: the file has ${info.size} bytes, and the map ends at ` +
        `${this.offset + this.size}; make the file as long first`,
      Math.max(lost.start, missing),
    );
  }

  /** Maps the pages that were replaced again, with their protections. */
  #restore({ lost, copied }: Faults): void {
    const { platform, unit } = this;
    const { base, file } = this.#holdings;
    const slack = Number(this.addr - base);
    const parts = [lost, copied].flatMap(({ start, end }) =>
      this.#protections.within(start, end - start)
    );
    for (const { start, end, prot } of parts) {
      const first = roundDown(start + slack, unit);
      const length = roundUp(end + slack, unit) - first;
      const address = base + BigInt(first);
      if (prot === UNMAPPED) platform.reserve(address, length);
      else if (file === undefined) platform.protect(address, length, prot);
      else {
        const at = this.offset - slack + first;
        platform.mapOver!(address, length, prot, this.#overFlags, file.fd, at);
      }
    }
  }

  #onFault: ((offset: number) => void) | undefined;
  #watching: WeakRef<Watched> | undefined;
  /** Faults that `onFault` was told of. */
  #told = 0;
  /**
   * The offset by which the error of a method has named the first fault. The processor names the byte that
   * it stumbled over, and copying functions do not begin with the first.
   */
  #named: number | undefined;

  /** Where the first fault was, as its error says it. @param fault As the processor says, or -1. */
  #firstFault(fault: number): number | undefined {
    return fault === -1 ? undefined : this.#named ?? fault;
  }

  /** Lets the first fault be the next one. */
  #takeFirst(): void {
    this.#holdings.faults.takeFirst();
    this.#named = undefined;
  }

  /** Called some time after a page was replaced. */
  get onFault(): ((offset: number) => void) | undefined {
    return this.#onFault;
  }

  set onFault(callback: ((offset: number) => void) | undefined) {
    // What happened before is the former callback's, or nobody's.
    this.lookForFaults();
    this.#told = this.faults;
    this.#takeFirst();
    this.#onFault = callback;
    if (callback === undefined && this.#watching !== undefined) {
      unwatch(this.#watching);
      this.#watching = undefined;
    }
    if (callback !== undefined) this.#watching ??= watch(this);
  }

  lookForFaults(): void {
    const callback = this.#onFault;
    if (callback === undefined || this.touched[0] === 0) return;
    const { faults } = this.#holdings;
    const { count, first, lost } = faults;
    if (count === this.#told) return;
    this.#told = count;
    const { fault, violation } = first;
    const offset = this.#firstFault(fault) ?? (violation === -1 ? lost.start : violation);
    this.#takeFirst();
    queueMicrotask(() => callback(offset));
  }

  /** Zeros behind the end of anonymous memory, in its last page, for when that becomes part of it. */
  #clearTail(): void {
    const { platform, prot } = this;
    const { base, length } = this.#holdings;
    const end = base + BigInt(roundUp(length, platform.pageSize));
    const start = this.addr + BigInt(this.size);
    const page = end - BigInt(platform.pageSize);
    if (start >= end) return;
    platform.protect(page, platform.pageSize, PROT_READ | PROT_WRITE);
    platform.memory.memset(start, 0, Number(end - start));
    platform.protect(page, platform.pageSize, prot);
  }

  /** Advice for the whole mapping, which it keeps when it moves. */
  readonly #advice = new Set<number>();

  /** Notes advice that was given for a range. */
  keepAdvice(advice: number, offset: number, length: number): void {
    if (offset !== 0 || length !== this.size) return;
    this.#advice.delete(advice); // the latest is the last: it may contradict others
    this.#advice.add(advice);
  }

  /** Does what a mapping would hinder, with nothing mapped; the map is closed if it fails. */
  #unmapFor(step: () => void): void {
    const holdings = this.#holdings;
    holdings.faults.release();
    holdings.platform.unmap(holdings.base, holdings.length);
    holdings.length = 0;
    try {
      step();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What every fresh mapping gets besides its pages. */
  settle(): void {
    const { platform, file, name, inherit = false } = this.#request;
    const { base, length } = this.#holdings;
    if (length === 0) return;
    if (file !== undefined && !inherit) platform.inherit(base, length, false);
    for (const advice of this.#advice) {
      try {
        platform.advise(base, length, advice);
      } catch (error) {
        // What suited the old size may not suit the new one; it was a hint.
        if (!(error instanceof SystemCallError)) throw error;
      }
    }
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
