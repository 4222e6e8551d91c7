/** Whole values at the elements of a window: read as copies, written all or not at all. */
import { bytesAt, type Decode, decoderOf, type Encode, encoderOf } from "./codec.ts";
import type { Shape } from "./layout.ts";
import type { Window } from "./window.ts";

/** A value of some layout in each element of a window, `at` bytes into it. */
export class Slot {
  readonly #window: Window;
  readonly #at: number;
  readonly #decode: Decode;
  readonly #encode: Encode;
  /** Where values are written first; undefined while one is. */
  #draft: DataView<ArrayBuffer> | undefined;
  readonly #byteLength: number;

  constructor(window: Window, at: number, shape: Shape, field?: string) {
    this.#window = window;
    this.#at = at;
    this.#decode = decoderOf(shape);
    this.#encode = encoderOf(shape, field);
    this.#byteLength = shape.byteLength;
  }

  /** A copy of the value. */
  read(index: number): unknown {
    const place = this.#window.readable(index);
    const value = this.#decode(this.#window.view, place + this.#at);
    this.#window.sound("read", index);
    return value;
  }

  /** The bytes of the value, zero copy. */
  bytes(index: number): Uint8Array<ArrayBuffer> {
    const place = this.#window.readable(index);
    return bytesAt(this.#window.view, place + this.#at, this.#byteLength);
  }

  /** Writes a value. The memory is touched once the whole value was found to fit. */
  write(index: number, value: unknown): void {
    // Looking at the value may run code of the user's, which may write here, or close the map.
    const draft = this.#draft ?? new DataView(new ArrayBuffer(this.#byteLength));
    this.#draft = undefined;
    try {
      this.#window.writeable(index);
      this.#encode(draft, 0, value);
      const place = this.#window.writeable(index);
      bytesAt(this.#window.view, place + this.#at, this.#byteLength)
        .set(new Uint8Array(draft.buffer));
      this.#window.sound("write", index);
    } finally {
      this.#draft = draft;
    }
  }
}
