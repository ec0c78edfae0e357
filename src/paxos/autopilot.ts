/**
 * The coordinator's watch over who votes (PROTOCOL §4.1, §4.2): a voter that is unheard by a whole quorum, or unfit, for
 * removeAfterMs is made an observer; one that came back and keeps up is made a voter again. Everything here is decided by the
 * voters of before, through the log; a wrong guess costs a change too many, never agreement. Operators' requests go first.
 */
import { present } from "../base/assert.js";
import { configurationBatch } from "./batch.js";
import { applyChange } from "./change.js";
import { pumpChanges } from "./change-requests.js";
import { type Configuration, isQuorum, isVoter, type RosterEntry, rosterEntry } from "./configuration.js";
import { canPropose, propose } from "./coordinator.js";
import { type Micros, type ReplicaId, SLOT_ZERO } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { isCounted, isHeard, isLive, isMute, otherVoters, peerOf } from "./membership.js";
import { notice, type Outbox } from "./outbox.js";
import { concludeSettling, isSettled } from "./settling.js";
import { micros, type Peer, type ReplicaState, type Watched } from "./state.js";

/** The wait before a vote is given back doubles with each time it was lost, up to this, ms. */
const STABLE_MS_MAX = 300_000;
const STABLE_DOUBLINGS_MAX = 16;

/** A new coordinator watches everybody from the beginning. */
export function forgetWatched(state: ReplicaState): void {
  state.membership.watched.clear();
}

function watchedOf({ membership }: ReplicaState, replica: ReplicaId): Watched {
  let watched = membership.watched.get(replica);
  if (watched === undefined) {
    watched = { absentSince: null, unfitSince: null, unfitDecided: SLOT_ZERO, fitSince: null };
    membership.watched.set(replica, watched);
  }
  return watched;
}

export function tickAutopilot(state: ReplicaState, out: Outbox): void {
  if (state.coordinator === null) {
    return;
  }
  concludeSettling(state); // our own sync, and voters that became lame meanwhile, count without a change that waits
  watchVoters(state);
  watchObservers(state);
  pumpChanges(state, out);
  if (
    state.options.removeAfterMs === 0 ||
    !mayChange(state) ||
    state.now - state.membership.changedAt < micros(state.options.removeAfterMs / 2)
  ) {
    return;
  }
  if (!suspendOne(state, out)) {
    readmitOne(state, out);
  }
}

/** Whether a configuration entry may be proposed now: one at a time, the one before settled, phase 1 over (PROTOCOL §4.2, §4.7). */
export function mayChange(state: ReplicaState): boolean {
  const { coordinator } = state;
  return coordinator !== null && canPropose(state) && state.decided >= coordinator.recovered && isSettled(state);
}

/** Voters that hold each other's word: they answered this coordinator's ballot lately. */
function ackQuorum(state: ReplicaState): Peer[] {
  const oldest = state.now - micros(state.options.grantMs + state.options.pingMs);
  return otherVoters(state).filter((peer) => isCounted(state, peer) && peer.okSentAt >= oldest);
}

function watchVoters(state: ReplicaState): void {
  const witnesses = ackQuorum(state);
  for (const voter of currentConfiguration(state).voters) {
    if (voter === state.durable.replica) {
      continue;
    }
    const peer = peerOf(state, voter);
    const watched = watchedOf(state, voter);
    watched.fitSince = null;
    // A voter that others hear is only cut off from us: in the set it can still save the cluster. One whose disk another took over is heard by nobody.
    const isHeardHere = peer !== undefined && isCounted(state, peer) && isHeard(state, peer);
    const isAbsent = !isHeardHere && !witnesses.some((witness) => witness.replica !== voter && witness.hears.includes(voter));
    watched.absentSince = isAbsent ? (watched.absentSince ?? state.now) : null;
    const isUnfitHere = isHeardHere && isLive(state, peer) && isUnfit(state, peer);
    watched.unfitSince = isUnfitHere ? unfitSince(state, peer, watched) : null;
  }
}

/** It answers our Pings, but its disk does not answer, or it accepts nothing of what it is asked. */
function isUnfit(state: ReplicaState, peer: Peer): boolean {
  return !peer.diskOk || (isMute(state, peer) && isBehind(state, peer));
}

/** Something is open, or decided without its knowing: else an acknowledgement that was lost, or is not needed any more, says nothing. */
function isBehind({ decided, coordinator }: ReplicaState, peer: Peer): boolean {
  return peer.decided < decided || (coordinator !== null && coordinator.proposals.size > 0);
}

