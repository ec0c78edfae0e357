/**
 * Catching up with what others know to be decided: by log entries, which any replica serves from memory, or by a snapshot
 * where the log was trimmed (PROTOCOL §1.7). Checks the chain before D moves; one question is open at a time, so that
 * catching up never starves the quorum.
 */
import { crc32c } from "../base/crc32c.js";
import { chainHash } from "../base/hash64.js";
import type { Batch } from "./batch.js";
import { reconcileLearned } from "./coordinator.js";
import { slot as asSlot, SLOT_ZERO, type Slot, slotAfter } from "./ids.js";
import { needsSnapshot } from "./joining.js";
import { followInform, isLoading } from "./learner.js";
import { advance, chainAt, resetLog, trimLog, valueAt } from "./log.js";
import { isHeard, isKin } from "./membership.js";
import type { CatchUp, CatchUpReply, SnapshotChunk, SnapshotMeta, SnapshotOffer, SnapshotRequest } from "./message.js";
import { headerOf, notice, type Outbox, persist, send } from "./outbox.js";
import { afterAdvance } from "./progress.js";
import type { WalRecord } from "./record.js";
import { micros, type Peer, type Receiving, type ReplicaState } from "./state.js";

/** Payload bytes and entries of one CatchUpReply. */
export const CATCH_UP_BYTES = 1024 * 1024;
export const CATCH_UP_ENTRIES = 1000;
/** Without an answer for so long another peer is asked, ms; doubled with each failure up to ASK_TIMEOUT_MS_MAX, for links that are slow. */
const ASK_TIMEOUT_MS = 500;
const ASK_TIMEOUT_MS_MAX = 8000;
/** After this much waiting for a chunk an offer is asked for anew, ms. */
const OFFER_AGAIN_MS = 2000;
/** A chunk that is not stored for so long was refused by our disk: receiving is given up, ms. */
const STORE_TIMEOUT_MS = 10_000;
/** How long an inform may wait for Proposes that are still under way before the missing entries are asked for, ms. */
const PATIENCE_MS = 20;

/** Asks a peer that knows more for what is decided, at least up to `target`; quietly does nothing while a question is open. */
export function askForEntries(state: ReplicaState, out: Outbox, target: Slot): void {
  const { catchUp } = state;
  if (catchUp.asked !== null || catchUp.receiving !== null || target <= state.decided || isDiskFull(state)) {
    return;
  }
  const peer = choosePeer(state);
  if (peer === null) {
    return;
  }
  catchUp.asked = { peer: peer.address, at: state.now };
  catchUp.wait = Math.max(catchUp.wait, micros(ASK_TIMEOUT_MS));
  send(state, out, [peer.address], { kind: "catchUp", from: firstMissing(state), maxBytes: CATCH_UP_BYTES });
}

/** The first slot to ask for. Who has just joined has no beginning to build on: nobody holds slot 0, so it is offered a snapshot. */
function firstMissing(state: ReplicaState): Slot {
  return needsSnapshot(state) ? SLOT_ZERO : slotAfter(state.decided);
}

/** The peer with the most to give; the coordinator only if no other has as much, the one that failed us last only if alone. */
function choosePeer(state: ReplicaState): Peer | null {
  let best: Peer | null = null;
  let bestRank = 0;
  for (const peer of state.peers.values()) {
    if (peer.decided <= state.decided || !isHeard(state, peer) || !isKin(state, peer)) {
      continue;
    }
    const isSpared = peer.replica === state.grant?.owner || peer.address === state.catchUp.avoid;
    const rank = isSpared ? 1 : 2;
    if (best === null || rank > bestRank || (rank === bestRank && peer.decided > best.decided)) {
      best = peer;
      bestRank = rank;
    }
  }
  return best;
}

/** The highest slot that any peer says is decided. */
export function highestKnownDecided(state: ReplicaState): Slot {
  let highest = state.remembered?.decided ?? state.decided;
  for (const peer of state.peers.values()) {
    if (peer.decided > highest && isKin(state, peer)) {
      highest = peer.decided;
    }
  }
  return asSlot(Math.max(highest, state.decided));
}

