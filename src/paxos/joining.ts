/**
 * Joining a cluster that exists (PROTOCOL §4.7, §4.8): an empty disk asks the members it knows until the log lists it, and takes its
 * ReplicaId from a decided configuration only, once in its life. It begins with a snapshot: it has no log to fold a configuration
 * from. It must never speak under the identity of a disk that was lost.
 */
import { assert } from "../base/assert.js";
import { queueJoin } from "./change-requests.js";
import { type Configuration, rosterEntry } from "./configuration.js";
import { sendGenesis, takeIdentity } from "./founding.js";
import { followedCoordinator } from "./grant.js";
import { type Address, VIRGIN } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { hasIdentity } from "./membership.js";
import type { Hello, Join, JoinReply } from "./message.js";
import { notice, type Outbox, send } from "./outbox.js";
import type { Peer, ReplicaState } from "./state.js";

/** Whether this replica has nothing to build on yet: its first snapshot brings the log's beginning. */
export function needsSnapshot({ durable }: ReplicaState): boolean {
  return durable.trimmed === 0 && durable.trimmedConfiguration !== null && durable.trimmedConfiguration.epoch > FOUNDING_EPOCH;
}

/** The epoch of the configuration that Genesis names. */
export const FOUNDING_EPOCH = 1;

/** A virgin at this replica's door: its identity if its disk is listed, else the word that the cluster exists without it. */
export function answerVirgin(state: ReplicaState, out: Outbox, peer: Peer, hello: Hello): void {
  const configuration = currentConfiguration(state);
  const isMember = configuration.roster.some((entry) => entry.diskId === hello.diskId && entry.address === hello.address);
  if (isMember && sendGenesis(state, out, peer)) {
    return;
  }
  const { clusterId, lineage } = state.durable;
  const listed = configuration.roster.some((entry) => entry.address === hello.address);
  send(state, out, [peer.address], { kind: "joinReply", clusterId, lineage, listed, configuration: isMember ? configuration : null });
}

/** A cluster exists; where its configuration lists this disk, the virgin takes its identity from it. */
export function onJoinReply(state: ReplicaState, out: Outbox, peer: Peer, reply: JoinReply): void {
  if (hasIdentity(state)) {
    return;
  }
  if (reply.configuration !== null) {
    const own = ownEntry(state, reply.configuration);
    if (own !== undefined) {
      takeIdentity(state, out, { ...reply, configuration: reply.configuration, replica: own.replica });
      notice(
        state,
        out,
        "info",
        "joined",
        `Joined the cluster of ${peer.address} as replica ${own.replica}; it votes once it has caught up and is promoted.`,
      );
    }
    return;
  }
  const { founding } = state;
  if (founding.joining === null) {
    founding.joining = { via: peer.address, listed: reply.listed };
    notice(state, out, "warn", "joining", joiningText(state) ?? "");
  }
  askToJoin(state, out, [peer.address]);
}

function ownEntry(state: ReplicaState, configuration: Configuration): Configuration["roster"][number] | undefined {
  const own = configuration.roster.find((entry) => entry.diskId === state.durable.diskId);
  return own?.address === state.options.address ? own : undefined;
}

/** The virgin's request, to be said again with each Hello until it is answered. */
export function askToJoin(state: ReplicaState, out: Outbox, to: readonly Address[]): void {
  if (!hasIdentity(state) && state.founding.joining !== null) {
    const { address, electable } = state.options;
    send(state, out, to, { kind: "join", address, diskId: state.durable.diskId, electable: electable && state.options.join.length > 0 });
  }
}

/** Answers a virgin that is listed by now; else the coordinator hears of it, from the member that was asked. */
export function onJoin(state: ReplicaState, out: Outbox, peer: Peer, join: Join): void {
  if (!hasIdentity(state)) {
    return;
  }
  const isDirect = peer.address === join.address;
  const isAsker = isDirect && peer.replica === VIRGIN && peer.hello?.diskId === join.diskId;
  if (isAsker && peer.hello !== null && currentConfiguration(state).roster.some((entry) => entry.diskId === join.diskId)) {
    answerVirgin(state, out, peer, peer.hello);
    return;
  }
  if (isDirect && !isAsker) {
    return; // of another disk than the one that speaks from there now: a late word
  }
  if (state.coordinator !== null) {
    queueJoin(state, out, join);
    return;
  }
  const coordinator = followedCoordinator(state);
  if (isAsker && coordinator !== null) {
    send(state, out, [coordinator.address], join);
  }
}

/** What an empty disk at the door of a cluster waits for, and what to do; null if it knows of none. */
export function joiningText(state: ReplicaState): string | null {
  const { joining } = state.founding;
  if (joining === null || hasIdentity(state)) {
    return null;
  }
  const how = `It has asked ${joining.via} to let it join under a new ReplicaId, and waits until the voters have decided that.`;
  return joining.listed
    ? `This server's disk is empty, but a cluster exists that knows another disk at ${state.options.address}. It does not vote under the lost identity. ${how}`
    : `A cluster exists that does not list ${state.options.address} yet. ${how} If it should not, check its list of replicas and its my_paxos.`;
}

/** The entry of this replica in its configuration: its address and disk are ours. Checked where an identity is taken. */
export function assertListed(state: ReplicaState, configuration: Configuration, replica: Peer["replica"]): void {
  const entry = rosterEntry(configuration, replica);
  assert(
    entry?.diskId === state.durable.diskId && entry.address === state.options.address,
    "a virgin takes only an id given to its own disk",
  );
}
