/**
 * Copies of memory that may not be there, where no fault guard is: the system makes them, and finds out
 * without a fault.
 */
import type { Platform } from "./platform.ts";
import { type Runtime, STABLE_LENGTH } from "./runtime.ts";

/**
 * The Platform's copies over a call that copies within the process.
 *
 * @param copy From an address to an address; returns how many of the bytes it has copied.
 */
export function checkedCopies(
  runtime: Runtime,
  copy: (from: bigint, to: bigint, length: number) => number,
): Required<Pick<Platform, "copyFrom" | "copyTo">> {
  const bounce = new Uint8Array(STABLE_LENGTH);
  return {
    copyFrom(address: bigint, target: Uint8Array): number {
      const { length } = target;
      if (length >= STABLE_LENGTH) return copy(address, runtime.addressOf(target), length);
      const copied = copy(address, runtime.addressOf(bounce), length);
      target.set(bounce.subarray(0, copied));
      return copied;
    },
    copyTo(address: bigint, source: Uint8Array): number {
      const { length } = source;
      if (length >= STABLE_LENGTH) return copy(runtime.addressOf(source), address, length);
      bounce.set(source);
      return copy(runtime.addressOf(bounce), address, length);
    },
  };
}
