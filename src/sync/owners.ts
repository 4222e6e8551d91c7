/**
 * Owned words: what all locks here are made of. An owner word is free (0) or holds the number of the thread
 * that owns it, and gets free, too, when that thread dies. Where the kernel knows about owners
 * (Linux), it hands the word over at that moment; elsewhere those who wait look after the owner.
 *
 * Taking a free word and releasing one that nobody waits for are one compare-and-swap each.
 */
import { MMapError, MMapInvalidParameterError } from "../errors.ts";
import { OWNER_DIED, OWNER_MASK, type SyncPlatform, WAITERS } from "../ffi/sync_platform.ts";
import { ABANDONED, BOOT_OFFSET, IDENTITY_OFFSET, NAMESPACE_OFFSET, WORD } from "./layout.ts";
import { type LockMemory, pairOf, TURN } from "./memory.ts";
import { spin } from "./spin.ts";
import { interval, remaining, type Steps } from "./waiting.ts";

/**
 * How a wait for a lock ended: `"acquired"`; `"recovered"` if the last owner died, or closed its map, while
 * it held the lock, so that what the lock guards may be half-written; `"timeout"` without the lock.
 */
export type LockOutcome = "acquired" | "recovered" | "timeout";

/** How an owner word was taken. */
export type Taken = "acquired" | "recovered";

const IDENTITY = IDENTITY_OFFSET / WORD;

/** The first time that the kernel is asked to hand over: then the owner's identity is looked at. */
const FIRST_CLAIM_MS = 10;
/** Later ones while it cannot be told whether the owner is the one that took the word. */
const UNSETTLED_CLAIM_MS = 25;
/** Later ones: the kernel hands over at once when this owner dies. */
const CLAIM_MS = 1000;

/** Takes a word if it is free. */
export function tryTake(memory: LockMemory, index: number): Taken | undefined {
  const words = memory.words.length === 0 ? memory.reopen() : memory.words;
  const { self } = memory.platform;
  const before = Atomics.compareExchange(words, index, 0, self.number);
  memory.intact();
  if (before !== 0) return undefined;
  // Whoever releases a word clears its identity first.
  const taken = words[index + IDENTITY] === 0 ? "acquired" : "recovered";
  words[index + IDENTITY] = self.identity;
  memory.held[index] = 1;
  return taken;
}

/**
 * Takes a word if it is free or its owner is dead.
 *
 * @param thorough Whether to look, too, if a later thread has the dead one's number: that takes longer.
 */
export function tryRecover(
  memory: LockMemory,
  index: number,
  thorough: boolean = false,
): Taken | undefined {
  return tryTake(memory, index) ?? recover(memory, index) ??
    (thorough ? recoverByLooking(memory, index) : undefined);
}

/**
 * Whether the look of a number, from 1, is to be a thorough one. The first is: the owner may have died, and
 * its number gone to a later thread, before the wait began. Who dies later is found dead by the next
 * look, long before its number comes round again.
 */
export function isThorough(looks: number): boolean {
  return looks % 8 === 1;
}

/**
 * Takes a word, parked while somebody else owns it.
 *
 * @throws {MMapInvalidParameterError} If this thread owns it.
 */
export function take(memory: LockMemory, index: number, deadline: number): LockOutcome {
  const taken = spin(memory.spinning, () => tryTake(memory, index));
  if (taken !== undefined) return taken;
  if (isMine(memory, index)) throw selfDeadlock();
  return memory.platform.ownership === undefined
    ? takeByLooking(memory, index, deadline)
    : takeFromKernel(memory, index, deadline);
}

