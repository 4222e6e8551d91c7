/**
 * What the benchmarks share: sizes, a checksum that keeps every loop honest, and libc's `memcpy` as
 * the floor that no copy can beat.
 */
import { spawnSync } from "node:child_process";
import os from "node:os";
import process from "node:process";
import { runtime } from "../src/ffi/runtime.ts";

/** Whether only to see that the benchmarks run: `MMAN_BENCH_SMOKE=1` in the environment. */
export const smoke: boolean = process.env["MMAN_BENCH_SMOKE"] === "1";

/** Bytes of a large copy: 1 MiB, or little in a smoke run. */
export const LARGE: number = smoke ? 64 * 1024 : 1024 * 1024;

/** Bytes of a small copy, where only the cost of the call counts. */
export const SMALL = 64;

/** Fills a view with bytes that differ from place to place. */
export function fill(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2_654_435_761) >>> 24;
}

/** A sum over all bytes that changes when words are swapped; the length is a multiple of 4. */
export function checksum({ buffer, byteOffset, byteLength }: Uint8Array): number {
  const words = new Uint32Array(buffer, byteOffset, byteLength / 4);
  let sum = words.length;
  for (const word of words) sum = (Math.imul(sum, 31) + word) | 0;
  return sum;
}

/** Throws unless a copy has the checksum that it must have. */
export function checkCopy(copy: Uint8Array, expected: number): void {
  const actual = checksum(copy);
  if (actual !== expected) throw new Error(`The copy has checksum ${actual}, not ${expected}`);
}

/** libc's `memcpy` between two places in memory, through the runtime's foreign functions. */
export function memcpyBetween(
  target: Uint8Array,
  source: bigint,
): (length: number) => void {
  const libraries: Record<string, string> = {
    linux: "libc.so.6",
    darwin: "/usr/lib/libSystem.B.dylib",
    win32: "msvcrt.dll",
  };
  const port = runtime();
  const { memcpy } = port.dlopen(libraries[process.platform] ?? "libc.so.6", {
    memcpy: {
      parameters: [
        "usize", // void *dest
        "usize", // const void *src
        "usize", // size_t n
      ],
      result: "usize", // void *: dest
    },
  });
  // SAFETY: established. The caller keeps both places, and a large buffer never moves.
  const address = port.addressOf(target);
  return (length) => {
    memcpy(address, source, BigInt(length));
  };
}

/** A clock that all processes share, in nanoseconds. */
export function openClock(): () => number {
  const library = process.platform === "darwin" ? "/usr/lib/libSystem.B.dylib" : "libc.so.6";
  const { clock_gettime } = runtime().dlopen(library, {
    clock_gettime: {
      parameters: [
        "i32", //    clockid_t clockid
        "buffer", // struct timespec *tp
      ],
      result: "i32", // int: 0, or -1 and errno
    },
  });
  const monotonic = process.platform === "darwin" ? 6 : 1;
  // Seconds and nanoseconds of 64 bits, whose upper halves are 0: a bigint would cost more than the call.
  const time = new Uint32Array(new ArrayBuffer(128));
  return () => {
    clock_gettime(monotonic, time);
    return time[0]! * 1e9 + time[2]!;
  };
}

/**
 * Whether latencies between two processes are measured with each on a processor of its own. Else the scheduler
 * puts both on one now and then, in C as here: to wake another processor takes several times as long.
 */
export function canPin(): boolean {
  return os.availableParallelism() > 1 &&
    spawnSync("taskset", ["--cpu-list", "0,1", "true"]).status === 0;
}
