/**
 * An Arrow IPC file that is read in place: by `apache-arrow` over a map, changed through the map, and
 * read back by another reader, `@uwdata/flechette`.
 */
import fs from "node:fs";
import { tableFromArrays, tableToIPC } from "apache-arrow";
import { tableFromIPC as readWithFlechette } from "@uwdata/flechette";
import { TemporaryFolder } from "../common/folder.ts";
import { openArrow } from "./arrow.ts";

if (import.meta.main) {
  using folder = new TemporaryFolder();
  const file = folder.file("ticks.arrow");
  const length = 1_000_000;
  const value = Float64Array.from({ length }, (_, i) => i / 2);
  const index = Int32Array.from({ length }, (_, i) => i);
  fs.writeFileSync(file, tableToIPC(tableFromArrays({ index, value }), "file"));
  {
    using mapped = openArrow(file, { mode: "r+" });
    const column = mapped.table.getChild("value")!;
    const { values } = column.data[0]!;
    console.log(
      `${mapped.table.numRows} rows; in the map: ${values.buffer === mapped.map.buffer}`,
    );
    values[7] = -1; // a store to the file
  }
  const again = readWithFlechette(new Uint8Array(fs.readFileSync(file)));
  console.log(`flechette reads ${again.getChild("value").at(7)} in row 7`);
}
