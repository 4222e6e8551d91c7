/** Random sequences of everything a cursor does, against a model and against CPython's mmap objects. */
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { assert, assertEquals } from "@std/assert";
import { MemoryMap } from "../mod.ts";
import {
  CursorModel,
  CursorSubject,
  fromBytes,
  type Outcome,
  type Sequence,
  sequences,
  toBytes,
} from "./fixtures/cursor_operations.ts";
import { fileBytes, skipWithoutCommands, tempDir } from "./helpers.ts";

const SEED = 20260;

/** What a cursor over the file makes of a sequence, each outcome shown to `check`. */
async function performOn(
  path: string,
  { mode, operations }: Sequence,
  check: (outcome: Outcome, index: number) => void,
): Promise<void> {
  using map = MemoryMap.open(path, { mode });
  const subject = new CursorSubject(map);
  for (const [index, operation] of operations.entries()) {
    check(await subject.perform(operation), index);
  }
}

/** What a file holds in the end: with copy on write, what it held in the beginning. */
function remains({ bytes, mode }: Sequence, model: CursorModel): string {
  return mode === "c" ? bytes : model.bytes;
}

test("Cursor behaves like an array with a position under random sequences of all operations", async () => {
  using dir = tempDir();
  await fc.assert(
    fc.asyncProperty(sequences(true), async (sequence) => {
      const path = dir.file("bytes", toBytes(sequence.bytes));
      const model = new CursorModel(sequence.bytes, sequence.mode);
      await performOn(path, sequence, (outcome, index) => {
        const operation = sequence.operations[index]!;
        assertEquals(outcome, model.perform(operation), JSON.stringify(operation));
      });
      assertEquals(fromBytes(fileBytes(path)), remains(sequence, model));
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test(
  "Cursor agrees with CPython's mmap object under random sequences: values, errors, positions, files",
  { skip: skipWithoutCommands("python3") },
  async () => {
    using dir = tempDir();
    const cases = fc.sample(sequences(false), { seed: SEED, numRuns: 600 })
      .filter(({ operations }) => findsNothingBackwards || !operations.some(isEmptyInRange));
    assert(cases.length > 100);
    const theirs = cases.map(({ bytes }, index) => dir.file(`${index}.python`, toBytes(bytes)));
    const expected = performInPython(
      cases.map(({ mode, operations }, index) => ({ path: theirs[index]!, mode, operations })),
    );

    let compared = 0;
    for (const [index, sequence] of cases.entries()) {
      const ours = dir.file(`${index}`, toBytes(sequence.bytes));
      await performOn(ours, sequence, (outcome, at) => {
        const about = JSON.stringify({ sequence, at });
        assertEquals(comparable(outcome), comparable(expected[index]![at]!), about);
        compared++;
      });
      assertEquals(fileBytes(ours), fileBytes(theirs[index]!));
    }
    assertEquals(compared, expected.flat().length);
  },
);

/** Whether the search for nothing in a range that ends before it starts fails: CPython 3.11.2 finds it. */
const findsNothingBackwards = skipWithoutCommands("python3") !== false ||
  spawnSync("python3", ["-c", 'import mmap; print(mmap.mmap(-1, 8).find(b"", 7, 3))'], {
      encoding: "utf8",
    }).stdout.trim() === "-1";

function isEmptyInRange(operation: Sequence["operations"][number]): boolean {
  return "needle" in operation && operation.needle === "" && "end" in operation;
}

function performInPython(
  cases: readonly (Omit<Sequence, "bytes"> & { readonly path: string })[],
): Outcome[][] {
  const script = fileURLToPath(new URL("./fixtures/cursor_python.py", import.meta.url));
  const { status, stdout, stderr } = spawnSync("python3", [script], {
    input: JSON.stringify(cases),
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  assertEquals(status, 0, stderr);
  return JSON.parse(stdout);
}

/** An outcome without what differs by language: the names of errors, and `None`. */
function comparable({ value, error, position }: Outcome): Outcome {
  return error === undefined ? { value: value ?? null, position } : { error: "error", position };
}
