/** The memory of a MessageQueue or a Broadcast: found or made, checked, and its owners. */
import { checkInteger, checkOptionKeys, show } from "../check.ts";
import { MMapClosedError, MMapInvalidParameterError } from "../errors.ts";
import { explainLoss, explainMissing, explainOwn } from "../explain.ts";
import { hostConstants, platform } from "../ffi/host.ts";
import type { SyncPlatform } from "../ffi/sync_platform.ts";
import { pathOf } from "../file.ts";
import { type Facts, memoryFacts } from "../inspect.ts";
import type { Mapping } from "../mapping.ts";
import { mappingOf, MemoryMap } from "../memory_map.ts";
import type { MapHandle } from "../sharing.ts";
import { KIND_OWNERS } from "../sync/layout.ts";
import {
  checkAligned,
  LockMemory,
  requireSyncPlatform,
  sharedMapping,
  wordsOf,
} from "../sync/memory.ts";
import { abandonAll, give, isMine, livesAt } from "../sync/owners.ts";
import { isOfKind, readRingHeader, WORD, writeRingHeader } from "./header.ts";
import { createFile, firstWords, placeOf } from "./place.ts";

const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_ANONYMOUS } = hostConstants;

/** The parameter of a header: whether messages go on in a mirror behind the end. */
export const PADDED = 0;
export const MIRRORED = 1;

/** Where a ring is made. */
export type NewRingPlace =
  /** A new file. One that is there gives way if it is empty, or such a ring that nobody uses any more. */
  | { path: string | URL }
  /**
   * Named shared memory that is not there yet. The name stays until `MemoryMap.unlinkNamed`, or goes
   * when its creator closes the ring or ends with `owned: true`, as that of `MemoryMap.createNamed`.
   */
  | { name: string; owned?: boolean }
  /** A map of one's own, shared and zeroed, of at least `byteLength(capacity)` bytes. */
  | { map: MemoryMap }
  /** Memory without a name, for the threads of this process: see `share()`. */
  | { anonymous: true };

/** Where a ring is. */
export type RingPlace =
  /** A file. */
  | { path: string | URL }
  /** Named shared memory. */
  | { name: string }
  /** A map of one's own. */
  | { map: MemoryMap }
  /** What `share()` has returned in another thread. */
  | { handle: MapHandle };

/** How large a ring is made. */
export interface RingOptions {
  /** Bytes for messages, 64 to 2^30; rounded up to a power of two. */
  capacity: number;
}

/** What distinguishes one kind of ring from another. */
export interface RingKind {
  /** The name of the class. */
  readonly name: string;
  readonly kind: number;
  readonly version: number;
  readonly ownersOffset: number;
  readonly ownersLength: number;
  readonly dataOffset: number;
  /** Words that somebody who writes or reads holds, by index among the owners' words. */
  readonly marks: readonly number[];
}

const MIN_CAPACITY = 64;
const MAX_CAPACITY = 2 ** 30;

/** The capacity that a ring gets. @throws {MMapInvalidParameterError} If it is not possible. */
export function capacityOf(capacity: number): number {
  checkInteger("a capacity in bytes", capacity, MIN_CAPACITY);
  if (capacity > MAX_CAPACITY) {
    throw new MMapInvalidParameterError(
      `Cannot use ${capacity} as a capacity in bytes: it must be ${MIN_CAPACITY} to ${MAX_CAPACITY}`,
    );
  }
  return 2 ** Math.ceil(Math.log2(capacity));
}

/** The memory of one ring, as one thread has it. */
export class RingMemory {
  readonly map: MemoryMap;
  readonly mapping: Mapping;
  readonly platform: SyncPlatform;
  readonly capacity: number;
  /** Whether the messages are mapped a second time behind the end. */
  readonly mirrored: boolean;
  /** Who holds which part. */
  readonly owners: LockMemory;
  readonly kind: RingKind;
  /** All words and bytes, with the mirror; no words once the ring or the map is closed, or the map moved. */
  words: Int32Array;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #isOurs: boolean;

  private constructor(
    kind: RingKind,
    map: MemoryMap,
    isOurs: boolean,
    mirrored: boolean,
    capacity: number,
  ) {
    this.kind = kind;
    this.map = map;
    this.mapping = mappingOf(map);
    this.#isOurs = isOurs;
    this.mirrored = mirrored;
    this.capacity = capacity;
    const length = kind.dataOffset + (mirrored ? 2 : 1) * capacity;
    // Public: messages and claims are views of it.
    const { buffer, start } = this.mapping.publicBuffer(0, length, 2 * WORD);
    this.words = new Int32Array(buffer, -start, length / WORD);
    this.bytes = new Uint8Array(this.words.buffer as ArrayBuffer, this.words.byteOffset, length);
    this.owners = LockMemory.at(map, kind.ownersOffset, kind.ownersLength, KIND_OWNERS, 0);
    this.owners.letGo ??= () => this.giveBack(() => abandonAll(this.owners));
    this.owners.explainLoss = (error) => this.#explainLoss("use", error);
    this.platform = this.owners.platform;
  }

