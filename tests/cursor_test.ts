/** `Cursor`: each method in every corner; sequences of them are in `cursor_model_test.ts`. */
import { describe, test } from "node:test";
import fc from "fast-check";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Cursor,
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MemoryMap,
  MMapClosedError,
  MMapInvalidParameterError,
  MMapProtectionError,
  pageSize,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "../mod.ts";
import { assertRefused, fileBytes, random, skipOnWindows, tempDir, utf8 } from "./helpers.ts";

/** A map that holds just these bytes. */
function mapOf(content: string | Uint8Array): MemoryMap {
  const bytes = typeof content === "string" ? utf8(content) : content;
  const map = MemoryMap.createAnonymous(bytes.length);
  map.write(bytes);
  return map;
}

/** A map of size 0. */
function emptyMap(dir: { file(name: string, content: string): string }): MemoryMap {
  return MemoryMap.open(dir.file("empty", ""));
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const text = (bytes: Uint8Array): string => decoder.decode(bytes);

/** Copies of all lines that are left. */
const linesOf = (cursor: Cursor): string[] => Array.from(cursor.lines(), text);

/** What `lines()` must give for a text. */
const splitLines = (content: string): string[] => content.match(/[^\n]*\n|[^\n]+$/g) ?? [];

/** Values that are no whole number, though some would turn into one if asked. */
function notIntegers(map: MemoryMap): unknown[] {
  const convert = () => {
    map.close();
    return 1;
  };
  return [
    ...[0.5, NaN, Infinity, -Infinity, "1", true, 1n, [], [1], {}],
    ...[{ valueOf: convert }, { toString: convert }, { [Symbol.toPrimitive]: convert }],
  ];
}

/** Checks that a call refuses everything but whole numbers, converting nothing. */
function assertTakesIntegers(map: MemoryMap, call: (value: never) => unknown): void {
  for (const value of notIntegers(map)) {
    assertRefused(() => call(value as never), MMapInvalidParameterError);
    assert(map.isValid, "a conversion was called");
  }
}

describe("Cursor.seek()", () => {
  test("moves from the start, from the position and from the end, and says where to", () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    assertEquals(cursor.seek(4), 4);
    assertEquals(cursor.seek(2, SEEK_SET), 2);
    assertEquals(cursor.seek(5, SEEK_CUR), 7);
    assertEquals(cursor.seek(-3, SEEK_CUR), 4);
    assertEquals(cursor.seek(0, SEEK_CUR), 4);
    assertEquals(cursor.seek(-10, SEEK_END), 0);
    assertEquals(cursor.seek(0, SEEK_END), 10);
    assertEquals(cursor.tell(), 10);
  });
  test("refuses places before the start and past the end, and stays", () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    cursor.seek(3);
    const bad: [number, number][] = [
      ...[[-1, SEEK_SET], [11, SEEK_SET], [2 ** 53 - 1, SEEK_SET]] as [number, number][],
      ...[[-4, SEEK_CUR], [8, SEEK_CUR], [2 ** 53 - 1, SEEK_CUR]] as [number, number][],
      ...[[-11, SEEK_END], [1, SEEK_END], [-(2 ** 53) + 1, SEEK_END]] as [number, number][],
    ];
    for (const [offset, whence] of bad) {
      assertRefused(() => cursor.seek(offset, whence), MMapInvalidParameterError, "10 bytes");
      assertEquals(cursor.position, 3);
    }
  });
  test("refuses an unknown whence and names the known ones", () => {
    using map = mapOf("abc");
    for (const whence of [3, -1, 0.5, NaN, "0", null]) {
      assertRefused(
        () => map.cursor().seek(0, whence as number),
        MMapInvalidParameterError,
        "SEEK_SET, SEEK_CUR or SEEK_END",
      );
    }
  });
  test("refuses what is no whole number, converting nothing", () => {
    using map = mapOf("abc");
    assertTakesIntegers(map, (value) => map.cursor().seek(value));
  });
});

