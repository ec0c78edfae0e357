/**
 * The coordinator's watch over who votes (PROTOCOL §4.1, §4.2): a voter that is unheard by a whole quorum, or unfit, for
 * removeAfterMs is made an observer; one that came back and keeps up is made a voter again. Everything here is decided by the
 * voters of before, through the log; a wrong guess costs a change too many, never agreement. Operators' requests go first.
 */
import { present } from "../base/assert.js";
import { configurationBatch } from "./batch.js";
import { applyChange } from "./change.js";
import { pumpChanges } from "./change-requests.js";
import { type Configuration, isQuorum, isVoter, type RosterEntry } from "./configuration.js";
import { canPropose, propose } from "./coordinator.js";
import type { Micros } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { isCounted, isHeard, isLive, isMute, otherVoters, peerOf } from "./membership.js";
import { notice, type Outbox } from "./outbox.js";
import { isSettled } from "./settling.js";
import { micros, type Peer, type ReplicaState } from "./state.js";

/** The wait before a vote is given back doubles with each time it was lost, up to this, ms. */
const STABLE_MS_MAX = 300_000;
const STABLE_DOUBLINGS_MAX = 16;

/** A new coordinator watches everybody from the beginning. */
export function forgetWatch(peer: Peer): void {
  peer.absentSince = null;
  peer.unfitSince = null;
  peer.fitSince = null;
}

export function tickAutopilot(state: ReplicaState, out: Outbox): void {
  if (state.coordinator === null) {
    return;
  }
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
    const peer = voter === state.durable.replica ? undefined : voterAt(state, voter);
    if (peer === undefined) {
      continue;
    }
    // A voter that others hear is only cut off from us: in the set it can still save the cluster.
    const isHeardHere = peer.replica === voter && isCounted(state, peer) && isHeard(state, peer);
    const isAbsent = !isHeardHere && !witnesses.some((witness) => witness !== peer && witness.hears.includes(voter));
    peer.absentSince = isAbsent ? (peer.absentSince ?? state.now) : null;
    peer.unfitSince = isHeardHere && isLive(state, peer) && isUnfit(state, peer) ? unfitSince(state, peer) : null;
  }
}

/** The server at the address of a voter, whoever it is by now. */
function voterAt(state: ReplicaState, voter: RosterEntry["replica"]): Peer | undefined {
  const entry = currentConfiguration(state).roster.find((listed) => listed.replica === voter);
  return entry === undefined ? undefined : state.peers.get(entry.address);
}

/** It answers our Pings, but its disk does not answer, or it accepts nothing of what it is asked. */
function isUnfit(state: ReplicaState, peer: Peer): boolean {
  return !peer.diskOk || isMute(state, peer);
}

/** A voter that catches up, however slowly, is not stuck: its time begins anew whenever its decided slot moved. */
function unfitSince(state: ReplicaState, peer: Peer): Micros {
  const since = peer.unfitSince !== null && peer.decided === peer.unfitDecided ? peer.unfitSince : state.now;
  peer.unfitDecided = peer.decided;
  return since;
}

function watchObservers(state: ReplicaState): void {
  const configuration = currentConfiguration(state);
  for (const entry of configuration.roster) {
    const peer = isVoter(configuration, entry.replica) ? undefined : peerOf(state, entry.replica);
    if (peer !== undefined && peer.replica === entry.replica) {
      peer.fitSince = isCaughtUp(state, peer) ? (peer.fitSince ?? state.now) : null;
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
    const peer = isVoter(configuration, entry.replica) ? voterAt(state, entry.replica) : undefined;
    const since = Math.min(peer?.absentSince ?? state.now, peer?.unfitSince ?? state.now);
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
    const peer = isVoter(configuration, entry.replica) || !entry.electable ? undefined : peerOf(state, entry.replica);
    if (peer === undefined || peer.replica !== entry.replica || peer.fitSince === null) {
      continue;
    }
    if (
      state.now - peer.fitSince >= stableTime(state, entry) &&
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
