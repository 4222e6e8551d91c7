/** The kinds of arguments that the calls take. */
import fs from "node:fs";
import { pathToFileURL } from "node:url";
import * as mman from "../../mod.ts";
import { HOSTILE_NUMBERS, options, orHostile } from "./hostile.ts";
import { anyOf, type Kind, needed, oneOf, plain, type Source } from "./shown.ts";

const PAGE = 4096;

/** Bytes of the map that the call is about. */
function sizeOf({ map }: Source): number {
  return map?.size ?? PAGE;
}

/** A place in the map, its ends, and places just outside. */
export const offset: Kind = orHostile((from) => {
  const size = sizeOf(from);
  const { dice } = from;
  return plain(dice.pick([
    ...[0, 0, dice.between(0, size), dice.between(0, size), dice.between(0, size)],
    Math.floor(dice.between(0, size) / PAGE) * PAGE,
    dice.pick([1, 8, PAGE - 1, size - 1, size, size + 1]),
  ]));
});

/** Bytes from some place on; small enough to fit in most cases. */
export const length: Kind = orHostile((from) => {
  const size = sizeOf(from);
  const { dice } = from;
  return plain(dice.pick([
    ...[0, 1, 8, dice.between(0, 100), dice.between(0, 100), dice.between(0, size)],
    ...[PAGE, 2 * PAGE, size, size + 1],
  ]));
});

/** A size to make or to change to. */
export const size: Kind = orHostile(({ dice }) =>
  plain(dice.pick([
    ...[1, 100, PAGE, PAGE + 1, 16 * PAGE, dice.between(1, 1 << 18), dice.between(1, 1 << 18)],
    dice.chance(0.05) ? 32 << 20 : PAGE,
  ]))
);

/** A number that is used as it is: an index, a position, a count. */
export const index: Kind = orHostile(({ dice }) => plain(dice.between(-3, 40)));

/** A byte. */
export const byte: Kind = orHostile(({ dice }) => plain(dice.between(0, 255)));

const { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC } = mman;
const READ_WRITE = PROT_READ | PROT_WRITE;

/** A protection, mostly for reading and writing. */
export const prot: Kind = orHostile(
  oneOf(
    ...[READ_WRITE, READ_WRITE, READ_WRITE, PROT_READ, PROT_WRITE, PROT_NONE],
    ...[PROT_READ | PROT_EXEC, 8],
  ),
);

const { MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS } = mman;

/** Flags of mmap. */
export const flags: Kind = orHostile(({ dice }) =>
  plain(
    dice.pick([MAP_SHARED, MAP_PRIVATE, MAP_PRIVATE]) |
      (dice.chance(0.7) ? MAP_ANONYMOUS : 0) |
      (dice.chance(0.2)
        ? dice.pick([
          ...[mman.MAP_POPULATE, mman.MAP_NORESERVE, mman.MAP_LOCKED, mman.MAP_STACK],
          ...[mman.MAP_FIXED, mman.MAP_HUGETLB, 3, 1 << 30],
        ])
        : 0),
  )
);

/** Flags of msync. */
export const syncFlags: Kind = orHostile(oneOf(1, 2, 4, 4, 6, 5, 0, 8));

const advices = Object.entries(mman).filter(([name]) => name.startsWith("MADV_"))
  .map(([, value]) => value);

/** Advice for madvise. */
export const advice: Kind = orHostile(oneOf(...advices));

/** Advice by name. */
export const hint: Kind = orHostile(
  oneOf(
    ...["normal", "random", "sequential", "willNeed", "cold", "pageOut", "hugePages"],
    ...["noHugePages", "collapse", "mergeable", "unmergeable", "fork", "noFork", "dump", "noDump"],
  ),
);

/** True or false. */
export const flag: Kind = orHostile(oneOf(true, false));

/** A map. */
export const map: Kind = orHostile(({ world, dice, map }) => {
  const entries = world.all("map");
  if (entries.length === 0) return { value: map, text: "the map" };
  const { value, label } = dice.pick(entries);
  return { value, text: label };
});

const FILES = 8;

/** The path of a file; most are there. */
export const filePath: Kind<string> = ({ world, dice }) =>
  plain(world.file(dice.between(0, FILES)));

/** A path as `open` takes it. */
export const anyPath: Kind = orHostile((from) => {
  if (from.dice.chance(0.85)) return filePath(from);
  const { value } = filePath(from);
  const url = pathToFileURL(value);
  return from.dice.pick([
    { value: url, text: `new URL("${url}")` },
    ...[new URL("https://host/x"), new URL("file://host/x"), new URL("file:///a%00b")]
      .map((value) => ({ value, text: `new URL("${value}")` })),
    ...["link", "folder", "missing/file", "/dev/zero", "/dev/null", "/proc/self/status"].map(plain),
  ]);
}, 0.03);

