/** A clock whose timers the test runs by hand, in the order in which they fall due. */
import type { Clock, TimerHandle } from "../../ports/clock.js";

type Timer = { readonly at: number; readonly callback: () => void };

export class HandClock implements Clock {
  private millis = 0;
  private timers: Timer[] = [];

  nowMicros(): number {
    return this.millis * 1000;
  }

  wallMillis(): number {
    return this.millis;
  }

  after(millis: number, callback: () => void): TimerHandle {
    const timer = { at: this.millis + millis, callback };
    this.timers.push(timer);
    return {
      cancel: () => {
        this.timers = this.timers.filter((other) => other !== timer);
      },
    };
  }

  endOfTurn(callback: () => void): void {
    this.after(0, callback);
  }

  /** Runs the next timer; returns how many milliseconds it had to wait, or undefined where there is none. */
  next(): number | undefined {
    const [first] = [...this.timers].sort((a, b) => a.at - b.at);
    if (first === undefined) {
      return undefined;
    }
    const waited = first.at - this.millis;
    this.timers = this.timers.filter((timer) => timer !== first);
    this.millis = first.at;
    first.callback();
    return waited;
  }
}
