/** Messages that show whether they are whole, and who has sent them as which. */

/** Bytes of a stamped message at least: sender, number, seed. */
export const STAMP_LENGTH = 12;

/** Writes a sender and a number into a message, and bytes that follow from them. */
export function stamp(bytes: Uint8Array, sender: number, number: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(0, sender);
  view.setUint32(4, number);
  view.setUint32(8, bytes.length);
  for (let i = STAMP_LENGTH; i < bytes.length; i++) bytes[i] = sender * 31 + number * 7 + i;
}

/** Reads a stamp; undefined if the message is not as {@link stamp} made it. */
export function readStamp(bytes: Uint8Array): { sender: number; number: number } | undefined {
  if (bytes.length < STAMP_LENGTH) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [sender, number] = [view.getUint32(0), view.getUint32(4)];
  if (view.getUint32(8) !== bytes.length) return undefined;
  for (let i = STAMP_LENGTH; i < bytes.length; i++) {
    if (bytes[i] !== (sender * 31 + number * 7 + i & 255)) return undefined;
  }
  return { sender, number };
}

/** Lengths of stamped messages: most are short, some do not fit into a page's rest. */
export function stampedLength(number: number): number {
  return STAMP_LENGTH + (number % 50 === 0 ? 1500 : number * 13 % 90);
}
