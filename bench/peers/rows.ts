/** What is compared: each row a question, who answers it with which request, and what we want of ours. */
import type { Name } from "./contestants.ts";
import {
  BLOCKS_LIST,
  COLD_LIST,
  DOUBLES,
  DOUBLES_TEXT,
  INTEGERS,
  LARGE,
  NEEDLE,
  SMALL,
  TEXT,
} from "./files.ts";

/** How the page cache is when the clock starts. */
export type Cache =
  /** Of no matter: nothing is read from files. */
  | "none"
  /** The whole file is in it, read from its start to its end: large folios. */
  | "read in order"
  /** What is read is in it, brought by reading just that, at random: small folios. */
  | "read at random"
  /** Nothing of the file is in it. */
  | "cold";

/** One who answers a row. */
export interface Entry {
  readonly who: Name;
  /** What this one does, in a few words. */
  readonly how: string;
  /** Sent before the clock starts. */
  readonly prepare?: string;
  readonly request: string;
}

/** A comparison. */
export interface Row {
  readonly id: string;
  readonly question: string;
  readonly cache: Cache;
  /** The file whose state in the page cache counts. */
  readonly file?: string;
  readonly rounds: number;
  /** Of how many things the time is, for the time of one. */
  readonly calls: number;
  readonly unit: string;
  readonly entries: readonly Entry[];
  /** What an entry's time may be at most, as a part of another's. */
  readonly wants: readonly Want[];
}

