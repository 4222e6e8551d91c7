/**
 * Locking everything: all maps of this thread, those that are there and those to come. C's `mlockall` would
 * lock the engine's memory with them. V8 ends the process when it cannot give back pages of its own, and the
 * kernel refuses that for locked ones; JavaScriptCore reserves gigabytes, all of which would be brought in.
 */
import type { Platform } from "./ffi/platform.ts";

/** The pages of a mapping; no length while there are none. */
export interface MappedPages {
  readonly platform: Platform;
  readonly base: bigint;
  readonly length: number;
}

/** Which maps are locked, and when. */
export interface LockAllOptions {
  /** Those mapped now. */
  readonly current: boolean;
  /** Those mapped later. */
  readonly future: boolean;
  /** Each page only once it is touched. */
  readonly onFault: boolean;
}

/** What is mapped. */
const maps = new Set<MappedPages>();

/** How new maps are locked, if they are. */
let later: { readonly onFault: boolean } | undefined;

/** Notes a new mapping. */
export function noteMapped(pages: MappedPages): void {
  maps.add(pages);
}

/** Forgets a mapping, before its pages are unmapped. */
export function noteUnmapped(pages: MappedPages): void {
  maps.delete(pages);
}

/** Locks a new mapping if that was asked for. @throws {SystemCallError} If the limit is reached. */
export function lockNew(pages: MappedPages): void {
  if (later !== undefined) lockPages(pages, later.onFault);
}

/** Locks what was asked for. @throws {SystemCallError} If the limit is reached. */
export function lockAll({ current, future, onFault }: LockAllOptions): void {
  if (current) { for (const pages of maps) lockPages(pages, onFault); }
  later = future ? { onFault } : undefined;
}

/** Lets new maps be as they are. */
export function lockNoMore(): void {
  later = undefined;
}

function lockPages({ platform, base, length }: MappedPages, onFault: boolean): void {
  if (length === 0) return;
  if (onFault) return platform.lock(base, length, true);
  try {
    platform.lock(base, length, false);
  } catch (error) {
    // Linux says the same of the limit and of pages that cannot be brought in now, because the file is too
    // short or their protection forbids it. Those are locked once they can be touched.
    try {
      platform.lock(base, length, true);
    } catch {
      throw error;
    }
  }
}
