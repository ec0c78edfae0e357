/**
 * The only randomness a pure layer may have: xoshiro128** (Blackman and Vigna, 2018) in 32-bit integers, its state a
 * plain value held by the caller. The same seed gives the same numbers on every runtime. Not for secrets.
 */
import { assert } from "./assert.js";

/** Mutable state of one stream. Split a stream per concern with `splitPrng`, so that one more draw here moves nothing there. */
export type Prng = { a: number; b: number; c: number; d: number };

const GOLDEN = 0x9e3779b9;

function splitMix(state: number): number {
  let z = (state + GOLDEN) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}

/** A stream from a seed; only the low 53 bits of it count. */
export function seedPrng(seed: number): Prng {
  let s = (seed | 0) ^ Math.imul(Math.floor(seed / 0x1_0000_0000), 0x85ebca6b);
  const next = (): number => {
    s = (s + GOLDEN) | 0;
    return splitMix(s);
  };
  return { a: next(), b: next(), c: next(), d: next() | 1 };
}

/** The next 32 random bits, unsigned. */
export function nextU32(prng: Prng): number {
  const scrambled = Math.imul(prng.b, 5);
  const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9);
  const t = prng.b << 9;
  prng.c ^= prng.a;
  prng.d ^= prng.b;
  prng.b ^= prng.c;
  prng.a ^= prng.d;
  prng.c ^= t;
  prng.d = (prng.d << 11) | (prng.d >>> 21);
  return result >>> 0;
}

/** Uniform over the integers of [from, end); the span is at most 2^32. */
export function nextInt(prng: Prng, from: number, end: number): number {
  assert(end > from && end - from <= 0x1_0000_0000, "nextInt needs a span of 1 to 2^32");
  return from + Math.floor((nextU32(prng) / 0x1_0000_0000) * (end - from));
}

/** True with probability `p`. */
export function nextChance(prng: Prng, p: number): boolean {
  return nextU32(prng) < p * 0x1_0000_0000;
}

/** An independent stream, drawn from this one. */
export function splitPrng(prng: Prng): Prng {
  return seedPrng(nextU32(prng) * 0x20_0000 + (nextU32(prng) & 0x1f_ffff));
}
