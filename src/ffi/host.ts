/** Chooses the operating system's file, once, at the first use. */
import { darwinConstants, openDarwin } from "./darwin.ts";
import { linuxConstants, openLinux } from "./linux.ts";
import type { Constants, Platform } from "./platform.ts";
import { host, runtime } from "./runtime.ts";
import { openUnsupported, unsupportedConstants } from "./unsupported.ts";
import { openWindows, windowsConstants } from "./windows.ts";

type Os = "linux" | "darwin" | "windows" | "unsupported";

function hostOs(): Os {
  switch (host().platform) {
    case "linux":
    case "android":
      return "linux";
    case "darwin":
      return "darwin";
    case "win32":
      return "windows";
    default:
      return "unsupported";
  }
}

/** Chosen as soon as the library is imported: plain numbers, no library is opened for them. */
export const hostConstants: Constants = {
  linux: linuxConstants,
  darwin: darwinConstants,
  windows: windowsConstants,
  unsupported: unsupportedConstants,
}[hostOs()];

let chosen: Platform | undefined;

/**
 * The running operating system, opened at the first call.
 *
 * @throws {Error} The runtime's own error if foreign functions are not permitted, or if neither the
 * system nor the runtime is supported.
 */
export function platform(): Platform {
  return chosen ??= {
    linux: openLinux,
    darwin: openDarwin,
    windows: openWindows,
    unsupported: openUnsupported,
  }[hostOs()](runtime());
}
