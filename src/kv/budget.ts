/**
 * How slices are cut: a shared count of work units that long work takes from, yielding when it is used up. Units are counted, not
 * timed, since this layer has no clock; the caller measures and chooses how many to grant.
 */

/** About a microsecond each: one version visited or written. */
export type Budget = { left: number };

/** Work that yields when the budget is used up and ends with a value. */
export type Sliced<T> = Generator<undefined, T, undefined>;

/** Runs sliced work to its end, however long that takes. */
export function runToEnd<T>(budget: Budget, work: Sliced<T>): T {
  for (;;) {
    budget.left = Number.MAX_SAFE_INTEGER;
    const turn = work.next();
    if (turn.done === true) {
      return turn.value;
    }
  }
}
