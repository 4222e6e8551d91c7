/** Where the bytes of a mapping are, from `/proc/self/smaps` and, where those lines say too much, `pagemap`. */
import { nodeFs } from "./builtin.ts";
import type { MemoryStats } from "./platform.ts";

const PAGEMAP_ENTRY = 8;
const PRESENT = 1 << 31; // bit 63, in the upper half of an entry
const SWAPPED = 1 << 30; // bit 62
const EXCLUSIVE = 1 << 24; // bit 56: mapped here only
const HUGE_FIELDS =
  /^(?:AnonHugePages|ShmemPmdMapped|FilePmdMapped|Shared_Hugetlb|Private_Hugetlb): +(\d+) kB/;

/**
 * `struct pm_scan_arg` of PAGEMAP_SCAN, u64 each: size, flags, start, end, walk end, vector, its
 * length, most pages, inverted, all of, any of, returned categories.
 */
const SCAN_FIELDS = 12;
const SCAN_START = 2;
const SCAN_WALK_END = 4;
const SCAN_VECTOR = 5;
const SCAN_ALL_OF = 9;
const SCAN_RETURNED = 11;
const PAGEMAP_SCAN = 0xc0606610;
const PAGE_IS_PRESENT = 1n << 3n;
const PAGE_IS_HUGE = 1n << 6n;
/** `struct page_region`, u64 each: start, end, categories. */
const REGION_FIELDS = 3;
const REGIONS = 256;

/** `ioctl(2)` with a structure, and the address of a view. */
export interface Ioctl {
  call(fd: number, request: number, structure: ArrayBufferView): number;
  addressOf(view: ArrayBufferView): bigint;
}

/** Bytes in huge pages ({@link https://docs.kernel.org/admin-guide/mm/pagemap.html | PAGEMAP_SCAN}, Linux 6.7); 0 before. */
function hugeBytes(fd: number, from: number, to: number, pageSize: number, ioctl: Ioctl): number {
  const regions = new BigUint64Array(REGIONS * REGION_FIELDS);
  const scan = new BigUint64Array(SCAN_FIELDS);
  scan[0] = BigInt(scan.byteLength);
  scan[SCAN_START + 1] = BigInt(to);
  scan[SCAN_VECTOR] = ioctl.addressOf(regions);
  scan[SCAN_VECTOR + 1] = BigInt(REGIONS);
  scan[SCAN_ALL_OF] = PAGE_IS_PRESENT | PAGE_IS_HUGE;
  scan[SCAN_RETURNED] = PAGE_IS_HUGE;
  let bytes = 0;
  for (let at = from; at < to; at = Number(scan[SCAN_WALK_END])) {
    scan[SCAN_START] = BigInt(at);
    const found = ioctl.call(fd, PAGEMAP_SCAN, scan);
    if (found < 0 || Number(scan[SCAN_WALK_END]) < at + pageSize) break;
    for (let i = 0; i < found * REGION_FIELDS; i += REGION_FIELDS) {
      bytes += Number(regions[i + 1]! - regions[i]!);
    }
  }
  return bytes;
}

/**
 * Adds up the areas of memory that overlap `length` bytes at `address`
 * ({@link https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html | proc_pid_smaps(5)}).
 */
export function readStats(
  address: number,
  length: number,
  pageSize: number,
  ioctl: Ioctl,
): MemoryStats {
  const stats = { mapped: 0, resident: 0, shared: 0, swapped: 0, huge: 0 };
  const end = address + Math.ceil(length / pageSize) * pageSize;
  let overlap = 0;
  /** The kernel joins neighbours that are alike: such an area counts more than this mapping. */
  let joined = false;
  for (const line of nodeFs().readFileSync("/proc/self/smaps", "latin1").split("\n")) {
    const area = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (area !== null) {
      const areaStart = parseInt(area[1]!, 16);
      const areaEnd = parseInt(area[2]!, 16);
      const from = Math.max(areaStart, address);
      const to = Math.min(areaEnd, end);
      overlap = Math.max(to - from, 0);
      joined = overlap > 0 && (areaStart < address || areaEnd > end);
      stats.mapped += overlap;
      if (joined) addPages(stats, from, to, pageSize, ioctl);
      continue;
    }
    if (overlap === 0) continue;
    const huge = HUGE_FIELDS.exec(line);
    if (huge !== null && !joined) stats.huge += Math.min(Number(huge[1]) * 1024, overlap);
    const field = /^(Rss|Shared_Clean|Shared_Dirty|Swap|Shared_Hugetlb|Private_Hugetlb): +(\d+) kB/
      .exec(line);
    if (field === null || joined) continue;
    const bytes = Number(field[2]) * 1024;
    if (field[1] === "Swap") stats.swapped += bytes;
    if (field[1]!.startsWith("Shared_")) stats.shared += bytes;
    // Rss does not count pages of hugetlbfs.
    if (field[1] === "Rss" || field[1]!.endsWith("Hugetlb")) stats.resident += bytes;
  }
  return stats;
}

/** Counts page by page ({@link https://man7.org/linux/man-pages/man5/proc_pid_pagemap.5.html | proc_pid_pagemap(5)}). */
function addPages(
  stats: MemoryStats,
  from: number,
  to: number,
  pageSize: number,
  ioctl: Ioctl,
): void {
  const fd = nodeFs().openSync("/proc/self/pagemap", "r");
  try {
    const chunk = new DataView(new ArrayBuffer(PAGEMAP_ENTRY * 65536));
    let position = from / pageSize * PAGEMAP_ENTRY;
    const last = to / pageSize * PAGEMAP_ENTRY;
    while (position < last) {
      const read = nodeFs().readSync(
        fd,
        chunk,
        0,
        Math.min(chunk.byteLength, last - position),
        position,
      );
      if (read === 0) return;
      for (let at = 0; at < read; at += PAGEMAP_ENTRY) {
        const upper = chunk.getInt32(at + 4, true);
        if ((upper & PRESENT) !== 0) {
          stats.resident += pageSize;
          if ((upper & EXCLUSIVE) === 0) stats.shared += pageSize;
        } else if ((upper & SWAPPED) !== 0) stats.swapped += pageSize;
      }
      position += read;
    }
    stats.huge += hugeBytes(fd, from, to, pageSize, ioctl);
  } finally {
    nodeFs().closeSync(fd);
  }
}
