/**
 * What several test files need: a folder that goes away, child processes under the running runtime,
 * and the operating system's own account of this process's mappings and descriptors.
 */
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { guardStatus } from "../src/guard/mod.ts";
import { random } from "./random.ts";

export { random };

/** The runtime that runs the tests. */
export const runtimeName: "deno" | "bun" | "node" = process.versions["deno"] !== undefined
  ? "deno"
  : process.versions["bun"] !== undefined
  ? "bun"
  : "node";

/** Bytes that one ArrayBuffer of this runtime can hold at most. */
export const maxBufferLength: number = runtimeName === "bun" ? 2 ** 32 : Number.MAX_SAFE_INTEGER;

/** For the `skip` option of a test: false, or the reason. */
export type Skip = string | false;

/** Tests that read `/proc/self`. */
export const skipWithoutProc: Skip = fs.existsSync("/proc/self/maps")
  ? false
  : "needs /proc of Linux";

/** Whether the kernel runs on another processor than this program thinks. */
function isEmulated(): boolean {
  if (process.env["MMAN_EMULATED"] === "1") return true;
  const file = "/proc/sys/kernel/arch"; // since Linux 6.1
  const names: Record<string, string> = { x64: "x86_64", arm64: "aarch64" };
  const expected = names[process.arch];
  if (expected === undefined || !fs.existsSync(file)) return false;
  return fs.readFileSync(file, "utf8").trim() !== expected;
}

/** Tests of what user-mode emulation does not pass on, or needs gigabytes for: huge mappings. */
export const skipEmulated: Skip = isEmulated() ? "needs a processor that is not emulated" : false;

/** Tests of errors by number, which only POSIX systems have in common. */
export const skipOnWindows: Skip = process.platform === "win32" ? "needs a POSIX system" : false;

/** Tests of Deno's permissions. */
export const skipOutsideDeno: Skip = runtimeName === "deno" ? false : "needs Deno's permissions";

/** Tests that run commands of the system, each by name. */
export function skipWithoutCommands(...commands: readonly string[]): Skip {
  for (const command of commands) {
    if (spawnSync(command, ["--version"], { stdio: "ignore" }).status !== 0) {
      return `needs the command ${command}`;
    }
  }
  return false;
}

let startsChildren: boolean | undefined;

/** Tests that run this runtime a second time: an emulated one cannot always be started. */
export function skipWithoutChildren(): Skip {
  startsChildren ??= spawnSync(process.execPath, ["--version"], { stdio: "ignore" }).status === 0;
  return startsChildren ? false : "needs to start this runtime a second time";
}

/** A lost page ends the process where nothing guards against that. */
export const skipWithoutGuard: Skip = guardStatus().active ? false : "needs the fault guard";

/** The first reason of several. */
export function firstReason(...reasons: readonly Skip[]): Skip {
  return reasons.find((reason) => reason !== false) ?? false;
}

/** A temporary folder. */
export interface TempDir extends Disposable {
  /** The folder, without symbolic links in it. */
  readonly path: string;
  /** The path of a file in it, which is written if `content` is given. */
  file(name: string, content?: string | Uint8Array): string;
}