describe("Cursor.position", () => {
  test("starts at 0, moves with reads and writes, and can be set within the map", () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    assertEquals(cursor.position, 0);
    cursor.read(3);
    assertEquals(cursor.position, 3);
    cursor.write("ab");
    assertEquals(cursor.position, 5);
    cursor.position = 10;
    assertEquals(cursor.tell(), 10);
    cursor.position -= 10;
    assertEquals(cursor.tell(), 0);
  });
  test("cannot be set outside of the map, nor to what is no whole number", () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    cursor.position = 5;
    for (const place of [-1, 11]) {
      assertRefused(() => cursor.position = place, MMapInvalidParameterError, "10 bytes");
    }
    assertTakesIntegers(map, (value) => cursor.position = value);
    assertEquals(cursor.position, 5);
  });
  test("is each cursor's own", () => {
    using map = mapOf("0123456789");
    const [one, other] = [map.cursor(), new Cursor(map)];
    one.read(4);
    assertEquals([one.position, other.position], [4, 0]);
  });
});

describe("Cursor.read()", () => {
  test("copies up to n bytes, fewer at the end, none behind it", () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    assertEquals(text(cursor.read(4)), "0123");
    assertEquals(text(cursor.read(0)), "");
    assertEquals(text(cursor.read(4)), "4567");
    assertEquals(text(cursor.read(4)), "89");
    assertEquals(text(cursor.read(4)), "");
    assertEquals(cursor.position, 10);
  });
  test("copies everything that is left without n, with null, and with a negative n", () => {
    using map = mapOf("0123456789");
    for (const n of [undefined, null, -1, -100]) {
      const cursor = map.cursor();
      cursor.seek(7);
      assertEquals(text(cursor.read(n)), "789");
      assertEquals(text(cursor.read(n)), "");
    }
  });
  test("gives a copy, which neither changes the map nor with it", () => {
    using map = mapOf("abc");
    const copy = map.cursor().read();
    copy.fill(0);
    assertEquals(text(map.bytes), "abc");
  });
  test("refuses what is no whole number, converting nothing, and stays", () => {
    using map = mapOf("abc");
    const cursor = map.cursor();
    assertTakesIntegers(map, (value) => cursor.read(value));
    assertEquals(cursor.position, 0);
  });
  test("refuses bytes that may not be read, and stays", () => {
    using map = mapOf("abc");
    const cursor = map.cursor();
    map.mprotect(PROT_NONE);
    assertRefused(() => cursor.read(), MMapProtectionError);
    assertRefused(() => cursor.readByte(), MMapProtectionError);
    assertRefused(() => cursor.readLine(), MMapProtectionError);
    assertEquals(cursor.position, 0);
  });
});

describe("Cursor.readByte()", () => {
  test("gives one number after another, and throws at the end", () => {
    using map = mapOf(new Uint8Array([0, 127, 255]));
    const cursor = map.cursor();
    assertEquals([cursor.readByte(), cursor.readByte(), cursor.readByte()], [0, 127, 255]);
    assertRefused(() => cursor.readByte(), MMapInvalidParameterError, "position 3", "3 bytes");
    assertEquals(cursor.position, 3);
  });
  test("agrees with indexing and iteration of the bytes", () => {
    using map = mapOf("abc\n\0");
    const cursor = map.cursor();
    const read = Array.from(map.bytes, () => cursor.readByte());
    assertEquals(read, [...map.bytes]);
    assertEquals(read, read.map((_, i) => map.bytes[i]));
  });
});

describe("Cursor.readLine()", () => {
  test("keeps the newline; the last line may have none; nothing at the end", () => {
    using map = mapOf("one\n\nthree");
    const cursor = map.cursor();
    const lines = Array.from({ length: 5 }, () => text(cursor.readLine()));
    assertEquals(lines, ["one\n", "\n", "three", "", ""]);
    assertEquals(cursor.position, 10);
  });
  test("starts at the position, in the middle of a line too", () => {
    using map = mapOf("one\ntwo\n");
    const cursor = map.cursor();
    cursor.seek(2);
    assertEquals(text(cursor.readLine()), "e\n");
    assertEquals(text(cursor.readLine()), "two\n");
  });
  test("gives a copy", () => {
    using map = mapOf("one\n");
    map.cursor().readLine().fill(0);
    assertEquals(text(map.bytes), "one\n");
  });
});

