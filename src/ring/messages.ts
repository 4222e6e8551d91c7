/** What MessageQueue and Broadcast have in common: what a message may be, and reading one after the other. */
import { checkOptionKeys, show } from "../check.ts";
import { MMapClosedError, MMapInvalidParameterError } from "../errors.ts";
import { asByteArray } from "../memory_operations.ts";

/** What can be sent: bytes, or text as UTF-8. */
export type MessageData = ArrayBufferView | ArrayBufferLike | string;

/** Options of a message that is not waited for. */
export interface MessageOptions {
  /** A number for the reader, 1 to 2^31 - 1. Default 1. */
  type?: number;
}

/** The greatest type. */
const MAX_TYPE: number = 2 ** 31 - 1;

const encoder = new TextEncoder();

/** The bytes of a message. */
export function bytesOf(message: MessageData): Uint8Array {
  return typeof message === "string" ? encoder.encode(message) : asByteArray(message);
}

/** The type of a message, given as a number or in options; {@link checkMessage} looks whether it is one. */
export function typeOf(call: string, given: number | MessageOptions): number {
  if (typeof given !== "object" || given === null) return given;
  checkOptionKeys(call, given, ["type"]);
  return given.type ?? 1;
}

/** Throws unless a message of that length and type can be written. */
export function checkMessage(length: number, type: number, most: number, capacity: number): void {
  if (typeof type !== "number" || (type | 0) !== type || type < 1) {
    throw new MMapInvalidParameterError(
      `Cannot use ${show(type)} as a type: it must be a whole number from 1 to ${MAX_TYPE}`,
    );
  }
  if (length <= most) return;
  throw new MMapInvalidParameterError(
    `Cannot write a message of ${length} bytes: the ring has a capacity of ${capacity}, which allows ` +
      `${most}; make it larger`,
  );
}

/** Throws unless messages can be handed to it: before one is taken out of the ring. */
export function checkHandler(handler: unknown): void {
  if (typeof handler === "function") return;
  throw new MMapInvalidParameterError(
    `Cannot hand messages to ${show(handler)}: give a function, or use readAsync()`,
  );
}

/** One after the other until the ring is closed. */
export async function* untilClosed<T>(next: () => Promise<T | undefined>): AsyncGenerator<T> {
  for (;;) {
    let message: T | undefined;
    try {
      message = await next();
    } catch (error) {
      if (error instanceof MMapClosedError) return;
      throw error;
    }
    if (message !== undefined) yield message;
  }
}
