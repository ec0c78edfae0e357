/**
 * Phase 1 for all slots at once: collecting promises, catching up to what they report as decided, and choosing for every
 * open slot the only value that may be proposed there (PROTOCOL §1.4). Never counts part of a reply, or parts of two replies.
 */
import { assert } from "../base/assert.js";
import { knownEntries } from "./acceptor.js";
import { compareBallots, equalBallots } from "./ballot.js";
import { type Batch, NOOP_BATCH } from "./batch.js";
import { askForEntries } from "./catch-up.js";
import { isQuorum } from "./configuration.js";
import { activate } from "./coordinator.js";
import { SLOT_ZERO, type Slot, slot, slotAfter } from "./ids.js";
import { isLoading } from "./learner.js";
import { currentConfiguration } from "./log.js";
import { isCounted, peerOf, votes } from "./membership.js";
import type { PromiseEntry, PromiseReply } from "./message.js";
import type { Outbox } from "./outbox.js";
import { settleResend } from "./resend.js";
import type { Candidate, Peer, PromiseCollection, ReplicaState } from "./state.js";

export function onPromise(state: ReplicaState, out: Outbox, peer: Peer, reply: PromiseReply): void {
  const { candidate } = state;
  if (candidate === null || !equalBallots(reply.ballot, candidate.ballot)) {
    return;
  }
  let collection = candidate.promises.get(peer.replica);
  if (collection === undefined) {
    collection = { complete: null, incoming: new Map(), incomingId: null };
    candidate.promises.set(peer.replica, collection);
  }
  if (!collect(collection, reply)) {
    return;
  }
  candidate.lastProgress = state.now;
  peer.decided = slot(Math.max(peer.decided, reply.decided));
  candidate.refusedBy.delete(peer.replica);
  peer.failing.delete(SLOT_ZERO);
  settleResend(state, peer);
  evaluatePromises(state, out);
}

/** Adds one part; true if that made the reply complete. A newer reply starts over, an older one is ignored (invariant 32). */
function collect(collection: PromiseCollection, part: PromiseReply): boolean {
  const held = collection.incomingId;
  const order = held === null ? 1 : part.replyId.boot - held.boot || part.replyId.counter - held.counter;
  if (order < 0 || part.part >= part.parts) {
    return false;
  }
  if (order > 0) {
    collection.incoming.clear();
    collection.incomingId = part.replyId;
  }
  collection.incoming.set(part.part, part);
  if (collection.incoming.size < part.parts) {
    return false;
  }
  const parts = [...collection.incoming.values()];
  assert(
    parts.every((one) => one.decided === part.decided && one.parts === part.parts),
    "invariant 32: the parts of one Promise share what they say of the acceptor",
  );
  collection.complete = parts;
  return true;
}

/** Whether a quorum's complete promises are in; if so catches up to them, or becomes active. */
export function evaluatePromises(state: ReplicaState, out: Outbox): void {
  const { candidate } = state;
  if (candidate === null || candidate.lsn > state.persistedLsn || !votes(state) || isLoading(state)) {
    return;
  }
  const replies = countedReplies(state, candidate);
  const isIn = (replica: number): boolean => replica === state.durable.replica || replies.some(([from]) => from === replica);
  if (!isQuorum(currentConfiguration(state), isIn)) {
    return;
  }
  const target = Math.max(state.decided, ...replies.map(([, parts]) => parts[0]?.decided ?? SLOT_ZERO));
  if (target > state.decided) {
    askForEntries(state, out, target as Slot);
    return;
  }
  const entries = replies.flatMap(([, parts]) => parts.flatMap((part) => part.entries));
  const { adopted, recovered } = chooseValues(state, [...knownEntries(state), ...entries]);
  state.candidate = null;
  activate(state, out, { ballot: candidate.ballot, handoverOf: candidate.handoverOf, adopted, recovered });
}

function countedReplies(state: ReplicaState, candidate: Candidate): Array<readonly [number, readonly PromiseReply[]]> {
  const replies: Array<readonly [number, readonly PromiseReply[]]> = [];
  for (const [replica, { complete }] of candidate.promises) {
    const peer = peerOf(state, replica);
    if (complete !== null && peer !== undefined && isCounted(state, peer)) {
      replies.push([replica, complete]);
    }
  }
  return replies;
}

/**
 * The batches to propose from D + 1 on, and M, the highest slot reported. For each slot: a value reported as decided, else
 * the one accepted at the highest ballot (P2c), else a no-op. The first configuration entry ends the list: it ends the ballot.
 */
export function chooseValues(state: ReplicaState, entries: readonly PromiseEntry[]): { adopted: Batch[]; recovered: Slot } {
  const best = new Map<Slot, PromiseEntry>();
  let recovered = state.decided;
  for (const entry of entries) {
    if (entry.slot <= state.decided) {
      continue;
    }
    recovered = Math.max(recovered, entry.slot) as Slot;
    const held = best.get(entry.slot);
    if (held === undefined || beats(entry, held)) {
      best.set(entry.slot, entry);
    }
  }
  const adopted: Batch[] = [];
  for (let next = slotAfter(state.decided); next <= recovered; next = slotAfter(next)) {
    const batch = best.get(next)?.batch ?? NOOP_BATCH;
    adopted.push(batch);
    if (batch.kind === "configuration") {
      break;
    }
  }
  return { adopted, recovered };
}

function beats(entry: PromiseEntry, held: PromiseEntry): boolean {
  if (entry.acceptedAt === "decided" || held.acceptedAt === "decided") {
    const bothDecided = entry.acceptedAt === held.acceptedAt;
    assert(!bothDecided || entry.batch.digest === held.batch.digest, "invariant 1: one value per slot");
    return entry.acceptedAt === "decided";
  }
  const order = compareBallots(entry.acceptedAt, held.acceptedAt);
  assert(order !== 0 || entry.batch.digest === held.batch.digest, "invariant 6: one ballot and slot never carry two batches");
  return order > 0;
}
