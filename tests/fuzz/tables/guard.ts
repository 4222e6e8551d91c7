/** What the fault guard says of itself. */
import { guardStatus } from "../../../src/guard/mod.ts";
import { type AnyTable, functionTable } from "../table.ts";

/** Faults counted so far: never fewer than before. */
let faults = 0;

const guard = functionTable({
  name: "guard",
  weight: 0.2,
  owner: {
    guardStatus: () => {
      const status = guardStatus();
      const isSane = status.active === (status.reason === undefined) && status.faults >= faults;
      if (!isSane) throw new Error(`guardStatus() says ${JSON.stringify(status)} after ${faults}`);
      faults = status.faults;
      return status;
    },
  },
  functions: { guardStatus: [] },
});

/** The tables of this file. */
export const guardTables: readonly AnyTable[] = [guard];
