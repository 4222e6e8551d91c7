/** MessageQueue: messages of any length from many producers to one consumer. */
import { checkInteger, checkOptionKeys } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { inspectable } from "../inspect.ts";
import type { MapHandle } from "../sharing.ts";
import { lengthOf } from "../memory_operations.ts";
import { deadlineOf, run, runAsync } from "../sync/waiting.ts";
import { listen } from "./bell.ts";
import { CONSUMER, Consumer, type MessageHandler } from "./consumer.ts";
import { KIND_QUEUE, WORD } from "./header.ts";
import {
  bytesOf,
  checkHandler,
  checkMessage,
  type MessageData,
  type MessageOptions,
  typeOf,
  untilClosed,
} from "./messages.ts";
import { ownerOf, Producer, ROOM_BELL } from "./producer.ts";
import {
  ALIGNMENT,
  BYTES_OFFSET,
  DATA_OFFSET,
  HEAD_OFFSET,
  MAX_PRODUCERS,
  OWNERS_LENGTH,
  OWNERS_OFFSET,
  TAIL_OFFSET,
  TAKEN_OFFSET,
  VERSION,
} from "./queue_layout.ts";
import {
  capacityOf,
  type NewRingPlace,
  type RingKind,
  RingMemory,
  type RingOptions,
  type RingPlace,
} from "./ring_memory.ts";

const kind: RingKind = {
  name: "MessageQueue",
  kind: KIND_QUEUE,
  version: VERSION,
  ownersOffset: OWNERS_OFFSET,
  ownersLength: OWNERS_LENGTH,
  dataOffset: DATA_OFFSET,
  marks: [CONSUMER, ...Array.from({ length: MAX_PRODUCERS }, (_, slot) => ownerOf(slot))],
};

/** How often the positions are read until they are of one moment. */
const MAX_LOOKS = 1000;