/** Whether entries are missing that no Propose under way will bring. */
export function tickCatchUp(state: ReplicaState, out: Outbox): void {
  const { catchUp } = state;
  dropOvertaken(state);
  const { asked, receiving } = catchUp;
  if (asked !== null && (isLost(state, asked.peer) || state.now - asked.at > catchUp.wait)) {
    catchUp.avoid = asked.peer;
    catchUp.asked = null;
    catchUp.wait = Math.min(2 * catchUp.wait, micros(ASK_TIMEOUT_MS_MAX));
  }
  if (receiving !== null && !receiving.loading && state.now - receiving.at > receiving.wait) {
    retryReceiving(state, out);
  }
  const target = highestKnownDecided(state);
  if (target <= state.decided) {
    state.lagging = null;
    return;
  }
  if (state.lagging?.decided !== state.decided) {
    state.lagging = { decided: state.decided, since: state.now };
  }
  const isFar = target > state.decided + state.options.windowSlots;
  if (isFar || state.candidate !== null || state.now - state.lagging.since >= micros(PATIENCE_MS)) {
    askForEntries(state, out, target);
  }
}

/** A new stream to this peer: a question on the old one is lost with it, and may be asked again at once. */
export function forgetQuestion({ catchUp }: ReplicaState, address: Peer["address"]): void {
  if (catchUp.asked?.peer === address) {
    catchUp.asked = null;
  }
}

/** More waits for our own disk than a window holds: catching up would only pile it higher. */
function isDiskFull(state: ReplicaState): boolean {
  return state.unsyncedBytes > 2 * state.options.windowBytes;
}

/** Nothing can be expected from there any more. */
function isLost(state: ReplicaState, from: Peer["address"]): boolean {
  const peer = state.peers.get(from);
  return peer === undefined || !isHeard(state, peer);
}

/** The log got to the snapshot's index before the snapshot was here. */
function dropOvertaken(state: ReplicaState): void {
  const { receiving } = state.catchUp;
  if (receiving !== null && !receiving.loading && receiving.meta.index <= state.decided) {
    state.catchUp.receiving = null;
  }
}

/** Serves decided entries from memory; below the trim point offers the snapshot. */
export function onCatchUp(state: ReplicaState, out: Outbox, peer: Peer, { from, maxBytes }: CatchUp): void {
  const { durable } = state;
  if (from <= durable.trimmed) {
    if (durable.snapshot !== null) {
      send(state, out, [peer.address], { kind: "snapshotOffer", meta: durable.snapshot });
    } else if (state.decided > SLOT_ZERO) {
      state.catchUp.waiting.add(peer.address);
      out.push({ kind: "takeSnapshot" });
    }
    return;
  }
  const entries: Batch[] = [];
  let bytes = 0;
  for (let next = from; next <= state.decided && entries.length < CATCH_UP_ENTRIES; next = slotAfter(next)) {
    const batch = valueAt(state, next);
    if (batch === undefined || (entries.length > 0 && bytes + batch.payload.length > maxBytes)) {
      break;
    }
    entries.push(batch);
    bytes += batch.payload.length;
  }
  const last = asSlot(Math.min(from + entries.length - 1, state.decided));
  const chain = chainAt(state, last);
  send(state, out, [peer.address], {
    kind: "catchUpReply",
    from,
    entries,
    decided: state.decided,
    chain,
    highestRound: state.highestRound,
  });
}

export function onCatchUpReply(state: ReplicaState, out: Outbox, peer: Peer, reply: CatchUpReply): void {
  const { catchUp } = state;
  state.highestRound = Math.max(state.highestRound, reply.highestRound);
  const isAnswer = catchUp.asked?.peer === peer.address;
  if (isAnswer) {
    peer.decided = reply.decided; // an answer to our question also tells when it knows less than it once said
  }
  const known = state.decided - reply.from + 1;
  if (isLoading(state) || known < 0 || needsSnapshot(state)) {
    return;
  }
  if (reply.entries.length <= known) {
    if (isAnswer && reply.decided <= state.decided) {
      catchUp.asked = null; // else the question stays open until its time is over, which paces the next one
    }
    return;
  }
  const fresh = reply.entries.slice(known);
  let chain = state.chain;
  for (const batch of fresh) {
    chain = chainHash(chain, batch.digest);
  }
  if (chain !== reply.chain) {
    catchUp.avoid = peer.address;
    notice(
      state,
      out,
      "error",
      "chain-differs",
      `The log of ${peer.address} does not continue this server's log after slot ${state.decided}.`,
    );
    return;
  }
  catchUp.asked = isAnswer ? null : catchUp.asked;
  catchUp.wait = 0;
  learn(state, out, fresh);
  if (highestKnownDecided(state) > state.decided) {
    askForEntries(state, out, highestKnownDecided(state));
  }
}