  #explainLoss(verb: string, error: unknown): unknown {
    return explainLoss(`Cannot ${verb} the ${this.kind.name}${placeOf(this.map)}`, error);
  }

  /** Makes a ring. */
  static create(kind: RingKind, place: NewRingPlace, options: RingOptions): RingMemory {
    const what = `Cannot create a ${kind.name}`;
    checkOptionKeys(`${kind.name}.create`, options, ["capacity"]);
    const capacity = capacityOf(options.capacity);
    const size = kind.dataOffset + capacity;
    const { map, isOurs } = newMap(what, kind, place, size);
    try {
      const mapping = checkMap(what, map, size);
      if (!isOurs && wordsOf(mapping, 0, size).some((word) => word !== 0)) {
        throw new MMapInvalidParameterError(
          `${what}: the map holds something; give zeroed memory, or open the ring that is there`,
        );
      }
      const mirrored = isOurs && mapping.size === size && mapping.canMirror(kind.dataOffset);
      const header = { ...kind, parameter: mirrored ? MIRRORED : PADDED, capacity };
      if (mirrored) mapping.mirror(kind.dataOffset);
      const memory = new RingMemory(kind, map, isOurs, mirrored, capacity);
      writeRingHeader(memory.words, header);
      return memory;
    } catch (error) {
      if (isOurs) map.close();
      throw error;
    }
  }

  /** Opens a ring. */
  static open(kind: RingKind, place: RingPlace): RingMemory {
    const { map, isOurs, what } = existingMap(kind, place);
    try {
      const mapping = checkMap(what, map, 0);
      const words = wordsOf(mapping, 0, Math.floor(mapping.size / WORD) * WORD);
      const { capacity, parameter } = readRingHeader(what, words, kind.kind, kind.version);
      const damaged = (why: string): MMapInvalidParameterError =>
        new MMapInvalidParameterError(`${what}: ${why}; it was cut off, or is damaged`);
      if (capacity < MIN_CAPACITY || capacity > MAX_CAPACITY || capacity !== capacityOf(capacity)) {
        throw damaged(`its header says that its capacity is ${capacity}`);
      }
      const size = kind.dataOffset + capacity;
      if (mapping.size < size) {
        throw damaged(`it has ${mapping.size} bytes, and its header says that it has ${size}`);
      }
      const mirrored = parameter === MIRRORED;
      if (mirrored && mapping.size !== size + capacity) {
        if (mapping.size !== size || !isOurs || !mapping.canMirror(kind.dataOffset)) {
          throw new MMapInvalidParameterError(
            `${what}: its messages go on in a mirror behind its end, which ` +
              (isOurs ? `${mapping.platform.name} cannot map` : "this map does not have") +
              "; open it by its path or name on a system that can, or create it in a map",
          );
        }
        mapping.mirror(kind.dataOffset);
      }
      return new RingMemory(kind, map, isOurs, mirrored, capacity);
    } catch (error) {
      if (isOurs) map.close();
      throw error;
    }
  }

  /** What a console says of the ring. */
  get facts(): Facts {
    const { path, name, prot, closed } = this.mapping;
    return memoryFacts({ path, name, prot, closed: closed || this.words.length === 0 });
  }

  /** The address of a word. */
  address(index: number): number {
    return Number(this.mapping.addr) + index * WORD;
  }

  /** A handle for other threads of this process. */
  share(): MapHandle {
    return this.map.share();
  }

  /** The error of a call on a ring whose words are gone. */
  closed(verb: string): MMapClosedError {
    return new MMapClosedError(
      `Cannot ${verb} a closed ${this.kind.name}: it or its map was closed or resized; open it again`,
    );
  }

  /**
   * Throws if a page was not there when it was touched.
   *
   * @throws {MMapFaultError} If the file was truncated, or the disk is full.
   */
  checkFaults(verb: string): void {
    // Plain, which is fast everywhere: no engine moves it across the stores and atomic accesses before it.
    if (this.mapping.touched[0] === 0) return;
    try {
      this.mapping.intact(verb, 0, this.mapping.size, 0);
    } catch (error) {
      throw this.#explainLoss(verb, error);
    }
  }

  /** Does a step of closing. Where pages were lost there may be nothing left to give back: that is no error. */
  giveBack(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (this.mapping.touched[0] === 0) throw error;
    }
  }

  /** The error of a header or a message that cannot be. @throws {MMapFaultError} If its page is gone. */
  damaged(why: string): MMapInvalidParameterError {
    this.checkFaults("use");
    return new MMapInvalidParameterError(
      `Cannot use the ${this.kind.name}: ${why}; the memory is damaged, create the ring anew`,
    );
  }

  /** Gives a part back that this thread owns, unless its page is gone. @param index Among the owners' words. */
  release(index: number): void {
    this.giveBack(() => {
      if (isMine(this.owners, index)) give(this.owners, index, `Cannot close a ${this.kind.name}`);
    });
  }

  /** Closes the map if it is not the user's. */
  close(): void {
    this.words = new Int32Array(0);
    if (this.#isOurs) this.map.close();
  }
}

