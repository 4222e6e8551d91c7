/** What others can do to named memory: it is a file that every process of the user may change. */
import fs from "node:fs";
import { type Kind, needed, oneOf } from "../shown.ts";
import { type AnyTable, functionTable } from "../table.ts";

/** Names of the sequence, with something behind them. */
function pathOf(endings: readonly string[]): Kind<string> {
  return needed(({ world, dice }) => {
    const value = `/dev/shm/${world.prefix}-${dice.between(0, 5)}${dice.pick(endings)}`;
    return { value, text: value };
  });
}

/** Owned names, too. */
const path = pathOf(["", "-owned"]);

/** Names that are taken away at the end, whoever has made them. */
const lasting = pathOf([""]);

const size = needed(oneOf(0, 1, 4095, 4096, 10_000, 65_536));

function isFile(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function remove(path: string): void {
  fs.rmSync(path, { force: true, recursive: true });
}

const named = functionTable({
  name: "named",
  weight: 0.3,
  owner: {
    resize: (path: string, size: number) => void (isFile(path) && fs.truncateSync(path, size)),
    remove,
    write: (path: string, size: number) => {
      if (isFile(path)) fs.writeFileSync(path, new Uint8Array(size).fill(7));
    },
    forbid: (path: string) => void (isFile(path) && fs.chmodSync(path, 0)),
    replaceByLink: (path: string) => {
      remove(path);
      fs.symlinkSync("/dev/null", path);
    },
  },
  functions: {
    resize: [path, size],
    remove: [path],
    write: [path, size],
    forbid: [path],
    replaceByLink: [lasting],
  },
});

/** The tables of this file. */
export const namedTables: readonly AnyTable[] = [named];
