/**
 * What each runtime offers without this library: reading files through node:fs, Deno's files where
 * they are, and `Bun.mmap`.
 */
import fs from "node:fs";
import process from "node:process";
import { type Answer, BLOCK, ends, serve, timedPart } from "./serve.ts";

const NEWLINE = 10;

interface BunApi {
  mmap(path: string, options?: { shared?: boolean }): Uint8Array;
}
interface DenoFile {
  seekSync(offset: number, whence: number): number;
  readSync(target: Uint8Array): number | null;
  close(): void;
}
interface DenoApi {
  openSync(path: string): DenoFile;
}
const { Bun, Deno } = globalThis as { Bun?: BunApi; Deno?: DenoApi };

let fd = -1;
let deno: DenoFile | undefined;
let mapped: Uint8Array = new Uint8Array(0);

function drop(): number {
  if (fd !== -1) fs.closeSync(fd);
  fd = -1;
  deno?.close();
  deno = undefined;
  mapped = new Uint8Array(0);
  return 0;
}

function use(path: string, how = "normal"): number {
  drop();
  if (how === "mmap") mapped = Bun!.mmap(path);
  fd = fs.openSync(path, "r");
  deno = Deno?.openSync(path);
  return fs.fstatSync(fd).size;
}

function copies(how: string, countWord: string, lengthWord: string, source: string): number {
  const [count, length] = [Number(countWord), Number(lengthWord)];
  const places = fs.fstatSync(fd).size - length + 1;
  const into = new Uint8Array(length);
  const kept: Uint8Array[] = [];
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const at = i * length % places;
    let copy = into;
    if (source === "mmap") {
      if (how === "into") into.set(mapped.subarray(at, at + length));
      else copy = mapped.slice(at, at + length);
    } else {
      if (how !== "into") copy = new Uint8Array(length);
      fs.readSync(fd, copy, 0, length, at);
    }
    sum += ends(copy);
    if (how === "kept") kept.push(copy);
  }
  return sum;
}

function blocks(how: string, path: string): Answer {
  const bytes = fs.readFileSync(path);
  const numbers = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const target = new Uint8Array(BLOCK);
  const readBlock: Record<string, (at: number) => void> = {
    pread: (at) => void fs.readSync(fd, target, 0, BLOCK, at),
    seek: (at) => {
      deno!.seekSync(at, 0);
      deno!.readSync(target);
    },
    mmap: (at) => target.set(mapped.subarray(at, at + BLOCK)),
  };
  const read = readBlock[how]!;
  return timedPart(() => {
    let sum = 0;
    for (let i = 0; i < numbers.length; i++) {
      read(numbers[i]! * BLOCK);
      sum += ends(target);
    }
    return sum;
  });
}

/** Reads the whole file with a buffer of a mebibyte, and gives each piece away. */
function each(piece: (bytes: Uint8Array) => void): void {
  const buffer = new Uint8Array(1 << 20);
  for (let at = 0, length; (length = fs.readSync(fd, buffer, 0, buffer.length, at)) > 0;) {
    piece(buffer.subarray(0, length));
    at += length;
  }
}

function count(): number {
  let total = 0;
  each((bytes) => {
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) total++;
  });
  return total;
}

/** First and last byte of each mebibyte, for the price of reading it all. */
function readAll(): number {
  let sum = 0;
  each((bytes) => sum += ends(bytes));
  return sum;
}

function find(needle: string): number {
  return Buffer.from(mapped.buffer, mapped.byteOffset, mapped.length).indexOf(needle);
}

function sum(path: string): number {
  const bytes = fs.readFileSync(path);
  const values = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  let total = 0;
  for (const value of values) total += value;
  return Math.round(total);
}

function openClose(path: string, countWord: string): number {
  let sum = 0;
  const target = new Uint8Array(64 << 10);
  for (let i = 0; i < Number(countWord); i++) {
    const opened = fs.openSync(path, "r");
    fs.readSync(opened, target, 0, target.length, 0);
    sum += target[0]!;
    fs.closeSync(opened);
  }
  return sum;
}

function lock(countWord: string): number {
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < Number(countWord); i++) {
    if (Atomics.compareExchange(word, 0, 0, 1) !== 0) process.exit(1);
    Atomics.store(word, 0, 0);
  }
  return Number(countWord);
}

await serve({
  use,
  drop,
  copies,
  blocks,
  count,
  all: readAll,
  find,
  sum,
  "open-close": openClose,
  lock,
});
