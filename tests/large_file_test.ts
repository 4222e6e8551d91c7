/** Files over 4 GiB: a sparse file of 24 GiB, mapped whole, against a model and plain file reading. */
import { test } from "node:test";
import fs from "node:fs";
import process from "node:process";
import { assertEquals, assertGreater } from "@std/assert";
import {
  MemoryMap,
  MMapError,
  MS_SYNC,
  PROT_READ,
  PROT_WRITE,
  type TypedArrayConstructor,
} from "../mod.ts";
import { openFd, pattern, random, type Skip, type TempDir, tempDir, utf8 } from "./helpers.ts";

const GiB = 2 ** 30;
const SIZE = 24 * GiB;

/** Every multiple of 4 GiB inside the file. */
const boundaries = [1, 2, 3, 4, 5].map((i) => i * 4 * GiB);

/** Bytes on each side of a boundary that the test touches and the model holds. */
const REACH = 64 * 1024;

/** The bytes around the boundaries as they should be. */
class Model {
  readonly #around: Map<number, Uint8Array> = new Map(
    boundaries.map((boundary) => [boundary, new Uint8Array(2 * REACH)]),
  );

  /** The model's own bytes of a range around `boundary`. */
  slice(boundary: number, offset: number, length: number): Uint8Array {
    const start = offset - boundary + REACH;
    return this.#around.get(boundary)!.subarray(start, start + length);
  }
}

const classes: TypedArrayConstructor<ArrayBufferView>[] = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  Float16Array,
];

/** A file of `SIZE` zeros that takes no room on the disk. */
function sparseFile(dir: TempDir): string {
  const path = dir.file("sparse");
  MemoryMap.open(path, { mode: "w+", offset: SIZE - 1, size: 1 }).close();
  return path;
}

/** Wine counts a mapped file as memory. */
function skipBelowFileSize(): Skip {
  using dir = tempDir();
  try {
    MemoryMap.open(sparseFile(dir), { mode: "r+" }).close();
    return false;
  } catch (error) {
    if (error instanceof MMapError && error.code === "ENOMEM") {
      return "needs a system that maps files larger than its memory";
    }
    throw error;
  }
}
const skip = process.platform === "win32" ? skipBelowFileSize() : false;

/** The bytes that a view shows, to read and to write. */
function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Plain file reading, of any length. */
function readFile(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const count = fs.readSync(fd, bytes, done, length - done, offset + done);
    if (count === 0) throw new Error(`The file ends at ${offset + done}`);
    done += count;
  }
  return bytes;
}

test("a thousand random reads, writes and views across the 4 GiB boundaries of a 24 GiB file", {
  skip,
}, () => {
  using dir = tempDir();
  const path = sparseFile(dir);
  using map = MemoryMap.open(path, { mode: "r+" });
  using file = openFd(path, "r+");
  assertEquals(map.size, SIZE);

  const next = random(24);
  const below = (limit: number) => Math.floor(next() * limit);
  const model = new Model();
  const done = { write: 0, read: 0, readInto: 0, typed: 0, dataView: 0, crossing: 0 };
  const kinds = Object.keys(done).filter((kind) => kind !== "crossing") as (keyof typeof done)[];
  for (let i = 0; i < 1000; i++) {
    const boundary = boundaries[below(boundaries.length)]!;
    const before = below(REACH);
    let offset = boundary - before;
    let length = below(2) === 0 ? below(200) : below(before + REACH);
    const kind = kinds[below(kinds.length)]!;
    const type = classes[below(classes.length)]!;
    if (kind === "typed") {
      offset -= offset % type.BYTES_PER_ELEMENT;
      length -= length % type.BYTES_PER_ELEMENT;
    }
    offset = Math.max(offset, boundary - REACH);
    length = Math.min(length, boundary + REACH - offset);
    if (offset < boundary && offset + length > boundary) done.crossing++;
    done[kind]++;

    const at = `${kind} of ${length} bytes at ${offset}`;
    const expected = model.slice(boundary, offset, length);
    const data = pattern(length, i);
    switch (kind) {
      case "write":
        assertEquals(map.write(data, offset), length, at);
        expected.set(data);
        break;
      case "read":
        assertEquals(map.read(length, offset), expected.slice(), at);
        break;
      case "readInto": {
        const target = new Uint8Array(length);
        assertEquals(map.readInto(target, offset), length, at);
        assertEquals(target, expected.slice(), at);
        break;
      }
      case "typed": {
        const view = map.asTypedArray(type, offset, length / type.BYTES_PER_ELEMENT);
        assertEquals(bytesOf(view), expected.slice(), at);
        bytesOf(view).set(data);
        expected.set(data);
        break;
      }
      default: {
        const view = map.asDataView(offset, length);
        assertEquals(bytesOf(view), expected.slice(), at);
        for (let j = 0; j < Math.min(length, 20); j++) {
          view.setUint8(length - 1 - j, data[j]!);
          expected[length - 1 - j] = data[j]!;
        }
      }
    }
    assertEquals(readFile(file.fd, offset, length), expected.slice(), `the file after ${at}`);
  }
  for (const [kind, count] of Object.entries(done)) {
    assertGreater(count, 100, `${kind} tried too seldom`);
  }
  map.msync();
  for (const boundary of boundaries) {
    const start = boundary - REACH;
    assertEquals(
      readFile(file.fd, start, 2 * REACH),
      model.slice(boundary, start, 2 * REACH).slice(),
    );
  }
});

