/** Arguments that no call expects, and arguments that do something while they are looked at. */
import fs from "node:fs";
import { PROT_NONE, PROT_READ } from "../../mod.ts";
import type { MemoryMap } from "../../mod.ts";
import { UsersError } from "./errors.ts";
import { type Kind, plain, type Shown, type Source } from "./shown.ts";

/** Numbers at and beyond every limit; as a size each is refused before memory is touched. */
export const HOSTILE_NUMBERS: readonly number[] = [
  ...[NaN, -1, -0, 0.5, Infinity, -Infinity, 1e300, 2 ** 47, 2 ** 53, -(2 ** 53)],
  ...[Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
];

const HOSTILE_TEXTS: readonly string[] = ["", "8", "a\0b", "\ud800", "..", "__proto__", "x\n"];

/** Throws at whatever is done to it. */
const untouchable = new Proxy(function () {}, {
  get: refuse,
  has: refuse,
  ownKeys: refuse,
  getOwnPropertyDescriptor: refuse,
  getPrototypeOf: refuse,
  apply: refuse,
  construct: refuse,
});

function refuse(): never {
  throw new UsersError("Touched");
}

/** Something to do at a bad moment. */
interface Act {
  readonly text: string;
  run(): void;
}

/** The collector of this runtime. */
export function collectNow(): void {
  const { Bun, gc } = globalThis as {
    Bun?: { gc(synchronous: boolean): void };
    gc?: () => void;
  };
  if (Bun) Bun.gc(true);
  else gc?.();
}

const acts: readonly ((map: MemoryMap, from: Source) => Act)[] = [
  (map) => ({ text: "close()", run: () => map.close() }),
  (map, { dice }) => {
    const size = dice.pick([1, 4096, 5000, 100_000]);
    return { text: `resize(${size})`, run: () => map.resize(size) };
  },
  (map) => ({ text: "unmapRange(0, size)", run: () => map.unmapRange(0, map.size) }),
  (map, { dice }) => {
    const prot = dice.pick([PROT_NONE, PROT_READ]);
    return { text: `mprotect(${prot})`, run: () => map.mprotect(prot) };
  },
  (map) => ({ text: "buffer.transfer()", run: () => void (map.buffer as ArrayBuffer).transfer() }),
  () => ({ text: "collect", run: collectNow }),
  () => ({ text: "throw", run: refuse }),
  (_, { world, dice }) => {
    const file = world.file(dice.between(0, 7));
    const size = dice.pick([0, 1, 4096, 50_000]);
    return { text: `truncate(${file}, ${size})`, run: () => resizeFile(file, size) };
  },
];

/** Gives a file another size, if it is there. */
export function resizeFile(file: string, size: number): void {
  if (fs.existsSync(file)) fs.truncateSync(file, size);
}

/** Something that happens to the map of a call, or another one. */
export function act(from: Source): Act {
  const { dice, world } = from;
  const entries = world.all("map");
  const map = from.map !== undefined && dice.chance(0.7)
    ? from.map
    : entries.length === 0
    ? undefined
    : dice.pick(entries).value as MemoryMap;
  if (map === undefined) return { text: "nothing", run: () => {} };
  const label = entries.find(({ value }) => value === map)?.label ?? "the map";
  const { text, run } = dice.pick(acts)(map, from);
  return {
    text: `${label}: ${text}`,
    run: () => {
      try {
        run();
      } catch (error) {
        if (error instanceof UsersError) throw error;
        // Engines refuse to transfer what is shared, or transferred already.
        if (!(error instanceof TypeError && text.includes("transfer"))) world.judge(error, text);
      }
    },
  };
}

/** An object that turns into a value, and does something on the way. */
function converted(from: Source, { value, text }: Shown): Shown {
  const { run, text: what } = act(from);
  const convert = () => {
    run();
    return value;
  };
  const name = from.dice.pick(["valueOf", "toString", Symbol.toPrimitive]);
  return { value: { [name]: convert }, text: `{ ${String(name)}: ${what}, then ${text} }` };
}

const kinds: readonly ((from: Source, expected: Kind) => Shown)[] = [
  ({ dice }) => plain(dice.pick(HOSTILE_NUMBERS)),
  ({ dice }) => plain(dice.pick(HOSTILE_NUMBERS)),
  ({ dice }) => plain(dice.pick(HOSTILE_TEXTS)),
  ({ dice }) => plain(dice.pick([undefined, null, true, false])),
  ({ dice }) => plain(dice.pick([0n, -1n, 10n, 2n ** 64n])),
  () => ({ value: Symbol("hostile"), text: "Symbol()" }),
  () => ({ value: {}, text: "{}" }),
  () => ({ value: Object.create(null), text: "Object.create(null)" }),
  () => ({ value: [8], text: "[8]" }),
  () => ({ value: () => 8, text: "() => 8" }),
  () => ({ value: untouchable, text: "untouchable" }),
  () => ({
    value: Object.defineProperty(() => {}, "name", { value: Symbol("name") }),
    text: "a function named by a symbol",
  }),
  ({ world, dice }) => {
    const entry = world.pool("map")[dice.between(0, 7)];
    return { value: entry?.value, text: entry?.label ?? "undefined" };
  },
  (from, expected) => converted(from, expected(from)),
  (from, expected) => converted(from, expected(from)),
  (from, expected) => {
    const { value, text } = expected(from);
    return { value: Object(value ?? {}), text: `Object(${text})` };
  },
];

/** What a call does not expect where it expects something of a kind. */
export function hostile(from: Source, expected: Kind): Shown {
  return from.dice.pick(kinds)(from, expected);
}

/** The kind, and now and then something that is not of it. */
export function orHostile(kind: Kind, probability = 0.06): Kind {
  return (from) => from.dice.chance(probability) ? hostile(from, kind) : kind(from);
}

/** Some of the options, by name; now and then a getter that does something, or an unknown option. */
export function options(known: Readonly<Record<string, Kind>>, share = 0.35): Kind {
  return (from) => {
    const { dice } = from;
    const value = dice.chance(0.05) ? Object.create(null) : {};
    const texts: string[] = [];
    const add = (name: string, option: Shown): void => {
      const { read, text } = dice.chance(0.03) ? changing(from, option) : once(option);
      // Defined, because an assignment to `__proto__` would be something else.
      Object.defineProperty(value, name, { enumerable: true, get: read });
      texts.push(`${name}: ${text}`);
    };
    for (const [name, kind] of Object.entries(known)) {
      if (dice.chance(share)) add(name, dice.chance(0.02) ? hostile(from, kind) : kind(from));
    }
    if (dice.chance(0.02)) add("unknown", plain(1));
    return { value, text: `{ ${texts.join(", ")} }` };
  };
}

function once({ value, text }: Shown): { read: () => unknown; text: string } {
  return { read: () => value, text };
}

/** A getter that does something, and then answers differently when it is read again. */
function changing(from: Source, { value, text }: Shown): { read: () => unknown; text: string } {
  const { run, text: what } = act(from);
  const later = from.dice.pick([
    ...HOSTILE_NUMBERS,
    undefined,
    null,
    "r",
    "later",
    Symbol("later"),
  ]);
  let reads = 0;
  const read = () => {
    run();
    return reads++ === 0 ? value : later;
  };
  return { read, text: `get (${what}, then ${text}, then ${String(later)})` };
}
