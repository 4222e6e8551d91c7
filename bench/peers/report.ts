/** What the comparison came to: as text while it goes on, as JSON and Markdown in the end. */
import { median } from "../rivals.ts";
import { label, type Row, type Want } from "./rows.ts";

/** One entry's part in a row. */
export interface Measured {
  readonly label: string;
  /** Nanoseconds of one call, each round. */
  readonly times: readonly number[];
  /** Bytes of memory at the most, mapped pages of files included; 0 where that is not known. */
  readonly peakBytes: number;
}

/** A row with what was measured. */
export interface Result {
  readonly row: Row;
  readonly measured: readonly Measured[];
  /** Entries that did not take part, and why. */
  readonly missing: readonly string[];
}

/** One wish, as it came out. */
export interface Verdict extends Want {
  readonly ratio: number;
}

/** The median of the rounds' own ratios: what the machine does in a round hits both. */
export function ratio(ours: Measured, rival: Measured): number {
  return median(ours.times.map((time, round) => time / rival.times[round]!));
}

/** How a row's wishes came out, as far as both sides took part. */
export function verdicts({ row, measured }: Result): Verdict[] {
  const find = (name: string) => measured.find((one) => one.label === name);
  return row.wants.flatMap((want) => {
    const [ours, rival] = [find(want.ours), find(want.rival)];
    return ours && rival ? [{ ...want, ratio: ratio(ours, rival) }] : [];
  });
}

function duration(nanoseconds: number): string {
  for (const [unit, length] of [["s", 1e9], ["ms", 1e6], ["us", 1e3]] as const) {
    if (nanoseconds >= length) return `${(nanoseconds / length).toPrecision(3)} ${unit}`;
  }
  return `${nanoseconds.toFixed(0)} ns`;
}

const BAR = 24;

/** A bar for a number, the longest for the largest. */
function bar(value: number, largest: number): string {
  return "█".repeat(Math.max(1, Math.round(value / largest * BAR)));
}

/** A row as a Markdown table with bars; the first entry is the floor. */
export function markdownOf(result: Result): string {
  const { row, measured, missing } = result;
  if (measured.length === 0) return `### ${row.question}\n\nNobody took part.\n`;
  const floor = measured[0]!;
  const slowest = Math.max(...measured.map(({ times }) => median(times)));
  const lines = measured.map((one) => {
    const middle = median(one.times);
    const range = `${duration(Math.min(...one.times))} to ${duration(Math.max(...one.times))}`;
    const memory = one.peakBytes === 0 ? "" : `${(one.peakBytes / 2 ** 20).toFixed(0)} MiB`;
    const times = ratio(one, floor).toFixed(2);
    return `| ${one.label} | ${duration(middle)} | ${range} | ${times} | ${memory} | ` +
      `${bar(middle, slowest)} |`;
  });
  const wished = verdicts(result).map(({ ours, rival, most, ratio }) =>
    `- ${ours}: ${ratio.toFixed(2)} of ${rival} (at most ${most.toFixed(2)})` +
    (ratio <= most ? "" : " **not reached**")
  );
  const cache = row.cache === "none" ? "" : `Page cache: ${row.cache}. `;
  return [
    `### ${row.question}`,
    "",
    `${cache}Time of one ${row.unit}, the median of ${floor.times.length} rounds.`,
    "",
    `| | time | from, to | of ${floor.label} | peak memory | |`,
    "| --- | --- | --- | --- | --- | --- |",
    ...lines,
    "",
    ...wished,
    ...(wished.length > 0 ? [""] : []),
    ...missing.map((reason) => `- not there: ${reason}`),
    ...(missing.length > 0 ? [""] : []),
  ].join("\n");
}

/** The results in the form that other programs read. */
export function jsonOf(results: readonly Result[]): string {
  return JSON.stringify(
    results.map((result) => ({
      id: result.row.id,
      question: result.row.question,
      cache: result.row.cache,
      unit: result.row.unit,
      entries: result.measured.map(({ label, times, peakBytes }) => ({
        label,
        medianNanoseconds: median(times),
        minNanoseconds: Math.min(...times),
        maxNanoseconds: Math.max(...times),
        peakBytes,
      })),
      verdicts: verdicts(result),
      missing: result.missing,
    })),
    undefined,
    2,
  );
}

/** The entries of a row that have nobody to answer them. */
export function missingOf(row: Row, missing: ReadonlyMap<string, string>): string[] {
  return row.entries.flatMap((entry) => {
    const reason = missing.get(entry.who);
    return reason === undefined ? [] : [`${label(entry)} (${reason})`];
  });
}
