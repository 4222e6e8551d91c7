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

/** A failed test's element, and the message that all three runtimes give it. */
const FAILURE = /<(?:failure|error)\b(?:[^>]*?\smessage="([^"]*)")?/;

/** What a JUnit report says. */
export interface Report extends Counts {
  /** A line for each failed test: its file where the report names it, its name, and its message. */
  readonly failures: readonly string[];
}

/** Text of an XML attribute on one line, its references resolved. */
function plain(attribute: string): string {
  const references: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return attribute
    .replace(
      /&#(x?)([\da-f]+);/gi,
      (_, hex, digits) => String.fromCodePoint(Number.parseInt(digits, hex ? 16 : 10)),
    )
    .replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => references[name] ?? "")
    .replace(/\s+/g, " ").trim();
}

/**
 * Reads a JUnit report.
 *
 * @param flat Deno lists a group as a test beside its members, which it calls "group > member". Groups
 *   are no tests of their own here, as in the reports of Bun and Node.
 */
export function readReport(xml: string, flat: boolean): Report {
  const cases = [...xml.matchAll(TEST_CASE)].map(([, attributes = "", body = ""]) => {
    const attribute = (name: string) =>
      new RegExp(`\\s${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
    const failure = FAILURE.exec(body);
    return {
      name: attribute("name"),
      file: attribute("file"),
      place: attribute("file") || attribute("classname"),
      outcome: failure ? "failed" : body.includes("<skipped") ? "skipped" : "passed",
      message: failure?.[1] ?? "",
    };
  });
  const groups = new Set<string>();
  if (flat) {
    for (const { name } of cases) {
      const parts = name.split(" &gt; ");
      parts.slice(1).forEach((_, i) => groups.add(parts.slice(0, i + 1).join(" &gt; ")));
    }
  }
  const tests = cases.filter(({ name, file, outcome }) =>
    // Node lists a file without any test as a test that passed.
    !groups.has(name) && (outcome === "failed" || !file.endsWith(`/${name}`))
  );
  const of = (outcome: string) => tests.filter((test) => test.outcome === outcome);
  const failures = of("failed").map(({ place, name, message }) =>
    plain(`${place.replace(/^.*\/(?=tests\/)/, "")}: ${name}: ${message}`).slice(0, 300)
  );
  return {
    passed: of("passed").length,
    failed: failures.length,
    skipped: of("skipped").length,
    failures,
  };
}
