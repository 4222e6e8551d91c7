/** `Journal` on files: appending, reading, reopening, segments, and what is refused. */
import { describe, test } from "node:test";
import fs from "node:fs";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  MMapAllocationError,
  MMapClosedError,
  MMapError,
  MMapInvalidParameterError,
  MMapProtectionError,
} from "../mod.ts";
import { crc32cByTables } from "../src/journal/crc32c.ts";
import {
  FIRST_OFFSET,
  HEADER_CRC_OFFSET,
  HEADER_LENGTH,
  IDENTITY_OFFSET,
  maxLength,
  NUMBER_OFFSET,
  OLDEST_OFFSET,
  recordLength,
  SIZE_OFFSET,
  VERSION_OFFSET,
} from "../src/journal/layout.ts";
import { Journal, type JournalOptions, type JournalRecord } from "../src/journal/mod.ts";
import { flipBits } from "./flip_bits.ts";
import {
  assertRefused,
  countDescriptors,
  fileBytes,
  firstReason,
  mappingsOf,
  pattern,
  skipEmulated,
  skipOnWindows,
  skipOutsideDeno,
  skipWithoutChildren,
  skipWithoutCommands,
  skipWithoutProc,
  tempDir,
  utf8,
} from "./helpers.ts";
import {
  allocatedBytes,
  mountTmpfs,
  skipOutsideLinux,
  skipWithoutMount,
} from "./helpers_paging.ts";
import { pause, startPeer } from "./helpers_sync.ts";
import { isRecordOf, recordOf } from "./journal_records.ts";

/** Opens a journal that does not flush: most tests are not about that. */
function open(file: string, options: JournalOptions = {}): Journal {
  return Journal.open(file, { durability: "none", size: 4096, ...options });
}

/** The records of a journal as text, with their sequences. */
function texts(journal: Journal, from: number = 0): string[] {
  return Array.from(
    journal.readFrom(from),
    ({ sequence, bytes }) => `${sequence} ${new TextDecoder().decode(bytes)}`,
  );
}

/** Appends records whose content follows from their sequence. */
function fill(journal: Journal, count: number): void {
  for (let i = 0; i < count; i++) journal.append(recordOf(journal.nextSequence));
}

/** The first record from a sequence on. */
function recordAt(journal: Journal, sequence: number): JournalRecord {
  for (const record of journal.readFrom(sequence)) return record;
  throw new Error(`There is no record from ${sequence} on`);
}

/** Checks all records from a sequence on. */
function assertFilled(journal: Journal, from: number, next: number): void {
  let sequence = from;
  for (const record of journal.readFrom(0)) {
    assertEquals(record.sequence, sequence);
    assert(isRecordOf(sequence, record.bytes), `record ${sequence}`);
    sequence++;
  }
  assertEquals(sequence, next);
}

/** The files of a journal by name, without its lock. */
function files(folder: string): string[] {
  return fs.readdirSync(folder).filter((name) => !name.endsWith(".lock")).sort();
}

/** Changes bytes of a file. */
function spoil(file: string, change: (bytes: Uint8Array) => Uint8Array | void): void {
  const bytes = fileBytes(file);
  fs.writeFileSync(file, change(bytes) ?? bytes);
}

