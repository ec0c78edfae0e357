/**
 * The deadlines of one connection's calls, with one timer. `nearest` never lies after the earliest deadline, but may lie before it:
 * calls usually end long before their deadlines, so keeping it exact would cost each call what one walk now and then costs all.
 */
import { assert } from "../base/assert.js";

/** Later deadlines than this are none: about 24 days, what the runtime's timers can count. */
export const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** Times are milliseconds of the owner's monotonic clock. */
export class Deadlines {
  private readonly atByStream = new Map<number, number>();
  private nearest = Number.POSITIVE_INFINITY;
  private readonly arm: (at: number) => void;

  /** `arm` asks to be told (by `expire`) at the given time, replacing an earlier wish for a later time. */
  constructor(arm: (at: number) => void) {
    this.arm = arm;
  }

  set(stream: number, at: number): void {
    assert(Number.isFinite(at), "a deadline is a time");
    this.atByStream.set(stream, at);
    if (at < this.nearest) {
      this.nearest = at;
      this.arm(at);
    }
  }

  get(stream: number): number | undefined {
    return this.atByStream.get(stream);
  }

  delete(stream: number): void {
    if (this.atByStream.size > 0) {
      this.atByStream.delete(stream);
    }
  }

  clear(): void {
    this.atByStream.clear();
  }

  /** The streams whose deadline has come; they are forgotten here. Arms for the next. */
  expire(now: number): readonly number[] {
    const due: number[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [stream, at] of this.atByStream) {
      if (at <= now) {
        due.push(stream);
        this.atByStream.delete(stream);
      } else if (at < next) {
        next = at;
      }
    }
    this.nearest = next;
    if (next !== Number.POSITIVE_INFINITY) {
      this.arm(next);
    }
    return due;
  }
}
