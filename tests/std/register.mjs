/** For Node: `--import` of this file makes `@std/*` in the tests the adapters beside it. */
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, nextResolve) {
    const name = /^@std\/(.*)$/.exec(specifier)?.[1];
    const target = name ? new URL(`./${name}.ts`, import.meta.url).href : specifier;
    return nextResolve(target, context);
  },
});
