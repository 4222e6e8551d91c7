/**
 * A mapping that several threads of one process hold. They share a record, in a SharedArrayBuffer that
 * travels with the handle: where the mapping lies, and who holds it. The last holder ends it; a thread
 * that died holding it is found out by its number and counts no more.
 */
import { show } from "./check.ts";
import { MMapClosedError, MMapError, MMapInvalidParameterError } from "./errors.ts";
import { explain } from "./explain.ts";
import { type FaultPlace, Faults } from "./faults.ts";
import type { Platform } from "./ffi/platform.ts";
import { addressOfMemory } from "./shared_pages.ts";

/**
 * The record of a shared mapping.
 *
 *   0              4              8              12             16
 *   +--------------+--------------+--------------+--------------+
 *   | Magic        | Version      | Holders      | Blank        |
 *   +--------------+--------------+--------------+--------------+
 *   | Protection   | Flags        | Descriptor f64              |
 *   +--------------+--------------+-----------------------------+
 *   | Base f64                    | Length f64                  |
 *   +-----------------------------+-----------------------------+
 *   | Size f64                    | Offset f64                  |
 *   +-----------------------------+-----------------------------+
 *   | Truncate on close f64       | Unit f64                    |
 *   +-----------------------------+-----------------------------+
 *   | Guard's table f64           | Guard's slot f64            |
 *   +--------------+--------------+-----------------------------+
 *   | In a memory  | Thread of each holder, 4 bytes           ...
 */
const MAGIC_OFFSET = 0;
const VERSION_OFFSET = MAGIC_OFFSET + 4;
/** How many hold it; {@link MOVING} while the only one changes it, 0 when it has ended. */
const HOLDERS_OFFSET = VERSION_OFFSET + 4;
/** 1 if a view may live on that nobody can empty: then the addresses stay taken at the end. */
const BLANK_OFFSET = HOLDERS_OFFSET + 4;
/** {@link MIXED} while its parts differ. */
const PROT_OFFSET = BLANK_OFFSET + 4;
const FLAGS_OFFSET = PROT_OFFSET + 4;
/** A descriptor of the file that belongs to all of them, or -1; on Windows larger than a word. */
const FD_OFFSET = FLAGS_OFFSET + 4;
const BASE_OFFSET = FD_OFFSET + 8;
const LENGTH_OFFSET = BASE_OFFSET + 8;
const SIZE_OFFSET = LENGTH_OFFSET + 8;
const FILE_OFFSET_OFFSET = SIZE_OFFSET + 8;
/** The size that the file gets when the last one closes, or -1. */
const TRUNCATE_OFFSET = FILE_OFFSET_OFFSET + 8;
/** Bytes of a page where that is not the system's, or 0. */
const UNIT_OFFSET = TRUNCATE_OFFSET + 8;
/** Where the faults are counted: the slot is -1 if nowhere. */
const GUARD_OFFSET = UNIT_OFFSET + 8;
const SLOT_OFFSET = GUARD_OFFSET + 8;
/** 1 if the pages are those of a `WebAssembly.Memory`. */
const IN_MEMORY_OFFSET = SLOT_OFFSET + 8;
/** One word for each holder: its thread, 0 if the word is free. */
const THREADS_OFFSET = IN_MEMORY_OFFSET + 4;
/** Holders beyond so many are counted only. */
const THREADS = 500;
const RECORD_LENGTH = THREADS_OFFSET + THREADS * 4;

const MAGIC = 0x6e616d6d; // "mman"
const VERSION = 2;
const MOVING = -1;
const MIXED = -1;
/** The thread of a holder where the system cannot tell whether a thread lives. */
const UNKNOWN_THREAD = -1;
/** How long one wait for a mapping that is moving takes, until we look who moves it. */
const MOVING_POLL_MS = 10;

/**
 * A mapping for other threads of the same process: {@link MemoryMap.share} makes it, `postMessage`
 * carries it, {@link MemoryMap.attach} takes it. What is in it is not for use.
 */
export interface MapHandle {
  /** What it is. */
  readonly kind: "mman map";
  /** Where the mapping lies and who holds it, for all threads. */
  readonly record: SharedArrayBuffer;
  /** Its path. */
  readonly path: string | undefined;
  /** Its name. */
  readonly name: string | undefined;
  /** The memory whose pages it lies over, with `sharedBuffer`. */
  readonly memory: WebAssembly.Memory | undefined;
}

