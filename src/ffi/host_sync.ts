/** Chooses the operating system's way to wait in shared memory, once, at the first use. */
import { openDarwinSync } from "./darwin_sync.ts";
import { openLinuxSync } from "./linux_sync.ts";
import { host, type Runtime, runtime } from "./runtime.ts";
import type { SyncPlatform } from "./sync_platform.ts";
import { openWindowsSync } from "./windows_sync.ts";

/** Each gives undefined where this version of the system, or this processor, lacks the calls. */
const openers: Readonly<Record<string, (runtime: Runtime) => SyncPlatform | undefined>> = {
  linux: openLinuxSync,
  android: openLinuxSync,
  darwin: openDarwinSync,
  win32: openWindowsSync,
};

let chosen: SyncPlatform | undefined;

/**
 * The running system's way, opened at the first call; undefined where there is none.
 *
 * @throws {Error} The runtime's own error if foreign functions are not permitted.
 */
export function syncPlatform(): SyncPlatform | undefined {
  return chosen ??= openers[host().platform]?.(runtime());
}

/** Puts another way in the place of the running system's, to test what other systems do. */
export function replaceSyncPlatform(platform: SyncPlatform): void {
  chosen = platform;
}
