/** The consuming side of a MessageQueue. What happens in which order, and why: queue_layout.ts. */
import { MMapInvalidParameterError } from "../errors.ts";
import { tryRecover } from "../sync/owners.ts";
import type { Steps } from "../sync/waiting.ts";
import { listen, PARK_MS, ring } from "./bell.ts";
import { WORD } from "./header.ts";
import { announcementOf, ownerOf } from "./producer.ts";
import {
  ALIGNMENT,
  ANNOUNCED,
  BYTES_OFFSET,
  CONSUMER_OFFSET,
  DATA_OFFSET,
  HEAD_OFFSET,
  MAX_PRODUCERS,
  MESSAGE_BELL_OFFSET,
  OWNERS_OFFSET,
  PADDING,
  ROOM_BELL_OFFSET,
  TAIL_OFFSET,
  TAKEN_OFFSET,
  TYPE_OFFSET,
} from "./queue_layout.ts";
import type { RingMemory } from "./ring_memory.ts";
import { Scratch } from "./scratch.ts";

const TAIL = TAIL_OFFSET / WORD;
const HEAD = HEAD_OFFSET / WORD;
const TAKEN = TAKEN_OFFSET / WORD;
const TYPE = TYPE_OFFSET / WORD;
const DATA = DATA_OFFSET / WORD;
const ROOM_BELL = (OWNERS_OFFSET + ROOM_BELL_OFFSET) / WORD;
/** Among the owners' words. */
export const CONSUMER: number = CONSUMER_OFFSET / WORD;
const MESSAGE_BELL = MESSAGE_BELL_OFFSET / WORD;

/** Reads that find nothing between two looks for the dead: the tail is in the producers' cache. */
const LOOK_EVERY = 64;
/** How long a message may be missing before the slots are looked at, and between two such looks. */
const PATIENCE_MS = 1;
const MAX_PATIENCE_MS = 8;

/** Gets the messages of a read. */
export type MessageHandler = (bytes: Uint8Array<ArrayBuffer>, type: number) => void;

/** The one who reads. */
export class Consumer {
  readonly #ring: RingMemory;
  /** Empty once this consumer or the map is closed. */
  #words: Int32Array;
  readonly #capacity: number;
  readonly #scratch: Scratch;
  /** What was handed out, and what was given back of that. */
  #taken: number;
  #head: number;
  #isReading = false;
  /** Reads that found nothing since the last look for the dead. */
  #misses = 0;
  /** When the message that is missing now was missed first or looked for last; where, and the patience. */
  #missedAt = 0;
  #missed: number | undefined;
  #patience = PATIENCE_MS;

  /** @throws {MMapInvalidParameterError} If somebody else reads. */
  constructor(ring: RingMemory) {
    if (tryRecover(ring.owners, CONSUMER, true) === undefined) {
      throw new MMapInvalidParameterError(
        "Cannot read from a MessageQueue: it has a consumer, which lives; close that one first",
      );
    }
    this.#ring = ring;
    this.#words = ring.words;
    this.#capacity = ring.capacity;
    this.#scratch = new Scratch(ring.words, ring.bytes);
    this.#head = Atomics.load(ring.words, HEAD);
    this.#taken = Atomics.load(ring.words, TAKEN);
    this.#release(); // what the last consumer has handed out, but not given back
  }

