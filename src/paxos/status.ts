/** A replica's view of itself and of the cluster as a plain value: for people, `status`, and the sentences of errors. Changes nothing. */
import type { Ballot } from "./ballot.js";
import { highestKnownDecided } from "./catch-up.js";
import { isQuorum } from "./configuration.js";
import { isFounded } from "./election.js";
import { awaitedForFounding, differenceText, listDifference, peerWarnings, refusalText } from "./founding.js";
import { followedCoordinator } from "./grant.js";
import { type Address, type ClusterId, type ReplicaId, type Slot, VIRGIN } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { hasIdentity, isCounted, isLive, peerOf, votes } from "./membership.js";
import { micros, type Peer, type ReplicaState } from "./state.js";

export type ReplicaStatus = {
  readonly role: "founding" | "replica" | "candidate" | "coordinator" | "observer";
  readonly replica: ReplicaId;
  readonly clusterId: ClusterId;
  readonly boot: number;
  readonly promised: Ballot;
  readonly coordinator: Address | null;
  readonly decided: Slot;
  readonly trimmed: Slot;
  readonly snapshotSlot: number;
  /** The highest slot that anyone said is decided. */
  readonly highestKnownDecided: Slot;
  /** Who answered a Ping lately, this server included. */
  readonly live: readonly Address[];
  readonly voters: ReadonlyArray<{ readonly replica: ReplicaId; readonly address: Address; readonly live: boolean }>;
  readonly members: ReadonlyArray<{ readonly replica: ReplicaId; readonly address: Address; readonly clientAddress: string }>;
  /** Servers that founding waits for. */
  readonly awaited: readonly Address[];
  /** Why nothing can be decided now, in a sentence that names what is needed; null when nothing stands in the way. */
  readonly blocked: string | null;
  /** What is wrong with other servers now, in sentences: as long as it holds, and no longer. */
  readonly warnings: readonly string[];
};

export function statusOf(state: ReplicaState): ReplicaStatus {
  const { durable } = state;
  const live = [state.options.address, ...[...state.peers.values()].filter((peer) => isLive(state, peer)).map((peer) => peer.address)];
  return {
    role: roleOf(state),
    replica: durable.replica,
    clusterId: durable.clusterId,
    boot: durable.boot,
    promised: durable.promised,
    coordinator: followedCoordinator(state)?.address ?? null,
    decided: state.decided,
    trimmed: durable.trimmed,
    snapshotSlot: durable.snapshot?.index ?? 0,
    highestKnownDecided: highestKnownDecided(state),
    live,
    voters: votersOf(state),
    members: membersOf(state),
    awaited: hasIdentity(state) ? unacknowledged(state) : awaitedForFounding(state),
    blocked: blockedSentence(state),
    warnings: hasIdentity(state) ? peersNow(state).flatMap((peer) => peerWarnings(state, peer)) : [],
  };
}

/** For how long the last word of a peer describes it, ms: it says Hello once a second. */
const PEER_PRESENT_MS = 3000;

function peersNow(state: ReplicaState): Peer[] {
  return [...state.peers.values()].filter((peer) => !peer.gone && state.now - peer.lastHeard <= micros(PEER_PRESENT_MS));
}

function roleOf(state: ReplicaState): ReplicaStatus["role"] {
  if (!hasIdentity(state)) {
    return "founding";
  }
  if (state.coordinator !== null) {
    return "coordinator";
  }
  if (state.candidate !== null) {
    return "candidate";
  }
  return votes(state) ? "replica" : "observer";
}

function votersOf(state: ReplicaState): ReplicaStatus["voters"] {
  if (!hasIdentity(state)) {
    return [];
  }
  const { voters, roster } = currentConfiguration(state);
  return roster
    .filter((entry) => voters.includes(entry.replica))
    .map(({ replica, address }) => ({ replica, address, live: isVoterLive(state, replica) }));
}

function isVoterLive(state: ReplicaState, replica: ReplicaId): boolean {
  const peer = peerOf(state, replica);
  return replica === state.durable.replica || (peer !== undefined && isCounted(state, peer) && isLive(state, peer));
}

function membersOf(state: ReplicaState): ReplicaStatus["members"] {
  const own = { replica: state.durable.replica, address: state.options.address, clientAddress: state.options.clientAddress };
  const others = [...state.peers.values()].map((peer) => ({
    replica: peer.replica,
    address: peer.address,
    clientAddress: peer.hello?.clientAddress ?? "",
  }));
  return [own, ...others];
}

/** Listed replicas that are not known to hold Genesis, while that still matters. */
function unacknowledged(state: ReplicaState): Address[] {
  if (isFounded(state)) {
    return [];
  }
  const { roster } = currentConfiguration(state);
  return roster
    .filter(({ replica }) => replica !== state.durable.replica && !state.founding.holders.has(replica))
    .map(({ address }) => address);
}

/** A server speaks from that address, but its disk is not the one the roster knows. */
function hasLostDisk(state: ReplicaState, address: Address): boolean {
  const peer = state.peers.get(address);
  return peer !== undefined && peer.hello !== null && !peer.gone && peer.replica === VIRGIN;
}

function foundingSentence(total: number, awaited: readonly Address[]): string {
  const said = total - awaited.length;
  return awaited.length > 0
    ? `The cluster is being founded: ${said} of ${total} servers have said hello; waiting for ${awaited.join(", ")}.`
    : "The cluster is being founded.";
}

/** Why servers that did say hello are waited for all the same: their lists differ from ours. */
function differencesOfLists(state: ReplicaState): string[] {
  const sentences: string[] = [];
  for (const peer of state.peers.values()) {
    const difference = peer.hello === null || hasIdentity(state) ? null : listDifference(state, peer.hello);
    if (difference !== null) {
      sentences.push(differenceText(peer, difference));
    }
  }
  return sentences;
}

/** Why nothing can be decided now, and what is needed; null when nothing stands in the way. */
export function blockedSentence(state: ReplicaState): string | null {
  const refused = refusalText(state);
  if (refused !== null) {
    return refused;
  }
  if (state.quarantined) {
    return "This server's state differs from the majority's: set its data directory aside; the others go on without it.";
  }
  const total = state.options.list.length;
  const awaited = hasIdentity(state) ? unacknowledged(state) : awaitedForFounding(state);
  if (!hasIdentity(state) || awaited.length > 0) {
    return [foundingSentence(total, awaited), ...differencesOfLists(state)].join(" ");
  }
  const configuration = currentConfiguration(state);
  if (isQuorum(configuration, (replica) => isVoterLive(state, replica))) {
    return null;
  }
  const voters = votersOf(state);
  const silent = voters.filter((voter) => !voter.live).map((voter) => voter.address);
  const emptied = silent.filter((address) => hasLostDisk(state, address));
  const missing = silent.filter((address) => !emptied.includes(address));
  const answering = voters.length - silent.length;
  const needed = Math.floor(voters.length / 2) + 1;
  const lost = emptied.length === 0 ? "" : ` ${emptied.join(", ")} came with an empty disk and cannot vote: put the data back.`;
  if (missing.length === 0) {
    return `Only ${answering} of ${voters.length} voters answer and ${needed} are needed.${lost}`;
  }
  return `Only ${answering} of ${voters.length} voters answer and ${needed} are needed: start ${missing.length > 1 ? "one or more of " : ""}${missing.join(", ")}.${lost}`;
}
