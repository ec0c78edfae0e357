/** The regular pulse of a server: ticks, and the suspicion that the machine slept. No decision is made here. */
import type { Clock, TimerHandle } from "../ports/clock.js";

/** Ticks in one pingMs. */
const TICKS_PER_PING = 4;
/** Wall-clock time may run ahead of monotonic time by so much before a suspend is assumed (PROTOCOL §3.2). */
export const CLOCK_GAP_MS = 50;

const MICROS_A_MILLI = 1000;

export type PulseOptions = {
  readonly clock: Clock;
  readonly pingMs: number;
  readonly onTick: () => void;
  /** The machine may have been suspended. */
  readonly onGap: () => void;
};

export class Pulse {
  private readonly options: PulseOptions;
  private timer: TimerHandle | null = null;
  /** Wall clock minus monotonic clock, ms, when last compared. */
  private offsetMs = 0;

  constructor(options: PulseOptions) {
    this.options = options;
  }

  start(): void {
    this.offsetMs = this.measure();
    this.arm();
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  private arm(): void {
    const { clock, pingMs } = this.options;
    this.timer = clock.after(Math.max(1, Math.floor(pingMs / TICKS_PER_PING)), () => {
      this.arm();
      this.beat();
    });
  }

  private beat(): void {
    const offset = this.measure();
    if (offset - this.offsetMs > CLOCK_GAP_MS) {
      this.options.onGap();
    }
    this.offsetMs = offset;
    this.options.onTick();
  }

  private measure(): number {
    const { clock } = this.options;
    return clock.wallMillis() - clock.nowMicros() / MICROS_A_MILLI;
  }
}
