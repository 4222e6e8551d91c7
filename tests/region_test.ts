/** `createRegion()`: one suite over all backends, what is particular to each, and bad input. */
import { test } from "node:test";
import fs from "node:fs";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import {
  MemoryMap,
  MMapAllocationError,
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
} from "../mod.ts";
import { platform } from "../src/ffi/host.ts";
import { type Backend, createRegion, type MemoryRegion } from "../src/region/mod.ts";
import {
  assertRefused,
  firstReason,
  fixtureResult,
  pattern,
  type Skip,
  skipOutsideDeno,
  skipWithoutChildren,
  tempDir,
  utf8,
} from "./helpers.ts";
import { freshName } from "./helpers_workers.ts";

const SIZE = 10_000;

/** Why a backend cannot be had here. */
const lacking: Readonly<Partial<Record<Backend, Skip>>> = {
  memfd: platform().memfd === undefined ? "needs memfds" : false,
  named: platform().openNamed === undefined ? "needs named shared memory" : false,
};

const all: readonly Backend[] = ["anonymous", "file", "named", "memfd", "sab", "heap"];

for (const backend of all) {
  const skip = lacking[backend] ?? false;

  /** Runs a check on a fresh region, which is closed afterwards. */
  const suite = (what: string, check: (region: MemoryRegion) => void): void => {
    test(`createRegion() with the backend "${backend}" ${what}`, { skip }, () => {
      using dir = tempDir();
      using region = createRegion(SIZE, { backend, name: freshName(), path: dir.file("region") });
      check(region);
    });
  };

  suite("refuses offsets that are no numbers", (region) => {
    for (const bad of [Symbol("0"), Object.create(null), "0"] as never[]) {
      assertRefused(() => region.flush(bad), MMapInvalidParameterError);
      assertRefused(() => region.fill(1, bad), MMapInvalidParameterError);
      assertRefused(() => region.find("x", bad), MMapInvalidParameterError);
      assertRefused(() => region.read(1, bad), MMapInvalidParameterError);
      assertRefused(() => region.readInto(new Uint8Array(1), bad), MMapInvalidParameterError);
    }
  });

  suite("gives zeros of the size", (region) => {
    assertEquals(region.size, SIZE);
    assertEquals(region.bytes.length, SIZE);
    assert(region.bytes.every((byte) => byte === 0));
  });

  suite("copies in and out", (region) => {
    const data = pattern(1000);
    assertEquals(region.write(data, 17), 1000);
    assertEquals(region.read(1000, 17), data);
    assertEquals(region.write("größer", 5000), 8);
    assertEquals(region.read(8, 5000), utf8("größer"));
    const target = new Uint16Array(20);
    assertEquals(region.readInto(target, 17), 40);
    assertEquals(new Uint8Array(target.buffer), data.slice(0, 40));
    assertEquals(region.readInto(new Uint8Array(100), SIZE - 30), 30);
    assertEquals(region.readInto(new Uint8Array(100), SIZE), 0);
  });

  suite("hands its bytes out, and copies are copies", (region) => {
    const copy = region.read(4);
    region.bytes.set([1, 2, 3, 4], SIZE - 4);
    region.bytes[0] = 9;
    assertEquals([...region.read(4, SIZE - 4)], [1, 2, 3, 4]);
    assertEquals(copy[0], 0);
    assertEquals(region.read(1)[0], 9);
  });

  suite("fills ranges", (region) => {
    region.fill(5, 100, 50);
    region.fill(6, SIZE - 10);
    const expected = new Uint8Array(SIZE).fill(5, 100, 150).fill(6, SIZE - 10);
    assertEquals(region.read(SIZE), expected);
    assertRefused(() => region.fill(256), MMapInvalidParameterError, "256", "byte");
  });

  suite("finds as MemoryMap does", (region) => {
    using map = MemoryMap.createAnonymous(SIZE);
    for (const each of [region, map]) {
      each.write("aab aaab", 10);
      each.write("needle", SIZE - 6);
    }
    const cases: Parameters<MemoryRegion["find"]>[] = [
      ["aab"],
      ["aaab"],
      ["aab", 11],
      ["needle"],
      ["needle", 0, SIZE - 1],
      ["needle", SIZE - 6],
      ["nothing"],
      ["", 7],
      ["", SIZE],
      ["", SIZE + 5],
      ["", 5, 3],
      [new Uint16Array([0x6161]), 12, 30],
      ["x".repeat(SIZE + 1)],
      ["aab", 20, 10],
    ];
    for (const [needle, ...range] of cases) {
      assertEquals(region.find(needle, ...range), map.find(needle, ...range), `${needle} ${range}`);
    }
    assertRefused(() => region.find("a", -1), MMapInvalidParameterError, "-1");
  });

  suite("flushes, also where there is nothing to flush to", (region) => {
    region.write("flushed");
    region.flush();
    region.flush(0, 7);
    assertRefused(() => region.flush(0, SIZE + 1), MMapInvalidParameterError, `${SIZE + 1}`);
  });

  suite("refuses ranges that are not in it", (region) => {
    for (const [offset, length] of [[SIZE, 1], [-1, 1], [0, SIZE + 1], [1.5, 1], [0, NaN]]) {
      assertRefused(() => region.read(length!, offset), MMapInvalidParameterError);
      assertRefused(() => region.fill(0, offset, length), MMapInvalidParameterError);
    }
    assertRefused(() => region.write(pattern(10), SIZE - 9), MMapInvalidParameterError, "10");
    assertRefused(() => region.readInto(pattern(1), SIZE + 1), MMapInvalidParameterError);
    assert(region.bytes.every((byte) => byte === 0));
  });

  suite("is empty and refuses everything once it is closed", (region) => {
    region.close();
    region.close();
    assertEquals(region.size, 0);
    const uses: (() => unknown)[] = [
      () => region.bytes,
      () => region.read(1),
      () => region.readInto(pattern(1)),
      () => region.write("x"),
      () => region.fill(0, 0, 0),
      () => region.find("x"),
      () => region.flush(0, 0),
    ];
    for (const use of uses) assertRefused(use, MMapClosedError, "closed");
  });

  test(`createRegion() with the backend "${backend}" refuses bad sizes`, { skip }, () => {
    using dir = tempDir();
    for (const size of [0, -1, 1.5, NaN, Infinity, "8" as unknown as number]) {
      const options = { backend, name: freshName(), path: dir.file("region") };
      assertRefused(() => createRegion(size, options), MMapInvalidParameterError, "size");
    }
    assertEquals(fs.readdirSync(dir.path), []);
  });
}

