/**
 * A 64-bit hash for identity checks among honest servers: batch digests, the log chain, the state hash. Two 32-bit
 * lanes of MurmurHash3's mixing with different constants. It is no defence against someone who looks for collisions.
 */
import { assert } from "./assert.js";
import type { Brand } from "./brand.js";

/** Sixteen lower-case hexadecimal digits. */
export type Hash64 = Brand<string, "Hash64">;

/** The hash of no history at all: chain of slot 0, state hash of an empty store. */
export const ZERO_HASH = "0000000000000000" as Hash64;

/** A hash from its text, as stored or received; asserts the form. */
export function hash64(text: string): Hash64 {
  assert(/^[0-9a-f]{16}$/.test(text), "a hash is 16 hexadecimal digits");
  return text as Hash64;
}

const ZERO = 0x30;
const NINE = 0x39;
const A = 0x61;
/** The digits, as characters. */
const DIGITS: readonly number[] = Array.from({ length: 16 }, (_, digit) => digit.toString(16).charCodeAt(0));

/** A hash from its two halves, 32 bits each. One call with all characters: joining strings costs several times as much. */
export function hashOfWords(high: number, low: number): Hash64 {
  return String.fromCharCode(
    digit(high, 28),
    digit(high, 24),
    digit(high, 20),
    digit(high, 16),
    digit(high, 12),
    digit(high, 8),
    digit(high, 4),
    digit(high, 0),
    digit(low, 28),
    digit(low, 24),
    digit(low, 20),
    digit(low, 16),
    digit(low, 12),
    digit(low, 8),
    digit(low, 4),
    digit(low, 0),
  ) as Hash64;
}

function digit(word: number, shift: number): number {
  return DIGITS[(word >>> shift) & 15] as number;
}

/** The halves of a hash, as 32-bit numbers whose sign means nothing. */
export function highWord(hash: Hash64): number {
  return wordAt(hash, 0);
}

export function lowWord(hash: Hash64): number {
  return wordAt(hash, 8);
}

function wordAt(hash: Hash64, from: number): number {
  let word = 0;
  for (let at = from; at < from + 8; at++) {
    const code = hash.charCodeAt(at);
    word = (word << 4) | (code <= NINE ? code - ZERO : code - A + 10);
  }
  return word;
}

function finalMix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Both lanes over `bytes`, as [high, low] unsigned words. `seed` separates uses. */
export function hashWords(bytes: Uint8Array, seed: number): readonly [number, number] {
  let h1 = seed | 0;
  let h2 = ~seed;
  const words = bytes.length & ~3;
  for (let at = 0; at < words; at += 4) {
    const k =
      (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
    const k1 = Math.imul(k, 0xcc9e2d51);
    h1 ^= Math.imul((k1 << 15) | (k1 >>> 17), 0x1b873593);
    h1 = (Math.imul((h1 << 13) | (h1 >>> 19), 5) + 0xe6546b64) | 0;
    const k2 = Math.imul(k, 0x239b961b);
    h2 ^= Math.imul((k2 << 16) | (k2 >>> 16), 0xab0e9789);
    h2 = (Math.imul((h2 << 17) | (h2 >>> 15), 5) + 0x561ccd1b + h1) | 0;
  }
  let tail = 0;
  for (let at = bytes.length - 1; at >= words; at--) {
    tail = (tail << 8) | (bytes[at] as number);
  }
  h1 ^= Math.imul(tail, 0xcc9e2d51) ^ bytes.length;
  h2 ^= Math.imul(tail, 0x38b34ae5) ^ bytes.length;
  h1 = (h1 + h2) | 0;
  h2 = (h2 + h1) | 0;
  h1 = finalMix(h1);
  h2 = finalMix(h2);
  h1 = (h1 + h2) | 0;
  h2 = (h2 + h1) | 0;
  return [h1 >>> 0, h2 >>> 0];
}

/** The hash of `bytes`; `seed` separates uses (0 unless given). */
export function hashBytes(bytes: Uint8Array, seed = 0): Hash64 {
  const [high, low] = hashWords(bytes, seed);
  return hashOfWords(high, low);
}

const chainInput = new Uint8Array(16);
const chainView = new DataView(chainInput.buffer);

/** The hash of `left` followed by `right`: how a chain of hashes grows. */
export function chainHash(left: Hash64, right: Hash64): Hash64 {
  chainView.setInt32(0, highWord(left));
  chainView.setInt32(4, lowWord(left));
  chainView.setInt32(8, highWord(right));
  chainView.setInt32(12, lowWord(right));
  return hashBytes(chainInput, 1);
}
