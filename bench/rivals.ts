/**
 * Comparisons with other programs: each does on request what is measured, in turns with us, so that what
 * else the machine does hits all alike.
 */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs/promises";
import process from "node:process";

/** A program that does what one line asks it for, and tells how long it took. */
export class Rival {
  readonly #child: ChildProcess;
  #text = "";
  #wake: () => void = () => {};
  #ended = false;

  private constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
      this.#wake();
    });
    this.#child.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  static async start(command: string, args: readonly string[]): Promise<Rival> {
    const rival = new Rival(command, args);
    await rival.#line();
    return rival;
  }

  async #line(): Promise<string> {
    while (!this.#text.includes("\n")) {
      if (this.#ended) throw new Error("A rival has ended before its time");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const [line = "", ...rest] = this.#text.split("\n");
    this.#text = rest.join("\n");
    return line;
  }

  /** Nanoseconds and the result. */
  async ask(request: string): Promise<Timed> {
    this.#child.stdin!.write(`${request}\n`);
    const [nanoseconds, result] = (await this.#line()).split(" ").map(Number);
    return { nanoseconds: nanoseconds!, result: result! };
  }

  /** Lets {@link peakBytes} start anew; Linux. */
  async forgetPeak(): Promise<void> {
    await fs.writeFile(`/proc/${this.#child.pid}/clear_refs`, "5");
  }

  /** The most memory that the program had resident, mapped files included; Linux. */
  async peakBytes(): Promise<number> {
    const status = await fs.readFile(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }

  end(): void {
    this.#child.stdin!.end();
  }
}

export interface Timed {
  readonly nanoseconds: number;
  readonly result: number;
}

/** Somebody who takes part in a comparison. */
export interface Runner {
  readonly name: string;
  readonly run: () => Promise<Timed> | Timed;
}

export function timed(work: () => number): Timed {
  const before = process.hrtime.bigint();
  const result = work();
  return { nanoseconds: Number(process.hrtime.bigint() - before), result };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle) - 1]!) / 2;
}

function duration(nanoseconds: number): string {
  if (nanoseconds >= 1e6) return `${(nanoseconds / 1e6).toFixed(2)} ms`;
  return nanoseconds >= 1e4
    ? `${(nanoseconds / 1e3).toFixed(1)} us`
    : `${nanoseconds.toFixed(0)} ns`;
}

/** How a comparison is made. */
export interface Comparison {
  readonly rounds: number;
  /** Calls that a runner makes in a round. Default 1. */
  readonly calls?: number;
  /** Bytes that a call goes through, for the speed. */
  readonly bytes?: number;
  /** What the figure should be. */
  readonly wanted: string;
  /** How far results may be apart, as a part of them: sums of floats depend on the order. Default 0. */
  readonly tolerance?: number;
}

/**
 * Lets all take turns and prints the medians; the first is ours, its ratio to each rival is the
 * median of the rounds' own ratios.
 *
 * @throws {Error} If one has another result than the rest.
 */
export async function compare(
  question: string,
  { rounds, calls = 1, bytes = 0, wanted, tolerance = 0 }: Comparison,
  runners: readonly Runner[],
): Promise<void> {
  const times = runners.map((): number[] => []);
  let expected: number | undefined;
  for (let round = -1; round < rounds; round++) { // the first one warms up
    const order = runners.map((_, i) => i).sort(() => Math.random() - 0.5);
    for (const i of order) {
      const { nanoseconds, result } = await runners[i]!.run();
      expected ??= result;
      if (!(Math.abs(result - expected) <= Math.abs(expected) * tolerance)) {
        throw new Error(`${runners[i]!.name} says ${result}, the others ${expected}`);
      }
      if (round >= 0) times[i]!.push(nanoseconds / calls);
    }
  }
  console.log(`\n${question}  (${wanted})`);
  for (const [i, { name }] of runners.entries()) {
    const time = median(times[i]!);
    const speed = bytes === 0 ? "" : `${(bytes / time).toFixed(2).padStart(8)} GB/s`;
    const ratio = i === 0
      ? ""
      : `   ours / this ${median(times[0]!.map((ours, r) => ours / times[i]![r]!)).toFixed(2)}`;
    console.log(`  ${name.padEnd(30)}${duration(time).padStart(12)} ${speed}${ratio}`);
  }
}
