/** Waiting for a word of the map itself to change: no lock, no header, nothing but the user's bytes. */
import { checkInteger, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { explain } from "../explain.ts";
import { hostConstants } from "../ffi/host.ts";
import type { SyncPlatform } from "../ffi/sync_platform.ts";
import type { Mapping } from "../mapping.ts";
import type { MemoryMap } from "../memory_map.ts";
import { WORD } from "./layout.ts";
import { checkAligned, requireSyncPlatform, sharedMapping, wordsOf } from "./memory.ts";
import { MAX_SPINS, spin, type Spinning } from "./spin.ts";
import { deadlineOf, MAX_PARK_MS, remaining } from "./waiting.ts";
import { watch } from "./watcher.ts";

const { PROT_READ, PROT_WRITE } = hostConstants;

/** A word that is waited on or woken. */
interface Change {
  readonly mapping: Mapping;
  readonly byteOffset: number;
  /** The word alone; empty when it must be looked up again. */
  readonly word: Int32Array;
  readonly spinning: Spinning;
  readonly platform: SyncPlatform;
}

/** What was looked up last, by map: most threads wait on one or two words of a map. */
const recent = new WeakMap<Mapping, Change[]>();
const RECENT = 4;

function lookUp(what: string, map: MemoryMap, byteOffset: number): Change {
  const mapping = sharedMapping(what, map);
  mapping.use("wait on", byteOffset, WORD, PROT_READ);
  let changes = recent.get(mapping);
  if (changes === undefined) recent.set(mapping, changes = []);
  for (const change of changes) {
    if (change.byteOffset === byteOffset && change.word.length === 1) return change;
  }
  checkAligned(what, mapping, byteOffset, WORD);
  const change: Change = {
    mapping,
    byteOffset,
    word: wordsOf(mapping, byteOffset, WORD),
    spinning: { tries: MAX_SPINS },
    platform: requireSyncPlatform(what),
  };
  changes.unshift(change);
  changes.length = Math.min(changes.length, RECENT);
  return change;
}

/**
 * What is in the word now. Bun compiles `Atomics.load` to an instruction that writes, too, which kills the
 * process where it may not: there a plain load does, as long as calls lie between two of them.
 */
function load(change: Change, writable: boolean): number {
  const value = writable ? Atomics.load(change.word, 0) : change.word[0]!;
  change.mapping.intact("wait on", change.byteOffset, WORD, PROT_READ);
  return value;
}

function isWritable({ mapping, byteOffset }: Change): boolean {
  try {
    mapping.use("write", byteOffset, WORD, PROT_WRITE);
    return true;
  } catch {
    return false; // readable it is: lookUp() has seen to that
  }
}

function addressOf({ mapping, byteOffset }: Change): number {
  return Number(mapping.addr) + byteOffset;
}

function checkWord(expected: number): void {
  const isWord = typeof expected === "number" &&
    ((expected | 0) === expected || (expected >>> 0) === expected);
  if (isWord) return;
  throw new MMapInvalidParameterError(
    `Cannot wait for ${show(expected)} to change: give a whole number of 32 bits`,
  );
}

/**
 * Waits while the 32-bit word at an offset has a value, parked until somebody calls {@link wake}.
 *
 * Whoever changes the word must wake those who wait. A change that is undone before anybody looks
 * is not seen: let a word that is waited on only ever count up.
 *
 * @param map Shared; it may be read-only.
 * @param byteOffset A multiple of 4.
 * @param expected The value that the word has now, as far as the caller knows; signed or unsigned.
 * @param timeoutMs Milliseconds. Default: without end.
 * @returns True when the word has another value, false when the time is over.
 * @throws {MMapInvalidParameterError} If the map is private, or the place misaligned or not in the map.
 * @throws {MMapClosedError} If the map is closed.
 * @throws {MMapFaultError} If the page of the word was lost.
 *
 * @example
 * ```ts
 * import { MemoryMap } from "@mman/mman";
 * import { waitForChange, wake } from "@mman/mman/sync";
 * import { assertEquals } from "@std/assert";
 *
 * using map = MemoryMap.createMemfd(4096);
 * const counter = map.asTypedArray(Int32Array, 0, 1);
 * assertEquals(waitForChange(map, 0, 0, 10), false);
 * Atomics.add(counter, 0, 1); // the writer, in any process
 * wake(map, 0);
 * assertEquals(waitForChange(map, 0, 0), true);
 * ```
 */
export function waitForChange(
  map: MemoryMap,
  byteOffset: number,
  expected: number,
  timeoutMs: number = Infinity,
): boolean {
  const change = lookUp("Cannot wait for a change", map, byteOffset);
  const { platform } = change;
  checkWord(expected);
  const value = expected | 0;
  const deadline = timeoutMs === Infinity ? Infinity : deadlineOf(timeoutMs);
  const writable = isWritable(change);
  const changed = () => load(change, writable) === value ? undefined : true;
  if (writable ? spin(change.spinning, changed) : changed()) return true;
  for (;;) {
    const left = remaining(deadline);
    if (left <= 0) return false;
    platform.wait(addressOf(change), value, Math.min(left, MAX_PARK_MS));
    if (load(change, writable) !== value) return true;
  }
}

/**
 * As {@link waitForChange}, with the event loop free.
 *
 * @param map Shared; it may be read-only.
 * @param byteOffset A multiple of 4.
 * @param expected The value that the word has now, as far as the caller knows; signed or unsigned.
 * @param timeoutMs Milliseconds. Default: without end.
 * @returns True when the word has another value, false when the time is over.
 * @throws {MMapInvalidParameterError} If the map is private, or the place misaligned or not in the map.
 * The promise is rejected.
 * @throws {MMapClosedError} If the map is closed, also meanwhile. The promise is rejected.
 * @throws {MMapFaultError} If the page of the word was lost. The promise is rejected.
 */
export async function waitForChangeAsync(
  map: MemoryMap,
  byteOffset: number,
  expected: number,
  timeoutMs: number = Infinity,
): Promise<boolean> {
  const what = "Cannot wait for a change";
  const change = lookUp(what, map, byteOffset);
  checkWord(expected);
  deadlineOf(timeoutMs);
  const now = () => {
    const current = lookUp(what, map, byteOffset);
    return load(current, isWritable(current));
  };
  if (now() !== (expected | 0)) return true;
  if (timeoutMs === 0) return false;
  return await watch({
    mapping: change.mapping,
    platform: change.platform,
    expected: expected | 0,
    address: () => addressOf(change),
    load: now,
  }, timeoutMs);
}

/**
 * Wakes those who wait for the 32-bit word at an offset to change, in all processes.
 *
 * @param map Shared.
 * @param byteOffset A multiple of 4.
 * @param count How many to wake at most. Default: all.
 * @returns How many were woken, as far as the system knows: on macOS and Windows 1 may stand for all, or nobody.
 * @throws {MMapInvalidParameterError} If the map is private, or the place misaligned or not in the map.
 * @throws {MMapClosedError} If the map is closed.
 */
export function wake(map: MemoryMap, byteOffset: number, count: number = Infinity): number {
  const what = "Cannot wake";
  const change = lookUp(what, map, byteOffset);
  if (count !== Infinity) checkInteger("a number of threads", count, 0);
  if (count === 0) return 0; // the kernel would wake one
  try {
    return change.platform.wake(addressOf(change), count);
  } catch (error) {
    throw explain(what, error);
  }
}
