/** What the calls of a sequence work on: the objects made so far, files, names, promises. */
import fs from "node:fs";
import { MADV_WIPEONFORK, MemoryMap, MMapError } from "../../mod.ts";
import { isAllowed } from "./errors.ts";

/** Places for objects of one kind: a new one takes the place of an old one. */
export const PLACES = 8;

/** An object that came out of a call. */
export interface Entry<T = unknown> {
  readonly value: T;
  /** What the log calls it. */
  readonly label: string;
  /** The map that it belongs to, if it does. */
  readonly map: MemoryMap | undefined;
}

/** Something that must not be. */
export interface Finding {
  /** The call during which it was found. */
  readonly call: number;
  readonly what: string;
}

/** Something that holds a map of its own. */
interface Closable extends Disposable {
  close(): void;
}

function isClosable(value: unknown): value is Closable {
  const { close, [Symbol.dispose]: dispose } = Object(value) as Partial<Closable>;
  return typeof close === "function" && typeof dispose === "function";
}

/** Everything that calls share. */
export class World {
  /** What names of shared memory begin with. */
  readonly prefix: string;
  /** The number of the call that is being made. */
  call = 0;
  readonly findings: Finding[] = [];
  readonly #pools = new Map<string, (Entry | undefined)[]>();
  /** Every map there was. */
  readonly #maps: WeakRef<MemoryMap>[] = [];
  /** Everything else that was to be closed. */
  readonly #closables: WeakRef<Closable>[] = [];
  /** Where maps began, and which: for the report of a leak. */
  readonly #places = new Map<bigint, string>();
  /** What is awaited, and the call that began it. */
  readonly #pending = new Map<Promise<unknown>, string>();
  /** Signals to abort before a call. */
  readonly #aborts: { readonly call: number; readonly controller: AbortController }[] = [];
  /** What else has to be ended. */
  readonly ends: (() => unknown)[] = [];

  /** In the working directory, which is empty. */
  constructor(prefix: string) {
    this.prefix = prefix;
    fs.mkdirSync("folder");
    fs.symlinkSync(this.file(3), "link");
    for (const [k, size] of [0, 1, 4096, 10_000, 65_536, 1 << 20].entries()) {
      fs.writeFileSync(this.file(k), new Uint8Array(size).fill(k + 1));
    }
  }

  /** The path of a file that is there from the beginning, of a few that are not. */
  file(k: number): string {
    return `file-${k}`;
  }

  /** Notes what must not be. */
  report(what: string): void {
    this.findings.push({ call: this.call, what });
  }

  /** Notes an error unless it is one that a call may throw. */
  judge(error: unknown, call: string): void {
    if (isAllowed(error)) return;
    const text = error instanceof Error ? error.stack ?? String(error) : describe(error);
    this.report(`untyped error out of ${call}: ${text}`);
  }

  /** The places of a kind of object. */
  pool(name: string): (Entry | undefined)[] {
    let pool = this.#pools.get(name);
    if (pool === undefined) this.#pools.set(name, pool = Array(PLACES).fill(undefined));
    return pool;
  }

  /** Puts an object in a place; returns it with its label. */
  put<T>(name: string, place: number, value: T, map: MemoryMap | undefined): Entry<T> {
    const entry = { value, label: `${name}${place}`, map };
    this.pool(name)[place] = entry;
    if (value instanceof MemoryMap) {
      this.#maps.push(new WeakRef(value));
      this.#places.set(value.addr, `${entry.label} of call ${this.call}, ${value.size} bytes`);
      markPrivate(value);
    } else if (isClosable(value)) this.#closables.push(new WeakRef(value));
    return entry;
  }

  /** Every object of a kind. */
  all(name: string): Entry[] {
    return this.pool(name).filter((entry) => entry !== undefined);
  }

  /** Waits for a promise at the end, if not before. */
  await(promise: Promise<unknown>, call: string): void {
    this.#pending.set(promise, `call ${this.call}, ${call}`);
    const done = () => this.#pending.delete(promise);
    promise.then(done, done);
  }

  /** A controller whose signal is aborted some calls from now. */
  abortIn(calls: number): AbortController {
    const controller = new AbortController();
    this.#aborts.push({ call: this.call + calls, controller });
    return controller;
  }

  /** Aborts what is due. */
  abortDue(): void {
    for (const { call, controller } of this.#aborts.splice(0)) {
      if (call <= this.call) controller.abort();
      else this.#aborts.push({ call, controller });
    }
  }

  /** Checks what must hold of any map at any time. */
  inspect(map: MemoryMap, call: string): void {
    const { size, addr, isValid } = map;
    const sane = Number.isSafeInteger(size) && size >= 0 && typeof addr === "bigint" &&
      (isValid ? size === 0 || addr > 0n : size === 0 && addr === 0n);
    if (!sane) {
      this.report(`after ${call} a map has size ${size}, addr ${addr}, isValid ${isValid}`);
    }
  }

  /** Ends all that is still going on, and lets go of everything. */
  async end(seconds: number): Promise<void> {
    this.call++;
    for (const { controller } of this.#aborts.splice(0)) controller.abort();
    for (const end of this.ends.splice(0)) await end();
    for (const ref of this.#closables.splice(0)) this.#end(ref.deref());
    for (const { value, label } of this.all("map")) this.#close(value as MemoryMap, label);
    this.#pools.clear();
    const deadline = performance.now() + seconds * 1000;
    while (this.#pending.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const call of this.#pending.values()) this.report(`hang: not settled: ${call}`);
  }

  /** Takes the names away that stay by themselves: none of the owned ones. */
  unlinkNames(): void {
    for (let k = 0; k < PLACES; k++) {
      try {
        MemoryMap.unlinkNamed(`${this.prefix}-${k}`);
      } catch (error) {
        this.judge(error, "unlinkNamed()"); // it need not be there
      }
    }
  }

  /** Closes the maps that were dropped open and have not been collected. */
  closeDropped(): void {
    for (const ref of this.#maps) {
      const map = ref.deref();
      if (map !== undefined) this.#close(map, "a dropped map");
    }
  }

  /** The map that began at an address, as far as it is known. */
  mapAt(address: bigint): string {
    return this.#places.get(address) ?? "no known map";
  }

  /** Closes what was not collected: somebody may wait for something there. */
  #end(closable: Closable | undefined): void {
    try {
      closable?.close();
    } catch (error) {
      this.judge(error, `close() of a ${closable?.constructor.name} at the end`);
    }
  }

  #close(map: MemoryMap, label: string): void {
    try {
      map.close();
    } catch (error) {
      this.judge(error, `${label}.close()`);
    }
    this.inspect(map, `${label}.close()`);
  }
}

/** Marks private memory without a file, which `leaks.ts` could not tell from the engine's otherwise. */
function markPrivate(map: MemoryMap): void {
  if (!map.isValid || map.path !== undefined) return;
  try {
    map.madvise(MADV_WIPEONFORK);
  } catch (error) {
    if (!(error instanceof MMapError)) throw error; // it is of another sort, or full of holes
  }
}

function describe(value: unknown): string {
  return typeof value === "symbol" ? String(value) : JSON.stringify(value) ?? String(value);
}