/** `batches` are decided from D + 1 on: what this acceptor does not already hold with that value is written as learned. */
function learn(state: ReplicaState, out: Outbox, batches: readonly Batch[]): void {
  const records: WalRecord[] = [];
  let next = slotAfter(state.decided);
  for (const batch of batches) {
    if (valueAt(state, next)?.digest !== batch.digest) {
      records.push({ kind: "learn", slot: next, batch });
    }
    next = slotAfter(next);
  }
  if (records.length > 0) {
    persist(state, out, records, []);
  }
  for (const batch of batches) {
    advance(state, out, batch);
  }
  if (state.candidate !== null) {
    state.candidate.lastProgress = state.now;
  }
  reconcileLearned(state, out);
  followInform(state, out);
  afterAdvance(state, out);
}

/** A peer has trimmed what we miss: receive its snapshot, chunk by chunk. */
export function onSnapshotOffer(state: ReplicaState, out: Outbox, peer: Peer, { meta }: SnapshotOffer): void {
  const { catchUp } = state;
  if (catchUp.asked?.peer === peer.address) {
    catchUp.asked = null;
  }
  if (meta.index <= state.decided || state.coordinator !== null || isLoading(state)) {
    return;
  }
  const { receiving } = catchUp;
  const isSettled = receiving !== null && !receiving.stalled && receiving.source !== peer.address;
  if (isSettled && receiving.meta.index >= meta.index && receiving.meta.hash !== meta.hash) {
    return; // what comes in is as good; only a source that failed us, or that has no longer what it offered, is given up
  }
  if (receiving !== null && isLateOffer(state, receiving, peer, meta)) {
    return;
  }
  if (receiving?.meta.hash === meta.hash && receiving.meta.index === meta.index) {
    receiving.source = peer.address;
    receiving.stalled = false;
  } else {
    catchUp.receiving = {
      meta,
      source: peer.address,
      next: 0,
      stored: new Set(),
      loading: false,
      stalled: false,
      isAskedAnew: false,
      at: state.now,
      wait: micros(ASK_TIMEOUT_MS),
    };
    out.push({ kind: "receiveSnapshot", meta });
  }
  requestChunk(state, out);
}

/**
 * What the source of the present transfer offered before, or offers again while it owes us a chunk. Each answered offer is a request, and a
 * request for what the source has no longer is an offer: copies of late ones would keep each other alive, and multiply. An older offer
 * is believed only as the answer to a question anew: the source may have lost its newer snapshot in a crash.
 */
function isLateOffer(state: ReplicaState, receiving: Receiving, peer: Peer, meta: SnapshotMeta): boolean {
  if (receiving.stalled || receiving.source !== peer.address) {
    return false;
  }
  if (receiving.meta.hash === meta.hash && receiving.meta.index === meta.index) {
    return state.now - receiving.at <= receiving.wait;
  }
  return meta.index <= receiving.meta.index && !receiving.isAskedAnew;
}

function requestChunk(state: ReplicaState, out: Outbox): void {
  const { receiving } = state.catchUp;
  if (receiving !== null && receiving.next < receiving.meta.chunks) {
    receiving.at = state.now;
    send(state, out, [receiving.source], { kind: "snapshotRequest", index: receiving.meta.index, chunk: receiving.next });
  }
}

/** The source is silent: it is asked again, and once it is lost another that is ahead, which offers the same snapshot or its own. */
function retryReceiving(state: ReplicaState, out: Outbox): void {
  const { catchUp } = state;
  const { receiving } = catchUp;
  if (receiving === null) {
    return;
  }
  if (receiving.next > receiving.stored.size) {
    if (state.now - receiving.at > micros(STORE_TIMEOUT_MS)) {
      catchUp.receiving = null; // our disk refused a chunk
    }
    return;
  }
  receiving.wait = Math.min(2 * receiving.wait, micros(ASK_TIMEOUT_MS_MAX));
  receiving.stalled = isLost(state, receiving.source) || receiving.wait >= micros(ASK_TIMEOUT_MS_MAX);
  requestChunk(state, out);
  if (receiving.stalled) {
    catchUp.avoid = receiving.source;
  }
  // A source that answers but not this may have dropped that snapshot: asked anew, it offers what it has, and its own offer always counts.
  const another = receiving.stalled ? choosePeer(state)?.address : receiving.source;
  if (another !== undefined && (isLost(state, receiving.source) || receiving.wait >= micros(OFFER_AGAIN_MS))) {
    receiving.isAskedAnew = true;
    send(state, out, [another], { kind: "catchUp", from: firstMissing(state), maxBytes: CATCH_UP_BYTES });
  }
}

