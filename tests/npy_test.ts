/** openNpy() and createNpy(): headers of every version, and those that are not to be trusted. */
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MMapError, MMapInvalidParameterError } from "../mod.ts";
import { createNpy, openNpy, type OpenNpyOptions } from "../src/ndarray/mod.ts";
import { defineRecord } from "../src/records/mod.ts";
import {
  assertRefused,
  descriptorsOf,
  fileBytes,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";

const GOOD = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";

interface Parts {
  /** Default: 1.0. */
  readonly version?: readonly [number, number];
  /** What the header says of its length. Default: the truth. */
  readonly length?: number;
  /** Bytes of elements. Default: 8. */
  readonly elements?: number;
  readonly magic?: string;
}

/** The bytes of a file with a header. */
function npy(header: string | Uint8Array, parts: Parts = {}): Uint8Array {
  const { version = [1, 0], elements = 8, magic = "\x93NUMPY" } = parts;
  const text = typeof header === "string" ? latin1(header) : header;
  const { length = text.length } = parts;
  const size = version[0] === 1 ? 2 : 4;
  const lengthBytes = Array.from({ length: size }, (_, k) => (length / 256 ** k) & 0xff);
  const filling = Array.from({ length: elements }, (_, i) => i);
  return Uint8Array.of(...latin1(magic), ...version, ...lengthBytes, ...text, ...filling);
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A header with one entry replaced, or more added. */
function entries(changes: Record<string, string>): string {
  const all = { descr: "'<i4'", fortran_order: "False", shape: "(2,)", ...changes };
  return `{${Object.entries(all).map(([key, value]) => `'${key}': ${value}`).join(", ")}}`;
}

const INT32 = [0x03020100, 0x07060504];

describe("openNpy() reads headers", () => {
  const reads = (bytes: Uint8Array, elements: unknown[] = INT32, shape: number[] = [2]) => {
    using dir = tempDir();
    using array = openNpy(dir.file("a.npy", bytes));
    assertEquals([...array] as unknown[], elements);
    assertEquals(array.shape, shape);
  };

  test("of versions 1.0, 2.0 and 3.0", () => {
    for (const major of [1, 2, 3]) reads(npy(GOOD, { version: [major, 0] }));
  });

  test("with keys in any order, other quotes, spaces and no comma at the end", () => {
    reads(npy("{'shape':(2,),'fortran_order':False,'descr':'<i4'}"));
    reads(npy('{ "shape" : ( 2 , ) ,\t"fortran_order":False,\n"descr":"<i4"}   \n'));
    reads(npy("{'descr': '\\x3ci\\x34', 'fortran_order': False, 'shape': (2, )}"));
  });

  test("of Python 2, with long integers and marked strings", () => {
    reads(npy("{u'descr': u'<i4', 'fortran_order': False, 'shape': (2L,)}"));
    const shape = "{'descr': '<i4', 'fortran_order': False, 'shape': (1L, 2L)}";
    reads(npy(shape, { version: [2, 0] }), INT32, [1, 2]);
  });

  test("whose length is no multiple of 64", () => {
    for (const spaces of [0, 1, 2, 3, 7]) reads(npy(GOOD + " ".repeat(spaces)));
  });

  test("with more bytes behind the elements", () => {
    reads(npy(GOOD, { elements: 50 }));
    reads(npy(entries({ shape: "()" }), { elements: 9 }), [INT32[0]], []);
  });

  test("with text in Latin-1, or in UTF-8 for version 3.0", () => {
    using dir = tempDir();
    const header = entries({ descr: "[('größe\x80', '<i4')]" });
    using one = openNpy(dir.file("1.npy", npy(header)));
    assertEquals(one.records.get(1), { "größe\x80": INT32[1] });
    using three = openNpy(dir.file("3.npy", npy(utf8(header), { version: [3, 0] })));
    assertEquals([...three] as unknown[], [...one]);
    assertEquals(one.dtype, "[('größe\\x80', '<i4')]");
  });

  test("of fields with a title, a shape, and padding between them", () => {
    using dir = tempDir();
    const descr = "[(('A title', 'a'), '|u1'), ('', '|V1'), ('b', '|i1', (1, 2))]";
    using array = openNpy(dir.file("a.npy", npy(entries({ descr }))));
    assertEquals(array.toArray(), [{ a: 0, b: [[2, 3]] }, { a: 4, b: [[6, 7]] }]);
    using number = openNpy(
      dir.file("b.npy", npy(entries({ descr: "[('a', '<u2', 2)]" }))),
    );
    assertEquals(number.get(1) as unknown, { a: [0x0504, 0x0706] });
  });

  test("of arrays without elements, which may be at the end of the file", () => {
    reads(npy(entries({ shape: "(0,)" }), { elements: 0 }), [], [0]);
    reads(npy(entries({ shape: "(3, 0, 2)" }), { elements: 0 }), [], [3, 0, 2]);
  });
});

describe("openNpy() refuses", () => {
  const refused = (bytes: Uint8Array, ...parts: string[]) => {
    using dir = tempDir();
    const path = dir.file("a.npy", bytes);
    assertRefused(() => openNpy(path), MMapInvalidParameterError, ...parts);
    if (skipWithoutProc === false) assertEquals(descriptorsOf(path), []);
  };

  test("files that are something else, or nothing", () => {
    refused(new Uint8Array(0), "does not begin");
    refused(utf8("PK\x03\x04 a zip file"), "does not begin");
    refused(npy(GOOD, { magic: "\x93NUMPX" }), "does not begin");
    for (let length = 1; length < 10; length++) refused(npy(GOOD).slice(0, length), "begin");
    refused(npy(GOOD, { version: [2, 0] }).slice(0, 11), "cut off");
  });

  test("versions that are not known", () => {
    for (const version of [[0, 0], [4, 0], [1, 1], [255, 255]] as const) {
      refused(npy(GOOD, { version }), `${version[0]}.${version[1]}`);
    }
  });

  test("headers that lie about their length", () => {
    refused(npy(GOOD, { length: 1000 }), "1000", "follow");
    refused(npy(GOOD, { length: 0 }), "there must be a value");
    refused(npy(GOOD, { length: 20 }), "there must be");
    refused(npy(GOOD, { length: GOOD.length + 3 }), "the end");
    refused(npy(GOOD, { version: [2, 0], length: 2 ** 32 - 1 }), "maxHeaderSize");
  });

  test("headers over 10000 bytes, unless told to take them", () => {
    const long = npy(GOOD + " ".repeat(10_001 - GOOD.length));
    refused(long, "10001", "10000", "maxHeaderSize");
    refused(npy(GOOD + " ".repeat(60_000), { version: [3, 0] }), "maxHeaderSize");
    using dir = tempDir();
    using array = openNpy(dir.file("a.npy", long), { maxHeaderSize: 10_001 });
    assertEquals([...array], INT32);
    const path = dir.file("b.npy", npy(GOOD));
    const bad = () => openNpy(path, { maxHeaderSize: -1 });
    assertRefused(bad, MMapInvalidParameterError, "-1");
  });

  test("elements that are Python objects, at any depth", () => {
    refused(npy(entries({ descr: "'|O'" })), "Python objects");
    refused(npy(entries({ descr: "'|O8'" })), "Python objects");
    refused(npy(entries({ descr: "[('a', '<i4'), ('b', '|O')]" })), "Python objects");
    refused(npy(entries({ descr: "[('a', [('b', 'O')])]" })), "Python objects");
  });

  test("files that are too short for what their header tells", () => {
    refused(npy(GOOD, { elements: 7 }), "8 bytes", "7 follow");
    refused(npy(GOOD, { elements: 0 }), "8 bytes");
    refused(npy(entries({ shape: "(3,)" })), "12 bytes", "8 follow");
    refused(npy(entries({ shape: "(4611686018427387904, 8)" })), "2 ** 53");
    refused(npy(entries({ shape: "(4503599627370496, 8)" })), "larger than any file");
    refused(npy(entries({ shape: "(1099511627776, 1099511627776)" })), "larger than any file");
    refused(npy(entries({ shape: "()", descr: "'<i8'" }), { elements: 7 }), "8 bytes");
  });

  test("shapes and orders that are none", () => {
    for (const shape of ["(-1,)", "(2, -1)", "2", "[2]", "('2',)", "(True,)", "None", "(2.0,)"]) {
      refused(npy(entries({ shape })));
    }
    for (const order of ["0", "1", "'False'", "None"]) {
      refused(npy(entries({ fortran_order: order })), "fortran_order");
    }
  });

  test("headers without one of the three keys, or with another", () => {
    refused(npy("{'descr': '<i4', 'shape': (2,)}"), "'descr', 'shape'");
    refused(npy(entries({ more: "1" })), "'more'");
    refused(npy("{}"), "keys");
    refused(npy("('descr', '<i4')"), "no dict");
    refused(npy("'descr'"), "no dict");
  });

  test("what is no literal of Python", () => {
    const broken = [
      "",
      "{",
      "{'descr'",
      "{'descr': }",
      "{'descr' '<i4'}",
      GOOD + "}",
      GOOD.replace("False", "false"),
      GOOD.replace("'<i4'", "'<i4"),
      GOOD.replace("'<i4'", "'<i4\\q'"),
      GOOD.replace("(2,)", "(2,"),
      GOOD.replace("(2,)", "(2 3)"),
      GOOD.replace("(2,)", "(1e3,)"),
      "__import__('os')",
      "(".repeat(5000),
      "[".repeat(100) + "]".repeat(100),
    ];
    for (const text of broken) refused(npy(text), "there must be");
    const bad = Uint8Array.of(...utf8(GOOD.slice(0, -1)), 0xff, 0x7d);
    refused(npy(bad, { version: [3, 0] }), "UTF-8");
  });

  test("dtypes that are not known, and names that are taken", () => {
    for (const descr of ["'<f3'", "'<i16'", "'float'", "''", "5", "None", "('<i4', (2,))", "{}"]) {
      refused(npy(entries({ descr })), "dtype");
    }
    refused(npy(entries({ descr: "'<f16'" })), "long doubles");
    refused(npy(entries({ descr: "[('a', '<i2'), ('a', '<i2')]" })), '"a"', "taken");
    refused(npy(entries({ descr: "[]" })), "at least one");
    refused(npy(entries({ descr: "[('a',)]" })), "field");
    refused(npy(entries({ descr: "[('a', '<i2', (1,), 4)]" })), "field");
    refused(npy(entries({ descr: "['a']" })), "field");
    refused(npy(entries({ descr: "[(5, '<i2')]" })), "field");
    refused(npy(entries({ descr: "[('a', '<i2', (0,))]" })), "at least 1");
    refused(npy(entries({ descr: "[('a', '<i2', (-1,))]" })), "at least 1");
    refused(npy(entries({ descr: "[('', '<i4')]" })), '""');
    refused(npy(entries({ descr: "[('__proto__', '<i4')]" })), "__proto__");
    refused(npy(entries({ descr: "[('a', '<i8', (1000000, 1000000))]" })), "fewer than");
    refused(npy(entries({ descr: "'|V999999999'", shape: "(2,)" })), "follow");
  });

  test("modes that do not open, files that are not there, and directories", () => {
    using dir = tempDir();
    const path = dir.file("a.npy", npy(GOOD));
    for (const mode of ["w+", "w", "", null]) {
      const open = () => openNpy(path, { mode } as OpenNpyOptions);
      assertRefused(open, MMapInvalidParameterError, "createNpy()");
    }
    const none = assertRefused(() => openNpy(dir.file("none.npy")), MMapError, "createNpy()");
    assertEquals(none.code, "ENOENT");
    assertRefused(() => openNpy(dir.path), MMapInvalidParameterError, "directory");
  });

  test("another dtype than the one that is expected", () => {
    using dir = tempDir();
    const path = dir.file("a.npy", npy(GOOD));
    const opens = (dtype: string) => openNpy(path, { dtype }).close();
    for (const dtype of ["i4", "<i4", "int32", "=i4"]) opens(dtype);
    for (const dtype of [">i4", "u4", "f4", "i8", "S4"]) {
      assertRefused(() => opens(dtype), MMapInvalidParameterError, "<i4", "not ");
    }
    assertRefused(() => opens("f3"), MMapInvalidParameterError, '"f3"');
  });
});

describe("createNpy()", () => {
  test("writes headers of a multiple of 64 bytes, in the lowest version that can hold them", () => {
    using dir = tempDir();
    const path = dir.file("a.npy");
    const header = (dtype: string, shape: number[] = [2]) => {
      using array = createNpy(path, { dtype, shape });
      assertEquals(array.byteOffset % 64, 0);
      const bytes = fileBytes(path).slice(0, array.byteOffset);
      assertEquals(bytes.at(-1), 0x0a);
      return { version: bytes[6], text: new TextDecoder().decode(bytes) };
    };
    assertEquals(header("<f4").version, 1);
    assertStringIncludes(header(">c16", [2, 3]).text, "'shape': (2, 3), }");
    assertEquals(header("[('größe', '<i4')]").version, 1);
    assertEquals(header("[('価格', '<i4')]").version, 3);
    const many = Array.from({ length: 3000 }, (_, i) => `('field number ${i}', '<i4')`);
    assertEquals(header(`[${many.join(", ")}]`).version, 2);
    using back = openNpy(path, { maxHeaderSize: 1e6 });
    assertEquals(Object.keys(back.get(0) as object).length, 3000);
  });

  test("empties a file that is there", () => {
    using dir = tempDir();
    const path = dir.file("a.npy", new Uint8Array(10_000).fill(7));
    using array = createNpy(path, { dtype: "u1", shape: [10] });
    assertEquals([...array], new Array(10).fill(0));
    assertEquals(fileBytes(path).length, array.byteOffset + 10);
  });

  test("says C order where the order makes no difference", () => {
    using dir = tempDir();
    const path = dir.file("a.npy");
    const says = (shape: number[]) => {
      createNpy(path, { dtype: "u1", shape, fortranOrder: true }).close();
      return new TextDecoder().decode(fileBytes(path)).includes("'fortran_order': True");
    };
    assertEquals([[], [5], [1, 5], [5, 1], [0, 5], [1, 1]].map(says), new Array(6).fill(false));
    assertEquals([[2, 2], [2, 1, 3]].map(says), [true, true]);
  });

  test("keeps what a record type says of its text, which NumPy calls bytes", () => {
    using dir = tempDir();
    const path = dir.file("a.npy");
    const Person = defineRecord({ name: "utf8:8", wide: "utf32:2", age: "u8", z: ["f32", 2] });
    {
      using people = createNpy(path, { dtype: Person, shape: [2] });
      people.set({ name: "Zoë", wide: "é", age: 7, z: [1, 2] }, 1);
      assert(people.dtype.includes("('name', '|S8'), ('wide', '<U2')"));
    }
    using people = openNpy(path, { dtype: Person });
    assertEquals(people.get(1).name, "Zoë");
    assertEquals(people.records.search("name", "Zoë"), 1);
    using raw = openNpy(path);
    assertEquals((raw.records.get(1) as { name: unknown })["name"], utf8("Zoë\0\0\0\0"));
    const Other = defineRecord({ name: "utf8:8", wide: "utf32:2", age: "i8", z: ["f32", 2] });
    assertRefused(() => openNpy(path, { dtype: Other }), MMapInvalidParameterError, "'|i1'");
  });

  test("refuses what is no shape", () => {
    using dir = tempDir();
    const path = dir.file("a.npy");
    const shapes = [[-1], [-1, -1], [1.5], [2 ** 40, 2 ** 40], undefined, 5, "3"];
    for (const shape of shapes) {
      const create = () => createNpy(path, { dtype: "u1", shape: shape as number[] });
      assertRefused(create, MMapInvalidParameterError);
    }
    assertRefused(
      () => createNpy(path, { dtype: "O", shape: [1] }),
      MMapInvalidParameterError,
      "Python objects",
    );
    assertEquals(existsSync(path), false);
  });
});
