/**
 * An append-only log in mapped files: what it has acknowledged survives crashes, what is torn is never
 * read. One writer, any number of readers in other processes.
 *
 * Not promised: that bits which rot on the disk are repaired. They are found, by CRC-32C, when they are
 * read or by `verify()`.
 *
 * @example
 * ```ts
 * import { Journal } from "@mman/mman/journal";
 * import { assertEquals } from "@std/assert";
 *
 * using journal = Journal.open(`${Deno.makeTempDirSync()}/log`, { durability: "every" });
 * assertEquals(journal.append(new Uint8Array([1, 2, 3])), 0);
 * for (const { sequence, bytes } of journal.readFrom(0)) {
 *   assertEquals([sequence, ...bytes], [0, 1, 2, 3]);
 * }
 * ```
 *
 * @module
 */
export { type JournalRecord } from "./cursor.ts";
export { Journal } from "./journal.ts";
export { type Durability, type JournalOptions } from "./options.ts";
export { type JournalDamage, type JournalReport } from "./verify.ts";