describe("Journal.append()", () => {
  test("returns the sequence, which goes on after reopening", () => {
    using dir = tempDir();
    const file = dir.file("log");
    {
      using journal = open(file, { durability: "every" });
      assertEquals([journal.append("a"), journal.append("b")], [0, 1]);
      assertEquals([journal.firstSequence, journal.nextSequence, journal.durableSequence], [
        ...[0, 2, 2],
      ]);
    }
    using journal = open(file);
    assertEquals(journal.recovered, { records: 2, droppedBytes: 0 });
    assertEquals(journal.append("c"), 2);
    assertEquals(texts(journal), ["0 a", "1 b", "2 c"]);
  });

  test("takes views, buffers, text and nothing", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"));
    const shared = new SharedArrayBuffer(2);
    new Uint8Array(shared).set([7, 8]);
    const detached = new Uint8Array(4);
    detached.buffer.transfer();
    const given = [
      ...[new Uint8Array([1, 2, 3]), new Uint8Array([9, 1, 2, 9]).subarray(1, 3)],
      ...[
        new Uint16Array([0x0201]),
        new DataView(new ArrayBuffer(3), 1),
        new ArrayBuffer(1),
        shared,
      ],
      ...["é", new Uint8Array(0), detached],
    ];
    const expected = [[1, 2, 3], [1, 2], [1, 2], [0, 0], [0], [7, 8], [0xc3, 0xa9], [], []];
    given.forEach((bytes, i) => assertEquals(journal.append(bytes), i));
    assertEquals(Array.from(journal.readFrom(0), ({ bytes }) => [...bytes]), expected);
  });

  test("refuses what are no bytes", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"));
    for (const bytes of [12, null, undefined, {}, [1]]) {
      assertRefused(() => journal.append(bytes as never), MMapInvalidParameterError);
    }
    assertEquals(journal.nextSequence, 0);
  });

  test("refuses a record larger than a segment, and takes one as large", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"));
    const largest = maxLength(4096);
    assertRefused(
      () => journal.append(new Uint8Array(largest + 1)),
      MMapInvalidParameterError,
      String(largest + 1),
      String(largest),
    );
    journal.append("small");
    assertEquals(journal.append(pattern(largest)), 1);
    assertEquals([...journal.readFrom(1)][0]!.bytes, pattern(largest));
    assertEquals(files(dir.path), ["log", "log.000001"]);
  });

  test("has put the record on the disk as it is documented", () => {
    using dir = tempDir();
    const file = dir.file("log");
    using journal = open(file, { durability: "every" });
    journal.append(utf8("hello"));
    const bytes = fileBytes(file);
    const view = new DataView(bytes.buffer, HEADER_LENGTH);
    assertEquals(view.getUint32(4, true), 5);
    assertEquals(view.getBigUint64(8, true), 0n);
    assertEquals(
      new TextDecoder().decode(bytes.subarray(HEADER_LENGTH + 24, HEADER_LENGTH + 29)),
      [
        ..."hello",
      ].join(""),
    );
    const checked = bytes.subarray(HEADER_LENGTH + 4, HEADER_LENGTH + recordLength(5));
    assertEquals(view.getUint32(0, true), crc32cByTables(checked));
  });

  const full = firstReason(skipOutsideLinux, skipWithoutMount());
  test("keeps everything when the disk is full, and goes on when it is not", { skip: full }, () => {
    using disk = mountTmpfs(3 << 20);
    const file = disk.file("log");
    const journal = open(file, { size: 1 << 20 });
    let appended = 0;
    const error = assertThrows(() => {
      for (;; appended++) journal.append(recordOf(appended));
    }, MMapAllocationError);
    assertEquals(error.code, "ENOSPC");
    assertEquals(journal.nextSequence, appended);
    assertEquals(files(disk.path), ["log", "log.000001", "log.000002"]);
    assertFilled(journal, 0, appended);
    assertThrows(() => journal.append(recordOf(appended)), MMapAllocationError);
    journal.removeBefore(appended);
    fill(journal, 10);
    journal.close();
    using again = open(file);
    assertEquals(again.nextSequence, appended + 10);
    assert(again.verify().ok);
  });

  test("cannot make a journal on a full disk, and leaves nothing", { skip: full }, () => {
    using disk = mountTmpfs(1 << 20);
    const error = assertThrows(
      () => open(disk.file("log"), { size: 2 << 20 }),
      MMapAllocationError,
    );
    assertEquals(error.code, "ENOSPC");
    assertEquals(files(disk.path), []);
  });
});

