/** Anonymous shared memory handed to child processes: by `/proc/PID/fd`, and as an inherited descriptor. */
import { describe, test } from "node:test";
import { spawn, type StdioOptions } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import { MemoryMap, pageSize } from "../mod.ts";
import { descriptorsOf, firstReason, skipWithoutChildren, tempDir, utf8 } from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";
import { commandOf, type RuntimeName, skipWithout } from "./helpers_sync.ts";

const page = pageSize();
const runtimes: readonly RuntimeName[] = ["deno", "bun", "node", "python"];

/** Runs a child to its end; what it prints. */
function runChild(
  runtime: RuntimeName,
  args: readonly string[],
  stdio: StdioOptions,
): Promise<string> {
  const file = runtime === "python" ? "child_memory.py" : "child_memory.ts";
  const script = fileURLToPath(new URL(`./fixtures/${file}`, import.meta.url));
  const [command = "", ...start] = commandOf(runtime);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...start, script, ...args], { env, stdio });
    let output = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => output += text);
    child.on("error", reject);
    child.on("close", (code) => code === 0 ? resolve(output.trim()) : reject(new Error(`${code}`)));
  });
}

for (const runtime of runtimes) {
  const skip = firstReason(skipOutsideLinux, skipWithoutChildren(), skipWithout(runtime));

  describe(`A memfd handed to a child process under ${runtime}`, { skip }, () => {
    test("by /proc/PID/fd is the same memory", async () => {
      using map = MemoryMap.createMemfd(page);
      map.write("from the parent");
      const path = `/proc/${process.pid}/fd/${map.fd}`;
      const stdio: StdioOptions = ["ignore", "pipe", "inherit"];
      assertEquals(await runChild(runtime, ["path", path, `${page}`], stdio), "from the parent");
      assertEquals(map.read(14, 100), utf8("from the child"));
    });
    test("as descriptor 3 is the same memory", async () => {
      using map = MemoryMap.createMemfd(page);
      map.write("from the parent");
      const stdio: StdioOptions = ["ignore", "pipe", "inherit", map.fd];
      assertEquals(await runChild(runtime, ["fd", "3", `${page}`], stdio), "from the parent");
      assertEquals(map.read(14, 100), utf8("from the child"));
    });
    test("as standard input is the same memory", async () => {
      using map = MemoryMap.createMemfd(page);
      map.write("from the parent");
      const stdio: StdioOptions = [map.fd, "pipe", "inherit"];
      assertEquals(await runChild(runtime, ["fd", "0", `${page}`], stdio), "from the parent");
      assertEquals(map.read(14, 100), utf8("from the child"));
    });
  });
}

describe("MemoryMap.fd", () => {
  test("is the descriptor of the map's own file", { skip: skipOutsideLinux }, () => {
    using dir = tempDir();
    const path = dir.file("data", new Uint8Array(page));
    using map = MemoryMap.open(path);
    assertEquals([map.fd], descriptorsOf(path));
  });
  test("is -1 without a file, and after close()", () => {
    using dir = tempDir();
    using anonymous = MemoryMap.createAnonymous(page);
    const map = MemoryMap.open(dir.file("data", new Uint8Array(page)));
    assertEquals([anonymous.fd, map.fd >= 0], [-1, true]);
    map.close();
    assertEquals(map.fd, -1);
  });
});
