/**
 * The rule of durability, run: persist effects queue, one commit of the log is in flight, and it carries all that queued
 * while the one before was. Only when it is synced do its pledges leave, and only then does the replica hear of it.
 * Nothing here may reorder, drop or send early.
 */
import { assert } from "../base/assert.js";
import { equalBallots } from "../paxos/ballot.js";
import type { Destination, Effect, PledgeSend } from "../paxos/effect.js";
import type { Slot } from "../paxos/ids.js";
import type { Header } from "../paxos/message.js";
import type { WalRecord } from "../paxos/record.js";

type Persist = Extract<Effect, { kind: "persist" }>;

export type GroupCommitOptions = {
  /** Appends and syncs `records` as one; calls `done` once they are on disk, never from inside the call. Does not return after a failure. */
  readonly commit: (records: readonly WalRecord[], done: () => void) => void;
  readonly send: (pledge: PledgeSend) => void;
  /** Everything up to `lsn` is synced and its pledges were handed to the network. */
  readonly onPersisted: (lsn: number) => void;
};

export class GroupCommit {
  private readonly options: GroupCommitOptions;
  private queued: Persist[] = [];
  private flying: readonly Persist[] = [];

  constructor(options: GroupCommitOptions) {
    this.options = options;
  }

  /** Whether a commit of the log is under way: proposals wait for its end, so that a busy disk makes larger batches. */
  get busy(): boolean {
    return this.flying.length > 0;
  }

  /** Whether nothing waits for the disk. */
  get idle(): boolean {
    return this.flying.length === 0 && this.queued.length === 0;
  }

  add(effect: Persist): void {
    this.queued.push(effect);
  }

  /** Begins a commit of all that queued, unless one is in flight. A commit without any record ends at once: what it waits for is synced. */
  start(): void {
    while (this.flying.length === 0 && this.queued.length > 0) {
      this.flying = this.queued;
      this.queued = [];
      const records = recordsOf(this.flying);
      if (records.length > 0) {
        this.options.commit(records, () => this.finish());
        return;
      }
      this.finish();
    }
  }

  private finish(): void {
    const done = this.flying;
    const last = done.at(-1);
    assert(last !== undefined, "a commit ends once");
    this.flying = [];
    for (const pledge of mergeAccepted(done)) {
      this.options.send(pledge);
    }
    this.options.onPersisted(last.lsn);
  }
}

function recordsOf(effects: readonly Persist[]): readonly WalRecord[] {
  const only = effects[0];
  return effects.length === 1 && only !== undefined ? only.records : effects.flatMap((effect) => effect.records);
}

/** The pledges in order, neighbouring Accepted of one ballot to the same destinations made one message: one answer a sync. */
function mergeAccepted(effects: readonly Persist[]): readonly PledgeSend[] {
  const merged: PledgeSend[] = [];
  let slots: Slot[] | null = null;
  for (const effect of effects) {
    for (const pledge of effect.thenSend) {
      const before = merged.at(-1);
      if (slots !== null && before !== undefined && canMerge(before, pledge) && pledge.message.kind === "accepted") {
        slots.push(...pledge.message.slots);
        continue;
      }
      if (pledge.message.kind === "accepted") {
        slots = [...pledge.message.slots];
        merged.push({ to: pledge.to, header: pledge.header, message: { ...pledge.message, slots } });
      } else {
        slots = null;
        merged.push(pledge);
      }
    }
  }
  return merged;
}

function canMerge(a: PledgeSend, b: PledgeSend): boolean {
  return (
    a.message.kind === "accepted" &&
    b.message.kind === "accepted" &&
    equalBallots(a.message.ballot, b.message.ballot) &&
    equalHeaders(a.header, b.header) &&
    equalDestinations(a.to, b.to)
  );
}

function equalHeaders(a: Header, b: Header): boolean {
  const { lineage } = a;
  return (
    a === b ||
    (a.clusterId === b.clusterId &&
      lineage.number === b.lineage.number &&
      lineage.random === b.lineage.random &&
      a.from === b.from &&
      a.epoch === b.epoch)
  );
}

function equalDestinations(a: readonly Destination[], b: readonly Destination[]): boolean {
  return a === b || (a.length === b.length && a.every((destination, i) => destination === b[i]));
}
