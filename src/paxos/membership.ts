/**
 * Who is who: resolving senders against the roster, and the sets that messages go to. A sender that the roster does not
 * know under this id and disk is never counted, whatever it says (PROTOCOL §1.3, invariant 19). Founding is beside this, in founding.ts.
 */
import { isQuorum, isVoter, rosterEntry } from "./configuration.js";
import { type Address, equalLineages, type ReplicaId, VIRGIN } from "./ids.js";
import { currentConfiguration } from "./log.js";
import type { Header, Message } from "./message.js";
import { micros, newPeer, type Peer, type ReplicaState } from "./state.js";

/** True once this disk has an identity in a cluster. */
export function hasIdentity(state: ReplicaState): boolean {
  return state.durable.replica !== VIRGIN;
}

/** The peer this roster lists under `replica`, if it is another server. */
export function peerOf(state: ReplicaState, replica: ReplicaId): Peer | undefined {
  if (!hasIdentity(state)) {
    return undefined;
  }
  const entry = rosterEntry(currentConfiguration(state), replica);
  return entry === undefined ? undefined : state.peers.get(entry.address);
}

/** Whether what this peer says counts: the roster lists its id with this address and disk, and nothing speaks against it. */
export function isCounted(state: ReplicaState, peer: Peer): boolean {
  if (!hasIdentity(state) || peer.hello === null || peer.foreign || peer.replica === VIRGIN) {
    return false;
  }
  const entry = rosterEntry(currentConfiguration(state), peer.replica);
  return entry !== undefined && entry.address === peer.address && entry.diskId === peer.hello.diskId;
}

/** Messages that any sender may send, whatever its cluster: they found, join and introduce. */
const OUTSIDE_CLUSTER: ReadonlySet<Message["kind"]> = new Set(["hello", "genesis", "genesisAck", "join", "joinReply"]);
/** Messages that a sender of our cluster may send although the roster does not list it: so a server that was away finds its way back. */
const UNCOUNTED: ReadonlySet<Message["kind"]> = new Set([
  "ping",
  "pong",
  "catchUp",
  "catchUpReply",
  "snapshotOffer",
  "snapshotRequest",
  "snapshotChunk",
  "snapshotAck",
]);

export function sameCluster(state: ReplicaState, header: Header): boolean {
  return header.clusterId === state.durable.clusterId && equalLineages(header.lineage, state.durable.lineage);
}

/** Whether a message may be handled at all (PROTOCOL §1.3; invariant 28). */
export function isAdmitted(state: ReplicaState, header: Header, peer: Peer, kind: Message["kind"]): boolean {
  if (OUTSIDE_CLUSTER.has(kind)) {
    return true;
  }
  if (!hasIdentity(state) || !sameCluster(state, header) || peer.hello === null || header.from !== peer.replica) {
    return false;
  }
  return UNCOUNTED.has(kind) || isCounted(state, peer);
}

/** For the server layer: whether a Forward or ForwardReply from there is to be handled. */
export function isKnownPeer(state: ReplicaState, header: Header, from: Address): boolean {
  const peer = state.peers.get(from);
  return peer !== undefined && isAdmitted(state, header, peer, "forward");
}

/** The roster may name servers that the configured list does not: they are peers as well. */
export function admitRosterPeers(state: ReplicaState): void {
  for (const entry of state.configurations.at(-1)?.configuration.roster ?? []) {
    if (entry.address !== state.options.address && !state.peers.has(entry.address)) {
      state.peers.set(entry.address, newPeer(entry.address));
    }
  }
}

/** All other servers. */
export function allPeers(state: ReplicaState): Address[] {
  return [...state.peers.keys()];
}

/** The other voters of the newest configuration that may be counted. */
export function otherVoters(state: ReplicaState): Peer[] {
  const peers: Peer[] = [];
  for (const voter of currentConfiguration(state).voters) {
    const peer = voter === state.durable.replica ? undefined : peerOf(state, voter);
    if (peer !== undefined) {
      peers.push(peer);
    }
  }
  return peers;
}

/** Whether this replica votes on the next slot. */
export function votes(state: ReplicaState): boolean {
  return hasIdentity(state) && isVoter(currentConfiguration(state), state.durable.replica);
}

/** Whether the other voters for which `isIn` holds make a quorum together with this replica. */
export function quorumWithMe(state: ReplicaState, isIn: (peer: Peer) => boolean): boolean {
  return isQuorum(currentConfiguration(state), (replica) => {
    if (replica === state.durable.replica) {
      return true;
    }
    const peer = peerOf(state, replica);
    return peer !== undefined && isCounted(state, peer) && isIn(peer);
  });
}

/** Heard within suspectMs and not gone. */
export function isHeard(state: ReplicaState, peer: Peer): boolean {
  return !peer.gone && state.now - peer.lastHeard <= micros(state.options.suspectMs);
}

/** In the live set: answered a Ping within suspectMs. Never a quorum's denominator (PROTOCOL §2.1). */
export function isLive(state: ReplicaState, peer: Peer): boolean {
  return !peer.gone && state.now - peer.lastPong <= micros(state.options.suspectMs);
}

/** Our own log: no sync is outstanding for longer than suspectMs. */
export function isDiskOk(state: ReplicaState): boolean {
  return unsyncedFor(state) <= micros(state.options.suspectMs);
}

/** For how long the oldest outstanding sync is under way; 0 without one. */
export function unsyncedFor(state: ReplicaState): number {
  const oldest = state.unsynced[0];
  return oldest === undefined ? 0 : state.now - oldest.at;
}
