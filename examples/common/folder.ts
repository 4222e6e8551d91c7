/** A folder for the files of an example. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

/** A temporary folder, which goes away when it is disposed of. */
export class TemporaryFolder implements Disposable {
  /** Where it is. */
  readonly path: string = fs.mkdtempSync(path.join(os.tmpdir(), "mman-example-"));

  /** The path of a file in it. */
  file(name: string): string {
    return path.join(this.path, name);
  }

  /** Removes it and what is in it. */
  [Symbol.dispose](): void {
    // Windows may take its time after a file was closed.
    fs.rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}
