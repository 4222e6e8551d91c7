/** What others do to a file while it is in use: cut it, take it away, write what cannot be true. */
import fs from "node:fs";
import { random } from "../random.ts";
import { resizeFile } from "./hostile.ts";
import type { Shown, Source } from "./shown.ts";

/** Values that a header must not be believed. */
const LIES: readonly number[] = [
  ...[0, 1, 3, 7, 8, 16, 64, 4095, 4096, 65_536, 2 ** 20, 2 ** 30, 2 ** 31 - 1],
  ...[2 ** 31, 2 ** 31 + 8, 2 ** 32 - 8, 2 ** 32 - 1, 0x676e6972],
];

const WORD = 4;
const NEAR_START = 400;
const SIZES: readonly number[] = [0, 1, 16, 64, 100, 4095, 4096, 8192, 12_288, 100_000];

/** Writes into a file at a place, if it is there. */
function overwrite(path: string, bytes: Uint8Array, offset: number): void {
  if (!fs.existsSync(path)) return;
  const fd = fs.openSync(path, "r+");
  try {
    fs.writeSync(fd, bytes, 0, bytes.length, offset);
  } finally {
    fs.closeSync(fd);
  }
}

/** Bytes that follow from a number. */
function noise(length: number, seed: number): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length }, () => Math.floor(next() * 256));
}

/** A word somewhere: mostly among the first, where headers are. */
function lie(path: string, { dice }: Source): Shown<() => void> {
  const words = dice.chance(0.7) ? NEAR_START / WORD : 16_384 / WORD;
  const offset = dice.between(0, words - 1) * WORD;
  const value = dice.pick(LIES);
  return {
    text: `${path}: ${value} at ${offset}`,
    value: () => overwrite(path, new Uint8Array(Uint32Array.of(value).buffer), offset),
  };
}

function scribble(path: string, { dice }: Source): Shown<() => void> {
  const offset = dice.pick([0, dice.between(0, NEAR_START), dice.between(0, 16_384)]);
  const length = dice.pick([1, 8, 64, 1000]);
  const seed = dice.between(0, 1e9);
  return {
    text: `${path}: ${length} random bytes at ${offset}`,
    value: () => overwrite(path, noise(length, seed), offset),
  };
}

function cut(path: string, { dice }: Source): Shown<() => void> {
  const size = dice.pick(SIZES);
  return { text: `${path}: cut to ${size}`, value: () => resizeFile(path, size) };
}

/** One of the bad things that can happen to a file. */
export function damage(path: string, from: Source): Shown<() => void> {
  const remove = {
    text: `${path}: removed`,
    value: () => fs.rmSync(path, { force: true }),
  };
  return from.dice.pick([
    ...[lie(path, from), lie(path, from), lie(path, from), scribble(path, from)],
    ...[cut(path, from), remove],
  ]);
}
