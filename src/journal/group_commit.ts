/** Flushes for many records at once: after some time, or when there are many bytes. */
import type { Writer } from "./writer.ts";

interface Waiting {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** When a group is flushed. */
export interface GroupLimits {
  /** Milliseconds that a record waits at most. */
  readonly milliseconds: number;
  /** Bytes that wait at most. */
  readonly bytes: number;
}

/** The records of one writer that wait for a flush. */
export class GroupCommit {
  readonly #writer: Writer;
  readonly #limits: GroupLimits;
  /** In the order of their sequences. */
  #waiting: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer was started. */
  #since = 0;
  #running = false;

  constructor(writer: Writer, limits: GroupLimits) {
    this.#writer = writer;
    this.#limits = limits;
  }

  /** Counts a record that was appended in; flushes if the limits want it. */
  added(): void {
    const now = performance.now();
    if (this.#timer === undefined) {
      this.#since = now;
      this.#timer = setTimeout(() => void this.#commit(), this.#limits.milliseconds);
    }
    // A caller who never returns to the event loop keeps the timer from firing.
    const late = now - this.#since >= this.#limits.milliseconds && this.#limits.milliseconds > 0;
    if (late || this.#writer.unflushed >= this.#limits.bytes) this.flush();
  }

  /** Resolves when a record is on the storage. */
  durable(sequence: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (sequence < this.#writer.durable) resolve();
      else this.#waiting.push({ sequence, resolve, reject });
    });
  }

  /** Flushes at once. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      this.#writer.flush();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    this.#settle();
  }

  /** Flushes for the last time. */
  close(): void {
    clearTimeout(this.#timer);
    if (this.#writer.unflushed > 0) this.flush();
  }

  async #commit(): Promise<void> {
    this.#timer = undefined;
    if (this.#running) return; // goes on below
    this.#running = true;
    try {
      do {
        await this.#writer.flushAsync();
        this.#settle();
      } while (this.#writer.unflushed > 0 && this.#timer === undefined);
    } catch (error) {
      this.#fail(error); // the next append throws it
    } finally {
      this.#running = false;
    }
  }

  #settle(): void {
    const { durable } = this.#writer;
    const count = this.#waiting.findIndex(({ sequence }) => sequence >= durable);
    const done = count === -1 ? this.#waiting.splice(0) : this.#waiting.splice(0, count);
    for (const { resolve } of done) resolve();
  }

  #fail(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
