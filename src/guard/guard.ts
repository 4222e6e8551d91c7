/**
 * The fault guard: one signal handler per process that turns SIGBUS and SIGSEGV in guarded ranges of
 * memory into pages of zeros, or private copies, and a count. This file installs it (or finds the one
 * that is there) and keeps the table of ranges; x86_64.s and aarch64.s are the handler. Linux only.
 */
import { codeBytes, hostProcessor, libcSystemCall, type NativeCall } from "./stub.ts";
import type { Processor, StubRuntime } from "./stub.ts";
import * as table from "./table.ts";

/** A store to a page that can only be read goes to a private copy of the page. */
export const GUARD_COPY: number = 1 << table.FLAG_COPY_BIT;
/** The range is mapped MAP_PRIVATE, so that such a copy is cheap. */
export const GUARD_PRIVATE: number = 1 << table.FLAG_PRIVATE_BIT;
/** Pages with PROT_NONE become copies, and pages that are not mapped zeros, as well. */
export const GUARD_HOLES: number = 1 << table.FLAG_HOLES_BIT;

/**
 * What happened in a range since it was registered. Offsets are bytes from its start; -1 if there is
 * none.
 */
export interface Faults {
  /**
   * Pages that could not be accessed and have been replaced: by zeros, or by a private copy where
   * only the disk's room for a store was missing. Exact: no page counts twice. After the first 64,
   * pages of the same kind behind the faulting one are replaced, and counted, along with it.
   */
  readonly count: number;
  /** Protected pages that were accessed and became private copies, with their content. Counted alike. */
  readonly violations: number;
  /** Where the first access failed, since {@link Guard.forgetFirst}. */
  readonly firstFault: number;
  /** From the first byte of the lowest page that was replaced... */
  readonly lostStart: number;
  /** ...up to the end of the highest; 0 if there is none. */
  readonly lostEnd: number;
  /** Where the first store to a read-only page was, since `forgetFirst`. */
  readonly firstViolation: number;
  /** From the first byte of the lowest page that became a copy... */
  readonly copiedStart: number;
  /** ...up to the end of the highest; 0 if there is none. */
  readonly copiedEnd: number;
}

/** The ranges that are guarded in this process. Workers, and copies of this library, share one. */
export interface Guard {
  /** The same for all who share the table: its address. */
  readonly id: number;
  /**
   * Guards a range from now on.
   *
   * @param start The address, a multiple of the page size.
   * @param length Bytes.
   * @param flags `GUARD_` bits.
   * @param pageSize Bytes of a page of this range, where they are not the system's (huge pages).
   * @returns The slot for the other methods, or -1 when all slots are taken.
   */
  register(start: number, length: number, flags: number, pageSize?: number): number;
  /** Ends it. Returns when no handler is at work on the range; unmap it only then. */
  unregister(slot: number): void;
  /**
   * A view of one word, which is not 0 from before the first page of a range is replaced: the cheap
   * check after an access.
   */
  watch(slot: number): Int32Array;
  /** The same over all ranges of the process. */
  totalEvents(): number;
  /** What happened in a range. */
  readFaults(slot: number): Faults;
  /** Lets `firstFault` and `firstViolation` be those of the next ones. */
  forgetFirst(slot: number): void;
  /**
   * Forgets what happened in a range, once `restore` has brought its pages back; accesses that fail
   * meanwhile wait. Nothing is forgotten if it throws.
   */
  forget(slot: number, restore?: () => void): void;
  /** Changes the flags of a range. */
  setFlags(slot: number, flags: number): void;
  /** Whether faults still come to us: somebody may have installed another handler since. */
  isInstalled(): boolean;
}

/** How to reach the system. */
export interface GuardOptions {
  /** The Runtime port. */
  readonly runtime: StubRuntime;
  /** Bytes of a page. */
  readonly pageSize: number;
  /** Names under which libc may be found. */
  readonly libraries: readonly string[];
  /** The stub's system call, if there is one. */
  readonly systemCall?: NativeCall | undefined;
}

