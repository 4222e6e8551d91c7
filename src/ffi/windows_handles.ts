/** Windows: from a descriptor of the C runtime, as `openSync` of `node:fs` returns it, to its HANDLE. */
import type { BigIntStats } from "node:fs";
import { nodeFs } from "./builtin.ts";
import type { Functions, Runtime } from "./runtime.ts";
import { type kernel32Symbols, libuvSymbols, windowsError } from "./windows_symbols.ts";

type Kernel32 = Functions<typeof kernel32Symbols>;

/** A descriptor from here on is this plus a HANDLE. */
export const HANDLE_BASE: number = 2 ** 32;

/** The pseudo handle of GetCurrentProcess. */
export const CURRENT_PROCESS: bigint = 2n ** 64n - 1n;

const PAGE_READONLY = 0x02;
const FILE_BEGIN = 0;
const FILE_CURRENT = 1;
const ERROR_ACCESS_DENIED = 5;
const ERROR_INVALID_HANDLE = 6;
const ERROR_FILE_INVALID = 1006;

// BY_HANDLE_FILE_INFORMATION
const FILE_INFO_LENGTH = 52;
const VOLUME_SERIAL_OFFSET = 28;
const FILE_INDEX_HIGH_OFFSET = 44;
const FILE_INDEX_LOW_OFFSET = 48;

/** Invalid HANDLEs in a row after which no valid one is expected, although some are missing. */
const HANDLE_GAP = 65536;
/** The same when none is missing, or when the system does not count them (Wine). */
const LAST_GAP = 64;

/**
 * A function that gives the HANDLE of a descriptor.
 *
 * A descriptor means something only to the C runtime that is linked into the executable. Bun and Node
 * export libuv's call that asks it. Deno exports none: there the HANDLE has to be found.
 */
export function openDescriptors(
  runtime: Runtime,
  kernel32: Kernel32,
): (fd: number) => bigint {
  try {
    const libuv = runtime.dlopen(globalThis.process.execPath, libuvSymbols);
    return (fd) => {
      const handle = BigInt(libuv.uv_get_osfhandle(fd));
      if (handle < 0n) throw windowsError("uv_get_osfhandle", ERROR_INVALID_HANDLE);
      return handle;
    };
  } catch {
    return handleFinder(kernel32);
  }
}

/** Throws for a descriptor that has no HANDLE from which a file can be mapped. */
function refuse(stat: BigIntStats): never {
  if (stat.isDirectory()) throw windowsError("CreateFileMappingW", ERROR_ACCESS_DENIED, "EISDIR");
  const code = stat.isFile() ? "EACCES" : "ENODEV"; // a file that is not open for reading
  throw windowsError("CreateFileMappingW", ERROR_ACCESS_DENIED, code);
}

/** A function that finds the HANDLE of this process that a descriptor stands for. */
function handleFinder(kernel32: Kernel32): (fd: number) => bigint {
  const info = new DataView(new ArrayBuffer(FILE_INFO_LENGTH));
  const number = new Uint32Array(1);
  /**
   * Whether a HANDLE is one of a file. Only files have sections; asking for one leaves pipes alone, at
   * which other threads may be waiting: GetFileType would wait with them, or wake them up.
   */
  const isFile = (handle: bigint): boolean => {
    const section = BigInt(kernel32.CreateFileMappingW(handle, null, PAGE_READONLY, 0, 0, null));
    if (section === 0n) return kernel32.GetLastError() === ERROR_FILE_INVALID; // it is empty
    kernel32.CloseHandle(section);
    return true;
  };
  const isSame = (handle: bigint, { dev, ino }: BigIntStats): boolean => {
    if (!isFile(handle)) return false;
    if (kernel32.GetFileInformationByHandle(handle, info) === 0) return false;
    const index = BigInt(info.getUint32(FILE_INDEX_HIGH_OFFSET, true)) << 32n |
      BigInt(info.getUint32(FILE_INDEX_LOW_OFFSET, true));
    const volume = BigInt(info.getUint32(VOLUME_SERIAL_OFFSET, true));
    return index === ino && volume === BigInt.asUintN(32, dev);
  };
  const find = (fd: number, stat: BigIntStats): bigint => {
    kernel32.GetProcessHandleCount(CURRENT_PROCESS, number);
    let missing = number[0]!;
    const found: bigint[] = [];
    let handle = 0n;
    for (let gap = 0; gap < (missing > 0 ? HANDLE_GAP : LAST_GAP); gap++) {
      handle += 4n; // HANDLEs are multiples of four
      if (kernel32.GetHandleInformation(handle, number) === 0) continue;
      missing--;
      gap = 0;
      if (isSame(handle, stat)) found.push(handle);
    }
    const same = found.find((handle) => sharesPosition(kernel32, handle, fd, stat.size, found));
    return same ?? found[0] ?? refuse(stat);
  };

  const known = new Map<number, bigint>();
  return (fd) => {
    const stat = nodeFs().fstatSync(fd, { bigint: true });
    let handle = known.get(fd);
    // The descriptor may stand for another file by now.
    if (handle === undefined || !isSame(handle, stat)) {
      handle = find(fd, stat);
      known.set(fd, handle);
    }
    return handle;
  };
}

/**
 * Whether reading through a descriptor starts at the file position of `handle`. A file may be open
 * several times with different access, but each time has a position of its own.
 */
function sharesPosition(
  kernel32: Kernel32,
  handle: bigint,
  fd: number,
  size: bigint,
  all: readonly bigint[],
): boolean {
  const position = new BigInt64Array(1);
  const positions = all.map((each) => {
    kernel32.SetFilePointerEx(each, 0n, position, FILE_CURRENT);
    return position[0]!;
  });
  try {
    for (const each of all) kernel32.SetFilePointerEx(each, size, null, FILE_BEGIN);
    kernel32.SetFilePointerEx(handle, 0n, null, FILE_BEGIN);
    return nodeFs().readSync(fd, new Uint8Array(1), 0, 1, null) === 1;
  } catch {
    return false; // not open for reading: nothing to tell it by, and nothing that can be mapped
  } finally {
    all.forEach((each, i) => kernel32.SetFilePointerEx(each, positions[i]!, null, FILE_BEGIN));
  }
}
