/** The numbers that the test command prints: a mistake here would hide failed tests. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { addCounts, formatCounts, parseCounts, readReport } from "../../scripts/counts.ts";

test("readReport() counts the members of Deno's groups, not the groups", () => {
  const xml = `
    <testcase name="group" classname="./tests/a_test.ts" time="0.005" line="3" col="1">
      <failure message="1 test step failed">1 test step failed.</failure>
    </testcase>
    <testcase name="alone" classname="./tests/a_test.ts" time="0.000">
    </testcase>
    <testcase name="group &gt; inner" classname="ext" time="0.001">
    </testcase>
    <testcase name="group &gt; skipped" classname="ext" time="0.001">
      <skipped/>
    </testcase>
    <testcase name="group &gt; deeper" classname="ext" time="0.001">
    </testcase>
    <testcase name="group &gt; deeper &gt; fails" classname="ext" time="0.001">
      <failure message="Uncaught Error: no">at &lt;anonymous&gt;</failure>
    </testcase>`;
  assertEquals(readReport(xml, true), {
    ...{ passed: 2, failed: 1, skipped: 1 },
    failures: ["ext: group > deeper > fails: Uncaught Error: no"],
  });
});

test("readReport() reads the nested suites of Bun and Node", () => {
  const xml = `
    <testsuite name="group" tests="4" failures="1" skipped="1">
      <testcase name="size &lt;&amp;> 4 GiB" time="0.1" file="a_test.ts"/>
      <testcase name="b" classname="group" assertions="0">
        <skipped type="skipped" message="because"/>
      </testcase>
      <testcase name="c" file="/home/tests/b_test.ts" failure="no">
        <failure type="Error" message="not &lt;1&#10;  but&#x20;2">Error</failure>
      </testcase>
      <testcase name="c &gt; d" time="0.1" />
    </testsuite>`;
  assertEquals(readReport(xml, false), {
    ...{ passed: 2, failed: 1, skipped: 1 },
    failures: ["tests/b_test.ts: c: not <1 but 2"],
  });
});

test("readReport() counts a file that Node lists as a test only if it failed", () => {
  const xml = `
    <testcase name="tests/empty_test.ts" file="/home/tests/empty_test.ts"/>
    <testcase name="tests/broken_test.ts" file="/home/tests/broken_test.ts">
      <failure type="testCodeFailure" message="no">no</failure>
    </testcase>`;
  assertEquals(readReport(xml, false), {
    ...{ passed: 0, failed: 1, skipped: 0 },
    failures: ["tests/broken_test.ts: tests/broken_test.ts: no"],
  });
});

test("readReport() counts nothing in the empty report of a runtime that died", () => {
  assertEquals(readReport("", true), { passed: 0, failed: 0, skipped: 0, failures: [] });
});

test("parseCounts() reads the line that formatCounts() writes, on the last line only", () => {
  for (
    const counts of [{ passed: 3, failed: 1, skipped: 0 }, { passed: 0, failed: 0, skipped: 2 }]
  ) {
    assertEquals(parseCounts(`noise\n${formatCounts(counts)}\n`), counts);
  }
  assertEquals(parseCounts("1 passed, 0 failed\nSegmentation fault"), undefined);
  assertEquals(parseCounts("bun  1 passed, 0 failed"), undefined);
  assertEquals(parseCounts(""), undefined);
});

test("addCounts() adds each outcome", () => {
  const counts = { passed: 1, failed: 2, skipped: 3 };
  assertEquals(addCounts([counts, counts]), { passed: 2, failed: 4, skipped: 6 });
});
