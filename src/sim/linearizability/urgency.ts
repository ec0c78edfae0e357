/**
 * In which order a search tries the writes that could come next. No order changes a verdict; a good one finds a way through a crowd
 * of concurrent writes at once, where that of their start can try for hours.
 */
import { NONE, type Register, UNSEEN } from "./register.js";

/**
 * The rank of each answered operation. First the writes that nobody ever sees: the next write covers them, so they are best out of
 * the way. Then by the time by which the write must have come: its own end, or that of the first read of it if no other write can
 * serve that read.
 */
export function rankByUrgency({ deeds, ends, unknownKinds, valueCount }: Register): Int32Array {
  const writers = new Int32Array(valueCount);
  const firstReadEnds = new Float64Array(valueCount).fill(Number.POSITIVE_INFINITY);
  deeds.forEach(({ need, write, isMaybe }, i) => {
    if (write !== NONE) {
      writers[write] = (writers[write] as number) + 1;
    }
    if (need !== NONE && !isMaybe) {
      firstReadEnds[need] = Math.min(firstReadEnds[need] as number, ends[i] as number);
    }
  });
  for (const { write, starts } of unknownKinds) {
    writers[write] = (writers[write] as number) + starts.length;
  }
  const urgencies = deeds.map(({ write }, i) => {
    if (write === UNSEEN) {
      return Number.NEGATIVE_INFINITY;
    }
    const end = ends[i] as number;
    return write !== NONE && writers[write] === 1 ? Math.min(end, firstReadEnds[write] as number) : end;
  });
  const order = Array.from(deeds.keys()).sort((a, b) => byUrgency(urgencies[a] as number, urgencies[b] as number) || a - b);
  const ranks = new Int32Array(deeds.length);
  order.forEach((operation, rank) => {
    ranks[operation] = rank;
  });
  return ranks;
}

/** Infinities are equal to themselves, which a difference would not say. */
const byUrgency = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);
