/**
 * How `console.log` shows objects of the library: one line that says which it is, of what size, where its
 * memory is from, and whether it is closed. The memory is not touched, but for records in place.
 */
import { show } from "./check.ts";
import { hostConstants } from "./ffi/host.ts";

const { PROT_READ, PROT_WRITE, PROT_EXEC } = hostConstants;

/** By these symbols Deno, and Node and Bun, ask an object for its text. */
export const SYMBOLS: readonly symbol[] = [
  Symbol.for("Deno.customInspect"),
  Symbol.for("nodejs.util.inspect.custom"),
];

/** What is said of an object, in order: what is undefined is left out, what is true is named only. */
export type Facts = Readonly<Record<string, string | number | true | undefined>>;

/** What is said of mapped memory. */
interface Mapped {
  readonly size: number;
  readonly path: string | undefined;
  readonly name: string | undefined;
  readonly prot: number;
  readonly closed: boolean;
}

/**
 * Gives the objects of a class their text.
 *
 * @param Class The class, in its static block: the facts may be private.
 * @param facts What is said of one. It reads no mapped memory.
 */
export function inspectable<T>(
  Class: { readonly name: string; readonly prototype: T },
  facts: (object: T) => Facts,
): void {
  const { name } = Class;
  const value = function (this: T): string {
    try {
      return `${name} { ${listed(facts(this))} }`;
    } catch {
      return `${name} {}`; // the prototype, which a console may show as well
    }
  };
  for (const symbol of SYMBOLS) {
    Object.defineProperty(Class.prototype, symbol, { value, writable: true, configurable: true });
  }
}

/**
 * Lets an object be shown as what a function returns, or by the message of the error that it throws. This does
 * read the memory that the function reads.
 */
export function showAs(object: object, copy: () => unknown): void {
  const value = (...args: readonly unknown[]): unknown => {
    try {
      // Deno wants a text, and gives what makes one; what others get, they show.
      const [inspect, options] = args;
      return typeof inspect === "function" ? inspect(copy(), options) : copy();
    } catch (error) {
      return `[${error instanceof Error ? error.message : error}]`;
    }
  };
  for (const symbol of SYMBOLS) Object.defineProperty(object, symbol, { value });
}

function listed(facts: Facts): string {
  return Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => value === true ? name : `${name}: ${value}`)
    .join(", ");
}

/** Where memory is from and what may be done with it. */
export function memoryFacts({ path, name, prot, closed }: Omit<Mapped, "size">): Facts {
  return {
    path: path === undefined ? undefined : show(path),
    name: name === undefined ? undefined : show(name),
    prot: closed ? undefined : protection(prot),
    closed: closed || undefined,
  };
}

/** The same with the size of the memory. */
export function mapFacts(map: Mapped): Facts {
  return { size: map.closed ? undefined : map.size, ...memoryFacts(map) };
}

function protection(prot: number): string {
  const bits = { PROT_READ, PROT_WRITE, PROT_EXEC };
  const names = Object.entries(bits).filter(([, bit]) => (prot & bit) !== 0).map(([name]) => name);
  return names.length === 0 ? "PROT_NONE" : names.join(" | ");
}
