/**
 * Election by self-nomination (PROTOCOL §2.2): who may stand, when, the pre-vote that keeps a returning or half-connected
 * server from disturbing a working coordinator, and the waits between attempts. Concerns liveness alone: a wrong decision
 * here costs time, never agreement.
 */
import { nextInt } from "../base/prng.js";
import { type Ballot, equalBallots } from "./ballot.js";
import { isQuorum } from "./configuration.js";
import { currentGrant, endOwnGrant, rankedDelay } from "./grant.js";
import { type Micros, slotAfter } from "./ids.js";
import { isLoading } from "./learner.js";
import { currentConfiguration } from "./log.js";
import { hasIdentity, isDiskOk, otherVoters, votes } from "./membership.js";
import type { Handover, Nack, Pong } from "./message.js";
import { type Outbox, persist } from "./outbox.js";
import { sendPing } from "./ping.js";
import { expectAnswer, forgetResends } from "./resend.js";
import { micros, type Peer, type ReplicaState } from "./state.js";

/** Wait after a failed attempt, ms, doubled with each further one up to RETRY_MS_MAX; from 0 when the coordinator is gone. */
const RETRY_MS = { from: 50, end: 350 } as const;
const RETRY_GONE_MS_END = 50;
const RETRY_MS_MAX = 2000;
const RETRY_DOUBLINGS_MAX = 6;
/** An attempt in which neither promises nor catch-up advance for so long has failed, ms. */
const ATTEMPT_MS = 2000;

/** After `start`: a restarted replica waits two Pings and its rank, unless a coordinator speaks first; a lone voter does not wait. */
export function scheduleFirstNomination(state: ReplicaState): void {
  if (!votes(state)) {
    return;
  }
  const isAlone = otherVoters(state).length === 0;
  state.election.waitUntil = isAlone ? state.now : state.now + micros(2 * state.options.pingMs) + rankedDelay(state, null);
}

/** Whether this replica may stand for election now, its wait apart. */
function mayNominate(state: ReplicaState): boolean {
  if (!hasIdentity(state) || !votes(state) || state.quarantined || !isDiskOk(state) || isLoading(state)) {
    return false;
  }
  const grant = currentGrant(state);
  return (grant === null || grant.owner === state.durable.replica) && isFounded(state);
}

/** Every listed replica holds Genesis, or a ballot was drawn since: before, a wiped founder could decide alone (PROTOCOL §4.8, invariant 39). */
export function isFounded(state: ReplicaState): boolean {
  if (state.highestRound > 0) {
    return true;
  }
  const { roster } = currentConfiguration(state);
  return roster.every((entry) => entry.replica === state.durable.replica || state.founding.holders.has(entry.replica));
}

export function tickElection(state: ReplicaState, out: Outbox): void {
  const { election, candidate } = state;
  if (state.coordinator !== null) {
    return;
  }
  if (candidate !== null) {
    if (state.now - candidate.lastProgress > micros(ATTEMPT_MS) && !isLoading(state)) {
      failAttempt(state);
    }
    return;
  }
  if (election.preVote !== null) {
    if (state.now >= election.preVote.deadline) {
      election.preVote = null;
      scheduleRetry(state);
    }
    return;
  }
  if (state.now >= nominationDue(state) && mayNominate(state)) {
    startPreVote(state, out);
  }
}

/** When this replica may stand: one that lags by more than the window, or is short of space, waits half a grant longer, but is never vetoed. */
export function nominationDue(state: ReplicaState): Micros {
  return state.election.waitUntil + (state.spaceLow || isLagging(state) ? micros(state.options.grantMs / 2) : 0);
}

function isLagging(state: ReplicaState): boolean {
  for (const peer of state.peers.values()) {
    if (peer.decided > state.decided + state.options.windowSlots) {
      return true;
    }
  }
  return false;
}

function startPreVote(state: ReplicaState, out: Outbox): void {
  const slowest = Math.max(0, ...otherVoters(state).map((peer) => peer.roundTrip));
  const wait = Math.max(micros(2 * state.options.pingMs), 4 * slowest);
  const seq = sendPing(state, out, true);
  state.election.preVote = { seq, deadline: state.now + wait, willing: new Set([state.durable.replica]) };
  concludePreVote(state, out);
}

