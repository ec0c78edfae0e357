/**
 * Grants: what an acceptor owes a working coordinator for a while, so that nobody deposes it (PROTOCOL §2.2). Here they are
 * soft: safety never rests on them. Created and renewed by a Propose or Ping of an active coordinator, by nothing else (invariant 38).
 */
import { assert } from "../base/assert.js";
import { nextInt } from "../base/prng.js";
import { type Ballot, compareBallots } from "./ballot.js";
import type { Address, ReplicaId } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { peerOf, sameCluster } from "./membership.js";
import { micros, type Peer, type ReplicaState } from "./state.js";

/** Bounds of the wait beyond the grant before nominating against a silent coordinator, ms. */
const SILENT_WAIT_MS = { from: 50, end: 350 } as const;
/** Span in which the voters left share the first try against a coordinator that is gone, ms. */
const RANKED_SPAN_MS = 50;

/** The grant that is in force now, ours to ourselves included. */
export function currentGrant(state: ReplicaState): NonNullable<ReplicaState["grant"]> | null {
  const { grant } = state;
  return grant !== null && grant.until > state.now ? grant : null;
}

/** The replica this one follows: itself while it coordinates, else whoever holds its grant. */
export function followedCoordinator(
  state: ReplicaState,
): { readonly replica: ReplicaId; readonly address: Address; readonly ballot: Ballot } | null {
  if (state.coordinator !== null) {
    return { replica: state.durable.replica, address: state.options.address, ballot: state.coordinator.ballot };
  }
  const grant = currentGrant(state);
  if (grant === null || grant.owner === state.durable.replica) {
    return null;
  }
  const peer = peerOf(state, grant.owner);
  return peer === undefined ? null : { replica: grant.owner, address: peer.address, ballot: grant.ballot };
}

/** A Propose or a Ping that asks for it came from the active coordinator of `ballot`, which is not below our promise. */
export function renewGrant(state: ReplicaState, ballot: Ballot): void {
  assert(compareBallots(ballot, state.durable.promised) >= 0, "no grant for a ballot below our promise");
  const held = state.grant;
  if (held !== null && compareBallots(ballot, held.ballot) < 0) {
    return;
  }
  const until = state.now + micros(state.options.grantMs);
  const hardUntil = held !== null && compareBallots(ballot, held.ballot) === 0 ? held.hardUntil : 0;
  state.grant = { owner: ballot.replica, ballot, until, hardUntil };
  if (ballot.replica !== state.durable.replica) {
    const { election } = state;
    election.attempts = 0;
    election.coordinatorGone = false;
    election.preVote = null;
    election.waitUntil = until + micros(nextInt(state.prng, SILENT_WAIT_MS.from, SILENT_WAIT_MS.end));
  }
}

/** The coordinator's process is gone: a soft grant ends at once, and the voters left try in turn (PROTOCOL §2.2). */
export function voidGrantOfGone(state: ReplicaState, peer: Peer): void {
  const { grant, election } = state;
  // A server of another recovery may bear the coordinator's id; a word from an earlier life of the coordinator, come late, says nothing of it.
  if (grant === null || grant.owner !== peer.replica || peer.replica === state.durable.replica || !sameCluster(state, peer)) {
    return;
  }
  grant.until = Math.min(grant.until, Math.max(state.now, grant.hardUntil));
  election.coordinatorGone = true;
  election.waitUntil = Math.max(state.now, grant.hardUntil) + rankedDelay(state, peer.replica);
}

/** Our own ballot is retired: what we owed ourselves is over. */
export function endOwnGrant(state: ReplicaState): void {
  if (state.grant?.owner === state.durable.replica) {
    state.grant = null;
  }
}

/** Shares RANKED_SPAN_MS among the voters in order of their ids, without `gone`: uniform inside one's own share. Microseconds. */
export function rankedDelay(state: ReplicaState, gone: ReplicaId | null): number {
  const left = currentConfiguration(state).voters.filter((voter) => voter !== gone);
  const rank = left.indexOf(state.durable.replica);
  if (rank < 0 || left.length === 0) {
    return micros(RANKED_SPAN_MS);
  }
  const share = Math.floor(micros(RANKED_SPAN_MS) / left.length);
  return rank * share + nextInt(state.prng, 0, share);
}
