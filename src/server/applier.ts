/**
 * Decided batches into the state machine, strictly in slot order, in slices that keep every turn of the event loop short.
 * Between two batches, and never inside one, the rest of the server may look at the state.
 */
import { assert } from "../base/assert.js";
import type { KvStore } from "../kv/kv-store.js";
import { SLICE_UNITS } from "../kv/limits.js";
import type { ReplySink } from "../kv/reply.js";
import type { Batch } from "../paxos/batch.js";
import { type Slot, slot as slotOf } from "../paxos/ids.js";

/** After so much applying in one turn, all batches together, in the state machine's units of about a microsecond, the event loop goes on first. */
export const TURN_UNITS = 2 * SLICE_UNITS;
/** What a batch costs besides its commands, in the same units. */
const BATCH_UNITS = 5;

export type ApplierOptions = {
  readonly store: KvStore;
  readonly sink: ReplySink;
  /** `slot`, whose payload is so long, is applied and the state machine is between two batches. */
  readonly onApplied: (slot: Slot, bytes: number) => void;
  /** Calls back in the next turn of the event loop. */
  readonly later: (callback: () => void) => void;
};

export class Applier {
  private readonly options: ApplierOptions;
  private kv: KvStore;
  private queue: { readonly slot: Slot; readonly batch: Batch }[] = [];
  private from = 0;
  private running = false;
  private resumeScheduled = false;
  /** What is left of this turn's. */
  private units = TURN_UNITS;
  private appliedSlot: Slot;

  constructor(options: ApplierOptions) {
    this.options = options;
    this.kv = options.store;
    this.appliedSlot = slotOf(options.store.appliedSlot);
  }

  get store(): KvStore {
    return this.kv;
  }

  get applied(): Slot {
    return this.appliedSlot;
  }

  /** Decided batches that are not applied yet. */
  get backlog(): number {
    return this.queue.length - this.from;
  }

  /** The turn of the event loop is over: the next may apply as much again. */
  endTurn(): void {
    this.units = TURN_UNITS;
  }

  /** Takes the batch of the next slot, and applies it now where nothing is ahead of it and it is small. */
  add(slot: Slot, batch: Batch): void {
    assert(slot === this.appliedSlot + this.backlog + 1, "slots are applied in order, without a gap");
    this.queue.push({ slot, batch });
    this.run();
  }

  /** Another state takes over, at a later slot: what it covers is not applied again. */
  replaceStore(store: KvStore): void {
    assert(store.appliedSlot >= this.appliedSlot, "a snapshot never takes the state back");
    this.kv = store;
    this.appliedSlot = slotOf(store.appliedSlot);
    this.queue = this.queue.slice(this.from).filter(({ slot }) => slot > store.appliedSlot);
    this.from = 0;
    this.options.onApplied(this.appliedSlot, 0);
    this.run();
  }

  private run(): void {
    if (this.running || this.resumeScheduled) {
      return;
    }
    this.running = true;
    while (this.from < this.queue.length && this.units > 0) {
      this.units -= this.applyNext(this.units);
    }
    this.running = false;
    if (this.from === this.queue.length) {
      this.queue = [];
      this.from = 0;
      return;
    }
    this.resumeScheduled = true;
    this.options.later(() => {
      this.resumeScheduled = false;
      this.endTurn();
      this.run();
    });
  }

  /** Applies the first batch of the queue, or a slice of it; returns about how many units that took. */
  private applyNext(units: number): number {
    const next = this.queue[this.from];
    assert(next !== undefined, "there is a batch to apply");
    const { slot, batch } = next;
    if (batch.kind !== "commands") {
      this.kv.skipSlot(slot);
    } else {
      if (!this.kv.busy) {
        this.kv.startBatch(slot, batch.payload, this.options.sink);
      }
      if (!this.kv.continueBatch(Math.min(units, SLICE_UNITS))) {
        return Math.min(units, SLICE_UNITS);
      }
    }
    assert(this.kv.appliedSlot === slot, "a batch that was applied is the state machine's newest");
    this.from++;
    this.appliedSlot = slot;
    this.options.onApplied(slot, batch.payload.length);
    return BATCH_UNITS + Math.ceil(batch.payload.length / 256);
  }
}
