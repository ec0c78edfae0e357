/** Waiting, within bounds and outside the hot path: for a stop, for a disk, for an election that a person asked for. */
import type { Clock } from "../ports/clock.js";

/** How often the condition is looked at. */
const LOOK_MS = 5;
const MICROS_A_MILLI = 1000;

/** Resolves once `reached` holds, after `withinMs` at the latest. */
export async function until(clock: Clock, reached: () => boolean, withinMs: number): Promise<void> {
  const end = clock.nowMicros() + withinMs * MICROS_A_MILLI;
  while (!reached() && clock.nowMicros() < end) {
    await new Promise<void>((resolve) => {
      clock.after(LOOK_MS, resolve);
    });
  }
}

/** Whether `work` ended within `withinMs`; it is not stopped by that. Rejects where it does, by then. */
export function endsWithin(clock: Clock, work: Promise<void>, withinMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(withinMs, () => resolve(false));
    work.finally(() => timer.cancel()).then(() => resolve(true), reject);
  });
}
