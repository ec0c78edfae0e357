/** Small draws that every part of a scenario is made with. All from a stream that the caller holds. */
import { nextInt, type Prng } from "../../base/prng.js";

/** One of `from`, which is not empty. */
export function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[nextInt(prng, 0, from.length)] as T;
}

/** 0 to count - 1. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** The same elements in an order drawn at random. */
export function shuffled<T>(prng: Prng, from: readonly T[]): T[] {
  const result = [...from];
  for (let i = result.length - 1; i > 0; i--) {
    const j = nextInt(prng, 0, i + 1);
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}