function takeFromKernel(memory: LockMemory, index: number, deadline: number): LockOutcome {
  const { platform } = memory;
  let patience = FIRST_CLAIM_MS;
  let deadlocks = 0;
  for (;;) {
    const left = Math.max(remaining(deadline), 0);
    const claim = platform.ownership!.claim(memory.address(index), Math.min(patience, left));
    if (claim === "dead" || claim === "deadlock") {
      // "deadlock", too, if the dead owner had our number.
      const taken = recover(memory, index);
      if (taken !== undefined) return taken;
      // Twice, because other threads of the engine may have changed errno in between.
      if (claim === "deadlock" && ++deadlocks > 1) throw deadlock();
      continue;
    }
    if (hasOurNumber(memory, index)) return settle(memory, index);
    if (claim === "confused") {
      platform.wait(memory.address(TURN), Atomics.load(memory.current(), TURN), 1);
    }
    memory.intact();
    if (remaining(deadline) <= 0) return "timeout";
    // The kernel takes a later thread with the number of a dead one for the owner.
    const taken = recoverByLooking(memory, index);
    if (taken !== undefined) return taken;
    const settled = claim !== "confused" && readOwner(memory, index).identity !== 0;
    patience = settled ? CLAIM_MS : UNSETTLED_CLAIM_MS;
  }
}

/** Without the kernel's help: parked on the word, looking after its owner now and then. */
function takeByLooking(memory: LockMemory, index: number, deadline: number): LockOutcome {
  const { platform } = memory;
  for (let looks = 0;;) {
    const words = memory.current();
    const taken = tryTake(memory, index);
    if (taken !== undefined) {
      // Others may wait, whom we cannot know of: our release wakes them.
      Atomics.or(words, index, WAITERS);
      return taken;
    }
    const armed = arm(words, index);
    if (armed === 0) continue;
    platform.wait(
      memory.address(index),
      armed,
      Math.min(interval(looks++), remaining(deadline)),
      armed & OWNER_MASK,
    );
    if (Atomics.load(words, index) === armed) {
      const recovered = recover(memory, index);
      if (recovered !== undefined) return recovered;
    }
    if (remaining(deadline) <= 0) return tryTake(memory, index) ?? "timeout";
  }
}

/**
 * Takes one of several words by steps: for waits with the event loop free, and for those of which any
 * will do. A word of this thread is waited for like any other: another task may release it.
 *
 * @returns Which word was taken and how, or undefined when the time is over.
 */
export function* takeAny(
  memory: LockMemory,
  indices: readonly number[],
  deadline: number,
): Steps<{ index: number; taken: Taken } | undefined> {
  let looks = 0;
  // By the clock: among many who take and release, a dead owner is looked at, too.
  let nextLook = performance.now() + interval(looks);
  for (;;) {
    for (const index of indices) {
      const taken = tryTake(memory, index);
      if (taken !== undefined) return { index, taken };
    }
    const words = memory.current();
    const turn = Atomics.or(words, TURN, 1) | 1;
    // Marked words are released through the slow path, which wakes.
    if (indices.some((index) => arm(words, index) === 0)) continue;
    const timeoutMs = Math.max(Math.min(remaining(nextLook), remaining(deadline)), 0);
    yield { index: TURN, expected: turn, timeoutMs };
    if (remaining(nextLook) <= 0 || memory.load(TURN) === turn) {
      const thorough = isThorough(++looks);
      nextLook = performance.now() + interval(looks);
      for (const index of indices) {
        const taken = tryRecover(memory, index, thorough);
        if (taken !== undefined) return { index, taken };
      }
    }
    if (remaining(deadline) <= 0) return undefined;
  }
}

/** Whether this thread owns a word. */
export function isMine(memory: LockMemory, index: number): boolean {
  // A thread that is dead may have had our number.
  return hasOurNumber(memory, index) &&
    memory.words[index + IDENTITY] === memory.platform.self.identity;
}

/** As {@link isMine}, while the identity is not in order: the kernel has just given us the word. */
function hasOurNumber(memory: LockMemory, index: number): boolean {
  return (Atomics.load(memory.current(), index) & OWNER_MASK) === memory.platform.self.number;
}

/**
 * Releases a word.
 *
 * @param what The request, for an error message.
 * @throws {MMapInvalidParameterError} If this thread does not own it.
 */
