/** Copies of memory that may not be there, on Linux. */
import { STABLE_LENGTH } from "./linux_native.ts";
import type { Platform } from "./platform.ts";
import type { Runtime } from "./runtime.ts";

const EFAULT = 14;

type ProcessCopy = (
  pid: number,
  here: bigint,
  hereCount: bigint,
  there: bigint,
  thereCount: bigint,
  flags: bigint,
) => number | bigint;

/**
 * Copies through the kernel, which finds out without a fault that a page is not there. Where it refuses
 * them altogether (seccomp), bytes are touched as everywhere else in C.
 */
export function checkedCopies(
  libc: { process_vm_readv: ProcessCopy; process_vm_writev: ProcessCopy },
  runtime: Runtime,
  errno: () => number,
): Pick<Platform, "copyFrom" | "copyTo"> {
  const vectors = new BigUint64Array(STABLE_LENGTH / 8); // struct iovec here, struct iovec there
  const here = runtime.addressOf(vectors);
  const there = here + 16n;
  const bounce = new Uint8Array(STABLE_LENGTH);
  const copy = (
    call: "process_vm_readv" | "process_vm_writev",
    mapped: bigint,
    bytes: Uint8Array,
  ): number => {
    const length = BigInt(bytes.length);
    vectors[0] = runtime.addressOf(bytes);
    vectors[1] = length;
    vectors[2] = mapped;
    vectors[3] = length;
    const copied = Number(libc[call](process.pid, here, 1n, there, 1n, 0n));
    if (copied >= 0) return copied;
    if (errno() === EFAULT) return 0;
    const direct = new Uint8Array(runtime.bufferAt(mapped, bytes.length));
    if (call === "process_vm_readv") bytes.set(direct);
    else direct.set(bytes);
    return bytes.length;
  };
  return {
    copyFrom(address: bigint, target: Uint8Array): number {
      if (target.length >= STABLE_LENGTH) return copy("process_vm_readv", address, target);
      const part = bounce.subarray(0, target.length);
      const copied = copy("process_vm_readv", address, part);
      target.set(part.subarray(0, copied));
      return copied;
    },
    copyTo(address: bigint, source: Uint8Array): number {
      if (source.length >= STABLE_LENGTH) return copy("process_vm_writev", address, source);
      bounce.set(source);
      return copy("process_vm_writev", address, bounce.subarray(0, source.length));
    },
  };
}
