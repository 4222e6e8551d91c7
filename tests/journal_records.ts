/** Records whose content follows from their sequence, so that anybody can check any of them. */

/** Bytes of the longest one. */
export const LONGEST = 700;

/** The content of a record. */
export function recordOf(sequence: number): Uint8Array<ArrayBuffer> {
  const mixed = Math.imul(sequence + 1, 0x9e3779b1) >>> 0;
  const bytes = new Uint8Array(mixed % LONGEST);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (mixed >>> (i % 24)) + i;
  return bytes;
}

/** Whether a record has the content that its sequence asks for. */
export function isRecordOf(sequence: number, bytes: Uint8Array): boolean {
  const expected = recordOf(sequence);
  return bytes.length === expected.length && bytes.every((byte, i) => byte === expected[i]);
}