describe("Journal.open()", () => {
  test('makes a journal with "a+" and "w+", not with "r" and "r+"', () => {
    using dir = tempDir();
    for (const mode of ["r", "r+"] as const) {
      const error = assertThrows(() => open(dir.file("none"), { mode }), MMapError);
      assertEquals(error.code, "ENOENT");
    }
    for (const mode of ["a+", "w+"] as const) {
      using journal = open(dir.file(mode), { mode });
      assertEquals(journal.recovered, { records: 0, droppedBytes: 0 });
    }
    assertEquals(files(dir.path), ["a+", "w+"]);
  });

  test('takes away what was there with "w+", all segments of it', () => {
    using dir = tempDir();
    const file = dir.file("log");
    {
      using journal = open(file);
      fill(journal, 60);
    }
    assert(files(dir.path).length > 4);
    {
      using journal = open(file, { mode: "w+" });
      assertEquals([journal.nextSequence, texts(journal)], [0, []]);
      journal.append("new");
    }
    using journal = open(file, { mode: "r" });
    assertEquals(texts(journal), ["0 new"]);
    assertEquals(files(dir.path), ["log"]);
  });

  test('reads beside a writer with "r", and appends nothing', () => {
    using dir = tempDir();
    const file = dir.file("log");
    using writer = open(file);
    writer.append("one");
    using reader = open(file, { mode: "r" });
    assertEquals(texts(reader), ["0 one"]);
    writer.append("two");
    assertEquals(texts(reader), ["0 one", "1 two"]);
    assertEquals([reader.firstSequence, reader.nextSequence], [0, 2]);
    const refused = [
      () => reader.append("x"),
      () => reader.sync(),
      () => reader.removeBefore(1),
    ];
    for (const call of refused) assertRefused(call, MMapProtectionError, "log");
    assertEquals(fileBytes(file).length, 4096);
  });

  test("refuses a second writer in this process, by name", () => {
    using dir = tempDir();
    const file = dir.file("log");
    const first = open(file);
    for (const mode of ["a+", "r+", "w+"] as const) {
      const parts = [JSON.stringify(file), `${process.pid}`];
      const error = assertRefused(() => open(file, { mode }), MMapError, ...parts);
      assertEquals(error.code, "EWOULDBLOCK");
    }
    first.append("kept");
    first.close();
    using second = open(file);
    assertEquals(texts(second), ["0 kept"]);
  });

  test("refuses a second writer in another process, which it names", {
    skip: skipWithoutChildren(),
  }, async () => {
    using dir = tempDir();
    const file = dir.file("log");
    {
      await using peer = startPeer("journal_peer.ts", [file, "hold"]);
      await peer.line();
      const error = assertRefused(() => open(file), MMapError, `process ${peer.pid}`);
      assertEquals(error.code, "EWOULDBLOCK");
      using reader = open(file, { mode: "r" });
      assertEquals(texts(reader), ["0 held"]);
    }
    using journal = open(file); // the other one was killed
    assertEquals(journal.append("mine"), 1);
  });

  test("checks its options", () => {
    using dir = tempDir();
    const file = dir.file("log");
    const wrong: [string, unknown][] = [
      ...["c", "x", 1].map((mode): [string, unknown] => ["mode", mode]),
      ...["all", true].map((durability): [string, unknown] => ["durability", durability]),
      ...[0, 4095, 1.5, 2 ** 31, "8192"].map((size): [string, unknown] => ["size", size]),
      ...[-1, NaN, "1"].map((batchMs): [string, unknown] => ["batchMs", batchMs]),
      ["batchBytes", 0],
      ["permissions", 0o10000],
      ["segmentSize", 4096],
    ];
    for (const [name, value] of wrong) {
      assertRefused(() => Journal.open(file, { [name]: value }), MMapInvalidParameterError);
    }
    assertRefused(() => Journal.open(""), MMapInvalidParameterError);
    assertRefused(() => new (Journal as never as new () => Journal)(), MMapInvalidParameterError);
    assertEquals(files(dir.path), []);
  });

  test("takes a file: URL", () => {
    using dir = tempDir();
    using journal = Journal.open(new URL(`file://${dir.path}/log`.replaceAll("\\", "/")), {
      durability: "none",
    });
    assertEquals(journal.append("x"), 0);
    assertEquals(fs.statSync(dir.file("log")).size, 16 << 20);
  });

  test("is content with what it has when a writer was killed while it made a segment", () => {
    using dir = tempDir();
    const file = dir.file("log");
    {
      using journal = open(file);
      fill(journal, 5);
    }
    fs.writeFileSync(`${file}.new`, new Uint8Array(100));
    using journal = open(file);
    assertFilled(journal, 0, 5);
    assertEquals(files(dir.path), ["log"]);
  });

  test("leaves nothing open when it fails", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const file = dir.file("log");
    open(file).close();
    spoil(file, (bytes) => void (bytes[0]! ^= 1));
    const before = countDescriptors();
    for (const mode of ["r", "r+", "a+"] as const) {
      assertThrows(() => open(file, { mode }), MMapInvalidParameterError);
    }
    assertEquals(countDescriptors(), before);
    assertEquals(mappingsOf(file), []);
  });

  test("leaves nothing open of a file that no buffer of this runtime can cover", {
    skip: firstReason(skipWithoutProc, skipEmulated),
  }, () => {
    using dir = tempDir();
    const file = dir.file("log", "");
    fs.truncateSync(file, 5 * 2 ** 30); // more than Bun's hold; sparse
    assertThrows(() => open(file, { mode: "r" }), MMapInvalidParameterError);
    assertEquals(mappingsOf(file), []);
  });
});

