/**
 * The first records of a disk that begins with a state instead of empty: what a forced recovery makes of the survivors, and a restore
 * of a backup (PROTOCOL §4.7). It is the only voter under a ReplicaId that nobody had, promised above every round that was ever seen,
 * so that nothing of before can be taken for its own. Pure: the caller draws what is random.
 */
import { assert } from "../base/assert.js";
import { ballot } from "./ballot.js";
import type { Batch } from "./batch.js";
import { type Configuration, isVoter } from "./configuration.js";
import {
  type Address,
  type ClusterId,
  type DiskId,
  type Lineage,
  type ReplicaId,
  replicaId,
  SLOT_ZERO,
  type Slot,
  slotAfter,
} from "./ids.js";
import type { SnapshotMeta } from "./message.js";
import type { WalRecord } from "./record.js";

export type NewLife = {
  readonly clusterId: ClusterId;
  readonly lineage: Lineage;
  readonly diskId: DiskId;
  readonly replica: ReplicaId;
  /** The state to begin with, already on the new disk; null for none, and then the log begins at slot 1. */
  readonly snapshot: SnapshotMeta | null;
  /** Governs the slot after the snapshot. */
  readonly baseConfiguration: Configuration;
  /** What is decided in the slots after the snapshot; at their end `replica` is the only voter. */
  readonly entries: readonly Batch[];
  /** The highest round ever seen. */
  readonly round: number;
};

/** The records, in order. */
export function recordsOfNewLife(life: NewLife): readonly WalRecord[] {
  const { clusterId, lineage, diskId, replica, snapshot, baseConfiguration, entries } = life;
  const records: WalRecord[] = [
    { kind: "boot", diskId, boot: 1 },
    { kind: "identity", clusterId, lineage, replica, configuration: baseConfiguration },
    { kind: "promise", ballot: ballot(life.round + 1, replica) },
  ];
  if (snapshot !== null) {
    records.push({ kind: "snapshotInstalled", meta: snapshot });
  }
  let last: Slot = snapshot?.index ?? SLOT_ZERO;
  for (const batch of entries) {
    last = slotAfter(last);
    records.push({ kind: "learn", slot: last, batch });
  }
  records.push({ kind: "decided", slot: last });
  return records;
}

/**
 * The members that were stay in the roster, but for one at the new address: as observers, of which the voters become electable, so that
 * a server that comes back there with an empty disk joins and votes by itself. Their old disks are of another lineage and never count.
 */
export function onlyVoter(before: Configuration, address: Address, diskId: DiskId): Configuration {
  const replica = before.nextReplicaId;
  const others = before.roster.filter((entry) => entry.address !== address);
  const roster = others.map((entry) => ({ ...entry, electable: entry.electable || isVoter(before, entry.replica) }));
  assert(!roster.some((entry) => entry.replica === replica), "an id that nobody had");
  return {
    epoch: before.epoch + 1,
    prevEpoch: before.epoch,
    voters: [replica],
    tieBreak: replica,
    roster: [...roster, { replica, address, diskId, electable: true }],
    nextReplicaId: replicaId(replica + 1),
  };
}
