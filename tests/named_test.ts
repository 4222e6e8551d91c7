/** Shared memory by name: `MemoryMap.createNamed()`, `openNamed()` and `unlinkNamed()`. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import {
  MemoryMap,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_READ,
  PROT_WRITE,
} from "../mod.ts";
import {
  assertRefused,
  countDescriptors,
  descriptorsOf,
  firstReason,
  fixtureResult,
  mappingsOf,
  pattern,
  skipWithoutChildren,
  skipWithoutCommands,
  tempDir,
  utf8,
} from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";
import { executableOf, type RuntimeName, skipWithout, startPeer } from "./helpers_sync.ts";
import { freshName } from "./helpers_workers.ts";

const page = pageSize();
const skip = skipOutsideLinux;
const skipChildren = firstReason(skip, skipWithoutChildren());
const skipPython = firstReason(skip, skipWithout("python"));
/** Tests of rights, which root is not subject to. */
const skipWithoutUsers = firstReason(
  skipChildren,
  process.getuid?.() === 0 ? false : "needs root, to become another user",
  skipWithoutCommands("setpriv"),
);

const pathOf = (name: string): string => `/dev/shm/${name}`;
const exists = (name: string): boolean => fs.existsSync(pathOf(name));

/** A name whose memory is taken away at the end of the block, if it is still there. */
function named(): Disposable & { readonly name: string } {
  const name = freshName();
  return { name, [Symbol.dispose]: () => fs.rmSync(pathOf(name), { force: true }) };
}

describe("MemoryMap.createNamed()", () => {
  test("makes an entry of the size asked for, for this user only", { skip }, () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 3 * page + 7);
    const { size, mode, uid } = fs.statSync(pathOf(memory.name));
    assertEquals([size, mode & 0o7777, uid], [3 * page + 7, 0o600, process.getuid?.()]);
    assertEquals([map.size, map.name, map.prot], [size, memory.name, PROT_READ | PROT_WRITE]);
    assertEquals([map.path, map.count(0)], [undefined, size]);
    assertEquals(mappingsOf(pathOf(memory.name))[0]?.access, "rw-s");
  });
  test("makes an entry with the permissions given", { skip }, () => {
    using memory = named();
    using _map = MemoryMap.createNamed(memory.name, page, { permissions: 0o640 });
    assertEquals(fs.statSync(pathOf(memory.name)).mode & 0o7777, 0o640);
  });
  test("writes into the entry", { skip }, () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 100);
    map.write("seen outside", 50);
    assertEquals(fs.readFileSync(pathOf(memory.name)).subarray(50, 62).toString(), "seen outside");
  });
  test("takes a name with the slash that POSIX puts in front", { skip }, () => {
    using memory = named();
    using map = MemoryMap.createNamed(`/${memory.name}`, page);
    using _other = MemoryMap.openNamed(memory.name);
    assertEquals([map.name, exists(memory.name)], [memory.name, true]);
  });
  test("leaves the memory after close(), until unlinkNamed()", { skip }, () => {
    using memory = named();
    MemoryMap.createNamed(memory.name, page).close();
    using map = MemoryMap.openNamed(memory.name);
    MemoryMap.unlinkNamed(memory.name);
    assertEquals(exists(memory.name), false);
    map.write("still mapped");
    assertEquals(map.read(12), utf8("still mapped"));
  });
  test("throws when the name is taken, and leaves what is there", { skip }, () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, page);
    map.write("first");
    const before = countDescriptors();
    for (const owned of [false, true]) {
      const error = assertRefused(
        () => MemoryMap.createNamed(memory.name, 2 * page, { owned }),
        MMapError,
        memory.name,
        "taken",
        "unlinkNamed()",
      );
      assertEquals(error.code, "EEXIST");
    }
    assertEquals([fs.statSync(pathOf(memory.name)).size, countDescriptors()], [page, before]);
    assertEquals(map.read(5), utf8("first"));
  });
  test("throws when the system has not that much memory, and leaves no name", { skip }, () => {
    using memory = named();
    const before = countDescriptors();
    for (const owned of [false, true]) {
      const call = () => MemoryMap.createNamed(memory.name, 2 ** 52, { owned });
      let error: unknown;
      try {
        call().close();
      } catch (thrown) {
        error = thrown;
      }
      assert(error instanceof MMapError, String(error));
      assert(error.message.includes(String(2 ** 52)), error.message);
      assertEquals([exists(memory.name), countDescriptors()], [false, before]);
    }
    assertEquals(drafts(), []);
  });
  for (const size of [0, -1, 1.5, NaN, 2 ** 53, "5", null, undefined]) {
    test(`refuses ${typeof size} ${size} as a size`, { skip }, () => {
      using memory = named();
      assertRefused(
        () => MemoryMap.createNamed(memory.name, size as number),
        MMapInvalidParameterError,
        String(size),
        "size in bytes",
      );
      assertEquals(exists(memory.name), false);
    });
  }
  const badOptions = [
    { permissions: -1 },
    { permissions: 0o1600 },
    { permissions: "600" },
    { mode: "r" },
    null,
    "owned",
  ];
  for (const options of badOptions) {
    test(`refuses the options ${JSON.stringify(options)}`, { skip }, () => {
      using memory = named();
      assertRefused(
        () => MemoryMap.createNamed(memory.name, page, options as never),
        MMapInvalidParameterError,
      );
      assertEquals(exists(memory.name), false);
    });
  }
});

