/**
 * Waits with the event loop free: one call on another thread waits for all words that this thread watches.
 * A new word interrupts the call through a word of our own; ends of time are timers.
 */
import { MMapClosedError } from "../errors.ts";
import { MAX_WATCHED, type SyncPlatform } from "../ffi/sync_platform.ts";
import type { Mapping } from "../mapping.ts";

/** A word that is waited on. */
export interface Watched {
  readonly mapping: Mapping;
  readonly platform: SyncPlatform;
  /** The wait is over when the word has another value. */
  readonly expected: number;
  /** Where the word is now. */
  address(): number;
  /** What is in it. @throws {MMapClosedError} If the map is closed. @throws {MMapFaultError} If its page was lost. */
  load(): number;
}

interface Entry extends Watched {
  readonly settle: (error: unknown, changed: boolean) => void;
}

/** The longest call: a Worker that ends waits for it, and so does what a closed map leaves behind. */
const CALL_MS = 100;
/** Where the system cannot wait for several words at once, they are looked at this often. */
const LOOK_MS = 1;
/** What a timer can count. */
const MAX_TIMER = 2 ** 31 - 1;

/**
 * Waits until a word has another value; whether it has, or else the time was over.
 *
 * @throws {MMapClosedError} If the map is closed. The promise is rejected.
 */
export function watch(word: Watched, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const { closing } = word.mapping;
    const onClose = () => {
      settle(
        new MMapClosedError("Cannot wait any longer: the map was closed; open it again"),
        false,
      );
    };
    const settle = (error: unknown, changed: boolean): void => {
      closing.delete(onClose);
      clearTimeout(timer);
      watcher.remove(entry);
      if (error === undefined) resolve(changed);
      else reject(error);
    };
    const lookOnce = (): void => {
      try {
        settle(undefined, word.load() !== word.expected);
      } catch (error) {
        settle(error, false);
      }
    };
    const entry: Entry = { ...word, settle };
    const timer = timeoutMs <= MAX_TIMER ? setTimeout(lookOnce, Math.ceil(timeoutMs)) : undefined;
    closing.add(onClose);
    watcher.add(entry);
  });
}

class Watcher {
  readonly #entries = new Set<Entry>();
  #running = false;
  /** Interrupts the call when it changes; not in the engine's moving heap. */
  readonly #control = new Int32Array(new ArrayBuffer(128));

  add(entry: Entry): void {
    this.#entries.add(entry);
    if (this.#running) this.#interrupt(entry.platform);
    else void this.#run(entry.platform);
  }

  remove(entry: Entry): void {
    if (this.#entries.delete(entry) && this.#entries.size === 0) this.#interrupt(entry.platform);
  }

  #interrupt(platform: SyncPlatform): void {
    Atomics.add(this.#control, 0, 1);
    if (platform.waitForAny !== undefined) platform.wake(this.#address(platform), 1);
  }

  #address({ runtime }: SyncPlatform): number {
    return Number(runtime.addressOf(this.#control));
  }

  async #run(platform: SyncPlatform): Promise<void> {
    this.#running = true;
    while (this.#entries.size > 0) {
      const control = Atomics.load(this.#control, 0);
      if (this.#settleChanged()) continue;
      const started = performance.now();
      await this.#wait(platform, control);
      const refused = performance.now() - started < LOOK_MS &&
        Atomics.load(this.#control, 0) === control && !this.#settleChanged();
      // A word whose page is gone ends the call at once: do not spin.
      if (refused) await pause();
    }
    this.#running = false;
  }

  async #wait(platform: SyncPlatform, control: number): Promise<void> {
    if (platform.waitForAny === undefined) return await pause();
    const words = [{ address: this.#address(platform), expected: control }];
    for (const entry of this.#entries) {
      if (words.length === MAX_WATCHED) break;
      words.push({ address: entry.address(), expected: entry.expected });
    }
    // More than fit: those left out are looked at as often as a word without such a call.
    const all = words.length > this.#entries.size;
    await platform.waitForAny(words, all ? CALL_MS : LOOK_MS);
  }

  /** Ends the waits whose word has changed; whether there was one. */
  #settleChanged(): boolean {
    let some = false;
    for (const entry of [...this.#entries]) {
      try {
        if (entry.load() === entry.expected) continue;
        entry.settle(undefined, true);
      } catch (error) {
        entry.settle(error, false);
      }
      some = true;
    }
    return some;
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}

const watcher = new Watcher();