/**
 * A voter that catches up, however slowly, is not stuck: its time begins anew whenever its decided slot moved. One whose disk does not
 * answer may learn as much as it likes, it keeps nothing.
 */
function unfitSince(state: ReplicaState, peer: Peer, watched: Watched): Micros {
  const goesOn = !peer.diskOk || peer.decided === watched.unfitDecided;
  const since = watched.unfitSince !== null && goesOn ? watched.unfitSince : state.now;
  watched.unfitDecided = peer.decided;
  return since;
}

function watchObservers(state: ReplicaState): void {
  const configuration = currentConfiguration(state);
  for (const entry of configuration.roster) {
    if (!isVoter(configuration, entry.replica)) {
      const peer = peerOf(state, entry.replica);
      const watched = watchedOf(state, entry.replica);
      watched.fitSince = peer !== undefined && isCaughtUp(state, peer) ? (watched.fitSince ?? state.now) : null;
    }
  }
  for (const replica of state.membership.watched.keys()) {
    if (rosterEntry(configuration, replica) === undefined) {
      state.membership.watched.delete(replica);
    }
  }
}

/** It is heard, its disk answers, and it knows all but a window of what is decided. */
export function isCaughtUp(state: ReplicaState, peer: Peer): boolean {
  return isCounted(state, peer) && isLive(state, peer) && peer.diskOk && peer.lag <= state.options.windowSlots;
}

/** Whether the voters of `next` that answer, and are fit, make a quorum of it: else the change would block the cluster. */
export function hasLiveQuorum(state: ReplicaState, next: Configuration): boolean {
  return isQuorum(next, (replica) => {
    const peer = peerOf(state, replica);
    return (
      replica === state.durable.replica || (peer !== undefined && isCounted(state, peer) && isLive(state, peer) && !isUnfit(state, peer))
    );
  });
}

function suspendOne(state: ReplicaState, out: Outbox): boolean {
  const configuration = currentConfiguration(state);
  const limit = state.now - micros(state.options.removeAfterMs);
  if (configuration.voters.length <= state.options.minVoters) {
    return false;
  }
  let worst: RosterEntry | null = null;
  let worstSince = limit;
  for (const entry of configuration.roster) {
    const watched = isVoter(configuration, entry.replica) ? state.membership.watched.get(entry.replica) : undefined;
    const since = Math.min(watched?.absentSince ?? state.now, watched?.unfitSince ?? state.now);
    if (entry.replica !== state.durable.replica && since <= worstSince) {
      worst = entry;
      worstSince = since;
    }
  }
  return (
    worst !== null &&
    change(state, out, { kind: "suspend", replica: worst.replica }, `${worst.address} lost its vote until it is back and keeps up`)
  );
}

function readmitOne(state: ReplicaState, out: Outbox): boolean {
  const configuration = currentConfiguration(state);
  for (const entry of configuration.roster) {
    const fitSince = isVoter(configuration, entry.replica) ? null : state.membership.watched.get(entry.replica)?.fitSince;
    if (fitSince == null || !entry.electable) {
      continue;
    }
    if (
      state.now - fitSince >= stableTime(state, entry) &&
      change(state, out, { kind: "promote", replica: entry.replica }, `${entry.address} votes`)
    ) {
      return true;
    }
  }
  return false;
}

/** How long this observer must keep up before it votes again. */
function stableTime({ membership, options }: ReplicaState, { replica }: RosterEntry): Micros {
  const times = membership.flaps.get(replica)?.times ?? 1;
  return micros(Math.min(options.stableMs * 2 ** Math.min(times - 1, STABLE_DOUBLINGS_MAX), Math.max(STABLE_MS_MAX, options.stableMs)));
}

function change(state: ReplicaState, out: Outbox, wanted: Parameters<typeof applyChange>[1], text: string): boolean {
  const result = applyChange(currentConfiguration(state), wanted, state.durable.replica);
  if (result.kind !== "next" || !hasLiveQuorum(state, result.configuration)) {
    return false;
  }
  const { round } = present(state.coordinator, "only a coordinator changes the configuration").ballot;
  notice(state, out, "info", "autopilot", `Configuration ${result.configuration.epoch} of round ${round} is proposed: ${text}.`);
  propose(state, out, configurationBatch(result.configuration));
  return true;
}
