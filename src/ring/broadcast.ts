/** Broadcast: messages from one producer to all who listen, none of whom it waits for. */
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable } from "../inspect.ts";
import { lengthOf, setBytes } from "../memory_operations.ts";
import type { MapHandle } from "../sharing.ts";
import { tryRecover } from "../sync/owners.ts";
import { ring } from "./bell.ts";
import {
  ALIGNMENT,
  BELL_OFFSET,
  BYTES_OFFSET,
  DATA_OFFSET,
  EPOCH_OFFSET,
  HALF,
  INTENT_OFFSET,
  LATEST_OFFSET,
  NEXT_OFFSET,
  NUMBER_OFFSET,
  OWNERS_LENGTH,
  OWNERS_OFFSET,
  PADDING,
  PRODUCER_OFFSET,
  TAIL_OFFSET,
  TYPE_OFFSET,
  VERSION,
} from "./broadcast_layout.ts";
import { loadPosition } from "./broadcast_position.ts";
import { BroadcastReader } from "./broadcast_reader.ts";
import { KIND_BROADCAST, WORD } from "./header.ts";
import {
  bytesOf,
  checkMessage,
  type MessageData,
  type MessageOptions,
  typeOf,
} from "./messages.ts";
import {
  capacityOf,
  type NewRingPlace,
  type RingKind,
  RingMemory,
  type RingOptions,
  type RingPlace,
} from "./ring_memory.ts";

/** Among the owners' words. */
const PRODUCER = PRODUCER_OFFSET / WORD;

const kind: RingKind = {
  name: "Broadcast",
  kind: KIND_BROADCAST,
  version: VERSION,
  ownersOffset: OWNERS_OFFSET,
  ownersLength: OWNERS_LENGTH,
  dataOffset: DATA_OFFSET,
  marks: [PRODUCER],
};

const EPOCH = EPOCH_OFFSET / WORD;
const INTENT = INTENT_OFFSET / WORD;
const TAIL = TAIL_OFFSET / WORD;
const LATEST = LATEST_OFFSET / WORD;
const TYPE = TYPE_OFFSET / WORD;
const NUMBER = NUMBER_OFFSET / WORD;
const NEXT = NEXT_OFFSET / WORD;
const BELL = (OWNERS_OFFSET + BELL_OFFSET) / WORD;

/**
 * A ring of messages in shared memory from one producer to any number of readers, in any threads,
 * processes and runtimes. The producer never waits: the newest messages overwrite the oldest. Each reader goes at its
 * own pace; one that is overtaken is told how many messages it has missed, and never gets mixed bytes.
 *
 * Each thread opens the ring for itself; the first write makes it the producer, until it closes or dies. The
 * successor of a producer that died goes on after the last message that was complete.
 *
 * Linux and macOS 14.4 or later; Windows between the threads of one process.
 *
 * @example
 * ```ts
 * import { Broadcast } from "@mman/mman/ring";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/prices`;
 * using prices = Broadcast.create({ path }, { capacity: 1 << 16 });
 * using listener = Broadcast.open({ path }); // in another process, usually
 * const reader = listener.reader();
 * prices.write("1.25");
 *
 * const got: string[] = [];
 * reader.read((bytes, _type, lost) => got.push(`${new TextDecoder().decode(bytes)}, ${lost} lost`));
 * assertEquals(got, ["1.25, 0 lost"]);
 * ```
 */