describe("Cursor.write()", () => {
  test("writes bytes of any kind, and text as UTF-8, and says how many", () => {
    using map = mapOf("..........");
    const cursor = map.cursor();
    assertEquals(cursor.write("é"), 2);
    assertEquals(cursor.write(utf8("a")), 1);
    assertEquals(cursor.write(utf8("b").buffer), 1);
    assertEquals(cursor.write(new DataView(utf8("c").buffer)), 1);
    assertEquals(cursor.write(new Uint16Array([0x6464])), 2);
    assertEquals(cursor.write(""), 0);
    assertEquals(cursor.position, 7);
    assertEquals(text(map.bytes), "éabcdd...");
  });
  test("past the end writes nothing and stays", () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    cursor.seek(8);
    assertRefused(() => cursor.write("abc"), MMapInvalidParameterError, "3 bytes", "10 bytes");
    assertEquals([cursor.position, text(map.bytes)], [8, "0123456789"]);
    assertEquals(cursor.write("ab"), 2);
    assertRefused(() => cursor.write("c"), MMapInvalidParameterError);
    assertEquals(cursor.write(""), 0);
  });
  test("refuses what is neither bytes nor text", () => {
    using map = mapOf("abc");
    const cursor = map.cursor();
    for (const data of [1, null, undefined, [97], {}, { length: 1, 0: 97 }]) {
      assertRefused(() => cursor.write(data as never), MMapInvalidParameterError);
    }
    assertEquals([cursor.position, text(map.bytes)], [0, "abc"]);
  });
  test("copies from the same map, overlapping", () => {
    using map = mapOf("abcdef");
    const cursor = map.cursor();
    cursor.seek(2);
    cursor.write(map.bytes.subarray(0, 4));
    assertEquals(text(map.bytes), "ababcd");
  });
  test("to a read-only map throws, whatever is written", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path);
    const cursor = map.cursor();
    for (const position of [0, 5, 10]) {
      cursor.seek(position);
      assertRefused(() => cursor.write(""), MMapProtectionError);
    }
    cursor.seek(0);
    assertRefused(() => cursor.write("a"), MMapProtectionError);
    assertRefused(() => cursor.writeByte(97), MMapProtectionError);
    assertEquals(cursor.position, 0);
  });
  test("reaches the file", () => {
    using dir = tempDir();
    const path = dir.file("data", "0123456789");
    using map = MemoryMap.open(path, { mode: "r+" });
    const cursor = map.cursor();
    cursor.seek(-2, SEEK_END);
    cursor.write("ab");
    map.close();
    assertEquals(fileBytes(path), utf8("01234567ab"));
  });
});

describe("Cursor.writeByte()", () => {
  test("writes 0 to 255, and throws at the end", () => {
    using map = mapOf("....");
    const cursor = map.cursor();
    for (const value of [0, 10, 128, 255]) cursor.writeByte(value);
    assertEquals([...map.bytes], [0, 10, 128, 255]);
    assertRefused(() => cursor.writeByte(1), MMapInvalidParameterError, "4 bytes");
    assertEquals(cursor.position, 4);
  });
  test("refuses every other value and writes nothing", () => {
    using map = mapOf("abc");
    const cursor = map.cursor();
    for (const value of [-1, 256, 2 ** 32, "", "a", null]) {
      assertRefused(() => cursor.writeByte(value as never), MMapInvalidParameterError, "0 to 255");
    }
    assertTakesIntegers(map, (value) => cursor.writeByte(value));
    assertEquals([cursor.position, text(map.bytes)], [0, "abc"]);
  });
});

