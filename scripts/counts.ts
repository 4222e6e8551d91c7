/**
 * Numbers of tests: read from the JUnit reports of the three runtimes, added up, and written as the
 * one line that every test command of this project ends with.
 */

/** Tests by outcome. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** `N passed, N failed`, and `, N skipped` if any. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed` + (skipped > 0 ? `, ${skipped} skipped` : "");
}

/** The counts that the last line of an output states; undefined if it states none. */
export function parseCounts(output: string): Counts | undefined {
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  const match = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(last.trim());
  if (!match) return undefined;
  const [passed = 0, failed = 0, skipped = 0] = match.slice(1).map((digits) => Number(digits ?? 0));
  return { passed, failed, skipped };
}

/** The sum of several counts. */
export function addCounts(all: Iterable<Counts>): Counts {
  let [passed, failed, skipped] = [0, 0, 0];
  for (const counts of all) {
    passed += counts.passed;
    failed += counts.failed;
    skipped += counts.skipped;
  }
  return { passed, failed, skipped };
}

/** An attribute value may hold a raw `>` (Node), and a passed test may have no body (Bun, Node). */
const TEST_CASE = /<testcase((?:\s+[\w:-]+="[^"]*")*)\s*(?:\/>|>([\s\S]*?)<\/testcase>)/g;

/**
 * Counts the tests of a JUnit report.
 *
 * @param flat Deno lists a group as a test beside its members, which it calls "group > member". Groups
 *   are no tests of their own here, as in the reports of Bun and Node.
 */
export function countReport(xml: string, flat: boolean): Counts {
  const cases = [...xml.matchAll(TEST_CASE)].map(([, attributes = "", body = ""]) => ({
    name: /\sname="([^"]*)"/.exec(attributes)?.[1] ?? "",
    file: /\sfile="([^"]*)"/.exec(attributes)?.[1] ?? "",
    outcome: /<(?:failure|error)\b/.test(body)
      ? "failed"
      : body.includes("<skipped")
      ? "skipped"
      : "passed",
  }));
  // Node lists a file without any test as a test that passed.
  const tests = cases.filter(({ name, file, outcome }) =>
    outcome === "failed" || !file.endsWith(`/${name}`)
  );
  const groups = new Set<string>();
  if (flat) {
    for (const { name } of tests) {
      const parts = name.split(" &gt; ");
      parts.slice(1).forEach((_, i) => groups.add(parts.slice(0, i + 1).join(" &gt; ")));
    }
  }
  const count = (outcome: string) =>
    tests.filter((test) => test.outcome === outcome && !groups.has(test.name)).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}