const SIGBUS = 7;
const SIGSEGV = 11;
const SA_SIGINFO = 0x4;
const SA_RESTORER = 0x04000000;
const SA_ONSTACK = 0x08000000;
const SA_RESTART = 0x10000000;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;

/** Bytes of a signal set. */
const SIGSET_LENGTH = 8;

/** The signals, and where the table keeps who had them before. */
const SIGNALS: readonly (readonly [signal: number, previous: number])[] = [
  [SIGBUS, table.PREVIOUS_BUS],
  [SIGSEGV, table.PREVIOUS_SEGV],
];

/** More than the kernel's usual limit of mappings (1,048,576 where it is raised), then less. */
const CAPACITIES = [1 << 20, 1 << 16];
const REFUSED = "the system refuses signal handlers (rt_sigaction)";

/** Slots that this realm looks at in the beginning; the views grow when more are in use. */
const FIRST_VIEW = 1 << 12;

/**
 * Installs the guard, or finds it installed.
 *
 * @returns The guard, or the reason why the system does not allow one.
 */
export function installGuard(options: GuardOptions): Guard | string {
  const processor = hostProcessor();
  if (typeof processor === "string") return processor;
  try {
    const { runtime, libraries } = options;
    const call = options.systemCall ?? libcSystemCall(runtime, libraries);
    const signals = new Signals(runtime, processor, call);
    const found = signals.findRegion();
    const region = found ?? newRegion(options, processor, call);
    if (typeof region === "string") return region;
    if (found === undefined) {
      const refusal = signals.install(region);
      if (refusal !== undefined) return refusal;
    }
    return new Table(runtime, region, options.pageSize, signals);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Maps the region and fills in the code and the header; table.ts describes it. */
function newRegion(
  { runtime, pageSize }: GuardOptions,
  processor: Processor,
  call: NativeCall,
): number | string {
  const { mmap, mprotect } = processor.calls;
  for (const capacity of CAPACITIES) {
    const length = table.TABLE_DISTANCE + table.KEYS +
      capacity * (table.KEY_LENGTH + table.DETAILS_LENGTH);
    const region = call(
      mmap,
      0,
      length,
      PROT_READ | PROT_WRITE,
      MAP_PRIVATE_ANONYMOUS_NORESERVE,
      -1,
      0,
    );
    if (region < 0) continue;
    const code = codeBytes(processor);
    new Uint8Array(runtime.bufferAt(BigInt(region), code.length)).set(code);
    const header = new DataView(
      runtime.bufferAt(BigInt(region + table.TABLE_DISTANCE), table.KEYS),
    );
    header.setUint32(table.CAPACITY, capacity, true);
    // The kernel makes the code visible to every processor's instruction cache in this step.
    const codeLength = Math.ceil(code.length / pageSize) * pageSize;
    if (call(mprotect, region, codeLength, PROT_READ | PROT_EXEC, 0, 0, 0) !== 0) {
      call(processor.calls.munmap, region, length, 0, 0, 0, 0);
      return "the system refuses executable memory (mprotect)";
    }
    return region;
  }
  return "the system refuses memory for the table of guarded ranges (mmap)";
}

/** What the kernel calls on SIGBUS and SIGSEGV, as this thread's JavaScript sees and sets it. */
class Signals {
  readonly #runtime: StubRuntime;
  readonly #processor: Processor;
  readonly #call: NativeCall;
  // Larger than what V8 would keep in its moving heap, so that its address stays.
  readonly #memory = new DataView(new ArrayBuffer(4096));
  readonly #address: number;

  constructor(runtime: StubRuntime, processor: Processor, call: NativeCall) {
    this.#runtime = runtime;
    this.#processor = processor;
    this.#call = call;
    this.#address = Number(runtime.addressOf(this.#memory));
  }

  /** The first guard of our layout that gets both signals. */
  findRegion(): number | undefined {
    const segv = this.#guards(SIGSEGV);
    return this.#guards(SIGBUS).find(({ region, layout }) =>
      layout === table.LAYOUT && segv.some((other) => other.region === region)
    )?.region;
  }

  /** Whether both signals come to the region's handler, if need be through other guards. */
  reach(region: number): boolean {
    return SIGNALS.every(([signal]) =>
      this.#guards(signal).some((guard) => guard.region === region)
    );
  }

  /** Makes the region's handler the process's; returns the reason if the system refuses. */
  install(region: number): string | undefined {
    for (const [signal, offset] of SIGNALS) {
      // The kernel itself writes what was before ours where our handler reads it: ahead of the first
      // signal, and with the change itself, since a thread may have been faster.
      const previous = region + table.TABLE_DISTANCE + offset;
      if (!this.#sigaction(signal, 0, previous)) return REFUSED;
      this.#describeHandler(region, this.#viewAt(previous, table.PREVIOUS_LENGTH));
      if (!this.#sigaction(signal, this.#address, previous)) return REFUSED;
    }
    return undefined;
  }

  /** The guards that a signal goes through, the latest first, until somebody else's handler. */
  #guards(signal: number): { region: number; layout: number }[] {
    const guards: { region: number; layout: number }[] = [];
    if (!this.#sigaction(signal, 0, this.#address)) return guards;
    let handler = Number(this.#memory.getBigUint64(0, true));
    const previous = new Map(SIGNALS).get(signal)!;
    // SAFETY: established. SIG_DFL and SIG_IGN are smaller; this many bytes of code, so aligned, lie
    // in one page.
    while (handler >= table.HANDLER_ALIGNMENT && handler % table.HANDLER_ALIGNMENT === 0) {
      const code = this.#viewAt(handler, table.HANDLER_ALIGNMENT);
      for (let i = 0; i < table.MARK.length; i++) {
        const byte = code.getUint8(table.HANDLER_MARK_OFFSET + i);
        if (byte !== table.MARK.charCodeAt(i)) return guards;
      }
      const layout = code.getUint32(table.HANDLER_LAYOUT_OFFSET, true);
      const region = handler - code.getUint32(table.HANDLER_DISTANCE_OFFSET, true);
      guards.push({ region, layout });
      const header = this.#viewAt(region + table.TABLE_DISTANCE, table.KEYS);
      handler = Number(header.getBigUint64(previous, true));
    }
    return guards;
  }

  #viewAt(address: number, length: number): DataView {
    return new DataView(this.#runtime.bufferAt(BigInt(address), length));
  }

  #sigaction(signal: number, next: number, previous: number): boolean {
    const { rt_sigaction } = this.#processor.calls;
    return this.#call(rt_sigaction, signal, next, previous, SIGSET_LENGTH, 0, 0) === 0;
  }

  /** Puts the `struct sigaction` of our handler into `#memory`. */
  #describeHandler(region: number, previous: DataView): void {
    const previousFlags = Number(previous.getBigUint64(table.PREVIOUS_FLAGS, true));
    const { mman_guard_handler: handler, mman_guard_restorer: ownRestorer } =
      this.#processor.code.symbols;
    let flags = SA_SIGINFO | SA_ONSTACK | (previousFlags & SA_RESTART);
    let restorer = 0n;
    if ((previousFlags & SA_RESTORER) !== 0) {
      // libc's: debuggers and crash reporters know it.
      flags |= SA_RESTORER;
      restorer = previous.getBigUint64(table.PREVIOUS_RESTORER, true);
    } else if (ownRestorer !== undefined) {
      flags |= SA_RESTORER;
      restorer = BigInt(region + ownRestorer);
    }
    const memory = this.#memory;
    memory.setBigUint64(0, BigInt(region + handler!), true);
    memory.setBigUint64(table.PREVIOUS_FLAGS, BigInt(flags), true);
    memory.setBigUint64(table.PREVIOUS_RESTORER, restorer, true);
    memory.setBigInt64(table.PREVIOUS_MASK, -1n, true); // every signal
  }
}

const I32_PER_SLOT = table.DETAILS_LENGTH / 4;
const F64_PER_SLOT = table.DETAILS_LENGTH / 8;
const STATE = table.STATE / 4;
const BUSY = table.BUSY / 4;
const FLAGS = table.FLAGS / 4;
const PAGE_SHIFT = table.PAGE_SHIFT / 4;
const EVENTS = table.EVENTS / 4;
const VIOLATIONS = table.VIOLATIONS / 4;
const TOUCHED = table.TOUCHED / 4;
const FAULTS = table.FAULT_OFFSETS / 8;
const VIOLATED = table.VIOLATION_OFFSETS / 8;
const KINDS = [FAULTS, VIOLATED];
const FIRST = table.FIRST / 8;
const LOWEST = table.LOWEST / 8;
const END = table.END / 8;
const HIGH_WATER = table.HIGH_WATER / 4;
const TOTAL_EVENTS = table.TOTAL_EVENTS / 4;
const FREE_SLOTS = table.FREE_SLOTS / 4;

/**
 * The table of ranges. Threads share it without a lock: a slot belongs to whoever changes its state
 * from free to claimed; the handler believes only slots whose state is active.
 */
class Table implements Guard {
  readonly #runtime: StubRuntime;
  readonly #signals: Signals;
  readonly id: number;
  readonly #pageShift: number;
  readonly #capacity: number;
  readonly #header: Int32Array;
  #keys!: Float64Array;
  #words!: Int32Array;
  #doubles!: Float64Array;
  #viewed = 0;
  /** Slots that this realm gave back, most likely free still. */
  readonly #hints: number[] = [];
  /** Where the search for slots that others gave back goes on. */
  #cursor = 0;

  constructor(runtime: StubRuntime, region: number, pageSize: number, signals: Signals) {
    this.#runtime = runtime;
    this.#signals = signals;
    this.id = region;
    this.#pageShift = Math.log2(pageSize);
    this.#header = new Int32Array(
      runtime.bufferAt(BigInt(region + table.TABLE_DISTANCE), table.KEYS),
    );
    this.#capacity = this.#header[table.CAPACITY / 4]!;
    this.#view(Math.min(FIRST_VIEW, this.#capacity));
  }

  register(start: number, length: number, flags: number, pageSize?: number): number {
    const slot = this.#claim();
    if (slot < 0) return -1;
    const word = slot * I32_PER_SLOT;
    const words = this.#words;
    words[word + FLAGS] = flags;
    words[word + PAGE_SHIFT] = pageSize === undefined ? this.#pageShift : Math.log2(pageSize);
    this.#clear(slot);
    this.#keys[2 * slot] = start;
    this.#keys[2 * slot + 1] = start + length;
    Atomics.store(words, word + STATE, table.STATE_ACTIVE);
    return slot;
  }

  unregister(slot: number): void {
    const words = this.#words;
    const word = slot * I32_PER_SLOT;
    Atomics.store(words, word + STATE, table.STATE_CLAIMED);
    // A handler sets BUSY before it reads STATE, so one of the two sees the other.
    while (Atomics.load(words, word + BUSY) !== 0);
    this.#keys[2 * slot + 1] = 0;
    Atomics.store(words, word + STATE, table.STATE_FREE);
    Atomics.add(this.#header, FREE_SLOTS, 1);
    this.#hints.push(slot);
  }

  watch(slot: number): Int32Array {
    const index = slot * I32_PER_SLOT + TOUCHED;
    return this.#words.subarray(index, index + 1);
  }

  totalEvents(): number {
    return Atomics.load(this.#header, TOTAL_EVENTS) >>> 0;
  }

  readFaults(slot: number): Faults {
    const word = slot * I32_PER_SLOT;
    const double = slot * F64_PER_SLOT;
    const events = Atomics.load(this.#words, word + EVENTS);
    const violations = Atomics.load(this.#words, word + VIOLATIONS);
    const doubles = this.#doubles;
    return {
      count: (events - violations) >>> 0,
      violations: violations >>> 0,
      firstFault: doubles[double + FAULTS + FIRST]!,
      lostStart: doubles[double + FAULTS + LOWEST]!,
      lostEnd: doubles[double + FAULTS + END]!,
      firstViolation: doubles[double + VIOLATED + FIRST]!,
      copiedStart: doubles[double + VIOLATED + LOWEST]!,
      copiedEnd: doubles[double + VIOLATED + END]!,
    };
  }

  forgetFirst(slot: number): void {
    this.#doubles[slot * F64_PER_SLOT + FAULTS + FIRST] = -1;
    this.#doubles[slot * F64_PER_SLOT + VIOLATED + FIRST] = -1;
  }

  forget(slot: number, restore?: () => void): void {
    const busy = slot * I32_PER_SLOT + BUSY;
    // As a handler would have to wait for another one. Nothing in between touches the range.
    while (Atomics.compareExchange(this.#words, busy, 0, 1) !== 0);
    try {
      restore?.();
      this.#clear(slot);
    } finally {
      Atomics.store(this.#words, busy, 0);
    }
  }

  #clear(slot: number): void {
    const words = this.#words;
    const doubles = this.#doubles;
    const word = slot * I32_PER_SLOT;
    words[word + EVENTS] = 0;
    words[word + VIOLATIONS] = 0;
    words[word + TOUCHED] = 0;
    for (const kind of KINDS) {
      const at = slot * F64_PER_SLOT + kind;
      doubles[at + FIRST] = -1;
      doubles[at + LOWEST] = Infinity;
      doubles[at + END] = 0;
    }
  }

  setFlags(slot: number, flags: number): void {
    Atomics.store(this.#words, slot * I32_PER_SLOT + FLAGS, flags);
  }

  isInstalled(): boolean {
    return this.#signals.reach(this.id);
  }

  /** A slot that nobody else has: one of our own, one that others gave back, or a new one. */
  #claim(): number {
    for (let slot = this.#hints.pop(); slot !== undefined; slot = this.#hints.pop()) {
      if (this.#take(slot)) return slot;
    }
    const header = this.#header;
    const used = Math.min(Atomics.load(header, HIGH_WATER), this.#capacity);
    // Mostly used: a new one is cheaper than to search. Mostly free: the search is short.
    if (2 * Atomics.load(header, FREE_SLOTS) > used || used === this.#capacity) {
      for (let tries = 0; tries < used; tries++) {
        this.#cursor = this.#cursor + 1 < used ? this.#cursor + 1 : 0;
        this.#view(this.#cursor + 1);
        if (this.#take(this.#cursor)) return this.#cursor;
      }
    }
    const slot = Atomics.add(header, HIGH_WATER, 1);
    if (slot >= this.#capacity) {
      Atomics.sub(header, HIGH_WATER, 1);
      return -1;
    }
    this.#view(slot + 1);
    if (this.#claimNew(slot)) return slot;
    // Somebody's search found it below the new high water, and counted one free slot too few.
    Atomics.add(header, FREE_SLOTS, 1);
    return this.#claim();
  }

  #take(slot: number): boolean {
    if (!this.#claimNew(slot)) return false;
    Atomics.sub(this.#header, FREE_SLOTS, 1);
    return true;
  }

  #claimNew(slot: number): boolean {
    return Atomics.compareExchange(
      this.#words,
      slot * I32_PER_SLOT + STATE,
      table.STATE_FREE,
      table.STATE_CLAIMED,
    ) === table.STATE_FREE;
  }

  /** Makes sure that the views reach the first `slots` slots. */
  #view(slots: number): void {
    if (slots <= this.#viewed) return;
    this.#viewed = Math.min(Math.max(slots, 2 * this.#viewed), this.#capacity);
    const keys = this.id + table.TABLE_DISTANCE + table.KEYS;
    const details = keys + this.#capacity * table.KEY_LENGTH;
    const bufferAt = (address: number, length: number) =>
      this.#runtime.bufferAt(BigInt(address), length);
    this.#keys = new Float64Array(bufferAt(keys, this.#viewed * table.KEY_LENGTH));
    const buffer = bufferAt(details, this.#viewed * table.DETAILS_LENGTH);
    this.#words = new Int32Array(buffer);
    this.#doubles = new Float64Array(buffer);
  }
}
