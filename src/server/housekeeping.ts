/**
 * What the coordinator proposes on its own account: compaction of history that is too old or too large, the quota, and the
 * expiry of sessions nobody used for long. Every replica then does the same at the same slot. Times are the coordinator's
 * monotonic clock, and its samples begin afresh with each coordinator: history may be kept longer, never shorter.
 */
import type { Command } from "../kv/command.js";
import type { KvStore } from "../kv/kv-store.js";
import type { Micros } from "../paxos/ids.js";

/** How often the coordinator looks, and so how exact ages are. */
export const LOOK_EVERY_MS = 1000;
/** Samples of (time, revision) kept; older ones are thinned out, so that they span any age. */
export const SAMPLES_MAX = 1200;
/** A session that was not used for so long expires: a server that stopped leaves one behind at each start. */
export const SESSION_IDLE_MS = 3_600_000;
/** Sessions are not looked at before so many slots were used: an idle cluster writes nothing for it. */
export const SESSION_EXPIRY_SLOTS_MIN = 1000;
/** What was proposed and has not shown in the state is proposed again after this. */
const REPEAT_MS = 5000;

const MICROS_A_MILLI = 1000;

export type HousekeepingOptions = {
  readonly historyMaxAgeMs: number;
  readonly historyMaxBytes: number;
  readonly quotaBytes: number;
  readonly store: () => KvStore;
  readonly propose: (command: Command) => void;
};

type Sample = { readonly at: Micros; readonly revision: number; readonly slot: number };

export class Housekeeping {
  private readonly options: HousekeepingOptions;
  private samples: Sample[] = [];
  private active = false;
  private nextLook: Micros = 0;
  private compactingTo = 0;
  private expiredBelow = 0;
  private repeatAt: Micros = 0;

  constructor(options: HousekeepingOptions) {
    this.options = options;
  }

  /** Another coordinates, or this server anew: samples of before say nothing any more. */
  onCoordination(active: boolean): void {
    this.active = active;
    this.samples = [];
    this.compactingTo = 0;
    this.repeatAt = 0;
    this.nextLook = 0;
  }

  tick(now: Micros): void {
    if (!this.active || now < this.nextLook) {
      return;
    }
    this.nextLook = now + LOOK_EVERY_MS * MICROS_A_MILLI;
    const store = this.options.store();
    this.sample({ at: now, revision: store.revision, slot: store.appliedSlot });
    if (now >= this.repeatAt) {
      this.repeatAt = now + REPEAT_MS * MICROS_A_MILLI;
      this.compactingTo = 0;
      if (store.stats().quotaBytes !== this.options.quotaBytes) {
        this.options.propose({ kind: "setQuota", bytes: this.options.quotaBytes });
      }
    }
    this.compact(now, store);
    this.expireSessions(now, store);
  }

  private sample(sample: Sample): void {
    const last = this.samples.at(-1);
    if (last !== undefined && last.revision === sample.revision && last.slot === sample.slot) {
      return; // nothing was written: the older sample says more
    }
    this.samples.push(sample);
    if (this.samples.length > SAMPLES_MAX) {
      this.samples = this.samples.filter((_, i) => i % 2 === 0 || i === this.samples.length - 1);
    }
  }

  private compact(now: Micros, store: KvStore): void {
    const target = Math.max(this.targetByAge(now), this.targetByBytes(store));
    if (target > store.compactedRevision && target > this.compactingTo) {
      this.compactingTo = target;
      this.options.propose({ kind: "compact", revision: target });
    }
  }

  /** The newest revision that is known to be older than the limit: whatever it superseded has been history for as long. */
  private targetByAge(now: Micros): number {
    const horizon = now - this.options.historyMaxAgeMs * MICROS_A_MILLI;
    return this.samples.findLast(({ at }) => at <= horizon)?.revision ?? 0;
  }

  /** Half of the samples' span where history is too large, all of it where one sample holds it all. */
  private targetByBytes(store: KvStore): number {
    if (this.compactingTo > store.compactedRevision || store.stats().historyBytes <= this.options.historyMaxBytes) {
      return 0;
    }
    const kept = this.samples.filter(({ revision }) => revision > store.compactedRevision);
    return kept[Math.floor(kept.length / 2)]?.revision ?? store.revision;
  }

  private expireSessions(now: Micros, store: KvStore): void {
    const horizon = now - SESSION_IDLE_MS * MICROS_A_MILLI;
    const below = this.samples.findLast(({ at }) => at <= horizon)?.slot ?? 0;
    if (below - this.expiredBelow >= SESSION_EXPIRY_SLOTS_MIN && store.stats().sessions > 0) {
      this.expiredBelow = below;
      this.options.propose({ kind: "expireSessions", usedBelowSlot: below });
    }
  }
}
