/**
 * When the queues look for requests whose clients are gone: seldom, and only where many wait. Asking each request whether anybody
 * still listens is not for the hot path; not asking would let cancelled ones fill a queue until their own deadlines.
 */
import type { Micros } from "../paxos/ids.js";

/** A queue with fewer than this is not looked through. */
export const GONE_WAITING_MIN = 1024;
/** At most one look in so long. */
export const GONE_LOOK_MS = 1000;

const MICROS_A_MILLI = 1000;

export class GoneLook {
  private next: Micros = 0;

  /** Whether to look now at a queue of `waiting`. */
  due(now: Micros, waiting: number): boolean {
    if (waiting < GONE_WAITING_MIN || now < this.next) {
      return false;
    }
    this.next = now + GONE_LOOK_MS * MICROS_A_MILLI;
    return true;
  }
}
