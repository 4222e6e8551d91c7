/** Ranges of a mapping and where their pages are: advice, residency, faulting in, discarding. */
import { lengthOrZero, show } from "./check.ts";
import { MMapInvalidParameterError } from "./errors.ts";
import { explain } from "./explain.ts";
import { hostConstants } from "./ffi/host.ts";
import { type MemoryStats, type Platform, SystemCallError } from "./ffi/platform.ts";
import type { Mapping, Pages } from "./mapping.ts";
import { setAll } from "./memory_operations.ts";
import { UNMAPPED } from "./protections.ts";

const c = hostConstants;

/**
 * Advice that never changes what a range holds: `normal`, `random`, `sequential` and `willNeed` for
 * read-ahead; `cold` and `pageOut` to be reclaimed first, or now; `hugePages`, `noHugePages` and
 * `collapse` for transparent huge pages; `mergeable` and `unmergeable` for equal pages; `fork`,
 * `noFork`, `dump` and `noDump` for child processes and core dumps.
 */
export type Hint =
  | "normal"
  | "random"
  | "sequential"
  | "willNeed"
  | "cold"
  | "pageOut"
  | "hugePages"
  | "noHugePages"
  | "collapse"
  | "mergeable"
  | "unmergeable"
  | "fork"
  | "noFork"
  | "dump"
  | "noDump";

const hints: Readonly<Record<Hint, number>> = {
  normal: c.MADV_NORMAL,
  random: c.MADV_RANDOM,
  sequential: c.MADV_SEQUENTIAL,
  willNeed: c.MADV_WILLNEED,
  cold: c.MADV_COLD,
  pageOut: c.MADV_PAGEOUT,
  hugePages: c.MADV_HUGEPAGE,
  noHugePages: c.MADV_NOHUGEPAGE,
  collapse: c.MADV_COLLAPSE,
  mergeable: c.MADV_MERGEABLE,
  unmergeable: c.MADV_UNMERGEABLE,
  fork: c.MADV_DOFORK,
  noFork: c.MADV_DONTFORK,
  dump: c.MADV_DODUMP,
  noDump: c.MADV_DONTDUMP,
};

/** Advice whose pages lose their content. */
const discarding: ReadonlySet<number> = new Set([
  c.MADV_DONTNEED,
  c.MADV_DONTNEED_LOCKED,
  c.MADV_FREE,
  c.MADV_REMOVE,
]);

/** Advice that stays with the pages; all other is done once. */
const lasting: ReadonlySet<number> = new Set([
  c.MADV_NORMAL,
  c.MADV_RANDOM,
  c.MADV_SEQUENTIAL,
  c.MADV_HUGEPAGE,
  c.MADV_NOHUGEPAGE,
  c.MADV_MERGEABLE,
  c.MADV_UNMERGEABLE,
  c.MADV_DONTFORK,
  c.MADV_DOFORK,
  c.MADV_DONTDUMP,
  c.MADV_DODUMP,
  c.MADV_WIPEONFORK,
  c.MADV_KEEPONFORK,
]);

/** The error for something that the system has no call for. */
export function unsupported(platform: Platform, what: string, instead: string): Error {
  return new MMapInvalidParameterError(`Cannot ${what}: ${platform.name} cannot do it; ${instead}`);
}

/** The constant's name, by its value, among those that start with a prefix. */
export function constantName(prefix: string, value: number): string | undefined {
  return Object.entries(c).find(([name, v]) => v === value && name.startsWith(prefix))?.[0];
}

/** Gives the raw advice for a range: whole pages inside it if content is lost, else around it. */
export function advise(map: Mapping, advice: number, offset: number, length: number): void {
  const name = constantName("MADV_", advice);
  if (name === undefined) {
    throw new MMapInvalidParameterError(
      `Cannot advise ${show(advice)}: it must be one of the MADV constants`,
    );
  }
  if (advice < 0) throw unsupported(map.platform, `advise ${name}`, "leave it out");
  const losing = discarding.has(advice);
  const pages = losing
    ? map.pagesInside("advise", offset, length)
    : map.pagesAround("advise", offset, length);
  if (pages === undefined) return;
  map.call(
    `Cannot advise ${name} for ${length} bytes at offset ${offset}`,
    () => map.platform.advise(pages.address, pages.length, advice),
  );
  if (lasting.has(advice)) map.keepAdvice(advice, offset, length);
}

/** Gives a hint by its name. */
export function hint(map: Mapping, name: Hint, offset: number, length: number): void {
  if (typeof name !== "string" || !Object.hasOwn(hints, name)) {
    throw new MMapInvalidParameterError(
      `Cannot hint ${show(name)}: it must be one of ${Object.keys(hints).join(", ")}`,
    );
  }
  advise(map, hints[name], offset, length);
}

/** Which pages of a range are in memory. */
export function residency(map: Mapping, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const { platform } = map;
  const pages = map.pagesAround("ask for", offset, length, platform.pageSize);
  const resident = platform.resident;
  if (resident === undefined) throw unsupported(platform, "tell residency", "use stats()");
  if (pages === undefined) return new Uint8Array(0);
  const result = new Uint8Array(pages.length / platform.pageSize);
  map.call(
    `Cannot tell the residency of ${length} bytes at offset ${offset}`,
    () => resident(pages.address, pages.length, result),
  );
  return result;
}

/** A range to fault in, and how. */
export interface Populating {
  readonly address: bigint;
  readonly length: number;
  readonly write: boolean;
}