/** What does not change while a mapping is shared. */
export interface SharedFacts {
  readonly flags: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** A descriptor that belongs to all holders from now on, or -1. */
  readonly fd: number;
  /** The size that the file gets at the end. */
  readonly truncateOnClose: number | undefined;
  /** Bytes of a page where that is not the system's. */
  readonly unit: number | undefined;
  /** Whether the pages are those of a `WebAssembly.Memory`. */
  readonly inMemory: boolean;
}

/** What a holder may change when it is the only one. */
export interface SharedPlace {
  /** Page-aligned start and length of what is mapped. */
  readonly base: bigint;
  readonly length: number;
  /** Bytes of the map. */
  readonly size: number;
  /** The protection of all of it; undefined if its parts differ. */
  readonly prot: number | undefined;
  /** Where its faults are counted. */
  readonly faults: FaultPlace;
}

/** How pages end: unmapped, or turned into zeros because a view of them may live on. */
export type Ending = "unmap" | "blank";

/**
 * Ends pages. Whoever has a view still may touch them until they are zeros, which cannot fault; whoever
 * gets the addresses after `unmap` must not be guarded by us.
 */
export function endPages(
  platform: Platform,
  { base, length, faults }: Pick<SharedPlace, "base" | "length" | "faults">,
  ending: Ending,
): void {
  if (length === 0) return;
  if (ending === "blank") platform.blank(base, length);
  Faults.end(platform, faults);
  if (ending === "unmap") platform.unmap(base, length);
}

/**
 * Gives the file of a map that has ended the size that was asked for.
 *
 * @throws {MMapAllocationError} If the system refuses it.
 */
export function truncateAtEnd(platform: Platform, fd: number, size: number): void {
  try {
    platform.truncate(fd, size);
  } catch (error) {
    throw explain(`Cannot truncate the file of a closed map to ${size} bytes`, error);
  }
}

/** Ends a map that nobody is there to close: if its file cannot be truncated, nobody is there to be told. */
export function endUntold(end: () => void): void {
  try {
    end();
  } catch (error) {
    if (!(error instanceof MMapError)) throw error;
  }
}

/** What this thread has left to others, by the address of its record. */
const leftToOthers = new Map<bigint, {
  readonly sharing: Sharing;
  /** Keeps the addresses valid. */
  readonly memory: WebAssembly.Memory | undefined;
}>();

/** How many of them are looked at in one go, so that closing costs the same however many there are. */
const LOOKS = 8;

/** Ends mappings whose last holders have died since this thread has left them. */
function endOrphans(): void {
  for (const [address, left] of [...leftToOthers.entries().take(LOOKS)]) {
    leftToOthers.delete(address);
    if (!left.sharing.endIfOrphaned()) leftToOthers.set(address, left); // behind the others
  }
}

/** One holder's part in a mapping that is shared. */
export class Sharing {
  readonly #platform: Platform;
  readonly #record: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #numbers: Float64Array<SharedArrayBuffer>;
  /** Our own word among those of the threads, or -1. */
  #place = -1;

  private constructor(platform: Platform, record: SharedArrayBuffer) {
    this.#platform = platform;
    this.#record = record;
    this.#words = new Int32Array(record);
    this.#numbers = new Float64Array(record, 0, Math.floor(RECORD_LENGTH / 8));
  }

  /** Begins to share a mapping; the caller is the only holder. */
  static begin(platform: Platform, facts: SharedFacts, place: SharedPlace): Sharing {
    endOrphans();
    const sharing = new Sharing(platform, new SharedArrayBuffer(RECORD_LENGTH));
    const words = sharing.#words;
    words[MAGIC_OFFSET / 4] = MAGIC;
    words[VERSION_OFFSET / 4] = VERSION;
    words[FLAGS_OFFSET / 4] = facts.flags;
    sharing.#numbers[FD_OFFSET / 8] = facts.fd;
    sharing.#numbers[FILE_OFFSET_OFFSET / 8] = facts.offset;
    sharing.#numbers[TRUNCATE_OFFSET / 8] = facts.truncateOnClose ?? -1;
    sharing.#numbers[UNIT_OFFSET / 8] = facts.unit ?? 0;
    words[IN_MEMORY_OFFSET / 4] = facts.inMemory ? 1 : 0;
    sharing.place = place;
    words[HOLDERS_OFFSET / 4] = 1;
    sharing.#enter();
    return sharing;
  }