describe("A name of shared memory", () => {
  const valid = ["a b", "ü€", "x".repeat(200), "€".repeat(70), ".hidden", "a:b"];
  for (const tail of valid) {
    test(`may be ${JSON.stringify(tail.slice(0, 12))} (${tail.length})`, { skip }, () => {
      using memory = named();
      const name = `${memory.name}${tail}`;
      using _map = MemoryMap.createNamed(name, page, { owned: true });
      assertEquals(exists(name), true);
    });
  }
  const invalid = [
    "",
    "/",
    ".",
    "..",
    "/..",
    "a/b",
    "//a",
    "a/",
    "../a",
    "a\\b",
    "a\0b",
    "x".repeat(300),
    "€".repeat(100),
    5,
    null,
    undefined,
    {},
  ];
  for (const name of invalid) {
    test(`may not be ${JSON.stringify(name)?.slice(0, 12)}`, () => {
      for (
        const call of [
          () => MemoryMap.createNamed(name as string, page),
          () => MemoryMap.openNamed(name as string),
          () => MemoryMap.unlinkNamed(name as string),
        ]
      ) assertRefused(call, MMapInvalidParameterError, "name of shared memory");
    });
  }
});

describe("MemoryMap.openNamed()", () => {
  test("maps all of the memory, for reading and writing", { skip }, () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 3 * page + 7);
    using other = MemoryMap.openNamed(memory.name);
    assertEquals([other.size, other.prot, other.name], [
      3 * page + 7,
      PROT_READ | PROT_WRITE,
      memory.name,
    ]);
    other.write(pattern(other.size));
    assertEquals(map.compare(other), 0);
  });
  test("maps the beginning, of the size asked for", { skip }, () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 3 * page);
    using other = MemoryMap.openNamed(memory.name, { size: 100 });
    map.write("start");
    assertEquals([other.size, other.read(5)], [100, utf8("start")]);
  });
  test('with mode "r" cannot write, however one tries', { skip }, () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, page);
    map.write("original");
    using other = MemoryMap.openNamed(memory.name, { mode: "r" });
    assertEquals([other.prot, other.read(8)], [PROT_READ, utf8("original")]);
    assertRefused(() => other.write("x"), MMapProtectionError, "PROT_WRITE");
    assertRefused(() => other.mprotect(PROT_READ | PROT_WRITE), MMapProtectionError);
    assertRefused(() => other.resize(2 * page), MMapProtectionError, "read-only");
    assertEquals(mappingsOf(pathOf(memory.name)).map(({ access }) => access).sort(), [
      "r--s",
      "rw-s",
    ]);
    assertEquals(map.read(8), utf8("original"));
  });
  for (const runtime of ["deno", "bun", "node"] satisfies RuntimeName[]) {
    test(`shares with a process under ${runtime}: each sees what the other writes`, {
      skip: firstReason(skipChildren, skipWithout(runtime)),
    }, async () => {
      using memory = named();
      using map = MemoryMap.createNamed(memory.name, page);
      map.write("from the parent", 100);
      await using peer = startPeer("named_peer.ts", [memory.name], runtime);
      assertEquals(await peer.line(), `${page} from the parent`);
      await peer.tell("from the child!");
      assertEquals(await peer.line(), "written");
      assertEquals(map.read(15, 100), utf8("from the child!"));
      assertEquals(await peer.ended(), 0);
    });
  }
  test("throws when nobody has created the name", { skip }, () => {
    using memory = named();
    const error = assertRefused(
      () => MemoryMap.openNamed(memory.name),
      MMapError,
      memory.name,
      "createNamed()",
    );
    assertEquals([error.code, error.syscall], ["ENOENT", "open"]);
  });
  test("throws when the memory is smaller than asked for, and holds nothing", { skip }, () => {
    using memory = named();
    using _map = MemoryMap.createNamed(memory.name, 1000);
    assertRefused(
      () => MemoryMap.openNamed(memory.name, { size: 1001 }),
      MMapInvalidParameterError,
      "1001",
      "1000",
    );
    assertEquals(descriptorsOf(pathOf(memory.name)).length, 1);
  });
  test("throws without the right to the memory", { skip: skipWithoutUsers }, async () => {
    using memory = named();
    using _map = MemoryMap.createNamed(memory.name, page);
    const prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for (const mode of ["r", "r+"]) {
      const { name, code } = await fixtureResult<Record<string, string>>("named_rights.ts", {
        args: [memory.name, mode],
        prefix,
      });
      assertEquals([name, code], ["MMapProtectionError", "EACCES"]);
    }
    fs.chmodSync(pathOf(memory.name), 0o644);
    assertEquals(
      await fixtureResult("named_rights.ts", { args: [memory.name, "r"], prefix }),
      { size: page },
    );
    const { code } = await fixtureResult<Record<string, string>>("named_rights.ts", {
      args: [memory.name, "r+"],
      prefix,
    });
    assertEquals(code, "EACCES");
  });
  test("of empty memory gives an empty map", { skip }, () => {
    using memory = named();
    fs.writeFileSync(pathOf(memory.name), "");
    using map = MemoryMap.openNamed(memory.name);
    assertEquals([map.size, map.bytes.length], [0, 0]);
  });
  for (
    const options of [{ mode: "w" }, { mode: "c" }, { size: 0 }, { size: "1" }, { owned: true }]
  ) {
    test(`refuses the options ${JSON.stringify(options)}`, { skip }, () => {
      using memory = named();
      using _map = MemoryMap.createNamed(memory.name, page);
      assertRefused(
        () => MemoryMap.openNamed(memory.name, options as never),
        MMapInvalidParameterError,
      );
    });
  }
});

