/** The files that the rows work on, and their state in the page cache. */

/** Names that stand for paths in requests. */
export const TEXT = "TEXT";
/** 4 GiB. */
export const LARGE = "LARGE";
/** 240 MB of doubles. */
export const DOUBLES = "DOUBLES";
/** The same numbers as text, one a line. */
export const DOUBLES_TEXT = "DOUBLES_TEXT";
/** 2 GiB of 16-bit integers. */
export const INTEGERS = "INTEGERS";
/** 64 KiB. */
export const SMALL = "SMALL";
/** Numbers of blocks to read at random. */
export const BLOCKS_LIST = "BLOCKS";
/** Fewer of them. */
export const COLD_LIST = "COLD";
/** A file that rows make. */
export const SPARSE = "SPARSE";
/** What lies at the end of the text, in one word. */
export const NEEDLE = "<needle16-bytes>";

const BLOCK = 4096;
const PIECE = 4 << 20;
const GiB = 2 ** 30;

/** Fills a piece of a file; `at` is the piece's place in it. */
type Filler = (piece: DataView<ArrayBuffer>, at: number) => void;

/** Numbers that look random, the same each time: a linear congruential generator. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => (state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0) >>> 8;
}

async function write(path: string, size: number, fillPiece: Filler): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (let at = 0; at < size; at += PIECE) {
    const piece = new Uint8Array(Math.min(PIECE, size - at));
    fillPiece(new DataView(piece.buffer), at);
    for (let done = 0; done < piece.length;) done += await file.write(piece.subarray(done));
  }
  await file.sync();
}

function doubles(piece: DataView): void {
  const next = sequence(7);
  for (let i = 0; i < piece.byteLength; i += 8) piece.setFloat64(i, next() & 1023, true);
}

/** The numbers of a file of doubles as text. */
async function writeText(path: string, from: string): Promise<void> {
  using source = await Deno.open(from);
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const piece = new Uint8Array(PIECE);
  for (let length; (length = await source.read(piece)) !== null;) {
    if (length % 8 !== 0) throw new Error(`Read ${length} bytes of ${from}: not whole doubles`);
    const lines = new Float64Array(piece.buffer, 0, length / 8).join("\n");
    const bytes = new TextEncoder().encode(`${lines}\n`);
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  }
}

function integers(piece: DataView, at: number): void {
  const next = sequence(at + 1);
  for (let i = 0; i < piece.byteLength; i += 2) {
    const spread = (next() & 0xffff) - 0x8000;
    piece.setInt16(i, spread * (next() & 0xfff) >> 12, true);
  }
}

/** Words and lines of about 80 bytes. */
function text(piece: DataView, at: number): void {
  const next = sequence(at + 1);
  let line = 0;
  for (let i = 0; i < piece.byteLength; i++) {
    const number = next();
    const ends = line > 60 + number % 40;
    piece.setUint8(i, ends ? 10 : number % 6 === 0 ? 32 : 97 + number % 26);
    line = ends ? 0 : line + 1;
  }
}

async function writeNumbers(path: string, count: number, blocks: number): Promise<void> {
  const next = sequence(count);
  const numbers = Uint32Array.from({ length: count }, () => next() % blocks);
  await Deno.writeFile(path, new Uint8Array(numbers.buffer));
}

/** The paths of the files in a folder, by the names that stand for them. */
export class Files {
  readonly #folder: string;
  /** A divisor for the sizes of large files, for a smoke run. */
  readonly #part: number;
  readonly #made = new Set<string>();

  constructor(folder: string, part: number) {
    this.#folder = folder;
    this.#part = part;
  }

  path(name: string): string {
    return `${this.#folder}/${name.toLowerCase()}`;
  }

  /** A request with paths for the names in it; makes the files. */
  async resolve(request: string): Promise<string> {
    const makers: Record<string, (path: string) => Promise<void>> = {
      [TEXT]: async (path) => {
        await write(path, GiB / this.#part, text);
        const needle = new TextEncoder().encode(NEEDLE);
        using file = await Deno.open(path, { write: true });
        await file.seek(GiB / this.#part - needle.length, Deno.SeekMode.Start);
        await file.write(needle);
      },
      [LARGE]: (path) => write(path, 4 * GiB / this.#part, integers),
      [DOUBLES]: (path) => write(path, 240e6 / this.#part, doubles),
      [DOUBLES_TEXT]: async (path) => await writeText(path, await this.resolve(DOUBLES)),
      [INTEGERS]: (path) => write(path, 2 * GiB / this.#part, integers),
      [SMALL]: (path) => write(path, 64 << 10, doubles),
      [BLOCKS_LIST]: (path) => writeNumbers(path, 100_000 / this.#part, this.#blocks()),
      [COLD_LIST]: (path) => writeNumbers(path, Math.ceil(3000 / this.#part), this.#blocks()),
      [SPARSE]: () => Promise.resolve(),
    };
    const words = request.split(" ").map(async (word) => {
      const make = makers[word];
      if (make === undefined) return word;
      const path = this.path(word);
      if (!this.#made.has(word)) {
        this.#made.add(word);
        await make(path);
      }
      return path;
    });
    return (await Promise.all(words)).join(" ");
  }

  #blocks(): number {
    return 4 * GiB / this.#part / BLOCK;
  }

  /** Brings a file into the page cache from its start to its end. */
  async readInOrder(name: string): Promise<void> {
    using file = await Deno.open(this.path(name));
    const buffer = new Uint8Array(1 << 20);
    while (await file.read(buffer) !== null);
  }
}

/**
 * Empties the page cache of the machine.
 *
 * @throws {Error} Without the rights of root.
 */
export async function dropCaches(): Promise<void> {
  await new Deno.Command("sync").output();
  await Deno.writeTextFile("/proc/sys/vm/drop_caches", "3");
}
