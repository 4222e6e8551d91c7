/** Cursor, its streams, and what goes through lines and elements. */
import { Cursor } from "../../../mod.ts";
import { data, needle } from "../bytes.ts";
import { isEngines, UsersError } from "../errors.ts";
import { orHostile } from "../hostile.ts";
import * as kind from "../kinds.ts";
import { oneOf, type Shown, type Source } from "../shown.ts";
import { type AnyTable, classTable, engineTable } from "../table.ts";

const { length, offset } = kind;

/** A cursor of an open map. */
function fresh({ map }: Source): Shown<() => Cursor> | undefined {
  return map && { text: "a map's cursor()", value: () => map.cursor() };
}

const cursors = classTable<Cursor>({
  name: "cursor",
  weight: 3,
  is: (value) => value instanceof Cursor,
  make: fresh,
  methods: {
    tell: [],
    seek: [offset, orHostile(oneOf(0, 0, 1, 2, 3))],
    read: [length],
    readByte: [],
    readLine: [],
    write: [data],
    writeByte: [kind.byte],
    find: [needle, offset, offset],
    rfind: [needle, offset, offset],
    lines: [],
    textLines: [orHostile(oneOf(undefined, "utf-8", "latin1", "utf-16le", "nonsense"))],
    readable: [],
    writable: [],
  },
  setters: { position: offset },
  results: {
    tell: (place: unknown) => Number.isInteger(place),
    readByte: (byte: number) => byte >= 0 && byte <= 255,
  },
});

type Lines = Generator<unknown, unknown, unknown>;

const iterators = engineTable<Lines>({
  name: "iterator",
  weight: 1,
  is: (value): value is Lines =>
    typeof (value as Lines).next === "function" && Symbol.iterator in (value as Lines),
  make: ({ map, dice }) => {
    if (map === undefined) return undefined;
    const method = dice.pick(["lines", "textLines"] as const);
    return { text: `a map's cursor().${method}()`, value: () => map.cursor()[method]() };
  },
  methods: {
    next: [],
    [Symbol.iterator]: [],
    [Symbol.dispose]: [],
  },
  actions: { // not all iterators have these
    return: { takes: [], run: (iterator) => iterator.return?.(undefined) },
    throw: { takes: [], run: (iterator) => iterator.throw?.(new UsersError()) },
  },
});

/** Reads one chunk of a stream, with a buffer if there is one, and lets go of the stream. */
async function readChunk(stream: ReadableStream<Uint8Array>, room: number): Promise<unknown> {
  if (room < 1) {
    const reader = stream.getReader();
    try {
      return await reader.read();
    } finally {
      reader.releaseLock();
    }
  }
  const reader = stream.getReader({ mode: "byob" });
  try {
    return await reader.read(new Uint8Array(room));
  } finally {
    reader.releaseLock();
  }
}

async function writeChunk(stream: WritableStream, chunk: unknown): Promise<void> {
  const writer = stream.getWriter();
  writer.closed.catch(() => {}); // the failure of the write says it already
  writer.ready.catch(() => {});
  try {
    await writer.write(chunk);
  } finally {
    writer.releaseLock();
  }
}

const readables = engineTable<ReadableStream<Uint8Array>>({
  name: "readable",
  weight: 1,
  is: (value) => value instanceof ReadableStream,
  make: ({ map }) =>
    map && { text: "a map's cursor().readable()", value: () => map.cursor().readable() },
  methods: {},
  actions: {
    read: { takes: [oneOf(0, 0, 1, 100, 100_000)], run: readChunk },
    cancel: { takes: [], run: (stream) => stream.cancel(new UsersError()) },
  },
  allows: isEngines, // of streams that have ended, or that somebody else reads
});

const writables = engineTable<WritableStream>({
  name: "writable",
  weight: 1,
  is: (value) => value instanceof WritableStream,
  make: ({ map }) =>
    map && { text: "a map's cursor().writable()", value: () => map.cursor().writable() },
  methods: {},
  actions: {
    write: { takes: [data], run: writeChunk },
    close: { takes: [], run: (stream) => stream.close() },
    abort: { takes: [], run: (stream) => stream.abort(new UsersError()) },
  },
  allows: isEngines, // of streams that have ended, or that somebody else reads
});

/** The tables of this file. */
export const cursorTables: readonly AnyTable[] = [cursors, iterators, readables, writables];