export function give(memory: LockMemory, index: number, what: string): void {
  const words = memory.words.length === 0 ? memory.reopen() : memory.words;
  const { number } = memory.platform.self;
  // Held through another map of the same memory: the word itself knows.
  if (memory.held[index] === 0 && !isMine(memory, index)) throw notHeld(memory, what);
  memory.held[index] = 0;
  words[index + IDENTITY] = 0;
  if (Atomics.compareExchange(words, index, number, 0) !== number) handOver(memory, index, what);
  memory.intact();
}

/**
 * Leaves everything that this thread holds here to the next owners, who will know. Throws nothing, since
 * the map closes whatever becomes of its locks: memory that was cut away or protected meanwhile is not
 * touched, and a word that somebody has just written over is no longer ours.
 */
export function abandonAll(memory: LockMemory): void {
  memory.held.forEach((times, index) => {
    if (times === 0) return;
    memory.held[index] = 0;
    try {
      const words = memory.reopen();
      if (!isMine(memory, index)) return;
      words[index + IDENTITY] = ABANDONED;
      handOver(memory, index, "Cannot close the map");
    } catch (error) {
      if (!(error instanceof MMapError)) throw error;
    }
  });
}

/** Releases a word that somebody waits for. */
function handOver(memory: LockMemory, index: number, what: string): void {
  const words = memory.current();
  const { platform } = memory;
  const word = Atomics.load(words, index);
  if ((word & OWNER_MASK) !== platform.self.number) throw notHeld(memory, what);
  if (platform.ownership === undefined) {
    Atomics.store(words, index, 0);
    platform.wake(memory.address(index), 1);
  } else if (!platform.ownership.release(memory.address(index))) {
    // The kernel has lost track of it: those who wait there look again soon.
    let now = word;
    while ((now & OWNER_MASK) === platform.self.number) {
      now = Atomics.compareExchange(words, index, now, 0) === now ? 0 : Atomics.load(words, index);
    }
  }
  memory.turn();
}

/** Marks a word so that its release wakes; what is in it then, 0 if it is free. */
function arm(words: Int32Array, index: number): number {
  for (;;) {
    const word = Atomics.load(words, index);
    if (word === 0) return 0;
    // Nobody's, but marked: what a broken program has left there.
    const armed = (word & OWNER_MASK) === 0 ? 0 : word | WAITERS;
    if (word === armed || Atomics.compareExchange(words, index, word, armed) === word) return armed;
  }
}

/** Makes sure that the word which the kernel has given us is in order. */
function settle(memory: LockMemory, index: number): Taken {
  const words = memory.current();
  const left = words[index + IDENTITY] !== 0;
  words[index + IDENTITY] = memory.platform.self.identity;
  memory.intact();
  memory.held[index] = 1;
  // Last: while it is set, nobody takes the dead owner's identity for ours.
  const died = (Atomics.and(words, index, ~OWNER_DIED) & OWNER_DIED) !== 0;
  return died || left ? "recovered" : "acquired";
}

/** Takes a word whose owner is dead. */
function recover(memory: LockMemory, index: number): Taken | undefined {
  const { ownership, self } = memory.platform;
  if (ownership === undefined) return recoverByLooking(memory, index);
  for (let deaths = 0;;) {
    const owner = readOwner(memory, index);
    if (owner.number === 0) return tryTake(memory, index);
    if (owner.number === self.number) return recoverFromNamesake(memory, owner);
    const claim = ownership.tryClaim(memory.address(index));
    if (hasOurNumber(memory, index)) return settle(memory, index);
    if (claim !== "dead") return undefined;
    // Twice, because other threads of the engine may have changed errno in between.
    if (++deaths > 1 && seize(memory, owner)) return "recovered";
  }
}

/**
 * Takes a word whose owner does not live any more, as far as its number and identity tell. Where the kernel
 * knows owners, it may be handing over from a dead one just now: only a number that belongs to a
 * later thread, which the kernel takes for the owner, is our affair.
 */