/** An open descriptor, closed with the process's other descriptors at the end. */
export const descriptor: Kind = orHostile((from) => {
  const { world, dice } = from;
  const { value: file } = filePath(from);
  const mode = dice.pick(["r", "r+", "r+"]);
  if (!fs.existsSync(file)) return plain(2 ** 31 - 1);
  const fd = fs.openSync(file, mode);
  world.ends.push(() => fs.closeSync(fd));
  return { value: fd, text: `openSync("${file}", "${mode}")` };
});

/** Milliseconds that a call may wait: short, because nobody will end the wait. */
export const milliseconds: Kind = oneOf(0, 0, 1, 5, -1, NaN, "5", undefined, null, 0.5);

/** As {@link milliseconds}, where leaving it out is to wait without end. */
export const patience: Kind = needed(oneOf(0, 0, 0, 1, 1, 3, 0.5, -1, NaN, "5", null, 1n));

/** Options of operations that can be aborted. */
export const signal: Kind = orHostile((from) => {
  const { dice, world } = from;
  const calls = dice.between(0, 4);
  return { value: world.abortIn(calls).signal, text: `a signal aborted ${calls} calls later` };
});

/** Options of operations that end in a promise. */
export const asyncOptions: Kind = orHostile(options({ signal }));

/** What `open` may be told besides size and place. */
export const howToOpen: Readonly<Record<string, Kind>> = {
  permissions: orHostile(oneOf(0o600, 0o644, 0o7777, 0o10000)),
  access: orHostile(oneOf("normal", "random", "sequential")),
  preallocate: flag,
  populate: flag,
  hugePages: flag,
  truncateOnClose: orHostile(oneOf(0, 1, PAGE, 50_000)),
  lock: orHostile(oneOf("shared", "exclusive")),
  lockTimeout: milliseconds,
  inherit: flag,
  sharedBuffer: orHostile(oneOf(true, false, false)),
  name: orHostile(oneOf("a name", "")),
};

/** How an existing file is opened. */
export const openMode: Kind = orHostile(oneOf("r", "r+", "r+", "r+", "c", "c", "w+"), 0.03);

/** Options of `open`: few of them, since most pairs exclude each other. */
export const openOptions: Kind = orHostile((from) => {
  const few = options({ mode: openMode }, 0.9);
  const many = options({ mode: openMode, size, offset, ...howToOpen }, 0.2);
  const sized = options({ mode: openMode, size }, 0.9);
  return from.dice.pick([few, sized, sized, many])(from);
}, 0.03);

/** Names of shared memory: none that somebody else could have. */
export const sharedName: Kind = ({ world, dice }) =>
  plain(dice.pick([
    ...Array.from({ length: 6 }, (_, k) => `${world.prefix}-${k}`),
    ...["", "/", ".", "..", "a/b", "a\0b", "x".repeat(300), `/${world.prefix}-0`],
  ]));

/** A class of typed arrays, or something like one. */
export const arrayClass: Kind = orHostile(({ dice }) => {
  const value = dice.pick([
    ...[Uint8Array, Uint8Array, Int16Array, Uint32Array, Float32Array, Float64Array],
    ...[BigInt64Array, Uint8ClampedArray, DataView, Array],
    class Mine extends Uint16Array {},
  ]);
  return { value, text: value.name };
});

/** What `share` returned, whole or spoiled. */
export const handle: Kind = orHostile((from) => {
  const { dice, world } = from;
  const entry = dice.pick(world.all("handle")) ?? { value: undefined, label: "undefined" };
  if (entry.value === undefined || dice.chance(0.6)) {
    return { value: entry.value, text: entry.label };
  }
  const key = dice.pick([
    ...["kind", "record", "path", "name", "memory"],
  ]);
  const spoiled = dice.pick<unknown>([
    ...[undefined, null, -1, NaN, 1e9, 5n, "x", {}, new SharedArrayBuffer(1)],
    ...HOSTILE_NUMBERS,
  ]);
  return {
    value: { ...entry.value, [key]: spoiled },
    text: `{ ...${entry.label}, ${key}: ${String(spoiled)} }`,
  };
});

/** Text, with what text can have in it. */
export const text: Kind = orHostile(anyOf(
  oneOf("", "text", "é\n日本", "a\0b", "\ud800", "line\nline\n", "\n"),
  oneOf("x".repeat(5000)),
));