describe("Journal.open() of a bad file", () => {
  /** Makes a journal of several segments, changes something, opens it. */
  function refused(
    change: (file: string) => void,
    Class: typeof MMapError | typeof MMapInvalidParameterError,
    ...parts: string[]
  ): void {
    using dir = tempDir();
    const file = dir.file("log");
    {
      using journal = open(file);
      fill(journal, 40);
    }
    const names = files(dir.path);
    change(file);
    const changed = files(dir.path);
    for (const mode of ["r", "r+", "a+"] as const) {
      const error = assertRefused(() => open(file, { mode }), Class, "log", ...parts);
      if (Class === MMapError) assertEquals(error.code, "EBADMSG");
    }
    assertEquals(files(dir.path), changed);
    assert(names.length > 3);
  }
  /** Changes a header, and its CRC with it. */
  function lie(file: string, offset: number, value: number): void {
    spoil(file, (bytes) => {
      const view = new DataView(bytes.buffer);
      view.setUint32(offset, value, true);
      const crc = crc32cByTables(bytes.subarray(0, HEADER_CRC_OFFSET));
      view.setUint32(HEADER_CRC_OFFSET, crc, true);
    });
  }

  test("that is too short", () => {
    for (const length of [0, 1, HEADER_LENGTH - 1]) {
      refused(
        (file) => fs.truncateSync(file, length),
        MMapInvalidParameterError,
        `${length} bytes`,
      );
    }
  });
  test("that was cut", () => {
    refused((file) => fs.truncateSync(file, 3000), MMapError, "4096", "3000");
  });
  test("that is longer than it says", () => {
    refused((file) => fs.appendFileSync(file, "more"), MMapError, "4096", "4100");
  });
  test("of something else", () => {
    refused((file) => fs.writeFileSync(file, pattern(5000)), MMapInvalidParameterError, "journal");
  });
  test("of another version", () => {
    refused((file) => lie(file, VERSION_OFFSET, 2), MMapInvalidParameterError, "version 2");
  });
  test("of the other byte order", () => {
    const swap = (bytes: Uint8Array) => void bytes.subarray(0, 4).reverse();
    refused((file) => spoil(file, swap), MMapInvalidParameterError, "byte order");
  });
  test("whose header is damaged", () => {
    const flip = (bytes: Uint8Array) => void (bytes[IDENTITY_OFFSET]! ^= 1);
    refused((file) => spoil(file, flip), MMapError, "CRC");
  });
  test("whose header lies", () => {
    refused((file) => lie(file, SIZE_OFFSET, 1 << 20), MMapError, "1048576");
    refused((file) => lie(file, SIZE_OFFSET + 4, 1), MMapError, "4294971392");
    refused((file) => lie(file, NUMBER_OFFSET, 3), MMapError, "segment 3");
    refused((file) => lie(file, OLDEST_OFFSET, 99), MMapError, "log.000099", "missing");
    refused((file) => lie(`${file}.000002`, FIRST_OFFSET + 4, 0xffffffff), MMapError, "2^53");
    refused((file) => lie(`${file}.000002`, IDENTITY_OFFSET, 7), MMapError, "another journal");
  });
  test("of which a segment is missing", () => {
    refused((file) => fs.unlinkSync(`${file}.000001`), MMapError, "log.000001", "missing");
  });
  test("of which the first segment is missing", () => {
    using dir = tempDir();
    const file = dir.file("log");
    {
      using journal = open(file);
      fill(journal, 40);
    }
    fs.unlinkSync(file);
    const error = assertRefused(() => open(file), MMapError, "missing");
    assertEquals(error.code, "EBADMSG");
  });
  test("that is a folder", () => {
    using dir = tempDir();
    assertThrows(() => open(dir.path, { mode: "r" }), MMapError);
  });
  test("that is a pipe, or a device, and stays one", {
    skip: firstReason(skipOnWindows, skipWithoutCommands("mkfifo")),
  }, () => {
    using dir = tempDir();
    const file = dir.file("pipe");
    assertEquals(spawnSync("mkfifo", [file]).status, 0);
    for (const mode of ["r", "r+", "a+", "w+"] as const) {
      assertRefused(() => open(file, { mode }), MMapInvalidParameterError, "regular file");
    }
    assert(fs.lstatSync(file).isFIFO());
    assertEquals(fs.readdirSync(dir.path), ["pipe"]);
  });
});

