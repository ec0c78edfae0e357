/** A replica's view of itself and of the cluster as a plain value: for people, `status`, and the sentences of errors. Changes nothing. */
import type { Ballot } from "./ballot.js";
import { highestKnownDecided } from "./catch-up.js";
import { isQuorum, type RosterEntry, rosterEntry } from "./configuration.js";
import { isFounded } from "./election.js";
import { awaitedForFounding, differenceText, listDifference, peerWarnings, turnedAwayText } from "./founding.js";
import { followedCoordinator } from "./grant.js";
import type { Address, ClusterId, ReplicaId, Slot } from "./ids.js";
import { joiningText } from "./joining.js";
import { kinshipOf } from "./kinship.js";
import { currentConfiguration } from "./log.js";
import { hasIdentity, isCounted, isLive, peerOf, votes } from "./membership.js";
import { isRemoved, removalText } from "./reconfiguration.js";
import { newestEntrySlot, settlingSlot, unsettledVoters } from "./settling.js";
import { micros, type Peer, type ReplicaState } from "./state.js";

/** A server this one knows: a member as the roster lists it, or one that is none (`kind` other). */
export type Member = {
  readonly replica: ReplicaId;
  readonly address: Address;
  /** As that server announced it; empty until it was heard from. */
  readonly clientAddress: string;
  readonly kind: "voter" | "observer" | "other";
  /** Whether the autopilot may make it a voter. */
  readonly electable: boolean;
  readonly live: boolean;
  /** Slots that it lacked at its last word; null where none came, and for this server. */
  readonly lag: number | null;
};

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
  readonly members: readonly Member[];
  /** The newest configuration known here; null while the cluster is being founded, or joined. */
  readonly configuration: {
    readonly epoch: number;
    /** The slot of its entry; 0 for that of the founding, and where the log begins with it. */
    readonly slot: Slot;
    readonly tieBreak: ReplicaId;
    /** Whether it is settled, which the coordinator alone knows; null elsewhere. */
    readonly settled: boolean | null;
    /** The voters that settling waits for, as the coordinator knows. */
    readonly unsettled: readonly ReplicaId[];
  } | null;
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
    configuration: configurationOf(state),
    awaited: hasIdentity(state) ? unacknowledged(state) : awaitedForFounding(state),
    blocked: blockedSentence(state),
    warnings: hasIdentity(state) ? [...[lastVoterSentence(state)].filter((text) => text !== null), ...warningsOfPeers(state)] : [],
  };
}

/** For how long the last word of a peer describes it, ms: it says Hello once a second. */
const PEER_PRESENT_MS = 3000;

function peersNow(state: ReplicaState): Peer[] {
  return [...state.peers.values()].filter((peer) => !peer.gone && state.now - peer.lastHeard <= micros(PEER_PRESENT_MS));
}

