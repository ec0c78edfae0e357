/**
 * What a transcript has put off until later: the end of a slow sync, a message on a slow link. In order of time, and of
 * entry where times are equal. Knows nothing of what happens then; a clock that it never moves is passed in.
 */
export type Timers = {
  /** When the next action is due, µs; infinite where none is. */
  next(): number;
  add(at: number, action: () => void): void;
  /** Takes the first action that is due by `now`. */
  take(now: number): (() => void) | undefined;
};

export function createTimers(): Timers {
  const pending: Array<{ readonly at: number; readonly action: () => void }> = [];
  return {
    next: () => pending[0]?.at ?? Number.POSITIVE_INFINITY,
    add: (at, action) => {
      const later = pending.findIndex((timer) => timer.at > at);
      pending.splice(later < 0 ? pending.length : later, 0, { at, action });
    },
    take: (now) => ((pending[0]?.at ?? Number.POSITIVE_INFINITY) <= now ? pending.shift()?.action : undefined),
  };
}
