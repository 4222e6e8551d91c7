/** The options of a journal, and their checks. */
import { checkInteger, checkOptionKeys, show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";
import { MAX_SIZE, MIN_SIZE } from "./layout.ts";

/** When what was appended is on the storage: see {@link JournalOptions}. */
export type Durability = "none" | "batch" | "every";

/** How {@link Journal.open} opens a journal. */
export interface JournalOptions {
  /**
   * - `"a+"` (default): read and append; made if it is not there.
   * - `"r+"`: read and append. The journal must exist.
   * - `"w+"`: make a journal without records, in place of one that is there.
   * - `"r"`: read, beside a writer or without.
   */
  mode?: "r" | "r+" | "w+" | "a+";
  /**
   * Bytes of each segment, a file that is allocated as a whole: 4096 to 2^31 - 8. A record must fit into
   * one. Default: that of the last segment there is, or 16 MiB. It counts for new segments.
   */
  size?: number;
  /**
   * When an appended record survives a loss of power. Any record that was appended survives the end of
   * the process, whatever this is.
   *
   * - `"every"` (default): before `append()` returns.
   * - `"batch"`: `batchMs` later at the latest, or as soon as `batchBytes` wait.
   * - `"none"`: after `sync()` or `close()`, and when the system likes.
   */
  durability?: Durability;
  /** Milliseconds that a record waits at most with `"batch"` and in `appendAsync()`. Default 5. */
  batchMs?: number;
  /** Bytes that wait at most with `"batch"` and in `appendAsync()`. Default 1 MiB. */
  batchBytes?: number;
  /** Permission bits of the files that are made, before the umask. Default 0o600. */
  permissions?: number;
}

const optionNames: readonly (keyof JournalOptions)[] = [
  "mode",
  "size",
  "durability",
  "batchMs",
  "batchBytes",
  "permissions",
];

/** The options with their defaults. */
export type CheckedOptions = Required<Omit<JournalOptions, "size">> & {
  readonly size: number | undefined;
};

/** Checks what was given. @throws {MMapInvalidParameterError} If an option is wrong. */
export function checkOptions(options: JournalOptions): CheckedOptions {
  checkOptionKeys("open a journal", options, optionNames);
  const { mode = "a+", durability = "every", size } = options;
  const { batchMs = 5, batchBytes = 1 << 20, permissions = 0o600 } = options;
  const reject = (name: string, value: unknown, allowed: string): never => {
    throw new MMapInvalidParameterError(
      `Cannot open a journal with ${name} ${show(value)}: ${allowed}`,
    );
  };
  if (!["r", "r+", "w+", "a+"].includes(mode)) {
    reject("mode", mode, 'it must be "r", "r+", "w+" or "a+"');
  }
  if (!["none", "batch", "every"].includes(durability)) {
    reject("durability", durability, 'it must be "none", "batch" or "every"');
  }
  if (size !== undefined && !(Number.isInteger(size) && size >= MIN_SIZE && size <= MAX_SIZE)) {
    reject("size", size, `give whole bytes of a segment, from ${MIN_SIZE} to ${MAX_SIZE}`);
  }
  if (!(typeof batchMs === "number" && batchMs >= 0 && batchMs <= 60_000)) {
    reject("batchMs", batchMs, "give milliseconds from 0 to 60000");
  }
  checkInteger("a number of bytes to flush together", batchBytes, 1);
  checkInteger("permission bits", permissions, 0);
  if (permissions > 0o7777) reject("permissions", permissions, "give at most 0o7777");
  return {
    mode,
    size: size === undefined ? undefined : Math.ceil(size / 8) * 8,
    durability,
    batchMs,
    batchBytes,
    permissions,
  };
}
