/** Arguments with the text that the log shows for them. */
import type { MemoryMap } from "../../mod.ts";
import type { Dice } from "./dice.ts";
import type { World } from "./world.ts";

/** A value, and how the log shows it. */
export interface Shown<T = unknown> {
  readonly value: T;
  readonly text: string;
}

/** What an argument is made from. */
export interface Source {
  readonly dice: Dice;
  readonly world: World;
  /** The map that the call is about, if it is about one. */
  readonly map: MemoryMap | undefined;
}

/** Makes an argument. */
export interface Kind<T = unknown> {
  (from: Source): Shown<T>;
  /** Whether it may not be left out. */
  readonly isNeeded?: boolean;
}

/** An argument that is never left out, such as the end of a wait. */
export function needed<T>(kind: Kind<T>): Kind<T> {
  return Object.assign((from: Source) => kind(from), { isNeeded: true });
}

/** A value that says itself what it is. */
export function plain<T>(value: T): Shown<T> {
  return { value, text: textOf(value) };
}

function textOf(value: unknown): string {
  if (typeof value === "string") {
    return value.length > 40 ? `"${value[0]}".repeat(${value.length})` : JSON.stringify(value);
  }
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  return String(value);
}

/** One of several values. */
export function oneOf(...values: readonly unknown[]): Kind {
  return ({ dice }) => plain(dice.pick(values));
}

/** One of several kinds. */
export function anyOf(...kinds: readonly Kind[]): Kind {
  return (from) => from.dice.pick(kinds)(from);
}
