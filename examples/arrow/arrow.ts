/** Apache Arrow's IPC files, zero copy: the columns of a table are the bytes of a map. */
import { type Table, tableFromIPC } from "apache-arrow";
import { MemoryMap, type OpenOptions } from "../../mod.ts";

/** A table and the map that it lies in; the table is empty once the map is closed. */
export interface MappedTable extends Disposable {
  readonly table: Table;
  readonly map: MemoryMap;
}

/**
 * Opens an Arrow IPC file.
 *
 * @param options By default read only. With `"r+"`, what is written to the columns' buffers is written to the
 * file, and with `"c"` to a copy.
 */
export function openArrow(path: string | URL, options: OpenOptions = {}): MappedTable {
  const map = MemoryMap.open(path, options);
  try {
    return { table: tableFromIPC(map.bytes), map, [Symbol.dispose]: () => map.close() };
  } catch (error) {
    map.close();
    throw error;
  }
}
