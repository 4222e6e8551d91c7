/** The Runtime port for Node 26.1 and later, over `node:ffi`. */
import { openOffThread, withErrno } from "./off_thread.ts";
import type { Functions, NativeType, OffThreadFunctions, Runtime, SymbolTable } from "./runtime.ts";

/** The part of `node:ffi` that is used here. */
interface NodeFfi {
  dlopen(
    library: string,
    table: Record<string, { arguments: string[]; return: string }>,
  ): { functions: unknown };
  toArrayBuffer(address: bigint, byteLength: number, copy: boolean): ArrayBuffer;
  getRawPointer(view: ArrayBufferView): bigint;
}

const typeNames: Readonly<Record<NativeType, string>> = {
  void: "void",
  i32: "i32",
  u32: "u32",
  i64: "i64",
  usize: "u64",
  isize: "i64",
  f64: "f64",
  buffer: "pointer",
};

function translate(table: SymbolTable): Record<string, { arguments: string[]; return: string }> {
  return Object.fromEntries(
    Object.entries(table).map(([name, { parameters, result }]) => [name, {
      arguments: parameters.map((type) => typeNames[type]),
      return: typeNames[result],
    }]),
  );
}

/**
 * The port for Node.
 *
 * @throws {Error} If this is not Node, or a Node without `node:ffi`.
 */
export function nodeRuntime(): Runtime {
  const ffi = globalThis.process?.getBuiltinModule?.("node:ffi") as unknown as NodeFfi | undefined;
  if (ffi === undefined) {
    throw new Error(
      "Cannot call the operating system: this runtime has no foreign function interface; " +
        "use Deno 2, Bun 1.2 or Node 26.1, or later",
    );
  }
  return {
    name: "Node",
    maxBufferLength: Number.MAX_SAFE_INTEGER,
    wipesMemory: false,
    dlopen<const T extends SymbolTable>(library: string, table: T): Functions<T> {
      return ffi.dlopen(library, translate(table)).functions as Functions<T>;
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
        module: "node:ffi",
        functions: "functions",
        errnoBuffer: "ffi.toArrayBuffer(address, 4, false)",
      });
    },
    bufferAt(address: bigint, length: number): ArrayBuffer {
      // SAFETY: delegated. The caller keeps `length` bytes mapped until the buffer is detached.
      return ffi.toArrayBuffer(address, length, false);
    },
    addressOf(view: ArrayBufferView): bigint {
      return ffi.getRawPointer(view);
    },
    // V8 reads an element anew each time, also in a loop.
    peek: (words: Int32Array): number => words[0]!,
  };
}
