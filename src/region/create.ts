/** Creates regions: one function, the backend chosen by one word. */
import { checkInteger, checkOptionKeys, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { environment } from "../ffi/runtime.ts";
import { MemoryMap } from "../memory_map.ts";
import { HeapRegion } from "./heap.ts";
import type { MemoryRegion } from "./region.ts";

/**
 * Where the bytes of a region lie:
 *
 * - `"anonymous"`: pages of this process
 * - `"file"`: a file at `path`, created or emptied
 * - `"named"`: shared memory that other processes open by `name`; the name goes with the region
 * - `"memfd"`: shared memory with a descriptor and no name; Linux
 * - `"sab"`: a SharedArrayBuffer, which all threads of this process can have
 * - `"heap"`: an ArrayBuffer
 */
export type Backend = "anonymous" | "file" | "named" | "memfd" | "sab" | "heap";

/** Options of {@link createRegion}: those that a backend does not need may be given all the same. */
export interface RegionOptions<B extends Backend = Backend> {
  /**
   * Where the bytes lie. Default: what the environment variable `MMAN_BACKEND` says, if it is set and may
   * be read; else `"anonymous"`.
   */
  backend?: B | undefined;
  /** The name of `"named"` memory; what the system's tools show of `"anonymous"` and `"memfd"`. */
  name?: string;
  /** The file of `"file"`. */
  path?: string | URL;
}

/** What a backend gives: a MemoryMap where the system maps the bytes. */
export type RegionFor<B extends Backend> = Backend extends B ? MemoryRegion
  : B extends "sab" | "heap" ? MemoryRegion
  : MemoryMap;

/** The environment variable that chooses the backend where the program does not. */
const VARIABLE = "MMAN_BACKEND";

const backends: Readonly<
  Record<Backend, (size: number, options: RegionOptions) => MemoryRegion>
> = {
  anonymous: (size, { name }) =>
    MemoryMap.createAnonymous(size, undefined, undefined, name === undefined ? {} : { name }),
  file: (size, { path }) => MemoryMap.open(needed("file", { path }), { mode: "w+", size }),
  named: (size, { name }) =>
    MemoryMap.createNamed(needed("named", { name }), size, { owned: true }),
  memfd: (size, { name }) => MemoryMap.createMemfd(size, name === undefined ? {} : { name }),
  sab: (size) => new HeapRegion(size, SharedArrayBuffer),
  heap: (size) => new HeapRegion(size, ArrayBuffer),
};

/**
 * Creates zero-filled memory of any kind. Programs that leave `backend` out can be moved to another kind
 * from outside, by `MMAN_BACKEND=file`; in Deno that needs `--allow-env=MMAN_BACKEND`, without which the
 * variable counts as not set.
 *
 * | backend       | bound by                               | others see it          | after `close()`               | platforms                |
 * | ------------- | -------------------------------------- | ---------------------- | ----------------------------- | ------------------------ |
 * | `"anonymous"` | memory, address space                  | no                     | views are empty               | all                      |
 * | `"file"`      | the disk, address space                | by path                | views are empty, bytes stay   | all                      |
 * | `"named"`     | memory (`/dev/shm` on Linux)           | by name, while open    | views are empty, name is gone | Linux, macOS, Windows    |
 * | `"memfd"`     | memory                                 | by descriptor          | views are empty               | Linux                    |
 * | `"sab"`       | memory, the engine's largest buffer    | threads, if posted     | views stay                    | all, no permission       |
 * | `"heap"`      | memory, the engine's largest buffer    | no                     | views are empty               | all, no permission       |
 *
 * @param size Bytes, at least 1.
 * @param options The backend, and the name or path that it needs.
 * @returns The region; close it, or declare it with `using`.
 * @throws {MMapInvalidParameterError} If the backend is unknown, lacks its name or path, or the platform
 * lacks it.
 * @throws {MMapAllocationError} If there is not that much memory.
 * @throws {MMapError} If the file cannot be opened, or the name is taken; `code` says why.
 *
 * @example
 * ```ts
 * import { createRegion } from "@mman/mman/region";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/data`;
 * for (const backend of ["file", "anonymous", "sab", "heap"] as const) {
 *   using region = createRegion(4096, { backend, path });
 *   region.write("the same everywhere");
 *   assertEquals(region.find("every"), 9);
 * }
 * ```
 */
export function createRegion<B extends Backend = Backend>(
  size: number,
  options: RegionOptions<B> = {},
): RegionFor<B> {
  checkInteger("a size in bytes", size, 1);
  checkOptionKeys("createRegion", options, ["backend", "name", "path"]);
  const backend = options.backend ?? backendOfEnvironment() ?? "anonymous";
  checkBackend("the backend of a region", backend);
  return backends[backend](size, options) as RegionFor<B>;
}

function backendOfEnvironment(): Backend | undefined {
  const value = environment(VARIABLE);
  if (value === undefined || value === "") return undefined;
  checkBackend(`${VARIABLE} of the environment`, value);
  return value;
}

function checkBackend(what: string, value: unknown): asserts value is Backend {
  if (typeof value === "string" && Object.hasOwn(backends, value)) return;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(value)} as ${what}: it must be one of ${Object.keys(backends).join(", ")}`,
  );
}

/** The one option that a backend cannot do without. */
function needed<T>(backend: Backend, option: Readonly<Record<string, T | undefined>>): T {
  const [[name, value]] = Object.entries(option) as [[string, T | undefined]];
  if (value !== undefined) return value;
  throw new MMapInvalidParameterError(
    `Cannot create a region with the backend ${show(backend)} without a ${name}: give { ${name} }`,
  );
}