describe("Journal.open() after a crash", () => {
  /** A journal of ten records that was not closed, and where each of them ends. */
  function crashed(dir: { file(name: string): string }): { file: string; ends: number[] } {
    const file = dir.file("crashed");
    const ends = [HEADER_LENGTH];
    using journal = open(dir.file("log"), { size: 8192 });
    fill(journal, 10);
    for (let i = 0; i < 10; i++) ends.push(ends[i]! + recordLength(recordOf(i).length));
    fs.copyFileSync(dir.file("log"), file);
    return { file, ends };
  }

  test("drops a record that is torn, says so, and says it once", () => {
    using dir = tempDir();
    const { file, ends } = crashed(dir);
    spoil(file, (bytes) => void bytes.fill(0, ends[9]! + 20, ends[9]! + 30));
    {
      using reader = open(file, { mode: "r" });
      assertEquals(reader.recovered.records, 9);
      assertEquals(reader.recovered.droppedBytes > 0, true);
      assertFilled(reader, 0, 9);
    }
    {
      using journal = open(file);
      assertEquals(journal.recovered.records, 9);
      const { droppedBytes } = journal.recovered;
      assert(droppedBytes > 0 && droppedBytes <= ends[10]! - ends[9]!, String(droppedBytes));
      assertFilled(journal, 0, 9);
    }
    using journal = open(file);
    assertEquals(journal.recovered, { records: 9, droppedBytes: 0 });
    fill(journal, 3);
    assertFilled(journal, 0, 12);
    assert(journal.verify().ok);
  });

  test("drops all after a hole", () => {
    using dir = tempDir();
    const { file, ends } = crashed(dir);
    spoil(file, (bytes) => void bytes.fill(0, ends[4]!, ends[5]!));
    using journal = open(file);
    assertEquals(journal.recovered.records, 4);
    assertEquals(journal.recovered.droppedBytes > ends[9]! - ends[5]!, true);
    fill(journal, 1);
    assertFilled(journal, 0, 5);
  });

  test("does not take bytes that come back behind the cut for records", () => {
    using dir = tempDir();
    const { file, ends } = crashed(dir);
    const old = fileBytes(file);
    spoil(file, (bytes) => void (bytes[ends[5]! + 24]! ^= 1)); // record 5 is torn
    let end = 0;
    {
      using journal = open(file);
      assertEquals(journal.recovered.records, 5);
      // What was record 5 would end where the old record 6 starts, were it not for the new salt.
      journal.append(recordOf(5).subarray(0, recordOf(5).length - 32));
      end = ends[6]!;
    }
    spoil(file, (bytes) => void bytes.set(old.subarray(end, ends[10]), end));
    using journal = open(file);
    assertEquals([journal.recovered.records, journal.nextSequence], [6, 6]);
    assert(journal.recovered.droppedBytes > 0);
  });

  test("has no room for a new salt in a full segment, and starts another", () => {
    using dir = tempDir();
    const file = dir.file("log");
    {
      using journal = open(file);
      journal.append(new Uint8Array(4096 - HEADER_LENGTH - 24 - 24)); // leaves 24 bytes
      assertEquals(files(dir.path), ["log"]);
    }
    spoil(file, (bytes) => void (bytes[4090] = 1));
    {
      using journal = open(file);
      assertEquals(journal.recovered, { records: 1, droppedBytes: 19 + 1 });
      assertEquals(journal.append(""), 1);
      assertEquals(files(dir.path), ["log", "log.000001"]);
    }
    using journal = open(file, { mode: "r" });
    assertEquals(Array.from(journal.readFrom(0), ({ bytes }) => bytes.length), [3920, 0]);
    assert(journal.verify().ok);
  });
});

