/**
 * Finds the runtimes that the tests run under: Deno is the one that runs this script; Bun and Node are
 * taken from the environment, from PATH, or from npm.
 */
import { run } from "./process.ts";

/** A runtime's name in commands and tables. */
export type RuntimeName = "deno" | "bun" | "node";

/** A runtime that has been found. */
export interface Runtime {
  readonly name: RuntimeName;
  readonly path: string;
  readonly version: string;
}

/** Where to look for a runtime, and the version that counts as recent enough. */
interface Source {
  readonly version: string;
  /** The environment variable that names an executable. */
  readonly variable: string;
  /** The npm package that holds the executable itself: no install script has to run. */
  readonly npmPackage: string;
  /** The executable inside that package. */
  readonly executable: string;
}

const { os, arch } = Deno.build;
const nodeOs = os === "windows" ? "win" : os;
const suffix = os === "windows" ? ".exe" : "";
const bunArch = arch === "x86_64" ? "x64" : arch;
const nodeArch = arch === "x86_64" ? "x64" : "arm64";

const SOURCES: Record<"bun" | "node", Source> = {
  bun: {
    version: "1.4.5",
    variable: "BUN",
    npmPackage: `@oven/bun-${os}-${bunArch}`,
    executable: `bin/bun${suffix}`,
  },
  node: {
    version: "26.10.0",
    variable: "NODE26",
    npmPackage: `node-${nodeOs}-${nodeArch}`,
    executable: `bin/node${suffix}`,
  },
};

/** The version that an executable states; undefined if it does not start. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await run([path, "--version"], { stdout: "keep", limitSeconds: 30 });
    return /^v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether version `a` is `b` or later. */
function isAtLeast(a: string, b: string): boolean {
  return a.localeCompare(b, "en", { numeric: true }) >= 0;
}

/** Installs the pinned version below `.cache/runtimes`, once, and returns the executable. */
async function install(name: string, { npmPackage, version, executable }: Source): Promise<string> {
  const cache = `${Deno.cwd()}/.cache/runtimes`;
  const home = `${cache}/${name}-${version}`;
  const path = `${home}/node_modules/${npmPackage}/${executable}`;
  if (await versionOf(path) === version) return path;

  // Into a folder of its own, renamed when complete: an interrupted or concurrent run leaves no half.
  await Deno.mkdir(cache, { recursive: true });
  const fresh = await Deno.makeTempDir({ dir: cache });
  const command = ["npm", "install", "--prefix", fresh, "--no-audit", "--no-fund"];
  console.error(`Installing ${npmPackage}@${version} with npm`);
  let reason: string;
  try {
    const installed = await run([...command, "--loglevel=error", `${npmPackage}@${version}`]);
    reason = installed.reason && `npm install ${installed.reason}`;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    reason = "npm is not on PATH";
  }
  if (reason === "") {
    await Deno.remove(home, { recursive: true }).catch(ignoreMissing);
    await Deno.rename(fresh, home);
    if (await versionOf(path) === version) return path;
    reason = `${npmPackage}@${version} does not start here`;
  }
  await Deno.remove(fresh, { recursive: true }).catch(ignoreMissing);
  throw new Error(reason);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/** Finds a runtime. Throws an Error that says how to provide it if it cannot be had. */
export async function findRuntime(name: RuntimeName): Promise<Runtime> {
  if (name === "deno") return { name, path: Deno.execPath(), version: Deno.version.deno };
  const source = SOURCES[name];

  const given = Deno.env.get(source.variable);
  if (given) {
    const version = await versionOf(given);
    if (version) return { name, path: given, version };
    throw new Error(`Cannot start ${given}: set ${source.variable} to a ${name} executable`);
  }
  const onPath = await versionOf(name);
  if (onPath && isAtLeast(onPath, source.version)) return { name, path: name, version: onPath };

  try {
    return { name, path: await install(name, source), version: source.version };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `Cannot find ${name} ${source.version} or later: PATH has ${
        onPath ?? "none"
      }, and ${reason}. ` +
        `Set ${source.variable} to its executable`,
    );
  }
}
