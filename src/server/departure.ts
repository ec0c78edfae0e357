/**
 * How a server goes in order: asked to stop, it hands over and ends the requests under way; removed from its cluster, it ends them as
 * well and is gone with a status of its own. What it waits for has a bound: a cluster that answers nothing keeps no process alive.
 */
import type { Clock } from "../ports/clock.js";
import { EXIT_STATUS } from "./exit-status.js";
import type { Lifecycle } from "./lifecycle.js";
import { until } from "./waiting.js";

/** How long a graceful stop waits for the hand-over; PROTOCOL §2.5 gives the window one second. */
const HANDOVER_MS = 1500;

export type DepartureOptions = {
  readonly clock: Clock;
  readonly life: Lifecycle;
  /** How long requests under way are waited for, ms. */
  readonly drainMs: number;
  /** Leaves the tie-break to another voter where this one has it; within a bound. */
  readonly yieldTieBreak: () => Promise<void>;
  readonly coordinates: () => boolean;
  /** Begins the hand-over; `onHandoverDone` is told its end. */
  readonly handOver: () => void;
  /** No client waits for an answer. */
  readonly isIdle: () => boolean;
  /** Everything persisted is on disk. */
  readonly isSynced: () => boolean;
};

export class Departure {
  private readonly options: DepartureOptions;
  private isHandedOver = false;

  constructor(options: DepartureOptions) {
    this.options = options;
  }

  /** Hands over, lets running requests end, syncs, closes. A second call does nothing. */
  async stop(): Promise<void> {
    const { life, yieldTieBreak, coordinates, handOver } = this.options;
    if (!life.advance("stopping")) {
      return;
    }
    await yieldTieBreak();
    if (coordinates()) {
      this.isHandedOver = false;
      life.guard(handOver);
      await this.until(() => this.isHandedOver || !coordinates(), HANDOVER_MS);
    }
    await this.drain();
    await life.end("This server is stopping.");
  }

  onHandoverDone(): void {
    this.isHandedOver = true;
  }

  /** Ends for good. `drains`: not before the requests under way are answered. */
  async halt(drains: boolean): Promise<void> {
    if (drains) {
      await this.drain();
    }
    this.options.life.halt(EXIT_STATUS.halted);
  }

  private async drain(): Promise<void> {
    await this.until(this.options.isIdle, this.options.drainMs);
    await this.until(this.options.isSynced, this.options.drainMs);
  }

  private until(reached: () => boolean, withinMs: number): Promise<void> {
    const { clock, life } = this.options;
    return until(clock, () => reached() || life.phase === "ended", withinMs);
  }
}
