/**
 * Who takes part: C, Python, the runtimes without this library, other libraries, and this library on
 * each runtime. Who is not to be had is left out, by name and with the reason.
 */
import { findRuntime, type RuntimeName } from "../../scripts/runtimes.ts";
import { run } from "../../scripts/process.ts";
import { Rival } from "../rivals.ts";

/** The programs that rows speak of. */
export type Name =
  | "C"
  | "Python"
  | "NumPy"
  | "Deno"
  | "Bun"
  | "Node"
  | "mmap-io"
  | "mman on Deno"
  | "mman on Bun"
  | "mman on Node";

/** How a program is started. */
export type Command = readonly string[];

/** Those who can take part, and why the others cannot. */
export interface Field {
  readonly commands: ReadonlyMap<Name, Command>;
  readonly missing: ReadonlyMap<Name, string>;
}

const HERE = new URL(".", import.meta.url).pathname;

/** A library of addons to compare with: a native build, in its own folder. */
const ADDON = "@riaskov/mmap-io@1.4.3";

async function compileFloor(folder: string): Promise<Command> {
  const program = `${folder}/floor`;
  const options = ["-O3", "-ffast-math", "-o", program, `${HERE}floor.c`, "-lpthread"];
  const { success, reason } = await run(["gcc", ...options]);
  if (!success) throw new Error(`gcc ${reason}`);
  return [program];
}

async function findNumPy(): Promise<Command> {
  const probe = ["python3", "-c", "import numpy"];
  if (!(await run(probe, { stdout: "keep" })).success && Deno.uid() === 0) {
    await run(["apt-get", "install", "-y", "-qq", "python3-numpy"], { stdout: "keep" });
  }
  if (!(await run(probe, { stdout: "keep" })).success) throw new Error("python3-numpy is missing");
  return ["python3", `${HERE}peers.py`];
}

async function findPython(): Promise<Command> {
  if (!(await run(["python3", "--version"], { stdout: "keep" })).success) {
    throw new Error("python3 does not start");
  }
  return ["python3", `${HERE}peers.py`];
}

async function buildAddon(): Promise<Command> {
  const folder = `${Deno.cwd()}/.cache/peers-addon`;
  await Deno.mkdir(folder, { recursive: true });
  const install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", ADDON];
  const installed = await run(install, { stdout: "keep", limitSeconds: 300 });
  if (!installed.success) throw new Error(`npm install ${ADDON} ${installed.reason}`);
  // The Node that npm runs on is the one that the addon was built for.
  const command = ["node", `${HERE}addon.cjs`, folder];
  const tried = await run([...command, "--try"], { stdout: "keep", limitSeconds: 30 });
  if (!tried.success) throw new Error(`${ADDON} was installed, but does not load`);
  return command;
}

/** The command that runs a script beside this file. */
export async function script(name: RuntimeName, file: string): Promise<Command> {
  const { path } = await findRuntime(name);
  const options: Record<RuntimeName, string[]> = {
    deno: ["run", "-A", "--no-lock"],
    bun: [],
    node: ["--no-warnings"],
  };
  return [path, ...options[name], HERE + file];
}

/** Finds, builds or installs everybody. */
export async function assemble(folder: string): Promise<Field> {
  const sources: Record<Name, () => Promise<Command>> = {
    "C": () => compileFloor(folder),
    "Python": findPython,
    "NumPy": findNumPy,
    "Deno": () => script("deno", "plain.ts"),
    "Bun": () => script("bun", "plain.ts"),
    "Node": () => script("node", "plain.ts"),
    "mmap-io": buildAddon,
    "mman on Deno": () => script("deno", "ours.ts"),
    "mman on Bun": () => script("bun", "ours.ts"),
    "mman on Node": () => script("node", "ours.ts"),
  };
  const commands = new Map<Name, Command>();
  const missing = new Map<Name, string>();
  for (const [name, find] of Object.entries(sources) as [Name, () => Promise<Command>][]) {
    try {
      commands.set(name, await find());
    } catch (error) {
      missing.set(name, error instanceof Error ? error.message : String(error));
    }
  }
  return { commands, missing };
}

/** Starts a program that answers requests. */
export function start([program, ...args]: Command): Promise<Rival> {
  return Rival.start(program!, args);
}