  /**
   * Takes part in the mapping of a handle.
   *
   * @throws {MMapInvalidParameterError} If it is not a handle, or its mapping cannot be shared now.
   * @throws {MMapClosedError} If all who held the mapping have closed it.
   */
  static join(platform: Platform, handle: MapHandle): Sharing {
    const what = "Cannot attach to a map";
    endOrphans();
    if (handle?.kind !== "mman map") {
      throw new MMapInvalidParameterError(
        `${what} with ${show(handle)}: give what share() returned`,
      );
    }
    const { record, memory } = handle;
    const foreign = () =>
      new MMapInvalidParameterError(
        `${what} of another process, or with a handle that was changed: postMessage carries a handle ` +
          "to other threads; between processes, open the file, or use createNamed() and openNamed()",
      );
    if (!isRecord(record) || !isText(handle.path) || !isText(handle.name)) throw foreign();
    const sharing = new Sharing(platform, record);
    sharing.#count(what);
    if (!sharing.#liesIn(memory)) {
      sharing.leave("unmap", undefined);
      throw foreign();
    }
    const { prot, faults } = sharing.place;
    const sameGuard = Faults.canShare(platform, faults);
    if (prot !== undefined && sameGuard) return sharing;
    sharing.leave("unmap", memory);
    if (!sameGuard) {
      throw new MMapInvalidParameterError(
        `${what} of another copy of this library, which guards it in another way: let both threads ` +
          "import the same version",
      );
    }
    throw new MMapInvalidParameterError(
      `${what}: its parts differ in protection, or were unmapped by unmapRange(); share a map that ` +
        "is of one piece",
    );
  }

  /** Where the mapping lies. */
  get place(): SharedPlace {
    const prot = this.#words[PROT_OFFSET / 4]!;
    return {
      base: BigInt(this.#numbers[BASE_OFFSET / 8]!),
      length: this.#numbers[LENGTH_OFFSET / 8]!,
      size: this.#numbers[SIZE_OFFSET / 8]!,
      prot: prot === MIXED ? undefined : prot,
      faults: {
        guard: this.#numbers[GUARD_OFFSET / 8]!,
        slot: this.#numbers[SLOT_OFFSET / 8]!,
      },
    };
  }

  /** Only the holder that is alone may set it. */
  set place({ base, length, size, prot, faults }: SharedPlace) {
    this.#numbers[GUARD_OFFSET / 8] = faults.guard;
    this.#numbers[SLOT_OFFSET / 8] = faults.slot;
    this.#numbers[BASE_OFFSET / 8] = Number(base); // addresses are below 2^53
    this.#numbers[LENGTH_OFFSET / 8] = length;
    this.#numbers[SIZE_OFFSET / 8] = size;
    this.#words[PROT_OFFSET / 4] = prot ?? MIXED;
  }

  /** What does not change. */
  get facts(): SharedFacts {
    const truncate = this.#numbers[TRUNCATE_OFFSET / 8]!;
    const unit = this.#numbers[UNIT_OFFSET / 8]!;
    return {
      flags: this.#words[FLAGS_OFFSET / 4]!,
      offset: this.#numbers[FILE_OFFSET_OFFSET / 8]!,
      fd: this.#numbers[FD_OFFSET / 8]!,
      truncateOnClose: truncate === -1 ? undefined : truncate,
      unit: unit === 0 ? undefined : unit,
      inMemory: this.#words[IN_MEMORY_OFFSET / 4] === 1,
    };
  }

  /** Where the record itself lies: threads see it as different objects. */
  get #address(): bigint {
    return this.#platform.runtime.addressOf(this.#words);
  }

