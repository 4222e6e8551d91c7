/**
 * Opens our machine code as a library: system calls that give the kernel's own result, and calls of
 * any C function, at the price of an ordinary foreign function in Deno, Bun and Node. Linux only.
 */
import { arm64Code, type MachineCode, x64Code } from "./code.ts";
import { host } from "../ffi/runtime.ts";

/** What is needed of the Runtime port; src/ffi/runtime.ts has more. */
export interface StubRuntime {
  /** Opens a library and binds its functions. */
  dlopen(
    library: string,
    table: Readonly<Record<string, { parameters: readonly StubType[]; result: StubType }>>,
  ): unknown;
  /** An ArrayBuffer over memory at an address, zero copy. */
  bufferAt(address: bigint, length: number): ArrayBuffer;
  /** The address of the first byte of a view. */
  addressOf(view: ArrayBufferView): bigint;
}

/** The C types that occur here. */
export type StubType = "f64" | "isize";

/**
 * Six integers to one. Doubles at the border: exact from -2^53 to 2^53, which covers every address,
 * length and descriptor. All six must be given; 0 where the function has fewer.
 */
export type NativeCall = (
  target: number,
  a1: number,
  a2: number,
  a3: number,
  a4: number,
  a5: number,
  a6: number,
) => number;

/** The functions of our machine code. */
export interface Stub {
  /** A system call by number. The kernel's result: -4095 to -1 is a negative error number. */
  readonly mman_syscall: NativeCall;
  /** A C function by address; its result is a pointer, a `size_t` or a `long`. */
  readonly mman_invoke: NativeCall;
  /** A C function by address; its result is an `int`. */
  readonly mman_invoke_int: NativeCall;
}

/** What differs between the processors. */
export interface Processor {
  /** Our code for it. */
  readonly code: MachineCode;
  /** Its numbers of the system calls made here. */
  readonly calls: Readonly<
    Record<
      "close" | "memfd_create" | "mmap" | "mprotect" | "munmap" | "rt_sigaction" | "write",
      number
    >
  >;
}

const x64: Processor = {
  code: x64Code,
  calls: {
    close: 3,
    memfd_create: 319,
    mmap: 9,
    mprotect: 10,
    munmap: 11,
    rt_sigaction: 13,
    write: 1,
  },
};

const arm64: Processor = {
  code: arm64Code,
  calls: {
    close: 57,
    memfd_create: 279,
    mmap: 222,
    mprotect: 226,
    munmap: 215,
    rt_sigaction: 134,
    write: 64,
  },
};

/** The running processor, or the reason why there is no code for it. */
export function hostProcessor(): Processor | string {
  const { platform, arch } = host();
  if (platform !== "linux") return `there is no machine code for ${platform}`;
  if (arch === "x64") return x64;
  if (arch === "arm64") return arm64;
  return `there is no machine code for ${arch} processors`;
}

/** The bytes of a processor's code. */
export function codeBytes({ code }: Processor): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(code.base64).subarray(code.start, code.start + code.length);
}

/**
 * libc's `syscall(2)` in the form of {@link Stub.mman_syscall}, for the calls before our own code
 * runs, and where it may not. It answers -1 for every error.
 *
 * @param libraries Names under which libc may be found.
 * @throws {Error} The runtime's own error if none of them can be opened.
 */
export function libcSystemCall(runtime: StubRuntime, libraries: readonly string[]): NativeCall {
  const table = {
    syscall: {
      parameters: [
        "isize", // long number
        "isize", // ...: up to six integers or pointers
        "isize",
        "isize",
        "isize",
        "isize",
        "isize",
      ],
      result: "isize", // long: depends on the call, or -1 and errno
    },
  } as const;
  let failure: unknown;
  for (const library of libraries) {
    try {
      const { syscall } = runtime.dlopen(library, table) as {
        syscall(...numbers: bigint[]): number | bigint;
      };
      return (...numbers) => Number(syscall(...numbers.map(BigInt)));
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

const MFD_CLOEXEC = 0x1;
const MFD_EXEC = 0x10;

/** Seven doubles to one: the signature of every function in the stub. */
export const stubSignature: {
  readonly parameters: readonly "f64"[];
  readonly result: "f64";
} = { parameters: ["f64", "f64", "f64", "f64", "f64", "f64", "f64"], result: "f64" };

/**
 * Opens the stub of the running processor.
 *
 * @param libraries Names under which libc may be found.
 * @returns The functions, or the reason why the system does not allow them.
 */
export function openStub(runtime: StubRuntime, libraries: readonly string[]): Stub | string {
  return withStubLibrary(runtime, libraries, (path) =>
    runtime.dlopen(path, {
      mman_syscall: stubSignature,
      mman_invoke: stubSignature,
      mman_invoke_int: stubSignature,
    }) as Stub);
}

/**
 * Makes the stub a library for as long as `open` runs, so that a runtime can open it in its own way
 * (off the thread, say). What is opened stays.
 *
 * @param libraries Names under which libc may be found.
 * @returns What `open` returns, or the reason why the system does not allow it.
 */
export function withStubLibrary<T extends object>(
  runtime: StubRuntime,
  libraries: readonly string[],
  open: (path: string) => T,
): T | string {
  const processor = hostProcessor();
  if (typeof processor === "string") return processor;
  const { base64, digest } = processor.code;
  try {
    return open(nameOf(digest));
  } catch {
    // Nobody in this process has opened it yet; or the loader is musl, which goes by files alone.
  }
  try {
    const call = libcSystemCall(runtime, libraries);
    const { close, memfd_create, write } = processor.calls;
    // Larger than what V8 would keep in its moving heap.
    const label = new TextEncoder().encode("mman".padEnd(100, "\0"));
    const labelAddress = Number(runtime.addressOf(label));
    let fd = call(memfd_create, labelAddress, MFD_CLOEXEC | MFD_EXEC, 0, 0, 0, 0);
    // Kernels before 6.3 do not know MFD_EXEC, and need none.
    if (fd < 0) fd = call(memfd_create, labelAddress, MFD_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0) return "the system refuses to make a memory file (memfd_create)";
    try {
      const object = Uint8Array.fromBase64(base64);
      const address = Number(runtime.addressOf(object));
      if (call(write, fd, address, object.length, 0, 0, 0) !== object.length) {
        return "the system refuses to fill a memory file (write)";
      }
      return open(`/proc/self/${detour(digest)}fd/${fd}`);
    } finally {
      call(close, fd, 0, 0, 0, 0, 0);
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * The name under which glibc finds the library that another thread, or another copy of this one, has
 * opened: each would be mapped for ever. No file can have it, so that nothing else is ever opened.
 */
function nameOf(digest: string): string {
  return `/dev/null/mman-${digest}`;
}

/**
 * A detour in the path that depends on the content. glibc takes a path that it has opened before for
 * the same library, and descriptors are reused: another version of this library may have had ours.
 */
function detour(digest: string): string {
  const bits = Number.parseInt(digest, 16);
  let path = "";
  for (let bit = 0; bit < 16; bit++) path += bits >>> bit & 1 ? "./" : "/";
  return path;
}
