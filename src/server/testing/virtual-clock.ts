/** A clock that stands still until it is told otherwise: timers and ends of turns run in order, on the caller's stack. Never the real time. */
import type { Clock, TimerHandle } from "../../ports/clock.js";

type Timer = { readonly at: number; readonly callback: () => void };

export class VirtualClock implements Clock {
  private micros = 1_000_000;
  private timers: Timer[] = [];
  private turnEnds: (() => void)[] = [];

  nowMicros(): number {
    return this.micros;
  }

  wallMillis(): number {
    return Math.floor(this.micros / 1000);
  }

  after(millis: number, callback: () => void): TimerHandle {
    const timer = { at: this.micros + millis * 1000, callback };
    this.timers.push(timer);
    return {
      cancel: () => {
        this.timers = this.timers.filter((other) => other !== timer);
      },
    };
  }

  endOfTurn(callback: () => void): void {
    this.turnEnds.push(callback);
  }

  /** Ends turns until nothing asks for another; a callback may ask again. Bounded: a turn that never ends is a bug. */
  endTurns(): void {
    for (let i = 0; this.turnEnds.length > 0; i++) {
      if (i > 10_000) {
        throw new Error("turns without end");
      }
      const due = this.turnEnds;
      this.turnEnds = [];
      for (const callback of due) {
        callback();
      }
    }
  }

  /** Lets `millis` pass, running what falls due at its own time and ending the turn after each. */
  advance(millis: number): void {
    const end = this.micros + millis * 1000;
    this.endTurns();
    for (;;) {
      const next = this.timers.reduce<Timer | undefined>(
        (first, timer) => (first === undefined || timer.at < first.at ? timer : first),
        undefined,
      );
      if (next === undefined || next.at > end) {
        break;
      }
      this.timers = this.timers.filter((timer) => timer !== next);
      this.micros = Math.max(this.micros, next.at);
      next.callback();
      this.endTurns();
    }
    this.micros = end;
    this.endTurns();
  }
}
