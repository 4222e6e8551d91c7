/** Journals, whose files are cut, removed and filled with lies while they are read and written. */
import fs from "node:fs";
import { Journal } from "../../../src/journal/mod.ts";
import { data } from "../bytes.ts";
import { isClosed } from "../closable.ts";
import { damage } from "../damage.ts";
import { options, orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { type Kind, needed, oneOf, plain, type Shown, type Source } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";

const PATHS: readonly string[] = ["journal-0", "journal-1", "journal-2"];

/** The ends of the names of a journal's files. */
const ENDS: readonly string[] = ["", "", "", ".000001", ".000001", ".000002", ".lock", ".new"];

const path: Kind = orHostile((from) =>
  from.dice.chance(0.9) ? plain(from.dice.pick(PATHS)) : kind.anyPath(from)
);
const sequence: Kind = orHostile(oneOf(0, 0, 1, 2, 5, 20, 100, 2 ** 32));

/** What is appended: short enough for a small segment, most often. */
const content: Kind = orHostile((from) => {
  const { dice } = from;
  if (dice.chance(0.2)) return data(from);
  const length = dice.pick([0, 1, 7, 8, 100, 500, 3000, 4096]);
  return { value: new Uint8Array(length).fill(length), text: `new Uint8Array(${length})` };
});

/** An AbortSignal that ends a wait, soon: nothing else is called meanwhile. */
const end: Kind = needed(({ dice }) => {
  const milliseconds = dice.pick([0, 1, 3]);
  return {
    value: AbortSignal.timeout(milliseconds),
    text: `AbortSignal.timeout(${milliseconds})`,
  };
});

/** Bytes of a segment: small ones, many of them. */
const SIZES: readonly number[] = [4096, 4096, 5000, 8192];

/** Most are not flushed: that would take more time than all else. */
const DURABILITIES = ["none", "none", "none", "batch", "every"] as const;

/** A journal to be written; to be read if somebody writes it; new in place of one that is broken. */
function fresh({ dice }: Source): Shown<() => Journal> {
  const path = dice.pick(PATHS);
  const size = dice.pick(SIZES);
  const durability = dice.pick(DURABILITIES);
  const mode = dice.pick(["a+", "a+", "r", "w+"] as const);
  return {
    text: `Journal.open("${path}", { mode: "${mode}", size: ${size}, ` +
      `durability: "${durability}" }), or else "r", or else without its files`,
    value: () => {
      const attempts = [
        () => Journal.open(path, { mode, size, durability, batchMs: 1 }),
        () => Journal.open(path, { mode: "r" }),
      ];
      for (const attempt of attempts) {
        try {
          return attempt();
        } catch {
          // The next one may do.
        }
      }
      for (const end of ENDS) fs.rmSync(path + end, { force: true });
      return Journal.open(path, { size, durability, batchMs: 1 });
    },
  };
}

const isSequence = (sequence: unknown): boolean =>
  Number.isSafeInteger(sequence) && (sequence as number) >= 0;

const journals = classTable<Journal>({
  name: "journal",
  weight: 5,
  is: (value) => value instanceof Journal,
  make: fresh,
  isSpent: (journal) => isClosed(() => journal.durableSequence),
  methods: {
    append: [content],
    appendAsync: [content],
    sync: [],
    readFrom: [sequence],
    tail: [sequence, orHostile(options({ signal: kind.signal }))],
    removeBefore: [sequence],
    verify: [],
    close: [],
    [Symbol.dispose]: [],
  },
  actions: {
    readAll: {
      takes: [sequence],
      run: (journal, sequence) => {
        let left = 50;
        for (const _ of journal.readFrom(sequence)) {
          if (left-- === 0) break;
        }
      },
    },
    readWhile: {
      takes: [needed((from) => damageOf(from))],
      run: (journal, deed) => {
        let left = 5;
        for (const _ of journal.readFrom(0)) {
          if (left-- === 3) deed();
          if (left === 1) journal.removeBefore(3);
          if (left === 0) journal.close();
        }
      },
    },
    tailOn: {
      takes: [sequence, end],
      run: async (journal, sequence, signal) => {
        let left = 5;
        for await (const _ of journal.tail(sequence, { signal })) {
          if (left-- === 0) break;
        }
      },
    },
    fillUp: {
      takes: [],
      run: (journal) => {
        if (journal.durability === "every") return;
        for (let k = 0; k < 30; k++) journal.append(new Uint8Array(k * 10));
      },
    },
  },
  results: { append: isSequence, appendAsync: isSequence },
});

function damageOf(from: Source): Shown<() => void> {
  return damage(from.dice.pick(PATHS) + from.dice.pick(ENDS), from);
}

const journal = functionTable<typeof Journal>({
  name: "Journal",
  weight: 0.5,
  owner: Journal,
  functions: {
    open: [
      path,
      orHostile((from) => {
        const rest = options({
          mode: orHostile(oneOf("r", "r+", "w+", "a+")),
          durability: orHostile(oneOf(...DURABILITIES)),
          batchMs: oneOf(0, 1, 5, -1, NaN, "5"),
          batchBytes: orHostile(oneOf(1, 100, 4096)),
          permissions: orHostile(oneOf(0o600, 0o644, 0o10000)),
        })(from);
        // Always: what is made without one is 16 MiB.
        const size = orHostile(oneOf(...SIZES, 4095, 0, 2 ** 31))(from);
        return {
          value: typeof rest.value === "object" && rest.value !== null
            ? Object.defineProperty(rest.value, "size", { value: size.value, enumerable: true })
            : rest.value,
          text: `${rest.text} with size: ${size.text}`,
        };
      }),
    ],
  },
});

const damages = functionTable({
  name: "journals",
  weight: 0.7,
  owner: { damage: (deed: () => void) => deed() },
  functions: { damage: [needed(damageOf)] },
});

/** The tables of this file. */
export const journalTables: readonly AnyTable[] = [journals, journal, damages];
