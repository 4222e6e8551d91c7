/**
 * What the tests of paging, files and background work share: the system's account of one area of
 * memory, blocks on the disk, a small file system in memory, a pool of huge pages, and programs of
 * `tests/fixtures` that are talked to while they run.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertEquals, assertInstanceOf, assertMatch, assertStrictEquals } from "@std/assert";
import { runtimeName, type Skip, type TempDir, tempDir } from "./helpers.ts";

/** Tests of what only Linux does. */
export const skipOutsideLinux: Skip = process.platform === "linux" ? false : "needs Linux";

const TMPFS_MAGIC = 0x01021994;

/** Tests of blocks on the disk and of pages that are clean or not in memory. */
export const skipInMemory: Skip = fs.statfsSync(os.tmpdir()).type === TMPFS_MAGIC
  ? "needs a temporary folder on a disk"
  : false;

/** Bytes that a file has blocks for, as `du` counts them. */
export function allocatedBytes(file: string): number {
  return fs.statSync(file).blocks * 512;
}

/** Writes a file with holes: as long as `size`, with bytes only where they are given. */
export function sparseFile(file: string, size: number, parts: Record<number, string> = {}): string {
  const fd = fs.openSync(file, "w");
  try {
    fs.ftruncateSync(fd, size);
    for (const [offset, text] of Object.entries(parts)) {
      const bytes = new TextEncoder().encode(text); // Deno ignores the position of a string
      fs.writeSync(fd, bytes, 0, bytes.length, Number(offset));
    }
  } finally {
    fs.closeSync(fd);
  }
  return file;
}

/** One area of `/proc/self/smaps`. */
export interface Area {
  readonly start: bigint;
  readonly end: bigint;
  /** Such as `"rw-p"`. */
  readonly access: string;
  /** The file, or what else the kernel says. */
  readonly label: string;
  /** The two-letter flags of the line `VmFlags`. */
  readonly flags: readonly string[];
  /** A line such as `Rss`, in bytes. */
  bytes(field: string): number;
}

/** The area that holds an address; it may be larger than a map, for the kernel joins neighbours. */
export function areaAt(address: bigint): Area {
  const entries = fs.readFileSync("/proc/self/smaps", "utf8").split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  for (const text of entries) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/m.exec(text);
    if (head === null) continue;
    const start = BigInt(`0x${head[1]}`);
    const end = BigInt(`0x${head[2]}`);
    if (address < start || address >= end) continue;
    return {
      start,
      end,
      access: head[3]!,
      label: head[4]!,
      flags: (/^VmFlags:(.*)$/m.exec(text)?.[1] ?? "").trim().split(/\s+/),
      bytes(field: string): number {
        return Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, "m").exec(text)?.[1]) * 1024;
      },
    };
  }
  throw new Error(`No area holds the address ${address.toString(16)}`);
}

/** Whether the flags of the area at an address name one, such as `"dc"`. */
export function hasFlag(address: bigint, flag: string): boolean {
  return areaAt(address).flags.includes(flag);
}

/** Pages of a map that are in memory, one character each: `"#"` or `"."`. */
export function pagesIn(map: { residency(offset?: number, length?: number): Uint8Array }): string {
  return Array.from(map.residency(), (page) => page === 1 ? "#" : ".").join("");
}

/** A file system in memory, of a fixed size. */
export interface Tmpfs extends Disposable {
  readonly path: string;
  file(name: string, content?: string | Uint8Array): string;
}

