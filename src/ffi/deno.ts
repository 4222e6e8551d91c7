/** The Runtime port for Deno, over `Deno.dlopen`. Needs `--allow-ffi`. */
import type { Functions, Host, OffThreadFunctions, Runtime, SymbolTable } from "./runtime.ts";

/** The machine, or undefined when this is not Deno. */
export function denoHost(): Host | undefined {
  if (typeof Deno === "undefined" || Deno.build === undefined) return undefined;
  const { os, arch } = Deno.build;
  return {
    platform: os === "windows" ? "win32" : os,
    arch: arch === "x86_64" ? "x64" : arch === "aarch64" ? "arm64" : arch,
  };
}

/**
 * A variable of the environment, or undefined when this is not Deno. Without the permission it counts as
 * not set: nobody is asked for it.
 */
export function denoEnvironment(
  variable: string,
): { readonly value: string | undefined } | undefined {
  if (typeof Deno === "undefined" || Deno.permissions === undefined) return undefined;
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return { value: state === "granted" ? Deno.env.get(variable) : undefined };
}

/** The port, or undefined when this is not Deno. */
export function denoRuntime(): Runtime | undefined {
  if (typeof Deno === "undefined" || typeof Deno.dlopen !== "function") return undefined;
  return {
    name: "Deno",
    maxBufferLength: Number.MAX_SAFE_INTEGER,
    wipesMemory: false,
    dlopen<const T extends SymbolTable>(library: string, table: T): Functions<T> {
      // The type names of a symbol table are Deno's own.
      return Deno.dlopen(library, table as Deno.ForeignLibraryInterface)
        .symbols as unknown as Functions<T>;
    },
    dlopenOffThread<const T extends SymbolTable>(
      library: string,
      table: T,
    ): OffThreadFunctions<T> {
      const nonblocking = Object.fromEntries(
        Object.entries(table).map(([name, call]) => [name, { ...call, nonblocking: true }]),
      );
      const symbols = Deno.dlopen(library, nonblocking as Deno.ForeignLibraryInterface).symbols;
      const functions: Record<string, unknown> = {};
      for (const [name, call] of Object.entries(symbols)) {
        // errno stays behind in the thread that ran the call.
        functions[name] = async (...args: unknown[]) => ({
          result: Number(await (call as (...args: unknown[]) => Promise<number | bigint>)(...args)),
          errno: undefined,
        });
      }
      return functions as OffThreadFunctions<T>;
    },
    bufferAt(address: bigint, length: number): ArrayBuffer {
      // SAFETY: delegated. The caller keeps `length` bytes mapped until the buffer is detached.
      return Deno.UnsafePointerView.getArrayBuffer(
        Deno.UnsafePointer.create(address)!,
        length,
      );
    },
    addressOf(view: ArrayBufferView): bigint {
      return Deno.UnsafePointer.value(Deno.UnsafePointer.of(view as Uint8Array<ArrayBuffer>));
    },
    // V8 reads an element anew each time, also in a loop.
    peek: (words: Int32Array): number => words[0]!,
  };
}
