/**
 * Operators' changes and joins, from the request to its answer (PROTOCOL §4.7): one at a time, each behind the settled one before.
 * A server that does not coordinate passes a request on and asks again until it is answered; the coordinator refuses what would lose
 * the quorum, and says why. Requests are idempotent: what is already so is answered as done.
 */

import { hasLiveQuorum, isCaughtUp, mayChange } from "./autopilot.js";
import { configurationBatch } from "./batch.js";
import { applyChange, type MembershipChange } from "./change.js";
import { type Configuration, rosterEntry } from "./configuration.js";
import { propose } from "./coordinator.js";
import { followedCoordinator } from "./grant.js";
import { address, type ReplicaId, SLOT_ZERO, type Slot } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { hasIdentity, isHeard, isLame, lifeOf, peerOf } from "./membership.js";
import { REFUSAL_TEXT_MAX } from "./membership-bodies.js";
import type { Change, ChangeReply, Join } from "./message.js";
import { notice, type Outbox, send } from "./outbox.js";
import { settlingSlot, unsettledVoters } from "./settling.js";
import { type ChangeRequest, micros, NEVER, type Peer, type ReplicaState } from "./state.js";
import { blockedSentence } from "./status.js";

/** Requests that wait in one server; further ones are refused, or asked again later. */
export const CHANGES_WAITING_MAX = 64;
/** The coordinator is asked again after this, ms. */
const ASK_AGAIN_MS = 250;
/** How long the coordinator lets another server's request, or a join, wait for the change before it, ms. */
const WAIT_MS = 4000;

/** An operator's request at this server. */
export function onChangeRequest(
  state: ReplicaState,
  out: Outbox,
  { id, change, deadline }: { readonly id: number; readonly change: MembershipChange; readonly deadline: number },
): void {
  const { requests } = state.membership;
  if (!hasIdentity(state)) {
    out.push({
      kind: "changeDone",
      id,
      slot: SLOT_ZERO,
      refusal: blockedSentence(state) ?? "This server is not a member of a cluster yet.",
      isOpen: false,
    });
    return;
  }
  if (requests.length >= CHANGES_WAITING_MAX) {
    out.push({
      kind: "changeDone",
      id,
      slot: SLOT_ZERO,
      refusal: `${requests.length} changes wait already, the most there may be: try again later.`,
      isOpen: false,
    });
    return;
  }
  requests.push({ from: null, id, change, deadline, askedAt: NEVER });
  pumpChanges(state, out);
}

/** Another server's request: it is answered here or, where this replica does not coordinate, asked again by the asker. */
export function onChange(state: ReplicaState, out: Outbox, peer: Peer, { life, id, change }: Change): void {
  queueAtCoordinator(state, out, {
    from: { address: peer.address, life },
    id,
    change,
    deadline: state.now + micros(WAIT_MS),
    askedAt: NEVER,
  });
}

/** A virgin asks to be a member, or a member asks for one. */
export function queueJoin(state: ReplicaState, out: Outbox, { address, diskId, electable }: Join): void {
  const change = { kind: "join", address, diskId, electable } as const;
  queueAtCoordinator(state, out, { from: { address, life: 0 }, id: 0, change, deadline: state.now + micros(WAIT_MS), askedAt: NEVER });
}

function queueAtCoordinator(state: ReplicaState, out: Outbox, request: ChangeRequest): void {
  const { membership } = state;
  const isKnown = [membership.proposed, ...membership.requests].some((held) => held !== null && isSame(held, request));
  if (state.coordinator !== null && !isKnown && membership.requests.length < CHANGES_WAITING_MAX) {
    membership.requests.push(request);
    pumpChanges(state, out);
  }
}

function isSame(a: ChangeRequest, b: ChangeRequest): boolean {
  const isSameDisk = a.change.kind === "join" && b.change.kind === "join" && a.change.diskId === b.change.diskId;
  return isSameDisk || (a.id === b.id && a.from?.address === b.from?.address && a.from?.life === b.from?.life);
}

export function onChangeReply(state: ReplicaState, out: Outbox, { life, id, slot, refusal }: ChangeReply): void {
  const { membership } = state;
  if (life === lifeOf(state) && membership.requests.some((request) => request.from === null && request.id === id)) {
    membership.requests = membership.requests.filter((request) => request.from !== null || request.id !== id);
    out.push({ kind: "changeDone", id, slot, refusal, isOpen: false });
  }
}

