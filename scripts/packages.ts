/**
 * Installs what the tests compare the library with, where that is a matter of one command: NumPy and a
 * C compiler on a Debian machine, as root. Elsewhere the tests that want them skip by name. Ends with
 * the line `N passed, N failed[, N skipped]`.
 *
 *   deno run -A scripts/packages.ts
 */
import { type Counts, formatCounts } from "./counts.ts";
import { canInstall, installPackages } from "./debian.ts";
import { run } from "./process.ts";

/** A rival of the library. */
interface Rival {
  readonly name: string;
  /** A command that succeeds where Debian's packages of it are. */
  readonly probe: readonly string[];
  /** One that succeeds where it came from elsewhere, which will do where nothing can be installed. */
  readonly other?: readonly string[];
  /** Debian's packages for it. */
  readonly packages: readonly string[];
}

const RIVALS: readonly Rival[] = [
  {
    name: "NumPy",
    // Another Python on the path does not see Debian's packages, and has any version of NumPy.
    probe: ["/usr/bin/python3", "-c", "import numpy"],
    other: ["python3", "-c", "import numpy"],
    packages: ["python3-numpy"],
  },
  {
    name: "a C compiler",
    probe: ["sh", "-c", "echo '#include <stdio.h>' | gcc -E - > /dev/null"],
    packages: ["gcc", "libc6-dev"],
  },
];

async function succeeds(command: readonly string[]): Promise<boolean> {
  try {
    return (await run(command, { stdout: "keep" })).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Sees to it that a rival is there, if that is possible. */
async function provide({ name, probe, other, packages }: Rival): Promise<keyof Counts> {
  const installable = await canInstall();
  if (await succeeds(probe) || (!installable && other && await succeeds(other))) {
    console.log(`${name}: is there`);
    return "passed";
  }
  if (!installable) {
    console.log(
      `${name}: skipped, needs Debian's ${packages.join(" and ")}, and root to install them`,
    );
    return "skipped";
  }
  await installPackages(packages);
  const found = await succeeds(probe);
  console.log(`${name}: ${found ? "installed" : "still missing after the installation"}`);
  return found ? "passed" : "failed";
}

const counts: { -readonly [K in keyof Counts]: Counts[K] } = { passed: 0, failed: 0, skipped: 0 };
for (const rival of RIVALS) {
  try {
    counts[await provide(rival)]++;
  } catch (error) {
    console.log(`${rival.name}: ${error instanceof Error ? error.message : error}`);
    counts.failed++;
  }
}
console.log(formatCounts(counts));
if (counts.failed > 0) Deno.exit(1);