describe("Cursor.find() and rfind()", () => {
  // The tables are those of CPython's Lib/test/test_mmap.py.
  test("look from the position to the end", () => {
    using map = mapOf("one two one two");
    const cursor = map.cursor();
    assertEquals([cursor.find("one"), cursor.rfind("one")], [0, 8]);
    cursor.seek(1);
    assertEquals([cursor.find("one"), cursor.rfind("one")], [8, 8]);
    cursor.seek(9);
    assertEquals([cursor.find("one"), cursor.rfind("one")], [-1, -1]);
    assertEquals(cursor.position, 9);
  });
  test("find() takes a start and an end, negative ones from the end", () => {
    using map = mapOf("one two ones");
    const cursor = map.cursor();
    assertEquals(cursor.find("one"), 0);
    assertEquals(cursor.find("ones"), 8);
    assertEquals(cursor.find("one", 0, -1), 0);
    assertEquals(cursor.find("one", 1), 8);
    assertEquals(cursor.find("one", 1, -1), 8);
    assertEquals(cursor.find("one", 1, -2), -1);
    assertEquals(cursor.find("one", -4), 8);
    assertEquals(cursor.find("one", -100), 0);
    assertEquals(cursor.find("one", 0, 100), 0);
    assertEquals(cursor.find("one", 100), -1);
    assertEquals(cursor.find("one", 8, 0), -1);
  });
  test("rfind() takes a start and an end, negative ones from the end", () => {
    using map = mapOf("one two ones");
    const cursor = map.cursor();
    assertEquals(cursor.rfind("one"), 8);
    assertEquals(cursor.rfind("one "), 0);
    assertEquals(cursor.rfind("one", 0, -1), 8);
    assertEquals(cursor.rfind("one", 0, -2), 0);
    assertEquals(cursor.rfind("one", 1, -1), 8);
    assertEquals(cursor.rfind("one", 1, -2), -1);
    assertEquals(cursor.rfind("one", -100, 100), 8);
  });
  test("find an empty needle at the start and the end of the range", () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    cursor.seek(4);
    assertEquals([cursor.find(""), cursor.rfind("")], [4, 10]);
    assertEquals([cursor.find("", 2, 6), cursor.rfind("", 2, 6)], [2, 6]);
    assertEquals([cursor.find("", -3), cursor.rfind("", 0, -3)], [7, 7]);
    assertEquals([cursor.find("", 100), cursor.rfind("", 100)], [10, 10]);
    assertEquals([cursor.find("", 6, 2), cursor.rfind("", 6, 2)], [-1, -1]);
  });
  test("find nothing longer than the map", () => {
    using map = mapOf("abc");
    const cursor = map.cursor();
    assertEquals([cursor.find("abcd"), cursor.rfind("abcd")], [-1, -1]);
    assertEquals([cursor.find("abc"), cursor.rfind("abc")], [0, 0]);
  });
  test("take bytes of any kind, and text as UTF-8", () => {
    using map = mapOf("aéb");
    const cursor = map.cursor();
    for (const needle of ["é", utf8("é"), new DataView(utf8("é").buffer)]) {
      assertEquals([cursor.find(needle), cursor.rfind(needle)], [1, 1]);
    }
  });
  test("refuse places that are no whole number and needles of another kind", () => {
    using map = mapOf("abc");
    const cursor = map.cursor();
    assertTakesIntegers(map, (value) => cursor.find("a", value));
    assertTakesIntegers(map, (value) => cursor.find("a", 0, value));
    assertTakesIntegers(map, (value) => cursor.rfind("a", value));
    assertTakesIntegers(map, (value) => cursor.rfind("a", 0, value));
    for (const needle of [1, null, undefined, [97], {}]) {
      assertRefused(() => cursor.find(needle as never), MMapInvalidParameterError);
      assertRefused(() => cursor.rfind(needle as never, 2, 1), MMapInvalidParameterError);
    }
  });
});