/** A message, copied out of the ring. */
export interface Message {
  /** The number that it was written with. */
  readonly type: number;
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Options of {@link MessageQueue.write}. */
export interface WriteOptions extends MessageOptions {
  /** Milliseconds to wait for room. Default: without end. */
  timeoutMs?: number;
}

/**
 * Room in the ring that is filled in place. Nobody reads on past it until it is committed or aborted:
 * do that soon. It is aborted at the end of its block if declared with `using`.
 */
export interface Claim extends Disposable {
  /** The bytes to be filled, of any content now. Not to be touched after the end of the claim. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Hands the message over. */
  commit(): void;
  /** Gives the room up. Does nothing after `commit()`. */
  abort(): void;
}

/**
 * A queue of messages in shared memory, between threads, processes and runtimes: any number of producers
 * (up to 256 at a time), one consumer. Messages arrive in the order in which they were claimed, each at most once.
 *
 * Producers and consumers may die at any moment. What a dead producer had not completed is skipped
 * within milliseconds; a slow one is waited for, and so is whoever follows it. A dead consumer's
 * successor goes on after the last message that was handed out.
 *
 * Each thread opens the queue for itself; the first write makes it a producer, the first read the
 * consumer, until it closes. Nobody calls the operating system while nobody waits.
 *
 * Not promised: that messages survive the machine's end; that is what a journal is for.
 *
 * Linux and macOS 14.4 or later; Windows between the threads of one process.
 *
 * @example
 * ```ts
 * import { MessageQueue } from "@mman/mman/ring";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/queue`;
 * using queue = MessageQueue.create({ path }, { capacity: 1 << 16 });
 * using producer = MessageQueue.open({ path }); // in another process, usually
 * producer.tryWrite("hello");
 * producer.tryWrite(new Uint8Array([1, 2, 3]), { type: 7 });
 *
 * const got: string[] = [];
 * queue.read((bytes, type) => got.push(`${type}: ${bytes.length} bytes`));
 * assertEquals(got, ["1: 5 bytes", "7: 3 bytes"]);
 * ```
 */
export class MessageQueue implements Disposable, AsyncIterable<Message> {
  static {
    inspectable(this, (ring) => ({ capacity: ring.capacity, ...ring.#memory.facts }));
  }

  /** Bytes for messages, a power of two. Each message takes 8 more than its length, rounded up to 8. */
  readonly capacity: number;
  /** The most bytes of a message: all of the capacity but 8 in a mirrored ring, else half of it. */
  readonly maxMessageLength: number;
  readonly #memory: RingMemory;
  /** Empty once the queue or its map is closed. */
  #words: Int32Array;
  #producer: Producer | undefined;
  #consumer: Consumer | undefined;
  /** Producers whose claims are over. */
  readonly #spare: Producer[] = [];
  readonly #claims = new Set<Claim>();

  private constructor(memory: RingMemory) {
    this.#memory = memory;
    this.#words = memory.words;
    this.capacity = memory.capacity;
    this.maxMessageLength = (memory.mirrored ? memory.capacity : memory.capacity / 2) -
      BYTES_OFFSET;
  }

  /**
   * Bytes that a map must have to hold a queue.
   *
   * @param capacity Bytes for messages.
   * @throws {MMapInvalidParameterError} If the capacity is not possible.
   */
  static byteLength(capacity: number): number {
    return DATA_OFFSET + capacityOf(capacity);
  }

  /**
   * Makes an empty queue, and opens it.
   *
   * @param place A new file, a new name, a zeroed map, or memory without a name.
   * @param options The capacity: bytes, 64 to 2^30, rounded up to a power of two; the property `capacity` is
   * what the ring got. A message takes 8 bytes more than its length, rounded up to a multiple of 8.
   * @throws {MMapInvalidParameterError} If an option is wrong, or the system cannot wait in shared memory.
   * @throws {MMapError} If the memory cannot be made; `code` says why. `EEXIST`: the name is taken
   * (open the ring, or `MemoryMap.unlinkNamed`), or there is a file
   * that is not empty and no queue, or a queue with a living consumer or producer.
   */
  static create(place: NewRingPlace, options: RingOptions): MessageQueue {
    return new MessageQueue(RingMemory.create(kind, place, options));
  }

  /**
   * Opens a queue.
   *
   * @param place Its file, its name, its map, or what {@link MessageQueue.share} has returned.
   * @throws {MMapInvalidParameterError} If there is no queue, or it is damaged.
   * @throws {MMapError} If the memory cannot be opened; `code` says why.
   *
   * @example
   * ```ts
   * import { MemoryMap } from "@mman/mman";
   * import { MessageQueue } from "@mman/mman/ring";
   *
   * const size = MessageQueue.byteLength(4096);
   * using map = MemoryMap.createMemfd(size);
   * using queue = MessageQueue.create({ map }, { capacity: 4096 });
   * using other = MessageQueue.open({ map });
   * other.tryWrite("through a map of one's own");
   * ```
   */
  static open(place: RingPlace): MessageQueue {
    const memory = RingMemory.open(kind, place);
    try {
      checkPositions(memory);
      return new MessageQueue(memory);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /**
   * For other threads of this process: post it to a Worker, which opens it with
   * `MessageQueue.open({ handle })`.
   *
   * @throws {MMapClosedError} If the queue is closed.
   */
  share(): MapHandle {
    if (this.#words.length === 0) throw this.#memory.closed("share");
    return this.#memory.share();
  }

  /**
   * Writes a message if there is room.
   *
   * @param message Up to `maxMessageLength` bytes, or text.
   * @param options Its type, as `{ type: 7 }`, or the number alone: a number for the reader, 1 to 2^31 - 1.
   * Default 1.
   * @returns Whether it was written.
   * @throws {MMapInvalidParameterError} If the message is longer than the ring allows, or the type is wrong.
   * @throws {MMapClosedError} If the queue is closed.
   * @throws {MMapFaultError} If the file was truncated.
   *
   * @example
   * ```ts
   * import { MessageQueue } from "@mman/mman/ring";
   * import { assertEquals } from "@std/assert";
   *
   * using queue = MessageQueue.create({ anonymous: true }, { capacity: 4096 });
   * assertEquals(queue.tryWrite("at once, or not at all", { type: 7 }), true);
   * assertEquals(queue.write("waits for room", { type: 8, timeoutMs: 100 }), true);
   * ```
   */
  tryWrite(message: MessageData, options: number | MessageOptions = 1): boolean {
    const type = typeOf("tryWrite", options);
    const bytes = bytesOf(message);
    const length = lengthOf(bytes);
    this.#check(length, type);
    const written = (this.#producer ??= new Producer(this.#memory)).tryWrite(bytes, length, type);
    this.#memory.checkFaults("write to");
    return written;
  }

  /**
   * Writes a message, and waits for room, parked.
   *
   * @param message Up to `maxMessageLength` bytes, or text.
   * @param options Its type, and how long to wait.
   * @returns False if there was no room in time.
   * @throws {MMapInvalidParameterError} If the message is longer than the ring allows, or an option is wrong.
   * @throws {MMapClosedError} If the queue is closed.
   */
  write(message: MessageData, options: WriteOptions = {}): boolean {
    const { attempt, deadline } = this.#writing(message, options);
    return attempt() ||
      run(this.#memory.owners, listen(this.#memory, ROOM_BELL, attempt, deadline));
  }

  /**
   * As {@link MessageQueue.write}, with the event loop free.
   *
   * @param message Up to `maxMessageLength` bytes, or text.
   * @param options Its type, and how long to wait.
   * @returns False if there was no room in time.
   * @throws {MMapInvalidParameterError} As `write`. The promise is rejected.
   * @throws {MMapClosedError} If the queue is closed, also meanwhile. The promise is rejected.
   */
  async writeAsync(message: MessageData, options: WriteOptions = {}): Promise<boolean> {
    const { attempt, deadline } = this.#writing(message, options);
    return attempt() ||
      await runAsync(this.#memory.owners, listen(this.#memory, ROOM_BELL, attempt, deadline));
  }

  /**
   * Claims room for a message that is written in place.
   *
   * @param length Bytes, up to `maxMessageLength`.
   * @param options Its type, as for {@link MessageQueue.tryWrite}. Default 1.
   * @returns Undefined if there is no room.
   * @throws {MMapInvalidParameterError} If the length is more than the ring allows, or the type is wrong.
   * @throws {MMapClosedError} If the queue is closed.
   *
   * @example
   * ```ts
   * import { MessageQueue } from "@mman/mman/ring";
   * import { assertEquals } from "@std/assert";
   *
   * using queue = MessageQueue.create({ anonymous: true }, { capacity: 4096 });
   * {
   *   using claim = queue.tryClaim(5);
   *   if (claim !== undefined) {
   *     new TextEncoder().encodeInto("hello", claim.bytes);
   *     claim.commit(); // without this the end of the block gives the room up
   *   }
   * }
   * assertEquals(queue.read(() => {}), 1);
   * ```
   */
  tryClaim(length: number, options: number | MessageOptions = 1): Claim | undefined {
    const type = typeOf("tryClaim", options);
    checkInteger("a length in bytes", length, 0);
    this.#check(length, type);
    const producer = this.#spare.pop() ?? new Producer(this.#memory);
    if (!producer.claim(length)) {
      this.#spare.push(producer);
      return undefined;
    }
    let bytes: Uint8Array<ArrayBuffer> | undefined = producer.view(length);
    const end = (finish: () => void): void => {
      if (bytes === undefined) return;
      bytes = undefined;
      this.#claims.delete(claim);
      if (this.#words.length === 0) throw this.#memory.closed("write to");
      finish();
      this.#spare.push(producer);
      this.#memory.checkFaults("write to");
    };
    const claim: Claim = {
      get bytes() {
        if (bytes !== undefined) return bytes;
        throw new MMapInvalidParameterError(
          "Cannot fill a claim that is over: it was committed or aborted; claim again",
        );
      },
      commit: () => end(() => producer.commit(length, type)),
      abort: () => end(() => producer.abort(length)),
      [Symbol.dispose]: () => claim.abort(),
    };
    this.#claims.add(claim);
    return claim;
  }

  /**
   * Hands the messages that are there to a function, oldest first.
   *
   * @param handler Gets the bytes, which are good until it returns (copy what is to stay), and the type. A
   * message whose handler throws counts as read.
   * @param limit How many at most. Default: as many as there are.
   * @returns How many there were.
   * @throws {MMapInvalidParameterError} If somebody else reads, the handler is no function, the call comes
   * from a handler, or a message is damaged.
   * @throws {MMapClosedError} If the queue is closed.
   * @throws {MMapFaultError} If the file was truncated.
   */
  read(handler: MessageHandler, limit: number = Infinity): number {
    if (this.#words.length === 0) throw this.#memory.closed("read from");
    checkHandler(handler);
    if (limit !== Infinity) checkInteger("a number of messages", limit, 0);
    const count = (this.#consumer ??= new Consumer(this.#memory)).read(handler, limit);
    this.#memory.checkFaults("read from");
    return count;
  }

  /**
   * Waits until there is a message to read, spinning for a moment, then parked.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns False when the time is over.
   * @throws {MMapInvalidParameterError} If somebody else reads.
   * @throws {MMapClosedError} If the queue is closed.
   */
  wait(timeoutMs: number = Infinity): boolean {
    const consumer = this.#reading();
    return run(this.#memory.owners, consumer.ready(deadlineOf(timeoutMs)));
  }

  /**
   * As {@link MessageQueue.wait}, with the event loop free.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns False when the time is over.
   * @throws {MMapInvalidParameterError} If somebody else reads. The promise is rejected.
   * @throws {MMapClosedError} If the queue is closed, also meanwhile. The promise is rejected.
   */
  async waitAsync(timeoutMs: number = Infinity): Promise<boolean> {
    const consumer = this.#reading();
    return await runAsync(this.#memory.owners, consumer.ready(deadlineOf(timeoutMs)));
  }

  /**
   * The next message, with the event loop free until there is one.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns A copy, or undefined when the time is over.
   * @throws {MMapInvalidParameterError} If somebody else reads. The promise is rejected.
   * @throws {MMapClosedError} If the queue is closed, also meanwhile. The promise is rejected.
   */
  async readAsync(timeoutMs: number = Infinity): Promise<Message | undefined> {
    const deadline = deadlineOf(timeoutMs);
    let message: Message | undefined;
    while (message === undefined) {
      const consumer = this.#reading();
      if (!await runAsync(this.#memory.owners, consumer.ready(deadline))) return undefined;
      // Another task of this thread may have been faster.
      this.read((bytes, type) => message = { type, bytes: bytes.slice() }, 1);
    }
    return message;
  }

  /**
   * All messages, one after the other, until the queue is closed.
   *
   * @example
   * ```ts
   * import { MessageQueue } from "@mman/mman/ring";
   *
   * using queue = MessageQueue.create({ anonymous: true }, { capacity: 4096 });
   * queue.tryWrite("work");
   * queue.tryWrite("enough", { type: 2 });
   * for await (const { type } of queue) {
   *   if (type === 2) break;
   * }
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    this.#reading();
    return untilClosed(() => this.readAsync());
  }

  /** Gives up open claims and whatever this thread is here, and closes the memory. Idempotent. */
  close(): void {
    if (this.#words.length > 0) {
      for (const claim of this.#claims) this.#memory.giveBack(() => claim.abort());
      for (const producer of this.#spare.splice(0)) producer.close();
      this.#producer?.close();
      this.#consumer?.close();
      this.#words = new Int32Array(0);
    }
    this.#memory.close();
  }

  /** Closes the queue. */
  [Symbol.dispose](): void {
    this.close();
  }

  #reading(): Consumer {
    if (this.#words.length === 0) throw this.#memory.closed("read from");
    return this.#consumer ??= new Consumer(this.#memory);
  }

  #writing(
    message: MessageData,
    options: WriteOptions,
  ): { attempt: () => boolean; deadline: number } {
    checkOptionKeys("write", options, ["type", "timeoutMs"]);
    const { type = 1, timeoutMs = Infinity } = options;
    const bytes = bytesOf(message);
    return { attempt: () => this.tryWrite(bytes, type), deadline: deadlineOf(timeoutMs) };
  }

  #check(length: number, type: number): void {
    if (this.#words.length === 0) throw this.#memory.closed("write to");
    checkMessage(length, type, this.maxMessageLength, this.capacity);
  }
}

/** Throws unless the positions of a queue can be true. */
function checkPositions(memory: RingMemory): void {
  const [head, taken, tail] = [HEAD_OFFSET, TAKEN_OFFSET, TAIL_OFFSET].map((at) => at / WORD);
  const load = (index: number | undefined) => Atomics.load(memory.words, index!);
  let last = "";
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const at = [load(head), load(taken), load(tail)] as const;
    const ahead = [at[1] - at[0] | 0, at[2] - at[1] | 0, memory.capacity - (at[2] - at[0]) | 0];
    if (ahead.every((distance) => distance >= 0 && distance % ALIGNMENT === 0)) return;
    const [from, handed, to] = at.map((position) => position >>> 0);
    const now = `head ${from}, taken ${handed} and tail ${to}`;
    // Others move them between two loads: only what stays is a lie.
    if (now === last) {
      throw memory.damaged(`its header has ${now}, and a capacity of ${memory.capacity}`);
    }
    last = now;
  }
}
