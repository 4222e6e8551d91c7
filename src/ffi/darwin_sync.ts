import type { Runtime } from "./runtime.ts";
import type { SyncPlatform } from "./sync_platform.ts";
export function openDarwinSync(_runtime: Runtime): SyncPlatform | undefined {
  return undefined;
}