/** Makes a temporary folder; `using dir = tempDir()` removes it at the end of the block. */
export function tempDir(): TempDir {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "mman-")));
  return {
    path: folder,
    file(name: string, content?: string | Uint8Array): string {
      const file = path.join(folder, name);
      if (content !== undefined) fs.writeFileSync(file, content);
      return file;
    },
    [Symbol.dispose](): void {
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Opens a file for the length of a block: `using file = openFd(path, "r+")`. */
export function openFd(file: string, flags: string): Disposable & { readonly fd: number } {
  const fd = fs.openSync(file, flags);
  return { fd, [Symbol.dispose]: () => fs.closeSync(fd) };
}

/** Bytes that look random and are the same in every run. */
export function pattern(length: number, seed: number = 1): Uint8Array<ArrayBuffer> {
  const next = random(seed);
  return Uint8Array.from({ length }, () => next() * 256);
}

/** The bytes of a text in UTF-8, as a plain `Uint8Array`. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The bytes of a file, as a plain `Uint8Array`. */
export function fileBytes(file: string): Uint8Array {
  return new Uint8Array(fs.readFileSync(file));
}

/**
 * Checks that `fn` throws exactly `Class`, not a class below it, with a message in the form of the
 * house that has each of `parts`; returns the error.
 */
export function assertRefused<E extends Error>(
  fn: () => unknown,
  Class: new (...args: never[]) => E,
  ...parts: readonly string[]
): E {
  const error = assertThrows(fn, Class);
  assertStrictEquals(error.constructor, Class, error.message);
  assertEquals(error.name, Class.name);
  assertMatch(error.message, /^[A-Z][^]*[^.]$/);
  const missing = parts.filter((part) => !error.message.includes(part));
  assertEquals(missing, [], `missing in "${error.message}"`);
  return error;
}

/** One line of `/proc/self/maps`. */
export interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  /** Such as `"rw-p"`. */
  readonly access: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly path: string;
}

/** All mappings of this process. */
export function mappings(): Mapping[] {
  const line = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s*(.*)$/;
  return fs.readFileSync("/proc/self/maps", "utf8").trimEnd().split("\n").map((text) => {
    const [, start = "0", end = "0", access = "", offset = "0", path = ""] = line.exec(text) ?? [];
    return {
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      access,
      offset: parseInt(offset, 16),
      path,
    };
  });
}

/** The mappings of a file. */
export function mappingsOf(file: string): Mapping[] {
  return mappings().filter(({ path }) => path === file);
}

/** The mapping that holds an address. */
export function mappingAt(address: bigint): Mapping | undefined {
  return mappings().find(({ start, end }) => start <= address && address < end);
}

/** The access of each page from an address on, such as `["rw-p", "r--p"]`. */
export function accessOf(address: bigint, pages: number, pageSize: number): string[] {
  const all = mappings();
  return Array.from({ length: pages }, (_, i) => {
    const at = address + BigInt(i * pageSize);
    return all.find(({ start, end }) => start <= at && at < end)?.access ?? "none";
  });
}

/** A field of `/proc/self/smaps` for the mapping that starts at an address, as text. */
export function smapsField(start: bigint, field: string): string | undefined {
  const head = `${start.toString(16).padStart(8, "0")}-`;
  const entries = fs.readFileSync("/proc/self/smaps", "utf8").split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  const entry = entries.find((text) => text.startsWith(head)) ?? "";
  return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(entry)?.[1];
}

/** The descriptors that this process has open on a file. */
export function descriptorsOf(file: string): number[] {
  return fs.readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`) === file;
    } catch {
      return false; // the descriptor that listed the folder is closed by now
    }
  }).map(Number);
}

/** Descriptors that this process has open. */
export function countDescriptors(): number {
  return fs.readdirSync("/proc/self/fd").length;
}

/** Bytes that this process has locked in memory. */
export function lockedBytes(): number {
  const status = fs.readFileSync("/proc/self/status", "utf8");
  return Number(/^VmLck:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Options of {@link runFixture}. */
export interface FixtureOptions {
  readonly args?: readonly string[];
  /** Deno's permissions. Default `["-A"]`. */
  readonly permissions?: readonly string[];
  /** A command that runs the command, such as `["prlimit", "--nofile=64"]`. */
  readonly prefix?: readonly string[];
  /** Variables of its environment, beside those of this process. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Default 60. */
  readonly seconds?: number;
}

/** How a child process ended. */
export interface Ended {
  /** The exit code, or the signal's name. */
  readonly status: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of `tests/fixtures` under the running runtime, with `gc` exposed, to its end. */
export function runFixture(name: string, options: FixtureOptions = {}): Promise<Ended> {
  const { args = [], permissions = ["-A"], prefix = [], variables, seconds = 60 } = options;
  const script = fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
  // No configuration: a fixture imports the library by its path, and nothing else.
  const runtimeArguments = {
    deno: ["run", "--no-config", "--no-prompt", "--v8-flags=--expose-gc", ...permissions],
    bun: ["run"],
    node: ["--expose-gc", "--disable-warning=ExperimentalWarning"],
  }[runtimeName];
  const [command = "", ...rest] = [
    ...prefix,
    process.execPath,
    ...runtimeArguments,
    script,
    ...args,
  ];
  // Inside `node --test` a child would report its own tests to the parent.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      env: { ...env, ...variables, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => output.stdout += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => output.stderr += text);
    const limit = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${name} did not end within ${seconds} seconds: ${output.stderr}`));
    }, seconds * 1000);
    child.on("error", (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      resolve({ status: signal ?? code, ...output });
    });
  });
}

/** Runs a fixture that must succeed, and reads the JSON that it prints. */
export async function fixtureResult<T>(name: string, options?: FixtureOptions): Promise<T> {
  const { status, stdout, stderr } = await runFixture(name, options);
  assertEquals(status, 0, `${name} ended with ${status}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout);
}
