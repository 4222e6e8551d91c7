/** Nothing that the library opens reaches the programs that this process starts. */
import fs from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { MemoryMap, pageSize } from "../mod.ts";
import { firstReason, openFd, skipEmulated, skipWithoutProc, tempDir } from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";

const O_CLOEXEC = 0o2000000;

/** The descriptors of this process that a program started by it would get. */
function inherited(): string[] {
  return fs.readdirSync("/proc/self/fd").filter((fd) => {
    try {
      const flags = /^flags:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))
        ?.[1];
      return (parseInt(flags ?? "0", 8) & O_CLOEXEC) === 0;
    } catch {
      return false; // the descriptor that listed the folder is closed by now
    }
  });
}

describe("close-on-exec", {
  skip: firstReason(skipOutsideLinux, skipWithoutProc, skipEmulated),
}, () => {
  const name = () => `mman-exec-${process.pid}-${crypto.randomUUID()}`;
  const makers: Record<string, (file: string, fd: number) => MemoryMap> = {
    'open() with mode "r"': (file) => MemoryMap.open(file),
    'open() with mode "r+"': (file) => MemoryMap.open(file, { mode: "r+" }),
    'open() with mode "w+"': (file) => MemoryMap.open(`${file}-new`, { mode: "w+", size: 10 }),
    'open() with mode "c"': (file) => MemoryMap.open(file, { mode: "c" }),
    "createFileMapping()": (_, fd) => MemoryMap.createFileMapping(fd, 0, 7, 1),
    "createMemfd()": () => MemoryMap.createMemfd(pageSize()),
    "createNamed()": () => MemoryMap.createNamed(name(), 10, { owned: true }),
    "share()": (file) => {
      const map = MemoryMap.open(file);
      map.share();
      return map;
    },
  };
  for (const [what, make] of Object.entries(makers)) {
    test(`is on everything that ${what} opens`, () => {
      using dir = tempDir();
      const file = dir.file("data", "content");
      using opened = openFd(file, "r");
      const before = inherited();
      using _map = make(file, opened.fd);
      assertEquals(inherited(), before);
    });
  }
});
