/**
 * The part of `@std/path` that the tests use, over `node:path` and `node:url`, for Bun, Node, and Deno
 * where JSR cannot be reached.
 */
import * as path from "node:path";
import * as url from "node:url";

/** The separator of the running system. */
export const SEPARATOR: "/" | "\\" = path.sep;
/** The last part of a path, without `suffix`. */
export const basename: (path: string, suffix?: string) => string = path.basename;
/** The folder of a path. */
export const dirname: (path: string) => string = path.dirname;
/** The extension of a path, with its dot. */
export const extname: (path: string) => string = path.extname;
/** Whether a path is absolute. */
export const isAbsolute: (path: string) => boolean = path.isAbsolute;
/** A path without `.`, `..` and double separators. */
export const normalize: (path: string) => string = path.normalize;
/** The relative path from one path to another. */
export const relative: (from: string, to: string) => string = path.relative;
/** The absolute path of a sequence of parts. */
export const resolve: (...parts: string[]) => string = path.resolve;
/** The path of a `file:` URL. */
export const fromFileUrl: (url: string | URL) => string = url.fileURLToPath;
/** The `file:` URL of a path. */
export const toFileUrl: (path: string) => URL = url.pathToFileURL;

/** The parts of a path put together. */
export function join(first: string | URL, ...rest: string[]): string {
  return path.join(first instanceof URL ? fromFileUrl(first) : first, ...rest);
}
