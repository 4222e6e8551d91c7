/** The Runtime port for Bun, over `bun:ffi`. */
import { nodeWorkers } from "./builtin.ts";
import { openOffThread, withErrno } from "./off_thread.ts";
import type { Functions, NativeType, OffThreadFunctions, Runtime, SymbolTable } from "./runtime.ts";

/** The part of `bun:ffi` that is used here. */
interface BunFfi {
  dlopen(
    library: string,
    table: Record<string, { args: string[]; returns: string }>,
  ): { symbols: unknown };
  toArrayBuffer(address: number, byteOffset: number, byteLength: number): ArrayBuffer;
  ptr(view: ArrayBufferView): number;
}

const typeNames: Readonly<Record<NativeType, string>> = {
  void: "void",
  i32: "i32",
  u32: "u32",
  i64: "i64",
  usize: "u64",
  isize: "i64_fast",
  f64: "f64",
  buffer: "ptr",
};

function translate(table: SymbolTable): Record<string, { args: string[]; returns: string }> {
  return Object.fromEntries(
    Object.entries(table).map(([name, { parameters, result }]) => [name, {
      args: parameters.map((type) => typeNames[type]),
      returns: typeNames[result],
    }]),
  );
}

// Whatever a program does to `Atomics`.
const { load } = Atomics;

/** The port, or undefined when this is not Bun. */
export function bunRuntime(): Runtime | undefined {
  if (globalThis.process?.versions?.["bun"] === undefined) return undefined;
  const ffi = process.getBuiltinModule("bun:ffi") as unknown as BunFfi;
  return {
    name: "Bun",
    maxBufferLength: 2 ** 32,
    get wipesMemory(): boolean {
      return !nodeWorkers().isMainThread;
    },
    dlopen<const T extends SymbolTable>(library: string, table: T): Functions<T> {
      return ffi.dlopen(library, translate(table)).symbols as Functions<T>;
    },
    dlopenOffThread<const T extends SymbolTable>(
      library: string,
      table: T,
      errnoSymbol?: string,
    ): OffThreadFunctions<T> {
      return openOffThread(table, {
        library,
        table: translate(withErrno(table, errnoSymbol)),
        errnoSymbol,
        module: "bun:ffi",
        functions: "symbols",
        errnoBuffer: "ffi.toArrayBuffer(Number(address), 0, 4)",
      });
    },
    bufferAt(address: bigint, length: number): ArrayBuffer {
      // SAFETY: delegated. The caller keeps `length` bytes mapped until the buffer is detached.
      return ffi.toArrayBuffer(Number(address), 0, length);
    },
    addressOf(view: ArrayBufferView): bigint {
      return BigInt(ffi.ptr(view));
    },
    // JavaScriptCore would read a plain element once, before the loop.
    peek: (words: Int32Array): number => load(words, 0),
  };
}