/** A voter's answer to the pre-vote Ping: willing if it owes no other coordinator. */
export function onPreVotePong(state: ReplicaState, out: Outbox, peer: Peer, pong: Pong): void {
  const { preVote } = state.election;
  if (preVote === null || pong.seq !== preVote.seq) {
    return;
  }
  if (pong.granting === null || pong.granting.replica === state.durable.replica) {
    preVote.willing.add(peer.replica);
    concludePreVote(state, out);
  }
}

function concludePreVote(state: ReplicaState, out: Outbox): void {
  const { preVote } = state.election;
  if (preVote === null || !isQuorum(currentConfiguration(state), (replica) => preVote.willing.has(replica))) {
    return;
  }
  state.election.preVote = null;
  if (mayNominate(state)) {
    startCandidacy(state, out, null);
  }
}

/** Draws a ballot above every round seen and prepares it: the Prepare leaves only when our own promise is synced (PROTOCOL §1.4, step 1). */
export function startCandidacy(state: ReplicaState, out: Outbox, handoverOf: Ballot | null): void {
  const ballot: Ballot = { round: Math.max(state.highestRound, state.durable.promised.round) + 1, replica: state.durable.replica };
  state.highestRound = ballot.round;
  endOwnGrant(state);
  forgetResends(state);
  const voters = otherVoters(state);
  const prepare = { kind: "prepare", ballot, from: slotAfter(state.decided), handoverOf } as const;
  const lsn = persist(state, out, [{ kind: "promise", ballot }], [{ to: voters.map((peer) => peer.address), message: prepare }]);
  state.candidate = { ballot, handoverOf, lsn, promises: new Map(), refusedBy: new Set(), lastProgress: state.now };
  for (const peer of voters) {
    expectAnswer(state, peer);
  }
}

/** A voter refused our Prepare because it owes another coordinator, or its disk is unfit: enough of them and no quorum is left. */
export function onPrepareRefused(state: ReplicaState, peer: Peer, nack: Nack): void {
  const { candidate } = state;
  if (candidate === null || !equalBallots(nack.ballot, candidate.ballot)) {
    return;
  }
  candidate.refusedBy.add(peer.replica);
  if (!isQuorum(currentConfiguration(state), (replica) => !candidate.refusedBy.has(replica))) {
    failAttempt(state);
  }
}

/** The attempt is over; what was learned on the way stays. */
export function failAttempt(state: ReplicaState): void {
  state.candidate = null;
  forgetResends(state);
  scheduleRetry(state);
}

/** Another's Prepare was promised: it gets time to become active. */
export function delayAfterPromise(state: ReplicaState): void {
  state.election.preVote = null;
  state.election.waitUntil = Math.max(state.election.waitUntil, state.now + retryDelay(state) + 2 * state.syncTime);
  if (state.candidate !== null) {
    failAttempt(state);
  }
}

/**
 * This replica stopped coordinating. A stray higher promise, or a quorum that was lost for a moment, costs round trips, not an
 * election's wait; but whoever was stuck lets the grants to it run out first, so that another may try (PROTOCOL §1.6).
 */
export function nominateAfterStepDown(state: ReplicaState, letOthersTry: boolean): void {
  const wait = letOthersTry ? state.options.grantMs + RETRY_MS.end : nextInt(state.prng, 0, RETRY_GONE_MS_END);
  state.election.waitUntil = state.now + micros(wait);
}

function scheduleRetry(state: ReplicaState): void {
  state.election.attempts++;
  state.election.waitUntil = state.now + retryDelay(state) + state.syncTime;
}

function retryDelay(state: ReplicaState): Micros {
  const { attempts, coordinatorGone } = state.election;
  const factor = 2 ** Math.min(Math.max(attempts - 1, 0), RETRY_DOUBLINGS_MAX);
  const drawn = coordinatorGone ? nextInt(state.prng, 0, RETRY_GONE_MS_END) : nextInt(state.prng, RETRY_MS.from, RETRY_MS.end);
  return micros(Math.min(drawn * factor, RETRY_MS_MAX));
}

/** The coordinator of `handover.ballot` retired it in our favour: no wait and no pre-vote. */
export function onHandover(state: ReplicaState, out: Outbox, handover: Handover): void {
  if (state.grant !== null && equalBallots(state.grant.ballot, handover.ballot)) {
    state.grant = null;
  }
  if (state.coordinator === null && state.candidate === null && mayNominate(state)) {
    state.election.preVote = null;
    startCandidacy(state, out, handover.ballot);
  }
}

/** An operator asks this replica to stand; a grant still stands against it. */
export function onNominate(state: ReplicaState, out: Outbox): void {
  state.election.waitUntil = state.now;
  tickElection(state, out);
}