describe("Cursor.lines()", () => {
  test("gives each line with its newline, and moves the position along", () => {
    const content = "one\n\nthree\n\n\nlast";
    using map = mapOf(content);
    const cursor = map.cursor();
    const seen: [string, number][] = [];
    for (const line of cursor.lines()) seen.push([text(line), cursor.position]);
    assertEquals(seen, [
      ...[["one\n", 4], ["\n", 5], ["three\n", 11]] as [string, number][],
      ...[["\n", 12], ["\n", 13], ["last", 17]] as [string, number][],
    ]);
    assertEquals(linesOf(cursor), []);
    cursor.seek(0);
    assertEquals(linesOf(cursor), splitLines(content));
  });
  test("gives no empty line behind the last newline", () => {
    using map = mapOf("a\n");
    assertEquals(linesOf(map.cursor()), ["a\n"]);
  });
  test("gives views, which share the map's bytes and cost no copy", () => {
    using map = mapOf("one\ntwo\n");
    const lines = [...map.cursor().lines()];
    lines[1]!.set(utf8("TWO"));
    assertEquals(text(map.bytes), "one\nTWO\n");
    map.write("ONE");
    assertEquals(text(lines[0]!), "ONE\n");
    assertStrictEquals(lines[0]!.buffer, map.buffer);
  });
  test("stops where the loop stops, and reads no further", () => {
    using map = mapOf("one\ntwo\nthree\n");
    const cursor = map.cursor();
    for (const line of cursor.lines()) {
      if (line[0] === 0x74) break;
    }
    assertEquals(cursor.position, 8);
    assertEquals(text(cursor.readLine()), "three\n");
  });
  test("goes on from the position that seek() left in between", () => {
    using map = mapOf("one\ntwo\nthree\n");
    const cursor = map.cursor();
    const lines = cursor.lines();
    const next = (): string => text(lines.next().value ?? new Uint8Array());
    assertEquals(next(), "one\n");
    cursor.seek(9);
    assertEquals(next(), "hree\n");
    cursor.seek(2);
    assertEquals(next(), "e\n");
    assertEquals(next(), "two\n");
  });
  test("sees what was written between two steps", () => {
    using map = mapOf("one two three\n");
    const lines = map.cursor().lines();
    map.write("\n", 3);
    assertEquals(text(lines.next().value!), "one\n");
    map.write("\n", 7);
    assertEquals(text(lines.next().value!), "two\n");
  });
  test("shares the position with a second iterator", () => {
    using map = mapOf("one\ntwo\nthree\n");
    const cursor = map.cursor();
    const [a, b] = [cursor.lines(), cursor.lines()];
    const got = [a, b, a, b].map((lines) => lines.next().value);
    assertEquals(got.map((line) => line && text(line)), ["one\n", "two\n", "three\n", undefined]);
  });
  test("gives nothing for an empty map", () => {
    using dir = tempDir();
    using map = emptyMap(dir);
    assertEquals(linesOf(map.cursor()), []);
    assertEquals([...map.cursor().textLines()], []);
  });
  test("is exact for lines of any length, around every internal boundary", () => {
    const next = random(7);
    const lengths = [
      ...[0, 1, 126, 127, 128, 129, 255, 256, 257, 65533, 65534, 65535, 65536, 65537, 200_000],
      ...Array.from({ length: 2000 }, () => Math.floor(2 ** (next() * 9))),
      ...[65407, 127, 65408, 128, 131_072, 0, 0],
    ];
    const content = lengths.map((length) => "x".repeat(length) + "\n").join("") + "end";
    using map = mapOf(content);
    const cursor = map.cursor();
    assertEquals(linesOf(cursor), splitLines(content));
    for (let i = 0; i < 200; i++) {
      const position = cursor.seek(Math.floor(next() * content.length));
      const line = splitLines(content.slice(position, position + 300_000))[0];
      assertEquals(text(cursor.lines().next().value!), line);
    }
  });
  test("agrees with a split of the text, whatever the text", () => {
    const line = fc.oneof(
      fc.string({ maxLength: 20 }),
      fc.nat(300).map((length) => "y".repeat(length)),
    );
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), fc.boolean(), (lines, ended) => {
        const content = lines.join("\n") + (ended ? "\n" : "x");
        using map = mapOf(content);
        assertEquals(linesOf(map.cursor()), splitLines(text(utf8(content))));
      }),
      { seed: 11, numRuns: 200 },
    );
  });
  test("works past 4 GiB", { skip: skipOnWindows }, () => {
    const size = 2 ** 32 + 2 * pageSize();
    using map = MemoryMap.createAnonymous(
      size,
      PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
    );
    map.write("before\nacross\nbehind\n", 2 ** 32 - 10);
    const cursor = map.cursor();
    cursor.seek(2 ** 32 - 10);
    const lines = cursor.lines();
    const got = [1, 2, 3].map(() => text(lines.next().value!));
    assertEquals(got, ["before\n", "across\n", "behind\n"]);
    assertEquals(cursor.position, 2 ** 32 + 11);
    cursor.seek(2 ** 32 - 3);
    assertEquals(text(cursor.readLine()), "across\n");
    assertEquals(text(cursor.read(3)), "beh");
    assertEquals(lines.next().value!.length, 4);
    assertEquals(lines.next().value!.length, size - (2 ** 32 + 11));
    assertEquals(cursor.position, size);
  });
  test("ends in MMapClosedError when the map is closed in the middle", () => {
    const map = mapOf("one\ntwo\nthree\n");
    const cursor = map.cursor();
    const lines: Uint8Array[] = [];
    assertRefused(() => {
      for (const line of cursor.lines()) {
        lines.push(line);
        if (lines.length === 2) map.close();
      }
    }, MMapClosedError);
    assertEquals(lines.map((line) => line.length), [0, 0]);
    assertRefused(() => cursor.lines(), MMapClosedError);
  });
  test("goes on when the map is made longer, ends when it is made shorter", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", "one\ntwo\nthree\n"), { mode: "r+" });
    const cursor = map.cursor();
    const lines = cursor.lines();
    const stale = lines.next().value!;
    map.resize(200_000);
    assertEquals(stale.length, 0);
    assertEquals(text(lines.next().value!), "two\n");
    map.write("\nlast", 100_000);
    assertEquals(text(lines.next().value!), "three\n");
    assertEquals(lines.next().value!.length, 100_001 - 14);
    map.resize(100_003);
    assertEquals(text(lines.next().value!), "la");
    cursor.seek(0);
    const again = cursor.lines();
    assertEquals(text(again.next().value!), "one\n");
    map.resize(2);
    assertEquals(again.next().done, true);
    assertEquals(cursor.position, 4);
  });
  test("ends in a typed error when the bytes are given back or protected in the middle", () => {
    const page = pageSize();
    for (const spoil of ["unmapRange", "mprotect"] as const) {
      using map = MemoryMap.createAnonymous(4 * page);
      map.bytes.fill(10);
      const lines = map.cursor().lines();
      assertEquals(text(lines.next().value!), "\n");
      if (spoil === "unmapRange") map.unmapRange(0, 2 * page);
      else map.mprotect(PROT_NONE);
      const Class = spoil === "unmapRange" ? MMapClosedError : MMapProtectionError;
      assertRefused(() => lines.next(), Class);
    }
  });
  test("refuses a map that may not be read, at the first step", () => {
    using map = MemoryMap.createAnonymous(pageSize(), PROT_NONE);
    assertRefused(() => map.cursor().lines().next(), MMapProtectionError);
    assertRefused(() => map.cursor().textLines().next(), MMapProtectionError);
  });
});

