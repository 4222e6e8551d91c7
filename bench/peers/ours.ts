/** This library's part in the comparison, on whichever runtime runs it. */
import fs from "node:fs";
import { MemoryMap } from "../../mod.ts";
import { MedianWorkers } from "../../examples/median/median.ts";
import { MappedArray } from "../../src/ndarray/mod.ts";
import { Mutex } from "../../src/sync/mod.ts";
import { type Answer, BLOCK, ends, serve, timedPart } from "./serve.ts";

const NEWLINE = 10;

let map = MemoryMap.createAnonymous(BLOCK);

function use(path: string, access = "normal"): number {
  map.close();
  map = access === "writable" ? MemoryMap.open(path, { mode: "r+" }) : MemoryMap.open(path, {
    access: access as "normal",
  });
  return map.size;
}

function copies(how: string, countWord: string, lengthWord: string): number {
  const [count, length] = [Number(countWord), Number(lengthWord)];
  const places = map.size - length + 1;
  const into = new Uint8Array(length);
  const kept: Uint8Array[] = [];
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const at = i * length % places;
    if (how === "into") {
      map.readInto(into, at);
      sum += ends(into);
    } else {
      const copy = map.read(length, at);
      sum += ends(copy);
      if (how === "kept") kept.push(copy);
    }
  }
  return sum;
}

function blocks(how: string, path: string): Answer {
  const bytes = fs.readFileSync(path);
  const numbers = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const offsets = Float64Array.from(numbers, (number) => number * BLOCK);
  const target = new Uint8Array(BLOCK);
  if (how === "many") {
    // Used before, as the others' buffers are: the system gives memory when it is first touched.
    const all = new Uint8Array(BLOCK * offsets.length).fill(1);
    return timedPart(() => {
      map.readMany(offsets, BLOCK, all);
      let sum = 0;
      for (let at = 0; at < all.length; at += BLOCK) sum += all[at]! + all[at + BLOCK - 1]!;
      return sum;
    });
  }
  return timedPart(() => {
    if (how === "prefetch") map.prefetch(offsets, BLOCK);
    let sum = 0;
    for (let i = 0; i < offsets.length; i++) {
      map.readInto(target, offsets[i]!);
      sum += ends(target);
    }
    return sum;
  });
}

function sum(path: string): number {
  const array = MappedArray.open(path, { dtype: "f8" });
  const total = Math.round(array.sum() as number);
  array.map.close();
  return total;
}

function openClose(path: string, count: string): number {
  let sum = 0;
  for (let i = 0; i < Number(count); i++) {
    const opened = MemoryMap.open(path);
    sum += opened.bytes[0]!;
    opened.close();
  }
  return sum;
}

function flush(count: string): number {
  const { bytes } = map;
  for (let i = 0; i < Number(count); i++) {
    bytes[BLOCK * 3] = i;
    map.flush(BLOCK * 3, BLOCK);
  }
  return Number(count);
}

function sparse(path: string, sizeWord: string, rowsWord: string, row: string): number {
  const [size, rows] = [Number(sizeWord), Number(rowsWord)];
  const created = MemoryMap.open(path, { mode: "w+", size });
  for (let i = 0; i < rows; i++) {
    created.fill(i + 1, Math.floor(size / rows * i / BLOCK) * BLOCK, Number(row));
  }
  created.flush();
  created.close();
  return size;
}

function touch(size: string, how: string): number {
  const fresh = MemoryMap.createAnonymous(Number(size));
  if (how === "populate") fresh.prefault();
  const { bytes } = fresh;
  let sum = 0;
  for (let at = 0; at < bytes.length; at += BLOCK) sum += ++bytes[at]!;
  fresh.close();
  return sum;
}

function lock(count: string): number {
  using shared = MemoryMap.createMemfd(BLOCK);
  const mutex = new Mutex(shared);
  for (let i = 0; i < Number(count); i++) {
    mutex.lock();
    mutex.unlock();
  }
  return Number(count);
}

await serve({
  use,
  drop: () => {
    map.close();
    return 0;
  },
  copies,
  blocks,
  sum,
  median: async (path, count) => {
    using workers = new MedianWorkers(Number(count)); // started in time that counts, as NumPy's processes
    return Math.round(await workers.median(path!));
  },
  find: (needle) => map.find(needle!),
  count: () => map.count(NEWLINE),
  "open-close": openClose,
  flush,
  sparse,
  touch,
  lock,
});
