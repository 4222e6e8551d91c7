/** Decisions that follow from a seed and the number of a call, and from nothing else. */
import { random } from "../random.ts";

/** Decisions of one call: the same whether the calls before it were made or left out. */
export class Dice {
  readonly #next: () => number;

  /** For call number `index` of a sequence with this seed. */
  constructor(seed: number, index: number) {
    this.#next = random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  }

  /** A whole number from `least` up to and including `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.#next() * (most - least + 1));
  }

  /** True with a probability. */
  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** One of several values. */
  pick<T>(values: readonly T[]): T {
    return values[this.between(0, values.length - 1)]!;
  }

  /** One of several values, each as likely as its weight says. */
  weighted<T>(values: readonly T[], weight: (value: T) => number): T {
    let left = this.#next() * values.reduce((sum, value) => sum + weight(value), 0);
    return values.find((value) => (left -= weight(value)) < 0) ?? values.at(-1)!;
  }
}