/** What to fault in for a range: the pages that it touches, by what may be done with them. */
export function populating(map: Mapping, offset: number, length: number): Populating[] {
  if (map.pagesAround("prefault", offset, length) === undefined) return [];
  map.use("prefault", offset, length, c.PROT_READ);
  return map.segments(offset, length)
    .map(({ start, end, prot }) => ({
      ...map.pagesAround("prefault", start, end - start)!,
      // Faulting a file in for writing would give its holes blocks on the disk.
      write: map.fd === -1 && (prot & c.PROT_WRITE) !== 0,
    }));
}

/** Faults the pages of a range in. */
export function prefault(map: Mapping, offset: number, length: number): void {
  const ranges = populating(map, offset, length);
  const populate = map.platform.populate;
  if (populate === undefined) return touch(map, offset, length);
  try {
    for (const { address, length, write } of ranges) populate(address, length, write);
  } catch (error) {
    // A kernel before 5.14 does not know the advice.
    if (error instanceof SystemCallError && error.code === "EINVAL") touch(map, offset, length);
    else throw prefaultError(map, offset, length, error);
  }
}

/** The error of a range that could not be faulted in. */
export function prefaultError(
  map: Mapping,
  offset: number,
  length: number,
  error: unknown,
): unknown {
  const lacks = error instanceof SystemCallError && error.code === "EFAULT";
  // Without a file it is memory that lacks: huge pages that were not reserved.
  if (!lacks || map.closed || map.fd === -1) {
    return explain(`Cannot prefault ${length} bytes at offset ${offset}`, error);
  }
  // Where the file ends, unless the disk is full.
  const { kind, size } = map.platform.fileInfo(map.fd);
  const { pageSize } = map.platform;
  const end = Math.ceil(size / pageSize) * pageSize - map.offset;
  const lost = kind === "file" ? Math.max(offset, end) : offset;
  const { code, errno, syscall } = error;
  return map.missing("prefault", offset, length, lost < offset + length ? lost : offset, {
    code,
    errno,
    syscall,
    cause: error,
  });
}

/** Reads a byte of each page of a range, already checked. */
export function touch(map: Mapping, offset: number, length: number): void {
  if (map.checked) {
    map.load("prefault", offset, new Uint8Array(length));
    return;
  }
  map.eachPiece(offset, length, (view) => {
    for (let i = 0; i < view.length; i += map.platform.pageSize) view.at(i);
    view.at(-1);
  });
  map.intact("prefault", offset, length, c.PROT_READ);
}

/** Drops the content of a range. */
export function discard(map: Mapping, offset: number, length: number): void {
  map.use("discard", offset, lengthOrZero(length), 0);
  if (map.fd !== -1 && map.shared) return advise(map, c.MADV_DONTNEED, offset, length);
  if (map.fd === -1 && map.shared) return advise(map, c.MADV_REMOVE, offset, length);
  if (map.platform.dontNeedDrops) return advise(map, c.MADV_DONTNEED, offset, length);
  const pages = map.pagesInside("discard", offset, length);
  if (pages === undefined) return;
  map.call(`Cannot discard ${length} bytes at offset ${offset}`, () => renew(map, pages));
}

/** Puts untouched pages in the place of private ones. */
function renew(map: Mapping, { address, length }: Pages): void {
  const first = Number(address - map.addr);
  const start = Math.max(first, 0);
  const end = Math.min(first + length, map.size);
  for (const { start: from, end: to, prot } of map.segments(start, end - start)) {
    const pages = map.pagesAround("discard", from, to - from)!;
    const place = map.offset + Number(pages.address - map.addr);
    map.platform.mapOver!(pages.address, pages.length, prot, map.flags, map.fd, place);
  }
  map.settle();
}

/** Frees the blocks and pages of a range, which reads as zeros then. */
export function punchHole(map: Mapping, offset: number, length: number): void {
  map.use("punch a hole of", offset, length, c.PROT_WRITE);
  if (length === 0) return;
  const { platform } = map;
  const what = `Cannot punch a hole of ${length} bytes at offset ${offset}`;
  if (map.fd !== -1 && map.shared) {
    const punch = platform.punchHole;
    if (punch === undefined) throw unsupported(platform, "punch holes", "fill with zeros");
    return map.call(what, () => punch(map.fd, map.offset + offset, length));
  }
  if (map.fd !== -1) {
    throw new MMapInvalidParameterError(
      `${what}: the map is copy-on-write; use fill(0), or open the file with mode "r+"`,
    );
  }
  const clear = (from: number, to: number): void => setAll(map, 0, from, to - from);
  const pages = map.pagesInside("punch a hole of", offset, length);
  if (pages === undefined) return clear(offset, offset + length);
  const first = Number(pages.address - map.addr);
  const start = Math.max(first, offset);
  const end = Math.min(first + pages.length, offset + length);
  clear(offset, start);
  clear(end, offset + length);
  if (!platform.dontNeedDrops) clear(start, end);
  try {
    platform.advise(pages.address, pages.length, map.shared ? c.MADV_REMOVE : c.MADV_DONTNEED);
  } catch (error) {
    // Locked pages cannot be given back.
    if (!(error instanceof SystemCallError && error.code === "EINVAL")) throw explain(what, error);
    clear(start, end);
  }
}

/** Where the bytes of the map are. */
export function stats(map: Mapping): MemoryStats {
  map.use("measure", 0, 0, 0);
  const read = map.platform.stats;
  if (read === undefined) throw unsupported(map.platform, "measure memory", "use residency()");
  const total = { mapped: 0, resident: 0, shared: 0, swapped: 0, huge: 0 };
  for (const { start, end, prot } of map.segments(0, map.size)) {
    if (prot === UNMAPPED) continue;
    const pages = map.pagesAround("measure", start, end - start)!;
    const part = map.call("Cannot measure the map", () => read(pages.address, pages.length));
    for (const key of Object.keys(total) as (keyof MemoryStats)[]) total[key] += part[key];
  }
  return total;
}