describe("A symbolic link planted under a name", () => {
  for (const target of ["a file", "nothing", "itself"]) {
    test(`is refused, and its target not touched: it leads to ${target}`, { skip }, () => {
      using memory = named();
      using dir = tempDir();
      const victim = target === "itself" ? pathOf(memory.name) : dir.file("victim");
      if (target === "a file") fs.writeFileSync(victim, "precious");
      fs.symlinkSync(victim, pathOf(memory.name));
      for (const mode of ["r", "r+"] as const) {
        const error = assertRefused(
          () => MemoryMap.openNamed(memory.name, { mode }),
          MMapError,
          "symbolic link",
          "unlinkNamed()",
        );
        assertEquals(error.code, "ELOOP");
      }
      for (const owned of [false, true]) {
        const error = assertRefused(
          () => MemoryMap.createNamed(memory.name, page, { owned }),
          MMapError,
          "taken",
        );
        assertEquals(error.code, "EEXIST");
      }
      if (target === "a file") assertEquals(fs.readFileSync(victim, "utf8"), "precious");
      if (target === "nothing") assertEquals(fs.existsSync(victim), false);
      MemoryMap.unlinkNamed(memory.name);
      if (target === "a file") assertEquals(fs.readFileSync(victim, "utf8"), "precious");
      MemoryMap.createNamed(memory.name, page, { owned: true }).close();
    });
  }
});

describe("What is no memory under a name", () => {
  test("is refused: a folder", { skip }, () => {
    using memory = named();
    fs.mkdirSync(pathOf(memory.name));
    try {
      for (const mode of ["r", "r+"] as const) {
        assertRefused(() => MemoryMap.openNamed(memory.name, { mode }), MMapInvalidParameterError);
      }
      assertEquals(descriptorsOf(pathOf(memory.name)), []);
    } finally {
      fs.rmdirSync(pathOf(memory.name));
    }
  });
  test("is refused without waiting: a pipe that nobody writes", {
    skip: firstReason(skip, skipWithoutCommands("mkfifo")),
  }, () => {
    using memory = named();
    assertEquals(spawnSync("mkfifo", [pathOf(memory.name)]).status, 0);
    assertRefused(() => MemoryMap.openNamed(memory.name), MMapInvalidParameterError);
    assertEquals(descriptorsOf(pathOf(memory.name)), []);
  });
});

