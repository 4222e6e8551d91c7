/**
 * Builds, in memory, the smallest ELF shared object that a dynamic loader (glibc's or musl's) opens:
 * machine code and the names by which it is found. No relocations, no dependencies, no sections.
 */

/** `e_machine` of x86-64. */
export const EM_X86_64 = 62;
/** `e_machine` of arm64. */
export const EM_AARCH64 = 183;

const EHDR_LENGTH = 64;
const PHDR_LENGTH = 56;
const SYM_LENGTH = 24;
const DYN_LENGTH = 16;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
const DT_NULL = 0;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_STRSZ = 10;
const DT_SYMENT = 11;
const DT_SONAME = 14;
const GLOBAL_FUNCTION = 0x12; // STB_GLOBAL << 4 | STT_FUNC
const CODE_ALIGNMENT = 64;
/** The largest page of any supported kernel: segments of different access must not share one. */
const SEGMENT_ALIGNMENT = 0x10000;

/**
 * A shared object with one function per symbol.
 *
 * ```text
 *   ELF header, program headers, hash table, symbols, names, code   read and execute
 *   dynamic section                       read and write: older glibc relocates it in place
 * ```
 *
 * @param machine `EM_X86_64` or `EM_AARCH64`.
 * @param code Position-independent code.
 * @param symbols Names to export, with their offsets in the code.
 * @param soname What glibc knows it by once it is open.
 * @returns The file, and where in it the code begins.
 */
export function buildSharedObject(
  machine: number,
  code: Uint8Array,
  symbols: Readonly<Record<string, number>>,
  soname: string,
): { bytes: Uint8Array<ArrayBuffer>; codeOffset: number } {
  const names = Object.keys(symbols);
  const strings = new TextEncoder().encode(`\0${names.join("\0")}\0${soname}\0`);
  const programHeaders = 4;
  const dynamicEntries = 7;

  const hashOffset = EHDR_LENGTH + programHeaders * PHDR_LENGTH;
  const hashLength = 4 * (2 + 1 + names.length + 1); // one bucket, one chain
  const symbolsOffset = align(hashOffset + hashLength, 8);
  const stringsOffset = symbolsOffset + SYM_LENGTH * (names.length + 1);
  const codeOffset = align(stringsOffset + strings.length, CODE_ALIGNMENT);
  const dynamicOffset = align(codeOffset + code.length, 8);
  const dynamicLength = dynamicEntries * DYN_LENGTH;
  // The same page of the file is mapped twice, so the file needs no padding.
  const dynamicAddress = dynamicOffset + SEGMENT_ALIGNMENT;

  const bytes = new Uint8Array(dynamicOffset + dynamicLength);
  const view = new DataView(bytes.buffer);
  const u16 = (offset: number, value: number) => view.setUint16(offset, value, true);
  const u32 = (offset: number, value: number) => view.setUint32(offset, value, true);
  const u64 = (offset: number, value: number) => view.setBigUint64(offset, BigInt(value), true);

  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, /* 64 bits */ 1, /* little-endian */ 1 /* version */]);
  u16(16, 3); // e_type: ET_DYN
  u16(18, machine);
  u32(20, 1); // e_version
  u64(32, EHDR_LENGTH); // e_phoff
  u16(52, EHDR_LENGTH); // e_ehsize
  u16(54, PHDR_LENGTH); // e_phentsize
  u16(56, programHeaders); // e_phnum

  let header = EHDR_LENGTH;
  const programHeader = (
    type: number,
    flags: number,
    offset: number,
    address: number,
    length: number,
    alignment: number,
  ) => {
    u32(header, type);
    u32(header + 4, flags);
    u64(header + 8, offset);
    u64(header + 16, address); // p_vaddr
    u64(header + 24, address); // p_paddr
    u64(header + 32, length); // p_filesz
    u64(header + 40, length); // p_memsz
    u64(header + 48, alignment);
    header += PHDR_LENGTH;
  };
  programHeader(PT_LOAD, PF_R | PF_X, 0, 0, dynamicOffset, SEGMENT_ALIGNMENT);
  programHeader(
    PT_LOAD,
    PF_R | PF_W,
    dynamicOffset,
    dynamicAddress,
    dynamicLength,
    SEGMENT_ALIGNMENT,
  );
  programHeader(PT_DYNAMIC, PF_R | PF_W, dynamicOffset, dynamicAddress, dynamicLength, 8);
  // Without this header the loader would make every thread's stack executable.
  programHeader(PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 16);

  u32(hashOffset, 1); // nbucket
  u32(hashOffset + 4, names.length + 1); // nchain
  u32(hashOffset + 8, names.length > 0 ? 1 : 0); // bucket[0]: the first symbol
  names.forEach((_, index) => {
    // chain[symbol]: the next one, or 0 (STN_UNDEF)
    u32(hashOffset + 12 + 4 * (index + 1), index + 2 <= names.length ? index + 2 : 0);
  });

  let nameOffset = 1;
  names.forEach((name, index) => {
    const symbol = symbolsOffset + SYM_LENGTH * (index + 1);
    u32(symbol, nameOffset);
    bytes[symbol + 4] = GLOBAL_FUNCTION;
    u16(symbol + 6, 1); // st_shndx: any section but SHN_UNDEF
    u64(symbol + 8, codeOffset + symbols[name]!);
    nameOffset += name.length + 1;
  });
  bytes.set(strings, stringsOffset);
  bytes.set(code, codeOffset);

  [
    [DT_HASH, hashOffset],
    [DT_SYMTAB, symbolsOffset],
    [DT_STRTAB, stringsOffset],
    [DT_STRSZ, strings.length],
    [DT_SYMENT, SYM_LENGTH],
    [DT_SONAME, nameOffset], // behind the names of the symbols
    [DT_NULL, 0],
  ].forEach(([tag, value], index) => {
    u64(dynamicOffset + DYN_LENGTH * index, tag!);
    u64(dynamicOffset + DYN_LENGTH * index + 8, value!);
  });
  return { bytes, codeOffset };
}

function align(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
