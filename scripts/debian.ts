/**
 * Debian's packages: installed, where this is root's machine; or programs and libraries taken out of
 * them without installing, with lists of apt's of our own, so that neither the machine's packages nor its
 * architectures change, and anybody may do it.
 */
import { run } from "./process.ts";

/** The release that the packages come from, whatever release the machine runs. */
const RELEASE = "trixie";
/** How long an installation waits for another one. */
const LOCK_SECONDS = 300;
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What to unpack, and where. */
export interface Unpacking {
  /** As apt names it, such as `"arm64"`. */
  readonly architecture: string;
  readonly packages: readonly string[];
  /** The files wanted, as `./usr/bin/env`; everything by default. */
  readonly files?: readonly string[];
  /** The folder that the files go to; it exists when they are all there. */
  readonly folder: string;
}

/** Whether something exists. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Runs a command and returns what it printed. Throws when it fails. */
export async function mustRun(command: readonly string[]): Promise<string> {
  const { success, reason, stdout } = await run(command, { stdout: "tee" });
  if (!success) throw new Error(`Cannot go on: ${command.join(" ")} ${reason}`);
  return stdout;
}

/** Makes a folder with `fill`, complete or not at all: another run may do the same. */
export async function makeFolder(
  folder: string,
  fill: (fresh: string) => Promise<void>,
): Promise<void> {
  if (await exists(folder)) return;
  const parent = folder.slice(0, folder.lastIndexOf("/"));
  await Deno.mkdir(parent, { recursive: true });
  const fresh = await Deno.makeTempDir({ dir: parent });
  try {
    await fill(fresh);
    await Deno.chmod(fresh, 0o755);
    await Deno.rename(fresh, folder);
  } catch (error) {
    await Deno.remove(fresh, { recursive: true });
    if (!await exists(folder)) throw error;
  }
}

/** The archive that the machine itself gets its packages from. */
async function archive(): Promise<string> {
  const release = await exists("/etc/os-release") ? await Deno.readTextFile("/etc/os-release") : "";
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)`, "m").exec(release)?.[1];
  if (field("ID") !== "debian") {
    throw new Error(`Cannot unpack packages of Debian on ${field("PRETTY_NAME") ?? "this system"}`);
  }
  const targets = await run(
    [
      ...["apt-get", "indextargets", "--no-release-info"], // a fresh machine has no lists of packages
      ...["--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
    ],
    { stdout: "keep" },
  );
  const releases = [field("VERSION_CODENAME"), "stable"];
  const own = targets.stdout.split("\n").map((line) => line.split(" "))
    .find(([name]) => releases.includes(name));
  if (own === undefined) throw new Error("Cannot find Debian's archive among the sources of apt");
  return own[1]!;
}

/** Whether packages can be installed here: a system with apt, and root. */
export async function canInstall(): Promise<boolean> {
  return Deno.build.os === "linux" && Deno.uid() === 0 && await exists("/usr/bin/apt-get");
}

/** Installs packages. Another installation that is under way is waited for. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  console.error(`Installing ${packages.join(" and ")} with apt-get`);
  const apt = ["apt-get", "-qq", "-o", `DPkg::Lock::Timeout=${LOCK_SECONDS}`];
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const install = [...apt, "install", "--no-install-recommends", ...packages];
  if ((await run(install, { env, stdout: "keep" })).success) return;
  // A fresh machine has no lists of packages.
  for (const command of [[...apt, "update"], install]) {
    const { success, reason } = await run(command, { env });
    if (!success) throw new Error(`Cannot install ${packages.join(" and ")}: apt-get ${reason}`);
  }
}

/** Downloads packages and unpacks them, once. */
export async function unpackPackages(
  { architecture, packages, files = [], folder }: Unpacking,
): Promise<void> {
  await makeFolder(folder, async (fresh) => {
    console.error(`Unpacking ${packages.join(", ")} of Debian ${RELEASE} for ${architecture}`);
    const home = await Deno.makeTempDir({ prefix: "mman-apt-" });
    try {
      const downloads = `${home}/downloads`;
      for (const part of ["lists/partial", "archives/partial", "downloads"]) {
        await Deno.mkdir(`${home}/${part}`, { recursive: true });
      }
      const source = `deb [signed-by=${KEYRING}] ${await archive()} ${RELEASE} main\n`;
      await Deno.writeTextFile(`${home}/sources.list`, source);
      const options = [
        `APT::Architectures=${architecture}`,
        "APT::Sandbox::User=root", // its own user may not read our folder
        "Acquire::Languages=none",
        `Dir::State=${home}`,
        `Dir::Cache=${home}`,
        `Dir::Etc::SourceList=${home}/sources.list`,
        "Dir::Etc::SourceParts=/dev/null",
        "Dir::Etc::Preferences=/dev/null",
        "Dir::Etc::PreferencesParts=/dev/null",
      ].flatMap((option) => ["-o", option]);
      await mustRun(["apt-get", "update", "-qq", ...options]);
      const names = packages.map((name) => `${name}:${architecture}`);
      await mustRun([
        ...["env", `--chdir=${downloads}`, "apt-get", "download", "-qq", ...options, ...names],
      ]);
      for await (const { name } of Deno.readDir(downloads)) {
        const unpack = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$@"';
        await mustRun(["sh", "-c", unpack, `${downloads}/${name}`, fresh, ...files]);
      }
      // Debian has this link on every machine: programs name their loader by it.
      if (!await exists(`${fresh}/lib`)) await Deno.symlink("usr/lib", `${fresh}/lib`);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  });
}
