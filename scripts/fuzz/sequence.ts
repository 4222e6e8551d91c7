/**
 * Runs one sequence of calls (`tests/fuzz/child.ts`) in a process of its own and judges how it ended:
 * by a signal, not at all, with errors that are none of the library's, or with something left behind.
 */
import type { Summary } from "../../tests/fuzz/child.ts";
import type { Tally } from "../../tests/fuzz/driver.ts";
import type { Finding } from "../../tests/fuzz/world.ts";
import type { Runtime, RuntimeName } from "../runtimes.ts";
import { describeThreads, starvation, type Threads, threadsOf } from "./threads.ts";

/**
 * Without a call in this time a process counts as hanging. Time in which the machine had no processor for
 * one of its threads does not count.
 */
const PATIENCE_SECONDS = 60;
/** This long at the most, however busy the machine is. */
const LONGEST_SECONDS = 300;

/** Where named memory is. */
const SHARED_MEMORY = "/dev/shm";

/** What to run. */
export interface Sequence {
  readonly runtime: Runtime;
  readonly seed: number;
  /** Calls. */
  readonly count: number;
  /** The calls to make, such as `0-20,35`; all of them if missing. */
  readonly only?: string | undefined;
}

/** How a sequence went. */
export interface Verdict {
  readonly calls: number;
  readonly tally: Tally;
  readonly findings: readonly Finding[];
  /** The lines of the log that are calls. */
  readonly log: readonly string[];
}

/** How each runtime starts a program that collects garbage when asked. */
const STARTS: Readonly<Record<RuntimeName, readonly string[]>> = {
  deno: ["run", "--no-config", "--no-prompt", "--v8-flags=--expose-gc", "-A"],
  bun: ["run"],
  node: ["--expose-gc", "--disable-warning=ExperimentalWarning"],
};

/** Runs a sequence to its end. */
export async function runSequence(sequence: Sequence): Promise<Verdict> {
  const folder = await Deno.makeTempDir({ prefix: "mman-fuzz-" });
  const prefix = folder.replace(/.*\//, "");
  try {
    const work = `${folder}/work`;
    const log = `${folder}/log`;
    await Deno.mkdir(work);
    await Deno.writeTextFile(log, "");
    const { pid, ended, complaint } = await runChild(sequence, work, log, prefix);
    const verdict = readLog(await Deno.readTextFile(log));
    const found = [...verdict.findings];
    if (ended === "" && !verdict.isComplete) {
      found.push({ call: verdict.lastCall, what: "death without a signal: the log has no end" });
    }
    if (ended !== "") found.push({ call: verdict.lastCall, what: `${ended}${complaint}` });
    else found.push(...(await leftBehind(pid, prefix)).map((what) => ({ call: -1, what })));
    return { ...verdict, findings: found };
  } finally {
    await removeShared(prefix);
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts the process and waits for its end, which is empty if all went well. */
async function runChild(
  { runtime: { name, path }, seed, count, only }: Sequence,
  work: string,
  log: string,
  prefix: string,
): Promise<{ pid: number; ended: string; complaint: string }> {
  const script = new URL("../../tests/fuzz/child.ts", import.meta.url).pathname;
  const child = new Deno.Command(path, {
    args: [
      ...[...STARTS[name], script, String(seed), String(count), log, work, prefix],
      ...(only === undefined ? [] : [only]),
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let hang = "";
  const watch = watchLog(child.pid, log, (what) => {
    hang = what;
    clearInterval(watch);
    child.kill("SIGKILL");
  });
  const { code, signal } = await child.status;
  clearInterval(watch);
  const text = (await stderr).trim();
  const ended = hang !== ""
    ? hang
    : signal !== null
    ? `death by ${signal}`
    : code !== 0
    ? `death with exit code ${code}`
    : "";
  return { pid: child.pid, ended, complaint: text === "" ? "" : `\n${text.slice(0, 2000)}` };
}

/** Calls `expired`, with what its threads did meanwhile, once nothing was added to the log for too long. */
function watchLog(
  pid: number,
  log: string,
  expired: (what: string) => void,
): ReturnType<typeof setInterval> {
  let size = -1;
  let since = performance.now();
  let before: Threads = new Map();
  return setInterval(() => {
    const { size: now } = Deno.statSync(log);
    const threads = threadsOf(pid);
    if (now !== size) {
      size = now;
      since = performance.now();
      before = threads;
      return;
    }
    const seconds = (performance.now() - since) / 1000;
    if (seconds - starvation(before, threads) <= PATIENCE_SECONDS && seconds <= LONGEST_SECONDS) {
      return;
    }
    const done = describeThreads(before, threads);
    expired(`hang: no call (${Math.round(seconds)} seconds)\nIn that time:\n${done}`);
  }, 1000);
}

/** What a log tells. */
function readLog(log: string): Verdict & { readonly lastCall: number; isComplete: boolean } {
  const lines = log.trimEnd().split("\n");
  const findings = lines.filter((line) => line.startsWith("! "))
    .map((line) => JSON.parse(line.slice(2)) as Finding);
  const calls = lines.filter((line) => /^\d+ /.test(line));
  const summary = lines.find((line) => line.startsWith("= "));
  const { tally }: Summary = summary === undefined ? { tally: {} } : JSON.parse(summary.slice(2));
  return {
    calls: calls.length,
    tally,
    findings,
    log: calls,
    isComplete: summary !== undefined,
    lastCall: parseInt(calls.at(-1) ?? "-1"),
  };
}

/** Names of shared memory that a process has left. */
async function leftBehind(pid: number, prefix: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(SHARED_MEMORY), ({ name }) => name);
  return names.filter((name) => name.startsWith(prefix) || name.startsWith(`.mman-${pid}-`))
    .map((name) => `leak: a name in ${SHARED_MEMORY}, ${name.replace(prefix, "PREFIX")}`);
}

async function removeShared(prefix: string): Promise<void> {
  for await (const { name } of Deno.readDir(SHARED_MEMORY)) {
    if (name.startsWith(prefix)) await Deno.remove(`${SHARED_MEMORY}/${name}`).catch(() => {});
  }
}