  /** Hands messages out; how many. */
  read(handler: MessageHandler, limit: number): number {
    if (this.#isReading) {
      throw new MMapInvalidParameterError(
        "Cannot read from a MessageQueue within the handler of a read: return first",
      );
    }
    const words = this.#words;
    const capacity = this.#capacity;
    const start = this.#taken;
    const quarter = capacity >> 2;
    let count = 0;
    this.#isReading = true;
    try {
      // At most once around: a fast producer must not keep the caller here.
      while (count < limit && (this.#taken - start | 0) < capacity) {
        const taken = this.#taken;
        const at = DATA + ((taken & capacity - 1) >> 2);
        const length = Atomics.load(words, at);
        if (length <= 0) break;
        const type = words[at + TYPE]!;
        this.#taken = this.#after(taken, length);
        words[TAKEN] = this.#taken; // before anybody sees the message: nobody gets it twice
        if (type !== PADDING) {
          count++;
          const message = this.#scratch.view(at + BYTES_OFFSET / WORD, length - BYTES_OFFSET);
          this.#ring.checkFaults("read from");
          handler(message, type);
          if (this.#words.length === 0) break; // it has closed the queue
        }
        if ((this.#taken - this.#head | 0) >= quarter) this.#release();
      }
    } finally {
      this.#isReading = false;
      this.#release();
    }
    if (count > 0) this.#missed = undefined;
    else if (++this.#misses % LOOK_EVERY === 0) this.#lookForTheDead();
    return count;
  }

  /** Waits until there is a message. */
  *ready(deadline: number): Steps<boolean> {
    const patience = () => this.#lookForTheDead() ? PATIENCE_MS : PARK_MS;
    const ready = yield* listen(this.#ring, MESSAGE_BELL, () => this.isReady(), deadline, patience);
    Atomics.store(this.#ring.owners.current(), MESSAGE_BELL, 0); // nobody else waits
    return ready;
  }

  /** Whether there is a message; skips padding. */
  isReady(): boolean {
    const words = this.#words;
    if (words.length === 0) throw this.#ring.closed("read from");
    for (;;) {
      const at = DATA + ((this.#taken & this.#capacity - 1) >> 2);
      const length = Atomics.load(words, at);
      if (length <= 0) {
        this.#ring.checkFaults("read from");
        return false;
      }
      if (words[at + TYPE] !== PADDING) return true;
      this.#taken = this.#after(this.#taken, length);
      words[TAKEN] = this.#taken;
      this.#release();
    }
  }

  /** Lets another one read. */
  close(): void {
    if (this.#words.length === 0) return; // the map's end has done it
    this.#words = new Int32Array(0);
    this.#ring.release(CONSUMER);
  }

  /** The position after a message. */
  #after(position: number, length: number): number {
    const size = length + ALIGNMENT - 1 & -ALIGNMENT;
    if (length < BYTES_OFFSET || length > this.#capacity) {
      throw this.#ring.damaged(`the message at ${position >>> 0} says that it has ${length} bytes`);
    }
    return position + size | 0;
  }

  /** Makes what was handed out zero, and room for producers. */
  #release(): void {
    const words = this.#words;
    const size = this.#taken - this.#head | 0;
    if (size === 0 || words.length === 0) return;
    this.#clear(DATA_OFFSET + (this.#head & this.#capacity - 1), size);
    this.#head = this.#taken;
    Atomics.store(words, HEAD, this.#head);
    if (Atomics.load(words, ROOM_BELL) !== 0) ring(this.#ring, ROOM_BELL);
  }

  #clear(at: number, size: number): void {
    const { bytes, mirrored } = this.#ring;
    const end = DATA_OFFSET + this.#capacity;
    if (mirrored || at + size <= end) {
      bytes.fill(0, at, at + size);
    } else {
      bytes.fill(0, at, end);
      bytes.fill(0, DATA_OFFSET, at + size - this.#capacity);
    }
  }

  /**
   * If a claim is not completed, looks whether its owner is dead, now and then.
   *
   * @returns Whether one is missing.
   */
  #lookForTheDead(): boolean {
    const position = this.#taken;
    const tail = Atomics.load(this.#words, TAIL);
    if (tail === position || this.isReady()) {
      this.#missed = undefined;
      return false;
    }
    const now = performance.now();
    if (this.#missed !== position) {
      this.#missed = position;
      this.#missedAt = now;
      this.#patience = PATIENCE_MS;
    } else if (now - this.#missedAt >= this.#patience) {
      this.#patience = Math.min(this.#patience * 2, MAX_PATIENCE_MS);
      this.#bury(position, tail);
      this.#missedAt = performance.now();
    }
    return true;
  }

  /** Turns a claim into padding if nobody alive can have made it. */
  #bury(position: number, tail: number): void {
    const words = this.#words;
    const at = DATA + ((position & this.#capacity - 1) >> 2);
    let end = tail - position | 0;
    if (end < 0 || end > this.#capacity) {
      throw this.#ring.damaged(
        `its tail is ${tail >>> 0}, and messages were read to ${position >>> 0}`,
      );
    }
    for (let slot = 0; slot < MAX_PRODUCERS; slot++) {
      const announcement = Atomics.load(words, announcementOf(slot));
      if (announcement === (position | ANNOUNCED)) {
        if (!this.#isFree(slot)) return;
      } else if (announcement !== 0) {
        const distance = announcement - position | 0;
        if (distance > 0 && distance < end) end = distance - ANNOUNCED;
      }
    }
    const length = Atomics.load(words, at);
    if (length > 0) return; // it was slow, not dead
    const size = length === 0 ? this.#zeros(position, end) : -length + ALIGNMENT - 1 & -ALIGNMENT;
    if (size > (tail - position | 0)) {
      throw this.#ring.damaged(`a claim at ${position >>> 0} says that it has ${size} bytes`);
    }
    words[at + TYPE] = PADDING;
    Atomics.compareExchange(words, at, length, size);
  }

  /** Whether nobody alive has a slot; cleans it up then. */
  #isFree(slot: number): boolean {
    if (tryRecover(this.#ring.owners, ownerOf(slot), true) === undefined) return false;
    Atomics.store(this.#words, announcementOf(slot), 0);
    this.#ring.release(ownerOf(slot));
    return true;
  }

  /** Bytes from a position on that are zero, up to a distance. */
  #zeros(position: number, end: number): number {
    const words = this.#words;
    for (let distance = 0; distance < end; distance += ALIGNMENT) {
      const at = DATA + ((position + distance & this.#capacity - 1) >> 2);
      if (Atomics.load(words, at) !== 0) return distance;
    }
    return end;
  }
}
