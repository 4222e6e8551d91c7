/** The rows that the test commands print, and `.ci/run` reads: a mistake here would hide a lane. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { formatRow, makeRow, parseRows } from "../../scripts/suite.ts";

const counts = { passed: 12, failed: 0, skipped: 3, failures: [] };
const broken = {
  passed: 1,
  failed: 2,
  skipped: 0,
  failures: ["a_test.ts: one: no", "b: 2 passed"],
};

test("parseRows() reads the rows that formatRow() writes, and nothing else", () => {
  const rows = [
    makeRow("Linux x64, deno 2.9.6", counts, 61.5, [""]),
    makeRow("Windows x64, bun 1.4.5", { passed: 0, failed: 0, skipped: 0, failures: [] }, 600, [
      "ended by SIGKILL",
    ]),
    makeRow("Linux arm64, bun 1.4.5", broken, 0.1, [
      "exited with code 1",
    ]),
  ];
  const output = [
    "a test ... ok (12ms)",
    "",
    ...rows.map((row) => formatRow(row)),
    "13 passed, 3 failed",
  ];
  assertEquals(parseRows(output.join("\n")), rows);
});

test("makeRow() counts a run that failed outside of its tests as one failure, with the reason", () => {
  const { failed, reason } = makeRow("name", counts, 1, ["exited with code 1", ""]);
  assertEquals([failed, reason], [1, "exited with code 1"]);
});

test("makeRow() counts a run without a test as one failure", () => {
  const { failed, reason } = makeRow("name", { ...counts, passed: 0 }, 1, [""]);
  assertEquals([failed, reason], [1, "ran no test"]);
});

test("makeRow() gives no other reason where tests have failed", () => {
  const { failed, reason } = makeRow("name", { ...counts, failed: 2 }, 1, ["exited with code 1"]);
  assertEquals([failed, reason], [2, ""]);
});
