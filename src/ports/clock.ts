/** Time. Two clocks, because a suspended machine stops one of them. */

export interface Clock {
  /** Monotonic microseconds, an integer, read anew at each call; never a cached loop time. */
  nowMicros(): number;
  /** Wall-clock milliseconds since 1970: for logs, and to notice a suspend; never for decisions of the protocol. */
  wallMillis(): number;
  /** Calls back once after `millis`; the handle cancels it. */
  after(millis: number, callback: () => void): TimerHandle;
  /** Calls back at the end of this turn of the event loop, after the input of the turn was delivered. */
  endOfTurn(callback: () => void): void;
}

export interface TimerHandle {
  cancel(): void;
}
