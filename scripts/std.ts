/**
 * Finds out whether `jsr:@std` can be had. Where it cannot, Deno runs with an import map that is
 * `deno.json`'s own, with the adapters of `tests/std` in the place of JSR's packages.
 */
import { pathToFileURL } from "node:url";
import { run } from "./process.ts";

/** Relative to the top of the repository, where the scripts run. */
const CACHE = ".cache";
const IMPORT_MAP = `${CACHE}/import_map.json`;

/** Where the network swallows packets instead of refusing them, the answer is no after this time. */
const PROBE_SECONDS = 15;

/** What `deno.json` imports. */
async function declaredImports(): Promise<Record<string, string>> {
  return JSON.parse(await Deno.readTextFile("deno.json")).imports;
}

async function writeImportMap(imports: Record<string, string>): Promise<void> {
  const offline = Object.entries(imports).map(([name, target]) => {
    const adapter = name.replace(/^@std\/(.*)/, "./tests/std/$1.ts");
    const local = target.startsWith("jsr:") ? adapter : target;
    return [name, local.startsWith("./") ? pathToFileURL(local).href : local];
  });
  await Deno.mkdir(CACHE, { recursive: true });
  const fresh = await Deno.makeTempFile({ dir: CACHE }); // renamed when complete: others may run, too
  const map = { imports: Object.fromEntries(offline) };
  await Deno.writeTextFile(fresh, JSON.stringify(map, null, 2));
  await Deno.rename(fresh, IMPORT_MAP);
}

/** The arguments with which `deno` commands find `@std`: none, or the import map. */
export async function stdArguments(): Promise<string[]> {
  const imports = await declaredImports();
  const packages = Object.values(imports).filter((target) => target.startsWith("jsr:"));
  const program = packages.map((target) => `import ${JSON.stringify(target)};`).join("");
  const probe = await run([Deno.execPath(), "eval", "--no-config", program], {
    stdout: "keep",
    limitSeconds: PROBE_SECONDS,
  });
  if (probe.success) return [];
  await writeImportMap(imports);
  return ["--import-map", IMPORT_MAP];
}
