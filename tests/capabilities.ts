/**
 * What the system under the tests really does, each tried once. An emulated kernel (QEMU's user mode,
 * gVisor) takes calls that it does not act on: a test of the effect is then skipped with the reason.
 * `capabilities_test.ts` sees to it that no probe says no on Linux itself.
 */
import { pageSize, PROT_READ, PROT_WRITE } from "../mod.ts";
import { hostConstants, platform } from "../src/ffi/host.ts";
import { lockedBytes, type Skip, skipWithoutProc } from "./helpers.ts";
import { areaAt, skipOutsideLinux } from "./helpers_paging.ts";

const NO_ADVICE = 9999;
const page = pageSize();

/** Whether a probe with a page of anonymous memory says yes; other systems are not asked. */
function holds(probe: (address: bigint) => boolean): boolean {
  if (skipOutsideLinux || skipWithoutProc) return true;
  const { MAP_PRIVATE, MAP_ANONYMOUS } = hostConstants;
  const { map, unmap } = platform();
  const address = map(page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  try {
    return probe(address);
  } finally {
    unmap(address, page);
  }
}

function throws(fn: () => void): boolean {
  try {
    fn();
    return false;
  } catch {
    return true;
  }
}

/** Tests of what advice does: a kernel that takes advice which nobody knows acts on little of it. */
export const skipWithoutAdvice: Skip =
  holds((address) => throws(() => platform().advise(address, page, NO_ADVICE)))
    ? false
    : "needs a kernel that acts on madvise";

/** Tests that read in `/proc/self/smaps` how many pages there are, and their flags. */
export const skipWithoutSmaps: Skip = holds((address) => {
    platform().memory.memset(address, 1, page);
    const area = areaAt(address);
    return area.bytes("Rss") >= page && area.flags.includes("rd");
  })
  ? false
  : "needs a kernel that counts pages in /proc/self/smaps";

/** Tests of pages that are locked. */
export const skipWithoutLocking: Skip = holds((address) => {
    const before = lockedBytes();
    if (throws(() => platform().lock(address, page, false))) return false;
    return lockedBytes() === before + page;
  })
  ? false
  : "needs a kernel that locks pages in memory";

/** Tests of pages that are locked once they are touched. */
export const skipWithoutLockOnFault: Skip =
  holds((address) => !throws(() => platform().lock(address, page, true)))
    ? false
    : "needs mlock2 of Linux 4.4";
