/** What this process still holds of what a sequence of calls has used. */
import fs from "node:fs";
import process from "node:process";

/** Where a sequence has its things. */
export interface Ground {
  /** The folder of its files. */
  readonly folder: string;
  /** What its names of shared memory begin with. */
  readonly prefix: string;
}

/** Everything held now, as lines of text that tell one thing from another. */
function held({ folder, prefix }: Ground): string[] {
  const starts = [folder, `/dev/shm/${prefix}`, `/dev/shm/.mman-${process.pid}-`];
  starts.push("/memfd:", "/dev/zero", "/proc/");
  const ours = (path: string): boolean => starts.some((start) => path.startsWith(start));
  const descriptors = fs.readdirSync("/proc/self/fd").map(linkOf).filter(ours)
    .map((path) => `descriptor of ${path}`);
  return [
    ...descriptors,
    ...areas().filter(({ path, marked }) => marked || ours(path)).map(nameOf),
  ];
}

function linkOf(fd: string): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ""; // the descriptor that listed the folder
  }
}

interface Area {
  readonly range: string;
  readonly path: string;
  /** Whether it has the mark that the fuzzer puts on private memory (MADV_WIPEONFORK). */
  readonly marked: boolean;
}

function areas(): Area[] {
  const entries = fs.readFileSync("/proc/self/smaps", "utf8").split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  return entries.map((entry) => {
    const [, range = "", path = ""] = /^(\S+) \S+ \S+ \S+ \d+ *(.*)$/m.exec(entry) ?? [];
    return { range, path, marked: / wf( |$)/m.test(/^VmFlags:.*$/m.exec(entry)?.[0] ?? "") };
  });
}

function nameOf({ range, path }: Area): string {
  return `mapping ${range} of ${path || "private memory"}`;
}

/** Notes what is held at the beginning; the function tells what has come and not gone since. */
export function watchLeaks(ground: Ground): () => string[] {
  const before = new Set(held(ground));
  return () => held(ground).filter((thing) => !before.has(thing));
}

/** The address at which a mapping of {@link watchLeaks} begins. */
export function addressIn(leak: string): bigint {
  return BigInt(`0x${/^mapping ([0-9a-f]+)-/.exec(leak)?.[1] ?? "0"}`);
}
