/**
 * Locks as they are on systems whose kernel knows no owners and waits on one word only: the same promises,
 * kept by those who wait.
 */
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { firstReason, runtimeName, skipWithoutChildren } from "./helpers.ts";
import { skipOutsideLinux } from "./helpers_paging.ts";
import { ask, type Peer, sharedFile, startPeer, within } from "./helpers_sync.ts";
import { count, type Counting, SECONDS } from "./sync_stress.ts";

const skip = firstReason(skipOutsideLinux, skipWithoutChildren());
const environment = { SYNC_BARE: "1" };

function start(name: string, args: readonly (string | number)[]): Peer {
  return startPeer(name, args, runtimeName, environment);
}

describe("Without owners in the kernel", { skip }, () => {
  for (const kind of ["mutex", "rwlock", "semaphore"]) {
    test(`4 processes count to 4000 under a ${kind}`, async () => {
      const forms = ["sync", "sync", "sync", "async"] as const;
      const counting = forms.map((
        form,
      ): Counting => [runtimeName, form === "sync" ? 1300 : 100, form]);
      await count(kind, counting, SECONDS, environment);
    });
  }
  test("a dead holder's lock is recovered within milliseconds", async () => {
    using file = sharedFile();
    const times: number[] = [];
    for (const form of ["lock", "lockAsync"]) {
      for (const kind of ["mutex", "write", "read"]) {
        await using dead = start("sync_member.ts", [file.path]);
        await using next = start("sync_member.ts", [file.path]);
        const at = kind === "mutex" ? 4096 : 0;
        assertEquals(await ask(dead, { do: `lock ${kind}`, at }), "acquired");
        const wanted = kind === "mutex" ? "mutex" : "write";
        assertEquals(await ask(next, { do: `tryLock ${wanted}`, at }), false);
        const waiting = ask(next, { do: `${form} ${wanted}`, at });
        const killed = performance.now();
        dead.kill();
        assertEquals(await waiting, kind === "read" ? "acquired" : "recovered");
        times.push(performance.now() - killed);
        await ask(next, { do: `unlock ${wanted}`, at });
      }
    }
    // Others may keep the processors busy: the quickest says what the lock does.
    assert(Math.min(...times) < 50, `${times.map((time) => time.toFixed(1))} ms`);
  });
  test("events, changes and barriers work, parked or not", async () => {
    using file = sharedFile();
    await using one = start("sync_member.ts", [file.path]);
    await using two = start("sync_member.ts", [file.path]);
    const parked = ask(one, { do: "wait", at: 64 });
    await ask(two, { do: "set", at: 64 });
    assertEquals(await within(20, "the event", parked), true);
    const free = ask(one, { do: "waitForChangeAsync", at: 512, value: 0 });
    await ask(two, { do: "store", at: 512, value: 1 });
    assertEquals(await within(20, "the change", free), true);
    const arrive = { do: "arrive", at: 4096, of: 2 };
    const both = Promise.all([ask(one, arrive), ask(two, arrive)]);
    assertEquals(await within(20, "arrivals", both), ["passed", "passed"]);
    const later = ask(one, arrive);
    two.kill();
    assertEquals(await within(20, "the dead one", later), "recovered");
  });
});
