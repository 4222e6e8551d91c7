/** The examples of the rings, as a person runs them. */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { crashAndRead } from "../examples/structured_log/main.ts";
import { ENTRY_LENGTH, Logger, readEntries } from "../examples/structured_log/log.ts";
import { format } from "../examples/structured_log/read.ts";
import { countPrimes } from "../examples/work_queue/jobs.ts";
import { work } from "../examples/work_queue/main.ts";
import {
  firstReason,
  skipEmulated,
  skipOnWindows,
  skipWithoutChildren,
  tempDir,
} from "./helpers.ts";
import { skipWithoutSync, within } from "./helpers_sync.ts";

const skip = firstReason(skipWithoutSync, skipWithoutChildren(), skipEmulated, skipOnWindows);

describe("examples/structured_log", () => {
  test(
    "keeps the last entries of a service that was killed, whole and in order",
    { skip },
    async () => {
      using dir = tempDir();
      const entries = await within(60, "the service", crashAndRead(dir.file("log")));
      assert(entries.length >= 999, `${entries.length} entries`);
      const requests = entries.map(({ fields }) => fields["request"]).filter((id) =>
        id !== undefined
      );
      const [first] = requests as number[];
      assertEquals(requests, requests.map((_, i) => first! + i));
    },
  );

  test("prints an entry on one line, and says when it was cut", () => {
    using dir = tempDir();
    const path = dir.file("log");
    {
      using logger = new Logger(path, 4);
      logger.log("warn", "slow", { request: 7, path: "/a b" });
      logger.log("error", "x".repeat(2 * ENTRY_LENGTH), { request: 8 });
      logger.log("info", "ö".repeat(2 * ENTRY_LENGTH));
    }
    const lines = [...readEntries(path)].map((entry) => format(entry, false));
    assert(
      /^\d\d:\d\d:\d\d\.\d{3} \[\d+\] WARN {2}slow request=7 path="\/a b"$/.test(lines[0]!),
      lines[0],
    );
    assert(/ ERROR x{100,}\.\.\.$/.test(lines[1]!), lines[1]);
    assert(/ INFO {2}ö{100,}\.\.\.$/.test(lines[2]!), lines[2]);
  });
});

describe("examples/work_queue", { skip }, () => {
  test("has each job done once, though a worker is killed", async () => {
    const jobs = Array.from({ length: 60 }, (_, id) => ({ id, below: 1000 + id }));
    const results = await within(60, "the work", work(jobs));
    assertEquals([...results.keys()].sort((a, b) => a - b), jobs.map(({ id }) => id));
    for (const { id, primes } of results.values()) assertEquals(primes, countPrimes(1000 + id));
  });
});
