/**
 * Long operations that leave the event loop free: in pieces on another thread, so that an
 * AbortSignal, `close()` and `resize()` are heeded between two pieces.
 */
import { show } from "./check.ts";
import { MMapClosedError } from "./errors.ts";
import { explain } from "./explain.ts";
import type { Platform } from "./ffi/platform.ts";
import type { OpenedFile } from "./file.ts";
import type { Mapping, Pages } from "./mapping.ts";
import { populating, prefaultError, touch } from "./paging.ts";

/**
 * Bytes that are faulted in at a time. While they are, whoever changes a mapping waits, the engine's
 * allocator too: the next piece is as long as would have taken a millisecond at the pace of this one.
 */
const POPULATE_PIECE = { least: 256 << 10, first: 1 << 20, most: 8 << 20 };
const POPULATE_MILLISECONDS = 1;

/** Bytes that are flushed at a time: each piece costs a flush of the drive. */
const FLUSH_PIECE = 32 << 20;

/** Bytes of a piece of blocks on the disk, which are cheaper. */
const ALLOCATION_PIECE = 1 << 30;

/** Options of the operations that end in a promise. */
export interface AsyncOptions {
  /** Ends the operation early; the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/** Runs `step` for each piece of some ranges, off this thread. */
async function inPieces<R extends Pages>(
  map: Mapping,
  what: string,
  rangesNow: () => readonly R[],
  piece: number | typeof POPULATE_PIECE,
  signal: AbortSignal | undefined,
  step: (address: bigint, length: number, range: R) => Promise<void>,
  explained: (error: unknown) => unknown = (error) => explain(what, error),
): Promise<void> {
  signal?.throwIfAborted();
  // After the last look at anything of the user's, which may have closed the map.
  const ranges = rangesNow();
  const { generation } = map;
  let wanted = typeof piece === "number" ? piece : piece.first;
  await map.pinned(async () => {
    for (const range of ranges) {
      for (let done = 0, size = 0; done < range.length; done += size) {
        size = Math.min(wanted, range.length - done);
        let failure: unknown;
        const start = performance.now();
        try {
          await step(range.address + BigInt(done), size, range);
        } catch (error) {
          failure = explained(error);
        }
        if (typeof piece !== "number") {
          wanted = paced(piece, size, performance.now() - start, map.unit);
        }
        signal?.throwIfAborted();
        if (map.closed || map.generation !== generation) {
          throw new MMapClosedError(`${what}: the map was closed or resized meanwhile`);
        }
        if (failure !== undefined) throw failure;
      }
    }
  });
}

/** The length of the next piece after one that took `milliseconds`, in whole pages. */
function paced(
  { least, most }: typeof POPULATE_PIECE,
  size: number,
  milliseconds: number,
  unit: number,
): number {
  const pace = size / Math.max(milliseconds, 0.01);
  // Twice as long at the most: one quick piece says little about the next.
  const next = Math.min(pace * POPULATE_MILLISECONDS, 2 * size, most);
  return Math.ceil(Math.max(next, least) / unit) * unit;
}

/** Faults a range in. */
export async function prefaultAsync(
  map: Mapping,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const populate = map.platform.populateAsync;
  await inPieces(
    map,
    `Cannot prefault ${show(length)} bytes at offset ${show(offset)}`,
    () => populating(map, offset, length),
    POPULATE_PIECE,
    signal,
    populate === undefined
      ? touchAsync(map)
      : (address, size, { write }) => populate(address, size, write),
    (error) => prefaultError(map, offset, length, error),
  );
}

/** Where the system cannot fault in by itself: a mebibyte a turn of the event loop. */
function touchAsync(map: Mapping): (address: bigint, length: number) => Promise<void> {
  return async (address, length) => {
    const start = Math.max(Number(address - map.addr), 0);
    const end = Math.min(start + length, map.size);
    for (let at = start; at < end && !map.closed; at += 1 << 20) {
      touch(map, at, Math.min(1 << 20, end - at));
      await new Promise((resolve) => setTimeout(resolve));
    }
  };
}

/** Flushes a range. */
export async function msyncAsync(
  map: Mapping,
  flags: number,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  await inPieces(
    map,
    `Cannot flush ${show(length)} bytes at offset ${show(offset)}`,
    () => {
      const pages = map.pagesAround("flush", offset, length);
      map.intact("flush", offset, length, map.platform.constants.PROT_WRITE);
      return pages === undefined ? [] : [pages];
    },
    FLUSH_PIECE,
    signal,
    // `| 0` makes 0 of -0, which Deno's FFI does not take for a whole number.
    (address, size) => map.platform.syncAsync(address, size, flags | 0, map.fd),
  );
}

/** Gives the range of an opened file blocks on the disk. */
export async function allocateAsync(
  platform: Platform,
  file: OpenedFile,
  { signal }: AsyncOptions,
): Promise<void> {
  const { fd, offset, size, path } = file;
  for (let done = 0; done < size; done += ALLOCATION_PIECE) {
    signal?.throwIfAborted();
    try {
      await platform.allocateAsync!(fd, offset + done, Math.min(ALLOCATION_PIECE, size - done));
    } catch (error) {
      throw explain(`Cannot preallocate ${size} bytes of ${show(path)}`, error);
    }
  }
}
