/** Makes a sequence with a finding shorter: leaves calls out as long as the finding stays. */
import type { Finding } from "../../tests/fuzz/world.ts";
import { runSequence, type Sequence } from "./sequence.ts";

/** What two findings of the same kind have in common: numbers and names of objects do not count. */
export function kindOf({ what }: Finding): string {
  return what.split(/\n|\(/, 1)[0]!.replaceAll(/\d+/g, "N");
}

/** Calls as the child takes them: `[0, 1, 2, 9]` is `0-2,9`. */
function rangesOf(calls: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const call of calls) {
    const last = ranges.at(-1);
    if (last?.[1] === call - 1) last[1] = call;
    else ranges.push([call, call]);
  }
  return ranges.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(",");
}

/**
 * Looks for fewer calls with the same finding, for a limited time: halves first, then smaller parts.
 *
 * @returns The calls, or undefined if the finding does not come again.
 */
export async function shorten(
  sequence: Sequence,
  finding: Finding,
  seconds: number,
): Promise<string | undefined> {
  const deadline = performance.now() + seconds * 1000;
  const kind = kindOf(finding);
  const stays = async (calls: readonly number[]): Promise<boolean> => {
    const { findings } = await runSequence({ ...sequence, only: rangesOf(calls) });
    return findings.some((found) => kindOf(found) === kind);
  };
  const end = finding.call < 0 ? sequence.count : Math.min(finding.call + 1, sequence.count);
  let calls = Array.from({ length: end }, (_, call) => call);
  if (!await stays(calls)) return undefined;
  for (let part = Math.ceil(calls.length / 2); part >= 1; part = Math.floor(part / 2)) {
    for (let at = 0; at < calls.length && performance.now() < deadline;) {
      const fewer = calls.toSpliced(at, part);
      if (await stays(fewer)) calls = fewer;
      else at += part;
    }
  }
  return rangesOf(calls);
}
