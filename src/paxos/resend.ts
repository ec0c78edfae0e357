/**
 * Asking again: a voter that owes a Promise or an Accepted is asked after max(20 ms, 4 round trips), doubling to a second;
 * one that answered "failing" after 2 ms, doubling to 50. All messages are idempotent, so asking too often is only waste.
 */
import { type Micros, SLOT_ZERO, type Slot, slotAfter } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { isHeard, otherVoters, peerOf } from "./membership.js";
import type { Outbox } from "./outbox.js";
import { persist, send } from "./outbox.js";
import { informPart } from "./ping.js";
import { micros, NOT_DUE, type Peer, type Proposal, type ReplicaState } from "./state.js";

const RESEND_MS_MIN = 20;
const RESEND_MS_MAX = 1000;
const RESEND_ROUND_TRIPS = 4;
const FAILING_MS_MIN = 2;
const FAILING_MS_MAX = 50;

/** Bounded like the doubling: an answer that came only after an outage was a long time in coming, and says nothing of the next. */
function baseWait(peer: Peer): Micros {
  const trips = RESEND_ROUND_TRIPS * Math.max(peer.acceptTime, peer.roundTrip);
  return Math.min(Math.max(micros(RESEND_MS_MIN), trips), micros(RESEND_MS_MAX));
}

/** Something was just asked of this voter. */
export function expectAnswer(state: ReplicaState, peer: Peer): void {
  if (peer.resendAt === NOT_DUE) {
    peer.resendWait = baseWait(peer);
    peer.resendAt = state.now + peer.resendWait;
  }
}

/** It answered something: the wait starts anew from the oldest question that is still open. */
export function settleResend(state: ReplicaState, peer: Peer): void {
  peer.resendWait = baseWait(peer);
  const open = oldestOpen(state, peer);
  const owed = open === null ? owedNewest(state, peer) : null;
  if (open !== null) {
    peer.resendAt = Math.max(open + peer.resendWait, state.now + peer.resendWait / 2);
  } else if (owed !== null) {
    peer.resendAt = Math.max(owed.sentAt + micros(state.options.suspectMs / 2), state.now);
  } else {
    peer.resendAt = NOT_DUE;
    peer.owesSince = null;
  }
  if (peer.failing.size === 0) {
    peer.failingAt = NOT_DUE;
    peer.failingWait = 0;
  }
}

/** Its stream was lost and is open again: what it owes is asked for soon, whatever the wait had grown to. */
export function hastenResend(state: ReplicaState, peer: Peer): void {
  if (peer.resendAt !== NOT_DUE) {
    peer.resendWait = baseWait(peer);
    peer.resendAt = Math.min(peer.resendAt, state.now + micros(RESEND_MS_MIN));
  }
}

/** When the oldest question this voter owes an answer to was sent; null if it owes none. */
function oldestOpen(state: ReplicaState, peer: Peer): Micros | null {
  if (state.candidate !== null) {
    const { promises, lastProgress } = state.candidate;
    return promises.get(peer.replica)?.complete == null ? lastProgress : null;
  }
  for (const proposal of state.coordinator?.proposals.values() ?? []) {
    if (!proposal.acks.has(peer.replica)) {
      return proposal.sentAt;
    }
  }
  return null;
}

/**
 * The last proposal, if it is decided and this voter never answered it. What was decided without it needs no answer of its own, but until
 * one comes the voter counts as mute: one whose answer was lost would for ever, and would lose its vote.
 */
function owedNewest({ coordinator }: ReplicaState, peer: Peer): Proposal | null {
  const newest = coordinator?.newest ?? null;
  const isOpen = newest === null || coordinator?.proposals.has(newest.slot) === true;
  return isOpen || peer.owesSince === null || newest.acks.has(peer.replica) ? null : newest;
}

/** Nothing is asked any more: the ballot ended. */
export function forgetResends(state: ReplicaState): void {
  for (const peer of state.peers.values()) {
    peer.resendAt = NOT_DUE;
    peer.failing.clear();
    peer.failingAt = NOT_DUE;
    peer.failingWait = 0;
  }
}

/** Nack(failing) for `slot` (SLOT_ZERO: the Prepare): means nothing about the voter's state, so it is asked again at once. */
export function onFailing(state: ReplicaState, peer: Peer, slot: Slot): void {
  peer.failing.add(slot);
  if (peer.failingAt === NOT_DUE) {
    peer.failingWait = Math.min(Math.max(peer.failingWait * 2, micros(FAILING_MS_MIN)), micros(FAILING_MS_MAX));
    peer.failingAt = state.now + peer.failingWait;
  }
}

/** Sends again whatever is due. */
export function tickResend(state: ReplicaState, out: Outbox): void {
  if (state.candidate === null && state.coordinator === null) {
    return;
  }
  for (const peer of otherVoters(state)) {
    if (state.now >= peer.failingAt) {
      peer.failingAt = NOT_DUE;
      askAgain(state, out, peer, (slot) => peer.failing.has(slot));
      peer.failing.clear();
    }
    if (state.now >= peer.resendAt) {
      const isOld = (_slot: Slot, proposal: Proposal | null): boolean => proposal === null || state.now - proposal.sentAt >= baseWait(peer);
      askAgain(state, out, peer, isOld);
      peer.resendWait = Math.min(peer.resendWait * 2, micros(RESEND_MS_MAX));
      peer.resendAt = state.now + peer.resendWait;
    }
  }
}

/** Everything a voter owes is asked again now: its stream was lost, or it came back. */
export function askEverythingAgain(state: ReplicaState, out: Outbox, peer: Peer): void {
  if (otherVoters(state).includes(peer)) {
    askAgain(state, out, peer, () => true);
  }
}

function askAgain(state: ReplicaState, out: Outbox, peer: Peer, isDue: (slot: Slot, proposal: Proposal | null) => boolean): void {
  const { candidate, coordinator } = state;
  if (candidate !== null) {
    if (candidate.promises.get(peer.replica)?.complete == null && isDue(SLOT_ZERO, null)) {
      const prepare = {
        kind: "prepare",
        ballot: candidate.ballot,
        from: slotAfter(state.decided),
        handoverOf: candidate.handoverOf,
      } as const;
      persist(state, out, [], [{ to: [peer.address], message: prepare }]);
    }
    return;
  }
  const owed = isHeard(state, peer) ? owedNewest(state, peer) : null;
  for (const proposal of owed === null ? (coordinator?.proposals.values() ?? []) : [owed]) {
    if (coordinator !== null && !proposal.acks.has(peer.replica) && isDue(proposal.slot, proposal)) {
      const { slot, batch } = proposal;
      send(state, out, [peer.address], { kind: "propose", ballot: coordinator.ballot, slot, batch, inform: informPart(state) });
    }
  }
}

/** When the next of these is due. */
export function resendDue(state: ReplicaState): Micros {
  let due = NOT_DUE;
  if (state.candidate !== null || state.coordinator !== null) {
    for (const voter of currentConfiguration(state).voters) {
      const peer = voter === state.durable.replica ? undefined : peerOf(state, voter);
      if (peer !== undefined) {
        due = Math.min(due, peer.resendAt, peer.failingAt);
      }
    }
  }
  return due;
}
