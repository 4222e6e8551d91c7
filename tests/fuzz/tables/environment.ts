/** What happens around a map: others change its file, threads attach to it, garbage is collected. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type MapHandle, MemoryMap } from "../../../mod.ts";
import { collectNow, resizeFile } from "../hostile.ts";
import { filePath } from "../kinds.ts";
import { type Kind, needed, oneOf, type Source } from "../shown.ts";
import { type AnyTable, classTable, functionTable } from "../table.ts";
import type { World } from "../world.ts";

const world: Kind<World> = ({ world }) => ({ value: world, text: "world" });
// These calls are the system's: they get all that they need.
const path = needed(filePath);
const size = needed(oneOf(0, 1, 4095, 4096, 10_000, 65_536, 1 << 20));

/** Another process gives the file another size, while this one goes on. */
function resizeElsewhere(world: World, file: string, size: number): void {
  if (!fs.existsSync(file)) return;
  const child = spawn("truncate", ["-s", String(size), file], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("exit", resolve).on("error", resolve));
  world.ends.push(() => ended);
}

const files = functionTable({
  name: "files",
  weight: 1,
  owner: {
    resizeFile,
    resizeElsewhere,
    unlink: (file: string) => fs.rmSync(file, { force: true }),
    write: (file: string, length: number) => fs.writeFileSync(file, new Uint8Array(length)),
    read: (file: string) => void (fs.existsSync(file) && fs.readFileSync(file)),
  },
  functions: {
    resizeFile: [path, size],
    resizeElsewhere: [world, path, size],
    unlink: [path],
    write: [path, size],
    read: [path],
  },
});

const collector = functionTable({
  name: "collector",
  weight: 0.15,
  owner: {
    collect: collectNow,
    collectAndFinish: async () => {
      collectNow();
      await new Promise((resolve) => setTimeout(resolve, 2));
    },
  },
  functions: { collect: [], collectAndFinish: [] },
});

/** Threads of a sequence at the most: each is a whole engine. */
const MAX_WORKERS = 3;

/** A thread of a sequence, which reports what it must not see. */
class Thread {
  readonly worker: Worker;
  readonly ended: Promise<unknown>;
  spent = false;

  constructor(world: World, script: string, workerData: object) {
    const file = fileURLToPath(new URL(`../${script}`, import.meta.url));
    this.worker = new Worker(file, { workerData });
    this.ended = new Promise((resolve) => this.worker.once("exit", resolve));
    this.worker.on("message", (complaint: string) => world.report(`in ${script}: ${complaint}`));
    this.worker.on(
      "error",
      (error?: Error) => world.report(`${script} ended with ${error?.message}`),
    );
  }
}

/** A thread that is attached to a map of its own, which calls may reach, too. */
class Attached extends Thread {
  constructor(world: World, handle: MapHandle, seed: number) {
    super(world, "worker.ts", { handle, seed });
    world.ends.push(() => this.terminate());
  }

  /** Asks the thread to close its map and to end. */
  end(): void {
    this.worker.postMessage("end");
  }

  /** Ends it wherever it is. */
  async terminate(): Promise<void> {
    if (this.spent) return;
    this.spent = true;
    await this.worker.terminate();
    await this.ended;
  }
}

/** Workers started in a sequence. */
const started = new WeakMap<World, number>();

/** A thread on a map of its own, which calls reach, too. */
function attach({ world, dice }: Source): { text: string; value: () => Attached } | undefined {
  const count = started.get(world) ?? 0;
  if (count >= MAX_WORKERS || dice.chance(0.7)) return undefined;
  started.set(world, count + 1);
  const place = dice.between(0, 7);
  const file = `of-worker-${count}`;
  const seed = dice.between(0, 1e9);
  return {
    text:
      `a Worker attached to map${place} = MemoryMap.open("${file}", { mode: "w+", size: 65536 })`,
    value: () => {
      const map = MemoryMap.open(file, { mode: "w+", size: 65_536 });
      world.put("map", place, map, map);
      return new Attached(world, map.share(), seed);
    },
  };
}

const workers = classTable<Attached>({
  name: "worker",
  weight: 0.1,
  is: (value) => value instanceof Attached,
  make: attach,
  isSpent: ({ spent }) => spent,
  methods: { end: [], terminate: [] },
});

/** Threads that use the rings, journals and pools of the sequence. They end in order: their maps are their own. */
class Neighbour extends Thread {
  constructor(world: World, seed: number) {
    super(world, "neighbour.ts", { prefix: world.prefix, seed });
    world.ends.push(() => this.end());
  }

  /** Asks the thread to close what it has, and waits for its end. */
  async end(): Promise<void> {
    this.spent = true;
    this.worker.postMessage("end");
    await this.ended;
  }
}

/** One for a sequence at the most. */
const neighbours = classTable<Neighbour>({
  name: "neighbour",
  weight: 0.4,
  is: (value) => value instanceof Neighbour,
  make: ({ world, dice }) => {
    if (world.all("neighbour").length > 0 || dice.chance(0.5)) return undefined;
    const seed = dice.between(0, 1e9);
    return { text: `a neighbour, seed ${seed}`, value: () => new Neighbour(world, seed) };
  },
  isSpent: ({ spent }) => spent,
  methods: { end: [] },
});

/** The tables of this file. */
export const environmentTables: readonly AnyTable[] = [files, collector, workers, neighbours];
