/**
 * The tests on musl, Alpine's C library, on a Debian machine with an x86-64 processor: Bun's musl build
 * under Debian's musl, which this sets up below `.cache/musl` by itself.
 *
 *   deno task test:musl [--minutes N] [part of a test file's path]...
 */
import { makeFolder, mustRun, unpackPackages } from "./debian.ts";
import { fromNpm, type Lane, runLane } from "./lane.ts";
import { hasPart } from "./suite.ts";

const CACHE = ".cache/musl";
const VERSION = "1.4.5";
/** What the GNU C++ library calls the loader of its own C library. */
const GNU_LOADER = "ld-linux-x86-64.so.2";

/** Compiles what the GNU C++ library misses in musl. */
async function compileSymbols(fresh: string): Promise<void> {
  const compiler = ["cc", "-O2", "-shared", "-fPIC", "-nostdlib", "-fno-builtin"];
  const output = ["-o", `${fresh}/${GNU_LOADER}`, `-Wl,-soname,${GNU_LOADER}`];
  try {
    await mustRun([...compiler, ...output, "scripts/musl/glibc_symbols.c"]);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error("Cannot find a C compiler: install one (Debian: gcc)");
  }
}

const lane: Lane = {
  name: "Linux x64 musl",
  cache: CACHE,
  subjects: ["bun"], // the only one with a build for musl on npm
  takes: (file) => !hasPart(file, ["gallery_test", "tests/scripts/", "tests/std/"]),
  async prepare(runtime) {
    if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
      throw new Error(
        `Cannot run musl of x86-64 on ${Deno.build.os} ${Deno.build.arch}: use Linux on x86-64`,
      );
    }
    const home = `${Deno.cwd()}/${CACHE}`;
    await unpackPackages({
      architecture: "amd64",
      packages: ["musl", "libgcc-s1", "libstdc++6"],
      folder: `${home}/root`,
    });
    await makeFolder(`${home}/symbols`, compileSymbols);
    const executable = await fromNpm(
      "@oven/bun-linux-x64-musl",
      VERSION,
      "bin/bun",
      `${home}/bun-${VERSION}`,
    );
    const loader = `${home}/root/lib/ld-musl-x86_64.so.1`;
    const libraries = `${home}/root/usr/lib/x86_64-linux-gnu:${home}/symbols`;
    return {
      runtime,
      version: VERSION,
      command: [loader, "--library-path", libraries, executable],
    };
  },
};

Deno.chdir(new URL("..", import.meta.url));
await runLane(lane);
