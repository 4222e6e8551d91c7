/** Everything that is called. A new class is a table in a file here, and a line below. */
import type { AnyTable } from "../table.ts";
import { cursorTables } from "./cursor.ts";
import { environmentTables } from "./environment.ts";
import { guardTables } from "./guard.ts";
import { journalTables } from "./journal.ts";
import { memoryMapTables } from "./memory_map.ts";
import { ndarrayTables } from "./ndarray.ts";
import { namedTables } from "./named.ts";
import { poolTables } from "./pool.ts";
import { recordTables } from "./records.ts";
import { regionTables } from "./region.ts";
import { ringTables } from "./ring.ts";
import { syncTables } from "./sync.ts";
import { viewTables } from "./views.ts";

/** All tables. */
export const tables: readonly AnyTable[] = [
  ...memoryMapTables,
  ...cursorTables,
  ...recordTables,
  ...ndarrayTables,
  ...viewTables,
  ...syncTables,
  ...regionTables,
  ...guardTables,
  ...namedTables,
  ...ringTables,
  ...journalTables,
  ...poolTables,
  ...environmentTables,
];
