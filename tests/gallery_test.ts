/**
 * The gallery as a person runs it: every showcase as a process of its own, in Deno with no more
 * permissions than it needs, and the files that it leaves.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { saveChart, threeDigits, valueChart } from "../examples/gallery/charts.ts";
import { sampleRecords } from "../examples/gallery/medium.ts";
import { errorOf, sameBytes, verify } from "../examples/gallery/showcase.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const PNG_WIDTH_OFFSET = 16;
const PNG_HEIGHT_OFFSET = 20;

async function withFolder(use: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "mman-gallery-"));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs a file of the gallery under the runtime of this test. */
function run(
  file: string,
  denoFlags: string[],
  ...args: string[]
): { status: number | null; stdout: string; stderr: string } {
  const flags = process.versions.deno ? ["run", "--no-prompt", "--allow-ffi", ...denoFlags] : [];
  return spawnSync(process.execPath, [...flags, `examples/gallery/${file}`, ...args], {
    cwd: ROOT,
    encoding: "utf8",
  });
}

/** Runs a file of the gallery that draws, with `--out`. */
function runInto(folder: string, file: string): ReturnType<typeof run> {
  const flags = [
    "--allow-env=NODE_ENV",
    `--allow-read=node_modules,${folder}`,
    `--allow-write=${folder}`,
  ];
  return run(file, flags, "--out", folder);
}

function assertSucceeded({ status, stdout, stderr }: ReturnType<typeof run>): void {
  assertEquals(status, 0, `${stdout}\n${stderr}`);
}

/** Asserts that a chart is there as SVG with these texts, and as PNG of the same size. */
function assertChart(folder: string, name: string, ...texts: string[]): void {
  const svg = readFileSync(join(folder, `${name}.svg`), "utf8");
  const drawn = Array.from(svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g), (match) => match[1]);
  for (const text of texts) assert(drawn.includes(text), `${name}.svg lacks the text ${text}`);

  const png = readFileSync(join(folder, `${name}.png`));
  assertEquals([...png.subarray(0, PNG_SIGNATURE.length)], PNG_SIGNATURE);
  const [, width, height] = /<svg width="(\d+)" height="(\d+)"/.exec(svg) ?? [];
  assertEquals(png.readUInt32BE(PNG_WIDTH_OFFSET), Number(width));
  assertEquals(png.readUInt32BE(PNG_HEIGHT_OFFSET), Number(height));
}

function assertMediumFiles(folder: string): void {
  const file = readFileSync(join(folder, "records.bin"));
  assertEquals(file.length, 192);
  const decoded = Array.from({ length: 16 }, (_, i) => ({
    index: file.readUInt32LE(i * 12),
    value: file.readDoubleLE(i * 12 + 4),
  }));
  assertEquals(decoded, sampleRecords());
  assertChart(
    folder,
    "values",
    "Values of 16 records written through a shared file map",
    "index (u32)",
    "value (f64)",
  );
  assertChart(folder, "bytes", "Bytes of the first 8 records", "index: u32", "value: f64");
}

function assertAdvancedFiles(folder: string): void {
  assertChart(
    folder,
    "copies",
    "Copying 1 MiB out of a map, 200 times each",
    "µs per copy (shorter is better)",
    "GB/s (longer is better)",
    "map.read()",
    "map.bytes.slice()",
    "map.readInto()",
  );
}

describe("gallery", () => {
  test("basic.ts runs alone, with the permission to call the system and no other", () => {
    const result = run("basic.ts", []);
    assertSucceeded(result);
    assert(result.stdout.includes("mapped 4096 bytes"), result.stdout);
  });

  test("medium.ts leaves its records as 192 packed bytes, and two charts of them", async () => {
    await withFolder((folder) => {
      assertSucceeded(runInto(folder, "medium.ts"));
      assertMediumFiles(folder);
    });
  });

  test("byte chart shows every byte of the first 8 records as two hex digits", async () => {
    await withFolder((folder) => {
      assertSucceeded(runInto(folder, "medium.ts"));
      const svg = readFileSync(join(folder, "bytes.svg"), "utf8");
      const cells = Array.from(svg.matchAll(/font-size:14px[^>]*>([0-9a-f]{2})<\/text>/g));
      const file = readFileSync(join(folder, "records.bin"));
      assertEquals(cells.map((match) => match[1]).join(""), file.toString("hex", 0, 96));
    });
  });

  test("advanced.ts verifies and measures, and leaves a chart", async () => {
    await withFolder((folder) => {
      const result = runInto(folder, "advanced.ts");
      assertSucceeded(result);
      assert(result.stdout.includes("MMapProtectionError"), result.stdout);
      assertAdvancedFiles(folder);
    });
  });

  test("main.ts runs all three and prints where every chart is", async () => {
    await withFolder((parent) => {
      const folder = join(parent, "new", "folder");
      const result = runInto(folder, "main.ts");
      assertSucceeded(result);
      assertMediumFiles(folder);
      assertAdvancedFiles(folder);
      const [, list = ""] = result.stdout.split("Charts\n------\n");
      const listed = list.trim().split("\n").map((line) => resolve(ROOT, line.trim()));
      const names = ["values.svg", "values.png", "bytes.svg", "bytes.png"];
      assertEquals(
        listed,
        [...names, "copies.svg", "copies.png"].map((name) => join(folder, name)),
      );
    });
  });

  test("a showcase that fails ends with exit code 1", async () => {
    await withFolder((folder) => {
      mkdirSync(join(folder, "records.bin"));
      const result = runInto(folder, "medium.ts");
      assertEquals(result.status, 1);
      assert(!existsSync(join(folder, "values.svg")));
    });
  });

  test("a folder that cannot be made and an unknown option end with exit code 2", async () => {
    await withFolder((folder) => {
      const file = join(folder, "file");
      writeFileSync(file, "");
      const blocked = runInto(file, "main.ts");
      assertEquals(blocked.status, 2);
      assert(blocked.stderr.includes("Cannot start: EEXIST"), blocked.stderr);
      const unknown = run("main.ts", ["--allow-env=NODE_ENV"], "--size=3");
      assertEquals(unknown.status, 2);
      assert(unknown.stderr.includes("--size"), unknown.stderr);
    });
  });
});

describe("gallery helpers", () => {
  test("verify() throws the fact that does not hold", () => {
    assertThrows(() => verify(false, "one is two"), Error, "Check failed: one is two");
  });

  test("errorOf() returns what was thrown, and throws when nothing was", () => {
    const error = new RangeError("no");
    assertEquals(
      errorOf(() => {
        throw error;
      }),
      error,
    );
    assertThrows(() => errorOf(() => 1), Error, "should have thrown");
  });

  test("sameBytes() sees a different byte and a different length", () => {
    assert(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
    assert(!sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
    assert(!sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3)));
  });

  test("threeDigits() keeps three digits, and no fraction from 100 on", () => {
    assertEquals([0.1234, 5.4, 99.96, 1234.5].map(threeDigits), ["0.123", "5.40", "100", "1235"]);
  });

  test("saveChart() draws text into the PNG without fonts of the system", async () => {
    await withFolder(async (folder) => {
      const png = async (title: string) => {
        const [, path = ""] = await saveChart(folder, "chart", valueChart(title, "", []));
        return readFileSync(path);
      };
      assertEquals(await png("A title"), await png("A title"));
      assertNotEquals(await png("A title"), await png(""));
    });
  });
});
