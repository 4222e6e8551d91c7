/**
 * Calls on another thread where the runtime has none of its own (Bun, Node): one worker per library,
 * started at the first call, which does not keep the process alive while nothing is pending.
 */
import type { Worker } from "node:worker_threads";
import { nodeWorkers } from "./builtin.ts";
import type { OffThreadFunctions, OffThreadResult, SymbolTable } from "./runtime.ts";

/** How the worker opens the library: the runtime's own spelling, as data. */
export interface OffThreadLibrary {
  readonly library: string;
  /** The symbol table in the runtime's spelling. */
  readonly table: unknown;
  /** The function, in `table` too, that gives the address of the thread's errno, if there is one. */
  readonly errnoSymbol: string | undefined;
  /** The runtime's FFI module. */
  readonly module: string;
  /** The property of an open library that holds its functions. */
  readonly functions: string;
  /** An expression for an ArrayBuffer over the four bytes at `address`, with the module as `ffi`. */
  readonly errnoBuffer: string;
}

const workerSource = (errnoBuffer: string): string => `
const { parentPort, workerData } = require("node:worker_threads");
const ffi = process.getBuiltinModule(workerData.module);
const library = ffi.dlopen(workerData.library, workerData.table)[workerData.functions];
const address = workerData.errnoSymbol && library[workerData.errnoSymbol]();
const errno = address ? new Int32Array(${errnoBuffer}) : [];
parentPort.on("message", ({ id, name, args }) => {
  const result = Number(library[name](...args));
  parentPort.postMessage({ id, result, errno: result === -1 ? errno[0] : undefined });
});
`;

/** A symbol table with the function that gives errno's address in it. */
export function withErrno(table: SymbolTable, errnoSymbol: string | undefined): SymbolTable {
  if (errnoSymbol === undefined) return table;
  return { ...table, [errnoSymbol]: { parameters: [], result: "isize" } };
}

/** Binds the functions of `table`; the worker starts at the first call. */
export function openOffThread<T extends SymbolTable>(
  table: T,
  library: OffThreadLibrary,
): OffThreadFunctions<T> {
  const pending = new Map<number, {
    resolve: (result: OffThreadResult) => void;
    reject: (error: unknown) => void;
  }>();
  let worker: Worker | undefined;
  let nextId = 0;

  const start = (): Worker => {
    const started = new (nodeWorkers().Worker)(workerSource(library.errnoBuffer), {
      eval: true,
      workerData: library,
    });
    started.on("message", ({ id, ...result }: OffThreadResult & { id: number }) => {
      const call = pending.get(id);
      pending.delete(id);
      if (pending.size === 0) started.unref();
      call?.resolve(result);
    });
    started.on("error", (error: unknown) => {
      worker = undefined;
      for (const { reject } of pending.values()) reject(error);
      pending.clear();
    });
    return started;
  };

  const call = (name: string, args: readonly unknown[]): Promise<OffThreadResult> => {
    const running = worker ??= start();
    const id = nextId++;
    running.ref();
    running.postMessage({ id, name, args });
    return new Promise((resolve, reject) => pending.set(id, { resolve, reject }));
  };

  return Object.fromEntries(
    Object.keys(table).map((name) => [name, (...args: unknown[]) => call(name, args)]),
  ) as OffThreadFunctions<T>;
}
