/** RecordRing: the newest records of one size, in a file that other programs know. */
import fs from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "../mod.ts";
import { RecordRing } from "../src/ring/mod.ts";
import {
  assertRefused,
  fileBytes,
  firstReason,
  skipOnWindows,
  skipWithoutChildren,
  tempDir,
  utf8,
} from "./helpers.ts";
import { pythonRing } from "./helpers_ring.ts";
import { skipWithout, startPeer, within } from "./helpers_sync.ts";
import { readStamp, stamp } from "./stamps.ts";

const number = (bytes: Uint8Array) => new DataView(bytes.buffer).getUint32(0, true);
const record = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);
const numbers = (ring: RecordRing) => [...ring].map(number);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).replace(/\0+$/, "");

/** A ring of `capacity` records of 4 bytes to which 0, 1, ... were written. */
function filled(file: string, capacity: number, count: number): RecordRing {
  const ring = RecordRing.create(file, { capacity, recordSize: 4 });
  for (let i = 0; i < count; i++) ring.write(record(i));
  return ring;
}

describe("RecordRing.write()", () => {
  for (const [count, expected] of [[0, []], [2, [0, 1]], [3, [0, 1, 2]], [8, [5, 6, 7]]] as const) {
    test(`keeps the newest of ${count} records in a ring of 3`, () => {
      using dir = tempDir();
      using ring = filled(dir.file("ring"), 3, count);
      assertEquals(ring.count, expected.length);
      assertEquals(ring.writePosition, count % 3);
      assertEquals(numbers(ring), [...expected]);
      assertEquals(expected.map((_, i) => number(ring.get(i))), [...expected]);
    });
  }

  test("keeps one record in a ring of one", () => {
    using dir = tempDir();
    using ring = filled(dir.file("ring"), 1, 5);
    assertEquals(numbers(ring), [4]);
  });

  test("puts position, count and records where the header of 16 bytes has them", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    using ring = RecordRing.create(file, { capacity: 3, recordSize: 5 });
    for (const word of ["one", "two", "three", "four"]) ring.write(utf8(word));
    ring.flush();
    const bytes = fileBytes(file);
    assertEquals([...bytes.subarray(0, 16)], [1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assertEquals(text(bytes.subarray(16, 31)), "four\0two\0\0three");
  });

  test("fills a shorter record with zeros, also over an older one", () => {
    using dir = tempDir();
    using ring = RecordRing.create(dir.file("ring"), { capacity: 1, recordSize: 6 });
    ring.write(utf8("longer"));
    ring.write(utf8("a"));
    assertEquals([...ring.get(0)], [97, 0, 0, 0, 0, 0]);
  });

  test("throws when the record is longer than the ring's, and writes nothing", () => {
    using dir = tempDir();
    using ring = filled(dir.file("ring"), 3, 1);
    assertRefused(() => ring.write(new Uint8Array(5)), MMapInvalidParameterError, "5 bytes", "4");
    assertEquals(numbers(ring), [0]);
  });

  test("throws when the ring was opened for reading", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    filled(file, 3, 1).close();
    using ring = RecordRing.open(file);
    assertRefused(() => ring.write(record(1)), MMapProtectionError, '"r+"');
    assertEquals(numbers(ring), [0]);
  });

  test("throws while another writer has the ring, and not after that one has closed it", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    const first = filled(file, 3, 1);
    using second = RecordRing.open(file, { mode: "r+" });
    const error = assertRefused(() => second.write(record(7)), MMapError, "another writer");
    assertEquals(error.code, "EWOULDBLOCK");
    first.close();
    second.write(record(1));
    assertEquals(numbers(second), [0, 1]);
  });

  test("throws on a closed ring, as everything else does", () => {
    using dir = tempDir();
    const ring = filled(dir.file("ring"), 3, 1);
    ring.close();
    ring.close();
    for (
      const use of [
        () => ring.write(record(1)),
        () => ring.get(0),
        () => ring.count,
        () => [...ring],
      ]
    ) {
      assertThrows(use, MMapClosedError);
    }
  });
});

