/** Numbers from true randomness: seeds of generators, and nonces. */
import { toHex } from "../base/bytes.js";
import type { Random } from "../ports/random.js";

/** A seed of 48 bits. */
export function drawSeed(random: Random): number {
  return Number.parseInt(toHex(random.bytes(6)), 16);
}

/** 64 unpredictable bits. */
export function drawNonce(random: Random): bigint {
  return BigInt(`0x${toHex(random.bytes(8))}`);
}