/** Each once: several peers may say the same of this server. */
function warningsOfPeers(state: ReplicaState): Iterable<string> {
  return new Set(peersNow(state).flatMap((peer) => peerWarnings(state, peer)));
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

function membersOf(state: ReplicaState): readonly Member[] {
  const configuration = hasIdentity(state) ? currentConfiguration(state) : null;
  const roster = configuration?.roster ?? [];
  const members = roster.map((entry) => memberOf(state, entry, configuration?.voters.includes(entry.replica) === true));
  const isListed = (address: Address): boolean => roster.some((entry) => entry.address === address);
  const others = [...state.peers.values()].filter((peer) => !isListed(peer.address)).map((peer) => strangerOf(state, peer));
  const own = isListed(state.options.address) ? [] : [ownStranger(state)];
  return [...own, ...members, ...others];
}

function memberOf(state: ReplicaState, { replica, address, electable }: RosterEntry, isVoting: boolean): Member {
  const isSelf = replica === state.durable.replica;
  const peer = isSelf ? undefined : peerOf(state, replica);
  const isSpeaker = peer !== undefined && peer.replica === replica;
  return {
    replica,
    address,
    clientAddress: isSelf ? state.options.clientAddress : isSpeaker ? (peer.hello?.clientAddress ?? "") : "",
    kind: isVoting ? "voter" : "observer",
    electable,
    live: isVoterLive(state, replica),
    lag: isSpeaker && Number.isFinite(peer.lag) ? peer.lag : null,
  };
}

function strangerOf(state: ReplicaState, peer: Peer): Member {
  const { replica, address, hello } = peer;
  return {
    replica,
    address,
    clientAddress: hello?.clientAddress ?? "",
    kind: "other",
    electable: false,
    live: isLive(state, peer),
    lag: null,
  };
}

function ownStranger({ durable, options }: ReplicaState): Member {
  const { address, clientAddress } = options;
  return { replica: durable.replica, address, clientAddress, kind: "other", electable: false, live: true, lag: null };
}

function configurationOf(state: ReplicaState): ReplicaStatus["configuration"] {
  if (!hasIdentity(state)) {
    return null;
  }
  const { epoch, tieBreak } = currentConfiguration(state);
  const coordinates = state.coordinator !== null;
  return {
    epoch,
    tieBreak,
    slot: newestEntrySlot(state),
    settled: coordinates ? settlingSlot(state) === null : null,
    unsettled: coordinates ? unsettledVoters(state) : [],
  };
}

/** What everybody should know about the voters as they are now: each write on one disk is a choice, not an accident to overlook. */
export function lastVoterSentence(state: ReplicaState): string | null {
  if (!hasIdentity(state)) {
    return null;
  }
  const { voters, roster, nextReplicaId } = currentConfiguration(state);
  const [last] = voters;
  if (voters.length > 1 || nextReplicaId <= 2) {
    return null;
  }
  const address = roster.find(({ replica }) => replica === last)?.address;
  return `One voter is left, ${address}: every write is on its disk alone. Start other servers, or add some with \`synod server --join\`.`;
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

/** A server speaks from the address of that voter, but its disk is another. */
function hasLostDisk(state: ReplicaState, replica: ReplicaId): boolean {
  const entry = rosterEntry(currentConfiguration(state), replica);
  const peer = entry === undefined ? undefined : state.peers.get(entry.address);
  return peer !== undefined && peer.hello !== null && !peer.gone && peer.hello.diskId !== entry?.diskId;
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
  const joining = joiningText(state);
  if (joining !== null) {
    return joining;
  }
  if (state.quarantined) {
    return "This server's state differs from the majority's: set its data directory aside; the others go on without it.";
  }
  if (!hasIdentity(state) && state.options.join.length > 0) {
    return `This server joins a cluster, and no member of it has answered yet: ${state.options.join.join(", ")}. Check that they run, and that these are their addresses for servers (my_paxos).`;
  }
  const total = state.options.list.length;
  const awaited = hasIdentity(state) ? unacknowledged(state) : awaitedForFounding(state);
  if (!hasIdentity(state) || awaited.length > 0) {
    return [foundingSentence(total, awaited), ...differencesOfLists(state)].join(" ");
  }
  if (isRemoved(state)) {
    return removalText(state);
  }
  return isQuorum(currentConfiguration(state), (replica) => isVoterLive(state, replica))
    ? null
    : (leftBehindSentence(state) ?? missingSentence(state));
}

/** A recovery went on without this server: no server of its own lineage will come to help. */
function leftBehindSentence(state: ReplicaState): string | null {
  const successor = peersNow(state).find((peer) => peer.hello !== null && kinshipOf(state.durable, peer) === "newer");
  return successor === undefined ? null : turnedAwayText(state, successor);
}

/** Which voters must come back: the voters are those of the newest configuration known here, and nobody else can help. */
function missingSentence(state: ReplicaState): string {
  const configuration = currentConfiguration(state);
  const voters = votersOf(state);
  const silent = voters.filter((voter) => !voter.live);
  const emptied = silent.filter(({ replica }) => hasLostDisk(state, replica));
  const missing = silent.filter((voter) => !emptied.includes(voter));
  const answering = voters.length - silent.length;
  const head = `Only ${answering} of ${voters.length} voters ${answering === 1 ? "answers" : "answer"}, which is no quorum`;
  const lost =
    emptied.length === 0
      ? ""
      : ` ${addresses(emptied)} came back with an empty disk, which cannot vote for the one that was lost: put the data back where it still exists.`;
  const isEnough = (added: readonly Voter[]): boolean =>
    isQuorum(configuration, (replica) => isVoterLive(state, replica) || added.some((voter) => voter.replica === replica));
  if (!isEnough(missing)) {
    return `${head}.${lost} If the data is lost for good, stop all servers and use \`synod recover\`.`;
  }
  const alone = missing.filter((voter) => isEnough([voter]));
  return `${head}: ${whomToStart(missing, alone)}.${lost} Data that is lost for good: \`synod recover\`.`;
}

function whomToStart(missing: readonly Voter[], alone: readonly Voter[]): string {
  if (missing.length === 1 || alone.length === 1) {
    return `start ${addresses(alone.length === 1 ? alone : missing)}`;
  }
  return alone.length === missing.length ? `start one of ${addresses(missing)}` : `start more of ${addresses(missing)}`;
}

type Voter = ReplicaStatus["voters"][number];

function addresses(voters: readonly Voter[]): string {
  return voters.map(({ address }) => address).join(", ");
}
