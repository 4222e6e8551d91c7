/** `Journal.tail()`: records as they come, from other processes and runtimes, and how it ends. */
import fs from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MemoryMap, MMapError, MMapInvalidParameterError } from "../mod.ts";
import { PUBLISHED_OFFSET } from "../src/journal/layout.ts";
import { Journal } from "../src/journal/mod.ts";
import { wake } from "../src/sync/mod.ts";
import {
  firstReason,
  runtimeName,
  skipEmulated,
  skipOnWindows,
  skipWithoutChildren,
  tempDir,
} from "./helpers.ts";
import {
  pause,
  type Peer,
  type RuntimeName,
  skipWithout,
  skipWithoutSync,
  startPeer,
  within,
} from "./helpers_sync.ts";
import { isRecordOf, recordOf } from "./journal_records.ts";

const runtimes: readonly RuntimeName[] = ["deno", "bun", "node"];
const skip = skipWithoutSync;
const skipBetween = firstReason(skip, skipWithoutChildren(), skipEmulated);

function openWriter(file: string): Journal {
  return Journal.open(file, { durability: "none", size: 4096 });
}

/** Appends records whose content follows from their sequence. */
function fill(journal: Journal, count: number): void {
  for (let i = 0; i < count; i++) journal.append(recordOf(journal.nextSequence));
}

/** Takes records until there are that many, and checks them. */
async function take(journal: Journal, from: number, count: number): Promise<number[]> {
  const sequences: number[] = [];
  for await (const { sequence, bytes } of journal.tail(from)) {
    assert(isRecordOf(sequence, bytes), `record ${sequence}`);
    sequences.push(sequence);
    if (sequences.length === count) break;
  }
  return sequences;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

describe("Journal.tail()", { skip }, () => {
  test("gives what is there and then what is appended, through segments", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    fill(writer, 50);
    using reader = Journal.open(dir.file("log"), { mode: "r" });
    const taken = take(reader, 10, 190);
    for (let i = 0; i < 15; i++) {
      await pause(1);
      fill(writer, 10);
    }
    assertEquals(await within(20, "tail()", taken), range(10, 200));
  });

  /** Asserts that a tail waits until it is aborted, instead of looking again and again. */
  async function assertWaits(reader: Journal): Promise<void> {
    let looks = 0;
    const signal = AbortSignal.timeout(20);
    const look = () => {
      if (++looks > 100) throw new Error("It does not wait");
      AbortSignal.prototype.throwIfAborted.call(signal);
    };
    Object.defineProperty(signal, "throwIfAborted", { value: look });
    await assertRejects(() => reader.tail(reader.nextSequence, { signal }).next(), DOMException);
  }

  test("waits where the count of records in the file lies", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    fill(writer, 3);
    using reader = Journal.open(dir.file("log"), { mode: "r" });
    using map = MemoryMap.open(dir.file("log"), { mode: "r+" });
    map.asTypedArray(Int32Array)[PUBLISHED_OFFSET / 4] = 1;
    await assertWaits(reader);
  });

  test("waits where another journal has taken the place of the first segment", {
    skip: skipOnWindows,
  }, async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    fill(writer, 150);
    assert(fs.existsSync(dir.file("log.000001")));
    using reader = Journal.open(dir.file("log"), { mode: "r" });
    using other = openWriter(dir.file("other"));
    fill(other, 5);
    fs.renameSync(dir.file("other"), dir.file("log"));
    await assertWaits(reader);
  });

  test("gives the writer its own records, too", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    fill(writer, 3);
    const taken = take(writer, writer.nextSequence, 2);
    await pause(10);
    fill(writer, 2);
    assertEquals(await within(20, "tail()", taken), [3, 4]);
  });

  test("starts with the next record by default", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    fill(writer, 3);
    const records = writer.tail();
    const first = records.next();
    await pause(10);
    fill(writer, 1);
    assertEquals((await within(20, "tail()", first)).value!.sequence, 3);
    await records.return();
  });

  test("waits for a sequence that is not there for long", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    const taken = take(writer, 20, 5);
    for (let i = 0; i < 5; i++) {
      fill(writer, 5);
      await pause(2);
    }
    assertEquals(await within(20, "tail()", taken), range(20, 25));
  });

  test("serves several at a time", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    using reader = Journal.open(dir.file("log"), { mode: "r" });
    const taken = range(0, 5).map(() => take(reader, 0, 30));
    for (let i = 0; i < 30; i++) {
      fill(writer, 1);
      if (i % 3 === 0) await pause(1);
    }
    for (const sequences of await within(20, "tail()", Promise.all(taken))) {
      assertEquals(sequences, range(0, 30));
    }
  });

  test("goes on with what is left when segments are removed", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    fill(writer, 1);
    using reader = Journal.open(dir.file("log"), { mode: "r" });
    const records = reader.tail(0);
    assertEquals((await records.next()).value!.sequence, 0);
    const waiting = records.next();
    await pause(10);
    fill(writer, 100); // before anybody has a turn
    writer.removeBefore(80);
    const { value } = await within(20, "tail()", waiting);
    assert(value!.sequence >= 1 && isRecordOf(value!.sequence, value!.bytes));
    let last = value!.sequence;
    while (last < 100) {
      const { sequence } = (await records.next()).value!;
      assert(sequence > last);
      last = sequence;
    }
    await records.return();
  });

  test("ends with the signal's reason, at once", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    const reason = new Error("enough");
    const controller = new AbortController();
    const waiting = writer.tail(0, { signal: controller.signal }).next();
    await pause(10);
    controller.abort(reason);
    const error = await within(20, "tail()", waiting).catch((error) => error);
    assertEquals(error, reason);
    const again = await writer.tail(0, { signal: controller.signal }).next().catch((error) =>
      error
    );
    assertEquals(again, reason);
  });

  test("refuses what is no sequence or no signal", async () => {
    using dir = tempDir();
    using writer = openWriter(dir.file("log"));
    const wrong = [{ signal: {} as never }, { sinal: undefined } as object, null as never];
    for (const call of [writer.tail(-1), ...wrong.map((options) => writer.tail(0, options))]) {
      const error = await call.next().catch((error) => error);
      assert(error instanceof MMapInvalidParameterError, String(error));
    }
  });

  test("outlives the writer, and goes on with the next one", async () => {
    using dir = tempDir();
    const file = dir.file("log");
    const first = openWriter(file);
    fill(first, 2);
    using reader = Journal.open(file, { mode: "r" });
    const taken = take(reader, 0, 4);
    await pause(10);
    first.close();
    using second = openWriter(file);
    fill(second, 2);
    assertEquals(await within(20, "tail()", taken), range(0, 4));
  });

  test("stops with an error at a damaged record", async () => {
    using dir = tempDir();
    const file = dir.file("log");
    openWriter(file).close();
    using reader = Journal.open(file, { mode: "r" });
    const waiting = reader.tail(0).next();
    await pause(10);
    {
      // Somebody who publishes what is not there.
      using map = MemoryMap.open(file, { mode: "r+" });
      map.asTypedArray(Int32Array, PUBLISHED_OFFSET, 1)[0] = 1;
      wake(map, PUBLISHED_OFFSET);
    }
    const error = await within(20, "tail()", waiting).catch((error) => error);
    assert(error instanceof MMapError && error.code === "EBADMSG", String(error));
  });
});

