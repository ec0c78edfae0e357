/** Reclaims compacted history and idle memory in small slices, so that no request waits for it. Changes nothing that a client can see. */
import type { KvStore } from "../kv/kv-store.js";
import type { Clock, TimerHandle } from "../ports/clock.js";

/** The work of one slice, in the state machine's units of about a microsecond. */
const SLICE_UNITS = 1000;
/** Between slices while there is work, and while there is none. Milliseconds. */
const BUSY_MS = 3;
const IDLE_MS = 250;

export type MaintenanceOptions = {
  readonly clock: Clock;
  readonly store: () => KvStore;
  readonly guard: (work: () => void) => void;
};

export class Maintenance {
  private readonly options: MaintenanceOptions;
  private timer: TimerHandle;

  constructor(options: MaintenanceOptions) {
    this.options = options;
    this.timer = this.arm(IDLE_MS);
  }

  stop(): void {
    this.timer.cancel();
  }

  private arm(millis: number): TimerHandle {
    return this.options.clock.after(millis, () => this.options.guard(() => this.slice()));
  }

  private slice(): void {
    const store = this.options.store();
    const done = store.busy || store.maintain(SLICE_UNITS);
    this.timer = this.arm(done && !store.busy ? IDLE_MS : BUSY_MS);
  }
}