describe("Journal.readFrom()", () => {
  test("starts anywhere, through all segments", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"));
    fill(journal, 200);
    for (const from of [0, 1, 37, 100, 198, 199]) {
      const first = recordAt(journal, from);
      assertEquals([first.sequence, isRecordOf(from, first.bytes)], [from, true]);
      assertEquals([...journal.readFrom(from)].length, 200 - from);
    }
    assertEquals([...journal.readFrom(200)], []);
    assertEquals([...journal.readFrom(1e9)], []);
    assertFilled(journal, 0, 200);
  });

  test("gives copies", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"));
    journal.append("safe");
    for (const { bytes } of journal.readFrom(0)) bytes.fill(0);
    assertEquals(texts(journal), ["0 safe"]);
  });

  test("sees what is appended while it is at it", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"));
    fill(journal, 1);
    let count = 0;
    for (const { sequence, bytes } of journal.readFrom(0)) {
      assert(isRecordOf(sequence, bytes));
      if (++count < 100) fill(journal, 1);
    }
    assertEquals(count, 100);
  });

  test("refuses what is no sequence", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"));
    for (const sequence of [-1, 0.5, NaN, "0" as never]) {
      assertRefused(() => [...journal.readFrom(sequence)], MMapInvalidParameterError);
    }
  });

  test("stops with an error at a record that is damaged", () => {
    using dir = tempDir();
    const file = dir.file("log");
    {
      using journal = open(file);
      fill(journal, 40); // several segments
    }
    spoil(
      file,
      (bytes) => void (bytes[HEADER_LENGTH + recordLength(recordOf(0).length) + 30]! ^= 4),
    );
    using journal = open(file, { mode: "r" });
    const records = journal.readFrom(0);
    assertEquals(records.next().value!.sequence, 0);
    const error = assertRefused(() => records.next(), MMapError, "record 1", "log");
    assertEquals(error.code, "EBADMSG");
    const later = recordAt(journal, 2);
    assertEquals([later.sequence, isRecordOf(2, later.bytes)], [2, true]);
    const { damage, ok } = journal.verify();
    assertEquals([ok, damage?.sequence, damage?.path], [false, 1, file]);
    assertEquals(damage?.offset, HEADER_LENGTH + recordLength(recordOf(0).length));
  });

  test("ends its map however it ends", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const file = dir.file("log");
    using journal = open(file);
    fill(journal, 5);
    const before = mappingsOf(file).length;
    for (const _ of journal.readFrom(0)) break;
    [...journal.readFrom(0)];
    assertEquals(mappingsOf(file).length, before);
  });
});

describe("Journal.removeBefore()", () => {
  test("takes segments away that have only older records", () => {
    using dir = tempDir();
    const file = dir.file("log");
    const journal = open(file);
    fill(journal, 100);
    const all = files(dir.path);
    journal.removeBefore(0);
    assertEquals(files(dir.path), all);
    journal.removeBefore(50);
    const { firstSequence } = journal;
    assert(firstSequence > 30 && firstSequence <= 50, String(firstSequence));
    const left = files(dir.path);
    assert(left.length < all.length - 3);
    assertEquals(left[0], "log");
    assertFilled(journal, firstSequence, 100);
    journal.close();
    using again = open(file);
    assertEquals([again.firstSequence, again.nextSequence], [firstSequence, 100]);
    assertEquals(again.recovered.records, 100 - firstSequence);
    assert(again.verify().ok);
    fill(again, 20);
    assertFilled(again, firstSequence, 120);
    again.removeBefore(1e9); // never the last segment
    assertEquals(files(dir.path).length, 2);
    assertEquals([...again.readFrom(0)].at(-1)!.sequence, 119);
  });

  test("gives the space of the first file back", { skip: skipOutsideLinux }, () => {
    using dir = tempDir();
    const file = dir.file("log");
    using journal = open(file, { size: 1 << 20 });
    fill(journal, 5000);
    journal.sync();
    assert(allocatedBytes(file) >= 1 << 20);
    journal.removeBefore(4999);
    assert(allocatedBytes(file) <= 8192, `${allocatedBytes(file)} bytes`);
    assertEquals(fs.statSync(file).size, 1 << 20);
  });

  test("does not disturb a reader, who goes on with what is left", () => {
    using dir = tempDir();
    const file = dir.file("log");
    using journal = open(file);
    fill(journal, 100);
    using reader = open(file, { mode: "r" });
    const records = reader.readFrom(0);
    assertEquals(records.next().value!.sequence, 0);
    journal.removeBefore(60);
    const rest = [...records];
    assertEquals(rest.at(-1)!.sequence, 99);
    assert(rest.every(({ sequence, bytes }) => isRecordOf(sequence, bytes)));
    assertEquals(
      rest.every(({ sequence }, i) => i === 0 || sequence === rest[i - 1]!.sequence + 1),
      true,
    );
    assertEquals(reader.firstSequence, journal.firstSequence);
    assertEquals([...reader.readFrom(3)][0]!.sequence, journal.firstSequence);
  });

  test("is finished by the next writer when it was killed in the middle", () => {
    using dir = tempDir();
    const file = dir.file("log");
    const journal = open(file);
    fill(journal, 100);
    journal.close();
    const bytes = fileBytes(`${file}.000001`);
    {
      using again = open(file);
      again.removeBefore(50);
    }
    assertEquals(fs.existsSync(`${file}.000001`), false);
    fs.writeFileSync(`${file}.000001`, bytes); // as if it had not come to that
    using again = open(file);
    assertEquals(fs.existsSync(`${file}.000001`), false);
    assert(again.verify().ok);
  });
});

