/** The two clocks and the timers of the Node process. Nothing else in the product may ask for the time. */
import { performance } from "node:perf_hooks";
import type { Clock, TimerHandle } from "../ports/clock.js";

const MICROS_A_MILLI = 1000;

/** performance.now() reads CLOCK_MONOTONIC anew at each call (never the loop's cached time), in fractions of a millisecond. */
export class NodeClock implements Clock {
  nowMicros(): number {
    return Math.floor(performance.now() * MICROS_A_MILLI);
  }

  wallMillis(): number {
    return Date.now();
  }

  after(millis: number, callback: () => void): TimerHandle {
    const timer = setTimeout(callback, millis);
    return { cancel: () => clearTimeout(timer) };
  }

  endOfTurn(callback: () => void): void {
    setImmediate(callback);
  }
}
