/**
 * Faults that end as errors: truncated files, read-only pages, Workers. Whatever could end a process runs
 * in one of its own: `fixtures/fault_scenarios.ts`.
 */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { guardStatus } from "../src/guard/mod.ts";
import { skipWithoutAdvice } from "./capabilities.ts";
import {
  firstReason,
  runFixture,
  type Skip,
  skipEmulated,
  skipWithoutChildren,
} from "./helpers.ts";
import {
  mountExt4,
  mountTmpfs,
  skipOutsideLinux,
  skipWithoutExt4,
  skipWithoutMount,
} from "./helpers_paging.ts";

const { active, reason } = guardStatus();

/** Tests of the fault guard. */
const skip: Skip = firstReason(
  active ? false : `needs a fault guard: ${reason}`,
  skipWithoutChildren(),
);

/** Tests of what there is without, where there could be one; QEMU has no process_vm_readv. */
const skipUnguarded: Skip = firstReason(skipOutsideLinux, skipEmulated, skipWithoutChildren());

/** Scenarios that the process survives. */
const survived = [
  "cut file, whole",
  "cut file, in part",
  "every method",
  "every promise and stream",
  "arrays",
  "records, in loops that were compiled before",
  "rings and a journal",
  "cut by another process in a hot loop",
  "written where it is read-only",
  "touched where nothing is allowed",
  "given back",
  "used after close",
  "resized with views out",
  "Workers on one map",
  "Workers with maps of their own",
  "a map attached after its first holder has closed",
  "a SharedArrayBuffer over a file",
  "a transferred buffer",
  "a file that starts within a page of the map",
  "onFault",
  "two copies of the library",
  "WebAssembly traps before and after",
];

/** Those with calls that fault pages in, which the kernel has to do. */
const faultingIn = ["every method", "every promise and stream"];

/** Scenarios on a disk that is smaller than their file. */
const onFullDisk = ["a full disk", "a full disk, by methods"];

const disks = [
  { name: "tmpfs", mount: () => mountTmpfs(4 << 20), skip: skipWithoutMount() },
  { name: "ext4", mount: () => mountExt4(16 << 20), skip: skipWithoutExt4() },
];

/** Scenarios without a guard, as on a system that refuses it. */
const unguarded = ["no guard, every method", "no guard, right answers"];

/** Scenarios whose last access must end the process. */
const fatal = ["a wild pointer", "a map that ends leaves nothing guarded"];

describe("a process with maps", { skip, concurrency: 2 }, () => {
  for (const name of survived) {
    const skip = faultingIn.includes(name) && skipWithoutAdvice;
    test(`survives: ${name}`, { skip }, async () => {
      const { status, stdout, stderr } = await runFixture("fault_scenarios.ts", { args: [name] });
      assertEquals([status, stdout], [0, "ok\n"], stderr);
    });
  }
  for (const { name: disk, mount, skip } of disks) {
    for (const name of onFullDisk) {
      test(`survives: ${name} (${disk})`, { skip }, async () => {
        using folder = mount();
        const args = [name, folder.path];
        const { status, stdout, stderr } = await runFixture("fault_scenarios.ts", { args });
        assertEquals([status, stdout], [0, "ok\n"], stderr);
      });
    }
  }
  for (const name of fatal) {
    test(`ends by a signal after: ${name}`, async () => {
      const { status, stdout, stderr } = await runFixture("fault_scenarios.ts", { args: [name] });
      assertEquals(stdout, "ok\n", stderr);
      assert(isSegv(status), `${status}: ${stderr}`);
    });
  }
});

describe("a process without a guard", { skip: skipUnguarded, concurrency: 2 }, () => {
  for (const name of unguarded) {
    test(`survives: ${name}`, async () => {
      const { status, stdout, stderr } = await runFixture("fault_scenarios.ts", { args: [name] });
      assertEquals([status, stdout], [0, "ok\n"], stderr);
    });
  }
  test("ends by a signal after: no guard, and a view of a cut file", async () => {
    const args = ["no guard, and a view of a cut file"];
    const { status, stdout, stderr } = await runFixture("fault_scenarios.ts", { args });
    assertEquals(stdout, "ok\n", stderr);
    assert(status !== 0, `${status}: ${stderr}`);
  });
});

/** SIGSEGV, as itself or as the exit code of a runtime that reports the crash first. */
function isSegv(status: number | string | null): boolean {
  return status === "SIGSEGV" || status === 139;
}
