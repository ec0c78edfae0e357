/**
 * Linearizable reads that wait. All that come in one turn of the event loop share one read of the replica, so a turn costs
 * one Ping round however many they are. A read is answered from any state that has applied the index the replica named.
 * It must never answer before that, and never twice.
 */
import type { Micros, Slot } from "../paxos/ids.js";
import { GoneLook } from "./gone-look.js";
import { StoreError } from "./store-error.js";

/** One request that waits to read. Exactly one of the two methods is called, once. */
export interface ReadWaiter {
  /** On the server's own clock: at or after this the request fails. */
  readonly deadline: Micros;
  /** Whether nobody hears the answer any more; left out where that is not known. Asked seldom. */
  isGone?(): boolean;
  /** The state machine is recent enough and between two batches: read it and answer now. */
  answer(): void;
  fail(error: StoreError): void;
}

/** The most reads that wait at a time; further ones are refused. */
export const READS_WAITING_MAX = 65_536;

export type ReadsOptions = {
  /** Asks the replica for a read under this id. */
  readonly begin: (id: number) => void;
  readonly cancel: (id: number) => void;
  readonly applied: () => Slot;
  /** Something joined an empty group: the turn must end by calling `flush`. */
  readonly wantTurn: () => void;
  /** Why nothing answers now, in a sentence. */
  readonly explain: () => string;
};

/** What ends a wait: the time, and in a look for those whose clients are gone, that. */
type Ends = { readonly now: Micros; readonly looks: boolean; error: StoreError | null };
type Group = { readonly waiters: ReadWaiter[] };

export class Reads {
  private readonly options: ReadsOptions;
  private open: ReadWaiter[] = [];
  private readonly asked = new Map<number, Group>();
  /** Indexes are known, the state is not there yet. Few: at most one a round that is ahead of the applier. */
  private ready: { readonly index: Slot; readonly group: Group }[] = [];
  private nextId = 1;
  private waiting = 0;
  private readonly goneLook = new GoneLook();
  private earliest = Number.POSITIVE_INFINITY;

  constructor(options: ReadsOptions) {
    this.options = options;
  }

  get count(): number {
    return this.waiting;
  }

  read(waiter: ReadWaiter): void {
    if (this.waiting >= READS_WAITING_MAX) {
      waiter.fail(new StoreError("overloaded", "not-applied", `${READS_WAITING_MAX} reads wait already, which is the limit`));
      return;
    }
    this.waiting++;
    if (waiter.deadline < this.earliest) {
      this.earliest = waiter.deadline;
    }
    if (this.open.push(waiter) === 1) {
      this.options.wantTurn();
    }
  }

  /** End of the turn: one read of the replica for all that joined. */
  flush(): void {
    if (this.open.length === 0) {
      return;
    }
    const id = this.nextId++;
    this.asked.set(id, { waiters: this.open });
    this.open = [];
    this.options.begin(id);
  }

  onReady(ids: readonly number[], index: Slot): void {
    const applied = this.options.applied();
    for (const id of ids) {
      const group = this.asked.get(id);
      if (group === undefined) {
        continue; // every waiter of it has timed out
      }
      this.asked.delete(id);
      if (applied >= index) {
        this.answer(group);
      } else {
        this.ready.push({ index, group });
      }
    }
  }

  /** The state machine has applied `slot` and is between two batches. */
  onApplied(slot: Slot): void {
    if (this.ready.length === 0) {
      return;
    }
    const due = this.ready.filter((entry) => entry.index <= slot);
    if (due.length > 0) {
      this.ready = this.ready.filter((entry) => entry.index > slot);
      for (const { group } of due) {
        this.answer(group);
      }
    }
  }

  /** Fails whatever is past its deadline, and now and then what nobody waits for. Costs nothing until one of the two is due. */
  expire(now: Micros): void {
    const looks = this.goneLook.due(now, this.waiting);
    if (now < this.earliest && !looks) {
      return;
    }
    const late: Ends = { now, looks, error: null };
    this.earliest = Number.POSITIVE_INFINITY;
    this.open = this.open.filter((waiter) => !this.expireOne(waiter, late));
    for (const [id, group] of this.asked) {
      this.expireGroup(group, late);
      if (group.waiters.length === 0) {
        this.asked.delete(id);
        this.options.cancel(id);
      }
    }
    for (const { group } of this.ready) {
      this.expireGroup(group, late);
    }
    this.ready = this.ready.filter(({ group }) => group.waiters.length > 0);
  }

  /** Fails everything: the server stops. */
  failAll(error: StoreError): void {
    const groups = [
      this.open,
      ...[...this.asked.values()].map((group) => group.waiters),
      ...this.ready.map((entry) => entry.group.waiters),
    ];
    this.open = [];
    this.asked.clear();
    this.ready = [];
    this.waiting = 0;
    for (const waiter of groups.flat()) {
      waiter.fail(error);
    }
  }

  private expireGroup(group: Group, late: Ends): void {
    const kept = group.waiters.filter((waiter) => !this.expireOne(waiter, late));
    group.waiters.length = 0;
    group.waiters.push(...kept);
  }

  private expireOne(waiter: ReadWaiter, late: Ends): boolean {
    if (waiter.deadline > late.now && !(late.looks && waiter.isGone?.() === true)) {
      this.earliest = Math.min(this.earliest, waiter.deadline);
      return false;
    }
    this.waiting--;
    late.error ??= new StoreError("unavailable", "not-applied", `The read was not answered in time: ${this.options.explain()}`);
    waiter.fail(late.error);
    return true;
  }

  private answer(group: Group): void {
    this.waiting -= group.waiters.length;
    for (const waiter of group.waiters) {
      waiter.answer();
    }
  }
}