describe("Cursor.textLines()", () => {
  test("decodes UTF-8, keeps newlines and carriage returns, moves the position", () => {
    using map = mapOf("é\r\n日本\n\n😀");
    const cursor = map.cursor();
    const lines = cursor.textLines();
    assertEquals(lines.next().value, "é\r\n");
    assertEquals(cursor.position, 4);
    assertEquals([...lines], ["日本\n", "\n", "😀"]);
  });
  test("keeps a byte order mark, in the middle too", () => {
    using map = mapOf("\ufeffa\n\ufeffb\n");
    assertEquals([...map.cursor().textLines()], ["\ufeffa\n", "\ufeffb\n"]);
  });
  test("is exact wherever a sequence lies", () => {
    for (let shift = 120; shift < 136; shift++) {
      const content = `${"a".repeat(shift)}😀é日\n`;
      using map = mapOf(content.repeat(3));
      assertEquals([...map.cursor().textLines()], [content, content, content]);
    }
    for (let shift = 65520; shift < 65540; shift++) {
      const lines = [`${"a".repeat(shift)}\n`, "😀é日\n", "日".repeat(shift)];
      using map = mapOf(lines.join(""));
      assertEquals([...map.cursor().textLines()], lines);
    }
  });
  test("gives together what the whole decodes to, valid or not", () => {
    const byte = fc.oneof(
      fc.constantFrom(10, 13, 65, 0xc3, 0xa9, 0xe6, 0x97, 0xa5, 0xf0, 0x9f, 0x98, 0x80, 0xef, 0xff),
      fc.nat(255),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.array(byte, { minLength: 1 }), (a, b) => {
        for (const bytes of [a, Uint8Array.from(b)]) {
          using map = mapOf(bytes);
          const lines = [...map.cursor().textLines()];
          assertEquals(lines.join(""), decoder.decode(bytes));
          assertEquals(lines, splitLines(lines.join("")));
        }
      }),
      { seed: 12, numRuns: 300 },
    );
  });
  test("takes other encodings in which byte 10 is always a newline", () => {
    using map = mapOf(new Uint8Array([0xe9, 10, 0x80]));
    assertEquals([...map.cursor().textLines("windows-1252")], ["é\n", "€"]);
  });
  test("refuses encodings that are unknown or cannot be split at bytes", () => {
    using map = mapOf("abc");
    for (const encoding of ["utf-16", "utf-16le", "UTF-16BE", "iso-2022-jp", "klingon", ""]) {
      assertRefused(
        () => map.cursor().textLines(encoding),
        MMapInvalidParameterError,
        JSON.stringify(encoding),
      );
    }
  });
  test("refuses a line that not every runtime has a string for, and stays", () => {
    const length = 2 ** 29 - 23;
    using map = MemoryMap.createAnonymous(length);
    const cursor = map.cursor();
    assertRefused(() => cursor.textLines().next(), MMapInvalidParameterError, `${length} bytes`);
    assertEquals(cursor.position, 0);
  });
  test("ends in MMapClosedError when the map is closed in the middle", () => {
    const map = mapOf("one\ntwo\n");
    const lines = map.cursor().textLines();
    lines.next();
    map.close();
    assertRefused(() => lines.next(), MMapClosedError);
  });
});