test("createRegion() empties the views of a heap region when it closes", () => {
  const region = createRegion(64, { backend: "heap" });
  const view = region.bytes;
  region.close();
  assertEquals(view.length, 0);
});

test('createRegion() with the backend "sab" gives bytes that threads share', () => {
  using region = createRegion(64, { backend: "sab" });
  const { buffer } = structuredClone(region.bytes);
  new Uint8Array(buffer)[3] = 7;
  assertEquals(region.bytes[3], 7);
});

test('createRegion() with the backend "file" leaves the bytes in the file', () => {
  using dir = tempDir();
  const path = dir.file("region");
  {
    using region = createRegion(8, { backend: "file", path });
    region.write("reread");
  }
  assertEquals(fs.readFileSync(path, "utf8"), "reread\0\0");
});

test('createRegion() with the backend "named" is opened by its name, which goes with it', {
  skip: lacking.named ?? false,
}, () => {
  const name = freshName();
  {
    using region = createRegion(8, { backend: "named", name });
    using other = MemoryMap.openNamed(name);
    other.write("both");
    assertEquals(region.read(4), utf8("both"));
    assertRefused(() => createRegion(8, { backend: "named", name }), MMapError, "taken");
  }
  assertRefused(() => MemoryMap.openNamed(name), MMapError, name);
});

test(
  'createRegion() with the backend "memfd" has a descriptor',
  { skip: lacking.memfd ?? false },
  () => {
    using region = createRegion(8, { backend: "memfd" });
    assert(region.fd > 2);
  },
);