describe("Journal with group commits", () => {
  test("appendAsync() resolves when the record is durable, together with others", async () => {
    using dir = tempDir();
    using journal = open(dir.file("log"), { durability: "batch", batchMs: 50, size: 1 << 16 });
    const all = Array.from({ length: 50 }, (_, i) => journal.appendAsync(recordOf(i)));
    assertEquals(journal.durableSequence, 0);
    assertEquals(await all[0], 0);
    assertEquals(journal.durableSequence, 50);
    assertEquals(await Promise.all(all), Array.from({ length: 50 }, (_, i) => i));
    assertFilled(journal, 0, 50);
  });

  for (const durability of ["none", "every"] as const) {
    test(`appendAsync() resolves when the record is durable, "${durability}"`, async () => {
      using dir = tempDir();
      using journal = open(dir.file("log"), { durability, batchMs: 1 });
      assertEquals(await journal.appendAsync("a"), 0);
      assertEquals(journal.durableSequence, 1);
    });
  }

  test("appendAsync() works through segments", async () => {
    using dir = tempDir();
    using journal = open(dir.file("log"), { durability: "batch", batchMs: 0 });
    for (let round = 0; round < 10; round++) {
      const { nextSequence } = journal;
      await Promise.all(
        Array.from({ length: 20 }, (_, i) => journal.appendAsync(recordOf(nextSequence + i))),
      );
      assertEquals(journal.durableSequence, nextSequence + 20);
    }
    assertFilled(journal, 0, 200);
  });

  test("appendAsync() rejects what append() refuses", async () => {
    using dir = tempDir();
    using journal = open(dir.file("log"), { durability: "batch" });
    const error = await journal.appendAsync(new Uint8Array(5000)).catch((error) => error);
    assert(error instanceof MMapInvalidParameterError);
  });

  test("append() is durable after batchMs, by the timer", async () => {
    using dir = tempDir();
    using journal = open(dir.file("log"), { durability: "batch", batchMs: 5 });
    journal.append("a");
    assertEquals(journal.durableSequence, 0);
    const end = performance.now() + 5000;
    while (journal.durableSequence === 0 && performance.now() < end) await pause(2);
    assertEquals(journal.durableSequence, 1);
  });

  test("append() is durable after batchMs in a loop that never waits", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"), { durability: "batch", batchMs: 5, size: 1 << 20 });
    const end = performance.now() + 5000;
    while (journal.durableSequence === 0 && performance.now() < end) journal.append("a");
    assert(journal.durableSequence > 0);
  });

  test("append() is durable once batchBytes wait", () => {
    using dir = tempDir();
    using journal = open(dir.file("log"), {
      ...{ durability: "batch", batchMs: 60_000, batchBytes: 1000 },
    });
    const record = new Uint8Array(76); // 100 bytes, 104 with what is added
    for (let i = 0; i < 9; i++) journal.append(record);
    assertEquals(journal.durableSequence, 0);
    journal.append(record);
    assertEquals(journal.durableSequence, 10);
  });

  test("sync() and close() make everything durable", () => {
    using dir = tempDir();
    const journal = open(dir.file("log"), { durability: "batch", batchMs: 60_000 });
    journal.append("a");
    journal.sync();
    assertEquals(journal.durableSequence, 1);
    const pending = journal.appendAsync("b");
    journal.close();
    return pending.then((sequence) => assertEquals(sequence, 1));
  });
});

