/**
 * Nothing gets around Deno's permissions: each call that opens, creates, cuts or unlinks something, in a
 * process that lacks the permission for just that.
 */
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  firstReason,
  fixtureResult,
  skipOutsideDeno,
  skipWithoutChildren,
  type TempDir,
  tempDir,
} from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";

const skip = firstReason(skipOutsideDeno, skipWithoutChildren());

interface Outcome {
  readonly done?: boolean;
  readonly name?: string;
  readonly message?: string;
  readonly isMMapError?: boolean;
}

/** How things end in one process with some permissions: verbs with their path or name. */
function outcomes(permissions: string[], work: readonly [string, string][]): Promise<Outcome[]> {
  return fixtureResult<Outcome[]>("permission_verbs.ts", { permissions, args: work.flat() });
}

/** Throws unless the runtime itself has refused a thing. */
function assertNotCapable(verb: string, { name, message, isMMapError }: Outcome): void {
  assertEquals([name, isMMapError], ["NotCapable", false], `${verb}: ${message}`);
}

/** What a folder holds, to see that nothing has changed. */
function contentOf(folder: string): Record<string, string> {
  const names = fs.readdirSync(folder).sort();
  return Object.fromEntries(
    names.map((name) => [name, fs.readFileSync(path.join(folder, name), "latin1")]),
  );
}

const reading = ['open with mode "r"', 'open with mode "c"', "lock", "openNpy"];
const writing = [
  'open with mode "r+"',
  'open with mode "r+", longer',
  'open with mode "w+"',
  "preallocate",
  "truncateOnClose",
  "createNpy",
  "MappedArray.open",
  "RecordRing.create",
  "MessageQueue.create",
  "MessageQueue.open",
  "Journal.open",
];

const modest = [
  'open with mode "r+"',
  'open with mode "w+"',
  "preallocate",
  "truncateOnClose",
  "createNpy",
];

describe("Deno's permissions for files", { skip, concurrency: 2 }, () => {
  /** A file of its own for each verb, or a path where none is. Rings replace an empty file only. */
  const places = (dir: TempDir, verbs: readonly string[], content?: string): [string, string][] =>
    verbs.map((verb, i) => {
      const isRing = content !== undefined && verb.endsWith(".create");
      return [verb, dir.file(`file-${i}`, isRing ? "" : content)];
    });

  const lacking: [string, readonly string[], (dir: TempDir) => string[]][] = [
    ["none but to call", [...reading, ...writing], () => []],
    ["to read", writing, () => ["--allow-read"]],
    ["to read the files", writing, (dir) => [`--allow-read=${dir.path}`]],
    ["to write the files", reading, (dir) => [`--allow-write=${dir.path}`]],
    ["for another folder", [...reading, ...writing], () => [
      "--allow-read=/no/such/folder",
      "--allow-write=/no/such/folder",
    ]],
  ];
  for (const [name, verbs, permissions] of lacking) {
    test(`${name}: everything else ends in Deno's error, and no file changes`, async () => {
      using dir = tempDir();
      const work = places(dir, verbs, "content");
      const before = contentOf(dir.path);
      const ended = await outcomes(["--allow-ffi", ...permissions(dir)], work);
      ended.forEach((each, i) => assertNotCapable(verbs[i]!, each));
      assertEquals(contentOf(dir.path), before);
    });
  }
  test("to read: nothing is created", async () => {
    using dir = tempDir();
    const ended = await outcomes(["--allow-ffi", "--allow-read"], places(dir, writing));
    assertEquals(ended.filter(({ done }) => done), []);
    assertEquals(contentOf(dir.path), {});
  });
  for (const verb of modest) {
    test(`${verb} needs no more than the file`, async () => {
      using dir = tempDir();
      const file = dir.file("data", "content");
      const permissions = ["--allow-ffi", `--allow-read=${file}`, `--allow-write=${file}`];
      const [ended] = await outcomes(permissions, [[verb, file]]);
      assertEquals(ended!.done, true, ended!.message);
    });
  }
});

describe("Deno's permissions for named memory", {
  skip: firstReason(skip, skipOutsideLinux),
  concurrency: 2,
}, () => {
  const FOLDER = "/dev/shm";
  const freshName = () => `mman-permissions-${process.pid}-${crypto.randomUUID()}`;
  const fileOf = (name: string) => path.join(FOLDER, name);
  const creating = ["createNamed", "createNamed, owned", "MessageQueue.create with a name"];
  const finding = ['openNamed with mode "r"', 'openNamed with mode "r+"', "unlinkNamed"];

  for (
    const permissions of [
      ["--allow-ffi"],
      ["--allow-ffi", "--allow-read=/tmp", "--allow-write=/tmp"],
    ]
  ) {
    test(`${permissions.join(" ")}: no name is made, opened or taken away`, async () => {
      const work = [...creating, ...finding].map((verb): [string, string] => [verb, freshName()]);
      const there = work.slice(creating.length).map(([, name]) => fileOf(name));
      try {
        for (const file of there) fs.writeFileSync(file, "content");
        const ended = await outcomes(permissions, work);
        ended.forEach((each, i) => assertNotCapable(work[i]![0], each));
        for (const [, name] of work.slice(0, creating.length)) {
          assertEquals(fs.existsSync(fileOf(name)), false);
        }
        for (const file of there) assertEquals(fs.readFileSync(file, "utf8"), "content");
      } finally {
        for (const [, name] of work) fs.rmSync(fileOf(name), { force: true });
      }
    });
  }
  test("all: every verb works", async () => {
    const work = [...creating, ...finding].map((verb): [string, string] => [verb, freshName()]);
    try {
      for (const [, name] of work.slice(creating.length)) {
        fs.writeFileSync(fileOf(name), "content");
      }
      const ended = await outcomes(["-A"], work);
      ended.forEach(({ done, message }, i) =>
        assertEquals(done, true, `${work[i]![0]}: ${message}`)
      );
    } finally {
      for (const [, name] of work) fs.rmSync(fileOf(name), { force: true });
    }
  });
});
