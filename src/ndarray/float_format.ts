/** Numbers as NumPy prints them in arrays: as few digits as tell them apart, at most eight decimals. */

/** Decimals at most. */
const PRECISION = 8;

/** The nearest number that a type can hold, for telling how few digits a number needs. */
export type Round = (value: number) => number;

/** A number in decimal: `0.DIGITS` times ten to the `exponent`. */
interface Decimal {
  readonly digits: string;
  readonly exponent: number;
}

/** The fewest digits that are read as this number again. */
function shortest(value: number, round: Round): Decimal {
  for (let count = 1; count < 17; count++) {
    const text = value.toExponential(count - 1);
    if (round(Number(text)) !== value) continue;
    // Of two that are as near the even one.
    const even = rounded(value, count);
    return value !== 0 && round(numberOf(even)) === value ? even : decimal(text);
  }
  return decimal(value.toExponential(16));
}

function numberOf({ digits, exponent }: Decimal): number {
  return Number(`0.${digits}e${exponent}`);
}

function decimal(text: string): Decimal {
  const [mantissa = "", exponent] = text.split("e");
  const digits = mantissa.replace(".", "").replace(/0+$/, "");
  return { digits, exponent: digits === "" ? 0 : Number(exponent) + 1 };
}

/** Exactly rounded to a number of digits; halves go to the even digit. */
function rounded(value: number, count: number): Decimal {
  const exact = value.toExponential(Math.min(count + 30, 100));
  const [mantissa = "", exponent] = exact.split("e");
  const all = mantissa.replace(".", "");
  const rest = all.slice(count);
  const tie = /^50*$/.test(rest);
  const up = tie ? Number(all[count - 1] ?? "0") % 2 === 1 : rest >= "5";
  const kept = BigInt(all.slice(0, count) || "0") + (up ? 1n : 0n);
  const text = kept.toString().padStart(count, "0");
  // Rounding up may carry into a new digit.
  const carry = text.length - Math.max(count, 0);
  return { digits: text.replace(/0+$/, ""), exponent: Number(exponent) + 1 + carry };
}

interface Parts {
  readonly whole: string;
  readonly fraction: string;
}

/**
 * The digits before and behind the point of a number that is not negative.
 *
 * @param whole Whether all digits before the point are those of the number, also where fewer would do.
 */
function positional(value: number, round: Round, whole: boolean = false): Parts {
  let { digits, exponent } = shortest(value, round);
  if (whole && digits.length < exponent) ({ digits, exponent } = rounded(value, exponent));
  if (digits.length - exponent > PRECISION) {
    // Digits up to the last decimal; below that it is zero, or rounds up to one there.
    const count = exponent + PRECISION;
    ({ digits, exponent } = count >= 0 ? rounded(value, count) : { digits: "", exponent: 0 });
  }
  if (exponent <= 0) return { whole: "0", fraction: digits && "0".repeat(-exponent) + digits };
  return {
    whole: digits.slice(0, exponent).padEnd(exponent, "0"),
    fraction: digits.slice(exponent),
  };
}

/**
 * The digits before and behind the point, and the exponent with its sign.
 *
 * @param least Digits behind the point at least: beyond those needed, the digits that the number has.
 */
function scientific(value: number, round: Round, least: number = 0): Parts & { exponent: string } {
  let parts = shortest(value, round);
  if (parts.digits.length > PRECISION + 1) parts = rounded(value, PRECISION + 1);
  else if (parts.digits.length < least + 1 && value !== 0) parts = rounded(value, least + 1);
  const exponent = parts.digits === "" ? 0 : parts.exponent - 1;
  return {
    whole: parts.digits[0] ?? "0",
    fraction: parts.digits.slice(1),
    exponent: `${exponent < 0 ? "-" : "+"}${`${Math.abs(exponent)}`.padStart(2, "0")}`,
  };
}

function signOf(value: number, plus: boolean): string {
  if (value < 0 || Object.is(value, -0)) return "-";
  return plus ? "+" : "";
}

/**
 * Makes the function that writes numbers so that they stand in columns with `values`.
 *
 * @param round The nearest number of the type.
 * @param plus Whether numbers that are not negative get a sign.
 */
export function floatFormat(
  values: readonly number[],
  round: Round,
  plus: boolean = false,
): (value: number) => string {
  const finite = values.filter(Number.isFinite);
  const sizes = finite.map(Math.abs).filter((size) => size !== 0);
  const [least, most] = [sizes.reduce(min, Infinity), sizes.reduce(max, 0)];
  const exponential = sizes.length > 0 &&
    (most >= 1e8 || least < 0.0001 || round(most / least) > 1000);
  const texts = finite.map((value) => {
    const size = Math.abs(value);
    const parts = exponential ? scientific(size, round) : positional(size, round);
    return { exponent: "", ...parts, whole: signOf(value, plus) + parts.whole };
  });
  const longest = (key: "whole" | "fraction" | "exponent") =>
    texts.reduce((length, text) => Math.max(length, text[key].length), 0);
  let left = longest("whole");
  const fraction = longest("fraction");
  // The exponent as it is written: e, a sign and its digits.
  const exponentDigits = longest("exponent") - 1;
  const right = exponential ? fraction + exponentDigits + 2 : fraction;
  if (finite.length < values.length) {
    const negative = plus || values.includes(-Infinity);
    left = Math.max(left, 3 - (right + 1), 3 + Number(negative) - (right + 1));
  }

  return (value) => {
    if (!Number.isFinite(value)) {
      const sign = Number.isNaN(value) ? (plus ? "+" : "") : signOf(value, plus);
      const text = sign + (Number.isNaN(value) ? "nan" : "inf");
      return text.padStart(left + right + 1);
    }
    const size = Math.abs(value);
    const sign = signOf(value, plus);
    if (!exponential) {
      const parts = positional(size, round, true);
      return `${(sign + parts.whole).padStart(left)}.${parts.fraction.padEnd(right)}`;
    }
    const parts = scientific(size, round, fraction);
    const digits = parts.exponent.slice(1).padStart(exponentDigits, "0");
    return `${(sign + parts.whole).padStart(left)}.${parts.fraction.padEnd(fraction, "0")}` +
      `e${parts.exponent[0]}${digits}`;
  };
}

function min(a: number, b: number): number {
  return Math.min(a, b);
}

function max(a: number, b: number): number {
  return Math.max(a, b);
}

/** A number that stands alone, as Python writes it. */
export function floatText(value: number, round: Round, trim: boolean = false): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : signOf(value, false) + "inf";
  const size = Math.abs(value);
  const { digits, exponent } = shortest(size, round);
  const sign = signOf(value, false);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const { whole, fraction, exponent: power } = exactScientific(digits, exponent);
    return `${sign}${whole}${fraction && `.${fraction}`}e${power}`;
  }
  const whole = exponent <= 0 ? "0" : digits.slice(0, exponent).padEnd(exponent, "0");
  const fraction = exponent <= 0
    ? digits && "0".repeat(-exponent) + digits
    : digits.slice(exponent);
  return `${sign}${whole}${fraction === "" && trim ? "" : `.${fraction || "0"}`}`;
}

function exactScientific(digits: string, exponent: number): Parts & { exponent: string } {
  const power = exponent - 1;
  const text = `${power < 0 ? "-" : "+"}${`${Math.abs(power)}`.padStart(2, "0")}`;
  return { whole: digits[0]!, fraction: digits.slice(1), exponent: text };
}
