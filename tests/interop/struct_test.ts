/** Records are, byte by byte, those of Python's `struct` and of C. */
import { describe, test } from "node:test";
import { spawnSync } from "node:child_process";
import { assertEquals } from "@std/assert";
import { MemoryMap } from "../../mod.ts";
import { defineRecord, type FieldType, type RecordFields } from "../../src/records/mod.ts";
import { random, skipWithoutCommands, tempDir } from "../helpers.ts";
import { runPython, skipWithoutNumpy } from "./numpy.ts";

/** Types with Python's letters and C's names. */
const SCALARS: [type: FieldType, letter: string, c: string][] = [
  ["u8", "B", "uint8_t"],
  ["i8", "b", "int8_t"],
  ["u16", "H", "uint16_t"],
  ["i16", "h", "int16_t"],
  ["u32", "I", "uint32_t"],
  ["i32", "i", "int32_t"],
  ["u64", "Q", "uint64_t"],
  ["i64", "q", "int64_t"],
  ["f16", "e", "_Float16"],
  ["f32", "f", "float"],
  ["f64", "d", "double"],
  ["bool", "?", "_Bool"],
];

/** Records of up to eight fields in all orders, with a value of each. */
function* records(count: number): Generator<{ picks: number[]; fields: RecordFields }> {
  const next = random(11);
  for (let k = 0; k < count; k++) {
    const length = 1 + Math.floor(next() * 8);
    const picks = Array.from({ length }, () => Math.floor(next() * SCALARS.length));
    const fields = Object.fromEntries(picks.map((pick, i) => [`f${i}`, SCALARS[pick]![0]]));
    yield { picks, fields };
  }
}

/** A value that every type can hold exactly, for a type. */
function value(type: FieldType, k: number): number | bigint | boolean {
  if (type === "bool") return k % 2 === 0;
  return type === "u64" || type === "i64" ? BigInt(k) : k;
}

describe("Python's struct", { skip: skipWithoutNumpy }, () => {
  test("packs the bytes that RecordType.encode() gives, in both byte orders", () => {
    const cases = [...records(100)].flatMap(({ picks, fields }, k) =>
      (["little", "big"] as const).map((endian) => {
        const format = (endian === "big" ? ">" : "<") + picks.map((i) => SCALARS[i]![1]).join("");
        const values = picks.map((i) => value(SCALARS[i]![0], (k * 7 + i) % 100));
        const type = defineRecord(fields, { packed: true, endian });
        const record = Object.fromEntries(values.map((v, i) => [`f${i}`, v]));
        return { format, values: values.map(Number), hex: type.encode(record).toHex() };
      })
    );
    const program = `
import json, struct, sys
out = []
for case in json.load(sys.stdin):
    letters = case["format"][1:]
    values = [v if c in "efd" else bool(v) if c == "?" else int(v)
              for c, v in zip(letters, case["values"])]
    out.append(struct.pack(case["format"], *values).hex())
print(json.dumps(out))`;
    const theirs = JSON.parse(runPython(program, [], JSON.stringify(cases)));
    assertEquals(cases.map(({ hex }) => hex), theirs);
  });

  test("packs text, bytes and arrays alike, and unpacks them from a map", () => {
    const type = defineRecord(
      { id: "u16", name: "utf8:8", key: "bytes:3", xs: ["f32", 3] },
      { packed: true },
    );
    using map = MemoryMap.createAnonymous(4096);
    const array = type.over(map, 100);
    array.set(2, { id: 7, name: "Zoë", key: [1, 2, 3], xs: [0.5, -1, 2] });
    const program = `
import struct, sys
data = bytes.fromhex(sys.argv[1])
assert struct.unpack("<H8s3s3f", data) == (7, "Zoë".encode().ljust(8, b"\\0"), b"\\1\\2\\3", .5, -1, 2)
print(struct.pack("<H8s3s3f", 9, "é".encode(), b"\\7", 1, 2, 3).hex())`;
    const theirs = runPython(program, [array.bytes(2).toHex()]).trim();
    const record = type.decode(Uint8Array.fromHex(theirs));
    assertEquals(record, { id: 9, name: "é", key: Uint8Array.of(7, 0, 0), xs: [1, 2, 3] });
    assertEquals(type.encode(record).toHex(), theirs);
  });
});

