/**
 * Rings in shared memory that survive `kill -9`: records that overwrite each other, queues, broadcasts.
 *
 * @example
 * ```ts
 * import { RecordRing } from "@mman/mman/ring";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/log`;
 * using ring = RecordRing.create(path, { capacity: 1000, recordSize: 16 });
 * ring.write(new TextEncoder().encode("started"));
 * assertEquals(ring.count, 1);
 * ```
 *
 * @module
 */
export { Broadcast } from "./broadcast.ts";
export {
  type BroadcastHandler,
  type BroadcastMessage,
  BroadcastReader,
} from "./broadcast_reader.ts";
export { type Claim, type Message, MessageQueue, type WriteOptions } from "./message_queue.ts";
export type { MessageData, MessageOptions } from "./messages.ts";
export type { MessageHandler } from "./consumer.ts";
export type { NewRingPlace, RingOptions, RingPlace } from "./ring_memory.ts";
export { type OpenRecordRingOptions, RecordRing, type RecordRingOptions } from "./record_ring.ts";
export * from "../journal/mod.ts";