describe("Cursor.readable()", () => {
  const size = 200_000;
  const content = Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8));

  test("streams copies from the position to the end", async () => {
    using map = mapOf(content);
    const cursor = map.cursor();
    cursor.seek(1000);
    const received = new Uint8Array(await new Response(cursor.readable()).arrayBuffer());
    assertEquals(received, content.subarray(1000));
    assertEquals(cursor.position, size);
    assertEquals((await cursor.readable().getReader().read()).done, true);
  });
  test("gives copies", async () => {
    using map = mapOf("abc");
    const { value } = await map.cursor().readable().getReader().read();
    value!.fill(0);
    assertEquals(text(map.bytes), "abc");
  });
  test("reads only what is asked for, and moves the position with it", async () => {
    using map = mapOf(content);
    const cursor = map.cursor();
    const reader = cursor.readable().getReader();
    await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(cursor.position, 0);
    const { value } = await reader.read();
    assertEquals(cursor.position, value!.length);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(cursor.position, value!.length);
  });
  test("waits for a slow sink", async () => {
    using map = mapOf(content);
    const cursor = map.cursor();
    let received = 0;
    let ahead = 0;
    await cursor.readable().pipeTo(
      new WritableStream({
        async write(chunk) {
          await new Promise((resolve) => setTimeout(resolve, 2));
          ahead = Math.max(ahead, cursor.position - received);
          received += chunk.length;
        },
      }),
    );
    assertEquals(received, size);
    assert(ahead <= 3 * 65536, `${ahead} bytes were read ahead`);
  });
  test("leaves the position where a cancelled stream stopped", async () => {
    using map = mapOf(content);
    const cursor = map.cursor();
    let received = 0;
    for await (const chunk of cursor.readable()) {
      received += chunk.length;
      break;
    }
    assertEquals(cursor.position, received);
    assertEquals(cursor.readByte(), content[received]);
  });
  test("fills a reader's own buffers", async () => {
    using map = mapOf("0123456789");
    const cursor = map.cursor();
    const reader = cursor.readable().getReader({ mode: "byob" });
    const first = await reader.read(new Uint8Array(new ArrayBuffer(10), 3, 4));
    assertEquals([text(first.value!), first.value!.byteOffset], ["0123", 3]);
    assertEquals(cursor.position, 4);
    assertEquals(text((await reader.read(new Uint8Array(100))).value!), "456789");
    assertEquals((await reader.read(new Uint8Array(4))).done, true);
    await reader.closed;
  });
  test("streams nothing of an empty map", async () => {
    using dir = tempDir();
    using map = emptyMap(dir);
    assertEquals(await new Response(map.cursor().readable()).text(), "");
  });
  test("fails with MMapClosedError when it is read after close()", async () => {
    const map = mapOf(content);
    const readers = [
      map.cursor().readable().getReader(),
      map.cursor().readable().getReader(),
    ] as const;
    await readers[0].read();
    const byob = map.cursor().readable().getReader({ mode: "byob" });
    map.close();
    for (const reader of readers) await assertRejects(() => reader.read(), MMapClosedError);
    await assertRejects(() => byob.read(new Uint8Array(8)), MMapClosedError);
    await assertRejects(() => readers[0].closed, MMapClosedError);
  });
  test("fails when the bytes may not be read", async () => {
    using map = mapOf("abc");
    const reader = map.cursor().readable().getReader();
    map.mprotect(PROT_NONE);
    await assertRejects(() => reader.read(), MMapProtectionError);
  });
  test("ends when the map is made shorter than the position", async () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", content), { mode: "r+" });
    const reader = map.cursor().readable().getReader();
    await reader.read();
    map.resize(10);
    assertEquals((await reader.read()).done, true);
  });
});

