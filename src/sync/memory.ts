/**
 * The memory of one lock: found in a map, checked, named by its header, watched for the map's end.
 */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { syncPlatform } from "../ffi/host_sync.ts";
import { mechanismNames, type SyncPlatform } from "../ffi/sync_platform.ts";
import { hostConstants } from "../ffi/host.ts";
import { host } from "../ffi/runtime.ts";
import { type Facts, memoryFacts } from "../inspect.ts";
import type { Mapping } from "../mapping.ts";
import { mappingOf, MemoryMap } from "../memory_map.ts";
import {
  BOOT_OFFSET,
  kindNames,
  readTag,
  TAG_OFFSET,
  tagOf,
  TURN_OFFSET,
  VERSION,
  WORD,
} from "./layout.ts";
import { MAX_SPINS, type Spinning } from "./spin.ts";

const { PROT_READ, PROT_WRITE } = hostConstants;

const VERB = "use a lock in";
const NO_WORDS = new Int32Array(0);
const TAG = TAG_OFFSET / WORD;
const BOOT_PAIR = BOOT_OFFSET / (2 * WORD);
const TAG_PAIR = TAG_OFFSET / (2 * WORD);
/** The word that counts releases, by index. */
export const TURN: number = TURN_OFFSET / WORD;

/** The running system's way to wait. @throws {MMapInvalidParameterError} If there is none. */
export function requireSyncPlatform(what: string): SyncPlatform {
  const platform = syncPlatform();
  if (platform !== undefined) return platform;
  const { platform: system, arch } = host();
  throw new MMapInvalidParameterError(
    `${what}: waiting in shared memory is not supported on ${system} ${arch}; use Linux on x64 or ` +
      "arm64, or macOS 14.4 or later",
    { code: "ENOTSUP" },
  );
}

/**
 * The mapping behind a map that other threads and processes can have, too.
 *
 * @throws {MMapInvalidParameterError} If it is no map, or its memory is private.
 */
export function sharedMapping(what: string, map: MemoryMap): Mapping {
  if (!(map instanceof MemoryMap)) {
    throw new MMapInvalidParameterError(`${what} in ${show(map)}: give a MemoryMap`);
  }
  const mapping = mappingOf(map);
  if (mapping.shared || mapping.closed) return mapping;
  throw new MMapInvalidParameterError(
    `${what} in private memory: nobody else sees it; use MAP_SHARED, createNamed(), createMemfd() ` +
      'or a file with mode "r+"',
  );
}

/** The words at a checked place of a map, at a multiple of `unit` bytes in their buffer. */
export function wordsOf(
  mapping: Mapping,
  byteOffset: number,
  length: number,
  unit: number = WORD,
): Int32Array {
  const { buffer, start } = mapping.covering(byteOffset, length, unit);
  return new Int32Array(buffer, byteOffset - start, length / WORD);
}

/** Throws unless a place in a map is aligned in memory. */
export function checkAligned(what: string, mapping: Mapping, at: number, unit: number): void {
  if ((mapping.addr + BigInt(at)) % BigInt(unit) === 0n) return;
  throw new MMapInvalidParameterError(
    `${what} at offset ${at}: ${mapping.offset + at} is not a multiple of ${unit} bytes; use ` +
      "another offset",
  );
}

/** What this thread uses, by where it is: the objects over one lock share what they know of it. */
const known = new WeakMap<Mapping, Map<number, LockMemory>>();

/** The memory of one lock. Places in it are given as indices of 32-bit words. */
export class LockMemory {
  readonly platform: SyncPlatform;
  readonly mapping: Mapping;
  /** The request, for messages. */
  readonly #what: string;
  readonly #byteOffset: number;
  readonly #length: number;
  /** All words; empty when the map was closed, or moved and not looked up again yet. */
  words: Int32Array = NO_WORDS;

  /** How often this thread holds the owner at a word, as far as it knows. */
  readonly held: Uint32Array;
  /** How patient a spin here is. */
  readonly spinning: Spinning = { tries: MAX_SPINS };
  /** What is thrown for a loss, where the lock is part of something larger. */
  explainLoss: (error: unknown) => unknown = (error) => error;
  /** Called when the map is about to close. */
  letGo: (() => void) | undefined;

