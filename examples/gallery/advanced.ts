/**
 * The third showcase: a typed view, protection, and what a copy out of a map costs. Runs alone:
 * `examples/gallery/advanced.ts [--out folder]`.
 */

import process from "node:process";
import { MemoryMap, MMapProtectionError, PROT_READ, PROT_WRITE } from "../../mod.ts";
import { saveChart, threeDigits, type Timing, timingChart } from "./charts.ts";
import { errorOf, heading, runFromCommandLine, sameBytes, verify } from "./showcase.ts";

const SIZE = 2 ** 20;
const ROUNDS = 20;
const COPIES_PER_ROUND = 10;

/** Word `i` of the pattern: no two words of the map are equal (the factor is odd). */
function patternWord(i: number): number {
  return Math.imul(i, 0x9e3779b1) >>> 0;
}

/** Fills and verifies a typed view, walks through the protections, and measures and draws copies. */
export async function advanced(folder: string): Promise<string[]> {
  heading("Advanced: a typed view, protection, and the cost of a copy");
  using map = MemoryMap.createAnonymous(SIZE);
  fillAndVerify(map);
  changeProtection(map);
  return await measureCopies(map, folder);
}

function fillAndVerify(map: MemoryMap): void {
  const words = map.asTypedArray(Uint32Array);
  for (let i = 0; i < words.length; i++) words[i] = patternWord(i);
  // Through a copy, so that the check does not read what it wrote by the same view.
  const copy = new Uint32Array(map.read(map.size).buffer);
  const matching = copy.reduce((count, word, i) => count + Number(word === patternWord(i)), 0);
  verify(
    words.byteLength === SIZE && matching === words.length,
    `filled ${words.byteLength} bytes as a ${words.constructor.name}: ${matching} of ${words.length} words are right`,
  );
}

function changeProtection(map: MemoryMap): void {
  const [before = 0] = map.read(1);
  const changed = before ^ 0xff;
  const write = () => map.write(Uint8Array.of(changed));

  map.mprotect(PROT_READ);
  verify(map.prot === PROT_READ, `mprotect(PROT_READ): the protection is ${map.prot}`);
  const refusal = errorOf(write);
  verify(refusal instanceof MMapProtectionError, `write() is refused: ${refusal}`);
  verify(map.bytes[0] === before, `reading still works, and byte 0 is still ${before}`);

  map.mprotect(PROT_READ | PROT_WRITE);
  verify(
    map.prot === (PROT_READ | PROT_WRITE),
    `mprotect(PROT_READ | PROT_WRITE): the protection is ${map.prot}`,
  );
  verify(
    write() === 1 && map.bytes[0] === changed,
    `write() works again: byte 0 is now ${map.bytes[0]}`,
  );
}

async function measureCopies(map: MemoryMap, folder: string): Promise<string[]> {
  const original = map.read(SIZE);
  const target = new Uint8Array(SIZE);
  const contenders = [
    { label: "map.read()", copy: () => map.read(SIZE) },
    { label: "map.bytes.slice()", copy: () => map.bytes.slice() },
    {
      label: "map.readInto()",
      copy: () => {
        map.readInto(target);
        return target;
      },
    },
  ].map((contender) => ({ ...contender, seconds: [] as number[], right: 0 }));

  // Round by round in a changing order, so that a slow moment of the machine hits all of them.
  // Round 0 warms up and does not count.
  for (let round = 0; round <= ROUNDS; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(round + turn) % contenders.length]!;
      target.fill(0);
      let copy = target;
      const start = performance.now();
      for (let i = 0; i < COPIES_PER_ROUND; i++) copy = contender.copy();
      const milliseconds = performance.now() - start;
      if (round === 0) continue;
      contender.seconds.push(milliseconds / 1000 / COPIES_PER_ROUND);
      if (sameBytes(copy, original)) contender.right++;
    }
  }

  const timings: Timing[] = contenders.map(({ label, seconds }) => ({
    label,
    bytes: SIZE,
    lowerQuartile: quantile(seconds, 0.25),
    median: quantile(seconds, 0.5),
    upperQuartile: quantile(seconds, 0.75),
  }));
  for (const [i, { label, right, seconds }] of contenders.entries()) {
    const { median, bytes } = timings[i]!;
    verify(
      right === ROUNDS && seconds.length === ROUNDS && median > 0,
      `${label.padEnd(17)} ${threeDigits(median * 1e6).padStart(5)} µs a copy, ` +
        `${threeDigits(bytes / median / 1e9).padStart(5)} GB/s ` +
        `(median of ${seconds.length} rounds of ${COPIES_PER_ROUND}; the last copy of each was right)`,
    );
  }

  return await saveChart(
    folder,
    "copies",
    timingChart(
      `Copying ${SIZE / 2 ** 20} MiB out of a map, ${ROUNDS * COPIES_PER_ROUND} times each`,
      `${runtimeName()}. Bars: medians of ${ROUNDS} interleaved rounds of ${COPIES_PER_ROUND} copies. ` +
        "Lines: the middle half of the rounds.",
      timings,
    ),
  );
}

/** The value that a fraction `q` of the samples lies below, interpolated. */
function quantile(samples: number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const position = q * (sorted.length - 1);
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return below + (above - below) * (position % 1);
}

function runtimeName(): string {
  const { deno, bun, node } = process.versions;
  const name = deno ? `Deno ${deno}` : bun ? `Bun ${bun}` : `Node ${node}`;
  return `${name} on ${process.platform} ${process.arch}`;
}

if (import.meta.main) await runFromCommandLine(advanced);
