/**
 * Node under Wine does not see that a folder in `node_modules` is a link, and so does not find what the
 * package behind it needs. Deno keeps everything in one place: look there next.
 */
import { registerHooks } from "node:module";

const everything = new URL("../../node_modules/.deno/package.json", import.meta.url).href;

registerHooks({
  resolve(specifier, context, nextResolve) {
    try {
      return nextResolve(specifier, context);
    } catch (error) {
      if (error.code !== "ERR_MODULE_NOT_FOUND" || /^\.|:/.test(specifier)) throw error;
      return nextResolve(specifier, { ...context, parentURL: everything });
    }
  },
});
