/**
 * The SyncPlatform interface: what locks in shared memory need of an operating system. One file per
 * system implements it, with calls and no policy; host_sync.ts chooses.
 */

import type { Runtime } from "./runtime.ts";

/** How the processes that share a lock wait for each other: part of every lock's header. */
export const MECHANISM_LINUX_PI = 1;
export const MECHANISM_LINUX_FUTEX = 2;
export const MECHANISM_DARWIN = 3;
export const MECHANISM_WINDOWS = 4;

/** Mechanisms by their number, for messages. */
export const mechanismNames: Readonly<Record<number, string>> = {
  [MECHANISM_LINUX_PI]: "Linux futexes with owners",
  [MECHANISM_LINUX_FUTEX]: "Linux futexes without owners",
  [MECHANISM_DARWIN]: "os_sync of macOS",
  [MECHANISM_WINDOWS]: "kernel objects of Windows",
};

/** The bits of an owner word that hold the owner's number; 0 for nobody. */
export const OWNER_MASK = 0x3fffffff;
/** Set in an owner word by the kernel: the last owner has died. */
export const OWNER_DIED = 0x40000000;
/** Set in an owner word: who releases it must call {@link KernelOwnership.release} or wake. */
export const WAITERS: number = 0x80000000 | 0;

/** A thread as it appears in an owner word and beside it. */
export interface Self {
  /** Its number among the living threads, within {@link OWNER_MASK}, never 0. */
  readonly number: number;
  /** Tells it from later threads of that number; never 0 or 1. */
  readonly identity: number;
  /** Tells one start of the machine from another; 0 if that cannot be known. */
  readonly boot: number;
  /** Tells those who see each other's thread numbers from others; 0 if that cannot be known. */
  readonly namespace: number;
}

/** What the kernel says to one who asks for an owner word. */
export type Claim =
  /** Look at the word: it is ours, or the time is over, or somebody else was faster. */
  | "look"
  /** Its owner has died, and nobody was there to take it over. */
  | "dead"
  /** Its owner waits, directly or through others, for a word that we own. */
  | "deadlock"
  /** The kernel cannot make sense of the word just now: try again later. */
  | "confused";

/**
 * Owner words in the care of the kernel, which knows their owners: it hands a word over when its
 * owner releases it or dies.
 */
export interface KernelOwnership {
  /** Parks until the word is ours, or until the time is over. */
  claim(address: number, timeoutMs: number): Claim;
  /** Claims the word without waiting. */
  tryClaim(address: number): Claim;
  /** Hands our word to the next; false if the kernel does not think that it is ours. */
  release(address: number): boolean;
}

/** A 32-bit word that somebody waits on. */
export interface WatchedWord {
  readonly address: number;
  readonly expected: number;
}

/**
 * One operating system's way to wait in shared memory. Addresses are multiples of 4, and numbers: they
 * are below 2^53 everywhere, and making a bigint costs as much as a system call.
 */
export interface SyncPlatform {
  /** As users call it, such as `"Linux"`. */
  readonly name: string;
  /** The runtime port that the calls go through. */
  readonly runtime: Runtime;
  /** One of the `MECHANISM_*` numbers. */
  readonly mechanism: number;
  /** The calling thread. */
  readonly self: Self;
  /** Missing where the kernel does not know who owns a word: then {@link lookAfter} must tell. */
  readonly ownership?: KernelOwnership;
  /**
   * Parks while the word has the value, until somebody wakes it or the time is over; may return for
   * no reason, such as the end of the thread that owns the word, if one is given.
   */
  wait(address: number, expected: number, timeoutMs: number, owner?: number): void;
  /** Wakes up to `count` who wait on a word; returns how many, or 1 for all where that is unknown. */
  wake(address: number, count: number): number;
  /**
   * Parks another thread while all of up to {@link MAX_WATCHED} words have their values, for up to
   * `timeoutMs`; may return for no reason. Missing where the system waits on one word only.
   */
  waitForAny?(words: readonly WatchedWord[], timeoutMs: number): Promise<void>;
  /** What has become of a thread; an identity of 0 stands for any. */
  lookAfter(number: number, identity: number): Fate;
}

/** What has become of a thread: `"alive"` if that cannot be known, `"replaced"` if another one has its number. */
export type Fate = "alive" | "dead" | "replaced";

/** Words that {@link SyncPlatform.waitForAny} takes at most. */
export const MAX_WATCHED = 64;

/** A number other than 0 and 1 that stands for a text. */
export function fingerprint(text: string): number {
  let hash = 0x811c9dc5; // FNV-1a
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 2;
}
