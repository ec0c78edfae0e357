/** A clock that stands still until it is told to go on, and lets everything asynchronous run dry at each of its steps. Never the real time. */
import type { Clock, TimerHandle } from "../../ports/clock.js";

type Timer = { readonly at: number; readonly callback: () => void };

/** Lets all promises that can go on do so. */
export function drain(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export class ManualClock implements Clock {
  private micros = 0;
  private timers: Timer[] = [];

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
    this.after(0, callback);
  }

  /** Lets `millis` pass: timers run one by one in their order. */
  async advance(millis: number): Promise<void> {
    const end = this.micros + millis * 1000;
    for (;;) {
      await drain();
      const next = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) {
        break;
      }
      this.timers = this.timers.filter((timer) => timer !== next);
      this.micros = Math.max(this.micros, next.at);
      next.callback();
    }
    this.micros = end;
  }
}