describe("MemoryMap.unlinkNamed()", () => {
  test("throws when there is no such name", { skip }, () => {
    using memory = named();
    const error = assertRefused(() => MemoryMap.unlinkNamed(memory.name), MMapError, memory.name);
    assertEquals([error.code, error.syscall], ["ENOENT", "unlink"]);
  });
  test("frees the name for other memory at once", { skip }, () => {
    using memory = named();
    using old = MemoryMap.createNamed(memory.name, page);
    old.write("old");
    MemoryMap.unlinkNamed(memory.name);
    using fresh = MemoryMap.createNamed(memory.name, page);
    assertEquals([fresh.count(0), old.read(3)], [page, utf8("old")]);
  });
});

/** What creators of owned names that were killed in the middle have left. */
function drafts(): string[] {
  return fs.readdirSync("/dev/shm").filter((name) => name.startsWith(`.mman-${process.pid}-`));
}

describe("An owned name", () => {
  test("goes when its creator closes the map", { skip }, () => {
    using memory = named();
    const map = MemoryMap.createNamed(memory.name, page, { owned: true });
    using other = MemoryMap.openNamed(memory.name);
    assertEquals([exists(memory.name), drafts()], [true, []]);
    map.write("kept");
    map.close();
    assertEquals(exists(memory.name), false);
    assertEquals(other.read(4), utf8("kept"));
  });
  test("stays when somebody else closes", { skip }, () => {
    using memory = named();
    using _map = MemoryMap.createNamed(memory.name, page, { owned: true });
    MemoryMap.openNamed(memory.name).close();
    MemoryMap.openNamed(memory.name, { mode: "r" }).close();
    assertEquals(exists(memory.name), true);
  });
  test("is not mistaken for another that has it by then", { skip }, () => {
    using memory = named();
    const map = MemoryMap.createNamed(memory.name, page, { owned: true });
    MemoryMap.unlinkNamed(memory.name);
    using _second = MemoryMap.createNamed(memory.name, 2 * page);
    map.close();
    assertEquals(fs.statSync(pathOf(memory.name)).size, 2 * page);
  });
  test("is told from others by more than their permissions: those are never taken away", {
    skip,
  }, () => {
    for (const permissions of [0o600, 0o700, 0o755, 0o777]) {
      using memory = named();
      MemoryMap.createNamed(memory.name, page, { permissions }).close();
      MemoryMap.openNamed(memory.name).close();
      fs.chmodSync(pathOf(memory.name), permissions); // as shm_open of others may make it
      MemoryMap.openNamed(memory.name).close();
      assertEquals(exists(memory.name), true);
    }
  });
  test("has the permissions given", { skip }, () => {
    using memory = named();
    using _map = MemoryMap.createNamed(memory.name, page, { owned: true, permissions: 0o640 });
    assertEquals(fs.statSync(pathOf(memory.name)).mode & 0o777, 0o640);
  });
  test("may have been taken away when its creator closes", { skip }, () => {
    using memory = named();
    const map = MemoryMap.createNamed(memory.name, page, { owned: true });
    MemoryMap.unlinkNamed(memory.name);
    map.close();
    assertEquals([exists(memory.name), descriptorsOf(`${pathOf(memory.name)} (deleted)`)], [
      false,
      [],
    ]);
  });
  test("goes when its creator ends without closing, by whoever opens it next", {
    skip: skipChildren,
  }, async () => {
    using memory = named();
    await using owner = startPeer("named_owner.ts", [memory.name]);
    assertEquals(await owner.line(), "created");
    await owner.tell("end");
    assertEquals(await owner.ended(), 0);
    const error = assertRefused(() => MemoryMap.openNamed(memory.name), MMapError);
    assertEquals([error.code, exists(memory.name)], ["ENOENT", false]);
  });
  for (const next of ["openNamed", "createNamed"] as const) {
    test(`goes when its creator is killed, by ${next}()`, { skip: skipChildren }, async () => {
      using memory = named();
      await using owner = startPeer("named_owner.ts", [memory.name]);
      assertEquals(await owner.line(), "created");
      // It lives: the name is good, and taken.
      using map = MemoryMap.openNamed(memory.name);
      assertEquals(map.read(5), utf8("owner"));
      assertRefused(() => MemoryMap.createNamed(memory.name, page), MMapError, "taken");
      owner.kill();
      await owner.ended();
      if (next === "openNamed") {
        const error = assertRefused(() => MemoryMap.openNamed(memory.name), MMapError);
        assertEquals([error.code, exists(memory.name)], ["ENOENT", false]);
      } else {
        using fresh = MemoryMap.createNamed(memory.name, 2 * page, { owned: true });
        assertEquals(fresh.count(0), 2 * page);
      }
      assertEquals(map.read(5), utf8("owner")); // who has it mapped keeps the memory
    });
  }
  test("does not leave its draft behind when the creator was killed at the wrong moment", {
    skip,
  }, () => {
    using memory = named();
    const old = `.mman-1-${crypto.randomUUID()}`;
    const young = `.mman-1-${crypto.randomUUID()}`;
    try {
      for (const name of [old, young]) fs.writeFileSync(pathOf(name), "", { mode: 0o700 });
      const hourAgo = Date.now() / 1000 - 3600;
      fs.utimesSync(pathOf(old), hourAgo, hourAgo);
      using _map = MemoryMap.createNamed(memory.name, page, { owned: true });
      // A young one may be somebody's who is creating a name right now.
      assertEquals([exists(old), exists(young)], [false, true]);
    } finally {
      for (const name of [old, young]) fs.rmSync(pathOf(name), { force: true });
    }
  });
  test("is shared with Workers: it goes when its creator closes", { skip }, () => {
    using memory = named();
    const map = MemoryMap.createNamed(memory.name, page, { owned: true });
    using other = MemoryMap.attach(map.share());
    map.close();
    other.write("still here");
    assertEquals([exists(memory.name), other.read(10)], [false, utf8("still here")]);
  });
  test("is created by one of many at a time", { skip: skipChildren }, async () => {
    using memory = named();
    const contenders = Array.from(
      { length: 4 },
      () => startPeer("named_contender.ts", [memory.name, "200"]),
    );
    const outcomes = await Promise.all(contenders.map(async (contender) => {
      await using child = contender;
      const line = await child.line();
      assertEquals(await child.ended(), 0);
      return JSON.parse(line) as { created: number; taken: number; torn: number };
    }));
    const sum = (key: "created" | "taken" | "torn") =>
      outcomes.reduce((total, outcome) => total + outcome[key], 0);
    assertEquals([sum("created") + sum("taken"), sum("torn")], [800, 0]);
    assert(sum("created") > 0);
    assertEquals(exists(memory.name), false);
  });
});

