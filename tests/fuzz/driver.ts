/** Makes one call after another, as the dice say, and looks at how each ends. */
import { MemoryMap } from "../../mod.ts";
import { Dice } from "./dice.ts";
import type { Kind, Shown, Source } from "./shown.ts";
import type { AnyClassTable, AnyFunctionTable, AnyTable } from "./table.ts";
import { type Entry, PLACES, type World } from "./world.ts";

// deno-lint-ignore no-explicit-any -- its table knows its members
type AnyObject = Record<PropertyKey, any>;

/** A call that is ready to be made. */
interface Call {
  readonly text: string;
  /** For the count of what was called: `map.read`. */
  readonly name: string;
  readonly table: AnyTable;
  readonly map: MemoryMap | undefined;
  run(): unknown;
  /** Whether the result is as it must be. */
  holds?(result: unknown): boolean;
}

/** How many calls there were, and how many of them ended without an error. */
export type Tally = Record<string, { calls: number; returned: number }>;

/** Turns of the event loop that a call gets at the most before the next one is made. */
const PATIENCE_MILLISECONDS = 500;

/** Makes the calls of a sequence. */
export class Driver {
  readonly tally: Tally = {};
  readonly #world: World;
  readonly #tables: readonly AnyTable[];
  readonly #seed: number;
  readonly #log: (line: string) => void;

  /** @param log Gets each call before it is made. */
  constructor(
    world: World,
    tables: readonly AnyTable[],
    seed: number,
    log: (line: string) => void,
  ) {
    this.#world = world;
    this.#tables = tables;
    this.#seed = seed;
    this.#log = log;
  }

  /** Makes call number `index`. */
  async step(index: number): Promise<void> {
    const world = this.#world;
    const dice = new Dice(this.#seed, index);
    world.call = index;
    world.abortDue();
    const place = dice.between(0, PLACES - 1);
    const table = dice.weighted(this.#tables, ({ weight }) => weight);
    const call = "functions" in table
      ? this.#functionCall(table, { dice, world, map: undefined })
      : this.#methodCall(table, dice, place);
    if (call !== undefined) await this.#make(call, place, dice);
    if (dice.chance(0.05)) await turn();
  }

  #functionCall(table: AnyFunctionTable, from: Source): Call {
    const name = from.dice.pick(Object.keys(table.functions));
    const args = argumentsOf(table.functions[name]!, from);
    return {
      name: `${table.name}.${name}`,
      text: `${table.name}.${name}(${textsOf(args)})`,
      table,
      map: undefined,
      run: () => table.owner[name](...args.map(({ value }) => value)),
    };
  }

  #methodCall(table: AnyClassTable, dice: Dice, place: number): Call | undefined {
    const entry = this.#subject(table, dice, place);
    if (entry === undefined) return undefined;
    const { label } = entry;
    const subject = entry.value as AnyObject;
    const map = subject instanceof MemoryMap ? subject : table.mapOf?.(subject) ?? entry.map;
    const from = { dice, world: this.#world, map };
    const call = (name: string, text: string, run: () => unknown): Call => ({
      name: `${table.name}.${name}`,
      text: `${label}${text}`,
      table,
      map,
      run,
    });
    const choices = membersOf(table, subject);
    const member = dice.weighted(choices, ({ weight }) => weight);
    const { key } = member;
    const name = String(key);
    switch (member.sort) {
      case "method": {
        const args = argumentsOf(table.methods[key as string]!, from);
        const check = table.results?.[key as string] as
          | ((result: unknown, subject: unknown) => boolean)
          | undefined;
        return {
          ...call(
            name,
            `${typeof key === "symbol" ? `[${name}]` : `.${name}`}(${textsOf(args)})`,
            () => subject[key](...args.map(({ value }) => value)),
          ),
          ...(check && { holds: (result: unknown) => check(result, subject) }),
        };
      }
      case "action": {
        const { takes, run } = table.actions![name]!;
        const args = argumentsOf(takes, from);
        const values = args.map(({ value }) => value);
        return call(name, `: ${name}(${textsOf(args)})`, () => run(subject, ...values));
      }
      case "setter": {
        const { value, text } = table.setters![name]!(from);
        return call(name, `.${name} = ${text}`, () => void (subject[key] = value));
      }
      case "getter":
        return call(name, `.${name}`, () => subject[key]);
    }
  }

  /** An object of the class that is there; a fresh one if there is none, or none of use. */
  #subject(table: AnyClassTable, dice: Dice, place: number): Entry | undefined {
    const world = this.#world;
    const found = world.pool(table.name)[place] ?? dice.pick(world.all(table.name));
    const map = found?.map;
    const spent = found === undefined || table.isSpent?.(found.value) === true ||
      (map !== undefined && !map.isValid);
    if (!spent || (found !== undefined && dice.chance(0.1))) return found as Entry;
    const maps = world.all("map").map(({ value }) => value as MemoryMap)
      .filter(({ isValid }) => isValid);
    const base = maps.length === 0 ? undefined : dice.pick(maps);
    const made = table.make({ dice, world, map: base });
    if (made === undefined) return found;
    const text = `${table.name}${place} = ${made.text}`;
    this.#log(`${world.call} ${text}`);
    try {
      const value = made.value();
      return world.put(table.name, place, value, table.mapOf?.(value) ?? base);
    } catch (error) {
      if (table.allows?.(error) !== true) world.judge(error, text);
      return found;
    }
  }

