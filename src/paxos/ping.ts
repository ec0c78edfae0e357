/**
 * The all-to-all Ping: liveness, the coordinator's renewal of grants, its word on what is decided, read rounds and
 * pre-votes. Holds no quorum of its own: whoever answers a Ping is live, and being live is never a vote.
 */
import { assert, present } from "../base/assert.js";
import { BALLOT_ZERO, compareBallots, equalBallots } from "./ballot.js";
import { compareCheckpoint } from "./checkpoint.js";
import { stepDownIfBelow } from "./coordinator.js";
import { onPreVotePong } from "./election.js";
import { currentGrant, renewGrant } from "./grant.js";
import { onInform } from "./learner.js";
import { allPeers, hasIdentity, isCounted, isDiskOk, isHeard } from "./membership.js";
import type { InformPart, Ping, Pong } from "./message.js";
import { type Outbox, send } from "./outbox.js";
import { onReadPong } from "./read-index.js";
import { acknowledgeEntry, settlingSlot } from "./settling.js";
import { micros, NOT_DUE, type Peer, type ReplicaState } from "./state.js";

/** Weight of a new round trip in the smoothed one. */
const ROUND_TRIP_GAIN = 0.125;

/** What the coordinator says of its decided prefix. */
export function informPart(state: ReplicaState): InformPart {
  const coordinator = present(state.coordinator, "only a coordinator informs");
  return { ballot: coordinator.ballot, decided: state.decided, chain: state.chain };
}

/** Sends one Ping to everybody, now; returns its seq, which is never used again. */
export function sendPing(state: ReplicaState, out: Outbox, preVote: boolean): number {
  const seq = ++state.pingSeq;
  state.pingsSent.set(seq, state.now);
  forgetOldPings(state);
  state.nextPingAt = state.now + micros(state.options.pingMs);
  const { coordinator, rhythm } = state;
  if (state.now - rhythm.at >= micros(state.options.pingMs)) {
    state.rhythm = { at: state.now, decided: state.decided, decidedBefore: rhythm.decided };
  }
  if (coordinator !== null) {
    renewGrant(state, coordinator.ballot);
    coordinator.informDue = NOT_DUE;
  }
  const wantGrant = coordinator !== null && coordinator.handover === null && isDiskOk(state);
  send(state, out, allPeers(state), {
    kind: "ping",
    seq,
    coordinator: coordinator === null ? null : { inform: informPart(state), wantGrant, hardMs: 0, settling: settlingSlot(state) },
    preVote,
    decided: state.decided,
    checkpoint: state.checkpoint,
    hears: heardReplicas(state),
  });
  return seq;
}

/** A Pong to a Ping of longer ago than this says nothing that still counts. */
function forgetOldPings(state: ReplicaState): void {
  const { grantMs, pingMs, suspectMs } = state.options;
  const oldest = state.now - micros(grantMs + pingMs + suspectMs);
  for (const [seq, sentAt] of state.pingsSent) {
    if (sentAt >= oldest) {
      break;
    }
    state.pingsSent.delete(seq);
  }
}

function heardReplicas(state: ReplicaState): Pong["hears"] {
  const heard: Pong["hears"][number][] = [];
  for (const peer of state.peers.values()) {
    if (isCounted(state, peer) && isHeard(state, peer)) {
      heard.push(peer.replica);
    }
  }
  return heard;
}

export function onPing(state: ReplicaState, out: Outbox, peer: Peer, ping: Ping): void {
  const counted = isCounted(state, peer);
  if (ping.decided > peer.decided) {
    peer.decided = ping.decided;
  }
  const ballot = ping.coordinator?.inform.ballot ?? BALLOT_ZERO;
  if (counted && ping.coordinator !== null) {
    assert(ballot.replica === peer.replica, "a coordinator pings under its own ballot");
    state.highestRound = Math.max(state.highestRound, ballot.round);
    stepDownIfBelow(state, out, ballot, "another coordinates a higher ballot");
    if (ping.coordinator.wantGrant && compareBallots(ballot, state.durable.promised) >= 0) {
      renewGrant(state, ballot);
    }
    onInform(state, out, ping.coordinator.inform);
    if (ping.coordinator.settling !== null) {
      acknowledgeEntry(state, out, ping.coordinator.settling, peer.address);
    }
  }
  if (counted && ping.checkpoint !== null) {
    compareCheckpoint(state, out, peer, ping.checkpoint);
  }
  if (hasIdentity(state)) {
    send(state, out, [peer.address], {
      kind: "pong",
      seq: ping.seq,
      ballot,
      promised: state.durable.promised,
      okFor: !state.quarantined && compareBallots(state.durable.promised, ballot) <= 0,
      granting: currentGrant(state)?.ballot ?? null,
      hardMs: 0,
      decided: state.decided,
      hears: heardReplicas(state),
      highestRound: state.highestRound,
      diskOk: isDiskOk(state) && !state.quarantined && !state.spaceLow,
    });
  }
}

export function onPong(state: ReplicaState, out: Outbox, peer: Peer, pong: Pong): void {
  const sentAt = state.pingsSent.get(pong.seq);
  if (sentAt === undefined) {
    return;
  }
  peer.roundTrip = smoothed(peer.roundTrip, state.now - sentAt);
  peer.lastPong = state.now;
  if (pong.seq >= peer.pongSeq) {
    peer.pongSeq = pong.seq; // a late one tells how it was
    peer.diskOk = pong.diskOk;
    peer.hears = pong.hears;
    peer.lag = Math.max(0, state.rhythm.decidedBefore - pong.decided);
  }
  if (pong.decided > peer.decided) {
    peer.decided = pong.decided;
  }
  if (!isCounted(state, peer)) {
    return;
  }
  state.highestRound = Math.max(state.highestRound, pong.highestRound, pong.promised.round);
  const { coordinator } = state;
  if (coordinator !== null && pong.okFor && equalBallots(pong.ballot, coordinator.ballot)) {
    // A Pong speaks from the moment its Ping was sent, never from receipt (PROTOCOL §1.9).
    peer.okSentAt = Math.max(peer.okSentAt, sentAt);
    onReadPong(state, out, peer, pong);
  }
  onPreVotePong(state, out, peer, pong);
  stepDownIfBelow(state, out, pong.promised, "a voter promised a higher ballot", peer);
}

/** The smoothed time after one more sample. */
export function smoothed(before: number, sample: number): number {
  return before === 0 ? sample : Math.round(before + ROUND_TRIP_GAIN * (sample - before));
}
