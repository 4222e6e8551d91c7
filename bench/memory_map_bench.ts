/**
 * The cost of copying out of a map: `readInto()` beside libc's `memcpy` and a typed array's `set`,
 * `read()` beside `slice`, and what a call costs when there is next to nothing to copy. Every
 * iteration checks the copy outside the time that it takes.
 */
import { MemoryMap } from "../mod.ts";
import { checkCopy, checksum, fill, LARGE, memcpyBetween, SMALL, smoke } from "./common.ts";

const map = MemoryMap.createAnonymous(LARGE);
const bytes = map.bytes;
fill(bytes);
const expected = checksum(bytes);
const target = new Uint8Array(LARGE);
const memcpy = memcpyBetween(target, map.addr);

/** A benchmark of one copy of the whole map. */
function benchCopy(group: string, name: string, baseline: boolean, copy: () => Uint8Array): void {
  Deno.bench({
    group,
    name,
    baseline,
    fn(b) {
      target[0] = target[LARGE - 1] = 255;
      b.start();
      const result = copy();
      b.end();
      checkCopy(result, expected);
    },
  });
}

const into = `copy ${LARGE / 1024} KiB into an array that is there`;
benchCopy(into, "libc memcpy", true, () => {
  memcpy(LARGE);
  return target;
});
benchCopy(into, "Uint8Array.set()", false, () => {
  target.set(bytes);
  return target;
});
benchCopy(into, "MemoryMap.readInto()", false, () => {
  map.readInto(target);
  return target;
});

const out = `copy ${LARGE / 1024} KiB out`;
benchCopy(out, "Uint8Array.slice()", true, () => bytes.slice());
benchCopy(out, "MemoryMap.read()", false, () => map.read(LARGE));

/** Calls an iteration of the small copies: a single one is too short for the clock. */
const CALLS = smoke ? 100 : 10_000;
const small = new Uint8Array(SMALL);
const smallMemcpy = memcpyBetween(small, map.addr);
const smallExpected = checksum(bytes.subarray(0, SMALL));

/** A benchmark of many copies of a few bytes. */
function benchCalls(name: string, baseline: boolean, copies: (calls: number) => void): void {
  Deno.bench({
    group: `${CALLS} copies of ${SMALL} bytes`,
    name,
    baseline,
    fn(b) {
      small.fill(255);
      b.start();
      copies(CALLS);
      b.end();
      checkCopy(small, smallExpected);
    },
  });
}

benchCalls("libc memcpy", true, (calls) => {
  for (let i = 0; i < calls; i++) smallMemcpy(SMALL);
});
benchCalls("Uint8Array.set()", false, (calls) => {
  for (let i = 0; i < calls; i++) small.set(bytes.subarray(0, SMALL));
});
benchCalls("MemoryMap.readInto()", false, (calls) => {
  for (let i = 0; i < calls; i++) map.readInto(small, 0);
});