describe("C", { skip: skipWithoutCommands("gcc") }, () => {
  test("lays structs out as defineRecord() does, packed and not, and writes the same bytes", () => {
    using dir = tempDir();
    const all = [...records(60)].map(({ picks, fields }, k) => ({
      picks,
      fields,
      packed: k % 3 === 0,
    }));
    const structs = all.map(({ picks, packed }, k) => {
      const members = picks.map((i, n) => `${SCALARS[i]![2]} f${n};`).join(" ");
      return `struct ${packed ? "__attribute__((packed))" : ""} s${k} { ${members} };`;
    });
    const prints = all.map(({ picks }, k) => {
      const offsets = picks.map((_, n) => `printf("%zu ", offsetof(struct s${k}, f${n}));`).join(
        " ",
      );
      const sets = picks.map((i, n) => `x.f${n} = ${Number(value(SCALARS[i]![0], n + 1))};`).join(
        " ",
      );
      return `{ struct s${k} x; memset(&x, 0, sizeof x); ${sets} ${offsets}
        printf("%zu ", sizeof x); hex(&x, sizeof x); }`;
    });
    const lines = compileAndRun(dir.file("a"), structs, prints);
    for (const [k, { picks, fields, packed }] of all.entries()) {
      const type = defineRecord(fields, { packed });
      const record = picks.map((i, n) => [`f${n}`, value(SCALARS[i]![0], n + 1)]);
      const ours = [
        ...type.fields.map(({ offset }) => offset),
        type.byteLength,
        type.encode(Object.fromEntries(record)).toHex(),
      ];
      assertEquals(ours.join(" "), lines[k], picks.map((i) => SCALARS[i]![2]).join(" "));
    }
  });

  test("lays structs in structs and arrays out as defineRecord() does", () => {
    using dir = tempDir();
    const structs = [
      "struct point { uint8_t tag; double x; };",
      "struct path { uint8_t n; struct point points[2]; char name[5]; int16_t grid[2][3]; };",
      "struct __attribute__((packed)) wrapped { uint8_t n; struct path path; uint16_t end; };",
    ];
    const print = `{ struct wrapped w; memset(&w, 0, sizeof w);
      w.n = 1; w.end = 2; w.path.n = 3; w.path.points[1].tag = 4; w.path.points[1].x = -2.5;
      memcpy(w.path.name, "abcde", 5); w.path.grid[1][2] = -7; hex(&w, sizeof w); }`;
    const Point = defineRecord({ tag: "u8", x: "f64" });
    const Path = defineRecord({
      n: "u8",
      points: [Point, 2],
      name: "utf8:5",
      grid: [["i16", 3], 2],
    });
    const Wrapped = defineRecord({ n: "u8", path: Path, end: "u16" }, { packed: true });
    const ours = Wrapped.encode({
      n: 1,
      path: {
        n: 3,
        points: [{ tag: 0, x: 0 }, { tag: 4, x: -2.5 }],
        name: "abcde",
        grid: [[0, 0, 0], [0, 0, -7]],
      },
      end: 2,
    });
    const [theirs] = compileAndRun(dir.file("a"), structs, [print]);
    assertEquals(ours.toHex(), theirs);
  });
});

/** Runs statements after declarations in C; returns a line for each statement. */
function compileAndRun(
  program: string,
  declarations: readonly string[],
  statements: readonly string[],
): string[] {
  const text = `
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
${declarations.join("\n")}
static void hex(const void *start, size_t size) {
  for (size_t i = 0; i < size; i++) printf("%02x", ((const unsigned char *)start)[i]);
}
int main(void) { ${statements.map((part) => `${part} puts("");`).join("\n")} return 0; }`;
  const gcc = ["-x", "c", "-", "-O1", "-w", "-o", program];
  const built = spawnSync("gcc", gcc, { input: text, encoding: "utf8" });
  assertEquals(built.status, 0, built.stderr);
  const { stdout, status } = spawnSync(program, [], { encoding: "utf8" });
  assertEquals(status, 0);
  return stdout.trimEnd().split("\n");
}
