/**
 * Named shared memory on Windows: sections of the paging file
 * ({@link https://learn.microsoft.com/windows/win32/memory/creating-named-shared-memory | named shared memory}).
 * A name lives as long as somebody holds the section: nobody can take it away, and nobody has to.
 *
 * A descriptor of one is {@link SECTION_BASE} plus the HANDLE, so that no other table has to say what is
 * a section and what is a file.
 */
import type { NamedMemory, NamedOptions } from "./platform.ts";
import type { Functions } from "./runtime.ts";
import { type kernel32Symbols, windowsError } from "./windows_symbols.ts";

type Kernel32 = Functions<typeof kernel32Symbols>;

/** A descriptor from here on is this plus the HANDLE of a section. */
export const SECTION_BASE: number = 2 ** 33;

const NO_FILE = 2n ** 64n - 1n; // INVALID_HANDLE_VALUE: the paging file
const PAGE_READWRITE = 0x04;
const FILE_MAP_WRITE = 0x2;
const FILE_MAP_READ = 0x4;
const ERROR_FILE_NOT_FOUND = 2;
const ERROR_INVALID_HANDLE = 6;
const ERROR_ALREADY_EXISTS = 183;

/** Whether a descriptor stands for a section. */
export function isSection(fd: number): boolean {
  return fd >= SECTION_BASE;
}

/** A string as the calls that end in W want it: UTF-16 and a NUL. */
function wideString(text: string): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(`${text}\0`, (unit) => unit.charCodeAt(0));
}

/** Opens a section that is there. @returns 0 if there is none of that name. */
function openSection(kernel32: Kernel32, name: string, access: number): bigint {
  const section = BigInt(kernel32.OpenFileMappingW(access, 0, wideString(name)));
  if (section !== 0n) return section;
  const error = kernel32.GetLastError();
  if (error === ERROR_FILE_NOT_FOUND) return 0n;
  throw windowsError("OpenFileMappingW", error);
}

function createSection(kernel32: Kernel32, name: string, size: number): bigint {
  const section = BigInt(
    kernel32.CreateFileMappingW(
      NO_FILE,
      null,
      PAGE_READWRITE,
      Math.floor(size / 2 ** 32),
      size >>> 0,
      wideString(name),
    ),
  );
  const error = kernel32.GetLastError();
  if (section === 0n) {
    // An event or a mutex of the same name.
    const isTaken = error === ERROR_INVALID_HANDLE;
    throw windowsError("CreateFileMappingW", error, isTaken ? "EEXIST" : undefined);
  }
  if (error === ERROR_ALREADY_EXISTS) {
    kernel32.CloseHandle(section);
    throw windowsError("CreateFileMappingW", error);
  }
  return section;
}

/** Opens or creates; `sizeOf` tells the bytes of a section. */
export function openNamed(
  kernel32: Kernel32,
  sizeOf: (section: bigint) => number,
  name: string,
  { create, write }: NamedOptions,
): NamedMemory {
  let section: bigint;
  if (create === undefined) {
    section = openSection(kernel32, name, FILE_MAP_READ | (write ? FILE_MAP_WRITE : 0));
    if (section === 0n) throw windowsError("OpenFileMappingW", ERROR_FILE_NOT_FOUND);
  } else section = createSection(kernel32, name, create.size);
  const close = (): void => {
    kernel32.CloseHandle(section);
  };
  try {
    const size = create?.size ?? sizeOf(section);
    return { fd: SECTION_BASE + Number(section), size, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Fails while somebody holds the section: only then is there a name. */
export function unlinkNamed(kernel32: Kernel32, name: string): void {
  const section = openSection(kernel32, name, FILE_MAP_READ);
  if (section === 0n) return;
  kernel32.CloseHandle(section);
  throw windowsError("OpenFileMappingW", ERROR_ALREADY_EXISTS, "EBUSY");
}
