/**
 * Founding, and who says hello (PROTOCOL §4.8). A virgin becomes a replica only by a Genesis that lists its own disk, once in
 * its life; only the lowest listed address founds, and only when every listed server has said hello as a virgin with the same
 * list. An empty disk at a known address is a stranger: it never votes under the identity that was lost.
 */
import { assert } from "../base/assert.js";
import { nextU32 } from "../base/prng.js";
import { genesisConfiguration, rosterEntry } from "./configuration.js";
import { scheduleFirstNomination } from "./election.js";
import { voidGrantOfGone } from "./grant.js";
import { type Address, clusterId, type DiskId, type ReplicaId, SLOT_ZERO, VIRGIN } from "./ids.js";
import { answerVirgin, assertListed, FOUNDING_EPOCH } from "./joining.js";
import { kinshipOf, kinshipText } from "./kinship.js";
import { currentConfiguration, resetLog } from "./log.js";
import { allPeers, hasIdentity, isCounted, sameCluster } from "./membership.js";
import { type Genesis, type Header, type Hello, PEER_VERSION } from "./message.js";
import { notice, type Outbox, persist, send } from "./outbox.js";
import { noteConfiguration } from "./reconfiguration.js";
import { askEverythingAgain, hastenResend } from "./resend.js";
import { micros, type Peer, type ReplicaState } from "./state.js";

/** Hello is said again in this rhythm, so that one that was late, or lost with its stream, leaves no wrong idea of us for long. Milliseconds. */
export const HELLO_MS = 1000;

function ownHello(state: ReplicaState): Hello {
  const { options, durable } = state;
  return {
    kind: "hello",
    peerVersion: PEER_VERSION,
    diskId: durable.diskId,
    boot: durable.boot,
    address: options.address,
    clientAddress: options.clientAddress,
    list: options.join.length > 0 ? [] : sorted(options.list),
    decided: state.decided,
    highestRound: state.highestRound,
  };
}