test("a 24 GiB file from its first byte to its last", { skip }, () => {
  using dir = tempDir();
  const path = sparseFile(dir);
  using map = MemoryMap.open(path, { mode: "r+" });
  using file = openFd(path, "r");
  for (const offset of [0, 2 ** 31 - 2, 2 ** 32 - 2, 2 ** 33 - 1, SIZE - 4]) {
    map.write("here", offset);
    assertEquals(readFile(file.fd, offset, 4), utf8("here"), `${offset}`);
    assertEquals(map.asDataView(offset, 4).getUint32(0), 0x68657265);
  }
  const last = map.asTypedArray(BigUint64Array, SIZE - 8);
  assertEquals(last.length, 1);
  last[0] = 2n ** 64n - 1n;
  assertEquals(readFile(file.fd, SIZE - 8, 8), new Uint8Array(8).fill(255));
});

test("a window of a 24 GiB file at any offset over 4 GiB", () => {
  using dir = tempDir();
  const path = sparseFile(dir);
  using file = openFd(path, "r+");
  for (const offset of [4 * GiB - 3, 4 * GiB, 8 * GiB + 4097, 23 * GiB + 1, SIZE - 100]) {
    using map = MemoryMap.open(path, { mode: "r+", offset, size: 100 });
    assertEquals([map.offset, map.size], [offset, 100]);
    map.write(pattern(100, offset % 1000));
    map.msync();
    assertEquals(readFile(file.fd, offset, 100), pattern(100, offset % 1000));
    using same = MemoryMap.createFileMapping(file.fd, offset, 100);
    assertEquals(same.read(100), map.read(100));
  }
});

test('MemoryMap.open() with "w+" and "r+" makes files over 4 GiB', () => {
  using dir = tempDir();
  const path = dir.file("sparse");
  {
    using map = MemoryMap.open(path, { mode: "w+", size: 5 * GiB + 1 });
    map.write("!", 5 * GiB);
  }
  assertEquals(fs.statSync(path).size, 5 * GiB + 1);
  {
    using map = MemoryMap.open(path, { mode: "r+", offset: 5 * GiB, size: 4 * GiB });
    assertEquals(map.read(2), utf8("!\0"));
  }
  assertEquals(fs.statSync(path).size, 9 * GiB);
});

test("mprotect(), msync() and mlock() of ranges over 4 GiB", { skip }, () => {
  using dir = tempDir();
  const path = sparseFile(dir);
  using map = MemoryMap.open(path, { mode: "r+" });
  const offset = 12 * GiB + 5;
  map.write("content", offset);
  map.msync(MS_SYNC, offset, 7);
  map.mlock(offset, 7);
  map.munlock(offset, 7);
  map.mprotect(PROT_READ, offset, 7);
  assertEquals(map.read(7, offset), utf8("content"));
  map.mprotect(PROT_READ | PROT_WRITE, 4 * GiB, 12 * GiB);
  assertEquals(map.write("CONTENT", offset), 7);
  map.msync(MS_SYNC, 4 * GiB + 1);
});