/** Takes the next request whose turn it is; elsewhere asks the coordinator. Overdue ones are answered with the reason of their wait. */
export function pumpChanges(state: ReplicaState, out: Outbox): void {
  const { membership } = state;
  expireProposed(state, out);
  if (membership.requests.length === 0) {
    return;
  }
  expireRequests(state, out);
  if (state.coordinator === null) {
    passOnRequests(state, out);
    return;
  }
  while (membership.proposed === null && membership.requests.length > 0 && mayChange(state)) {
    const [request, ...others] = membership.requests;
    membership.requests = others;
    if (request !== undefined) {
      take(state, out, request);
    }
  }
}

function passOnRequests(state: ReplicaState, out: Outbox): void {
  const coordinator = followedCoordinator(state);
  if (coordinator === null) {
    return;
  }
  for (const request of state.membership.requests) {
    if (request.from === null && state.now - request.askedAt >= micros(ASK_AGAIN_MS)) {
      request.askedAt = state.now;
      send(state, out, [coordinator.address], { kind: "change", life: lifeOf(state), id: request.id, change: request.change });
    }
  }
}

function expireRequests(state: ReplicaState, out: Outbox): void {
  const overdue = state.membership.requests.filter((request) => state.now >= request.deadline);
  if (overdue.length > 0) {
    state.membership.requests = state.membership.requests.filter((request) => state.now < request.deadline);
    for (const request of overdue) {
      const isOpen = request.from === null && request.askedAt !== NEVER;
      answer(state, out, request, { refusal: isOpen ? openText(state) : waitingFor(state), isOpen });
    }
  }
}

/** The asker waits no longer; the entry stays proposed, and nothing else is until its fate is known. */
function expireProposed(state: ReplicaState, out: Outbox): void {
  const { membership } = state;
  if (membership.proposed?.from === null && state.now >= membership.proposed.deadline) {
    answer(state, out, membership.proposed, { refusal: openText(state), isOpen: true });
    membership.proposed = { ...membership.proposed, from: NOBODY };
  }
}

/** Stands for an asker that was answered before the fate of its change was known. */
const NOBODY = { address: address("nobody:0"), life: 0 } as const;

/** What is said of a change that was asked for and may be made yet. */
function openText(state: ReplicaState): string {
  const reason = blockedSentence(state) ?? "It was not decided in time.";
  return `Whether the members were changed is not known. ${reason} Look at \`synod member list\`; asking again does no harm.`;
}

/** Why a change has to wait, in a sentence. */
function waitingFor(state: ReplicaState): string {
  const blocked = blockedSentence(state);
  if (blocked !== null) {
    return `Nothing was changed: ${blocked}`;
  }
  if (state.coordinator === null) {
    return "Nothing was changed: no server coordinates at present. Try again.";
  }
  const open = settlingSlot(state);
  return open === null
    ? "Nothing was changed: the coordinator has no room for a change at present. Try again."
    : `Nothing was changed: the change before, at slot ${open}, is not on the disks of ${names(state, unsettledVoters(state))} yet. Try again.`;
}

function names(state: ReplicaState, replicas: readonly ReplicaId[]): string {
  const configuration = currentConfiguration(state);
  return replicas.length === 0
    ? "a quorum"
    : replicas.map((replica) => `${replica} (${rosterEntry(configuration, replica)?.address})`).join(", ");
}

/**
 * A Join that was long on its way: a server with another disk speaks from that address by now, and would lose its place to one that is
 * gone. Nobody waits for the answer; and should the disk be the newer one, which has not said Hello here yet, it asks again.
 */
function isOutdated(state: ReplicaState, { change }: ChangeRequest): boolean {
  const peer = change.kind === "join" ? state.peers.get(change.address) : undefined;
  return change.kind === "join" && peer?.hello != null && isHeard(state, peer) && peer.hello.diskId !== change.diskId;
}

function take(state: ReplicaState, out: Outbox, request: ChangeRequest): void {
  const current = currentConfiguration(state);
  if (isOutdated(state, request)) {
    return;
  }
  const result = applyChange(current, request.change, state.durable.replica);
  if (result.kind === "done") {
    answer(state, out, request, { slot: SLOT_ZERO });
    return;
  }
  if (result.kind === "refused") {
    answer(state, out, request, { refusal: result.text });
    return;
  }
  const refusal = objection(state, request.change, result.configuration);
  if (refusal !== null) {
    answer(state, out, request, { refusal });
    return;
  }
  request.askedAt = state.now;
  state.membership.proposed = request;
  propose(state, out, configurationBatch(result.configuration));
}

