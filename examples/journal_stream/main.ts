/**
 * A journal that feeds an existing stream server. Who outgrows one machine keeps the same records: a
 * program appends its events to a journal, at the price of a memory copy, and another process forwards
 * them to a Redis stream.
 *
 * To show that nothing is lost or doubled, the forwarder is killed again and again in the middle of its work.
 * In the end the stream has exactly the records of the journal.
 *
 *   deno run -A examples/journal_stream/main.ts
 *
 * Redis comes from Debian's packages unless it is installed; where it cannot be had, the example says so.
 */
import { Journal } from "../../src/journal/mod.ts";
import { Client, findServer, type Server, startServer } from "./redis.ts";

const STREAM = "events";
const EVENTS = 20_000;
const KILLS = 5;

/** A forwarder that runs. */
function startForwarder(journal: string, port: number): Deno.ChildProcess {
  const script = new URL("./forwarder.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-config", script, journal, `${port}`, STREAM],
    stdout: "piped",
  }).spawn();
}

/** Waits until the forwarder has connected; where it goes on. */
async function goesOnAt(forwarder: Deno.ChildProcess): Promise<number> {
  const reader = forwarder.stdout.getReader();
  const { value = new Uint8Array() } = await reader.read();
  await reader.cancel();
  return parseInt(new TextDecoder().decode(value));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The entries of the stream. */
async function lengthOf(client: Client): Promise<number> {
  return await client.call("XLEN", STREAM) as number;
}

async function feed(folder: string, server: Server): Promise<void> {
  const path = `${folder}/events`;
  await using client = await Client.connect(server.port);
  using journal = Journal.open(path, { durability: "batch", size: 1 << 20 });
  const eventOf = (sequence: number) => JSON.stringify({ order: sequence, amount: sequence % 97 });

  for (let life = 0; life <= KILLS; life++) {
    const forwarder = startForwarder(path, server.port);
    try {
      console.log(`forwarder ${life + 1} goes on at event ${await goesOnAt(forwarder)}`);
      const share = Math.ceil(EVENTS / (KILLS + 1));
      const end = Math.min(journal.nextSequence + share, EVENTS);
      while (journal.nextSequence < end) {
        await journal.appendAsync(eventOf(journal.nextSequence));
        for (let i = 0; i < 500 && journal.nextSequence < end; i++) {
          journal.append(eventOf(journal.nextSequence));
        }
      }
      if (life < KILLS) await pause(20 + Math.random() * 50); // somewhere in the middle
      else await caughtUp(client);
    } finally {
      forwarder.kill("SIGKILL");
      await forwarder.status;
    }
    console.log(`  killed with ${await lengthOf(client)} of ${journal.nextSequence} events sent`);
  }

  const entries = await client.call("XRANGE", STREAM, "-", "+") as [string, [string, string]][];
  let sequence = 0;
  for (const { bytes } of journal.readFrom(0)) {
    const [id, [, event]] = entries[sequence]!;
    const same = id === `${sequence + 1}-0` && event === new TextDecoder().decode(bytes);
    if (!same) throw new Error(`Entry ${id} of the stream is not record ${sequence}`);
    sequence++;
  }
  if (sequence !== EVENTS || entries.length !== EVENTS) {
    throw new Error(`${EVENTS} events, ${sequence} records, ${entries.length} entries`);
  }
  // What the server has can be taken away here.
  journal.removeBefore(journal.nextSequence);
  console.log(`${entries.length} events in the stream, in order, none lost or doubled`);
}

/** Waits until everything was sent. */
async function caughtUp(client: Client): Promise<void> {
  const until = performance.now() + 60_000;
  while (await lengthOf(client) < EVENTS) {
    if (performance.now() > until) throw new Error("The forwarder has not caught up in a minute");
    await pause(10);
  }
}

/** The command of a server; undefined, and a line that says why, if there is none to be had. */
async function serverOrReason(): Promise<string[] | undefined> {
  try {
    return await findServer();
  } catch (error) {
    console.log(`Skipped, no Redis: ${error instanceof Error ? error.message : error}`);
    console.log("0 passed, 0 failed, 1 skipped");
    return undefined;
  }
}

const command = await serverOrReason();
if (command !== undefined) {
  const folder = await Deno.makeTempDir({ prefix: "mman-journal-stream-" });
  try {
    await using server = await startServer(command, folder);
    await feed(folder, server);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
