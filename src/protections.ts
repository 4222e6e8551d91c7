/** Which protection each part of a mapping has, so that methods can refuse before the hardware does. */

/** The protection of pages that were given back: no bit of a real one. */
export const UNMAPPED: number = 1 << 30;

/** A range of a mapping with one protection. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly prot: number;
}

/** The protections of a mapping's bytes; mostly one segment. */
export class Protections {
  #segments: Segment[];

  /** One protection for all of `size` bytes. */
  constructor(size: number, prot: number) {
    this.#segments = [{ start: 0, end: size, prot }];
  }

  /** The protection that all bytes have, or undefined when they differ. */
  get uniform(): number | undefined {
    return this.#segments.length === 1 ? this.#segments[0]!.prot : undefined;
  }

  /** Gives the bytes from `start` to `end` a protection. */
  set(start: number, end: number, prot: number): void {
    const next: Segment[] = [];
    const add = (segment: Segment): void => {
      const last = next.at(-1);
      if (segment.start >= segment.end) return;
      if (last?.prot === segment.prot) next.splice(-1, 1, { ...last, end: segment.end });
      else next.push(segment);
    };
    for (const segment of this.#segments) {
      if (segment.end > start) break;
      add(segment);
    }
    for (const segment of this.#segments) {
      if (segment.start < start && segment.end > start) add({ ...segment, end: start });
    }
    add({ start, end, prot });
    for (const segment of this.#segments) {
      if (segment.end > end) add({ ...segment, start: Math.max(segment.start, end) });
    }
    this.#segments = next;
  }

  /** The parts of a range, each with one protection. */
  within(offset: number, length: number): Segment[] {
    return this.#segments
      .map(({ start, end, prot }) => ({
        start: Math.max(start, offset),
        end: Math.min(end, offset + length),
        prot,
      }))
      .filter(({ start, end }) => start < end);
  }

  /** The first offset of a range that has exactly this protection, or -1. */
  firstWith(wanted: number, offset: number, length: number): number {
    for (const { start, end, prot } of this.#segments) {
      if (prot !== wanted || end <= offset || start >= offset + length) continue;
      return Math.max(start, offset);
    }
    return -1;
  }

  /** The first offset of a range whose protection lacks one of the bits in `mask`, or -1. */
  firstWithout(mask: number, offset: number, length: number): number {
    for (const { start, end, prot } of this.#segments) {
      if ((prot & mask) === mask || end <= offset || start >= offset + length) continue;
      return Math.max(start, offset);
    }
    return -1;
  }
}
