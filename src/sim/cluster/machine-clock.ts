/**
 * The two clocks of one machine, as its processes read them: a monotonic one that may run too fast or too slow and stands still
 * while the machine is suspended, and a wall clock that may jump. They outlive processes; timers belong to one process each.
 */
import type { Clock } from "../../ports/clock.js";
import type { Engine } from "../engine/engine.js";
import type { Host } from "../engine/host.js";

const MILLION = 1_000_000;
const MICROS_A_MILLI = 1000;

export class MachineClock {
  private readonly engine: Engine;
  /** The monotonic clock showed `mono` at true time `since`. */
  private since = 0;
  private mono: number;
  private ppm = 0;
  /** Suspensions under way; they may overlap. */
  private suspensions = 0;
  /** Wall clock minus true time. Microseconds. */
  private wallOffset: number;

  /** Both offsets in microseconds: what the clocks show at true time 0. */
  constructor(engine: Engine, offsets: { readonly mono: number; readonly wall: number }) {
    this.engine = engine;
    this.mono = offsets.mono;
    this.wallOffset = offsets.wall;
  }

  /** Monotonic microseconds. */
  now(): number {
    return this.suspensions > 0 ? this.mono : this.mono + Math.floor(((this.engine.now - this.since) * (MILLION + this.ppm)) / MILLION);
  }

  /** From now on the monotonic clock runs at 1 + ppm / 10^6. */
  setRate(ppm: number): void {
    this.rebase();
    this.ppm = ppm;
  }

  jumpWall(byMs: number): void {
    this.wallOffset += byMs * MICROS_A_MILLI;
  }

  /** The monotonic clock stands still until every suspension was followed by a `wake`. */
  suspend(): void {
    this.rebase();
    this.suspensions++;
  }

  wake(): void {
    this.rebase();
    this.suspensions--;
  }

  /** The Clock port of one process. */
  portOf(host: Host): Clock {
    return {
      nowMicros: () => this.now(),
      wallMillis: () => Math.floor((this.engine.now + this.wallOffset) / MICROS_A_MILLI),
      after: (millis, callback) =>
        host.after(Math.ceil((millis * MICROS_A_MILLI * MILLION) / (MILLION + this.ppm)), () => {
          this.engine.stir();
          callback();
        }),
      endOfTurn: (callback) => host.endOfTurn(callback),
    };
  }

  private rebase(): void {
    this.mono = this.now();
    this.since = this.engine.now;
  }
}