  async #make(call: Call, place: number, dice: Dice): Promise<void> {
    const world = this.#world;
    const count = this.tally[call.name] ??= { calls: 0, returned: 0 };
    const failed = (error: unknown): void => {
      this.#log(`  threw ${shorten(error)}`);
      if ((call.table as AnyClassTable).allows?.(error) !== true) world.judge(error, call.text);
    };
    const returned = (result: unknown): void => {
      count.returned++;
      if (call.holds?.(result) === false) {
        world.report(`wrong result of ${call.text}: ${String(result)}`);
      }
      this.#absorb(result, place, call.map);
    };
    this.#log(`${world.call} [${place}] ${call.text}`);
    count.calls++;
    try {
      const result = call.run();
      if (result instanceof Promise) {
        const settled = result.then(returned, failed);
        world.await(settled, call.text);
        if (dice.chance(0.5)) await Promise.race([settled, turn(PATIENCE_MILLISECONDS)]);
      } else returned(result);
    } catch (error) {
      failed(error);
    }
    if (call.map !== undefined) world.inspect(call.map, call.text);
  }

  /** Keeps what came out of a call, if calls can be made on it. */
  #absorb(result: unknown, place: number, map: MemoryMap | undefined): void {
    if (typeof result !== "object" || result === null) return;
    for (const table of this.#tables) {
      if ("functions" in table || !table.is(result)) continue;
      this.#world.put(table.name, place, result, table.mapOf?.(result) ?? map);
      return;
    }
    if (Object.getPrototypeOf(result) !== Object.prototype) return;
    for (const value of Object.values(result)) this.#absorb(value, place, map);
  }
}

/** A member of a class that can be called, read or written. */
interface Member {
  readonly sort: "method" | "action" | "setter" | "getter";
  readonly key: string | symbol;
  readonly weight: number;
}

function membersOf(table: AnyClassTable, subject: object): Member[] {
  const getters = Object.entries(
    Object.getOwnPropertyDescriptors(Object.getPrototypeOf(subject) ?? {}),
  ).filter(([, { get }]) => get !== undefined).map(([name]) => name);
  const members = (sort: Member["sort"], keys: readonly (string | symbol)[], weight: number) =>
    keys.map((key) => ({ sort, key, weight: weightOf(key, weight) }));
  return [
    ...members("method", Reflect.ownKeys(table.methods), 1),
    ...members("action", Object.keys(table.actions ?? {}), 1),
    ...members("setter", Object.keys(table.setters ?? {}), 0.5),
    ...members("getter", getters, 0.25),
  ];
}

/** What ends an object is done seldom: it would end most of them at once. */
function weightOf(key: string | symbol, weight: number): number {
  return key === "close" || key === Symbol.dispose || key === "unmapRange" ? 0.15 : weight;
}

/** Arguments of the kinds; those at the end may be left out. */
function argumentsOf(kinds: readonly Kind[], from: Source): Shown[] {
  const { dice } = from;
  const least = kinds.findLastIndex(({ isNeeded }) => isNeeded === true) + 1;
  const wanted = dice.chance(0.25) ? dice.between(least, kinds.length) : kinds.length;
  return kinds.slice(0, wanted).map((kind) => kind(from));
}

function textsOf(args: readonly Shown[]): string {
  return args.map(({ text }) => text).join(", ");
}

/** Lets the event loop turn. */
function turn(milliseconds = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** What was thrown, on one line. */
function shorten(error: unknown): string {
  try {
    return String(error).slice(0, 200);
  } catch {
    return "something without a text";
  }
}
