/**
 * Lies that show at a glance: a read of a value that no write can have left there. Most bad histories have one, and then no order
 * needs to be searched. It must never accuse a history that some order explains.
 */
import { ABSENT, NONE, type Register } from "./register.js";

const NEVER = Number.POSITIVE_INFINITY;
const ALWAYS = Number.NEGATIVE_INFINITY;

/** Writes of one value in order of start, with the latest end of any up to there. */
type Sources = { readonly starts: number[]; readonly latestEnds: number[] };

/**
 * Whether an answered operation met a value of which every write started after it ended, or had ended before another, certain write
 * that began after it and ended before the read started. Of the writes that started in time only the one that ended last needs a
 * look: what hides that one hides the others.
 */
export function hasLostRead(register: Register): boolean {
  const sources = sourcesOf(register);
  const certain = new CertainWrites(register);
  return register.deeds.some(({ need, isMaybe }, i) => {
    if (need === NONE || isMaybe) {
      return false;
    }
    const from = sources[need];
    const inTime = from === undefined ? 0 : countUpTo(from.starts, register.ends[i] as number);
    // A read may itself write; what it writes is another value, so it is no source of its own.
    return inTime === 0 || certain.hasWithin(from?.latestEnds[inTime - 1] as number, register.starts[i] as number);
  });
}

function sourcesOf({ deeds, starts, ends, unknownKinds, valueCount }: Register): readonly Sources[] {
  const found: Array<{ readonly value: number; readonly start: number; readonly end: number }> = [
    { value: ABSENT, start: ALWAYS, end: ALWAYS },
  ];
  deeds.forEach(({ write }, i) => {
    if (write !== NONE) {
      found.push({ value: write, start: starts[i] as number, end: ends[i] as number });
    }
  });
  for (const kind of unknownKinds) {
    found.push({ value: kind.write, start: kind.starts[0] as number, end: NEVER });
  }
  found.sort((a, b) => (a.start === b.start ? 0 : a.start - b.start));
  const sources: Sources[] = Array.from({ length: valueCount }, () => ({ starts: [], latestEnds: [] }));
  for (const { value, start, end } of found) {
    const of = sources[value];
    of?.latestEnds.push(Math.max(of.latestEnds.at(-1) ?? ALWAYS, end));
    of?.starts.push(start);
  }
  return sources;
}

/** Answered operations that certainly wrote, in order of start, with the earliest end of any from there on. */
class CertainWrites {
  private readonly starts: number[] = [];
  private readonly earliestEnds: number[] = [];

  constructor({ deeds, starts, ends }: Register) {
    let earliest = NEVER;
    for (let i = deeds.length - 1; i >= 0; i--) {
      const deed = deeds[i];
      if (deed !== undefined && deed.write !== NONE && !deed.isMaybe) {
        earliest = Math.min(earliest, ends[i] as number);
        this.starts.push(starts[i] as number);
        this.earliestEnds.push(earliest);
      }
    }
    this.starts.reverse();
    this.earliestEnds.reverse();
  }

  /** Whether one of them lies wholly between two moments. */
  hasWithin(after: number, before: number): boolean {
    return (this.earliestEnds[countUpTo(this.starts, after)] ?? NEVER) < before;
  }
}

/** How many of `ascending` are at most `limit`. */
export function countUpTo(ascending: readonly number[], limit: number): number {
  let from = 0;
  let end = ascending.length;
  while (from < end) {
    const middle = (from + end) >>> 1;
    if ((ascending[middle] as number) <= limit) {
      from = middle + 1;
    } else {
      end = middle;
    }
  }
  return from;
}
