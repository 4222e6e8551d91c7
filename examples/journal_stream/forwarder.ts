/**
 * Feeds a Redis stream from a journal, in a process of its own. Arguments: journal, port, stream.
 *
 * The ID of an entry follows from the sequence of its record, so that the stream itself says where to go on,
 * and a record that was sent before this process was killed is refused the second time.
 */
import process from "node:process";
import { Journal } from "../../src/journal/mod.ts";
import { Client } from "./redis.ts";

const ON_THEIR_WAY = 64;

const [path = "", port = "", stream = ""] = process.argv.slice(2);
const client = await Client.connect(Number(port));
const [last] = await client.call("XREVRANGE", stream, "+", "-", "COUNT", "1") as [[string]?];
// IDs begin with 1: sequence 0 is entry 1-0.
const next = last === undefined ? 0 : Number(last[0].split("-")[0]);
console.log(next);

const journal = Journal.open(path, { mode: "r" });
const sent: Promise<unknown>[] = [];
for await (const { sequence, bytes } of journal.tail(next)) {
  // The server answers in order: some may be on their way together.
  sent.push(client.call("XADD", stream, `${sequence + 1}-0`, "event", bytes));
  if (sent.length === ON_THEIR_WAY) await sent.shift();
}
