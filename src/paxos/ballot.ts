/** Ballots: totally ordered attempts to coordinate. Unique, because a ReplicaId is never reused and a round never drawn twice by one. */
import { assert } from "../base/assert.js";
import { type ReplicaId, replicaId, VIRGIN } from "./ids.js";

/** Compared by round, then by replica. Lamport, Paxos Made Simple, §2.4: different proposers draw from disjoint sets. */
export type Ballot = { readonly round: number; readonly replica: ReplicaId };

/** Below every ballot that can be drawn. */
export const BALLOT_ZERO: Ballot = { round: 0, replica: VIRGIN };

export function ballot(round: number, replica: number): Ballot {
  assert(Number.isSafeInteger(round) && round >= 0, "a round is a non-negative safe integer");
  return { round, replica: replicaId(replica) };
}

/** Negative, zero or positive as `a` is below, equal to or above `b`. */
export function compareBallots(a: Ballot, b: Ballot): number {
  return a.round === b.round ? a.replica - b.replica : a.round - b.round;
}

export function equalBallots(a: Ballot, b: Ballot): boolean {
  return a.round === b.round && a.replica === b.replica;
}

/** "round.replica", as transcripts, logs and `status` show it. */
export function formatBallot({ round, replica }: Ballot): string {
  return `${round}.${replica}`;
}