describe("Journal.tail() between processes", () => {
  for (const runtime of runtimes) {
    const skip = firstReason(skipBetween, skipWithout(runtime));
    test(`reads what ${runtime} writes`, { skip }, async () => {
      using dir = tempDir();
      const file = dir.file("log");
      await using peer = startPeer("journal_peer.ts", [file, "write"], runtime);
      await within(20, "opening", peer.line());
      using reader = Journal.open(file, { mode: "r" });
      const taken = take(reader, 0, 3000);
      for (let i = 0; i < 3; i++) {
        await peer.tell(1000);
        assertEquals(await within(20, "writing", peer.line()), `${1000 * (i + 1)}`);
      }
      assertEquals(await within(30, "tail()", taken), range(0, 3000));
    });

    test(`is read by ${runtime}, which is parked`, { skip }, async () => {
      using dir = tempDir();
      const file = dir.file("log");
      using writer = openWriter(file);
      await using peer = startPeer("journal_peer.ts", [file, "tail"], runtime);
      fill(writer, 1);
      assertEquals(await within(20, "reading", peer.line()), "0");
      const times: number[] = [];
      for (let i = 1; i < 20; i++) {
        await pause(3);
        const start = performance.now();
        fill(writer, 1);
        assertEquals(await within(20, "reading", peer.line()), `${i}`);
        times.push(performance.now() - start);
      }
      // Who is not woken looks after 100 ms.
      const median = times.sort((a, b) => a - b)[times.length >> 1]!;
      assert(median < 50, `woken after ${times.map((time) => time.toFixed(1)).join(", ")} ms`);
    });
  }

  test("goes on when the writer is killed and another one comes", {
    skip: skipBetween,
  }, async () => {
    using dir = tempDir();
    const file = dir.file("log");
    let reader: Journal | undefined;
    let taken: Promise<number[]> | undefined;
    for (let life = 0; life < 4; life++) {
      await using peer: Peer = startPeer("journal_peer.ts", [file, "write"], runtimeName);
      await within(20, "opening", peer.line());
      reader ??= Journal.open(file, { mode: "r" });
      taken ??= take(reader, 0, 400);
      await peer.tell(100);
      await within(20, "writing", peer.line());
    } // killed
    assertEquals(await within(20, "tail()", taken!), range(0, 400));
    reader?.close();
  });
});
