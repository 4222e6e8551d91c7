/**
 * Node's own modules, which all three runtimes have, at their first use: importing `node:fs` alone costs
 * Deno 16 milliseconds, as long as all else until the first map.
 */

function lazily<T>(load: () => T): () => T {
  let loaded: T | undefined;
  return () => loaded ??= load();
}

/** {@link https://nodejs.org/api/fs.html | node:fs} */
export const nodeFs: () => typeof import("node:fs") = lazily(() =>
  globalThis.process.getBuiltinModule("node:fs")
);

/** {@link https://nodejs.org/api/os.html | node:os} */
export const nodeOs: () => typeof import("node:os") = lazily(() =>
  globalThis.process.getBuiltinModule("node:os")
);

/** {@link https://nodejs.org/api/path.html | node:path} */
export const nodePath: () => typeof import("node:path") = lazily(() =>
  globalThis.process.getBuiltinModule("node:path")
);

/** {@link https://nodejs.org/api/url.html | node:url} */
export const nodeUrl: () => typeof import("node:url") = lazily(() =>
  globalThis.process.getBuiltinModule("node:url")
);

/** {@link https://nodejs.org/api/worker_threads.html | node:worker_threads} */
export const nodeWorkers: () => typeof import("node:worker_threads") = lazily(() =>
  globalThis.process.getBuiltinModule("node:worker_threads")
);

/** {@link https://nodejs.org/api/timers.html | node:timers}, whose timers have `unref` */
export const nodeTimers: () => typeof import("node:timers") = lazily(() =>
  globalThis.process.getBuiltinModule("node:timers")
);
