/** Hands messages out without making anything for short ones. */

/** Up to so many bytes, copying to a view that is there already costs less than making one. */
const SHORT = 256;
const WORD = 4;

/** Views of messages. A view is good until the next one is asked for. */
export class Scratch {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #copy = new Int32Array(SHORT / WORD);
  /** Views of the copy, by their length. */
  #views: Uint8Array<ArrayBuffer>[] = [];

  readonly #copies: boolean;

  /** @param words Of the ring. @param bytes The same. @param copies Whether long messages are copied, too. */
  constructor(words: Int32Array, bytes: Uint8Array<ArrayBuffer>, copies: boolean = false) {
    this.#words = words;
    this.#bytes = bytes;
    this.#copies = copies;
  }

  /** @param index Of the first word. @param length Bytes. */
  view(index: number, length: number): Uint8Array<ArrayBuffer> {
    if (length > SHORT) {
      const { buffer, byteOffset } = this.#bytes;
      const view = new Uint8Array(buffer, byteOffset + index * WORD, length);
      return this.#copies ? view.slice() : view;
    }
    const words = this.#words;
    let copy = this.#copy;
    let view = this.#views[length];
    if (view === undefined || view.length !== length) {
      if (copy.length === 0) { // the handler has transferred it away
        copy = this.#copy = new Int32Array(SHORT / WORD);
        this.#views = [];
      }
      view = this.#views[length] = new Uint8Array(copy.buffer as ArrayBuffer, 0, length);
    }
    const count = length + WORD - 1 >> 2;
    for (let i = 0; i < count; i++) copy[i] = words[index + i]!;
    return view;
  }
}
