/**
 * A budget against frames that cost us work and carry no call: useful traffic and time fill it, such frames drain it. A client that behaves,
 * however fast, never empties it, since each call earns more than the frames that go with it.
 */

/** What fills and bounds a budget. */
export interface FloodBudget {
  /** The most that can be saved: what may come in one burst. */
  readonly burst: number;
  readonly refillPerSecond: number;
  /** Earned by each call that begins and each DATA frame in either direction. */
  readonly earnedPerCall: number;
}

/** PING, WINDOW_UPDATE, PRIORITY, empty DATA, unknown frames: one each. SETTINGS: `SETTINGS_COST`. A call may bring a few of them. */
export const CONTROL_BUDGET: FloodBudget = { burst: 10_000, refillPerSecond: 2000, earnedPerCall: 4 };
/** RST_STREAM of a call under way. A client may take back everything it has open at once, not open and take back for ever (rapid reset). */
export const RESET_BUDGET: FloodBudget = { burst: 8192, refillPerSecond: 1000, earnedPerCall: 0 };
/** A SETTINGS frame walks over every open stream: 100 of them exhaust a full budget. */
export const SETTINGS_COST = 100;

/** The state of one budget of one connection. */
export class FloodGuard {
  private readonly budget: FloodBudget;
  private readonly now: () => number;
  private credit: number;
  private refilledAt: number;

  /** `now`: monotonic milliseconds; read only when the budget is empty. */
  constructor(budget: FloodBudget, now: () => number) {
    this.budget = budget;
    this.now = now;
    this.credit = budget.burst;
    this.refilledAt = now();
  }

  earn(): void {
    if (this.credit < this.budget.burst) {
      this.credit += this.budget.earnedPerCall;
    }
  }

  /** False: the budget is empty, the peer floods. */
  spend(cost: number): boolean {
    this.credit -= cost;
    return this.credit >= 0 || this.refill();
  }

  private refill(): boolean {
    const now = this.now();
    const earned = ((now - this.refilledAt) * this.budget.refillPerSecond) / 1000;
    this.refilledAt = now;
    this.credit = Math.min(this.budget.burst, this.credit + earned);
    return this.credit >= 0;
  }
}
