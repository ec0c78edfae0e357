/**
 * Who is who: resolving senders against the roster, and the sets that messages go to. A sender that the roster does not
 * know under this id and disk is never counted, whatever it says (PROTOCOL §1.3, invariant 19). Founding is beside this, in founding.ts.
 */
import { assert } from "../base/assert.js";
import { isQuorum, isVoter, MEMBERS_MAX, rosterEntry } from "./configuration.js";
import { type Address, type ReplicaId, VIRGIN } from "./ids.js";
import { kinshipOf, type Origin } from "./kinship.js";
import { currentConfiguration } from "./log.js";
import type { Header, Message } from "./message.js";
import { isNamed, type Outbox } from "./outbox.js";
import { micros, newPeer, type Peer, type ReplicaState } from "./state.js";

/** True once this disk has an identity in a cluster. */
export function hasIdentity(state: ReplicaState): boolean {
  return state.durable.replica !== VIRGIN;
}

/**
 * The peer this roster lists under `replica`, if it is another server. Two members may have one address: a voter that lost its disk,
 * and the replica that the new disk became. Whoever speaks from there speaks for itself alone.
 */
export function peerOf(state: ReplicaState, replica: ReplicaId): Peer | undefined {
  if (!hasIdentity(state)) {
    return undefined;
  }
  const entry = rosterEntry(currentConfiguration(state), replica);
  const peer = entry === undefined ? undefined : state.peers.get(entry.address);
  return peer === undefined || peer.replica === replica || peer.replica === VIRGIN ? peer : undefined;
}

/** Whether what this peer knows to be decided is decided for us: it is of our cluster and lineage, a member or not (PROTOCOL §1.3). */
export function isKin(state: ReplicaState, peer: Peer): boolean {
  return hasIdentity(state) && peer.hello !== null && !peer.foreign && peer.replica !== VIRGIN;
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
/**
 * What a server that was removed may still ask of the coordinator, and be told: to carry its clients' last requests. That is no vote;
 * the writes are under sessions, and a slot to read at is good for whoever has the log up to it.
 */
const FAREWELL: ReadonlySet<string> = new Set<Message["kind"]>(["forward", "forwardReply", "readIndex", "readIndexReply"]);

export function sameCluster(state: ReplicaState, origin: Origin): boolean {
  return kinshipOf(state.durable, origin) === "same";
}

/** Whether a message may be handled at all (PROTOCOL §1.3; invariant 28). */
export function isAdmitted(state: ReplicaState, header: Header, peer: Peer, kind: Message["kind"]): boolean {
  if (OUTSIDE_CLUSTER.has(kind)) {
    return true;
  }
  // Whoever acted on it before its own identity is synced might speak under an id that it forgets.
  if (!hasIdentity(state) || !isNamed(state) || !sameCluster(state, header) || peer.hello === null || header.from !== peer.replica) {
    return false;
  }
  if (UNCOUNTED.has(kind) || isCounted(state, peer)) {
    return true;
  }
  if (FAREWELL.has(kind)) {
    return isKin(state, peer);
  }
  // A coordinator that was removed hands over although the roster lacks it by then: it is still the owner of what we owe it.
  return kind === "handover" && isKin(state, peer) && state.grant?.owner === peer.replica;
}

/** For the server layer: whether a Forward or ForwardReply from there is to be handled. */
export function isKnownPeer(state: ReplicaState, header: Header, from: Address): boolean {
  const peer = state.peers.get(from);
  return peer !== undefined && isAdmitted(state, header, peer, "forward");
}

/** The roster may name servers that the configured list does not: they are peers as well. */
export function admitRosterPeers(state: ReplicaState, out: Outbox): void {
  for (const entry of state.configurations.at(-1)?.configuration.roster ?? []) {
    if (entry.address !== state.options.address && !state.peers.has(entry.address)) {
      addPeer(state, out, entry.address);
    }
  }
}

/** The most servers that this one knows: all that a roster may name, and as many that ask to join or were removed. */
export const PEERS_MAX = 2 * MEMBERS_MAX;
/** A server that is no member and was silent for so long is forgotten, ms. */
const STRANGER_MS = 60_000;

function addPeer(state: ReplicaState, out: Outbox, address: Address): Peer {
  const peer = newPeer(address, state.now);
  state.peers.set(address, peer);
  out.push({ kind: "dial", address });
  return peer;
}

/**
 * A Hello from a server this one has not known: of our cluster, which was away while its peers were replaced or was removed, or
 * an empty disk that wants to join, or a server of another lineage, which must hear that. It is answered, on a stream of our own.
 * Undefined for all others, and beyond PEERS_MAX.
 */
export function admitStranger(state: ReplicaState, out: Outbox, address: Address, header: Header): Peer | undefined {
  const isWelcome = hasIdentity(state) && (header.from === VIRGIN || kinshipOf(state.durable, header) !== "otherCluster");
  return isWelcome && state.peers.size < PEERS_MAX && address !== state.options.address ? addPeer(state, out, address) : undefined;
}

/** Servers that are no members, and silent for STRANGER_MS, are dialled no more: should they come back they say Hello. */
export function forgetStrangers(state: ReplicaState, out: Outbox): void {
  if (!hasIdentity(state)) {
    return;
  }
  const { roster } = currentConfiguration(state);
  for (const { address, lastHeard, heardOf } of state.peers.values()) {
    const silentSince = Math.max(lastHeard, heardOf);
    if (state.now - silentSince > micros(STRANGER_MS) && !roster.some((entry) => entry.address === address)) {
      state.peers.delete(address);
      out.push({ kind: "forget", address });
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

/** Above every boot count. */
const BOOTS_END = 2 ** 32;

/**
 * A number that no other life has, neither of this disk nor of another one of this machine, which counts its boots anew: answers that
 * are late by a restart, or by a disk, must settle nothing else.
 */
export function lifeOf({ durable }: ReplicaState): number {
  assert(durable.boot < BOOTS_END, "a server starts less often than that");
  return durable.replica * BOOTS_END + durable.boot;
}

/** Whether this replica votes on the next slot. */
export function votes(state: ReplicaState): boolean {
  return hasIdentity(state) && isVoter(currentConfiguration(state), state.durable.replica);
}

/** Unheard, or without an answer to what it was asked to accept, for longer than suspectMs, or with a disk that does not answer (PROTOCOL §0). */
export function isLame(state: ReplicaState, voter: ReplicaId): boolean {
  if (voter === state.durable.replica) {
    return !isDiskOk(state);
  }
  const peer = peerOf(state, voter);
  return peer === undefined || !isCounted(state, peer) || !isHeard(state, peer) || !peer.diskOk || isMute(state, peer);
}

/** It was asked to accept something for longer than suspectMs, and gave no answer. */
export function isMute(state: ReplicaState, peer: Peer): boolean {
  return peer.owesSince !== null && state.now - peer.owesSince > micros(state.options.suspectMs);
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