function newMap(
  what: string,
  kind: RingKind,
  place: NewRingPlace,
  size: number,
): { map: MemoryMap; isOurs: boolean } {
  const key = keyOf(what, place, ["path", "name", "map", "anonymous"], { name: "owned" });
  if (key === "map") return { map: (place as { map: MemoryMap }).map, isOurs: false };
  if (key === "path") {
    const { path } = place as { path: string | URL };
    const map = createFile(what, path, size, (file) => whyItStays(what, kind, file));
    return { map, isOurs: true };
  }
  if (key === "name") {
    const { name, owned = false } = place as { name: string; owned?: boolean };
    try {
      return { map: MemoryMap.createNamed(name, size, { owned }), isOurs: true };
    } catch (error) {
      throw explainOwn(`${what} in shared memory ${show(name)}`, error, {
        EEXIST:
          `the name is taken; if it is a ${kind.name}, open it with ${kind.name}.open({ name }), ` +
          "else take it away with MemoryMap.unlinkNamed()",
      });
    }
  }
  const map = platform().memfd === undefined
    ? MemoryMap.createAnonymous(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS)
    : MemoryMap.createMemfd(size, { name: kind.name });
  return { map, isOurs: true };
}

/** Why a file that is there must not be replaced by a ring; undefined if it may be. */
function whyItStays(what: string, kind: RingKind, path: string): string | undefined {
  const platform = requireSyncPlatform(what);
  const words = firstWords(path, kind.ownersOffset + kind.ownersLength);
  if (!isOfKind(words, kind.kind, kind.version)) {
    return `the file there is no ${kind.name}; give another path, or remove it`;
  }
  const owners = words.subarray(kind.ownersOffset / WORD);
  return kind.marks.some((mark) => livesAt(platform, owners, mark))
    ? `somebody uses the ${kind.name} there; open it with ${kind.name}.open(), or remove it`
    : undefined;
}

function existingMap(
  kind: RingKind,
  place: RingPlace,
): { map: MemoryMap; isOurs: boolean; what: string } {
  const key = keyOf(`Cannot open a ${kind.name}`, place, ["path", "name", "map", "handle"]);
  if (key === "map") {
    const { map } = place as { map: MemoryMap };
    return { map, isOurs: false, what: `Cannot open the map as a ${kind.name}` };
  }
  if (key === "handle") {
    const map = MemoryMap.attach((place as { handle: MapHandle }).handle);
    return { map, isOurs: true, what: `Cannot open what is shared as a ${kind.name}` };
  }
  if (key === "name") {
    const { name } = place as { name: string };
    const what = `Cannot open shared memory ${show(name)} as a ${kind.name}`;
    try {
      return { map: MemoryMap.openNamed(name), isOurs: true, what };
    } catch (error) {
      const cure = `nobody has created it; make it with ${kind.name}.create({ name }, ...)`;
      throw explainOwn(what, error, { ENOENT: cure });
    }
  }
  const { path } = place as { path: string | URL };
  const what = `Cannot open ${show(pathOf(path))} as a ${kind.name}`;
  try {
    return { map: MemoryMap.open(path, { mode: "r+" }), isOurs: true, what };
  } catch (error) {
    throw explainMissing(what, error, `make it with ${kind.name}.create()`);
  }
}

/** The one key of a place. @param further The key that may stand beside it. */
function keyOf(
  what: string,
  place: unknown,
  known: readonly string[],
  further: Readonly<Record<string, string>> = {},
): string {
  const keys = typeof place === "object" && place !== null ? Object.keys(place) : [];
  const [key = ""] = keys.filter((key) => known.includes(key));
  if (key !== "" && keys.every((other) => other === key || other === further[key])) return key;
  const such = typeof place === "string" ? ` such as { path: ${show(place)} },` : "";
  throw new MMapInvalidParameterError(
    `${what} in ${show(place)}: give an object${such} with one of ${known.join(", ")}`,
  );
}

/** The mapping of a map that can hold a ring. */
function checkMap(what: string, map: MemoryMap, size: number): Mapping {
  const mapping = sharedMapping(what, map);
  if (mapping.closed) throw new MMapClosedError(`${what} in a closed map: open it again`);
  mapping.use("write", 0, mapping.size, PROT_WRITE);
  if (mapping.size < size) {
    throw new MMapInvalidParameterError(
      `${what} in a map of ${mapping.size} bytes: this capacity needs ${size}`,
    );
  }
  if (mapping.size > 0) checkAligned(what, mapping, 0, 2 * WORD);
  return mapping;
}
