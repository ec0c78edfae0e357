/**
 * What a replica writes to its log, and the one function that changes durable state. Running applies a record when it is
 * handed to the disk, recovery applies what it reads back: the same function, so that a restart cannot differ from a life
 * without one. Nothing else may write to `Durable`.
 */
import { assert, unreachable } from "../base/assert.js";
import { type Hash64, ZERO_HASH } from "../base/hash64.js";
import { BALLOT_ZERO, type Ballot, compareBallots } from "./ballot.js";
import type { Batch } from "./batch.js";
import type { Configuration } from "./configuration.js";
import { type ClusterId, type DiskId, type Lineage, NO_CLUSTER, NO_LINEAGE, type ReplicaId, SLOT_ZERO, type Slot, VIRGIN } from "./ids.js";
import type { SnapshotMeta } from "./message.js";

export type WalRecord =
  /** The process started on this disk for the `boot`th time. The storage writes it before the core runs. */
  | { readonly kind: "boot"; readonly diskId: DiskId; readonly boot: number }
  /** The identity, given once in a disk's life, and the configuration that governs slot 1. */
  | {
      readonly kind: "identity";
      readonly clusterId: ClusterId;
      readonly lineage: Lineage;
      readonly replica: ReplicaId;
      readonly configuration: Configuration;
    }
  | { readonly kind: "promise"; readonly ballot: Ballot }
  /** Accepting at a ballot promises it too: one record does both. */
  | { readonly kind: "accept"; readonly ballot: Ballot; readonly slot: Slot; readonly batch: Batch }
  /** A decided value that this acceptor did not accept in the deciding ballot. */
  | { readonly kind: "learn"; readonly slot: Slot; readonly batch: Batch }
  /** All slots up to `slot` are decided with the values this log holds. */
  | { readonly kind: "decided"; readonly slot: Slot }
  /** A snapshot of our own state is durable and verified. */
  | { readonly kind: "snapshot"; readonly meta: SnapshotMeta }
  /** A snapshot from a peer replaced the state: everything up to its index is gone from this log. */
  | { readonly kind: "snapshotInstalled"; readonly meta: SnapshotMeta }
  /** Entries up to `slot` are dropped; chain(slot) = chain, configuration governs slot + 1. */
  | { readonly kind: "trim"; readonly slot: Slot; readonly chain: Hash64; readonly configuration: Configuration };

/** What an acceptor holds for a slot. */
export type AcceptedEntry = { readonly ballot: Ballot; readonly batch: Batch };

/** Everything that survives a crash (PROTOCOL §1.2). Read it anywhere; change it through `applyRecord` alone. */
export type Durable = {
  diskId: DiskId;
  boot: number;
  clusterId: ClusterId;
  lineage: Lineage;
  /** VIRGIN until founded or joined. */
  replica: ReplicaId;
  promised: Ballot;
  readonly accepted: Map<Slot, AcceptedEntry>;
  /** Decided values obtained by catch-up; where both exist this is the value. */
  readonly learned: Map<Slot, Batch>;
  /** Lags the decided slot; the durable decided slot is max(hint, snapshot index). */
  hint: Slot;
  /** Longest hard grant ever given to another, ms; 0 while reads use the Ping round. */
  hardMs: number;
  snapshot: SnapshotMeta | null;
  /** Entries above `trimmed` are held; chain(trimmed) and the configuration of trimmed + 1 are the base of what follows. */
  trimmed: Slot;
  trimmedChain: Hash64;
  /** Null until there is an identity. */
  trimmedConfiguration: Configuration | null;
};

/** The state of an empty disk. */
export function virginDurable(diskId: DiskId): Durable {
  return {
    diskId,
    boot: 0,
    clusterId: NO_CLUSTER,
    lineage: NO_LINEAGE,
    replica: VIRGIN,
    promised: BALLOT_ZERO,
    accepted: new Map(),
    learned: new Map(),
    hint: SLOT_ZERO,
    hardMs: 0,
    snapshot: null,
    trimmed: SLOT_ZERO,
    trimmedChain: ZERO_HASH,
    trimmedConfiguration: null,
  };
}

/** The slot up to which a restart knows everything to be decided. */
export function durableDecided(durable: Durable): Slot {
  const snapshot = durable.snapshot?.index ?? SLOT_ZERO;
  return durable.hint > snapshot ? durable.hint : snapshot;
}

/**
 * Applies one record. Records may come twice (the live tail is copied into a new segment), so every case is idempotent;
 * `promised` never falls (invariant 3) and no accept is below it (invariant 4).
 */
export function applyRecord(durable: Durable, record: WalRecord): void {
  switch (record.kind) {
    case "boot":
      assert(record.boot >= durable.boot, "the boot count never falls");
      durable.diskId = record.diskId;
      durable.boot = record.boot;
      return;
    case "identity":
      assert(durable.replica === VIRGIN || durable.replica === record.replica, "a disk takes one identity in its life");
      durable.clusterId = record.clusterId;
      durable.lineage = record.lineage;
      durable.replica = record.replica;
      durable.trimmedConfiguration ??= record.configuration;
      return;
    case "promise":
      raisePromise(durable, record.ballot);
      return;
    case "accept":
      applyAccept(durable, record);
      return;
    case "learn":
      if (record.slot > durable.trimmed) {
        durable.learned.set(record.slot, record.batch);
      }
      return;
    case "decided":
      durable.hint = record.slot > durable.hint ? record.slot : durable.hint;
      return;
    case "snapshot":
      if (durable.snapshot === null || record.meta.index > durable.snapshot.index) {
        durable.snapshot = record.meta;
      }
      return;
    case "snapshotInstalled":
      if (durable.snapshot === null || record.meta.index >= durable.snapshot.index) {
        durable.snapshot = record.meta;
        dropUpTo(durable, record.meta.index, record.meta.chain, record.meta.configuration);
      }
      return;
    case "trim":
      dropUpTo(durable, record.slot, record.chain, record.configuration);
      return;
    default:
      unreachable(record);
  }
}

function raisePromise(durable: Durable, ballot: Ballot): void {
  if (compareBallots(ballot, durable.promised) > 0) {
    durable.promised = ballot;
  }
}

function applyAccept(durable: Durable, record: Extract<WalRecord, { kind: "accept" }>): void {
  raisePromise(durable, record.ballot);
  if (record.slot <= durable.trimmed) {
    return;
  }
  const held = durable.accepted.get(record.slot);
  if (held === undefined || compareBallots(record.ballot, held.ballot) >= 0) {
    durable.accepted.set(record.slot, { ballot: record.ballot, batch: record.batch });
  }
}

function dropUpTo(durable: Durable, last: Slot, chain: Hash64, configuration: Configuration): void {
  if (last <= durable.trimmed) {
    return;
  }
  for (const entries of [durable.accepted, durable.learned]) {
    for (const held of entries.keys()) {
      if (held <= last) {
        entries.delete(held);
      }
    }
  }
  durable.trimmed = last;
  durable.trimmedChain = chain;
  durable.trimmedConfiguration = configuration;
}