describe("Python's multiprocessing.shared_memory", { skip: skipPython }, () => {
  function python(...args: string[]): string {
    const script = fileURLToPath(new URL("./fixtures/named_python.py", import.meta.url));
    const { status, stdout, stderr } = spawnSync(executableOf("python")!, [script, ...args], {
      encoding: "utf8",
    });
    assertEquals(status, 0, stderr);
    return stdout.trim();
  }

  test("attaches to our memory, reads and writes it, and leaves it", () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 5000);
    map.write("from TypeScript");
    const seen = python("attach", memory.name, "from TypeScript".length.toString(), "from Python!");
    assertEquals(seen, "5000 from TypeScript");
    assertEquals(map.read(12), utf8("from Python!"));
    assertEquals(exists(memory.name), true);
  });
  test("attaches to an owned name, too", () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 5000, { owned: true });
    map.write("owned");
    assertEquals(python("attach", memory.name, "5", "OWNED"), "5000 owned");
    assertEquals([map.read(5), exists(memory.name)], [utf8("OWNED"), true]);
  });
  test("with its resource tracker takes the name away at its end; our memory stays", () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 5000);
    map.write("tracked");
    assertEquals(python("tracked", memory.name, "7", "TRACKED"), "5000 tracked");
    assertEquals([exists(memory.name), map.read(7)], [false, utf8("TRACKED")]);
  });
  test("makes memory that openNamed() maps; closing ours takes nothing away from it", async () => {
    await using child = startPeer("named_python.py", ["create", "5000", "from Python"], "python");
    const name = await child.line();
    {
      using map = MemoryMap.openNamed(name);
      assertEquals([map.size, map.read(11)], [5000, utf8("from Python")]);
      map.write("from TypeScript");
    }
    assertEquals(exists(name), true);
    await child.tell("read");
    assertEquals(await child.line(), "from TypeScript");
    await child.tell("end");
    assertEquals(await child.ended(), 0);
    assertEquals(exists(name), false); // it was Python's to unlink
  });
  test("waits for an entry that createNamed() has just made: it is never empty", () => {
    using memory = named();
    using map = MemoryMap.createNamed(memory.name, 1, { owned: true });
    map.write("!");
    assertEquals(python("attach", memory.name, "1", "?"), "1 !");
  });
});
