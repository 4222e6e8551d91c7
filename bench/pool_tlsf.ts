/**
 * The index that the pool does not have: two-level segregated fit (Masmano and others, 2004), for one thread,
 * with nothing that a kill could not break. Only for bench/pool.ts, to decide between the two.
 */

/** Bytes that sizes are rounded up to; a header is as long. */
const UNIT = 16;
/** Lists for each power of two: a request gets at most 1/32 more. */
const LISTS = 32;
const POWERS = 32;
const HEADER = 1;
const NONE = 0;

/**
 * Memory is counted in units, each four words. A header's words: units of the block with its header, negative
 * while it is taken; units of the one before; and of a free one the next and the last of its list.
 */
export class Tlsf {
  readonly #words: Int32Array;
  readonly #heads = new Int32Array(POWERS * LISTS);
  readonly #lists = new Int32Array(POWERS);
  #powers = 0;

  constructor(bytes: number) {
    const units = Math.floor(bytes / UNIT);
    this.#words = new Int32Array(units * 4);
    // Unit 0 stands for none; the last one is taken for ever.
    this.#setSize(1, units - 2, 0);
    this.#words[(units - 1) * 4] = -1;
    this.#words[(units - 1) * 4 + 1] = units - 2;
    this.#link(1);
  }

  /** The place of some bytes, in units, or 0. */
  allocate(bytes: number): number {
    const units = Math.max(Math.ceil(bytes / UNIT), 1) + HEADER;
    const block = this.#find(units);
    if (block === NONE) return NONE;
    this.#unlink(block);
    const size = this.#words[block * 4]!;
    if (size - units > HEADER) {
      this.#setSize(block, units, this.#words[block * 4 + 1]!);
      this.#setSize(block + units, size - units, units);
      this.#words[(block + size) * 4 + 1] = size - units;
      this.#link(block + units);
    }
    this.#words[block * 4] = -this.#words[block * 4]!;
    return block;
  }

  free(block: number): void {
    const words = this.#words;
    let start = block;
    let size = -words[block * 4]!;
    const next = words[(block + size) * 4]!;
    if (next > 0) {
      this.#unlink(block + size);
      size += next;
    }
    const before = words[block * 4 + 1]!;
    if (before > 0 && words[(block - before) * 4]! > 0) {
      start -= before;
      this.#unlink(start);
      size += before;
    }
    this.#setSize(start, size, words[start * 4 + 1]!);
    words[(start + size) * 4 + 1] = size;
    this.#link(start);
  }

  #setSize(block: number, units: number, before: number): void {
    this.#words[block * 4] = units;
    this.#words[block * 4 + 1] = before;
  }

  /** The list of a size: its power of two, and which part of it. */
  static #listOf(units: number): number {
    const power = 31 - Math.clz32(units);
    const part = power < 5 ? (units << (5 - power)) & 31 : (units >>> (power - 5)) & 31;
    return power * LISTS + part;
  }

  /** A block of a list whose blocks are all long enough. */
  #find(units: number): number {
    const power = 31 - Math.clz32(units);
    const rounded = power < 5 ? units : units + (1 << (power - 5)) - 1;
    const list = Tlsf.#listOf(rounded);
    const [row, column] = [list >>> 5, list & 31];
    const here = this.#lists[row]! & (-1 << column);
    if (here !== 0) return this.#heads[row * LISTS + lowest(here)]!;
    const above = row === 31 ? 0 : this.#powers & (-1 << (row + 1));
    if (above === 0) return NONE;
    const next = lowest(above);
    return this.#heads[next * LISTS + lowest(this.#lists[next]!)]!;
  }

  #link(block: number): void {
    const list = Tlsf.#listOf(this.#words[block * 4]!);
    const head = this.#heads[list]!;
    this.#words[block * 4 + 2] = head;
    this.#words[block * 4 + 3] = NONE;
    if (head !== NONE) this.#words[head * 4 + 3] = block;
    this.#heads[list] = block;
    this.#lists[list >>> 5]! |= 1 << (list & 31);
    this.#powers |= 1 << (list >>> 5);
  }

  #unlink(block: number): void {
    const words = this.#words;
    const list = Tlsf.#listOf(words[block * 4]!);
    const [next, last] = [words[block * 4 + 2]!, words[block * 4 + 3]!];
    if (next !== NONE) words[next * 4 + 3] = last;
    if (last !== NONE) words[last * 4 + 2] = next;
    else if ((this.#heads[list] = next) === NONE) {
      this.#lists[list >>> 5]! &= ~(1 << (list & 31));
      if (this.#lists[list >>> 5] === 0) this.#powers &= ~(1 << (list >>> 5));
    }
  }
}

function lowest(word: number): number {
  return 31 - Math.clz32(word & -word);
}
