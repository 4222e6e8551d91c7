/**
 * A true SharedArrayBuffer over a mapping: the pages of a shared `WebAssembly.Memory`, with the
 * mapping laid over them. It posts to Workers as it is, `Atomics.wait` works on it, and a WebAssembly
 * module that imports the memory computes on the mapped bytes in place.
 */
import { keepAlive, type Views } from "./buffers.ts";
import { MMapAllocationError, MMapInvalidParameterError } from "./errors.ts";
import type { Runtime } from "./ffi/runtime.ts";

/** Bytes of a page of WebAssembly. */
const WASM_PAGE = 65536;

/** Pages that a memory with 32-bit addresses can have. */
const MAX_PAGES_32 = 65536;

/** The engine's WebAssembly with memory64, which TypeScript's types do not know yet. */
type Memory64 = new (descriptor: {
  address: "i64";
  initial: bigint;
  maximum: bigint;
  shared: true;
}) => WebAssembly.Memory;

/** A shared memory of at least `length` bytes, 64-bit where 4 GiB are not enough. */
export function createSharedMemory(what: string, length: number): WebAssembly.Memory {
  const pages = Math.ceil(length / WASM_PAGE);
  try {
    if (pages <= MAX_PAGES_32) {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    }
    const memory = new (WebAssembly.Memory as unknown as Memory64)({
      address: "i64",
      initial: BigInt(pages),
      maximum: BigInt(pages),
      shared: true,
    });
    // An engine without memory64 ignores the address type or makes a smaller memory.
    if (memory.buffer.byteLength === pages * WASM_PAGE) return memory;
  } catch (error) {
    if (pages <= MAX_PAGES_32) {
      throw new MMapAllocationError(
        `${what} as a SharedArrayBuffer: the engine has no address space for it; map less`,
        { cause: error },
      );
    }
  }
  throw new MMapInvalidParameterError(
    `${what} as a SharedArrayBuffer: this engine has no memory so large (4 GiB everywhere, more with ` +
      "memory64); map less, or leave sharedBuffer out",
  );
}

/** The address of the first page. */
export function addressOfMemory(runtime: Runtime, memory: WebAssembly.Memory): bigint {
  return runtime.addressOf(new Uint8Array(memory.buffer));
}

/** The views of a mapping over a shared memory: there is one buffer, and it never goes away. */
export class SharedViews implements Views {
  readonly limit: number = Number.MAX_SAFE_INTEGER;
  readonly span: number;
  /**
   * The memory for users: a second object over the same pages, so that the first one can be kept until
   * the pages have ended without being what keeps the map from ending. No engine may have mapped pages
   * back: Bun's ends the process when it cannot make them writable.
   */
  readonly memory: WebAssembly.Memory;
  readonly #offset: number;

  /**
   * @param memory The memory that the pages lie over.
   * @param offset Where the mapping starts in it.
   * @param size Bytes of the mapping.
   * @param owner Kept alive by the buffer and the memory.
   */
  constructor(memory: WebAssembly.Memory, offset: number, size: number, owner: object) {
    this.memory = structuredClone(memory);
    this.#offset = offset;
    this.span = size;
    keepAlive(owner, this.memory);
    keepAlive(owner, this.memory.buffer);
  }

  covering(): { buffer: ArrayBuffer; start: number } {
    // The types of views name ArrayBuffer; a SharedArrayBuffer serves wherever bytes are touched.
    return { buffer: this.memory.buffer as unknown as ArrayBuffer, start: -this.#offset };
  }

  detach(): boolean {
    return true;
  }
}
