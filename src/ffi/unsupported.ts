/** Any other operating system: every call says that it is not supported. Proves the interface complete. */
import { linuxConstants } from "./linux.ts";
import type { Constants, Platform } from "./platform.ts";
import { host, type Runtime } from "./runtime.ts";

/** The most common values, so that importing the constants works everywhere. */
export const unsupportedConstants: Constants = linuxConstants;

/** @throws {Error} Always: there is nothing to open. */
export function openUnsupported(_runtime: Runtime): Platform {
  throw new Error(
    `Cannot map memory: ${host().platform || "this system"} is not supported; ` +
      "use Linux, macOS or Windows",
  );
}