describe("RecordRing.get()", () => {
  test("throws when there are not so many records", () => {
    using dir = tempDir();
    using ring = filled(dir.file("ring"), 3, 2);
    assertRefused(() => ring.get(2), MMapInvalidParameterError, "record 2", "has 2");
    for (const index of [-1, 0.5, NaN]) {
      assertThrows(() => ring.get(index), MMapInvalidParameterError);
    }
  });

  test("gives a copy that stays", () => {
    using dir = tempDir();
    using ring = filled(dir.file("ring"), 1, 1);
    const copy = ring.get(0);
    ring.write(record(9));
    assertEquals(number(copy), 0);
  });
});

test("RecordRing.write() takes text, as the other rings do", () => {
  using dir = tempDir();
  using ring = RecordRing.create(dir.file("ring"), { capacity: 3, recordSize: 4 });
  ring.write("\u00e4b");
  assertEquals(ring.get(0), Uint8Array.of(0xc3, 0xa4, 98, 0));
  assertRefused(() => ring.write("\u00e4\u00e4b"), MMapInvalidParameterError, "of 5 bytes");
  assertRefused(
    () => ring.write(5 as never),
    MMapInvalidParameterError,
    "Cannot take bytes from 5",
  );
});

describe("RecordRing.at()", () => {
  for (const count of [0, 2, 3, 8]) {
    test(`counts as Array.prototype.at does, after ${count} records`, () => {
      using dir = tempDir();
      using ring = filled(dir.file("ring"), 3, count);
      const array = numbers(ring);
      for (const index of [0, 1, 2, 3, -1, -2, -3, -4, 2 ** 40, -(2 ** 40)]) {
        const copy = ring.at(index);
        assertEquals(copy && number(copy), array.at(index), String(index));
      }
    });
  }

  test("refuses what is no whole number, and get() names at() for negative ones", () => {
    using dir = tempDir();
    using ring = filled(dir.file("ring"), 3, 2);
    const asked = { valueOf: () => (ring.close(), -1) };
    for (const index of [0.5, NaN, "1", undefined, -Infinity, Symbol("x"), -1n, asked]) {
      assertThrows(() => ring.at(index as number), MMapInvalidParameterError);
      assertThrows(() => ring.get(index as number), MMapInvalidParameterError);
    }
    assertEquals(ring.count, 2); // nobody was asked for a number
    assertRefused(() => ring.get(-1), MMapInvalidParameterError, "at(-1)", "newest");
    const close = { valueOf: () => ring.close() };
    for (const bad of [Symbol("index"), 0n, "0", null, close, -0.5, NaN] as never[]) {
      assertRefused(() => ring.get(bad), MMapInvalidParameterError, "whole number");
      assertRefused(() => ring.at(bad), MMapInvalidParameterError, "whole number");
    }
    ring.close();
    assertThrows(() => ring.at(-1), MMapClosedError);
  });
});

describe("RecordRing iteration", () => {
  test("goes on with what is left when records are overwritten meanwhile", () => {
    using dir = tempDir();
    using ring = filled(dir.file("ring"), 4, 4);
    const seen: number[] = [];
    for (const bytes of ring) {
      seen.push(number(bytes));
      if (seen.length === 1) { for (let i = 4; i < 6; i++) ring.write(record(i)); }
    }
    assertEquals(seen, [0, 2, 3]);
  });

  test("throws when the ring is closed meanwhile", () => {
    using dir = tempDir();
    using ring = filled(dir.file("ring"), 4, 4);
    assertThrows(() => {
      for (const _ of ring) ring.close();
    }, MMapClosedError);
  });
});

