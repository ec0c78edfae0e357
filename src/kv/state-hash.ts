/**
 * The state hash: a sum, in two 32-bit lanes, of the hashes of all items of the state. A sum does not depend on order, so it is
 * kept up by adding what appears and subtracting what goes, and equal states have equal hashes. The mixing is MurmurHash3's with
 * a second lane of other constants; it tells honest replicas apart and is no defence against someone who looks for collisions.
 */
import { type Hash64, hash64 } from "../base/hash64.js";

const floats = new Float64Array(1);
const floatWords = new Int32Array(floats.buffer);

/** Seeds: items of different kinds with the same content must not cancel. */
export const HASH_SEED = { version: 0x5eed_0001, session: 0x5eed_0002, reply: 0x5eed_0003, state: 0x5eed_0004 } as const;

/** Hashes one item: `begin`, words, `end`; then `high` and `low` hold its hash. One instance is used over and over. */
export class ItemHasher {
  high = 0;
  low = 0;
  private count = 0;

  begin(seed: number): this {
    this.high = seed | 0;
    this.low = ~seed;
    this.count = 0;
    return this;
  }

  word(word: number): this {
    const k1 = Math.imul(word, 0xcc9e2d51);
    let h1 = this.high ^ Math.imul((k1 << 15) | (k1 >>> 17), 0x1b873593);
    h1 = (Math.imul((h1 << 13) | (h1 >>> 19), 5) + 0xe6546b64) | 0;
    const k2 = Math.imul(word, 0x239b961b);
    const h2 = this.low ^ Math.imul((k2 << 16) | (k2 >>> 16), 0xab0e9789);
    this.high = h1;
    this.low = (Math.imul((h2 << 17) | (h2 >>> 15), 5) + 0x561ccd1b + h1) | 0;
    this.count++;
    return this;
  }

  /** A number in all of its 64 bits. */
  number(value: number): this {
    floats[0] = value;
    return this.word(floatWords[0] as number).word(floatWords[1] as number);
  }

  /** `words[from, end)`; the loop of every put, so it keeps its state in locals. */
  words(words: Int32Array, from: number, end: number): this {
    let h1 = this.high;
    let h2 = this.low;
    for (let at = from; at < end; at++) {
      const word = words[at] as number;
      const k1 = Math.imul(word, 0xcc9e2d51);
      h1 ^= Math.imul((k1 << 15) | (k1 >>> 17), 0x1b873593);
      h1 = (Math.imul((h1 << 13) | (h1 >>> 19), 5) + 0xe6546b64) | 0;
      const k2 = Math.imul(word, 0x239b961b);
      h2 ^= Math.imul((k2 << 16) | (k2 >>> 16), 0xab0e9789);
      h2 = (Math.imul((h2 << 17) | (h2 >>> 15), 5) + 0x561ccd1b + h1) | 0;
    }
    this.high = h1;
    this.low = h2;
    this.count += end - from;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.word(bytes.length);
    for (let at = 0; at < bytes.length; at += 4) {
      this.word((bytes[at] as number) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24));
    }
    return this;
  }

  end(): this {
    let h1 = this.high ^ this.count;
    let h2 = this.low ^ this.count;
    h1 = (h1 + h2) | 0;
    h2 = (h2 + h1) | 0;
    h1 = finalMix(h1);
    h2 = finalMix(h2);
    h1 = (h1 + h2) | 0;
    this.high = h1;
    this.low = (h2 + h1) | 0;
    return this;
  }
}

function finalMix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A sum of item hashes and of what the items weigh. `count` and `bytes` are exact; the lanes wrap. */
export class HashSum {
  high = 0;
  low = 0;
  count = 0;
  bytes = 0;

  add(high: number, low: number, bytes: number): void {
    this.high = (this.high + high) | 0;
    this.low = (this.low + low) | 0;
    this.count++;
    this.bytes += bytes;
  }

  subtract(high: number, low: number, bytes: number): void {
    this.high = (this.high - high) | 0;
    this.low = (this.low - low) | 0;
    this.count--;
    this.bytes -= bytes;
  }

  copyFrom(other: HashSum): void {
    this.high = other.high;
    this.low = other.low;
    this.count = other.count;
    this.bytes = other.bytes;
  }

  /** This sum without the items of `other`. */
  minus(other: HashSum): HashSum {
    const left = new HashSum();
    left.high = (this.high - other.high) | 0;
    left.low = (this.low - other.low) | 0;
    left.count = this.count - other.count;
    left.bytes = this.bytes - other.bytes;
    return left;
  }
}

/** Both lanes as the text that replicas compare. */
export function hashText(high: number, low: number): Hash64 {
  return hash64((high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0"));
}
