/**
 * A journal's storage in memory that loses power. It keeps, for every page of 4 KiB that was stored to
 * since its last flush, each content that it has had: any of them may be what is found afterwards. The
 * same for names of files that were changed and not flushed: any of the changes may be lost.
 */
import { MMapError } from "../mod.ts";
import { runtime } from "../src/ffi/runtime.ts";
import { crc32cOf } from "../src/journal/crc32c.ts";
import type { SegmentFile, Storage, Watch } from "../src/journal/storage.ts";

const PAGE = 4096;

/** Chooses what of a page is found: one of its contents, the oldest first, which was flushed. */
export type Choice = (contents: number) => number;

/** What a file is, whatever its name. */
class Inode {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** By page: its contents since the last flush. */
  readonly unflushed: Map<number, Uint8Array[]> = new Map();

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
  }

  page(number: number): Uint8Array {
    return this.bytes.slice(number * PAGE, (number + 1) * PAGE);
  }

  /** Makes a change within a range. */
  store(offset: number, length: number, change: () => void): void {
    if (length === 0) return;
    const first = Math.floor(offset / PAGE);
    const last = Math.floor((offset + length - 1) / PAGE);
    for (let page = first; page <= last; page++) {
      if (!this.unflushed.has(page)) this.unflushed.set(page, [this.page(page)]);
    }
    change();
    for (let page = first; page <= last; page++) this.unflushed.get(page)!.push(this.page(page));
  }

  flush(offset: number, length: number): void {
    const end = offset + length;
    for (let page = Math.floor(offset / PAGE); page * PAGE < end; page++) {
      this.unflushed.delete(page);
    }
  }

  /** What is found after a loss of power. */
  after(choose: Choice): Inode {
    const found = new Inode(this.bytes.slice());
    for (const [page, contents] of this.unflushed) {
      found.bytes.set(contents[choose(contents.length)]!, page * PAGE);
    }
    return found;
  }
}

class SimulatedFile implements SegmentFile {
  readonly #inode: Inode;
  readonly #happened: () => void;
  readonly size: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
  readonly #crc: (offset: number, length: number) => number;

  constructor(inode: Inode, happened: () => void) {
    this.#inode = inode;
    this.#happened = happened;
    this.bytes = inode.bytes;
    this.size = inode.bytes.length;
    this.words = new Int32Array(this.bytes.buffer);
    // So large that no engine has it in a heap where things move.
    this.#crc = crc32cOf(this.bytes, runtime().addressOf(this.bytes));
  }

  #store(offset: number, length: number, change: () => void): void {
    this.#inode.store(offset, length, change);
    this.#happened();
  }

  put(offset: number, bytes: Uint8Array): void {
    this.#store(offset, bytes.length, () => this.bytes.set(bytes, offset));
  }
  putWord(offset: number, value: number): void {
    this.#store(offset, 4, () => this.words[offset / 4] = value);
  }
  putPair(offset: number, first: number, second: number): void {
    this.#store(offset, 8, () => this.words.set([first, second], offset / 4));
  }
  release(offset: number, value: number): void {
    this.putWord(offset, value);
  }
  acquire(offset: number): number {
    return this.words[offset / 4]!;
  }
  zero(offset: number, length: number): void {
    this.#store(offset, length, () => this.bytes.fill(0, offset, offset + length));
  }
  crc(offset: number, length: number): number {
    return this.#crc(offset, length) | 0;
  }
  flush(offset: number, length: number): void {
    this.#inode.flush(offset, length);
    this.#happened();
  }
  flushAsync(offset: number, length: number): Promise<void> {
    this.flush(offset, length);
    return Promise.resolve();
  }
  discard(offset: number, length: number): void {
    this.zero(offset, length);
  }
  wake(): void {}
  close(): void {}
}

/** See the top of the file. */
export class SimulatedDisk implements Storage {
  /** Called after every store, flush and change of a name. */
  happened: () => void = () => {};
  readonly #names: Map<number, Inode>;
  /** As they are on the storage. */
  #flushedNames: Map<number, Inode>;
  /** Changes of names since then. */
  #changes: ((names: Map<number, Inode>) => void)[] = [];
  #fresh: Inode | undefined;
  #locked = false;

  constructor(names: Map<number, Inode> = new Map()) {
    this.#names = names;
    this.#flushedNames = new Map(names);
  }

  /** Pages that may be old or new, and names. */
  get uncertain(): number {
    const inodes = new Set([...this.#names.values(), ...this.#flushedNames.values()]);
    return [...inodes].reduce((sum, inode) => sum + inode.unflushed.size, this.#changes.length);
  }

  /** What is found after a loss of power: a disk of its own. */
  afterPowerLoss(choose: Choice): SimulatedDisk {
    const names = new Map(this.#flushedNames);
    for (const change of this.#changes) if (choose(2) === 1) change(names);
    const found = new Map<number, Inode>();
    for (const [number, inode] of names) found.set(number, inode.after(choose));
    return new SimulatedDisk(found);
  }

  /** The process that has it open has been killed; everything it has stored is there. */
  afterKill(): void {
    this.#locked = false;
    this.happened = () => {};
  }

  /** The bytes of a segment, to be looked at or spoilt. */
  bytes(number: number): Uint8Array {
    return this.#names.get(number)!.bytes;
  }

  #file(inode: Inode): SimulatedFile {
    return new SimulatedFile(inode, () => this.happened());
  }

  #change(change: (names: Map<number, Inode>) => void): void {
    change(this.#names);
    this.#changes.push(change);
    this.happened();
  }

  name(number: number): string {
    return `segment ${number}`;
  }
  list(): number[] {
    return [...this.#names.keys()].sort((a, b) => a - b);
  }
  open(number: number): SegmentFile {
    const inode = this.#names.get(number);
    if (inode === undefined) {
      throw new MMapError(`Cannot open segment ${number}: it is not there`, { code: "ENOENT" });
    }
    return this.#file(inode);
  }
  make(size: number): SegmentFile {
    return this.#file(this.#fresh = new Inode(new Uint8Array(size)));
  }
  settle(number: number): void {
    const inode = this.#fresh!;
    this.#fresh = undefined;
    this.#change((names) => names.set(number, inode));
  }
  abandon(): void {
    this.#fresh = undefined;
  }
  remove(number: number): void {
    this.#change((names) => names.delete(number));
  }
  flushNames(): void {
    this.#flushedNames = new Map(this.#names);
    this.#changes = [];
    this.happened();
  }
  lock(): { close(): void } {
    if (this.#locked) throw new Error("It is locked");
    this.#locked = true;
    return { close: () => void (this.#locked = false) };
  }
  watch(): Watch {
    throw new Error("Nobody else is there to wait for");
  }
}
