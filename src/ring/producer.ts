/** The producing side of a MessageQueue. What happens in which order, and why: queue_layout.ts. */
import { MMapAllocationError } from "../errors.ts";
import { setBytes } from "../memory_operations.ts";
import { tryRecover, tryTake } from "../sync/owners.ts";
import { WORD } from "./header.ts";
import {
  ALIGNMENT,
  ANNOUNCED,
  ANNOUNCEMENT_OFFSET,
  BYTES_OFFSET,
  DATA_OFFSET,
  HEAD_OFFSET,
  MAX_PRODUCERS,
  MESSAGE_BELL_OFFSET,
  OWNERS_OFFSET,
  PADDING,
  PRODUCER_LENGTH,
  PRODUCERS_OFFSET,
  ROOM_BELL_OFFSET,
  ROOM_OFFSET,
  TAIL_OFFSET,
  TYPE_OFFSET,
} from "./queue_layout.ts";
import type { RingMemory } from "./ring_memory.ts";
import { ring } from "./bell.ts";

const TAIL = TAIL_OFFSET / WORD;
const HEAD = HEAD_OFFSET / WORD;
const ROOM = ROOM_OFFSET / WORD;
const MESSAGE_BELL = (OWNERS_OFFSET + MESSAGE_BELL_OFFSET) / WORD;
/** Rung when there is room again; among the owners' words. */
export const ROOM_BELL: number = ROOM_BELL_OFFSET / WORD;
const TYPE = TYPE_OFFSET / WORD;

/** The owner of a producer's slot, among the owners' words. */
export function ownerOf(slot: number): number {
  return (PRODUCERS_OFFSET + slot * PRODUCER_LENGTH) / WORD;
}

/** What a producer's slot announces, among all words. */
export function announcementOf(slot: number): number {
  return (OWNERS_OFFSET + PRODUCERS_OFFSET + slot * PRODUCER_LENGTH + ANNOUNCEMENT_OFFSET) / WORD;
}

/** A slot, and the claim that is open in it. */
export class Producer {
  readonly #ring: RingMemory;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  readonly #mirrored: boolean;
  readonly #owner: number;
  readonly #announcement: number;
  /** The open claim: byte offsets of its message and of the padding before it, and bytes of that. */
  #at = 0;
  #paddingAt = 0;
  #padding = 0;

  /** Takes a slot. @throws {MMapAllocationError} If there is none left. */
  constructor(ring: RingMemory) {
    this.#ring = ring;
    this.#words = ring.words;
    this.#bytes = ring.bytes;
    this.#capacity = ring.capacity;
    this.#mirrored = ring.mirrored;
    const slot = takeSlot(ring);
    this.#owner = ownerOf(slot);
    this.#announcement = announcementOf(slot);
    Atomics.store(this.#words, this.#announcement, 0); // a dead predecessor's
  }

  /** Writes a message of a length that is known to be true; false if there is no room. */
  tryWrite(message: Uint8Array, length: number, type: number): boolean {
    if (!this.claim(length)) return false;
    setBytes(this.#bytes, message, this.#at + BYTES_OFFSET, length);
    this.commit(length, type);
    return true;
  }

  /** Claims room for a message of so many bytes; false if there is none. */
  claim(length: number): boolean {
    const words = this.#words;
    const capacity = this.#capacity;
    const size = length + BYTES_OFFSET + ALIGNMENT - 1 & -ALIGNMENT;
    let tail: number;
    let place: number;
    let padding: number;
    do {
      tail = words[TAIL]!; // an old one only fails below
      place = tail & capacity - 1;
      padding = this.#mirrored || size <= capacity - place ? 0 : capacity - place;
      const end = tail + padding + size | 0;
      if ((end - words[ROOM]! | 0) > capacity && !this.#findRoom(end)) {
        words[this.#announcement] = 0;
        return false;
      }
      words[this.#announcement] = tail | ANNOUNCED;
    } while (Atomics.compareExchange(words, TAIL, tail, tail + padding + size | 0) !== tail);
    const end = tail + padding + size | 0;
    if ((end - words[ROOM]! | 0) > capacity) this.#awaitRoom(end);
    this.#paddingAt = DATA_OFFSET + place;
    this.#padding = padding;
    this.#at = padding === 0 ? DATA_OFFSET + place : DATA_OFFSET;
    words[this.#paddingAt >> 2] = padding === 0 ? -(length + BYTES_OFFSET) : -(padding + size);
    return true;
  }

  /** The bytes of the open claim. */
  view(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(
      this.#bytes.buffer as ArrayBuffer,
      this.#bytes.byteOffset + this.#at + BYTES_OFFSET,
      length,
    );
  }

  /** Hands the open claim over as a message. */
  commit(length: number, type: number): void {
    const words = this.#words;
    const at = this.#at >> 2;
    words[at + TYPE] = type;
    Atomics.store(words, at, length + BYTES_OFFSET);
    if (this.#padding > 0) this.#skip(this.#padding);
    this.#settle();
  }

  /** Gives the open claim up: it becomes padding. */
  abort(length: number): void {
    this.#skip(this.#padding + (length + BYTES_OFFSET + ALIGNMENT - 1 & -ALIGNMENT));
    this.#settle();
  }

  /** Gives the slot back. */
  close(): void {
    if (this.#words.length === 0) return; // the map's end has done it
    this.#ring.release(this.#owner);
  }

  #skip(length: number): void {
    const at = this.#paddingAt >> 2;
    this.#words[at + TYPE] = PADDING;
    Atomics.store(this.#words, at, length);
  }

  #settle(): void {
    const words = this.#words;
    if (Atomics.load(words, MESSAGE_BELL) !== 0) ring(this.#ring, MESSAGE_BELL);
    words[this.#announcement] = 0;
  }

  /** Looks where the consumer is; whether there is room up to a position. */
  #findRoom(end: number): boolean {
    const words = this.#words;
    const room = words[ROOM]!;
    const head = Atomics.load(words, HEAD);
    if ((end - head | 0) > this.#capacity) return false;
    // Unless somebody was faster: then that one knows no less.
    Atomics.compareExchange(words, ROOM, room, head);
    return true;
  }

  /** Waits for room for what is claimed: see the end of the proof. */
  #awaitRoom(end: number): void {
    while (!this.#findRoom(end)) {
      this.#ring.checkFaults("write to");
      this.#ring.platform.wait(this.#ring.address(HEAD), Atomics.load(this.#words, HEAD), 1);
    }
  }
}

/** A slot that nobody has, or one whose owner is dead. */
function takeSlot({ owners }: RingMemory): number {
  const slots = Array.from({ length: MAX_PRODUCERS }, (_, slot) => slot);
  const slot = slots.find((slot) => tryTake(owners, ownerOf(slot)) !== undefined) ??
    slots.find((slot) => tryRecover(owners, ownerOf(slot), true) !== undefined);
  if (slot !== undefined) return slot;
  throw new MMapAllocationError(
    `Cannot write to a MessageQueue: it has ${MAX_PRODUCERS} producers and open claims; close some`,
  );
}
