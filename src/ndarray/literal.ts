/**
 * The part of Python's literals that the headers of `.npy` files are written in: strings, whole
 * numbers, True, False, None, tuples, lists and dicts.
 */
import { show } from "../check.ts";
import { MMapInvalidParameterError } from "../errors.ts";

/** A tuple, told apart from a list. */
export class Tuple {
  readonly items: readonly Literal[];

  constructor(...items: readonly Literal[]) {
    this.items = items;
  }
}

/** A value of Python. */
export type Literal =
  | string
  | number
  | boolean
  | null
  | Tuple
  | readonly Literal[]
  | ReadonlyMap<Literal, Literal>;

/** Deeper than any dtype goes, and far from where the parser's own calls would overflow. */
const MAX_DEPTH = 32;

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/**
 * Reads one value, with spaces around it.
 *
 * @throws {MMapInvalidParameterError} If the text is none.
 */
export function parseLiteral(text: string): Literal {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Literal {
    if (depth > MAX_DEPTH) this.#fail(`nothing nested deeper than ${MAX_DEPTH}`);
    const next = this.#peek();
    if (next === "(") return this.#tuple(depth);
    if (next === "[") return this.#items("[", "]", depth).items;
    if (next === "{") return this.#dict(depth);
    // Python 2 marked text with a u.
    const quoted = this.#match(/[uU]?(?=['"])/y);
    if (quoted !== undefined) return this.#string();
    const number = this.#match(/[+-]?\d+/y);
    if (number !== undefined) {
      this.#match(/[lL]/y); // Python 2 marked long integers
      const value = Number(number);
      if (!Number.isSafeInteger(value)) this.#fail("a number below 2 ** 53");
      return value;
    }
    switch (this.#match(/\w+/y)) {
      case "True":
        return true;
      case "False":
        return false;
      case "None":
        return null;
    }
    return this.#fail("a value");
  }

  end(): void {
    if (this.#peek() !== "") this.#fail("the end");
  }

  #tuple(depth: number): Literal {
    const { items, comma } = this.#items("(", ")", depth);
    // Parentheses around one value are a tuple only with a comma.
    return items.length === 1 && !comma ? items[0]! : new Tuple(...items);
  }

  #items(open: string, close: string, depth: number): { items: Literal[]; comma: boolean } {
    const items: Literal[] = [];
    let comma = false;
    this.#expect(open);
    while (this.#peek() !== close) {
      items.push(this.value(depth + 1));
      comma = this.#skip(",");
      if (!comma) break;
    }
    this.#expect(close);
    return { items, comma };
  }

  #dict(depth: number): ReadonlyMap<Literal, Literal> {
    const entries = new Map<Literal, Literal>();
    this.#expect("{");
    while (this.#peek() !== "}") {
      const key = this.value(depth + 1);
      this.#expect(":");
      entries.set(key, this.value(depth + 1));
      if (!this.#skip(",")) break;
    }
    this.#expect("}");
    return entries;
  }

  #string(): string {
    const quote = this.#text[this.#at++]!;
    let value = "";
    while (true) {
      const character = this.#text[this.#at++];
      if (character === undefined || character === "\n") this.#fail(`a closing ${quote}`);
      if (character === quote) return value;
      value += character === "\\" ? this.#escaped() : character;
    }
  }

  #escaped(): string {
    const code = this.#match(/x[\da-f]{2}|u[\da-f]{4}|U00(?:0[\da-f]|10)[\da-f]{4}/iy);
    if (code !== undefined) return String.fromCodePoint(parseInt(code.slice(1), 16));
    return ESCAPES[this.#text[this.#at++] ?? ""] ?? this.#fail("a known escape");
  }

  /** The next character that is no space, or "" at the end. */
  #peek(): string {
    while (/^\s$/.test(this.#text[this.#at] ?? "")) this.#at++;
    return this.#text[this.#at] ?? "";
  }

  #skip(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#skip(character)) this.#fail(character);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #fail(expected: string): never {
    throw new MMapInvalidParameterError(
      `Cannot understand ${show(this.#text.slice(0, 200))} as a header of NumPy: there must be ` +
        `${expected} at character ${this.#at}`,
    );
  }
}

/** A value as Python's `repr` writes it. */
export function repr(value: Literal): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return `${value}`;
  if (typeof value === "string") return reprString(value);
  if (value instanceof Tuple) {
    const items = value.items.map(repr);
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
  }
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  const entries = [...value as ReadonlyMap<Literal, Literal>];
  return `{${entries.map(([key, item]) => `${repr(key)}: ${repr(item)}`).join(", ")}}`;
}

function reprString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = Array.from(text, (character) => {
    if (character === quote || character === "\\") return `\\${character}`;
    if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) return character;
    const short: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
    const code = character.codePointAt(0)!;
    const hex = (digits: number) => code.toString(16).padStart(digits, "0");
    if (code < 0x100) return short[character] ?? `\\x${hex(2)}`;
    return code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
  });
  return quote + body.join("") + quote;
}