  /** A handle for other threads. */
  handle(
    path: string | undefined,
    name: string | undefined,
    memory: WebAssembly.Memory | undefined,
  ): MapHandle {
    return { kind: "mman map", record: this.#record, path, name, memory };
  }

  /** Keeps others from coming, if there are none; returns whether that was possible. */
  claim(): boolean {
    this.#forgetDead();
    return Atomics.compareExchange(this.#words, HOLDERS_OFFSET / 4, 1, MOVING) === 1;
  }

  /** Whether a dead holder may have left a view that nobody can empty: from now on the caller's care. */
  takeBlank(): boolean {
    return Atomics.exchange(this.#words, BLANK_OFFSET / 4, 0) === 1;
  }

  /**
   * Ends {@link claim}.
   *
   * @param place Where the mapping lies now; undefined if it has ended.
   */
  release(place: SharedPlace | undefined): void {
    const { fd } = this.facts;
    if (place !== undefined) this.place = place;
    Atomics.store(this.#words, HOLDERS_OFFSET / 4, place === undefined ? 0 : 1);
    Atomics.notify(this.#words, HOLDERS_OFFSET / 4);
    if (place === undefined && fd !== -1) this.#platform.closeDuplicate(fd);
  }

  /**
   * Holds the mapping no longer; the last one ends it.
   *
   * @param ending How, if nothing else is known.
   * @param memory The memory whose pages they are: its addresses are good as long as it lives.
   */
  leave(ending: Ending, memory: WebAssembly.Memory | undefined): void {
    const words = this.#words;
    if (ending === "blank") Atomics.store(words, BLANK_OFFSET / 4, 1);
    if (this.#place !== -1) Atomics.store(words, this.#place, 0);
    if (Atomics.sub(words, HOLDERS_OFFSET / 4, 1) === 1) this.#end(ending);
    else leftToOthers.set(this.#address, { sharing: this, memory });
    endOrphans();
  }

  /** Ends the mapping if all who hold it are dead; returns whether it has ended. */
  endIfOrphaned(): boolean {
    if (this.#forgetDead()) endUntold(() => this.#end("blank"));
    return Atomics.load(this.#words, HOLDERS_OFFSET / 4) === 0;
  }

  #end(ending: Ending): void {
    const { place } = this;
    const { fd, truncateOnClose, inMemory } = this.facts;
    try {
      // A memory is the engine's to unmap, as a whole.
      const kept = inMemory || (ending === "unmap" && this.takeBlank());
      endPages(this.#platform, place, kept ? "blank" : ending);
      if (fd !== -1 && truncateOnClose !== undefined) {
        truncateAtEnd(this.#platform, fd, truncateOnClose);
      }
    } finally {
      if (fd !== -1) this.#platform.closeDuplicate(fd);
    }
  }

  /** Whether the mapping lies over a memory, or over none. */
  #liesIn(memory: unknown): boolean {
    if (!this.facts.inMemory) return memory === undefined;
    if (!(memory instanceof WebAssembly.Memory)) return false;
    return addressOfMemory(this.#platform.runtime, memory) === this.place.base;
  }

  /** Counts this thread among the holders. */
  #count(what: string): void {
    const words = this.#words;
    for (;;) {
      const holders = Atomics.load(words, HOLDERS_OFFSET / 4);
      if (holders === 0) {
        throw new MMapClosedError(`${what}: all who held it have closed it; share it again`);
      }
      if (holders === MOVING) {
        Atomics.wait(words, HOLDERS_OFFSET / 4, MOVING, MOVING_POLL_MS);
        this.endIfOrphaned();
      } else if (
        Atomics.compareExchange(words, HOLDERS_OFFSET / 4, holders, holders + 1) === holders
      ) {
        return this.#enter();
      }
    }
  }

  /** Writes this thread among those of the holders. */
  #enter(): void {
    const thread = this.#platform.threadId?.() ?? UNKNOWN_THREAD;
    const first = THREADS_OFFSET / 4;
    for (let i = first; i < first + THREADS; i++) {
      if (Atomics.compareExchange(this.#words, i, 0, thread) !== 0) continue;
      this.#place = i;
      return;
    }
  }

  /**
   * Takes dead threads out. Whoever wins a dead one's word, counts it out: once.
   *
   * @returns Whether nobody is left, and it is the caller's to end the mapping.
   */
  #forgetDead(): boolean {
    const { threadId, isThreadAlive } = this.#platform;
    if (threadId === undefined || isThreadAlive === undefined) return false;
    const words = this.#words;
    const first = THREADS_OFFSET / 4;
    for (let i = first; i < first + THREADS; i++) {
      const thread = Atomics.load(words, i);
      if (thread === 0 || thread === UNKNOWN_THREAD || isThreadAlive(thread)) continue;
      if (Atomics.compareExchange(words, i, thread, 0) !== thread) continue;
      // It may have transferred a view of the pages to a thread that lives.
      Atomics.store(words, BLANK_OFFSET / 4, 1);
      // One that died while it moved the mapping leaves nothing that could be known.
      if (Atomics.compareExchange(words, HOLDERS_OFFSET / 4, MOVING, 0) === MOVING) return false;
      if (Atomics.sub(words, HOLDERS_OFFSET / 4, 1) === 1) return true;
    }
    return false;
  }
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isRecord(record: unknown): record is SharedArrayBuffer {
  if (!(record instanceof SharedArrayBuffer) || record.byteLength !== RECORD_LENGTH) return false;
  const words = new Int32Array(record);
  return words[MAGIC_OFFSET / 4] === MAGIC && words[VERSION_OFFSET / 4] === VERSION;
}
