/**
 * When a change of the configuration is settled (PROTOCOL §4.2): every voter of it that is neither unheard nor lame, and a quorum at
 * least, has the entry in its durable decided prefix. Until then no other change begins: after a power loss of all, the new voters
 * must know that they are the voters. Counts SettleAcks, never what somebody knows but has not on disk.
 */
import { isQuorum } from "./configuration.js";
import { followedCoordinator } from "./grant.js";
import { type ReplicaId, SLOT_ZERO, type Slot, slot } from "./ids.js";
import { FOUNDING_EPOCH } from "./joining.js";
import { currentConfiguration } from "./log.js";
import { isLame } from "./membership.js";
import type { SettleAck } from "./message.js";
import { type Outbox, persist } from "./outbox.js";
import type { WalRecord } from "./record.js";
import { micros, type Peer, type ReplicaState } from "./state.js";

/** The slot of the newest configuration entry in effect; SLOT_ZERO for that of the founding. */
export function newestEntrySlot(state: ReplicaState): Slot {
  const from = state.configurations.at(-1)?.from;
  return from === undefined ? SLOT_ZERO : slot(from - 1);
}

/** This replica coordinates, or goes on to coordinate: it asks for the newest entry that it knows. */
export function beginSettling(state: ReplicaState, out: Outbox): void {
  const entry = newestEntrySlot(state);
  const { membership } = state;
  if (currentConfiguration(state).epoch === FOUNDING_EPOCH) {
    membership.settling = null; // all held it before the first ballot
  } else if (membership.settling?.slot !== entry) {
    const lsn = persist(state, out, hintRecords(state, entry), []);
    membership.settling = { slot: entry, lsn, since: state.now, acks: new Set(), isDone: false };
    concludeSettling(state);
  }
}

/** What makes our durable decided slot cover `entry`, which is decided here. */
function hintRecords(state: ReplicaState, entry: Slot): WalRecord[] {
  return state.durable.hint >= entry ? [] : [{ kind: "decided", slot: state.decided }];
}

/** "My durable decided slot covers `entry`", behind the record that makes it true. */
export function acknowledgeEntry(state: ReplicaState, out: Outbox, entry: Slot, to: Peer["address"] | null): void {
  if (entry > state.decided) {
    return;
  }
  const message = { kind: "settleAck", epoch: currentConfiguration(state).epoch, slot: entry } as const;
  persist(state, out, hintRecords(state, entry), to === null ? [] : [{ to: [to], message }]);
}

/** The entry has just become known here: it is made durable at once, and the coordinator hears of it. */
export function acknowledgeNewest(state: ReplicaState, out: Outbox): void {
  const coordinator = followedCoordinator(state);
  const isOther = coordinator !== null && coordinator.replica !== state.durable.replica;
  acknowledgeEntry(state, out, newestEntrySlot(state), isOther ? coordinator.address : null);
}

export function onSettleAck(state: ReplicaState, peer: Peer, acknowledged: SettleAck): void {
  const { settling } = state.membership;
  if (settling !== null && acknowledged.slot >= settling.slot) {
    settling.acks.add(peer.replica);
    concludeSettling(state);
  }
}

/** Counts anew: after a SettleAck, a sync of our own, or time, which makes voters lame. */
export function concludeSettling(state: ReplicaState): void {
  const { settling } = state.membership;
  if (settling === null || settling.isDone) {
    return;
  }
  if (settling.lsn <= state.persistedLsn) {
    settling.acks.add(state.durable.replica);
  }
  const configuration = currentConfiguration(state);
  settling.isDone =
    isQuorum(configuration, (replica) => settling.acks.has(replica)) && configuration.voters.every((voter) => !isAwaited(state, voter));
}

/** At the coordinator: the voters whose SettleAck the newest entry still waits for. Empty once it is settled. */
export function unsettledVoters(state: ReplicaState): readonly ReplicaId[] {
  const { settling } = state.membership;
  return settling === null || settling.isDone ? [] : currentConfiguration(state).voters.filter((voter) => isAwaited(state, voter));
}

/** Whether settling waits for this voter: not for one that is lame, and for none longer than suspectMs, which makes it lame here. */
function isAwaited(state: ReplicaState, voter: ReplicaId): boolean {
  const { settling } = state.membership;
  const isPatient = settling !== null && state.now - settling.since <= micros(state.options.suspectMs);
  return isPatient && !settling.acks.has(voter) && !isLame(state, voter);
}

/** What the coordinator's Ping asks for: null once the newest entry is settled. */
export function settlingSlot(state: ReplicaState): Slot | null {
  const { settling } = state.membership;
  return settling === null || settling.isDone ? null : settling.slot;
}

/** At the coordinator: whether the next change may begin. */
export function isSettled(state: ReplicaState): boolean {
  concludeSettling(state);
  return settlingSlot(state) === null;
}
