import { assertEquals } from "@std/assert";
import fs from "node:fs";
import { test } from "node:test";
import { SYMBOLS } from "../src/inspect.ts";
import type { AnyClassTable, AnyFunctionTable } from "./fuzz/table.ts";
import { tables } from "./fuzz/tables/mod.ts";

const root = new URL("../", import.meta.url);
const { exports }: { exports: Record<string, string> } = JSON.parse(
  fs.readFileSync(new URL("deno.json", root), "utf8"),
);
const entries = Object.entries(exports);

const functionTables = tables.filter((table) => "functions" in table) as AnyFunctionTable[];
const classTables = tables.filter((table) => !("functions" in table)) as AnyClassTable[];

function isClass(value: object): boolean {
  return /^(class|abstract class)\b/.test(Function.prototype.toString.call(value));
}

function methodsOf(owner: object): (string | symbol)[] {
  return Reflect.ownKeys(owner).filter((key) =>
    key !== "constructor" &&
    typeof Object.getOwnPropertyDescriptor(owner, key)!.value === "function"
  );
}

/** The methods of a class that no table has. */
function missingOf(owner: { readonly name: string; readonly prototype: object }): string[] {
  const object = Object.create(owner.prototype);
  const table = classTables.find(({ is }) => {
    try {
      return is(object);
    } catch {
      return false; // it looks at what only a true object has
    }
  });
  const known = (key: string | symbol) =>
    table !== undefined &&
    (key in table.methods ||
      (SYMBOLS.includes(key as symbol) ? "inspect" : key) in (table.actions ?? {}));
  const own = methodsOf(owner.prototype).filter((key) => !known(key))
    .map((key) => `${owner.name}.prototype.${String(key)}`);
  const statics = methodsOf(owner)
    .filter((key) =>
      !functionTables.some((table) => table.owner === owner && key in table.functions)
    )
    .map((key) => `${owner.name}.${String(key)}`);
  return [...own, ...statics];
}

for (const [name, path] of entries) {
  test(`the fuzzer calls everything that ${name} exports`, async () => {
    const entry: Record<string, unknown> = await import(new URL(path, root).href);
    const missing = Object.entries(entry).flatMap(([name, value]) => {
      if (typeof value !== "function" || value.prototype instanceof Error) return [];
      if (isClass(value)) return missingOf(value);
      return functionTables.some(({ functions }) => Object.hasOwn(functions, name)) ? [] : [name];
    });
    assertEquals(missing, []);
  });
}
