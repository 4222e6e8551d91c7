/** The Runtime port for Bun, over `bun:ffi`. */
import type { Functions, NativeType, Runtime, SymbolTable } from "./runtime.ts";

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

/** The port, or undefined when this is not Bun. */
export function bunRuntime(): Runtime | undefined {
  if (globalThis.process?.versions?.["bun"] === undefined) return undefined;
  const ffi = process.getBuiltinModule("bun:ffi") as unknown as BunFfi;
  return {
    name: "Bun",
    maxBufferLength: 2 ** 32,
    dlopen<const T extends SymbolTable>(library: string, table: T): Functions<T> {
      const translated: Record<string, { args: string[]; returns: string }> = {};
      for (const [name, { parameters, result }] of Object.entries(table)) {
        translated[name] = {
          args: parameters.map((type) => typeNames[type]),
          returns: typeNames[result],
        };
      }
      return ffi.dlopen(library, translated).symbols as Functions<T>;
    },
    bufferAt(address: bigint, length: number): ArrayBuffer {
      // SAFETY: delegated. The caller keeps `length` bytes mapped until the buffer is detached.
      return ffi.toArrayBuffer(Number(address), 0, length);
    },
    addressOf(view: ArrayBufferView): bigint {
      return BigInt(ffi.ptr(view));
    },
  };
}
