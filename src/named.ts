/** Named shared memory: names and options checked, failures explained. */
import { checkBits, checkInteger, show } from "./check.ts";
import { MMapInvalidParameterError } from "./errors.ts";
import { explain } from "./explain.ts";
import type { NamedMemory, Platform } from "./ffi/platform.ts";

/** Options of {@link MemoryMap.createNamed}. */
export interface CreateNamedOptions<Shared extends boolean = boolean> {
  /** Permission bits, before the umask. Default 0o600: this user only. */
  permissions?: number;
  /**
   * Take the name away when this process closes the map or ends, also by `kill -9` (then by whoever
   * opens the name next). Default false: it stays until `unlinkNamed`.
   */
  owned?: boolean;
  /** Make `buffer` a SharedArrayBuffer: see {@link AnonymousOptions}. Default false. */
  sharedBuffer?: Shared;
}

/** Options of {@link MemoryMap.openNamed}. */
export interface OpenNamedOptions<Shared extends boolean = boolean> {
  /** `"r+"` (default) reads and writes, `"r"` only reads. */
  mode?: "r" | "r+";
  /** Bytes that the memory must have at least; only so many are mapped. Default: all. */
  size?: number;
  /** Make `buffer` a SharedArrayBuffer: see {@link AnonymousOptions}. Default false. */
  sharedBuffer?: Shared;
}

const MAX_NAME_LENGTH = 250;
const encoder = new TextEncoder();

/** The name without the slash that POSIX puts in front. */
export function checkSharedName(name: string): string {
  const plain = typeof name === "string" && name.startsWith("/") ? name.slice(1) : name;
  const valid = typeof plain === "string" && plain !== "" && plain !== "." && plain !== ".." &&
    !/[/\\\0]/.test(plain) && encoder.encode(plain).length <= MAX_NAME_LENGTH;
  if (valid) return plain;
  throw new MMapInvalidParameterError(
    `Cannot use ${show(name)} as a name of shared memory: it must have 1 to ${MAX_NAME_LENGTH} ` +
      "bytes, and no slash, backslash or NUL but a slash in front",
  );
}

/** The error of a system without named memory. */
function lacking(platform: Platform): Error {
  return new MMapInvalidParameterError(
    `Cannot use named shared memory: ${platform.name} cannot do it here; map a file with mode "r+"`,
  );
}

/** Creates the memory of a name that is free; the options were read with `readOptions`. */
export function createNamed(
  platform: Platform,
  name: string,
  size: number,
  options: CreateNamedOptions,
): NamedMemory {
  const { permissions = 0o600, owned = false } = options;
  checkInteger("a size in bytes", size, 1);
  checkBits("permission bits", permissions, 0o777, "bits of 0o777");
  if (platform.openNamed === undefined) throw lacking(platform);
  try {
    return platform.openNamed(name, { create: { size, permissions }, write: true, owned });
  } catch (error) {
    throw explain(
      `Cannot create shared memory ${show(name)} of ${size} bytes`,
      error,
      undefined,
      (error as { code?: unknown }).code === "EEXIST"
        ? "the name is taken; open it with MemoryMap.openNamed(), or take it away with " +
          "MemoryMap.unlinkNamed()"
        : undefined,
    );
  }
}

const openingCures: Readonly<Record<string, string>> = {
  ENOENT: "nobody has created it; use MemoryMap.createNamed()",
  ELOOP: "the name is a symbolic link, which is refused; take it away with MemoryMap.unlinkNamed()",
  ENODEV: "what has the name is no shared memory; use another name",
};

/** Opens the memory of a name; the options were read with `readOptions`. */
export function openNamed(
  platform: Platform,
  name: string,
  options: OpenNamedOptions,
): NamedMemory {
  const { mode = "r+", size } = options;
  if (mode !== "r" && mode !== "r+") {
    throw new MMapInvalidParameterError(
      `Cannot open shared memory with mode ${show(mode)}: it must be "r" or "r+"`,
    );
  }
  if (size !== undefined) checkInteger("a size in bytes", size, 1);
  if (platform.openNamed === undefined) throw lacking(platform);
  let memory: NamedMemory;
  try {
    memory = platform.openNamed(name, { create: undefined, write: mode === "r+", owned: false });
  } catch (error) {
    const { code } = error as { code?: string };
    const what = `Cannot open shared memory ${show(name)}`;
    throw explain(what, error, undefined, openingCures[code ?? ""]);
  }
  if (size === undefined || size <= memory.size) return memory;
  memory.close();
  throw new MMapInvalidParameterError(
    `Cannot map ${size} bytes of shared memory ${show(name)}: it has ${memory.size} bytes`,
  );
}

/** Takes a name away. */
export function unlinkNamed(platform: Platform, name: string): void {
  if (platform.unlinkNamed === undefined) throw lacking(platform);
  try {
    platform.unlinkNamed(name);
  } catch (error) {
    const isMissing = (error as { code?: unknown }).code === "ENOENT";
    const cure = isMissing ? "nobody has created it, or the name is gone already" : undefined;
    throw explain(`Cannot unlink shared memory ${show(name)}`, error, undefined, cure);
  }
}