/** Why this change would harm the cluster now, and what to do; null if it would not. */
function objection(state: ReplicaState, change: MembershipChange, next: Configuration): string | null {
  if (change.kind === "promote") {
    const lag = promotionLag(state, change.replica);
    if (lag !== null) {
      return lag;
    }
  }
  if (change.kind === "moveTieBreak" && isLame(state, change.replica)) {
    return `Replica ${change.replica} does not answer, or its disk does not: it cannot break ties. Start it first.`;
  }
  if (hasLiveQuorum(state, next)) {
    return null;
  }
  const silent = next.voters.filter((voter) => voter !== state.durable.replica && isLame(state, voter));
  return `The voters would be ${names(state, next.voters)}, of which ${names(state, silent)} ${silent.length === 1 ? "does" : "do"} not answer: no quorum would be left. Start ${silent.length === 1 ? "it" : "them"}, or remove ${silent.length === 1 ? "it" : "them"} first.`;
}

function promotionLag(state: ReplicaState, replica: ReplicaId): string | null {
  const peer = peerOf(state, replica);
  if (replica === state.durable.replica || (peer !== undefined && peer.replica === replica && isCaughtUp(state, peer))) {
    return null;
  }
  const address = rosterEntry(currentConfiguration(state), replica)?.address ?? "";
  if (peer === undefined || isLame(state, replica)) {
    return `Replica ${replica} (${address}) does not answer, or its disk does not: it cannot vote. Start it first.`;
  }
  return Number.isFinite(peer.lag) && peer.lag > state.options.windowSlots
    ? `Replica ${replica} (${address}) has not caught up yet: it is ${peer.lag} slots behind. Try again when it has.`
    : `Replica ${replica} (${address}) has not answered the coordinator lately: how far it has got is not known. Try again in a moment.`;
}

/** The configuration changed: whoever asked for just that hears of it. */
export function answerProposed(state: ReplicaState, out: Outbox, slot: Slot): void {
  const { membership } = state;
  const { proposed } = membership;
  if (proposed !== null && applyChange(currentConfiguration(state), proposed.change, state.durable.replica).kind === "done") {
    membership.proposed = null;
    answer(state, out, proposed, { slot });
  }
}

type Outcome = { readonly slot: Slot } | { readonly refusal: string; readonly isOpen?: boolean };

function answer(state: ReplicaState, out: Outbox, { from, id, change }: ChangeRequest, outcome: Outcome): void {
  const text = "refusal" in outcome ? outcome.refusal.slice(0, REFUSAL_TEXT_MAX) : null;
  const slot = "slot" in outcome ? outcome.slot : SLOT_ZERO;
  if (change.kind === "join" && from?.life === 0) {
    if (text !== null) {
      notice(state, out, "warn", "join-refused", `${change.address} cannot join: ${text}`);
    }
    return; // the virgin asks again, and is answered by the configuration that lists it
  }
  if (from === null) {
    out.push({ kind: "changeDone", id, slot, refusal: text, isOpen: "refusal" in outcome && outcome.isOpen === true });
  } else if (from !== NOBODY) {
    send(state, out, [from.address], { kind: "changeReply", life: from.life, id, slot, refusal: text });
  }
}

/** The ballot ended with an entry whose fate is open: our own request waits again, those of others are asked again by them. */
export function returnChanges(state: ReplicaState): void {
  const { membership } = state;
  const { proposed } = membership;
  membership.proposed = null;
  membership.requests = [proposed, ...membership.requests].filter((held) => held !== null).filter((request) => request.from === null);
}

/**
 * To whom this replica should leave the tie-break before it stops: the most advanced voter that answers. Null where it does not break
 * ties, or their number is odd, so that its stop does not depend on it (PROTOCOL §2.5).
 */
export function heirOfTieBreak(state: ReplicaState): ReplicaId | null {
  if (!hasIdentity(state)) {
    return null;
  }
  const { voters, tieBreak } = currentConfiguration(state);
  if (tieBreak !== state.durable.replica || voters.length % 2 === 1) {
    return null;
  }
  let best: Peer | null = null;
  for (const voter of voters) {
    const peer = voter === state.durable.replica || isLame(state, voter) ? undefined : peerOf(state, voter);
    if (peer !== undefined && (best === null || peer.decided > best.decided)) {
      best = peer;
    }
  }
  return best?.replica ?? null;
}
