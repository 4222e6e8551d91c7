/**
 * Assembles src/guard/*.s with GNU binutils and writes the bytes into src/guard/code.ts. Run it after
 * a change to the assembly: `deno run -A scripts/assemble_guard.ts`. The tests do the same and compare.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MachineCode } from "../src/guard/code.ts";

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
    return { base64: readFileSync(binary).toString("base64"), symbols };
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

function render(name: string, processor: string, { base64, symbols }: MachineCode): string {
  const lines = base64.match(/.{1,90}/g)!.map((line) => `    "${line}",`);
  const entries = Object.entries(symbols).map(([symbol, offset]) => `    ${symbol}: ${offset},`);
  return [
    `/** From ${processor}.s. */`,
    `export const ${name}: MachineCode = {`,
    `  symbols: {`,
    ...entries,
    `  },`,
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
  /** Offset of each global label. */
  readonly symbols: Readonly<Record<string, number>>;
  /** The bytes. */
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
