/** What the fuzzer knows of a class: how to get one, and what its calls take. */
import type { MemoryMap } from "../../mod.ts";
import { SYMBOLS } from "../../src/inspect.ts";
import type { Kind, Shown, Source } from "./shown.ts";

/** The names of an object's methods. */
export type MethodNames<T> = {
  [K in keyof T]-?: T[K] extends (...args: never[]) => unknown ? K : never;
}[keyof T];

/** The kinds of arguments of every method: the compiler tells when one is missing. */
export type Methods<T> = { readonly [K in MethodNames<T>]: readonly Kind[] };

/** A call that is not simply a method's. */
export interface Action<T> {
  readonly takes: readonly Kind[];
  // deno-lint-ignore no-explicit-any -- the kinds say what comes
  run(subject: T, ...args: any[]): unknown;
}

/** A class. */
export interface ClassTable<T> {
  /** What the log calls its objects. */
  readonly name: string;
  /** How often it has its turn, compared with others. */
  readonly weight: number;
  /** Whether something that came out of a call is one. */
  is(value: unknown): value is T;
  /** Makes one, from arguments that are in order; undefined if this is not the moment. */
  make(from: Source): Shown<() => T> | undefined;
  /** Whether there is nothing left to be done with one. */
  isSpent?(subject: T): boolean;
  /** The map that one belongs to, if it tells. */
  mapOf?(subject: T): MemoryMap | undefined;
  readonly methods: Partial<Methods<T>>;
  /** What may be assigned. */
  readonly setters?: Readonly<Record<string, Kind>>;
  readonly actions?: Readonly<Record<string, Action<T>>>;
  /** What must hold of a result; the text says what does not. */
  readonly results?: { readonly [K in MethodNames<T>]?: (result: never, subject: T) => boolean };
  /** Which errors are in order besides the usual ones. */
  allows?(error: unknown): boolean;
}

/** Functions that belong to no object: of a module, or static ones of a class. */
export interface FunctionTable<T> {
  readonly name: string;
  readonly weight: number;
  readonly owner: T;
  readonly functions: Methods<T>;
}

/** A class, whatever it is. */
// deno-lint-ignore no-explicit-any -- the driver takes tables as they come
export type AnyClassTable = ClassTable<any>;

/** Functions, whatever they are. */
// deno-lint-ignore no-explicit-any -- the driver takes tables as they come
export type AnyFunctionTable = FunctionTable<any>;

/** Any of the two. */
export type AnyTable = AnyClassTable | AnyFunctionTable;

/** What a console does with an object: the names of these methods are in no type. */
const inspect: Action<{ readonly [symbol: symbol]: () => string }> = {
  takes: [],
  run: (subject) => {
    for (const symbol of SYMBOLS) {
      if (symbol in subject && !/^\w+ \{.*\}$/.test(subject[symbol]!())) throw new Error("no line");
    }
  },
};

/** A table of a class of the library's, with all its methods. */
export function classTable<T>(table: ClassTable<T> & { methods: Methods<T> }): AnyClassTable {
  const all: AnyClassTable = table;
  return { ...all, actions: { ...all.actions, inspect } };
}

/** A table of a class of the engine's, with what matters here. */
export function engineTable<T>(table: ClassTable<T>): AnyClassTable {
  return table;
}

/** Checks a table of functions against their owner. */
export function functionTable<T>(table: FunctionTable<T>): AnyFunctionTable {
  return table;
}