function sorted(list: readonly Address[]): Address[] {
  return [...list].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Hello is a pledge: it names an identity, so it leaves behind whatever is still on its way to the disk. */
export function sayHello(state: ReplicaState, out: Outbox, to: readonly Address[]): void {
  persist(state, out, [], [{ to, message: ownHello(state) }]);
}

export function onHello(state: ReplicaState, out: Outbox, peer: Peer, header: Header, hello: Hello): void {
  const before = peer.hello;
  const isSameDisk = before !== null && before.diskId === hello.diskId;
  const restarted = isSameDisk && hello.boot > before.boot;
  const wentBack = isSameDisk && hello.boot < before.boot;
  if (isSameDisk && hello.boot === before.boot && header.from === VIRGIN && peer.replica !== VIRGIN) {
    return; // a late word from before this life had its identity
  }
  const isNews = !isSameDisk || hello.boot !== before.boot || peer.replica !== header.from;
  if (!wentBack) {
    peer.hello = hello;
  }
  peer.replica = header.from;
  peer.clusterId = header.clusterId;
  peer.lineage = header.lineage;
  peer.foreign = wentBack || (hasIdentity(state) && header.from !== VIRGIN && !sameCluster(state, header));
  if (!peer.foreign && (restarted || hello.decided > peer.decided)) {
    peer.decided = hello.decided; // a restarted peer may know less than it said in its former life
  }
  noteAge(state, peer, wentBack);
  explainPeer(state, out, peer);
  if (restarted) {
    voidGrantOfGone(state, peer);
  }
  if (!hasIdentity(state)) {
    if (header.from === VIRGIN && state.founding.joining?.via === peer.address) {
      state.founding.joining = null; // whoever knew a cluster has an empty disk now
    }
    tryFound(state, out);
    return;
  }
  if (header.from === VIRGIN) {
    answerVirgin(state, out, peer, hello);
  } else if (!peer.foreign) {
    state.highestRound = Math.max(state.highestRound, hello.highestRound);
    state.founding.holders.add(header.from);
    if (isNews) {
      askEverythingAgain(state, out, peer);
    } else {
      hastenResend(state, peer); // perhaps a new stream of the same life: what it owes is due again
    }
  }
}

/** A Hello of an older life may be late, until it was said for longer than a newer one takes to come: people are told then, lest they throw a good disk away. */
function noteAge(state: ReplicaState, peer: Peer, wentBack: boolean): void {
  const since = peer.wentBack?.since ?? state.now;
  peer.wentBack = wentBack ? { since, isSure: state.now - since > micros(HELLO_MS) } : null;
}

/** Logs, once each, what a person should know about this peer. */
function explainPeer(state: ReplicaState, out: Outbox, peer: Peer): void {
  if (peer.wentBack?.isSure === true) {
    notice(
      state,
      out,
      "error",
      "old-disk",
      `${peer.address} came back with an older copy of its disk: it is not counted. Set its data directory aside.`,
    );
  }
  for (const text of peerWarnings(state, peer)) {
    notice(state, out, hasIdentity(state) ? "warn" : "error", "peer", text);
  }
}

/** What is wrong with a peer as its last Hello shows it, in sentences: another list, another cluster, another disk. */
export function peerWarnings(state: ReplicaState, peer: Peer): string[] {
  const { hello, address } = peer;
  if (hello === null) {
    return [];
  }
  const warnings: string[] = [];
  const turnedAway = turnedAwayText(state, peer);
  if (turnedAway !== null) {
    warnings.push(turnedAway);
  } else if (peer.foreign && peer.wentBack?.isSure !== false) {
    warnings.push(`${address} is not counted: it came back with an older copy of its disk. Check its data directory.`);
  }
  const difference = listDifference(state, hello);
  if (difference !== null) {
    warnings.push(differenceText(peer, difference));
  }
  const entry = hasIdentity(state) ? currentConfiguration(state).roster.find((listed) => listed.address === address) : undefined;
  if (hasIdentity(state) && peer.replica === VIRGIN && entry?.diskId !== hello.diskId) {
    const what = entry === undefined ? "is not a member of this cluster" : "has an empty disk in place of the one the cluster knows";
    warnings.push(`${address} ${what}: it does not vote.`);
  }
  return warnings;
}

/** Why this peer and this server do not belong together, in a sentence; null where they do, or nothing is known of it. */
export function turnedAwayText(state: ReplicaState, peer: Peer): string | null {
  return hasIdentity(state) && peer.hello !== null && peer.replica !== VIRGIN
    ? kinshipText(kinshipOf(state.durable, peer), state.options.address, peer.address)
    : null;
}

/** The sentence about a list that differs. */
export function differenceText(peer: Peer, difference: string): string {
  return `The list of replicas of ${peer.address} differs from this server's: ${difference}.`;
}

/** How another server's list differs from ours, in words; null if it does not. */
export function listDifference(state: ReplicaState, hello: Hello): string | null {
  const { list, join } = state.options;
  if (join.length > 0 || hello.list.length === 0) {
    return null; // who joins has no list: the roster will be its truth
  }
  const onlyOurs = sorted(list.filter((listed) => !hello.list.includes(listed)));
  const onlyTheirs = hello.list.filter((listed) => !list.includes(listed));
  const parts = [
    ...(onlyOurs.length > 0 ? [`it lacks ${onlyOurs.join(", ")}`] : []),
    ...(onlyTheirs.length > 0 ? [`it adds ${onlyTheirs.join(", ")}`] : []),
  ];
  return parts.length === 0 ? null : parts.join(" and ");
}

/** The servers that this virgin still waits for before the cluster can be founded. */
export function awaitedForFounding(state: ReplicaState): Address[] {
  return allPeers(state).filter((listed) => {
    const peer = state.peers.get(listed);
    return peer?.hello == null || (!hasIdentity(state) && peer.replica === VIRGIN && listDifference(state, peer.hello) !== null);
  });
}

/** Founds the cluster if this is the lowest address and all listed servers are virgins with the same list that said hello in this life. */
export function tryFound(state: ReplicaState, out: Outbox): void {
  const list = sorted(state.options.list);
  if (hasIdentity(state) || list[0] !== state.options.address || state.options.join.length > 0 || state.founding.joining !== null) {
    return;
  }
  const members: { address: Address; diskId: DiskId }[] = [];
  for (const listed of list) {
    const hello = listed === state.options.address ? ownHello(state) : state.peers.get(listed)?.hello;
    const isVirgin = listed === state.options.address || state.peers.get(listed)?.replica === VIRGIN;
    if (hello == null || !isVirgin || listDifference(state, hello) !== null) {
      return;
    }
    members.push({ address: listed, diskId: hello.diskId });
  }
  const drawn = (BigInt(nextU32(state.prng)) << 32n) | BigInt(nextU32(state.prng)) | 1n;
  const lineage = { number: 1, random: (BigInt(nextU32(state.prng)) << 32n) | BigInt(nextU32(state.prng)) };
  giveGenesis(state, out, { clusterId: clusterId(drawn), lineage, configuration: genesisConfiguration(members) });
  notice(state, out, "info", "founded", `Founded a cluster of ${members.length}: ${list.join(", ")}.`);
}

/** Writes the identity to our disk, once in its life; a new Hello leaves behind it, and of a founding its acknowledgement. */
export function takeIdentity(
  state: ReplicaState,
  out: Outbox,
  given: Pick<Genesis, "clusterId" | "lineage" | "configuration"> & { readonly replica: ReplicaId },
): void {
  const { clusterId: cluster, lineage, configuration, replica } = given;
  assert(!hasIdentity(state), "a virgin takes one identity in its life");
  assertListed(state, configuration, replica);
  const to = allPeers(state);
  state.founding.identityLsn = persist(
    state,
    out,
    [{ kind: "identity", clusterId: cluster, lineage, replica, configuration }],
    [
      { to, message: ownHello(state) },
      ...(configuration.epoch === FOUNDING_EPOCH ? [{ to, message: { kind: "genesisAck", clusterId: cluster } as const }] : []),
    ],
  );
  resetLog(state);
  noteConfiguration(state, out);
  for (const peer of state.peers.values()) {
    // Hellos under an identity that came before ours: they could not be understood then.
    if (peer.replica !== VIRGIN && kinshipOf({ clusterId: cluster, lineage }, peer) !== "same") {
      peer.foreign = true;
      peer.decided = SLOT_ZERO; // decided elsewhere: we do not lag behind it
    }
    if (isCounted(state, peer)) {
      state.founding.holders.add(peer.replica);
      state.highestRound = Math.max(state.highestRound, peer.hello?.highestRound ?? 0);
    }
  }
  state.founding.joining = null;
  scheduleFirstNomination(state);
}

export function onGenesis(state: ReplicaState, out: Outbox, peer: Peer, genesis: Genesis): void {
  const { durable } = state;
  if (hasIdentity(state)) {
    if (durable.clusterId === genesis.clusterId) {
      persist(state, out, [], [{ to: [peer.address], message: { kind: "genesisAck", clusterId: genesis.clusterId } }]);
    }
    return;
  }
  giveGenesis(state, out, genesis);
}

/** Takes the identity that the first configuration gives to our disk, if it gives one. */
function giveGenesis(state: ReplicaState, out: Outbox, genesis: Pick<Genesis, "clusterId" | "lineage" | "configuration">): void {
  const own = genesis.configuration.roster.find((entry) => entry.address === state.options.address);
  if (own !== undefined && own.diskId === state.durable.diskId) {
    takeIdentity(state, out, { ...genesis, replica: own.replica });
  }
}

export function onGenesisAck(state: ReplicaState, peer: Peer, header: Header): void {
  if (hasIdentity(state) && sameCluster(state, header) && rosterEntry(currentConfiguration(state), header.from)?.address === peer.address) {
    state.founding.holders.add(header.from);
  }
}

/** Genesis goes out again and again, until every listed replica holds it; the founder's own copy is synced first. */
export function resendGenesis(state: ReplicaState, out: Outbox): void {
  if (!hasIdentity(state)) {
    return;
  }
  for (const entry of currentConfiguration(state).roster) {
    const peer = state.peers.get(entry.address);
    if (peer?.hello != null && peer.replica === VIRGIN && peer.hello.diskId === entry.diskId) {
      sendGenesis(state, out, peer);
    }
  }
}

/** Sends the first configuration to a virgin that it lists; false where this replica does not hold it any more, or it lists another disk. */
export function sendGenesis(state: ReplicaState, out: Outbox, peer: Peer): boolean {
  const { durable } = state;
  const { clusterId: cluster, lineage, trimmedConfiguration: configuration } = durable;
  if (durable.trimmed !== SLOT_ZERO || configuration?.epoch !== FOUNDING_EPOCH) {
    return false;
  }
  if (!configuration.roster.some((entry) => entry.address === peer.address && entry.diskId === peer.hello?.diskId)) {
    return false;
  }
  send(state, out, [peer.address], { kind: "genesis", clusterId: cluster, lineage, configuration });
  return true;
}
