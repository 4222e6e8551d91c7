/**
 * Safetensors files, zero copy: each tensor is an array over the file's bytes.
 *
 *   0           8                    8 + N
 *   +-----------+--------------------+-----------------------------+
 *   | N, u64 LE | header: N of JSON  | tensors, one after the other ...
 */
import { MemoryMap, MMapInvalidParameterError } from "../../mod.ts";
import { MappedArray, type NdArray } from "../../src/ndarray/mod.ts";

const LENGTH_BYTES = 8;
/** As the format's own reader has it. */
const MAX_HEADER_BYTES = 100_000_000;

/** The format's names of types, and NumPy's. BF16 has none: its bits come as 16-bit integers. */
const DTYPES: Readonly<Record<string, string>> = {
  BOOL: "?",
  U8: "u1",
  I8: "i1",
  U16: "<u2",
  I16: "<i2",
  U32: "<u4",
  I32: "<i4",
  U64: "<u8",
  I64: "<i8",
  F16: "<f2",
  BF16: "<u2",
  F32: "<f4",
  F64: "<f8",
};

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Whether something from a header tells of a tensor; its shape and type are checked when it is used. */
function isEntry(value: unknown): value is Entry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Partial<Entry>;
  return typeof dtype === "string" && Array.isArray(shape) && Array.isArray(offsets) &&
    offsets.length === 2 && offsets.every((offset) => Number.isSafeInteger(offset) && offset >= 0);
}

/** The tensors of a file; closing it ends them all. */
export class Safetensors implements Disposable {
  readonly #map: MemoryMap;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #start: number;

  constructor(path: string | URL) {
    this.#map = MemoryMap.open(path);
    try {
      const { entries, start } = readHeader(this.#map);
      this.#entries = entries;
      this.#start = start;
    } catch (error) {
      this.#map.close();
      throw error;
    }
  }

  /** The tensors' names. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** The file's bytes. */
  get map(): MemoryMap {
    return this.#map;
  }

  /** A tensor, zero copy. */
  get(name: string): NdArray {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      throw new MMapInvalidParameterError(
        `Cannot find tensor ${JSON.stringify(name)}: there are ${this.names.join(", ")}`,
      );
    }
    const { dtype, shape, data_offsets: [begin, end] } = entry;
    const array = MappedArray.over(this.#map, {
      dtype: DTYPES[dtype] ?? dtype,
      shape,
      byteOffset: this.#start + begin,
    });
    if (array.size * array.itemSize !== end - begin) {
      throw new MMapInvalidParameterError(
        `Cannot view tensor ${JSON.stringify(name)}: its shape takes ` +
          `${array.size * array.itemSize} bytes, its offsets ${end - begin}`,
      );
    }
    return array as NdArray;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#map.close();
  }
}

function readHeader(map: MemoryMap): { entries: Map<string, Entry>; start: number } {
  const refuse = (why: string): never => {
    throw new MMapInvalidParameterError(`Cannot open a safetensors file: ${why}`);
  };
  if (map.size < LENGTH_BYTES) refuse(`it has ${map.size} bytes`);
  const length = map.asDataView(0, LENGTH_BYTES).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES || length > map.size - LENGTH_BYTES) {
    refuse(`its header says that it has ${length} bytes`);
  }
  const start = LENGTH_BYTES + Number(length);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(map.read(Number(length), LENGTH_BYTES)));
  } catch {
    refuse("its header is no JSON");
  }
  const entries = new Map<string, Entry>();
  for (const [name, entry] of Object.entries(header ?? {})) {
    if (name === "__metadata__") continue;
    if (!isEntry(entry)) return refuse(`its header does not tell where ${JSON.stringify(name)} is`);
    entries.set(name, entry);
  }
  return { entries, start };
}

/** Writes a file of tensors. */
export function writeSafetensors(
  path: string | URL,
  tensors: Readonly<Record<string, { dtype: string; shape: readonly number[]; bytes: Uint8Array }>>,
): void {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const data_offsets = [end, end += bytes.length];
    return [name, { dtype, shape, data_offsets }];
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  // Spaces behind the header align the tensors to eight bytes.
  const header = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  using map = MemoryMap.open(path, { mode: "w+", size: LENGTH_BYTES + header.length + end });
  map.asDataView().setBigUint64(0, BigInt(header.length), true);
  map.write(header, LENGTH_BYTES);
  let offset = LENGTH_BYTES + header.length;
  for (const { bytes } of Object.values(tensors)) offset += map.write(bytes, offset);
}
