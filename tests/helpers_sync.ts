/**
 * What the tests of shared memory and locks share: programs of `tests/fixtures` under any of the three
 * runtimes, or Python, that are talked to while they run; threads; and memory that several map.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { MAP_ANONYMOUS, MAP_SHARED, MemoryMap, PROT_READ, PROT_WRITE } from "../mod.ts";
import { platform } from "../src/ffi/host.ts";
import { syncPlatform } from "../src/ffi/host_sync.ts";
import { runtimeName, type Skip, tempDir } from "./helpers.ts";

/** Tests of locks and waiting. */
export const skipWithoutSync: Skip = syncPlatform() === undefined
  ? "needs a system that can wait in shared memory"
  : false;

/** Tests of what a kernel does that knows the owners of locks. */
export const skipWithoutOwners: Skip = syncPlatform()?.ownership === undefined
  ? "needs a kernel that knows the owners of locks"
  : false;

/** Memory that all threads of this process can have. */
export function sharedMemory(size: number = 4096, sharedBuffer: boolean = false): MemoryMap {
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  return MemoryMap.createAnonymous(size, PROT_READ | PROT_WRITE, flags, { sharedBuffer });
}

/** With and without a SharedArrayBuffer, where the system can lay one over a map. */
export const sharedBuffers: readonly boolean[] = platform().mapOver === undefined
  ? [false]
  : [false, true];

/** A runtime that programs can be started under. */
export type RuntimeName = typeof runtimeName | "python";

const startArguments: Readonly<Record<RuntimeName, readonly string[]>> = {
  deno: ["run", "--no-config", "--no-prompt", "-A"],
  bun: ["run"],
  node: ["--disable-warning=ExperimentalWarning"],
  python: [],
};

/** Where the test command finds or puts the other runtimes. */
const places: Readonly<Record<RuntimeName, { variable: string; folder?: RegExp; file?: string }>> =
  {
    deno: { variable: "DENO" },
    bun: { variable: "BUN", folder: /^bun-/, file: "bin/bun" },
    node: { variable: "NODE26", folder: /^node-/, file: "bin/node" },
    python: { variable: "PYTHON" },
  };

function installed(name: RuntimeName): string[] {
  const { folder, file } = places[name];
  const cache = fileURLToPath(new URL("../.cache/runtimes", import.meta.url));
  if (folder === undefined || file === undefined || !fs.existsSync(cache)) return [];
  return fs.readdirSync(cache).filter((entry) => folder.test(entry)).flatMap((entry) => {
    const modules = path.join(cache, entry, "node_modules");
    return fs.globSync(`{*,@*/*}/${file}`, { cwd: modules }).map((at) => path.join(modules, at));
  });
}

/** Whether a program can use the library, or Python's mmap. */
function works(name: RuntimeName, command: string): boolean {
  const probe: Record<RuntimeName, string[]> = {
    deno: ["--version"],
    bun: ["--version"],
    node: ["-e", "process.getBuiltinModule('node:ffi') ?? process.exit(1)"],
    python: ["-c", "import mmap, ctypes, multiprocessing.shared_memory"],
  };
  return spawnSync(command, probe[name], { stdio: "ignore" }).status === 0;
}

const found = new Map<RuntimeName, string | undefined>();

/** The executable of a runtime; undefined if it is not here. */
export function executableOf(name: RuntimeName): string | undefined {
  if (!found.has(name)) {
    const given = process.env[places[name].variable];
    const onPath = name === "python" ? "python3" : name;
    const candidates = name === runtimeName
      ? [process.execPath]
      : [...(given ? [given] : []), onPath, ...installed(name)];
    found.set(name, candidates.find((command) => works(name, command)));
  }
  return found.get(name);
}

/** The command that runs a program under a runtime that is here. */
export function commandOf(name: RuntimeName = runtimeName): string[] {
  return [executableOf(name)!, ...startArguments[name]];
}

/** Tests that need several runtimes at once. */
export function skipWithout(...names: readonly RuntimeName[]): Skip {
  const missing = names.find((name) => executableOf(name) === undefined);
  return missing === undefined ? false : `needs ${missing}`;
}

