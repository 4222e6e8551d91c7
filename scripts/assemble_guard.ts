/**
 * Assembles src/guard/*.s with GNU binutils, makes a shared object of each and writes both into
 * src/guard/code.ts. Run it after a change to the assembly: `deno run -A scripts/assemble_guard.ts`. The
 * tests do the same and compare.
 */
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MachineCode } from "../src/guard/code.ts";
import { buildSharedObject, EM_AARCH64, EM_X86_64 } from "./elf.ts";

const folder = new URL("../src/guard/", import.meta.url);

/** The processors that there is code for, as the GNU tools name them. */
export const processors = ["x86_64", "aarch64"] as const;

/** One of them. */
export type Processor = (typeof processors)[number];

/**
 * Assembles the code for one processor.
 *
 * @returns The code, or undefined if the binutils for it are not installed.
 * @throws {Error} What the assembler says if it refuses the source.
 */
export function assemble(processor: Processor): MachineCode | undefined {
  const tool = (name: string) => `${processor}-linux-gnu-${name}`;
  try {
    execFileSync(tool("as"), ["--version"], { stdio: "ignore" });
  } catch {
    return undefined; // not installed
  }
  const temporary = mkdtempSync(join(tmpdir(), "mman-assemble-"));
  try {
    const object = join(temporary, "guard.o");
    const binary = join(temporary, "guard.bin");
    const source = fileURLToPath(new URL(`${processor}.s`, folder));
    execFileSync(tool("as"), ["-o", object, source]);
    if (
      execFileSync(tool("objdump"), ["-r", object], { encoding: "utf8" }).includes("RELOCATION")
    ) {
      throw new Error(`Cannot use ${processor}.s: it needs relocations`);
    }
    execFileSync(tool("objcopy"), ["-O", "binary", "-j", ".text", object, binary]);
    const symbols: Record<string, number> = {};
    for (const line of execFileSync(tool("nm"), [object], { encoding: "utf8" }).split("\n")) {
      const [offset, type, name] = line.split(" ");
      if (type === "T") symbols[name!] = parseInt(offset!, 16);
    }
    return sharedObject(processor, readFileSync(binary), symbols);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** The code as a library that exports what is not the guard's. */
function sharedObject(
  processor: Processor,
  code: Uint8Array,
  symbols: Record<string, number>,
): MachineCode {
  const machine = processor === "x86_64" ? EM_X86_64 : EM_AARCH64;
  const exported = Object.fromEntries(
    Object.entries(symbols).filter(([name]) => !name.startsWith("mman_guard_")),
  );
  const nameless = buildSharedObject(machine, code, exported, "").bytes;
  const digest = createHash("sha256").update(nameless).digest("hex").slice(0, 8);
  const object = buildSharedObject(machine, code, exported, `/dev/null/mman-${digest}`);
  return {
    symbols,
    digest,
    start: object.codeOffset,
    length: code.length,
    base64: Buffer.from(object.bytes).toString("base64"),
  };
}

function render(name: string, processor: string, code: MachineCode): string {
  const { symbols, digest, start, length, base64 } = code;
  const lines = base64.match(/.{1,90}/g)!.map((line) => `    "${line}",`);
  const entries = Object.entries(symbols).map(([symbol, offset]) => `    ${symbol}: ${offset},`);
  return [
    `/** From ${processor}.s. */`,
    `export const ${name}: MachineCode = {`,
    `  symbols: {`,
    ...entries,
    `  },`,
    `  digest: "${digest}",`,
    `  start: ${start},`,
    `  length: ${length},`,
    `  base64: [`,
    ...lines,
    `  ].join(""),`,
    `};`,
    ``,
  ].join("\n");
}

/** The text of code.ts for the code of both processors. */
export function renderCode(code: Readonly<Record<Processor, MachineCode>>): string {
  return `/**
 * The machine code of the fault guard and of the system call stub. Written by
 * scripts/assemble_guard.ts from x86_64.s and aarch64.s, which explain it; a test assembles again.
 */

/** Position-independent code of one processor. */
export interface MachineCode {
  /** Offset of each global label in the code. */
  readonly symbols: Readonly<Record<string, number>>;
  /** Eight hexadecimal digits that no other content has; the shared object is named by them. */
  readonly digest: string;
  /** Where the code begins in the shared object. */
  readonly start: number;
  /** Bytes of the code. */
  readonly length: number;
  /** The shared object. */
  readonly base64: string;
}

${render("x64Code", "x86_64", code.x86_64)}
${render("arm64Code", "aarch64", code.aarch64)}`;
}

if (import.meta.main) {
  const x86_64 = assemble("x86_64");
  const aarch64 = assemble("aarch64");
  if (x86_64 === undefined || aarch64 === undefined) {
    throw new Error(
      "Cannot assemble: install the GNU binutils of both processors " +
        "(Debian: binutils-x86-64-linux-gnu and binutils-aarch64-linux-gnu)",
    );
  }
  writeFileSync(new URL("code.ts", folder), renderCode({ x86_64, aarch64 }));
}