describe("Journal.verify()", () => {
  test("counts what is there", () => {
    using dir = tempDir();
    const file = dir.file("log");
    const journal = open(file);
    fill(journal, 30);
    const report = { ok: true, records: 30, bytes: 0, clean: true, damage: undefined };
    assertEquals({ ...journal.verify(), bytes: 0 }, report);
    const reader = open(file, { mode: "r" });
    assertEquals({ ...reader.verify(), bytes: 0 }, { ...report, clean: false });
    journal.close();
    assertEquals({ ...reader.verify(), bytes: 0 }, report);
    reader.close();
  });

  for (const mode of ["r", "a+"] as const) {
    test(`of a file that was cut tells so, and the journal (${mode}) goes on once it is whole`, {
      skip: skipOnWindows, // which does not cut mapped files
    }, () => {
      using dir = tempDir();
      const file = dir.file("log");
      using writer = open(file);
      fill(writer, 30);
      using reader = open(file, { mode: "r" });
      const journal = mode === "r" ? reader : writer;
      const whole = fs.readFileSync(file);
      fs.truncateSync(file, 0);
      const { ok, damage } = journal.verify();
      assertEquals([ok, damage?.sequence, damage?.path, damage?.offset], [false, 0, file, 0]);
      assert(damage?.reason.includes("it has 0 bytes"), damage?.reason);
      fs.writeFileSync(file, whole);
      assertEquals(journal.verify().ok, true);
      assertEquals(texts(journal).length, 30);
      assertEquals(writer.append("on"), 30);
      assertEquals(texts(journal).length, 31);
    });
  }

  test("notices flipped bits, in a journal of 1,000 records", () => {
    const { bits, detected } = flipBits(1000, { stride: 101 });
    assert(bits > 5000);
    assertEquals(detected, bits);
  });

  test("notices every flipped bit of a header", () => {
    const { bits, detected } = flipBits(10, { to: HEADER_LENGTH });
    assertEquals([bits, detected], [8 * HEADER_LENGTH, 8 * HEADER_LENGTH]);
  });
});

describe("Journal.close()", () => {
  test("may be called again, and everything else is refused then", async () => {
    using dir = tempDir();
    const journal = open(dir.file("log"));
    journal.append("a");
    const records = journal.readFrom(0);
    records.next();
    const tail = journal.tail(1);
    const waiting = tail.next();
    await pause(20);
    journal.close();
    journal.close();
    const calls = [
      () => journal.append("b"),
      () => journal.sync(),
      () => journal.removeBefore(0),
      () => journal.verify(),
      () => journal.nextSequence,
      () => journal.firstSequence,
      () => journal.durableSequence,
      () => [...journal.readFrom(0)],
      () => records.next(),
    ];
    for (const call of calls) assertRefused(call, MMapClosedError, "log");
    const error = await waiting.catch((error) => error);
    assert(error instanceof MMapClosedError, String(error));
  });

  test("leaves nothing open", { skip: skipWithoutProc }, () => {
    using dir = tempDir();
    const file = dir.file("log");
    const before = countDescriptors();
    const journal = open(file);
    fill(journal, 100);
    [...journal.readFrom(0)];
    journal.close();
    assertEquals(countDescriptors(), before);
    assertEquals(mappingsOf(file), []);
  });
});

describe("Journal in Deno", () => {
  const skip = firstReason(skipOutsideDeno, skipWithoutChildren());
  test("reads and waits without --allow-write", { skip }, async () => {
    using dir = tempDir();
    const file = dir.file("log");
    using journal = open(file);
    journal.append("before");
    await using peer = startPeer("journal_peer.ts", [file, "read only"]);
    assertEquals(await peer.line(), "0 before");
    journal.append("after");
    assertEquals(await peer.line(), "1 after");
  });
});

test("a journal has room for its lock beside it", () => {
  using dir = tempDir();
  using _journal = open(dir.file("log"));
  assertEquals(fs.readdirSync(dir.path).sort(), ["log", "log.lock"]);
});
