/**
 * The one error family of the library. Every error names what was asked, keeps the operating
 * system's code where there is one, and says what to do.
 */

/** What the operating system said, kept on an {@link MMapError}. */
export interface MMapErrorOptions {
  /** The symbolic code, such as `"ENOMEM"`. */
  readonly code?: string | undefined;
  /** The number behind `code` (`errno`, or `GetLastError()` on Windows). */
  readonly errno?: number | undefined;
  /** The call that failed, such as `"mmap"`. */
  readonly syscall?: string | undefined;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/**
 * Base of all errors that this library throws by itself.
 *
 * @example
 * ```ts
 * import { MemoryMap, MMapError } from "@mman/mman";
 * import { assertInstanceOf } from "@std/assert";
 *
 * try {
 *   MemoryMap.open("/no/such/file");
 * } catch (error) {
 *   assertInstanceOf(error, MMapError);
 *   console.log(error.syscall, error.code); // open ENOENT
 * }
 * ```
 */
export class MMapError extends Error {
  /** The class by name. */
  override name = "MMapError";
  /** The operating system's symbolic code, such as `"ENOMEM"`; undefined when no call was made. */
  readonly code: string | undefined;
  /** The operating system's error number; undefined when no call was made. */
  readonly errno: number | undefined;
  /** The call that failed, such as `"mmap"`; undefined when no call was made. */
  readonly syscall: string | undefined;

  /**
   * Usually the library makes these.
   *
   * @param message What was asked, what is allowed, what to do.
   * @param options What the operating system said.
   */
  constructor(message: string, options: MMapErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = options.code;
    this.errno = options.errno;
    this.syscall = options.syscall;
  }
}

/** The system could not give the memory, address space, descriptor or disk blocks asked for. */
export class MMapAllocationError extends MMapError {
  /** The class by name. */
  override name = "MMapAllocationError";
}

/** An argument is of the wrong kind, out of range, or asks for what this platform does not have. */
export class MMapInvalidParameterError extends MMapError {
  /** The class by name. */
  override name = "MMapInvalidParameterError";
}

/** The map was used after `close()`. */
export class MMapClosedError extends MMapError {
  /** The class by name. */
  override name = "MMapClosedError";
}

/** The map's protection, the file's mode or the process's rights forbid the access. */
export class MMapProtectionError extends MMapError {
  /** The class by name. */
  override name = "MMapProtectionError";
}

/** A page is gone: the file behind it was truncated, or the disk is full. */
export class MMapFaultError extends MMapError {
  /** The class by name. */
  override name = "MMapFaultError";
  /**
   * Bytes from the start of the map to the fault: of a method, the first byte of the range asked for whose page
   * is gone.
   */
  readonly offset: number;

  /**
   * Usually the library makes these.
   *
   * @param message What was asked, what is allowed, what to do.
   * @param offset Bytes from the start of the map to the fault.
   * @param options What the operating system said.
   */
  constructor(message: string, offset: number, options: MMapErrorOptions = {}) {
    super(message, options);
    this.offset = offset;
  }
}
