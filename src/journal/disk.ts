/** The files of a journal on the disk, mapped. */
import { show } from "../check.ts";
import { MMapError, MMapInvalidParameterError } from "../errors.ts";
import { explain, explainLoss, explainMissing } from "../explain.ts";
import { nodeFs, nodePath } from "../ffi/builtin.ts";
import { hostConstants, platform } from "../ffi/host.ts";
import { mappingOf, MemoryMap } from "../memory_map.ts";
import { setBytes } from "../memory_operations.ts";
import { waitForChangeAsync, wake } from "../sync/change.ts";
import { crc32cOf } from "./crc32c.ts";
import {
  HEADER_LENGTH,
  PUBLISHED_OFFSET,
  WAITING,
  WAITING_OFFSET,
  WRITER_OFFSET,
} from "./layout.ts";
import type { SegmentFile, Storage, Watch } from "./storage.ts";

const { MS_SYNC } = hostConstants;

/** A mapped file. */
class MappedSegment implements SegmentFile {
  readonly #map: MemoryMap;
  readonly size: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
  readonly #pairs: BigInt64Array;
  readonly #pair = new BigInt64Array(1);
  readonly #crc: (offset: number, length: number) => number;

  /** Takes the map: it is closed if this throws. */
  static of(map: MemoryMap): MappedSegment {
    try {
      return new MappedSegment(map);
    } catch (error) {
      map.close();
      throw error;
    }
  }

  private constructor(map: MemoryMap) {
    this.#map = map;
    this.size = map.size;
    // Our own views: what others put on the public ones does not matter here.
    const { buffer } = this.bytes = mappingOf(map).range(0, map.size);
    this.words = new Int32Array(buffer, 0, Math.floor(map.size / 4));
    this.#pairs = new BigInt64Array(buffer, 0, Math.floor(map.size / 8));
    this.#crc = crc32cOf(this.bytes, map.addr);
  }