describe("Cursor.writable()", () => {
  test("writes what is piped into it at the position", async () => {
    using dir = tempDir();
    const path = dir.file("data", "..........");
    using map = MemoryMap.open(path, { mode: "r+" });
    const cursor = map.cursor();
    cursor.seek(2);
    await new Blob(["hello"]).stream().pipeTo(cursor.writable());
    assertEquals(cursor.position, 7);
    map.close();
    assertEquals(fileBytes(path), utf8("..hello..."));
  });
  test("takes text and buffers too", async () => {
    using map = mapOf("......");
    const writer = map.cursor().writable().getWriter();
    await Promise.all([writer.write("é"), writer.write(utf8("ab").buffer), writer.close()]);
    assertEquals(text(map.bytes), "éab..");
  });
  test("fails at a chunk that does not fit, of which nothing is written", async () => {
    using map = mapOf("......");
    const cursor = map.cursor();
    const writer = cursor.writable().getWriter();
    await writer.write(utf8("abcd"));
    await assertRejects(() => writer.write(utf8("efg")), MMapInvalidParameterError);
    await assertRejects(() => writer.closed, MMapInvalidParameterError);
    await assertRejects(() => writer.write(utf8("h")), MMapInvalidParameterError);
    assertEquals([cursor.position, text(map.bytes)], [4, "abcd.."]);
  });
  test("fails at a chunk that is no bytes", async () => {
    using map = mapOf("......");
    const writer = map.cursor().writable().getWriter();
    await assertRejects(() => writer.write(1 as never), MMapInvalidParameterError);
    writer.closed.catch(() => {});
  });
  test("fails with MMapClosedError when it is written after close()", async () => {
    const map = mapOf("......");
    const writer = map.cursor().writable().getWriter();
    await writer.write(utf8("ab"));
    map.close();
    await assertRejects(() => writer.write(utf8("cd")), MMapClosedError);
    await assertRejects(() => writer.closed, MMapClosedError);
  });
  test("fails on a read-only map", async () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", "abc"));
    const source = new Blob(["x"]).stream();
    await assertRejects(() => source.pipeTo(map.cursor().writable()), MMapProtectionError);
  });
});

describe("Cursor", () => {
  test("throws MMapClosedError from every method once the map is closed", () => {
    const map = mapOf("abc");
    const cursor = map.cursor();
    map.close();
    const calls: (() => unknown)[] = [
      ...[() => cursor.position, () => cursor.position = 0, () => cursor.tell()],
      ...[() => cursor.seek(0), () => cursor.seek(0, SEEK_END)],
      ...[() => cursor.read(), () => cursor.read(0), () => cursor.readByte()],
      ...[() => cursor.readLine(), () => cursor.lines(), () => cursor.textLines()],
      ...[() => cursor.write("a"), () => cursor.write(""), () => cursor.writeByte(1)],
      ...[() => cursor.find("a"), () => cursor.find(""), () => cursor.find("a", 2, 1)],
      ...[() => cursor.rfind("a"), () => cursor.rfind(""), () => cursor.rfind("a", 2, 1)],
      ...[() => cursor.readable(), () => cursor.writable()],
      ...[() => map.cursor(), () => new Cursor(map)],
    ];
    for (const call of calls) assertRefused(call, MMapClosedError, "closed map");
  });
  test("works on an empty map", () => {
    using dir = tempDir();
    using map = emptyMap(dir);
    const cursor = map.cursor();
    assertEquals([cursor.tell(), cursor.seek(0), cursor.seek(0, SEEK_END)], [0, 0, 0]);
    assertEquals([cursor.read(), cursor.read(5), cursor.readLine()].map((b) => b.length), [
      0,
      0,
      0,
    ]);
    assertEquals([cursor.find(""), cursor.rfind(""), cursor.find("a")], [0, 0, -1]);
    assertRefused(() => cursor.readByte(), MMapInvalidParameterError, "0 bytes");
    assertRefused(() => cursor.writeByte(1), MMapInvalidParameterError);
    assertRefused(() => cursor.seek(1), MMapInvalidParameterError);
  });
  test("past the end of a map that was made shorter reads nothing and writes nothing", () => {
    using dir = tempDir();
    using map = MemoryMap.open(dir.file("data", "0123456789"), { mode: "r+" });
    const cursor = map.cursor();
    cursor.seek(8);
    map.resize(4);
    assertEquals(cursor.position, 8);
    assertEquals([cursor.read(), cursor.readLine(), cursor.read(1)].map((b) => b.length), [
      0,
      0,
      0,
    ]);
    assertEquals([cursor.find("3"), cursor.find(""), cursor.rfind("", 0)], [-1, 4, 4]);
    for (const data of ["", "a"]) {
      assertRefused(() => cursor.write(data), MMapInvalidParameterError);
    }
    assertRefused(() => cursor.readByte(), MMapInvalidParameterError);
    assertRefused(() => cursor.seek(0, SEEK_CUR), MMapInvalidParameterError);
    assertEquals(cursor.seek(-4, SEEK_CUR), 4);
  });
});
