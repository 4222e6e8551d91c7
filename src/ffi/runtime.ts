/**
 * The Runtime port: what the library needs of Deno, Bun or Node to call the operating system. One
 * file per runtime implements it; none of them knows an operating system.
 */
import { denoEnvironment, denoHost, denoRuntime } from "./deno.ts";
import { bunRuntime } from "./bun.ts";
import { nodeRuntime } from "./node.ts";

/**
 * C types at the border. Widths assume a 64-bit target: `usize` is `size_t`, `uintptr_t` and any
 * address, `isize` is `ssize_t` and `intptr_t`; `buffer` is a pointer to the first byte of a view.
 */
export type NativeType = "void" | "i32" | "u32" | "i64" | "usize" | "isize" | "f64" | "buffer";

/** One C function: its parameters and its result. */
export interface Signature {
  /** One entry per C parameter, in order. */
  readonly parameters: readonly NativeType[];
  /** The C result. */
  readonly result: NativeType;
}

/** C functions by their name in the library. */
export type SymbolTable = Readonly<Record<string, Signature>>;

/** What a C parameter takes in TypeScript. */
export type Argument<T> = T extends "buffer" ? ArrayBufferView | null
  : T extends "i64" | "usize" | "isize" ? bigint
  : number;

/** What a C result is in TypeScript; runtimes differ in when they use a bigint for 64 bits. */
export type Result<T> = T extends "void" ? void
  : T extends "i64" | "usize" | "isize" ? number | bigint
  : number;

/** What C parameters take in TypeScript. */
export type Arguments<P extends readonly NativeType[]> = {
  readonly [I in keyof P]: Argument<P[I]>;
};

/** The callable form of a symbol table. */
export type Functions<T extends SymbolTable> = {
  readonly [K in keyof T]: (...args: Arguments<T[K]["parameters"]>) => Result<T[K]["result"]>;
};

/** What a call on another thread came to. */
export interface OffThreadResult {
  /** The C result. */
  readonly result: number;
  /** That thread's errno if the result is -1; undefined where the runtime cannot read it. */
  readonly errno: number | undefined;
}

/** The callable form of a symbol table whose calls run on another thread. */
export type OffThreadFunctions<T extends SymbolTable> = {
  readonly [K in keyof T]: (...args: Arguments<T[K]["parameters"]>) => Promise<OffThreadResult>;
};

/** Views of at least so many bytes lie outside of the engine's heap, where nothing moves them. */
export const STABLE_LENGTH = 128;

/** One JavaScript runtime's foreign function interface. */
export interface Runtime {
  /** As users call it. */
  readonly name: "Deno" | "Bun" | "Node";
  /** Bytes that one ArrayBuffer can hold at most. */
  readonly maxBufferLength: number;
  /**
   * Whether the engine writes zeros into memories of WebAssembly that this thread leaves behind when it
   * ends: what is mapped there loses its bytes.
   */
  readonly wipesMemory: boolean;
  /**
   * Opens a library and binds its functions; it stays open as long as the process.
   *
   * @throws {Error} The runtime's own error if the library or a symbol is missing, or a permission.
   */
  dlopen<const T extends SymbolTable>(library: string, table: T): Functions<T>;
  /**
   * Binds functions whose calls run on another thread and do not hold up the event loop. Parameters
   * are numbers and bigints only. `errnoSymbol` is the function that gives errno's address, if
   * there is one.
   */
  dlopenOffThread<const T extends SymbolTable>(
    library: string,
    table: T,
    errnoSymbol?: string,
  ): OffThreadFunctions<T>;
  /** An ArrayBuffer over `length` bytes at `address`, zero copy, never freed by the collector. */
  bufferAt(address: bigint, length: number): ArrayBuffer;
  /** The address of the first byte of a view. */
  addressOf(view: ArrayBufferView): bigint;
  /**
   * The first of some words, as it is in memory now: a signal handler or another thread may have
   * changed it in the middle of a loop.
   */
  peek(words: Int32Array): number;
}

/** The machine, as Node names its parts; empty where this is none of the three runtimes. */
export interface Host {
  /** `"linux"`, `"darwin"`, `"win32"`, ... */
  readonly platform: string;
  /** `"x64"`, `"arm64"`, ... */
  readonly arch: string;
}

/** The running machine. Deno is asked first: `process` costs it 10 milliseconds. */
export function host(): Host {
  const { platform = "", arch = "" } = denoHost() ?? globalThis.process ?? {};
  return { platform, arch };
}

/** Whether the processor keeps the order of all but a store and a later load, as x86-64 does and arm64 not. */
export const keepsOrder: boolean = host().arch === "x64";

/** A variable of the environment; undefined if it is not set, or may not be read. */
export function environment(variable: string): string | undefined {
  const deno = denoEnvironment(variable);
  return deno === undefined ? globalThis.process?.env[variable] : deno.value;
}

let chosen: Runtime | undefined;

/**
 * The port of the running runtime, chosen at the first call.
 *
 * @throws {Error} If this is none of Deno, Bun and Node 26.1 or later.
 */
export function runtime(): Runtime {
  return chosen ??= denoRuntime() ?? bunRuntime() ?? nodeRuntime();
}

/** Whether the engine is V8 (Deno, Node), and not JavaScriptCore (Bun): they take different code for fast. */
export const isV8: boolean = !("Bun" in globalThis);
