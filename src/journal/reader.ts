/** The reading side of a journal that this process does not write. */
import type { Readable } from "./cursor.ts";
import { published } from "./live.ts";
import { openIfThere, type OpenSegment, openSegment, survey, walkToEnd } from "./recovery.ts";
import type { Header } from "./segment.ts";
import type { SegmentFile, Storage } from "./storage.ts";

/** A journal that is open for reading. */
export class Reader implements Readable {
  readonly storage: Storage;
  readonly control: SegmentFile;
  readonly identity: Header["identity"];
  /** What a writer would drop now. */
  readonly droppedBytes: number;
  /** The count of published records before anything was looked at. A crash may have left any. */
  readonly #stale: number;
  /** What was found valid then. */
  readonly #found: number;

  constructor(storage: Storage) {
    this.storage = storage;
    const { file, header } = openSegment(storage, 0, false);
    this.control = file;
    this.identity = header.identity;
    this.#stale = published(file);
    try {
      const last = this.#openLast();
      try {
        const walk = walkToEnd(last);
        this.#found = walk.sequence;
        this.droppedBytes = walk.traces();
      } finally {
        last.file.close();
      }
    } catch (error) {
      file.close();
      throw error;
    }
  }

  #openLast(): OpenSegment {
    for (;;) {
      const { number } = survey(this.storage, this.control, this.identity).at(-1)!;
      const last = openIfThere(this.storage, number, this.identity);
      if (last !== undefined) return last;
    }
  }

  /** Sequence of the first record that is there. */
  get first(): number {
    return survey(this.storage, this.control, this.identity)[0]!.first;
  }

  /** Sequence after the last record that may be read. */
  get next(): number {
    const now = published(this.control);
    // Once the count moves there is a writer behind it.
    return now === this.#stale ? this.#found : Math.max(now, this.#found);
  }

  /** Ends the map. */
  close(): void {
    this.control.close();
  }
}
