/**
 * Changes of the configuration as pure functions: from the current one and what is wanted to the next one, or to the reason why
 * not (PROTOCOL §4.1, §4.2, §4.7). Every step changes at most one voter. Whether enough voters live to take the step is not
 * judged here: that is the coordinator's part.
 */
import { assert } from "../base/assert.js";
import { type Configuration, isVoter, MEMBERS_MAX, type RosterEntry, rosterEntry } from "./configuration.js";
import { type Address, type DiskId, type ReplicaId, replicaId } from "./ids.js";

export type MembershipChange =
  /** An empty disk becomes an observer under the next ReplicaId; electable: it may be made a voter without an operator. */
  | { readonly kind: "join"; readonly address: Address; readonly diskId: DiskId; readonly electable: boolean }
  /** An observer becomes a voter, and electable. */
  | { readonly kind: "promote"; readonly replica: ReplicaId }
  /** A member leaves for good: its vote, if it has one, and its place in the roster. */
  | { readonly kind: "remove"; readonly replica: ReplicaId }
  /** A voter becomes an observer, and stays electable: what the autopilot does with one that is unheard or unfit. */
  | { readonly kind: "suspend"; readonly replica: ReplicaId }
  | { readonly kind: "moveTieBreak"; readonly replica: ReplicaId };

/** `done`: the configuration is already as wanted. */
export type ChangeResult =
  | { readonly kind: "next"; readonly configuration: Configuration }
  | { readonly kind: "done" }
  | { readonly kind: "refused"; readonly text: string };

const DONE: ChangeResult = { kind: "done" };

/** The configuration after `change`, proposed by the voter `by`, who breaks ties from then on where it still votes. */
export function applyChange(current: Configuration, change: MembershipChange, by: ReplicaId): ChangeResult {
  switch (change.kind) {
    case "join":
      return join(current, change, by);
    case "promote":
      return promote(current, change.replica, by);
    case "remove":
      return remove(current, change.replica, by);
    case "suspend":
      return isVoter(current, change.replica) ? withoutVote(current, change.replica, by) : DONE;
    case "moveTieBreak":
      return moveTieBreak(current, change.replica);
  }
}

function join(
  current: Configuration,
  { address, diskId, electable }: Extract<MembershipChange, { kind: "join" }>,
  by: ReplicaId,
): ChangeResult {
  if (current.roster.some((entry) => entry.diskId === diskId)) {
    return DONE;
  }
  // Whoever was an observer at that address has another disk now, and can never speak again; a voter keeps its place until its vote is taken.
  const kept = current.roster.filter((entry) => entry.address !== address || isVoter(current, entry.replica));
  if (kept.length >= MEMBERS_MAX) {
    return {
      kind: "refused",
      text: `The cluster has ${kept.length} members, the most there may be: remove one with \`synod member remove\` first.`,
    };
  }
  const wasElectable = current.roster.some((entry) => entry.address === address && entry.electable);
  const entry: RosterEntry = { replica: current.nextReplicaId, address, diskId, electable: electable || wasElectable };
  return next(current, { voters: current.voters, roster: [...kept, entry], nextReplicaId: replicaId(current.nextReplicaId + 1) }, by);
}

function promote(current: Configuration, replica: ReplicaId, by: ReplicaId): ChangeResult {
  const entry = rosterEntry(current, replica);
  if (entry === undefined) {
    return refuseUnknown(current, replica);
  }
  if (isVoter(current, replica)) {
    return DONE;
  }
  if (current.roster.some((other) => other.address === entry.address && other.replica > replica)) {
    return { kind: "refused", text: `Replica ${replica} at ${entry.address} lost its disk: a newer replica has its place.` };
  }
  const roster = current.roster
    .filter((other) => other.address !== entry.address || other.replica === replica || isVoter(current, other.replica))
    .map((other) => (other.replica === replica ? { ...other, electable: true } : other));
  const voters = [...current.voters, replica].sort((a, b) => a - b);
  return next(current, { voters, roster }, by);
}

function remove(current: Configuration, replica: ReplicaId, by: ReplicaId): ChangeResult {
  if (rosterEntry(current, replica) === undefined) {
    return replica < current.nextReplicaId && replica > 0 ? DONE : refuseUnknown(current, replica);
  }
  const voters = current.voters.filter((voter) => voter !== replica);
  if (voters.length === 0) {
    return { kind: "refused", text: `Replica ${replica} is the last voter: without it there is no cluster. Promote another first.` };
  }
  return next(current, { voters, roster: current.roster.filter((entry) => entry.replica !== replica) }, by);
}

function withoutVote(current: Configuration, replica: ReplicaId, by: ReplicaId): ChangeResult {
  const voters = current.voters.filter((voter) => voter !== replica);
  if (voters.length === 0) {
    return { kind: "refused", text: `Replica ${replica} is the last voter.` };
  }
  const address = rosterEntry(current, replica)?.address;
  const isReplaced = current.roster.some((entry) => entry.address === address && entry.replica > replica);
  const roster = isReplaced ? current.roster.filter((entry) => entry.replica !== replica) : current.roster;
  return next(current, { voters, roster }, by);
}

function moveTieBreak(current: Configuration, replica: ReplicaId): ChangeResult {
  if (!isVoter(current, replica)) {
    return { kind: "refused", text: `Replica ${replica} is not a voter: only a voter can break ties.` };
  }
  return current.tieBreak === replica ? DONE : next(current, { voters: current.voters, roster: current.roster }, replica);
}

function refuseUnknown(current: Configuration, replica: ReplicaId): ChangeResult {
  const members = current.roster.map((entry) => `${entry.replica} (${entry.address})`).join(", ");
  return { kind: "refused", text: `No member has the ReplicaId ${replica}: the members are ${members}.` };
}

type Parts = Pick<Configuration, "voters" | "roster"> & Partial<Pick<Configuration, "nextReplicaId">>;

function next(current: Configuration, parts: Parts, by: ReplicaId): ChangeResult {
  const fallback = parts.voters.includes(current.tieBreak) ? current.tieBreak : parts.voters[0];
  const tieBreak = parts.voters.includes(by) ? by : fallback;
  assert(tieBreak !== undefined, "a configuration has a voter");
  const configuration: Configuration = {
    epoch: current.epoch + 1,
    prevEpoch: current.epoch,
    voters: parts.voters,
    tieBreak,
    roster: parts.roster,
    nextReplicaId: parts.nextReplicaId ?? current.nextReplicaId,
  };
  return { kind: "next", configuration };
}