describe("RecordRing.open()", () => {
  test("goes on where the last writer has stopped, whatever the fill", () => {
    for (const count of [0, 1, 3, 4, 7]) {
      using dir = tempDir();
      const file = dir.file("ring");
      filled(file, 3, count).close();
      using ring = RecordRing.open(file, { mode: "r+" });
      for (let i = count; i < count + 2; i++) ring.write(record(i));
      const all = Array.from({ length: count + 2 }, (_, i) => i);
      assertEquals(numbers(ring), all.slice(-3));
    }
  });

  test("lets readers see what is written later", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    using writer = filled(file, 3, 1);
    using reader = RecordRing.open(file);
    writer.write(record(1));
    assertEquals(numbers(reader), [0, 1]);
    for (let i = 2; i < 100; i++) writer.write(record(i));
    assertEquals(numbers(reader), [97, 98, 99]);
  });

  test("reads across the turn of the counter", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    filled(file, 4, 4).close();
    // The trailer's counter, as after 2^30 - 4 and then 2^31 - 4 records.
    for (const [total, epoch] of [[2 ** 30 - 4, 0], [2 ** 31 - 4, 1]] as const) {
      const bytes = fileBytes(file);
      new DataView(bytes.buffer).setUint32(64 + 64, total, true);
      new DataView(bytes.buffer).setUint32(64 + 68, epoch, true);
      new DataView(bytes.buffer).setUint32(0, 0, true);
      fs.writeFileSync(file, bytes);
      using writer = RecordRing.open(file, { mode: "r+" });
      using reader = RecordRing.open(file);
      for (let i = 0; i < 9; i++) {
        writer.write(record(i));
        assertEquals(reader.count, 4);
        assertEquals(number(reader.get(3)), i);
      }
      assertEquals(numbers(reader), [5, 6, 7, 8]);
    }
  });

  test("leaves out the record that a writer died in", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    filled(file, 3, 5).close();
    const bytes = fileBytes(file);
    // Writes begun: 6; count as at the start of a write; the oldest record half-written.
    const view = new DataView(bytes.buffer);
    view.setUint32(64 + 64, 6, true);
    view.setUint32(8, 2, true);
    view.setUint16(16 + 2 * 4, 0xffff);
    fs.writeFileSync(file, bytes);
    using reader = RecordRing.open(file);
    assertEquals(numbers(reader), [3, 4]);
    assertEquals(reader.count, 2);
    using writer = RecordRing.open(file, { mode: "r+" });
    writer.write(record(5));
    assertEquals(numbers(reader), [3, 4, 5]);
  });

  test("throws when the file is no ring, cut off, of other sizes, or lies", () => {
    using dir = tempDir();
    const good = dir.file("good");
    filled(good, 3, 5).close();
    const bytes = fileBytes(good);
    const trailer = bytes.length - 128;
    const changed = (at: number, value: number) => {
      const copy = bytes.slice();
      new DataView(copy.buffer).setUint32(at, value, true);
      return copy;
    };
    const cases: [string, Uint8Array, object, string[]][] = [
      ["empty", new Uint8Array(0), {}, ["what size"]],
      ["too short", bytes.slice(0, 10), { recordSize: 4 }, ["10 bytes"]],
      ["cut off", bytes.slice(0, -1), {}, ["what size"]],
      ["no whole records", bytes.slice(0, 27), { recordSize: 4 }, ["27 bytes", "records of 4"]],
      ["another magic", changed(trailer, 0x12345678), {}, ["what size"]],
      ["another byte order", changed(trailer, 0x72696e67), {}, ["byte order"]],
      ["another kind", changed(trailer + 4, 2), {}, ["MessageQueue"]],
      ["another version", changed(trailer + 8, 9), {}, ["version 9", "reads 1"]],
      ["another record size", bytes, { recordSize: 5 }, ["4 bytes, not 5"]],
      ["a capacity that does not fit", changed(trailer + 16, 4000), {}, ["4000 records"]],
      ["a record size of 0", changed(trailer + 12, 0), {}, ["3 records of 0"]],
      ["a capacity of 0", changed(trailer + 16, 0), {}, ["capacity is 0"]],
      ["a position beyond the end", changed(0, 3), {}, ["write position 3"]],
      ["a count beyond the capacity", changed(8, 4), {}, ["count 4"]],
    ];
    for (const [name, content, options, parts] of cases) {
      const file = dir.file(name, content);
      assertRefused(() => RecordRing.open(file, options), MMapInvalidParameterError, ...parts);
    }
    for (const options of [{ mode: "w+" }, { recordSize: 0 }, { recordSise: 4 }]) {
      assertThrows(() => RecordRing.open(good, options as object), MMapInvalidParameterError);
    }
  });
});