/** `ours` takes at most `most` of the time of `rival`. */
export interface Want {
  readonly ours: string;
  readonly rival: string;
  readonly most: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const OURS: readonly Name[] = ["mman on Deno", "mman on Bun", "mman on Node"];

const label = ({ who, how }: Entry): string => `${who}, ${how}`;
export { label };

/** The same entry for this library on each runtime. */
function ours(how: string, request: string, prepare?: string): Entry[] {
  return OURS.map((who) => entry(who, how, request, prepare));
}

function entry(who: Name, how: string, request: string, prepare?: string): Entry {
  return { who, how, request, ...(prepare === undefined ? {} : { prepare }) };
}

/** The same for ordinary reading on each runtime. */
function plain(how: string, request: string, prepare: string): Entry[] {
  return (["Deno", "Bun", "Node"] as const).map((who) => entry(who, how, request, prepare));
}

const use = (file: string, how = "normal") => `use ${file} ${how}`;

function copyRow(kind: "dropped" | "kept" | "into", question: string, most: Want[]): Row {
  const request = `copies ${kind} 200 ${MiB}`;
  const method = kind === "into" ? "readInto" : "read";
  return {
    id: `copy-${kind}`,
    question,
    cache: "read in order",
    file: TEXT,
    rounds: 9,
    calls: 200,
    unit: "copy",
    entries: [
      entry("C", "memcpy", request, use(TEXT)),
      entry("Python", kind === "into" ? "memoryview" : "slice", request, use(TEXT)),
      entry("Bun", "Bun.mmap", `${request} mmap`, use(TEXT, "mmap")),
      entry("mmap-io", kind === "into" ? "copy" : "slice", request, use(TEXT)),
      ...plain("readSync", `${request} read`, use(TEXT)),
      ...ours(method, request, use(TEXT)),
    ],
    wants: most,
  };
}

function blocksRow(id: string, question: string, cache: Cache, list: string, calls: number): Row {
  const request = (how: string) => `blocks ${how} ${list}`;
  const cold = cache === "cold";
  return {
    id,
    question,
    cache,
    file: LARGE,
    rounds: 7,
    calls,
    unit: "block",
    entries: [
      entry("C", "mmap", request("mmap"), use(LARGE)),
      entry("C", "mmap, MADV_RANDOM", request("mmap"), use(LARGE, "random")),
      entry("C", "pread", request("pread"), use(LARGE)),
      entry("Python", "mmap", request("mmap"), use(LARGE)),
      entry("Python", "lseek and read", request("pread"), use(LARGE)),
      entry("Deno", "seek and read", request("seek"), use(LARGE)),
      entry("Bun", "readSync", request("pread"), use(LARGE)),
      entry("Node", "readSync", request("pread"), use(LARGE)),
      ...(cold ? [] : [
        entry("Bun", "Bun.mmap", request("mmap"), use(LARGE, "mmap")),
      ]),
      ...(cold ? [] : ours("readInto", request("mmap"), use(LARGE))),
      ...ours('readInto, access: "random"', request("mmap"), use(LARGE, "random")),
      ...ours('prefetch, access: "random"', request("prefetch"), use(LARGE, "random")),
      ...ours('readMany, access: "random"', request("many"), use(LARGE, "random")),
    ],
    wants: cold
      ? [
        want('mman on Deno, readInto, access: "random"', "C, mmap, MADV_RANDOM", 1.1),
        want('mman on Deno, readInto, access: "random"', "C, mmap", 1 / 8),
        want('mman on Deno, prefetch, access: "random"', "C, pread", 1 / 2),
        want('mman on Deno, readMany, access: "random"', "C, pread", 1 / 2),
      ]
      : [
        want("mman on Deno, readInto", "C, mmap", 1.25),
        want("mman on Deno, readInto", "Python, mmap", 1),
        want("mman on Deno, readInto", "Deno, seek and read", 1 / 3),
      ],
  };
}

function want(oursLabel: string, rival: string, most: number): Want {
  return { ours: oursLabel, rival, most };
}

/** All rows, in the order of the report. */
export const rows: readonly Row[] = [
  copyRow("into", "200 copies of 1 MiB into an existing buffer", [
    want("mman on Deno, readInto", "C, memcpy", 1 / 0.95),
  ]),
  copyRow("kept", "200 copies of 1 MiB into fresh buffers that are kept", [
    want("mman on Deno, read", "Python, slice", 1),
    want("mman on Deno, read", "C, memcpy", 1),
  ]),
  copyRow("dropped", "200 copies of 1 MiB into fresh buffers that are dropped at once", [
    want("mman on Bun, read", "Bun, Bun.mmap", 1),
  ]),
  blocksRow(
    "random-warm",
    "100,000 random blocks of 4 KiB of 4 GiB, warm: large folios",
    "read in order",
    BLOCKS_LIST,
    100_000,
  ),
  blocksRow(
    "random-warm-small-folios",
    "100,000 random blocks of 4 KiB of 4 GiB, warm: small folios",
    "read at random",
    BLOCKS_LIST,
    100_000,
  ),
  blocksRow("random-cold", "3,000 random blocks of 4 KiB of 4 GiB, cold", "cold", COLD_LIST, 3000),
  {
    id: "sum",
    question: "Open and sum 10 million x 3 doubles, 240 MB",
    cache: "read in order",
    file: DOUBLES,
    rounds: 9,
    calls: 1,
    unit: "sum",
    entries: [
      entry("C", "mmap, -O3 -ffast-math", `sum ${DOUBLES}`),
      entry("NumPy", "memmap", `sum ${DOUBLES} memmap`),
      entry("NumPy", "fromfile", `sum ${DOUBLES} fromfile`),
      entry("Python", "text, a number a line", `sum ${DOUBLES_TEXT} text`),
      entry("Deno", "readFileSync", `sum ${DOUBLES}`),
      entry("Bun", "readFileSync", `sum ${DOUBLES}`),
      entry("Node", "readFileSync", `sum ${DOUBLES}`),
      ...ours("MappedArray.sum", `sum ${DOUBLES}`),
    ],
    wants: [
      want("mman on Deno, MappedArray.sum", "NumPy, memmap", 1),
      want("mman on Deno, MappedArray.sum", "C, mmap, -O3 -ffast-math", 1.2),
    ],
  },
  {
    id: "sparse",
    question: "Create a sparse file of 24 GiB, map it, write ten rows, flush, close",
    cache: "none",
    rounds: 15,
    calls: 1,
    unit: "file",
    entries: [
      entry("C", "mmap", `sparse SPARSE ${24 * GiB} 10 4096`),
      entry("Python", "mmap", `sparse SPARSE ${24 * GiB} 10 4096`),
      ...ours("open", `sparse SPARSE ${24 * GiB} 10 4096`),
    ],
    wants: [want("mman on Deno, open", "C, mmap", 1.3)],
  },
  {
    id: "median",
    question: "The exact median of 2 GiB of 16-bit integers",
    cache: "read in order",
    file: INTEGERS,
    rounds: 3,
    calls: 1,
    unit: "median",
    entries: [
      entry("C", "histogram, one thread", `median ${INTEGERS}`),
      entry("NumPy", "median of a memmap", `median ${INTEGERS} median`),
      entry("NumPy", "bincount in two processes", `median ${INTEGERS} bincount`),
      ...ours("one worker", `median ${INTEGERS} 1`),
      ...ours("two workers", `median ${INTEGERS} 2`),
    ],
    wants: [
      want("mman on Deno, one worker", "NumPy, median of a memmap", 1 / 10),
      want("mman on Deno, two workers", "NumPy, bincount in two processes", 1),
      want("mman on Deno, two workers", "mman on Deno, one worker", 1 / 1.8),
    ],
  },
  {
    id: "find",
    question: "A needle of 16 bytes at the end of 1 GiB",
    cache: "read in order",
    file: TEXT,
    rounds: 7,
    calls: 1,
    unit: "search",
    entries: [
      entry("C", "memmem", `find ${NEEDLE}`, use(TEXT)),
      entry("Python", "find", `find ${NEEDLE}`, use(TEXT)),
      entry("Bun", "Bun.mmap and Buffer.indexOf", `find ${NEEDLE}`, use(TEXT, "mmap")),
      entry("mmap-io", "Buffer.indexOf", `find ${NEEDLE}`, use(TEXT)),
      ...ours("find", `find ${NEEDLE}`, use(TEXT)),
    ],
    wants: [want("mman on Deno, find", "C, memmem", 1.02)],
  },
  {
    id: "count",
    question: "Count the lines of 1 GiB of text",
    cache: "read in order",
    file: TEXT,
    rounds: 5,
    calls: 1,
    unit: "count",
    entries: [
      entry("C", "memchr", "count", use(TEXT)),
      entry("Python", "find", "count", use(TEXT)),
      ...plain("readSync and indexOf", "count", use(TEXT)),
      ...ours("count", "count", use(TEXT)),
    ],
    wants: [want("mman on Deno, count", "C, memchr", 1)],
  },
  {
    id: "scan-cold",
    question: "Go through 1 GiB once, cold",
    cache: "cold",
    file: TEXT,
    rounds: 3,
    calls: 1,
    unit: "scan",
    entries: [
      entry("C", "mmap", "count", use(TEXT)),
      entry("C", "mmap, MADV_SEQUENTIAL", "count", use(TEXT, "sequential")),
      ...plain("readSync and indexOf", "count", use(TEXT)),
      ...ours("count", "count", use(TEXT)),
      ...ours('count, access: "sequential"', "count", use(TEXT, "sequential")),
    ],
    wants: [],
  },
  {
    id: "open-close",
    question: "Open, map, touch, unmap and close 64 KiB, 20,000 times",
    cache: "read in order",
    file: SMALL,
    rounds: 7,
    calls: 20_000,
    unit: "file",
    entries: [
      entry("C", "mmap", `open-close ${SMALL} 20000`),
      entry("Python", "mmap", `open-close ${SMALL} 20000`),
      entry("Deno", "readSync of it all", `open-close ${SMALL} 20000`),
      entry("Bun", "readSync of it all", `open-close ${SMALL} 20000`),
      entry("Node", "readSync of it all", `open-close ${SMALL} 20000`),
      ...ours("open", `open-close ${SMALL} 20000`),
    ],
    wants: [want("mman on Deno, open", "C, mmap", 1.3)],
  },
  {
    id: "flush",
    question: "Change one page and flush it, 200 times",
    cache: "read in order",
    file: SMALL,
    rounds: 21,
    calls: 200,
    unit: "flush",
    entries: [
      entry("C", "msync", "flush 200", use(SMALL, "writable")),
      entry("Python", "flush", "flush 200", use(SMALL, "writable")),
      ...ours("flush", "flush 200", use(SMALL, "writable")),
    ],
    wants: [want("mman on Deno, flush", "C, msync", 1.1)],
  },
  ...(["touch", "populate"] as const).map((how): Row => ({
    id: `first-${how}`,
    question: `First touch of 1 GiB of anonymous memory${
      how === "populate" ? ", faulted in beforehand" : ""
    }`,
    cache: "none",
    rounds: 5,
    calls: 1,
    unit: "gibibyte",
    entries: [
      entry("C", "mmap", `touch ${GiB} ${how}`),
      entry("Python", "mmap", `touch ${GiB} ${how}`),
      ...ours("createAnonymous", `touch ${GiB} ${how}`),
    ],
    wants: [want("mman on Deno, createAnonymous", "C, mmap", 1.2)],
  })),
  {
    id: "lock",
    question: "Lock and unlock, nobody else there, a million times",
    cache: "none",
    rounds: 7,
    calls: 1_000_000,
    unit: "pair",
    entries: [
      entry("C", "robust pthread mutex", "lock 1000000"),
      entry("Python", "threading.Lock", "lock 1000000"),
      ...(["Deno", "Bun", "Node"] as const).map((who) =>
        entry(who, "Atomics alone", "lock 1000000")
      ),
      ...ours("Mutex", "lock 1000000"),
    ],
    wants: [],
  },
];
