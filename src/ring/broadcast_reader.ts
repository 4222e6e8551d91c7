/** One reader of a Broadcast. What happens in which order, and why: broadcast_layout.ts. */
import { checkInteger } from "../check.ts";
import { deadlineOf, run, runAsync, type Steps } from "../sync/waiting.ts";
import { inspectable } from "../inspect.ts";
import { listen } from "./bell.ts";
import {
  BELL_OFFSET,
  BYTES_OFFSET,
  NUMBER_OFFSET,
  PADDING,
  TAIL_OFFSET,
  TYPE_OFFSET,
} from "./broadcast_layout.ts";
import {
  findTail,
  isWhole,
  latestBefore,
  loadNumber,
  loadPosition,
  sizeOf,
  wordAt,
} from "./broadcast_position.ts";
import { WORD } from "./header.ts";
import { checkHandler, untilClosed } from "./messages.ts";
import type { RingMemory } from "./ring_memory.ts";
import { Scratch } from "./scratch.ts";

const TAIL = TAIL_OFFSET / WORD;
const TYPE = TYPE_OFFSET / WORD;
const NUMBER = NUMBER_OFFSET / WORD;
/** Among the owners' words. */
const BELL = BELL_OFFSET / WORD;

/** Gets the messages of a read; `lost` is how many were missed directly before this one. */
export type BroadcastHandler = (
  bytes: Uint8Array<ArrayBuffer>,
  type: number,
  lost: number,
) => void;

/** A message, copied out of the ring. */
export interface BroadcastMessage {
  /** The number that it was written with. */
  readonly type: number;
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many messages were missed directly before this one. */
  readonly lost: number;
}

/** Reads a {@link Broadcast} at its own pace. Ends with the Broadcast that it comes from. */
export class BroadcastReader implements AsyncIterable<BroadcastMessage> {
  static {
    inspectable(this, (reader) => ({
      capacity: reader.#memory.capacity,
      ...reader.#memory.facts,
    }));
  }

  readonly #memory: RingMemory;
  readonly #scratch: Scratch;
  #position: number;
  /** Number of the message that comes next. */
  #next: number;
  #lost = 0;

  /** Made by {@link Broadcast.reader}. */
  constructor(memory: RingMemory) {
    this.#memory = memory;
    this.#scratch = new Scratch(memory.words, memory.bytes, true);
    const { position, next } = findTail(memory);
    this.#position = position;
    this.#next = next;
  }

  /** Messages that this reader has missed so far. */
  get lost(): number {
    return this.#lost;
  }

  /**
   * Hands the messages that are there to a function, oldest first.
   *
   * @param handler Gets a copy of the bytes, which is good until it returns, the type, and how many messages
   * were missed directly before. A message whose handler throws counts as read.
   * @param limit How many at most. Default: as many as there are.
   * @returns How many there were.
   * @throws {MMapInvalidParameterError} If the handler is no function, or a message is damaged.
   * @throws {MMapClosedError} If the ring is closed.
   * @throws {MMapFaultError} If the file was truncated.
   */
  read(handler: BroadcastHandler, limit: number = Infinity): number {
    checkHandler(handler);
    if (limit !== Infinity) checkInteger("a number of messages", limit, 0);
    const memory = this.#memory;
    // Only what is there now: a fast producer must not keep the caller here.
    const tail = this.#tail();
    let count = 0;
    while (count < limit && this.#position < tail && memory.words.length > 0) {
      const { words } = memory;
      const position = this.#position;
      const at = wordAt(position, memory.capacity);
      const length = words[at]!;
      const type = words[at + TYPE]!;
      const number = loadNumber(words, at + NUMBER);
      const isPossible = length >= BYTES_OFFSET && length <= memory.capacity &&
        length <= (words.length - at) * WORD;
      const bytes = isPossible && type !== PADDING
        ? this.#scratch.view(at + BYTES_OFFSET / WORD, length - BYTES_OFFSET)
        : undefined;
      if (!isWhole(memory, position)) {
        this.#catchUp();
        if (this.#position > position) continue;
        throw memory.damaged(`its producer has gone back from ${tail}`);
      }
      if (!isPossible) {
        throw memory.damaged(`the message at ${position} says that it has ${length} bytes`);
      }
      if (tail - position > memory.capacity) {
        throw memory.damaged(`its tail is ${tail}, and the message at ${position} is still there`);
      }
      this.#position = position + sizeOf(length);
      if (bytes === undefined) continue;
      const lost = Math.max(number - this.#next, 0);
      this.#next = number + 1;
      this.#lost += lost;
      count++;
      handler(bytes, type, lost);
    }
    memory.checkFaults("read from");
    return count;
  }

  /**
   * Waits until there is a message to read, parked.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns False when the time is over.
   * @throws {MMapClosedError} If the ring is closed.
   */
  wait(timeoutMs: number = Infinity): boolean {
    return run(this.#memory.owners, this.#ready(deadlineOf(timeoutMs)));
  }

  /**
   * As {@link BroadcastReader.wait}, with the event loop free.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns False when the time is over.
   * @throws {MMapClosedError} If the ring is closed, also meanwhile. The promise is rejected.
   */
  async waitAsync(timeoutMs: number = Infinity): Promise<boolean> {
    return await runAsync(this.#memory.owners, this.#ready(deadlineOf(timeoutMs)));
  }

  /**
   * The next message, with the event loop free until there is one.
   *
   * @param timeoutMs Milliseconds. Default: without end.
   * @returns A copy, or undefined when the time is over.
   * @throws {MMapClosedError} If the ring is closed, also meanwhile. The promise is rejected.
   */
  async readAsync(timeoutMs: number = Infinity): Promise<BroadcastMessage | undefined> {
    const deadline = deadlineOf(timeoutMs);
    let message: BroadcastMessage | undefined;
    while (message === undefined) {
      if (!await runAsync(this.#memory.owners, this.#ready(deadline))) return undefined;
      this.read((bytes, type, lost) => message = { type, bytes: bytes.slice(), lost }, 1);
    }
    return message;
  }

  /** All messages, one after the other, until the ring is closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<BroadcastMessage> {
    return untilClosed(() => this.readAsync());
  }

  #ready(deadline: number): Steps<boolean> {
    return listen(this.#memory, BELL, () => this.#position < this.#tail(), deadline);
  }

  #tail(): number {
    if (this.#memory.words.length === 0) throw this.#memory.closed("read from");
    const tail = loadPosition(this.#memory.words, TAIL);
    if (tail < this.#position) this.#memory.checkFaults("read from");
    // Nobody writes so much, and numbers beyond do not count on.
    if (tail > Number.MAX_SAFE_INTEGER) throw this.#memory.damaged(`its tail is ${tail}`);
    return tail;
  }

  /**
   * Goes on at the latest message, after the producer has come around; behind it if the next one is being
   * written over it, or was when the producer died.
   */
  #catchUp(): void {
    const { words } = this.#memory;
    let tail: number;
    let latest: number;
    do {
      tail = loadPosition(words, TAIL);
      latest = latestBefore(words, tail);
    } while (loadPosition(words, TAIL) !== tail);
    const isThere = latest > this.#position && isWhole(this.#memory, latest);
    this.#position = Math.max(isThere ? latest : tail, this.#position);
  }
}