describe("RecordRing.create()", () => {
  test("throws when capacity or record size is impossible, and makes no file", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    for (
      const [capacity, recordSize] of [[0, 4], [-1, 4], [1.5, 4], [2 ** 30, 4], [3, 0], [
        3,
        2 ** 31,
      ]]
    ) {
      assertThrows(
        () => RecordRing.create(file, { capacity: capacity!, recordSize: recordSize! }),
        MMapInvalidParameterError,
      );
    }
    assert(!fs.existsSync(file));
  });

  // Windows keeps a mapped file where it is: there it is not replaced.
  test("leaves the old file to those who have it open", { skip: skipOnWindows }, () => {
    using dir = tempDir();
    const file = dir.file("ring");
    filled(file, 3, 2).close();
    using old = RecordRing.open(file, { mode: "r+" });
    using fresh = filled(file, 3, 0);
    old.write(record(2));
    assertEquals(numbers(old), [0, 1, 2]);
    assertEquals(fresh.count, 0);
  });
});

describe("RecordRing and Python", { skip: skipWithout("python") }, () => {
  test("each reads what the other has written, in a file of this library", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    using ring = RecordRing.create(file, { capacity: 4, recordSize: 10 });
    for (const word of ["a", "b", "c"]) ring.write(utf8(word));
    assertEquals(pythonRing("read", file, 4, 10), ["a", "b", "c"]);
    ring.close();
    assertEquals(pythonRing("write", file, 4, 10, "d", "e"), ["b", "c", "d", "e"]);
    using again = RecordRing.open(file, { mode: "r+" });
    using reader = RecordRing.open(file);
    assertEquals([...reader].map(text), ["b", "c", "d", "e"]);
    again.write(utf8("f"));
    assertEquals([...reader].map(text), ["c", "d", "e", "f"]);
    assertEquals(pythonRing("read", file, 4, 10), ["c", "d", "e", "f"]);
  });

  test("each reads what the other has written, in a file of Python", () => {
    using dir = tempDir();
    const file = dir.file("ring");
    pythonRing("write", file, 3, 7, "a", "b");
    const size = fs.statSync(file).size;
    using ring = RecordRing.open(file, { mode: "r+", recordSize: 7 });
    assertEquals(ring.capacity, 3);
    assertEquals([...ring].map(text), ["a", "b"]);
    for (const word of ["c", "d"]) ring.write(utf8(word));
    assertEquals(pythonRing("read", file, 3, 7), ["b", "c", "d"]);
    assertEquals(pythonRing("write", file, 3, 7, "e"), ["c", "d", "e"]);
    assertEquals([...ring].map(text), ["c", "d", "e"]);
    assertEquals(fs.statSync(file).size, size);
  });
});

describe("RecordRing between processes", { skip: firstReason(skipWithoutChildren()) }, () => {
  for (const capacity of [1, 2, 100]) {
    test(`never shows half a record of ${capacity}, nor an older one after a newer`, async () => {
      using dir = tempDir();
      const file = dir.file("ring");
      RecordRing.create(file, { capacity, recordSize: 256 }).close();
      await using writer = startPeer("ring_writer.ts", [file]);
      assertEquals(await within(30, "starting", writer.line()), "ready");
      using ring = RecordRing.open(file);
      const until = performance.now() + 1500;
      let looked = 0;
      let newest = -1;
      const look = (bytes: Uint8Array): number => {
        const found = readStamp(bytes);
        assert(found !== undefined, `half a record after ${looked}`);
        looked++;
        return found.number;
      };
      while (performance.now() < until) {
        let last = -1;
        for (const bytes of ring) {
          const seen = look(bytes);
          assert(seen > last, `${seen} after ${last}`);
          last = seen;
        }
        try {
          const seen = look(ring.get(Math.max(capacity - 2, 0)));
          assert(seen >= newest, `${seen} after ${newest}`);
          newest = seen;
        } catch (error) {
          // A writer that never pauses may be in the only record all the time, and soon anyhow.
          const refused = error instanceof MMapInvalidParameterError ||
            (error as MMapError).code === "EAGAIN";
          if (!refused) throw error;
        }
      }
      assert(looked > 0, "nothing was read");
      writer.kill();
      await writer.ended();
      for (const bytes of ring) look(bytes);
      using next = RecordRing.open(file, { mode: "r+" });
      const bytes = new Uint8Array(256);
      stamp(bytes, 2, 2 ** 31);
      next.write(bytes);
      assertEquals(readStamp(ring.get(ring.count - 1))?.number, 2 ** 31);
    });
  }
});