test("createRegion() refuses what it does not know, and names what it knows", () => {
  const create = createRegion as (size: number, options: unknown) => MemoryRegion;
  for (const backend of ["tape", "", "toString", 3, null]) {
    const given = { backend: backend ?? {} };
    assertRefused(() => create(8, given), MMapInvalidParameterError, "memfd, sab, heap");
  }
  assertRefused(() => create(8, { Backend: "heap" }), MMapInvalidParameterError, '"backend"');
  assertRefused(() => create(8, null), MMapInvalidParameterError, "null");
});

test("createRegion() says which option a backend needs", () => {
  assertRefused(
    () => createRegion(8, { backend: "file" }),
    MMapInvalidParameterError,
    "file",
    "{ path }",
  );
  assertRefused(
    () => createRegion(8, { backend: "named" }),
    MMapInvalidParameterError,
    "named",
    "{ name }",
  );
});

test("createRegion() says which platform lacks a backend, and the alternative", () => {
  const system = platform();
  for (const [backend, method] of [["memfd", "memfd"], ["named", "openNamed"]] as const) {
    const own = Object.getOwnPropertyDescriptor(system, method);
    Object.defineProperty(system, method, { value: undefined, configurable: true });
    try {
      assertRefused(
        () => createRegion(8, { backend, name: freshName() }),
        MMapInvalidParameterError,
        system.name,
      );
    } finally {
      delete (system as unknown as Record<string, unknown>)[method];
      if (own !== undefined) Object.defineProperty(system, method, own);
    }
  }
});

test("createRegion() says so when the heap has not that much memory", () => {
  for (const backend of ["heap", "sab"] as const) {
    assertRefused(
      () => createRegion(Number.MAX_SAFE_INTEGER, { backend }),
      MMapAllocationError,
      "another backend",
    );
  }
});

test("createRegion() without a backend asks the environment, which must know one", {
  skip: skipWithoutChildren(),
}, async () => {
  const run = (value?: string) =>
    fixtureResult<unknown>("region_environment.ts", {
      permissions: ["--allow-ffi", "--allow-env=MMAN_BACKEND"],
      variables: value === undefined ? {} : { MMAN_BACKEND: value },
    });
  assertEquals(await run(), { mapped: true, buffer: "plain" });
  assertEquals(await run(""), { mapped: true, buffer: "plain" });
  assertEquals(await run("heap"), { mapped: false, buffer: "plain" });
  assertEquals(await run("sab"), { mapped: false, buffer: "shared" });
  const { message } = await run("tape") as { message: string };
  assert(message.includes('"tape" as MMAN_BACKEND of the environment'), message);
});

test("createRegion() in Deno without --allow-env takes the variable as not set", {
  skip: firstReason(skipOutsideDeno, skipWithoutChildren()),
}, async () => {
  const result = await fixtureResult<unknown>("region_environment.ts", {
    permissions: ["--allow-ffi"],
    variables: { MMAN_BACKEND: "heap" },
  });
  assertEquals(result, { mapped: true, buffer: "plain" });
});

test("createRegion() asks for no permission for the heap", {
  skip: firstReason(skipOutsideDeno, skipWithoutChildren()),
}, async () => {
  const result = await fixtureResult<unknown>("region_environment.ts", {
    permissions: ["--allow-env=MMAN_BACKEND"],
    variables: { MMAN_BACKEND: "heap" },
  });
  assertStrictEquals((result as { mapped: boolean }).mapped, false);
});

test("a region of the heap whose buffer was transferred is closed", () => {
  using region = createRegion(16, { backend: "heap" });
  const taken = (region.bytes.buffer as ArrayBuffer).transfer();
  assertEquals(taken.byteLength, 16);
  assertEquals(region.size, 0);
  const calls: readonly (() => unknown)[] = [
    () => region.bytes,
    () => region.read(0),
    () => region.readInto(new Uint8Array(1)),
    () => region.write(""),
    () => region.fill(1),
    () => region.find(""),
    () => region.flush(),
  ];
  for (const call of calls) assertRefused(call, MMapClosedError, "was transferred");
  region.close();
  assertRefused(() => region.read(0), MMapClosedError, "closed region");
});
