/**
 * The second showcase: records in a file, written through a shared map and read back without one,
 * then drawn. Runs alone: `examples/gallery/medium.ts [--out folder]`.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryMap } from "../../mod.ts";
import { byteChart, type Field, type IndexedValue, saveChart, valueChart } from "./charts.ts";
import { heading, runFromCommandLine, verify } from "./showcase.ts";

/**
 * A record is Python's struct `<Id`: little-endian, packed.
 *
 *   0               4                               12
 *   +---------------+-------------------------------+
 *   |  index (u32)  |          value (f64)          |
 *   +---------------+-------------------------------+
 */
const INDEX_OFFSET = 0;
const INDEX_LENGTH = 4;
const VALUE_OFFSET = INDEX_OFFSET + INDEX_LENGTH;
const VALUE_LENGTH = 8;
const RECORD_LENGTH = VALUE_OFFSET + VALUE_LENGTH;

const FIELDS: Field[] = [
  { label: "index: u32", length: INDEX_LENGTH },
  { label: "value: f64", length: VALUE_LENGTH },
];

const FILE_NAME = "records.bin";
const RECORD_COUNT = 16;
const FILE_LENGTH = RECORD_COUNT * RECORD_LENGTH;
const DRAWN_ROWS = 8;

/** A swing that fades: positive and negative values, and bytes of all sorts. */
export function sampleRecords(): IndexedValue[] {
  return Array.from({ length: RECORD_COUNT }, (_, index) => ({
    index,
    value: 100 * Math.exp(-index / 8) * Math.cos(2 * Math.PI * index / 7),
  }));
}

/** Decodes a file's bytes by means that share nothing with the writing side. */
function decodeRecords(file: Buffer): IndexedValue[] {
  return Array.from({ length: file.length / RECORD_LENGTH }, (_, i) => ({
    index: file.readUInt32LE(i * RECORD_LENGTH + INDEX_OFFSET),
    value: file.readDoubleLE(i * RECORD_LENGTH + VALUE_OFFSET),
  }));
}

/** Writes the records, verifies the file and draws its values and bytes. */
export async function medium(folder: string): Promise<string[]> {
  heading("Medium: records in a shared file map");
  const records = sampleRecords();
  const path = join(folder, FILE_NAME);

  using map = MemoryMap.open(path, { mode: "w+", size: FILE_LENGTH });
  const view = map.asDataView();
  for (const [i, { index, value }] of records.entries()) {
    view.setUint32(i * RECORD_LENGTH + INDEX_OFFSET, index, true);
    view.setFloat64(i * RECORD_LENGTH + VALUE_OFFSET, value, true);
  }
  map.msync();

  const file = readFileSync(path);
  verify(
    map.size === FILE_LENGTH && file.length === FILE_LENGTH,
    `wrote and synced ${records.length} records of ${RECORD_LENGTH} bytes: ${path} has ${file.length} bytes`,
  );
  const decoded = decodeRecords(file);
  const matching = records.filter(({ index, value }, i) =>
    decoded[i]?.index === index && decoded[i]?.value === value
  );
  verify(
    matching.length === RECORD_COUNT,
    `node:fs alone reads the same ${matching.length} records, the map still being open`,
  );
  map.close();
  verify(readFileSync(path).equals(file), "the file is the same after the map was closed");

  const rows = decoded.slice(0, DRAWN_ROWS);
  const valuesPaths = await saveChart(
    folder,
    "values",
    valueChart(
      `Values of ${decoded.length} records written through a shared file map`,
      `${FILE_NAME}, read back with node:fs: ` +
        `${decoded.length} × ${RECORD_LENGTH} bytes (struct <Id) = ${file.length} bytes`,
      decoded,
    ),
  );
  const bytesPaths = await saveChart(
    folder,
    "bytes",
    byteChart(
      `Bytes of the first ${rows.length} records`,
      `${FILE_NAME}, bytes 0 to ${rows.length * RECORD_LENGTH - 1} in hexadecimal, ` +
        "fields packed and little-endian (struct <Id)",
      FIELDS,
      rows.map(({ index, value }, row) => ({
        label: `record ${row}, at byte ${row * RECORD_LENGTH}`,
        bytes: file.subarray(row * RECORD_LENGTH, (row + 1) * RECORD_LENGTH),
        meaning: `${index}, ${value.toFixed(3)}`,
      })),
    ),
  );
  return [...valuesPaths, ...bytesPaths];
}

if (import.meta.main) await runFromCommandLine(medium);