/** A program that runs until it ends or is ended. */
export interface Peer extends AsyncDisposable {
  readonly pid: number;
  /** The next line that it prints. */
  line(): Promise<string>;
  /** Gives it an order, as JSON; it has left this process when the promise is resolved. */
  tell(order: unknown): Promise<void>;
  /** Kills it, at once: it may still be ending when this returns. */
  kill(): void;
  /** Waits until it has ended; its exit code, or the signal's name. */
  ended(): Promise<number | string | null>;
}

/** Starts a program of `tests/fixtures`; `await using` ends it. */
export function startPeer(
  name: string,
  args: readonly (string | number)[] = [],
  runtime: RuntimeName = runtimeName,
  environment: Readonly<Record<string, string>> = {},
): Peer {
  const script = fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
  // Inside `node --test` a child would report its own tests to the parent.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const [command = "", ...start] = commandOf(runtime);
  const child: ChildProcess = spawn(
    command,
    [...start, script, ...args.map(String)],
    { env: { ...env, ...environment, NO_COLOR: "1" }, stdio: ["pipe", "pipe", "inherit"] },
  );
  let text = "";
  let wake: () => void = () => {};
  let status: { of: number | string | null } | undefined;
  const over = new Promise<number | string | null>((resolve) => {
    child.on("close", (code, signal) => {
      status = { of: signal ?? code };
      wake();
      resolve(status.of);
    });
  });
  child.stdin!.on("error", () => {}); // it has ended and does not read any more
  child.stdout!.setEncoding("utf8").on("data", (more: string) => {
    text += more;
    wake();
  });
  return {
    pid: child.pid!,
    async line(): Promise<string> {
      while (!text.includes("\n")) {
        if (status !== undefined) throw new Error(`${name} ended with ${status.of}: ${text}`);
        await new Promise<void>((resolve) => wake = resolve);
      }
      const [line = "", ...rest] = text.split("\n");
      text = rest.join("\n");
      return line;
    },
    tell: (order) =>
      new Promise((resolve, reject) => {
        child.stdin!.write(`${JSON.stringify(order)}\n`, (error) =>
          error ? reject(error) : resolve());
      }),
    kill: () => void child.kill("SIGKILL"),
    ended: () => over,
    async [Symbol.asyncDispose](): Promise<void> {
      if (status === undefined) child.kill("SIGKILL");
      await over;
    },
  };
}

/** Gives an order to `sync_member.ts` and waits for the result. */
export async function ask(peer: Peer, order: Readonly<Record<string, unknown>>): Promise<unknown> {
  await peer.tell(order);
  return JSON.parse(await within(30, JSON.stringify(order), peer.line()));
}

/** A thread of this process. */
export interface Thread extends AsyncDisposable {
  /** The next message that it posts. */
  message<T>(): Promise<T>;
  post(message: unknown): void;
  /** Ends it as a thread is ended from outside. */
  terminate(): Promise<unknown>;
}

/** Starts a module of `tests/fixtures` as a Worker; `await using` ends it. */
export function startThread(name: string, data: unknown): Thread {
  const worker = new Worker(new URL(`./fixtures/${name}`, import.meta.url), { workerData: data });
  const messages: unknown[] = [];
  let wake: () => void = () => {};
  let failure: unknown;
  worker.on("message", (message: unknown) => {
    messages.push(message);
    wake();
  });
  worker.on("error", (error: unknown) => {
    failure = error;
    wake();
  });
  const terminate = () => Promise.resolve(worker.terminate());
  return {
    async message<T>(): Promise<T> {
      while (messages.length === 0) {
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => wake = resolve);
      }
      return messages.shift() as T;
    },
    post: (message) => worker.postMessage(message),
    terminate,
    async [Symbol.asyncDispose](): Promise<void> {
      await terminate();
    },
  };
}

/** A file of zeros that several processes map. */
export interface SharedFile extends Disposable {
  readonly path: string;
  readonly map: MemoryMap;
}

/** Makes one; `using` closes the map and removes the file. */
export function sharedFile(size: number = 65536): SharedFile {
  const dir = tempDir();
  const file = dir.file("shared", new Uint8Array(size));
  const map = MemoryMap.open(file, { mode: "r+" });
  return {
    path: file,
    map,
    [Symbol.dispose](): void {
      map.close();
      dir[Symbol.dispose]();
    },
  };
}

/** Waits, with the event loop free. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Fails a promise that takes too long, so that a hang is a failure of the test that hangs. */
export async function within<T>(seconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what} took more than ${seconds} s`)),
      seconds * 1000,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