export function onSnapshotRequest(state: ReplicaState, out: Outbox, peer: Peer, { index, chunk }: SnapshotRequest): void {
  const { snapshot } = state.durable;
  if (snapshot === null || snapshot.index < index) {
    return;
  }
  const asked = [snapshot, state.previousSnapshot].find((held) => held?.index === index);
  if (asked != null && chunk < asked.chunks) {
    out.push({ kind: "sendChunk", to: peer.address, header: headerOf(state), index, chunk });
  } else {
    send(state, out, [peer.address], { kind: "snapshotOffer", meta: snapshot });
  }
}

export function onSnapshotChunk(state: ReplicaState, out: Outbox, { index, chunk, bytes, crc }: SnapshotChunk): void {
  const { receiving } = state.catchUp;
  if (receiving === null || receiving.meta.index !== index || receiving.next !== chunk) {
    return;
  }
  if (crc32c(bytes) !== crc) {
    requestChunk(state, out);
    return;
  }
  receiving.next++;
  receiving.stalled = false;
  receiving.isAskedAnew = false;
  receiving.at = state.now;
  receiving.wait = Math.max(Math.floor(receiving.wait / 2), micros(ASK_TIMEOUT_MS));
  out.push({ kind: "storeChunk", index, chunk, bytes });
}

/** One more chunk is on our disk; behind the last one the state machine takes the snapshot over. */
export function onChunkStored(state: ReplicaState, out: Outbox, { index, chunk }: { readonly index: Slot; readonly chunk: number }): void {
  const { receiving } = state.catchUp;
  if (receiving === null || receiving.meta.index !== index || chunk >= receiving.next || receiving.loading) {
    return;
  }
  receiving.stored.add(chunk);
  receiving.at = state.now;
  if (state.candidate !== null) {
    state.candidate.lastProgress = state.now;
  }
  if (receiving.stored.size < receiving.meta.chunks) {
    requestChunk(state, out); // one chunk at a time: a slow disk never has a whole snapshot in memory
    return;
  }
  if (receiving.meta.index <= state.decided || state.coordinator !== null) {
    state.catchUp.receiving = null; // the log got there first
    return;
  }
  receiving.loading = true;
  out.push({ kind: "loadSnapshot", meta: receiving.meta });
}

/** The received snapshot is the state machine's state now: the log begins behind it. promised never falls, accepted slots above stay. */
export function onSnapshotLoaded(state: ReplicaState, out: Outbox, meta: SnapshotMeta, ok: boolean): void {
  const { receiving } = state.catchUp;
  if (receiving === null || !receiving.loading || receiving.meta.index !== meta.index) {
    return;
  }
  state.catchUp.receiving = null;
  if (state.candidate !== null) {
    state.candidate.lastProgress = state.now;
  }
  if (!ok) {
    state.catchUp.avoid = receiving.source;
    notice(
      state,
      out,
      "error",
      "snapshot-damaged",
      `The snapshot at slot ${meta.index} from ${receiving.source} did not verify; another is asked for.`,
    );
    return;
  }
  const acknowledge = [{ to: [receiving.source], message: { kind: "snapshotAck", index: meta.index } as const }];
  persist(state, out, [{ kind: "snapshotInstalled", meta }], acknowledge);
  resetLog(state);
  followInform(state, out);
  afterAdvance(state, out);
}

/** A snapshot of our own state is on disk and verified: the log before it may go. */
export function onSnapshotTaken(state: ReplicaState, out: Outbox, meta: SnapshotMeta): void {
  if (meta.index <= (state.durable.snapshot?.index ?? 0)) {
    return;
  }
  state.previousSnapshot = state.durable.snapshot;
  persist(state, out, [{ kind: "snapshot", meta }], []);
  send(state, out, [...state.catchUp.waiting], { kind: "snapshotOffer", meta });
  state.catchUp.waiting.clear();
  trimLog(state, out);
}