function recoverByLooking(memory: LockMemory, index: number): Taken | undefined {
  const owner = readOwner(memory, index);
  const { ownership, self } = memory.platform;
  if (owner.number === 0) return undefined;
  if (owner.number === self.number) return recoverFromNamesake(memory, owner);
  const fate = memory.platform.lookAfter(owner.number, owner.identity);
  if (fate === "alive" || (fate === "dead" && ownership !== undefined)) return undefined;
  return seize(memory, owner) ? "recovered" : undefined;
}

/** Takes a word with our number that is not ours: of a dead thread that had the number before. */
function recoverFromNamesake(memory: LockMemory, owner: Owner): Taken | undefined {
  if (owner.identity === memory.platform.self.identity) return undefined;
  return seize(memory, owner) ? "recovered" : undefined;
}

/** An owner word and its identity, as they were at one moment. */
interface Owner {
  readonly index: number;
  /** Both words. */
  readonly pair: bigint;
  /** 0 for nobody. */
  readonly number: number;
  readonly marked: boolean;
  /** 0 if it is not known. */
  readonly identity: number;
}

/**
 * Whether somebody who may be alive owns a word, in a copy of a lock's words that nobody can take
 * anything in. Who cannot be looked after counts as alive.
 */
export function livesAt(platform: SyncPlatform, words: Int32Array, index: number): boolean {
  const number = (words[index] ?? 0) & OWNER_MASK;
  if (number === 0) return false;
  // Of another start of the machine, which nobody has survived.
  if (words[BOOT_OFFSET / WORD] !== (platform.self.boot | 0)) return false;
  // Of another container, where threads have other numbers.
  if (words[NAMESPACE_OFFSET / WORD] !== (platform.self.namespace | 0)) return true;
  const identity = words[index + IDENTITY]!;
  return platform.lookAfter(number, identity === ABANDONED ? 0 : identity) === "alive";
}

function readOwner(memory: LockMemory, index: number): Owner {
  const pair = Atomics.load(memory.pairs(), index / 2);
  memory.intact();
  const word = Number(BigInt.asIntN(32, pair));
  const identity = Number(BigInt.asIntN(32, pair >> 32n));
  // Until the new owner has settled, the identity is the old one's.
  const unsettled = (word & OWNER_DIED) !== 0 || identity === ABANDONED;
  return {
    index,
    pair,
    number: word & OWNER_MASK,
    marked: (word & WAITERS) !== 0,
    identity: unsettled ? 0 : identity,
  };
}

/** Puts us in the place of a dead owner, unless somebody else was faster. */
function seize(memory: LockMemory, { index, pair, marked }: Owner): boolean {
  const { self } = memory.platform;
  // Both words at once: our number beside the identity of the dead would look dead to others.
  const mine = pairOf(self.number | (marked ? WAITERS : 0), self.identity);
  if (Atomics.compareExchange(memory.pairs(), index / 2, pair, mine) !== pair) return false;
  memory.held[index] = 1;
  return true;
}

/** The error of who releases what it does not hold. @throws {MMapFaultError} If the page was lost. */
export function notHeld(memory: LockMemory, what: string): MMapInvalidParameterError {
  memory.intact();
  return new MMapInvalidParameterError(
    `${what}: this thread does not hold it; the thread that took it must release it, once`,
    { code: "EPERM" },
  );
}

function selfDeadlock(): MMapInvalidParameterError {
  return new MMapInvalidParameterError(
    "Cannot take a lock that this thread holds: it would wait for itself; release it first, or " +
      "wait for another task with the async form",
    { code: "EDEADLK" },
  );
}

function deadlock(): MMapError {
  return new MMapError(
    "Cannot wait for a lock: its owner waits for one that this thread holds; take locks in the " +
      "same order everywhere",
    { code: "EDEADLK" },
  );
}