/** Mounts a file system in memory; `using` unmounts it. */
export function mountTmpfs(bytes: number): Tmpfs {
  return mount(tempDir(), ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs"]);
}

/** A small ext4 file system, in an image that goes away with it. */
export function mountExt4(bytes: number): Tmpfs {
  const images = tempDir();
  const image = images.file("image", "");
  fs.truncateSync(image, bytes);
  const made = spawnSync("mkfs.ext4", ["-q", "-F", image]);
  try {
    if (made.status !== 0) throw new Error(`Cannot make an ext4 file system: ${made.stderr}`);
    return mount(tempDir(), ["-o", "loop", image]);
  } finally {
    images[Symbol.dispose](); // the mount keeps the image
  }
}

function mount(dir: TempDir, args: readonly string[]): Tmpfs {
  const mounted = spawnSync("mount", [...args, dir.path]);
  if (mounted.status !== 0) {
    dir[Symbol.dispose]();
    throw new Error(`Cannot mount ${args.at(-1)}: ${mounted.stderr}`);
  }
  return {
    path: dir.path,
    file: dir.file,
    [Symbol.dispose](): void {
      // Lazily: what a failed test left open must not keep the mount.
      const unmounted = spawnSync("umount", ["--lazy", dir.path]);
      if (unmounted.status !== 0) throw new Error(`Cannot unmount ${dir.path}`);
      dir[Symbol.dispose]();
    },
  };
}

let mounts: boolean | undefined;

/** Tests that fill a small ext4 file system of their own. */
export function skipWithoutExt4(): Skip {
  try {
    mountExt4(16 << 20)[Symbol.dispose]();
    return false;
  } catch {
    return "needs mkfs.ext4, and the right to mount an image";
  }
}

/** Tests that fill a small file system of their own. */
export function skipWithoutMount(): Skip {
  if (mounts === undefined) {
    try {
      mountTmpfs(1 << 20)[Symbol.dispose]();
      mounts = true;
    } catch {
      mounts = false; // not root, or a sandbox without CAP_SYS_ADMIN
    }
  }
  return mounts ? false : "needs the right to mount a tmpfs";
}

const POOL = "/proc/sys/vm/nr_hugepages";

/** A line of `/proc/meminfo`: a count, or bytes. */
export function memoryInfo(field: string): number {
  const text = fs.readFileSync("/proc/meminfo", "utf8");
  const line = new RegExp(`^${field}:\\s*(\\d+)( kB)?$`, "m").exec(text);
  return Number(line?.[1]) * (line?.[2] === undefined ? 1 : 1024);
}

/** Sets how many huge pages the pool has; `using` puts the old number back. */
export function hugePool(pages: number): Disposable {
  const before = fs.readFileSync(POOL, "utf8");
  fs.writeFileSync(POOL, String(pages));
  return { [Symbol.dispose]: () => fs.writeFileSync(POOL, before) };
}

/** Tests that reserve `pages` huge pages for themselves. */
export function skipWithoutHugePool(pages: number): Skip {
  try {
    if (Number(fs.readFileSync(POOL, "utf8")) !== 0) return "needs an empty pool of huge pages";
    using _pool = hugePool(pages);
    return memoryInfo("HugePages_Free") >= pages ? false : `needs memory for ${pages} huge pages`;
  } catch {
    return "needs the right to reserve huge pages";
  }
}

/** A fixture that runs until told otherwise. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** The next line that it prints. */
  line(): Promise<string>;
  /** Writes lines to its input; they have left this process then. */
  tell(...lines: readonly string[]): Promise<void>;
  /** Ends it as `kill -9` does, and waits until it is gone. */
  kill(): Promise<void>;
  /** Closes its input and waits until it has ended by itself. */
  end(): Promise<number | null>;
}

/** Starts a program of `tests/fixtures` under the running runtime; `await using` ends it. */
export function startFixture(name: string, args: readonly string[] = []): Running {
  const script = fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
  const runtimeArguments = {
    deno: ["run", "--no-config", "--no-prompt", "-A"],
    bun: ["run"],
    node: ["--disable-warning=ExperimentalWarning"],
  }[runtimeName];
  // Inside `node --test` a child would report its own tests to the parent.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child: ChildProcess = spawn(process.execPath, [...runtimeArguments, script, ...args], {
    env: { ...env, NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  let ended: { code: number | null } | undefined;
  let wake: () => void = () => {};
  const over = new Promise<number | null>((resolve) => {
    child.on("close", (code) => {
      ended = { code };
      wake();
      resolve(code);
    });
  });
  child.stdout!.setEncoding("utf8").on("data", (more: string) => {
    text += more;
    wake();
  });
  const kill = async (): Promise<void> => {
    if (ended === undefined) child.kill("SIGKILL");
    await over;
  };
  return {
    pid: child.pid!,
    async line(): Promise<string> {
      while (!text.includes("\n")) {
        if (ended !== undefined) throw new Error(`${name} ended with ${ended.code}: ${text}`);
        await new Promise<void>((resolve) => wake = resolve);
      }
      const [line = "", ...rest] = text.split("\n");
      text = rest.join("\n");
      return line;
    },
    tell(...lines: readonly string[]): Promise<void> {
      return new Promise((resolve, reject) => {
        const text = lines.map((line) => `${line}\n`).join("");
        child.stdin!.write(text, (error) => error ? reject(error) : resolve());
      });
    },
    kill,
    async end(): Promise<number | null> {
      child.stdin!.end();
      return await over;
    },
    [Symbol.asyncDispose]: kill,
  };
}

/** Runs a Python program of `tests/fixtures` and returns what it prints. */
export function runPython(name: string, args: readonly string[]): string {
  const script = fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
  const { status, stdout, stderr } = spawnSync("python3", [script, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${path.basename(script)} ended with ${status}: ${stderr}`);
  return stdout;
}

/**
 * Checks that a promise is rejected with exactly `Class` and a message in the form of the house
 * that has each of `parts`; returns the error. The asynchronous twin of `assertRefused`.
 */
export async function assertRefusedLater<E extends Error>(
  promise: Promise<unknown>,
  Class: new (...args: never[]) => E,
  ...parts: readonly string[]
): Promise<E> {
  const outcome = await promise.then(() => undefined, (error: unknown) => ({ error }));
  if (outcome === undefined) throw new Error(`Expected ${Class.name}, but the promise resolved`);
  const { error } = outcome;
  assertInstanceOf(error, Class);
  assertStrictEquals(error.constructor, Class, error.message);
  assertMatch(error.message, /^[A-Z][^]*[^.]$/);
  const missing = parts.filter((part) => !error.message.includes(part));
  assertEquals(missing, [], `missing in "${error.message}"`);
  return error;
}

/** Waits, with the event loop free. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
