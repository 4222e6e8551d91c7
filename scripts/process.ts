/**
 * Runs commands for the scripts beside this file: each in a process group of its own, under a time
 * limit, and with nothing left running behind it, whatever the command started itself.
 */

/** How a command ended. */
export interface Outcome {
  readonly success: boolean;
  /** Empty on success, else a phrase such as "exited with code 1". */
  readonly reason: string;
  /** What it printed on stdout; empty when stdout was inherited. */
  readonly stdout: string;
  readonly seconds: number;
}

/** Options of {@linkcode run}. */
export interface RunOptions {
  readonly env?: Record<string, string>;
  /** Default: ten minutes. */
  readonly limitSeconds?: number;
  /** What becomes of stdout: printed (default), kept, or both. stderr is printed unless stdout is kept. */
  readonly stdout?: "inherit" | "keep" | "tee";
}

/** Groups that run now, to be ended together with this process. */
const running = new Set<number>();

/** What a group gets to end its own children before it is killed, and a pipe to be drained. */
const GRACE_MS = 2000;

const IS_WINDOWS = Deno.build.os === "windows";

/** Windows has no process groups to signal: there a process ends with what it has started. */
function signalGroup(pid: number, signal: Deno.Signal): void {
  if (IS_WINDOWS) {
    const args = ["/pid", String(pid), "/t", "/f"];
    new Deno.Command("taskkill", { args, stdout: "null", stderr: "null" }).outputSync();
    return;
  }
  try {
    Deno.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // the group has ended
  }
}

const ENDINGS: readonly [Deno.Signal, number][] = IS_WINDOWS
  ? [["SIGINT", 130]]
  : [["SIGINT", 130], ["SIGTERM", 143]];
for (const [signal, code] of ENDINGS) {
  Deno.addSignalListener(signal, () => {
    for (const pid of running) signalGroup(pid, "SIGTERM");
    Deno.exit(code);
  });
}

/** Reads a pipe to its end and returns its text, printing it on the way if asked. */
async function drain(
  pipe: ReadableStreamDefaultReader<Uint8Array>,
  print: boolean,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await pipe.read();
    if (done) return text;
    if (print) await writeAll(value);
    text += decoder.decode(value, { stream: true });
  }
}

async function writeAll(chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) done += await Deno.stdout.write(chunk.subarray(done));
}

/** Runs a command to its end and reports how it ended; throws only when it cannot be started. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { env = {}, limitSeconds = 600, stdout = "inherit" } = options;
  const [file = "", ...args] = command;
  const started = performance.now();
  const child = new Deno.Command(file, {
    args,
    env,
    detached: !IS_WINDOWS, // a group of its own
    stdin: "null",
    stdout: stdout === "inherit" ? "inherit" : "piped",
    stderr: stdout === "keep" ? "null" : "inherit",
  }).spawn();
  running.add(child.pid);

  let expired = false;
  let killer: ReturnType<typeof setTimeout> | undefined;
  const limiter = setTimeout(() => {
    expired = true;
    signalGroup(child.pid, "SIGTERM");
    killer = setTimeout(() => signalGroup(child.pid, "SIGKILL"), GRACE_MS);
  }, limitSeconds * 1000);

  const pipe = stdout === "inherit" ? undefined : child.stdout.getReader();
  const drained = pipe ? drain(pipe, stdout === "tee") : "";
  const status = await child.status;
  clearTimeout(limiter);
  clearTimeout(killer);
  if (!IS_WINDOWS) signalGroup(child.pid, "SIGKILL"); // what the command left behind
  // What left the group to be a daemon may still hold the pipe open: it is not waited for.
  const patience = setTimeout(() => pipe?.cancel(), GRACE_MS);
  const text = await drained;
  clearTimeout(patience);
  running.delete(child.pid);

  const reason = expired
    ? `did not end within ${limitSeconds} seconds`
    : status.signal
    ? `was ended by ${status.signal}`
    : `exited with code ${status.code}`;
  const success = status.success && !expired;
  return {
    success,
    reason: success ? "" : reason,
    stdout: text,
    seconds: (performance.now() - started) / 1000,
  };
}