  /** Throws if a page of the file was lost. */
  #whole(): void {
    if (mappingOf(this.#map).touched[0] === 0) return;
    try {
      this.#map.checkFaults();
    } catch (error) {
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): unknown {
    return explainLoss(`Cannot use journal file ${show(this.#map.path)}`, error);
  }

  put(offset: number, bytes: Uint8Array): void {
    setBytes(this.bytes, bytes, offset);
    this.#whole();
  }

  putWord(offset: number, value: number): void {
    this.words[offset / 4] = value;
  }

  putPair(offset: number, first: number, second: number): void {
    new Int32Array(this.#pair.buffer).set([first, second]);
    Atomics.store(this.#pairs, offset / 8, this.#pair[0]!);
  }

  release(offset: number, value: number): void {
    Atomics.store(this.words, offset / 4, value);
  }

  acquire(offset: number): number {
    const word = Atomics.load(this.words, offset / 4);
    this.#whole();
    return word;
  }

  zero(offset: number, length: number): void {
    for (let i = offset; i < offset + length; i++) this.bytes[i] = 0;
  }

  crc(offset: number, length: number): number {
    const crc = this.#crc(offset, length) | 0;
    this.#whole();
    return crc;
  }

  flush(offset: number, length: number): void {
    try {
      this.#map.flush(offset, length);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  async flushAsync(offset: number, length: number): Promise<void> {
    try {
      await this.#map.msyncAsync(MS_SYNC, offset, length);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  discard(offset: number, length: number): void {
    if (platform().punchHole === undefined) return;
    try {
      this.#map.punchHole(offset, length);
    } catch (error) {
      // A file system without holes: the space is in use until the journal goes away.
      if (error instanceof MMapError && ["ENOTSUP", "EOPNOTSUPP"].includes(error.code ?? "")) {
        return;
      }
      throw error;
    }
  }

  wake(offset: number): void {
    wake(this.#map, offset);
  }

  close(): void {
    this.#map.close();
  }
}

/** Waits on the header of segment 0, through a map of its own. */
class HeaderWatch implements Watch {
  readonly #map: MemoryMap;
  readonly #words: Int32Array;
  readonly #writable: boolean;

  constructor(file: string) {
    const map = HeaderWatch.#mapForWriting(file);
    this.#writable = map !== undefined;
    this.#map = map ?? MemoryMap.open(file, { size: HEADER_LENGTH });
    this.#words = this.#map.asTypedArray(Int32Array);
  }

  /** Undefined if this process may not write the file. */
  static #mapForWriting(file: string): MemoryMap | undefined {
    try {
      return MemoryMap.open(file, { mode: "r+", size: HEADER_LENGTH });
    } catch (error) {
      const codes = ["EACCES", "EPERM", "EROFS"];
      if (error instanceof MMapError && codes.includes(error.code ?? "")) return undefined;
      if (error instanceof Error && error.name === "NotCapable") return undefined; // Deno's rights
      throw error;
    }
  }

  look(): number {
    return this.#words[PUBLISHED_OFFSET / 4] ?? 0; // of a closed map: changed() says so
  }

  async changed(seen: number): Promise<void> {
    if (this.#writable) {
      // The writer looks for it after it has changed the count: one of the two sees the other.
      Atomics.store(this.#words, WAITING_OFFSET / 4, WAITING);
    }
    await waitForChangeAsync(this.#map, PUBLISHED_OFFSET, seen);
  }

  close(): void {
    this.#map.close();
  }
}

/** The files at a path. */
export class Disk implements Storage {
  readonly #path: string;
  readonly #permissions: number;

  /** @param permissions Permission bits of the files that are made. */
  constructor(file: string, permissions: number) {
    this.#path = file;
    this.#permissions = permissions;
  }

  name(number: number): string {
    return number === 0 ? this.#path : `${this.#path}.${String(number).padStart(6, "0")}`;
  }

  list(): number[] {
    const base = nodePath().basename(this.#path);
    return this.#explained("look for", () => nodeFs().readdirSync(this.#folder))
      .filter((name) => name.startsWith(base))
      .map((name) => name === base ? 0 : Number(/^\.(\d{6,})$/.exec(name.slice(base.length))?.[1]))
      .filter(Number.isSafeInteger)
      .sort((a, b) => a - b);
  }

  open(number: number, writable: boolean): SegmentFile {
    const name = this.name(number);
    try {
      return MappedSegment.of(MemoryMap.open(name, { mode: writable ? "r+" : "r" }));
    } catch (error) {
      throw explainMissing(
        `Cannot open journal file ${show(name)}`,
        error,
        'make it with mode "a+"',
      );
    }
  }

  make(size: number): SegmentFile {
    const preallocate = platform().allocate !== undefined;
    const permissions = this.#permissions;
    return MappedSegment.of(
      MemoryMap.open(this.#fresh, { mode: "w+", size, preallocate, permissions }),
    );
  }

  settle(number: number): void {
    this.#explained("make a segment of", () => nodeFs().renameSync(this.#fresh, this.name(number)));
  }

  abandon(): void {
    this.#remove(this.#fresh, []);
  }

  remove(number: number): void {
    // Windows keeps files that somebody has mapped: they do not count any more, and go another time.
    this.#remove(this.name(number), ["EPERM", "EACCES", "EBUSY"]);
  }

  flushNames(): void {
    this.#explained("flush the folder of", () => {
      const fd = openFolder(this.#folder);
      if (fd === undefined) return;
      try {
        nodeFs().fsyncSync(fd);
      } catch (error) {
        if (!isRefusedFolder(error)) throw error;
      } finally {
        nodeFs().closeSync(fd);
      }
    });
  }

  lock(): { close(): void } {
    const file = `${this.#path}.lock`;
    const found = this.#explained(
      "look for",
      () => nodeFs().statSync(this.#path, { throwIfNoEntry: false }),
    );
    // A new journal takes the place of what is there, which may be a device of the system's.
    if (found?.isFile() === false) {
      throw new MMapInvalidParameterError(
        `Cannot open journal ${show(this.#path)}: it is no regular file; give another path`,
      );
    }
    this.#explained(
      "lock",
      () => nodeFs().closeSync(nodeFs().openSync(file, "a", this.#permissions)),
    );
    try {
      return MemoryMap.open(file, { mode: "r+", lock: "exclusive" });
    } catch (error) {
      if (!(error instanceof MMapError) || error.code !== "EWOULDBLOCK") throw error;
      const pid = this.#writer();
      throw new MMapError(
        `Cannot open journal ${show(this.#path)} for writing: ` +
          (pid === 0 ? "another writer" : `process ${pid}`) +
          ' has it open; close it there first, or read it with mode "r"',
        { code: error.code, syscall: error.syscall, cause: error },
      );
    }
  }

  watch(): Watch {
    return new HeaderWatch(this.#path);
  }

  get #folder(): string {
    return nodePath().dirname(this.#path);
  }

  /** A file that is not a segment yet. */
  get #fresh(): string {
    return `${this.#path}.new`;
  }

  /** The process that writes; 0 if that is not to be found out. */
  #writer(): number {
    try {
      using map = MemoryMap.open(this.#path, { size: HEADER_LENGTH });
      return map.asTypedArray(Uint32Array)[WRITER_OFFSET / 4]!;
    } catch (error) {
      if (error instanceof MMapError) return 0; // no journal yet
      throw error;
    }
  }

  #remove(file: string, allowed: readonly string[]): void {
    try {
      nodeFs().unlinkSync(file);
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (code === "ENOENT" || allowed.includes(code)) return;
      throw explain(`Cannot remove ${show(file)}`, error);
    }
  }

  #explained<T>(verb: string, step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw explain(`Cannot ${verb} journal ${show(this.#path)}`, error);
    }
  }
}

/** Undefined where folders cannot be opened. */
function openFolder(folder: string): number | undefined {
  try {
    return nodeFs().openSync(folder, "r");
  } catch (error) {
    if (isRefusedFolder(error)) return undefined;
    throw error;
  }
}

/** Windows refuses to open folders, or to flush them: it puts names on the storage by itself. */
function isRefusedFolder(error: unknown): boolean {
  return ["EISDIR", "EPERM", "EACCES"].includes((error as { code?: string }).code ?? "");
}
