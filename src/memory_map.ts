/**
 * MemoryMap: the one class that owns a mapping. Here are its names and their documentation; the work
 * is done by the files next to this one, on a {@link Mapping}.
 *
 * Not promised: that a view of a file keeps its bytes while somebody else writes the file. When
 * somebody truncates it, methods throw and views show zeros: see {@link MemoryMap.faults}.
 */
import { allocateAsync, type AsyncOptions, msyncAsync, prefaultAsync } from "./background.ts";
import {
  bytesFrom,
  checkBits,
  checkInteger,
  checkName,
  lengthOrZero,
  readOptions,
  show,
} from "./check.ts";
import { Cursor } from "./cursor.ts";
import { MMapAllocationError, MMapClosedError, MMapInvalidParameterError } from "./errors.ts";
import { explain } from "./explain.ts";
import { hostConstants, platform } from "./ffi/host.ts";
import * as gather from "./gather.ts";
import type { MemoryStats, Platform } from "./ffi/platform.ts";
import {
  checkMappable,
  type Descriptor,
  OPEN_OPTIONS,
  type OpenedFile,
  openFile,
  openFileAsync,
  type OpenOptions,
} from "./file.ts";
import { inspectable, mapFacts } from "./inspect.ts";
import { lockAll, lockNoMore } from "./locking.ts";
import { Mapping, type MapRequest } from "./mapping.ts";
import * as memory from "./memory_operations.ts";
import {
  checkSharedName,
  createNamed,
  type CreateNamedOptions,
  openNamed,
  type OpenNamedOptions,
  unlinkNamed,
} from "./named.ts";
import * as paging from "./paging.ts";
import { type MapHandle, Sharing } from "./sharing.ts";

