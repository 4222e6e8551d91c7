/**
 * Preloaded into `deno test`: an error that no test catches (thrown while a file loads, by a timer, in a
 * promise) would pass unseen, because Deno's `node:test` swallows it. Each is printed, and added to the
 * file that `MMAN_UNCAUGHT` names, for the test command to count.
 */

function record(error: unknown): void {
  console.error("Uncaught:", error);
  const log = Deno.env.get("MMAN_UNCAUGHT");
  if (log) Deno.writeTextFileSync(log, "uncaught\n", { append: true });
}

addEventListener("error", (event) => record(event.error));
addEventListener("unhandledrejection", (event) => record(event.reason));
