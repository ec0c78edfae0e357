/**
 * What follows when a configuration entry takes effect here, however it came: new peers are dialled, the entry is made durable and
 * acknowledged, a candidate turns to the voters of now, and a replica that was removed for good leaves. Called wherever the decided
 * slot moved; does nothing while the configuration stands still.
 */
import { answerProposed } from "./change-requests.js";
import { type Configuration, isVoter, rosterEntry } from "./configuration.js";
import { failAttempt, scheduleFirstNomination } from "./election.js";
import { type Micros, VIRGIN } from "./ids.js";
import { answerVirgin } from "./joining.js";
import { currentConfiguration } from "./log.js";
import { admitRosterPeers, hasIdentity, isKin, otherVoters, votes } from "./membership.js";
import type { Header, Ping } from "./message.js";
import { notice, type Outbox } from "./outbox.js";
import { askEverythingAgain, expectAnswer } from "./resend.js";
import { acknowledgeNewest, newestEntrySlot } from "./settling.js";
import { micros, NOT_DUE, type Peer, type ReplicaState } from "./state.js";

/** How long a replica that was removed goes on, so that answers under way arrive, ms. */
const FAREWELL_MS = 2000;

export function noteConfiguration(state: ReplicaState, out: Outbox): void {
  const { membership } = state;
  if (!hasIdentity(state)) {
    return;
  }
  const before = membership.noted;
  const configuration = currentConfiguration(state);
  if (before?.epoch === configuration.epoch) {
    return;
  }
  membership.noted = configuration;
  admitRosterPeers(state, out);
  if (before === null) {
    return; // a start, or the founding: nothing changed
  }
  membership.changedAt = state.now;
  countFlaps(state, before, configuration);
  acknowledgeNewest(state, out);
  answerProposed(state, out, newestEntrySlot(state));
  welcomeVirgins(state, out);
  turnCandidate(state, out);
  if (state.election.waitUntil === NOT_DUE) {
    scheduleFirstNomination(state); // it came to vote without a coordinator that it ever heard of
  }
  takeLeave(state, out, state.now);
}

/** Whoever asked to join hears at once that it is listed. */
function welcomeVirgins(state: ReplicaState, out: Outbox): void {
  for (const peer of state.peers.values()) {
    if (
      peer.replica === VIRGIN &&
      peer.hello !== null &&
      currentConfiguration(state).roster.some((entry) => entry.diskId === peer.hello?.diskId)
    ) {
      answerVirgin(state, out, peer, peer.hello);
    }
  }
}

/** Who loses its vote again and again gets it back later and later; who kept it for long is as good as new. */
function countFlaps({ membership, now }: ReplicaState, before: Configuration, after: Configuration): void {
  for (const voter of before.voters) {
    if (!isVoter(after, voter) && rosterEntry(after, voter) !== undefined) {
      const flap = membership.flaps.get(voter);
      const isOld = flap?.votesSince != null && now - flap.votesSince > micros(FLAP_FORGOTTEN_MS);
      membership.flaps.set(voter, { times: isOld ? 1 : (flap?.times ?? 0) + 1, votesSince: null });
    }
  }
  for (const [replica, flap] of membership.flaps) {
    if (rosterEntry(after, replica) === undefined) {
      membership.flaps.delete(replica);
    } else if (flap.votesSince === null && isVoter(after, replica)) {
      flap.votesSince = now;
    }
  }
}

/** A voter that kept its vote for so long does not flap, ms. */
export const FLAP_FORGOTTEN_MS = 300_000;

/** A candidate that caught up over a change needs the voters of now: those it never asked are asked. */
function turnCandidate(state: ReplicaState, out: Outbox): void {
  if (state.candidate === null) {
    return;
  }
  if (!votes(state)) {
    failAttempt(state);
    return;
  }
  for (const peer of otherVoters(state)) {
    expectAnswer(state, peer);
    askEverythingAgain(state, out, peer);
  }
}

/** "A removed id never returns": the server says so, and ends when what it owes is said and the others can do without it. */
export function takeLeave(state: ReplicaState, out: Outbox, since: Micros): void {
  if (state.membership.removal === null && isRemoved(state)) {
    state.membership.removal = { since, isSettled: false };
    notice(state, out, "warn", "removed", removalText(state));
    out.push({ kind: "leaving" });
  }
}

/**
 * A coordinator's Ping without a question for SettleAcks: the entry that removed this replica is settled. Until then the voters left may
 * not know that they are enough, and may need what this one has on its disk to learn of it, or its vote to decide it again.
 */
export function hearSettled(state: ReplicaState, peer: Peer, header: Header, { coordinator }: Ping): void {
  const { removal } = state.membership;
  if (removal !== null && isKin(state, peer) && coordinator !== null && coordinator.settling === null) {
    removal.isSettled ||= header.epoch >= currentConfiguration(state).epoch;
  }
}

/**
 * Whether this replica was removed for good: its id was given, and the roster lacks it. A configuration from before it joined, which
 * its first snapshot may bring, lacks it as well, but has not given its id yet.
 */
export function isRemoved(state: ReplicaState): boolean {
  if (!hasIdentity(state)) {
    return false;
  }
  const configuration = currentConfiguration(state);
  return state.durable.replica < configuration.nextReplicaId && rosterEntry(configuration, state.durable.replica) === undefined;
}

/** Ends the server once nobody needs it any more; what it owes is said by then. */
export function leaveWhenDue(state: ReplicaState, out: Outbox): void {
  const { removal } = state.membership;
  if (removal?.isSettled === true && state.now - removal.since >= micros(FAREWELL_MS)) {
    removal.since = NOT_DUE; // it is said once
    out.push({ kind: "halt", text: removalText(state), drains: true });
  }
}

export function removalText(state: ReplicaState): string {
  return (
    `This server (replica ${state.durable.replica}) was removed from the cluster and its id is never given again. ` +
    "To bring the machine back, start it with an empty data directory and --join."
  );
}