const {
  PROT_READ,
  PROT_WRITE,
  PROT_EXEC,
  MAP_SHARED,
  MAP_PRIVATE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
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

/**
 * A map made with `sharedBuffer: true`. Views that the map hands out are typed as all others, over an
 * ArrayBuffer; those made of this buffer are not.
 */
export interface SharedMemoryMap extends MemoryMap {
  /** The buffer behind `bytes`, which begins at `wasmOffset`. */
  readonly buffer: SharedArrayBuffer;
}

/** The map that options with a certain `sharedBuffer` give. */
export type MapFor<Shared extends boolean> = Shared extends true ? SharedMemoryMap : MemoryMap;

/** Further options of {@link MemoryMap.createAnonymous}. */
export interface AnonymousOptions<Shared extends boolean = boolean> {
  /** A name that the system's tools show, in `/proc/self/maps` on Linux 5.17 with that option. */
  name?: string;
  /** Use huge pages of the reserved pool (`vm.nr_hugepages`). Linux. Default false. */
  hugePages?: boolean;
  /** Fault all pages in before the call returns. Default false. */
  populate?: boolean;
  /**
   * Make `buffer` a true SharedArrayBuffer: it posts to Workers, `Atomics.wait` works on it, and a
   * WebAssembly module computes on it through `wasmMemory`. The map cannot be resized then, and
   * `close()` leaves zeros behind. Up to 4 GiB, more where the engine has memory64. Linux, macOS.
   * Default false.
   */
  sharedBuffer?: Shared;
}

/** Options of {@link MemoryMap.createMemfd}. */
export interface MemfdMapOptions<Shared extends boolean = boolean> {
  /** A name that the system's tools show. Default `"mman"`. */
  name?: string;
  /** Use huge pages of the reserved pool (`vm.nr_hugepages`). Default false. */
  hugePages?: boolean;
  /** Make `buffer` a SharedArrayBuffer: see {@link AnonymousOptions}. Default false. */
  sharedBuffer?: Shared;
}

const anonymousOptionNames = ["name", "hugePages", "populate", "sharedBuffer", "signal"];

const encoder = new TextEncoder();

/** C's int. */
const MAX_DESCRIPTOR = 2 ** 31 - 1;

// deno-lint-ignore ban-types -- the abstract class %TypedArray% has no name in TypeScript
const TypedArray = Object.getPrototypeOf(Uint8Array) as Function;

/** The mapping behind a map, for the other files of the library. */
export let mappingOf: (map: MemoryMap) => Mapping;

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
  static {
    mappingOf = (map) => map.#map;
    inspectable(this, (map) => mapFacts(map.#map));
  }

  readonly #map: Mapping;

  private constructor(
    what: string,
    request: MapRequest,
    sharing?: Sharing,
    memory?: WebAssembly.Memory,
  ) {
    if (request?.platform === undefined) {
      throw new MMapInvalidParameterError(
        "Cannot make a MemoryMap with new: use MemoryMap.open(), createAnonymous() and their kin",
      );
    }
    this.#map = new Mapping(what, request, this, sharing, memory);
  }

  /**
   * Maps zero-filled memory without a file ({@link https://man7.org/linux/man-pages/man2/mmap.2.html | mmap(2)}).
   *
   * @param size Bytes, at least 1; the system rounds up to pages.
   * @param prot Default `PROT_READ | PROT_WRITE`.
   * @param flags Default `MAP_PRIVATE | MAP_ANONYMOUS`; `MAP_ANONYMOUS` is implied.
   * @param options A name, huge pages, faulting in.
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
  static createAnonymous<Shared extends boolean = false>(
    size: number,
    prot: number = PROT_READ | PROT_WRITE,
    flags: number = MAP_PRIVATE | MAP_ANONYMOUS,
    options: AnonymousOptions<Shared> = {},
  ): MapFor<Shared> {
    checkInteger("a size in bytes", size, 1);
    const system = platform();
    checkProt(prot);
    checkMapFlags(system, flags);
    const how = readOptions("createAnonymous", options, anonymousOptionNames);
    if (how.name !== undefined) checkName(how.name);
    const huge = how.hugePages === true || (flags & MAP_HUGETLB & system.mapFlags) !== 0;
    if (how.hugePages === true && system.hugePageSize === undefined) {
      throw paging.unsupported(system, "use huge pages", "leave hugePages out");
    }
    const allFlags = flags | MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0);
    const what = `Cannot map ${size} bytes of memory` + (huge ? " in huge pages" : "");
    const unit = huge ? explained(what, () => hugePageSize(system, flags)) : undefined;
    const map = new MemoryMap(what, {
      platform: system,
      size,
      prot,
      flags: allFlags,
      name: how.name,
      sharedBuffer: how.sharedBuffer === true,
      ...(unit === undefined ? {} : { unit }),
    });
    return (how.populate === true ? map.#populated() : map) as MapFor<Shared>;
  }

  /**
   * Like {@link MemoryMap.createAnonymous}, with all pages faulted in on another thread.
   *
   * @param size Bytes, at least 1.
   * @param prot Default `PROT_READ | PROT_WRITE`.
   * @param flags Default `MAP_PRIVATE | MAP_ANONYMOUS`.
   * @param options A name, huge pages, an AbortSignal.
   * @throws {MMapAllocationError} If the system has not that much memory. The promise is rejected.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = await MemoryMap.createAnonymousAsync(1 << 20);
   * assertEquals(map.residency().every((page) => page === 1), true);
   * ```
   */
  static async createAnonymousAsync<Shared extends boolean = false>(
    size: number,
    prot: number = PROT_READ | PROT_WRITE,
    flags: number = MAP_PRIVATE | MAP_ANONYMOUS,
    options: Omit<AnonymousOptions<Shared>, "populate"> & AsyncOptions = {},
  ): Promise<MapFor<Shared>> {
    const how = readOptions("createAnonymousAsync", options, anonymousOptionNames);
    how.signal?.throwIfAborted();
    const map = MemoryMap.createAnonymous(size, prot, flags, how);
    return await map.#populatedAsync(how) as MapFor<Shared>;
  }

  /**
   * Anonymous shared memory with a descriptor, which another process can open through
   * `/proc/PID/fd` or inherit
   * ({@link https://man7.org/linux/man-pages/man2/memfd_create.2.html | memfd_create(2)}). It can be
   * resized. It is sealed against becoming shorter, so that nobody who has it can take pages away: when
   * the map shrinks, a hole takes the place of what was behind its end. Linux.
   *
   * @param size Bytes, at least 1.
   * @param options A name, huge pages.
   * @throws {MMapInvalidParameterError} If the size is wrong or the platform has no such memory.
   * @throws {MMapAllocationError} If the system has not that much memory.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createMemfd(4096, { name: "scratch" });
   * map.write("shared");
   * map.resize(8192);
   * assertEquals(new TextDecoder().decode(map.read(6)), "shared");
   * ```
   */
  static createMemfd<Shared extends boolean = false>(
    size: number,
    options: MemfdMapOptions<Shared> = {},
  ): MapFor<Shared> {
    checkInteger("a size in bytes", size, 1);
    const system = platform();
    const how = readOptions("createMemfd", options, ["name", "hugePages", "sharedBuffer"]);
    const { name = "mman", hugePages = false, sharedBuffer = false } = how;
    if (system.memfd === undefined) {
      throw paging.unsupported(system, "create a memfd", "use createNamed()");
    }
    checkName(name);
    const what = `Cannot create a memfd of ${size} bytes` + (hugePages ? " in huge pages" : "");
    return explained(what, () => {
      const unit = hugePages ? hugePageSize(system, 0) : undefined;
      const fd = system.memfd!(name, { hugePages, sealable: true });
      const file = { fd, close: () => system.closeDuplicate(fd) };
      try {
        system.truncate(fd, unit === undefined ? size : Math.ceil(size / unit) * unit);
        system.sealShrink?.(fd);
        return new MemoryMap(what, {
          platform: system,
          size,
          prot: PROT_READ | PROT_WRITE,
          flags: MAP_SHARED,
          file,
          name,
          sharedBuffer,
          ...(unit === undefined ? {} : { unit }),
        }) as MapFor<Shared>;
      } catch (error) {
        file.close();
        throw error;
      }
    });
  }

  /**
   * Maps part of an open file. The descriptor is duplicated: closing `fd` does not end the map.
   *
   * @param fd A file descriptor, as `openSync` of `node:fs` gives it; on Windows also a HANDLE, as a
   * bigint.
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
    fd: number | bigint,
    offset: number,
    size: number,
    prot: number = PROT_READ | PROT_WRITE,
    flags: number = MAP_SHARED,
  ): MemoryMap {
    const system = platform();
    const descriptor = typeof fd === "bigint" && system.descriptorOfHandle !== undefined
      ? system.descriptorOfHandle(fd)
      : fd;
    checkInteger("a file descriptor", descriptor, 0);
    if (descriptor > MAX_DESCRIPTOR && system.descriptorOfHandle === undefined) {
      throw new MMapInvalidParameterError(
        `Cannot use ${fd} as a file descriptor: it must be a whole number up to ${MAX_DESCRIPTOR}`,
      );
    }
    checkInteger("an offset in bytes", offset, 0);
    checkInteger("a size in bytes", size, 1);
    checkInteger("the end of a range in bytes", offset + size, 1);
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
      const info = system.fileInfo(descriptor as number);
      checkMappable(`descriptor ${fd}`, info);
      if (info.kind === "file" && size > info.size - offset) {
        throw new MMapInvalidParameterError(
          `${what}: the file has ${info.size} bytes; make it longer first`,
        );
      }
      const duplicate = system.duplicate(descriptor as number);
      file = { fd: duplicate, close: () => system.closeDuplicate(duplicate) };
      return new MemoryMap(what, { platform: system, size, prot, flags, file, offset });
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
  static open<Shared extends boolean = false>(
    path: string | URL,
    options: OpenOptions<Shared> = {},
  ): MapFor<Shared> {
    const system = platform();
    const how = readOptions("open", options, OPEN_OPTIONS);
    const file = openFile(system, path, how);
    const what = `Cannot preallocate ${file.size} bytes of ${show(file.path)}`;
    const allocate = () => system.allocate!(file.fd, file.offset, file.size);
    let map: MemoryMap;
    try {
      let memory: WebAssembly.Memory | undefined;
      if (file.empty !== undefined) {
        if (file.preallocate) explained(what, allocate);
        memory = MemoryMap.#rehearse(system, file, how);
        explained(`Cannot empty ${show(file.path)}`, file.empty);
      }
      if (file.preallocate) explained(what, allocate);
      map = MemoryMap.#mapFile(system, file, how, memory);
    } catch (error) {
      file.abandon();
      throw error;
    }
    try {
      if (how.populate === true) map.prefault();
    } catch (error) {
      MemoryMap.#abandon(map, file);
      throw error;
    }
    file.keep();
    return map as MapFor<Shared>;
  }

  /**
   * Like {@link MemoryMap.open}; what takes long (`lock`, `preallocate`, `populate`) leaves the
   * event loop free.
   *
   * @param path A path or a `file:` URL.
   * @param options As for `open`, and an AbortSignal.
   * @throws {MMapError} As `open`; the promise is rejected.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/log`;
   * using map = await MemoryMap.openAsync(path, { mode: "w+", size: 4096, preallocate: true });
   * assertEquals(map.size, 4096);
   * ```
   */
  static async openAsync<Shared extends boolean = false>(
    path: string | URL,
    options: OpenOptions<Shared> & AsyncOptions = {},
  ): Promise<MapFor<Shared>> {
    const how = readOptions("openAsync", options, OPEN_OPTIONS);
    how.signal?.throwIfAborted();
    const system = platform();
    const file = await openFileAsync(system, path, how);
    let map: MemoryMap;
    try {
      let memory: WebAssembly.Memory | undefined;
      if (file.empty !== undefined) {
        if (file.preallocate) await allocateAsync(system, file, how);
        memory = MemoryMap.#rehearse(system, file, how);
        explained(`Cannot empty ${show(file.path)}`, file.empty);
      }
      if (file.preallocate) await allocateAsync(system, file, how);
      map = MemoryMap.#mapFile(system, file, how, memory);
    } catch (error) {
      file.abandon();
      throw error;
    }
    try {
      if (how.populate === true) await map.#prefaultedAsync(how);
    } catch (error) {
      MemoryMap.#abandon(map, file);
      throw error;
    }
    file.keep();
    return map as MapFor<Shared>;
  }

  /** Ends a map that could not be made as it was asked for, as if it had not been opened. */
  static #abandon(map: MemoryMap, file: OpenedFile): void {
    try {
      map.#map.forgo(); // first: Windows does not cut a file that is mapped
    } finally {
      file.abandon();
    }
  }

  /**
   * Creates shared memory under a name that other processes open with
   * {@link MemoryMap.openNamed}, and Python with `multiprocessing.shared_memory`
   * ({@link https://man7.org/linux/man-pages/man7/shm_overview.7.html | shm_overview(7)}).
   * Deno asks for `--allow-all`, because the name lies under `/dev/shm`. On Windows it is a section of
   * the paging file, whose name ends with its last map; on macOS it has at most 30 bytes, and cannot be
   * `owned`.
   *
   * @param name 1 to 250 bytes without a slash, but for one in front.
   * @param size Bytes, at least 1; zero-filled.
   * @param options Permissions, and whether the name ends with this process.
   * @throws {MMapError} With code `EEXIST` if the name is taken.
   * @throws {MMapInvalidParameterError} If the name or the size is wrong.
   * @throws {MMapAllocationError} If the system has not that much memory.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * const name = `mman-example-${crypto.randomUUID()}`;
   * using mine = MemoryMap.createNamed(name, 4096, { owned: true });
   * mine.write("hello");
   * using theirs = MemoryMap.openNamed(name, { mode: "r" });
   * assertEquals(new TextDecoder().decode(theirs.read(5)), "hello");
   * ```
   */
  static createNamed<Shared extends boolean = false>(
    name: string,
    size: number,
    options: CreateNamedOptions<Shared> = {},
  ): MapFor<Shared> {
    const system = platform();
    const plain = checkSharedName(name);
    const how = readOptions("createNamed", options, ["permissions", "owned", "sharedBuffer"]);
    const shared = createNamed(system, plain, size, how);
    try {
      const prot = PROT_READ | PROT_WRITE;
      const { sharedBuffer = false } = how;
      return MemoryMap.#mapNamed(system, plain, shared, size, prot, sharedBuffer) as MapFor<Shared>;
    } catch (error) {
      if (how.owned !== true) unlinkNamed(system, plain);
      throw error;
    }
  }

  /**
   * Maps the shared memory of a name. Symbolic links in the place of a name are refused.
   *
   * @param name As it was created; Python's names work, too.
   * @param options Mode, and the size expected.
   * @throws {MMapError} With code `ENOENT` if there is none, `EACCES` without the right to it.
   * @throws {MMapInvalidParameterError} If the memory is smaller than `size`.
   */
  static openNamed<Shared extends boolean = false>(
    name: string,
    options: OpenNamedOptions<Shared> = {},
  ): MapFor<Shared> {
    const system = platform();
    const plain = checkSharedName(name);
    const how = readOptions("openNamed", options, ["mode", "size", "sharedBuffer"]);
    const shared = openNamed(system, plain, how);
    const prot = how.mode === "r" ? PROT_READ : PROT_READ | PROT_WRITE;
    const { size = shared.size, sharedBuffer = false } = how;
    return MemoryMap.#mapNamed(system, plain, shared, size, prot, sharedBuffer) as MapFor<Shared>;
  }

  /**
   * Takes a name of shared memory away; who has it mapped keeps the memory. On Windows nobody can as
   * long as somebody has it mapped, and then the name goes by itself.
   *
   * @param name As it was created.
   * @throws {MMapError} With code `ENOENT` if there is none; on Windows `EBUSY` if it is mapped.
   */
  static unlinkNamed(name: string): void {
    unlinkNamed(platform(), checkSharedName(name));
  }

  /**
   * Takes part in the map of another thread of this process, without a copy. The pages stay until the
   * last holder has closed its map; what they do to each other's views is nothing.
   *
   * @param handle What {@link MemoryMap.share} gave, after `postMessage`.
   * @throws {MMapClosedError} If all who held the map have closed it.
   * @throws {MMapInvalidParameterError} If it is not a handle, or one of another process, or parts of
   * the map differ in protection.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * const map = MemoryMap.createAnonymous(4096);
   * const handle = structuredClone(map.share()); // as postMessage does
   * using other = MemoryMap.attach(handle);
   * map.write("here");
   * map.close();
   * assertEquals(new TextDecoder().decode(other.read(4)), "here");
   * ```
   */
  static attach(handle: MapHandle): MemoryMap {
    const system = platform();
    const sharing = Sharing.join(system, handle);
    const { size, prot = 0 } = sharing.place;
    const { fd, ...facts } = sharing.facts;
    // The descriptor belongs to all holders; the last one closes it.
    const file = fd === -1 ? undefined : { fd, close: () => {} };
    const { path, name, memory } = handle;
    return new MemoryMap(
      "Cannot attach to a map",
      { platform: system, size, prot, file, path, name, ...facts },
      sharing,
      memory,
    );
  }

  static #mapNamed(
    system: Platform,
    name: string,
    file: Descriptor,
    size: number,
    prot: number,
    sharedBuffer: boolean,
  ): MemoryMap {
    try {
      return new MemoryMap(`Cannot map ${size} bytes of shared memory ${show(name)}`, {
        platform: system,
        size,
        prot,
        flags: MAP_SHARED,
        file,
        name,
        sharedBuffer,
      });
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Maps a file whose content is to be lost, and gives it back: what fails shall fail while nothing is lost
   * yet. (Windows does not cut a file that is mapped, so it cannot stay.)
   *
   * @returns The memory of `sharedBuffer`, to be used again: engines have room for few.
   */
  static #rehearse(
    system: Platform,
    file: OpenedFile,
    options: OpenOptions,
  ): WebAssembly.Memory | undefined {
    const map = MemoryMap.#mapFile(system, file, options).#map;
    map.forgo();
    return map.ownMemory;
  }

  static #mapFile(
    system: Platform,
    file: OpenedFile,
    options: OpenOptions,
    memory?: WebAssembly.Memory,
  ): MemoryMap {
    const { size, prot, flags, offset, path } = file;
    const request: MapRequest = {
      platform: system,
      size,
      prot,
      flags,
      file,
      offset,
      path,
      name: options.name,
      inherit: options.inherit === true,
      truncateOnClose: options.truncateOnClose,
      sharedBuffer: options.sharedBuffer === true,
    };
    const what = `Cannot map ${size} bytes at offset ${offset} of ${show(path)}`;
    const map = new MemoryMap(what, request, undefined, memory);
    const { access = "normal", hugePages = false } = options;
    try {
      if (access !== "normal") map.hint(access);
      if (hugePages) map.hint("hugePages");
    } catch (error) {
      map.#map.forgo();
      throw error;
    }
    return map;
  }

  #populated(): MemoryMap {
    try {
      this.prefault();
    } catch (error) {
      this.close();
      throw error;
    }
    return this;
  }

  async #populatedAsync(options: AsyncOptions): Promise<MemoryMap> {
    try {
      await this.#prefaultedAsync(options);
    } catch (error) {
      this.close();
      throw error;
    }
    return this;
  }

  #prefaultedAsync({ signal }: AsyncOptions): Promise<void> {
    return this.prefaultAsync(0, this.size, signal === undefined ? {} : { signal });
  }

  /** Address of the first byte; 0n for an empty map and after `close()`. */
  get addr(): bigint {
    return this.#map.addr;
  }

  /** Bytes of the map; 0 after `close()`. */
  get size(): number {
    return this.#map.size;
  }

  /** Whether the map is open. */
  get isValid(): boolean {
    return !this.#map.closed;
  }

  /** Bytes of a page, the unit of protection and paging. */
  get pageSize(): number {
    return this.#map.platform.pageSize;
  }

  /**
   * The descriptor of the map's file or memfd, -1 without one: to hand the memory to a child process,
   * which maps it with {@link MemoryMap.createFileMapping}. It belongs to the map; do not close it.
   */
  get fd(): number {
    return this.#map.closed ? -1 : this.#map.fd;
  }

  /** The protection given at creation, or by the last `mprotect` of the whole map. */
  get prot(): number {
    return this.#map.prot;
  }

  /** Bytes from the start of the file to the start of the map; 0 without a file. */
  get offset(): number {
    return this.#map.offset;
  }

  /** The path given to `open`; undefined for other maps. */
  get path(): string | undefined {
    return this.#map.path;
  }

  /** The name given in the options; undefined without. */
  get name(): string | undefined {
    return this.#map.name;
  }

  /**
   * All bytes, zero copy. A write through it to a map without `PROT_WRITE` is not an exception: it goes to
   * a private copy of the page, and {@link MemoryMap.checkFaults} throws afterwards. Where
   * `guardStatus()` tells that no guard is active it ends the process: use {@link MemoryMap.write}.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapInvalidParameterError} If the map is larger than one ArrayBuffer can be (4 GiB in
   * Bun): use `asTypedArray` or `asDataView` for ranges.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#map.publicView();
  }

  /**
   * The buffer behind {@link MemoryMap.bytes}, zero copy. With `sharedBuffer` it is a SharedArrayBuffer
   * that may begin before the map and end behind it: post `bytes`, which knows its place in it. A
   * buffer that was transferred or posted shows zeros after `close()`, and does not keep the map
   * from being collected: keep the map, or `attach` there.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapInvalidParameterError} If the map is larger than one ArrayBuffer can be.
   */
  get buffer(): ArrayBuffer | SharedArrayBuffer {
    return this.#map.publicView().buffer;
  }

  /**
   * A copy of a range.
   *
   * @param size Bytes to copy.
   * @param offset Bytes from the start of the map. Default 0.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   * @throws {MMapAllocationError} If the runtime has no memory for the copy.
   * @throws {MMapFaultError} If a page of the range is gone.
   * @throws {MMapProtectionError} If the range may not be read.
   * @throws {MMapClosedError} If the map is closed.
   */
  read(size: number, offset: number = 0): Uint8Array<ArrayBuffer> {
    const map = this.#map;
    map.use("read", offset, size, PROT_READ);
    try {
      const copy = memory.copyOf(map, offset, size);
      map.intact("read", offset, size, PROT_READ);
      return copy;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new MMapAllocationError(
        `Cannot read ${size} bytes at once: the runtime has no memory for the copy; read less, or ` +
          "use readInto() or a view",
        { cause: error },
      );
    }
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
    const map = this.#map;
    const bytes = memory.asByteArray(target);
    const length = Math.max(0, Math.min(memory.lengthOf(bytes), bytesFrom(offset, map.size)));
    map.use("read", offset, length, PROT_READ);
    if (map.checked) map.load("read", offset, memory.asBytes(bytes).subarray(0, length));
    else if (length <= map.span) memory.setBytes(bytes, map.range(offset, length), 0, length);
    else map.eachPiece(offset, length, (piece, done) => memory.setBytes(bytes, piece, done));
    map.intact("read", offset, length, PROT_READ);
    return length;
  }

  /**
   * Starts the reading of many scattered ranges and returns, so that a disk works on them at once instead
   * of one after the other: touching them later waits little or not at all. A hint; it does nothing
   * where the system knows no such thing, or for pages that are in memory. With `access: "random"` on
   * `open` nothing else is read along.
   *
   * @param offsets Where the ranges start: bytes from the start of the map.
   * @param length Bytes of each range.
   * @throws {MMapInvalidParameterError} If a range is not in the map; then nothing was started.
   * @throws {MMapProtectionError} If a range may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/index`;
   * Deno.writeFileSync(path, new Uint8Array(1 << 20).fill(7));
   * using map = MemoryMap.open(path, { access: "random" });
   * const offsets = [0, 65536, 524288];
   * map.prefetch(offsets, 4096);
   * for (const offset of offsets) assertEquals(map.bytes[offset], 7);
   * ```
   */
  prefetch(offsets: ArrayLike<number>, length: number): void {
    gather.prefetch(this.#map, offsets, length);
  }

  /**
   * Copies many scattered ranges into one view, one behind the other, while the reading of those to come
   * is under way: {@link MemoryMap.prefetch} and {@link MemoryMap.readInto} in one.
   *
   * @param offsets Where the ranges start: bytes from the start of the map.
   * @param length Bytes of each range.
   * @param target Any view of at least `offsets.length * length` bytes.
   * @returns The bytes copied.
   * @throws {MMapInvalidParameterError} If a range is not in the map or the view too small; then nothing
   * was copied.
   * @throws {MMapFaultError} If a page of a range is gone.
   * @throws {MMapProtectionError} If a range may not be read.
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(1 << 20);
   * map.write("first", 4096);
   * map.write("other", 8192);
   * const both = new Uint8Array(10);
   * assertEquals(map.readMany([8192, 4096], 5, both), 10);
   * assertEquals(new TextDecoder().decode(both), "otherfirst");
   * ```
   */
  readMany(offsets: ArrayLike<number>, length: number, target: ArrayBufferView): number {
    return gather.readMany(this.#map, offsets, length, target);
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
    const map = this.#map;
    const bytes = typeof data === "string" ? encoder.encode(data) : memory.asByteArray(data);
    const length = memory.lengthOf(bytes);
    map.use("write", offset, length, PROT_WRITE);
    if (length === 0) return 0; // engines refuse to copy from a view that is detached
    if (map.checked) {
      map.store("write", offset, memory.asBytes(bytes));
    } else if (length <= map.span) {
      map.range(offset, length).set(bytes);
    } else {
      const plain = memory.asBytes(bytes);
      map.eachPiece(offset, length, (piece, done) => {
        piece.set(plain.subarray(done, done + piece.length));
      });
    }
    map.intact("write", offset, length, PROT_WRITE);
    return length;
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
    const map = this.#map;
    if (typeof type !== "function" || !(type.prototype instanceof TypedArray)) {
      throw new MMapInvalidParameterError(
        `Cannot view a map as ${show(type)}: give a typed array class such as Float64Array`,
      );
    }
    const unit = type.BYTES_PER_ELEMENT;
    const name = typeof type.name === "string" ? type.name : "a typed array";
    if (!Number.isSafeInteger(unit) || unit < 1) {
      throw new MMapInvalidParameterError(
        `Cannot view a map as ${name}: its BYTES_PER_ELEMENT is ${show(unit)}`,
      );
    }
    const verb = `view as ${name}`;
    map.use(verb, byteOffset, 0, 0);
    const left = map.size - byteOffset;
    if (length === undefined && left % unit !== 0) {
      throw new MMapInvalidParameterError(
        `Cannot view ${left} bytes at offset ${byteOffset} as ${name}: they are not a ` +
          `multiple of ${unit} bytes; give a length in elements`,
      );
    }
    const elements = length ?? left / unit;
    checkInteger("a length in elements", elements, 0);
    map.use(verb, byteOffset, elements * unit, 0);
    // Checked on the address: a map may start anywhere in a page of its file.
    if ((map.addr + BigInt(byteOffset)) % BigInt(unit) !== 0n) {
      throw new MMapInvalidParameterError(
        `Cannot view offset ${byteOffset} as ${name}: ${map.offset + byteOffset} is not a ` +
          `multiple of ${unit} bytes; use another offset, or asDataView()`,
      );
    }
    const { buffer, start } = map.publicBuffer(byteOffset, elements * unit, unit);
    const { version } = map;
    try {
      return new type(buffer, byteOffset - start, elements);
    } catch (error) {
      // A constructor of the user's may have closed or resized the map before it made the view.
      map.use(verb, byteOffset, elements * unit, 0);
      if (map.version === version) throw error;
      throw new MMapClosedError(`Cannot ${verb}: the map was resized meanwhile`, { cause: error });
    }
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
    length: number = bytesFrom(byteOffset, this.size),
  ): DataView<ArrayBuffer> {
    const map = this.#map;
    map.use("view", byteOffset, lengthOrZero(length), 0);
    checkInteger("a length in bytes", length, 0);
    const { buffer, start } = map.publicBuffer(byteOffset, length);
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
   * @throws {MMapInvalidParameterError} If the range is not in the map, `prot` is unknown, or
   * other threads are attached to the map.
   * @throws {MMapClosedError} If the map is closed.
   */
  mprotect(prot: number, offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    checkProt(prot);
    this.#map.protect(prot, offset, length);
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
  msync(
    flags: number = MS_SYNC,
    offset: number = 0,
    length: number = bytesFrom(offset, this.size),
  ): void {
    checkSyncFlags(flags);
    const pages = this.#map.pagesAround("flush", offset, length);
    if (pages === undefined) return;
    const { platform, fd } = this.#map;
    this.#map.intact("flush", offset, length, PROT_WRITE);
    explained(
      `Cannot flush ${length} bytes at offset ${offset}`,
      () => platform.sync(pages.address, pages.length, flags, fd),
    );
  }

  /**
   * {@link MemoryMap.msync} on another thread. `close()` and `resize()` may be called meanwhile: the
   * promise is rejected then.
   *
   * @param flags Default `MS_SYNC`.
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @param options An AbortSignal, heeded between pieces of a few MiB.
   * @throws {MMapClosedError} If the map was closed or resized before it was over.
   *
   * @example
   * ```ts
   * import { MemoryMap, MS_SYNC } from "@mman/mman";
   *
   * using map = MemoryMap.createMemfd(1 << 20);
   * map.fill(7);
   * await map.msyncAsync(MS_SYNC, 0, map.size, { signal: AbortSignal.timeout(10_000) });
   * ```
   */
  async msyncAsync(
    flags: number = MS_SYNC,
    offset: number = 0,
    length: number = bytesFrom(offset, this.size),
    options: AsyncOptions = {},
  ): Promise<void> {
    checkSyncFlags(flags);
    const { signal } = readOptions("msyncAsync", options, ["signal"]);
    await msyncAsync(this.#map, flags, offset, length, signal);
  }

  /**
   * Writes changed pages back and waits until the storage has them, on every platform: `msync` with
   * `MS_SYNC`, with `F_FULLFSYNC` on macOS and `FlushFileBuffers` on Windows.
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapError} If the storage fails; `code` says how (`EIO`, ...).
   */
  flush(offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    this.msync(MS_SYNC, offset, length);
  }

  /**
   * Keeps a range in memory ({@link https://man7.org/linux/man-pages/man2/mlock.2.html | mlock(2)}).
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map. Every page that the range touches is locked.
   * @param onFault Lock each page once it is touched, instead of faulting all in. Linux. Default false.
   * @throws {MMapAllocationError} If RLIMIT_MEMLOCK (the working set, on Windows) is too small.
   * @throws {MMapProtectionError} If the process may lock nothing.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   * @throws {MMapClosedError} If the map is closed.
   */
  mlock(
    offset: number = 0,
    length: number = bytesFrom(offset, this.size),
    onFault: boolean = false,
  ): void {
    const pages = this.#map.pagesAround("lock", offset, length);
    const { platform } = this.#map;
    if (onFault && !platform.locksOnFault) {
      throw paging.unsupported(platform, "lock pages on fault", "leave onFault out");
    }
    if (pages === undefined) return;
    explained(
      `Cannot lock ${length} bytes at offset ${offset}`,
      () => platform.lock(pages.address, pages.length, onFault),
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
  munlock(offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    const pages = this.#map.pagesAround("unlock", offset, length);
    if (pages === undefined) return;
    explained(
      `Cannot unlock ${length} bytes at offset ${offset}`,
      () => this.#map.platform.unlock(pages.address, pages.length),
    );
  }

  /**
   * Advice for a range by its C constant
   * ({@link https://man7.org/linux/man-pages/man2/madvise.2.html | madvise(2)}). For those who know:
   * some advice **loses the content**. {@link MemoryMap.hint} only gives hints,
   * {@link MemoryMap.discard} says what it does.
   *
   * @param advice A `MADV_` constant. The range of advice that loses content (`MADV_DONTNEED`,
   * `MADV_FREE`, `MADV_REMOVE`) shrinks to whole pages; that of all other advice grows to them.
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If the advice is unknown, or nothing that this system has.
   *
   * @example
   * ```ts
   * import { MADV_SEQUENTIAL, MemoryMap } from "@mman/mman";
   *
   * using map = MemoryMap.createAnonymous(1 << 20);
   * map.madvise(MADV_SEQUENTIAL);
   * ```
   */
  madvise(advice: number, offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    paging.advise(this.#map, advice, offset, length);
  }

  /**
   * Tells the system how a range will be used; what it holds never changes.
   *
   * @param hint `"normal"`, `"random"`, `"sequential"`, `"willNeed"`, `"cold"`, `"pageOut"`,
   * `"hugePages"`, ...: see {@link Hint}.
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If the hint is unknown, or nothing that this system has.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   *
   * using map = MemoryMap.createAnonymous(1 << 20);
   * map.hint("random");
   * ```
   */
  hint(hint: paging.Hint, offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    paging.hint(this.#map, hint, offset, length);
  }

  /**
   * Drops the pages that lie wholly in a range. Anonymous memory **loses its content** and reads as
   * zeros; a copy-on-write map loses its private changes; a shared map of a file loses nothing, its
   * pages are read from the file again.
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(1 << 20);
   * map.fill(1);
   * map.discard();
   * assertEquals(map.bytes[0], 0);
   * ```
   */
  discard(offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    paging.discard(this.#map, offset, length);
  }

  /**
   * Which pages are in memory ({@link https://man7.org/linux/man-pages/man2/mincore.2.html | mincore(2)}).
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @returns One byte for each page that the range touches: 1 if it is in memory, else 0.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   */
  residency(
    offset: number = 0,
    length: number = bytesFrom(offset, this.size),
  ): Uint8Array<ArrayBuffer> {
    return paging.residency(this.#map, offset, length);
  }

  /**
   * Faults a range in, so that touching it later does not wait. Anonymous memory is given its pages;
   * of a file the pages are read, and its holes stay holes (but on tmpfs, where reading fills them).
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapAllocationError} If there is not enough memory.
   * @throws {MMapError} With code `EFAULT` if a page is past the end of a file that was truncated.
   */
  prefault(offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    paging.prefault(this.#map, offset, length);
  }

  /**
   * {@link MemoryMap.prefault} on another thread. `close()` and `resize()` may be called meanwhile:
   * the promise is rejected then.
   *
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @param options An AbortSignal, heeded between pieces of a few MiB.
   * @throws {MMapClosedError} If the map was closed or resized before it was over.
   */
  async prefaultAsync(
    offset: number = 0,
    length: number = bytesFrom(offset, this.size),
    options: AsyncOptions = {},
  ): Promise<void> {
    const { signal } = readOptions("prefaultAsync", options, ["signal"]);
    await prefaultAsync(this.#map, offset, length, signal);
  }

  /**
   * Gives the map another size, at least 1 byte. Shared maps of files: the file grows with the map,
   * and shrinks with it if the map reaches the end of the file. All views are emptied, the address
   * may change; take new ones.
   *
   * @param size Bytes, at least 1: systems have no mappings of 0 bytes. To empty the file, close the map and
   * truncate it, or open it with `truncateOnClose: 0`.
   * @throws {MMapProtectionError} If the map is read-only or copy-on-write.
   * @throws {MMapInvalidParameterError} If the size is wrong, the memory is of a fixed size
   * (anonymous `MAP_SHARED`, huge pages), or parts of the map differ in protection.
   * @throws {MMapAllocationError} If the system or the disk refuses; the map stays as it was, but
   * for its views.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * map.write("kept");
   * const view = map.bytes;
   * map.resize(1 << 20);
   * assertEquals(view.length, 0);
   * assertEquals(new TextDecoder().decode(map.read(4)), "kept");
   * ```
   */
  resize(size: number): void {
    this.#map.resize(size);
  }

  /**
   * Frees the memory, and the blocks on the disk, of a range, which reads as zeros then
   * ({@link https://man7.org/linux/man-pages/man2/fallocate.2.html | fallocate(2)}).
   *
   * @param offset Bytes from the start of the map.
   * @param length Bytes, any; parts of pages are filled with zeros.
   * @throws {MMapInvalidParameterError} If the range is not in the map, or the map is copy-on-write.
   * @throws {MMapProtectionError} If the range may not be written.
   */
  punchHole(offset: number, length: number): void {
    paging.punchHole(this.#map, offset, length);
  }

  /**
   * Gives the pages that lie wholly in a range back to the system. Methods that touch them throw
   * afterwards; all views are emptied, take new ones of what is left. The addresses are not used for
   * anything else while the map is open.
   *
   * @param offset Bytes from the start of the map.
   * @param length Bytes.
   * @throws {MMapInvalidParameterError} If the range is not in the map.
   */
  unmapRange(offset: number, length: number): void {
    this.#map.unmapRange(offset, length);
  }

  /**
   * Sets every byte of a range.
   *
   * @param value 0 to 255.
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapProtectionError} If the range may not be written.
   */
  fill(value: number, offset: number = 0, length: number = bytesFrom(offset, this.size)): void {
    memory.fill(this.#map, value, offset, length);
  }

  /**
   * Copies within the map; the ranges may overlap.
   *
   * @param target Where to, in bytes from the start of the map.
   * @param source Where from.
   * @param length Bytes.
   * @throws {MMapInvalidParameterError} If one of the ranges is not in the map.
   */
  copyWithin(target: number, source: number, length: number): void {
    memory.copyWithin(this.#map, target, source, length);
  }

  /**
   * Compares bytes with another map or a view, as `memcmp` does.
   *
   * @param other The other bytes.
   * @param offset Bytes from the start of this map. Default 0.
   * @param otherOffset Bytes from the start of the other. Default 0.
   * @param length Bytes. Default: to the ends; of two that begin alike the shorter comes first.
   * @returns -1, 0 or 1.
   * @throws {MMapInvalidParameterError} If a range is not in the map or the view.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4);
   * map.write("abcd");
   * assertEquals(map.compare(new TextEncoder().encode("abce")), -1);
   * assertEquals(map.compare(map), 0);
   * ```
   */
  compare(
    other: MemoryMap | ArrayBufferView,
    offset: number = 0,
    otherOffset: number = 0,
    length?: number,
  ): number {
    // What only claims to be one, such as a Proxy, is none.
    const isMap = typeof other === "object" && other !== null && #map in other;
    if (!isMap && !ArrayBuffer.isView(other)) {
      throw new MMapInvalidParameterError(
        `Cannot compare a map with ${show(other)}: give a MemoryMap, a typed array or a DataView`,
      );
    }
    const bytes = isMap ? (other as MemoryMap).#map : other as ArrayBufferView;
    return memory.compare(this.#map, bytes, offset, otherOffset, length);
  }

  /**
   * The first place of a needle.
   *
   * @param needle Bytes, or text (UTF-8). An empty needle is found at the start.
   * @param offset Where to begin. Default 0; past the end finds nothing.
   * @param end Where the needle must have ended. Default: the end of the map.
   * @returns Bytes from the start of the map, or -1.
   * @throws {MMapInvalidParameterError} If a place is negative or not a whole number.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * map.write("needle", 1000);
   * assertEquals(map.find("needle"), 1000);
   * assertEquals(map.find("needle", 1001), -1);
   * ```
   */
  find(needle: memory.Needle, offset: number = 0, end: number = this.size): number {
    return memory.find(this.#map, needle, offset, end);
  }

  /**
   * The last place of a needle.
   *
   * @param needle Bytes, or text (UTF-8). An empty needle is found at the end.
   * @param offset Where the needle may begin at the earliest. Default 0.
   * @param end Where the needle must have ended. Default: the end of the map.
   * @returns Bytes from the start of the map, or -1.
   * @throws {MMapInvalidParameterError} If a place is negative or not a whole number.
   */
  rfind(needle: memory.Needle, offset: number = 0, end: number = this.size): number {
    return memory.rfind(this.#map, needle, offset, end);
  }

  /**
   * The first place of a byte value.
   *
   * @param byte 0 to 255.
   * @param offset Where to begin. Default 0.
   * @param end Where to stop. Default: the end of the map.
   * @returns Bytes from the start of the map, or -1.
   * @throws {MMapInvalidParameterError} If the byte or a place is none.
   */
  indexOfByte(byte: number, offset: number = 0, end: number = this.size): number {
    return memory.indexOfByte(this.#map, byte, offset, end);
  }

  /**
   * How often a byte value or a needle occurs. Places of a needle do not overlap, and an empty one occurs
   * `length + 1` times, as Python's `bytes.count` has it.
   *
   * @param what A byte, 0 to 255, or bytes or text (as UTF-8).
   * @param offset Bytes from the start of the map. Default 0.
   * @param length Bytes. Default: to the end of the map.
   * @throws {MMapInvalidParameterError} If it is neither, or the range is not in the map.
   * @throws {MMapFaultError} If a page of the range is gone.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * map.write("one\ntwo\n\n\n");
   * assertEquals(map.count(10), 4);
   * assertEquals(map.count("\n\n"), 1);
   * ```
   */
  count(
    what: number | memory.Needle,
    offset: number = 0,
    length: number = bytesFrom(offset, this.size),
  ): number {
    return memory.count(this.#map, what, offset, length);
  }

  /**
   * Where the bytes of the map are, in bytes
   * ({@link https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html | proc_pid_smaps(5)}).
   * Deno asks for leave to read `/proc`. Linux, Windows.
   *
   * @throws {MMapInvalidParameterError} If the platform cannot tell.
   */
  stats(): MemoryStats {
    return paging.stats(this.#map);
  }

  /**
   * Pages of the map that could not be accessed as they were, and have been replaced: by zeros where the
   * file was truncated or the disk is full, by a private copy where a view was written to that is
   * read-only. They are counted since the map was opened, resized or remapped, whoever touched them; 0 is
   * the usual answer. Always 0 where `guardStatus()` tells that no guard is active.
   *
   * @example
   * ```ts
   * import { truncateSync, writeFileSync } from "node:fs";
   * import { MemoryMap, MMapFaultError } from "@mman/mman";
   * import { guardStatus } from "@mman/mman/guard";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * const path = `${Deno.makeTempDirSync()}/log`;
   * writeFileSync(path, new Uint8Array(2 * 65536).fill(1));
   * using map = MemoryMap.open(path);
   * if (guardStatus().active) {
   *   truncateSync(path, 65536);
   *   assertEquals(map.bytes[65536], 0); // in C the end of the process
   *   assertEquals(map.faults, 1);
   *   assertThrows(() => map.checkFaults(), MMapFaultError);
   *   assertThrows(() => map.read(1, 65536), MMapFaultError);
   *   assertEquals(map.read(1, 65535)[0], 1);
   *
   *   writeFileSync(path, new Uint8Array(2 * 65536).fill(2), { flag: "r+" });
   *   map.remap();
   *   assertEquals(map.bytes[65536], 2); // views stay as they are
   * }
   * ```
   */
  get faults(): number {
    return this.#map.faults;
  }

  /**
   * For loops over raw views: throws if {@link MemoryMap.faults} is not 0, that is, if what the views show
   * is not all true. It throws again until {@link MemoryMap.remap}. Methods need no such call: they throw
   * by themselves where they meet a page that was lost.
   *
   * @throws {MMapFaultError} If pages were lost; `offset` is that of the first access that failed, or the start
   * of what was lost if `onFault` has been told of that access.
   * @throws {MMapProtectionError} If a view was written to where the map is read-only.
   * @throws {MMapClosedError} If a view was used in a range that `unmapRange` had given back, or the map
   * is closed.
   */
  checkFaults(): void {
    this.#map.checkFaults();
  }

  /**
   * Brings back the true pages of the file where pages were replaced, and sets {@link MemoryMap.faults} to
   * 0. Views stay valid. What was written to the replaced pages is gone, in a copy-on-write map also what
   * was written to the pages between the first and the last of them. It does nothing if there was no
   * fault.
   *
   * @throws {MMapFaultError} If the file is still too short.
   * @throws {MMapInvalidParameterError} If there is no file: shared anonymous memory.
   * @throws {MMapClosedError} If the map is closed.
   */
  remap(): void {
    this.#map.remap();
  }

  /**
   * Called after a page of the map was replaced, once for all pages since the last call: on a turn of the
   * event loop, by a timer that looks every 10 milliseconds while the loop is free, and when the map is
   * closed. `undefined` ends it. The timer does not keep the process alive.
   *
   * It gets the offset of the first access that failed, in bytes from the start of the map: that of the element
   * which a view was asked for, or the `offset` of the error that a method has thrown because of it.
   */
  get onFault(): ((offset: number) => void) | undefined {
    return this.#map.onFault;
  }

  set onFault(callback: ((offset: number) => void) | undefined) {
    if (callback !== undefined && typeof callback !== "function") {
      throw new MMapInvalidParameterError(
        `Cannot call ${show(callback)} after faults: give a function, or undefined`,
      );
    }
    this.#map.onFault = callback;
  }

  /**
   * A small handle that `postMessage` carries to the other threads of this process, where
   * {@link MemoryMap.attach} turns it into the same memory. While others are attached nobody can take
   * the pages away from under them: `resize`, `mprotect` and `unmapRange` are refused. The last to
   * close gives the memory back.
   *
   * A Worker that ends without closing its map holds it no longer once its thread has gone: what was
   * closed everywhere else is given back at the next `share`, `attach` or `close` of a shared map. On
   * systems that do not tell whether a thread lives (all but Linux) it stays until the process ends.
   *
   * @throws {MMapClosedError} If the map is closed.
   * @throws {MMapInvalidParameterError} If parts of the map differ in protection, or were unmapped.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(4096);
   * const program = "self.onmessage = ({ data }) => self.postMessage(data.kind)";
   * const worker = new Worker(`data:text/javascript,${program}`, { type: "module" });
   * worker.postMessage(map.share()); // there: MemoryMap.attach(data)
   * assertEquals(await new Promise((done) => worker.onmessage = (event) => done(event.data)), "mman map");
   * worker.terminate();
   * ```
   */
  share(): MapHandle {
    return this.#map.handle();
  }

  /**
   * With `sharedBuffer`, the WebAssembly memory whose pages the map lies over: a module that imports
   * it computes on the mapped bytes in place, from {@link MemoryMap.wasmOffset} on. Else undefined.
   */
  get wasmMemory(): WebAssembly.Memory | undefined {
    return this.#map.closed ? undefined : this.#map.memory;
  }

  /** Bytes from the start of {@link MemoryMap.wasmMemory} to the first byte of the map. */
  get wasmOffset(): number | undefined {
    return this.wasmMemory === undefined ? undefined : this.bytes.byteOffset;
  }

  /**
   * A file-like face with a position, as Python's mmap object has it.
   *
   * @throws {MMapClosedError} If the map is closed.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { assertEquals } from "@std/assert";
   *
   * using map = MemoryMap.createAnonymous(8);
   * map.write("one\ntwo\n");
   * const lines = [...map.cursor().textLines()];
   * assertEquals(lines, ["one\n", "two\n"]);
   * ```
   */
  cursor(): Cursor {
    return new Cursor(this);
  }

  /**
   * Empties every view that was handed out, unmaps the memory and closes the file. Changes of a
   * shared map reach the file in any case; `msync` first if they must be on the storage. Calling it
   * again does nothing.
   *
   * A map that is dropped without it is ended after garbage collection: its memory is given back, but
   * where views were handed out its addresses stay taken, because one of them may live on elsewhere.
   *
   * @throws {MMapAllocationError} If the file cannot get the size of `truncateOnClose`. The map is closed
   * nevertheless.
   */
  close(): void {
    this.#map.close();
  }

  /** Calls `close()`; for `using`. */
  [Symbol.dispose](): void {
    this.#map.close();
  }
}

/**
 * Keeps the memory of all maps of this thread from being swapped out, as
 * {@link https://man7.org/linux/man-pages/man2/mlockall.2.html | mlockall(2)} does that of a process.
 * Linux.
 *
 * The runtime's own memory is not locked, because no engine is made for that: V8 gives pages of its heap
 * back at collections, which the kernel refuses for locked pages, and ends the process.
 *
 * @param which `current` (default true): the maps there are; `future` (default false): those that will
 * be; `onFault` (default false): each page only once it is touched.
 * @throws {MMapAllocationError} If RLIMIT_MEMLOCK is too small. Some maps may be locked then; with
 * `future`, each call that maps throws it.
 * @throws {MMapInvalidParameterError} If the platform cannot do it.
 *
 * @example
 * ```ts
 * import process from "node:process";
 * import { MemoryMap, mlockAll, munlockAll } from "@mman/mman";
 *
 * using map = MemoryMap.createAnonymous(4096);
 * if (process.platform === "linux") {
 *   mlockAll({ future: true });
 *   using later = MemoryMap.createAnonymous(4096); // locked, too
 *   munlockAll();
 * }
 * ```
 */
export function mlockAll(
  which: { current?: boolean; future?: boolean; onFault?: boolean } = {},
): void {
  const system = platform();
  const how = readOptions("mlockAll", which, ["current", "future", "onFault"]);
  const { current = true, future = false, onFault = false } = how;
  if (system.unlockAll === undefined) {
    throw paging.unsupported(system, "lock all memory", "use mlock() on each map");
  }
  if (!current && !future) {
    throw new MMapInvalidParameterError(
      "Cannot lock neither current nor future memory: set one of them",
    );
  }
  explained("Cannot lock all maps", () => lockAll({ current, future, onFault }));
}

/**
 * Undoes {@link mlockAll} of this thread, and every `mlock` of the process. Linux.
 *
 * @throws {MMapInvalidParameterError} If the platform cannot do it.
 */
export function munlockAll(): void {
  const system = platform();
  if (system.unlockAll === undefined) {
    throw paging.unsupported(system, "unlock all memory", "use munlock() on each map");
  }
  lockNoMore();
  explained("Cannot unlock all memory", () => system.unlockAll!());
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
  checkMapFlags(platform(), flags);
  if ((flags & MAP_ANONYMOUS) === 0) {
    throw new MMapInvalidParameterError(
      "Cannot map a file without a descriptor: give fd, or add MAP_ANONYMOUS to the flags",
    );
  }
  checkInteger("an offset in bytes", offset, 0);
  if (offset !== 0) {
    throw new MMapInvalidParameterError(
      `Cannot map memory without a file at offset ${offset}: leave the offset out, or give fd`,
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

/** Makes a call; a failure of the system says what was asked for. */
function explained<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw explain(what, error);
  }
}

/** Bytes of the huge pages that the flags ask for: bits 26 to 31 hold the exponent, 0 the default. */
function hugePageSize(system: Platform, flags: number): number {
  const exponent = flags >>> 26;
  return exponent === 0 ? system.hugePageSize!() : 2 ** exponent;
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
  if (!Number.isInteger(flags) || (flags | 0) !== flags) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(flags)} as flags of mmap: it must combine MAP constants`,
    );
  }
  if ((flags & MAP_FIXED) !== 0) {
    throw new MMapInvalidParameterError(
      "Cannot map with MAP_FIXED: no call here takes an address; leave the flag out",
    );
  }
  const unknown = flags & ~system.mapFlags;
  if (unknown !== 0) {
    const name = paging.constantName("MAP_", unknown) ?? paging.constantName("FILE_MAP_", unknown);
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

function checkSyncFlags(flags: number): void {
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
}