export class Broadcast implements Disposable {
  static {
    inspectable(this, (ring) => ({ capacity: ring.capacity, ...ring.#memory.facts }));
  }

  /** Bytes for messages, a power of two. Each message takes 16 more than its length, rounded up to 16. */
  readonly capacity: number;
  /** The most bytes of a message. Readers have little time for long ones: see that many fit. */
  readonly maxMessageLength: number;
  readonly #memory: RingMemory;
  #isProducer = false;
  /** As the only producer knows: the tail, its epoch, and the number of the next message in two words. */
  #tail = 0;
  #epoch = 0;
  #next = 0;
  #nextUpper = 0;

  private constructor(memory: RingMemory) {
    this.#memory = memory;
    this.capacity = memory.capacity;
    this.maxMessageLength = memory.capacity - BYTES_OFFSET;
  }

  /**
   * Bytes that a map must have to hold a ring.
   *
   * @param capacity Bytes for messages.
   * @throws {MMapInvalidParameterError} If the capacity is not possible.
   */
  static byteLength(capacity: number): number {
    return DATA_OFFSET + capacityOf(capacity);
  }

  /**
   * Makes an empty ring, and opens it.
   *
   * @param place A new file, a new name, a zeroed map, or memory without a name.
   * @param options The capacity: bytes, 64 to 2^30, rounded up to a power of two; the property `capacity` is
   * what the ring got. A message takes 16 bytes more than its length, rounded up to a multiple of 16.
   * @throws {MMapInvalidParameterError} If an option is wrong, or the system cannot wait in shared memory.
   * @throws {MMapError} If the memory cannot be made; `code` says why. `EEXIST`: the name is taken
   * (open the ring, or `MemoryMap.unlinkNamed`), or there is a file
   * that is not empty and no Broadcast, or one with a living producer.
   */
  static create(place: NewRingPlace, options: RingOptions): Broadcast {
    return new Broadcast(RingMemory.create(kind, place, options));
  }

  /**
   * Opens a ring.
   *
   * @param place Its file, its name, its map, or what {@link Broadcast.share} has returned.
   * @throws {MMapInvalidParameterError} If there is no ring, or it is damaged.
   * @throws {MMapError} If the memory cannot be opened; `code` says why.
   */
  static open(place: RingPlace): Broadcast {
    const memory = RingMemory.open(kind, place);
    try {
      checkPositions(memory);
      return new Broadcast(memory);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /**
   * For other threads of this process: post it to a Worker, which opens it with
   * `Broadcast.open({ handle })`.
   *
   * @throws {MMapClosedError} If the ring is closed.
   */
  share(): MapHandle {
    if (this.#memory.words.length === 0) throw this.#memory.closed("share");
    return this.#memory.share();
  }

  /**
   * Writes a message, over the oldest ones if need be.
   *
   * @param message Up to `maxMessageLength` bytes, or text.
   * @param options Its type, as `{ type: 7 }`, or the number alone: a number for the readers, 1 to 2^31 - 1.
   * Default 1.
   * @throws {MMapInvalidParameterError} If the message is longer than the ring allows, the type is wrong, or
   * another producer lives.
   * @throws {MMapClosedError} If the ring is closed.
   * @throws {MMapFaultError} If the file was truncated.
   */
  write(message: MessageData, options: number | MessageOptions = 1): void {
    const type = typeOf("write", options);
    if (this.#memory.words.length === 0) throw this.#memory.closed("write to");
    const bytes = bytesOf(message);
    const length = lengthOf(bytes);
    checkMessage(length, type, this.maxMessageLength, this.capacity);
    if (!this.#isProducer) this.#becomeProducer();
    const size = length + BYTES_OFFSET + ALIGNMENT - 1 & -ALIGNMENT;
    const left = this.capacity - (this.#tail & this.capacity - 1);
    if (size > left && !this.#memory.mirrored) this.#put(left, left, PADDING);
    this.#put(size, length + BYTES_OFFSET, type, bytes);
    if (Atomics.load(this.#memory.words, BELL) !== 0) ring(this.#memory, BELL);
    this.#memory.checkFaults("write to");
  }

  /**
   * A reader of the messages that are written from now on.
   *
   * @throws {MMapClosedError} If the ring is closed.
   */
  reader(): BroadcastReader {
    if (this.#memory.words.length === 0) throw this.#memory.closed("read from");
    return new BroadcastReader(this.#memory);
  }

  /** Ends its readers, lets another one write, and closes the memory. Idempotent. */
  close(): void {
    if (this.#memory.words.length > 0 && this.#isProducer) this.#memory.release(PRODUCER);
    this.#memory.close();
  }

  /** Closes the ring. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Writes one message or padding at the tail, and moves the tail. */
  #put(size: number, length: number, type: number, bytes?: Uint8Array): void {
    const { words, bytes: ring } = this.#memory;
    const tail = this.#tail;
    const end = tail + size | 0;
    const passed = (end ^ tail) < 0; // a multiple of 2^31
    if (passed) this.#epoch = this.#epoch + 1 | 0;
    const place = DATA_OFFSET + (tail & this.capacity - 1);
    const at = place >> 2;
    if (passed) Atomics.store(words, INTENT + EPOCH, this.#epoch);
    Atomics.store(words, INTENT, end);
    Atomics.load(words, INTENT); // keeps what is written behind the intent
    words[at] = length;
    words[at + TYPE] = type;
    words[at + NUMBER] = this.#next;
    words[at + NUMBER + 1] = this.#nextUpper;
    if (bytes !== undefined) {
      setBytes(ring, bytes, place + BYTES_OFFSET);
      this.#next = this.#next + 1 | 0;
      if (this.#next === 0) this.#nextUpper++;
    }
    words[LATEST] = tail;
    words[NEXT] = this.#next;
    words[NEXT + 1] = this.#nextUpper;
    if (passed) Atomics.store(words, TAIL + EPOCH, this.#epoch);
    Atomics.store(words, TAIL, end);
    this.#tail = end;
  }

  /** Makes sure that there is one producer, and goes on where the last one stopped. */
  #becomeProducer(): void {
    const memory = this.#memory;
    if (tryRecover(memory.owners, PRODUCER, true) === undefined) {
      throw new MMapInvalidParameterError(
        "Cannot write to a Broadcast: it has a producer, which lives; close that one first",
      );
    }
    const { words } = memory;
    const tail = loadPosition(words, TAIL);
    this.#tail = tail | 0;
    this.#epoch = Math.floor(tail / HALF) | 0;
    this.#next = words[NEXT]!;
    this.#nextUpper = words[NEXT + 1]!;
    // What a dead producer has begun may be half over older messages: nobody may read those any more.
    const begun = loadPosition(words, INTENT) - tail;
    if (begun > 0) this.#put(begun, begun, PADDING);
    this.#isProducer = true;
  }
}

/** Throws unless the positions of a ring can be true. */
function checkPositions(memory: RingMemory): void {
  const { words, capacity } = memory;
  for (let last = "";;) {
    const tail = loadPosition(words, TAIL);
    const intent = loadPosition(words, INTENT);
    const latest = Atomics.load(words, LATEST) >>> 0;
    const behind = tail - latest >>> 0;
    const good = intent >= tail && intent - tail <= capacity && behind <= capacity &&
      [tail, intent, latest].every((position) => position % ALIGNMENT === 0) &&
      (behind > 0 || tail === 0 || intent > tail);
    if (good) return;
    const now = `intent ${intent}, tail ${tail} and latest ${latest}`;
    // The producer moves them between two loads: only what stays is a lie.
    if (now === last) throw memory.damaged(`its header has ${now}, and a capacity of ${capacity}`);
    last = now;
  }
}