  /**
   * Finds the lock at a place of a map, or makes it there if the memory is zeroed.
   *
   * @param kind One of the `KIND_*` numbers.
   * @param parameter What all users of the lock must agree on; 0 for kinds without.
   */
  static at(
    map: MemoryMap,
    byteOffset: number,
    length: number,
    kind: number,
    parameter: number,
  ): LockMemory {
    const name = kindNames[kind]!;
    const what = `Cannot put ${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
    const mapping = sharedMapping(what, map);
    const verb = what.slice("Cannot ".length) + " in";
    mapping.use(verb, byteOffset, length, PROT_READ);
    mapping.use(verb, byteOffset, length, PROT_WRITE);
    checkAligned(what, mapping, byteOffset, 2 * WORD);
    let memories = known.get(mapping);
    if (memories === undefined) known.set(mapping, memories = new Map());
    let memory = memories.get(byteOffset);
    if (memory === undefined || memory.#length !== length) {
      memory = new LockMemory(what, mapping, byteOffset, length);
      memories.set(byteOffset, memory);
    }
    memory.#settle(kind, parameter);
    memory.intact();
    return memory;
  }

  private constructor(what: string, mapping: Mapping, byteOffset: number, length: number) {
    this.#what = what;
    this.#byteOffset = byteOffset;
    this.#length = length;
    this.mapping = mapping;
    this.platform = requireSyncPlatform(what);
    this.held = new Uint32Array(length / WORD);
    mapping.closing.add(() => {
      this.letGo?.();
      this.words = NO_WORDS;
    });
  }

  /** What a console says of the lock. */
  get facts(): Facts {
    return { byteOffset: this.#byteOffset, ...memoryFacts(this.mapping) };
  }

  /**
   * The words, looked up again: a map that was resized has moved.
   *
   * @throws {MMapClosedError} If the map is closed.
   */
  reopen(): Int32Array {
    this.mapping.use(VERB, this.#byteOffset, this.#length, PROT_WRITE);
    return this.words = wordsOf(this.mapping, this.#byteOffset, this.#length, 2 * WORD);
  }

  /** The words, wherever they are now. */
  current(): Int32Array {
    return this.words.length === 0 ? this.reopen() : this.words;
  }

  /**
   * Asked after the words were touched, and before anybody is told what they said: zeros in the place of a
   * lost page look like a free lock.
   *
   * @throws {MMapFaultError} If a page of the lock was lost.
   */
  intact(): void {
    // Plain, which is fast everywhere: no engine moves it across the atomic access before it.
    if (this.mapping.touched[0] === 0) return;
    try {
      this.mapping.intact(VERB, this.#byteOffset, this.#length, PROT_WRITE);
    } catch (error) {
      throw this.explainLoss(error);
    }
  }

  /** What is in a word. @throws {MMapFaultError} If a page of the lock was lost. */
  load(index: number): number {
    const value = Atomics.load(this.current(), index);
    this.intact();
    return value;
  }

  /** The address of a word. */
  address(index: number): number {
    return Number(this.mapping.addr) + this.#byteOffset + index * WORD;
  }

  /** All words, two at once: the first in the lower half. */
  pairs(): BigInt64Array {
    const { buffer, byteOffset, length } = this.current();
    return new BigInt64Array(buffer, byteOffset, length / 2);
  }

  /** Lets those go on who wait for a release, if there are any. */
  turn(): void {
    const words = this.current();
    const turn = Atomics.load(words, TURN);
    if ((turn & 1) === 0) return;
    if (Atomics.compareExchange(words, TURN, turn, turn + 1 | 0) === turn) {
      this.platform.wake(this.address(TURN), Infinity);
    }
  }

  /** Writes the header, or checks the one that is there. */
  #settle(kind: number, parameter: number): void {
    const words = this.current();
    const pairs = this.pairs();
    const { mechanism, self } = this.platform;
    const place = pairOf(self.boot, self.namespace);
    const header = pairOf(tagOf(kind, mechanism), parameter);
    if (Atomics.load(words, TAG) === 0) {
      // Not ours to name if there is something; unless somebody has named it meanwhile.
      const used = words.some((word, i) => word !== 0 && i * WORD >= TURN_OFFSET);
      if (used && Atomics.load(words, TAG) === 0) throw this.#notALock();
      Atomics.compareExchange(pairs, BOOT_PAIR, 0n, place);
      Atomics.compareExchange(pairs, TAG_PAIR, 0n, header);
    }
    this.#checkHeader(Atomics.load(pairs, TAG_PAIR), header);
    this.#checkPlace(pairs, place);
  }

  #checkHeader(found: bigint, expected: bigint): void {
    if (found === expected) return;
    const [tag, parameter] = [Number(found & 0xffffffffn), Number(found >> 32n)];
    const wanted = readTag(Number(expected & 0xffffffffn))!;
    const seen = readTag(tag);
    if (seen === undefined || kindNames[seen.kind] === undefined) throw this.#notALock();
    const here = `${this.#what} at offset ${this.#byteOffset}`;
    if (seen.version !== wanted.version) {
      throw new MMapInvalidParameterError(
        `${here}: the lock there has version ${seen.version}, this library ${VERSION}; use the ` +
          "same version on both sides",
      );
    }
    if (seen.kind !== wanted.kind) {
      throw new MMapInvalidParameterError(
        `${here}: there is a ${kindNames[seen.kind]}; use another offset`,
      );
    }
    if (seen.mechanism !== wanted.mechanism) {
      throw new MMapInvalidParameterError(
        `${here}: the lock there waits by ${mechanismNames[seen.mechanism] ?? "other means"}, ` +
          `this process by ${mechanismNames[wanted.mechanism]}; they cannot meet`,
      );
    }
    throw new MMapInvalidParameterError(
      `${here}: the one there was made for ${parameter}, not ${
        Number(expected >> 32n)
      }; give the ` +
        "same number on all sides",
    );
  }

  /** Threads are known by numbers that hold for one start of the machine and one namespace. */
  #checkPlace(pairs: BigInt64Array, place: bigint): void {
    const found = Atomics.load(pairs, BOOT_PAIR);
    if (found === place) return;
    const bootOf = (pair: bigint) => pair & 0xffffffffn;
    if (bootOf(found) !== bootOf(place)) {
      // Whoever it knows of did not survive the machine's end: they will be found dead.
      Atomics.compareExchange(pairs, BOOT_PAIR, found, place);
      return;
    }
    throw new MMapInvalidParameterError(
      `${this.#what} at offset ${this.#byteOffset}: the lock there belongs to another PID ` +
        "namespace (container), where threads have other numbers; use one namespace, or zero the " +
        "memory if nobody uses it any more",
    );
  }

  #notALock(): MMapInvalidParameterError {
    return new MMapInvalidParameterError(
      `${this.#what} at offset ${this.#byteOffset}: the ${this.#length} bytes there hold something ` +
        "else; give zeroed memory, or the offset of a lock",
    );
  }
}

/** Two words as one: the first in the lower half. */
export function pairOf(low: number, high: number): bigint {
  return BigInt.asIntN(64, BigInt(high) << 32n | BigInt(low >>> 0));
}
