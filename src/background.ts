/**
 * Long operations that leave the event loop free: in pieces on another thread, so that an
 * AbortSignal, `close()` and `resize()` are heeded between two pieces.
 */
import { checkInteger, show } from "./check.ts";
import { MMapClosedError } from "./errors.ts";
import { explain } from "./explain.ts";
import { hostConstants } from "./ffi/host.ts";
import type { Platform } from "./ffi/platform.ts";
import type { OpenedFile } from "./file.ts";
import type { Mapping } from "./mapping.ts";
import { populateForWriting, touch } from "./paging.ts";

const { PROT_READ } = hostConstants;

/** Bytes of a piece: a few milliseconds of faulting in. */
const PIECE = 32 << 20;

/** Bytes of a piece of blocks on the disk, which are cheaper. */
const ALLOCATION_PIECE = 1 << 30;

/** Options of the operations that end in a promise. */
export interface AsyncOptions {
  /** Ends the operation early; the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/** Runs `step` for each piece of a range, off this thread. */
async function inPieces(
  map: Mapping,
  verb: string,
  offset: number,
  length: number,
  { signal }: AsyncOptions,
  step: (address: bigint, length: number) => Promise<void>,
): Promise<void> {
  signal?.throwIfAborted();
  const pages = map.pagesAround(verb, offset, length);
  if (pages === undefined) return;
  const { generation } = map;
  const what = `Cannot ${verb} ${length} bytes at offset ${offset}`;
  await map.pinned(async () => {
    for (let done = 0; done < pages.length; done += PIECE) {
      const size = Math.min(PIECE, pages.length - done);
      let failure: unknown;
      try {
        await step(pages.address + BigInt(done), size);
      } catch (error) {
        failure = explain(what, error);
      }
      signal?.throwIfAborted();
      if (map.closed || map.generation !== generation) {
        throw new MMapClosedError(`${what}: the map was closed or resized meanwhile`);
      }
      if (failure !== undefined) throw failure;
    }
  });
}

/** Faults a range in. */
export async function prefaultAsync(
  map: Mapping,
  offset: number,
  length: number,
  options: AsyncOptions,
): Promise<void> {
  map.use("prefault", offset, Math.max(length, 0), PROT_READ);
  checkInteger("a length in bytes", length, 0);
  const { platform } = map;
  const populate = platform.populateAsync;
  await inPieces(
    map,
    "prefault",
    offset,
    length,
    options,
    populate === undefined
      ? touchAsync(map)
      : (address, size) => populate(address, size, populateForWriting(map)),
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
  options: AsyncOptions,
): Promise<void> {
  await inPieces(
    map,
    "flush",
    offset,
    length,
    options,
    (address, size) => map.platform.syncAsync(address, size, flags, map.fd),
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
