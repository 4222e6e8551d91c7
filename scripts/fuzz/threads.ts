/**
 * What the threads of a process have done, from `/proc`: tells a process that hangs from one that the machine
 * gave no processor. Linux.
 */
import fs from "node:fs";

/** A thread, at one moment. */
interface Thread {
  readonly name: string;
  /** `R` runs or wants to, `S` waits, and so on. */
  readonly state: string;
  /** Where in the kernel it waits; 0 if nowhere. */
  readonly place: string;
  /** Seconds on a processor. */
  readonly ran: number;
  /** Seconds in which it wanted a processor and had none. */
  readonly waited: number;
}

/** The threads of a process, by number. */
export type Threads = ReadonlyMap<string, Thread>;

/** Reads a file of `/proc`; empty if the thread has gone. */
function read(path: string): string {
  try {
    return fs.readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function threadIn(folder: string): Thread {
  // Nanoseconds that it ran, nanoseconds that it waited, how often it ran.
  const [ran = 0, waited = 0] = read(`${folder}/schedstat`).split(" ").map(Number);
  const stat = read(`${folder}/stat`);
  return {
    name: read(`${folder}/comm`),
    state: stat.slice(stat.lastIndexOf(")") + 2)[0] ?? "gone",
    place: read(`${folder}/wchan`),
    ran: ran / 1e9,
    waited: waited / 1e9,
  };
}

/** The threads of a process; none if it has ended. */
export function threadsOf(pid: number): Threads {
  const folder = `/proc/${pid}/task`;
  try {
    const numbers = fs.readdirSync(folder);
    return new Map(numbers.map((number) => [number, threadIn(`${folder}/${number}`)]));
  } catch {
    return new Map();
  }
}

/** What threads have done since a moment. */
function since(before: Threads, now: Threads): Thread[] {
  return [...now].map(([number, thread]) => {
    const { ran, waited } = before.get(number) ?? { ran: 0, waited: 0 };
    return { ...thread, ran: thread.ran - ran, waited: thread.waited - waited };
  });
}

/** Seconds for which the thread that had the least luck has waited for a processor. */
export function starvation(before: Threads, now: Threads): number {
  return Math.max(0, ...since(before, now).map(({ waited }) => waited));
}

/** Lines of text: what each thread has done since a moment, and where it is. */
export function describeThreads(before: Threads, now: Threads): string {
  const seconds = (value: number): string => `${value.toFixed(1)} s`;
  return since(before, now).map(({ name, state, place, ran, waited }) =>
    `  thread ${name}: ${state}${place === "" || place === "0" ? "" : ` in ${place}`}, ran ` +
    `${seconds(ran)}, waited ${seconds(waited)} for a processor`
  ).join("\n");
}
