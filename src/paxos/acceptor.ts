/**
 * The acceptor: promises and accepts, each written before it is said (PROTOCOL §1.4, §1.5; Lamport, Paxos Made Simple, §2.2).
 * It never looks into a batch, never counts votes, and never answers what its disk does not hold.
 */
import { assert } from "../base/assert.js";
import { compareBallots, equalBallots } from "./ballot.js";
import { stepDownIfBelow } from "./coordinator.js";
import { delayAfterPromise } from "./election.js";
import { currentGrant, renewGrant } from "./grant.js";
import { slot as asSlot, type Slot } from "./ids.js";
import { followInform, onInform } from "./learner.js";
import { valueAt } from "./log.js";
import type { NackReason, Prepare, PromiseEntry, PromiseReply, Propose } from "./message.js";
import { type Outbox, persist, send } from "./outbox.js";
import type { Peer, ReplicaState } from "./state.js";

/** Bounds of one part of a Promise. */
export const PROMISE_PART_BYTES = 1024 * 1024;
export const PROMISE_PART_ENTRIES = 256;

/** Phase 1b: promise unless a higher ballot or a grant stands against it. A Prepare gives no grant. */
export function onPrepare(state: ReplicaState, out: Outbox, peer: Peer, prepare: Prepare): void {
  const { ballot } = prepare;
  assert(ballot.replica === peer.replica, "a candidate prepares its own ballot");
  state.highestRound = Math.max(state.highestRound, ballot.round);
  if (state.quarantined) {
    nack(state, out, peer, { ballot, reason: "quarantine", slot: prepare.from });
    return;
  }
  const order = compareBallots(ballot, state.durable.promised);
  if (order < 0) {
    nack(state, out, peer, { ballot, reason: "ballot", slot: prepare.from });
    return;
  }
  const grant = currentGrant(state);
  const isHandedOver = grant !== null && prepare.handoverOf !== null && equalBallots(prepare.handoverOf, grant.ballot);
  if (grant !== null && grant.owner !== ballot.replica && !isHandedOver) {
    nack(state, out, peer, { ballot, reason: "granted", slot: prepare.from });
    return;
  }
  stepDownIfBelow(state, out, ballot, "this replica promised a higher ballot");
  delayAfterPromise(state);
  const message = promiseParts(state, ballot);
  persist(
    state,
    out,
    order > 0 ? [{ kind: "promise", ballot }] : [],
    message.map((part) => ({ to: [peer.address], message: part })),
  );
}

/** What this acceptor knows above its decided slot, in slot order: all that a candidate must respect (invariant 34). */
export function knownEntries(state: ReplicaState): PromiseEntry[] {
  const { accepted, learned } = state.durable;
  const slots = new Set<Slot>();
  for (const held of [...accepted.keys(), ...learned.keys()]) {
    if (held > state.decided) {
      slots.add(held);
    }
  }
  return [...slots]
    .sort((a, b) => a - b)
    .map((slot) => {
      const decided = learned.get(slot);
      if (decided !== undefined) {
        return { slot, acceptedAt: "decided", batch: decided };
      }
      const entry = accepted.get(slot);
      assert(entry !== undefined, "a slot above D is accepted or learned");
      return { slot, acceptedAt: entry.ballot, batch: entry.batch };
    });
}

/** One reply, in parts that all carry one replyId: a repeated Prepare gets a reply of its own (PROTOCOL §1.4, step 2). */
function promiseParts(state: ReplicaState, ballot: Prepare["ballot"]): PromiseReply[] {
  const groups: PromiseEntry[][] = [[]];
  let bytes = 0;
  for (const entry of knownEntries(state)) {
    let last = groups.at(-1) as PromiseEntry[];
    if (last.length > 0 && (last.length >= PROMISE_PART_ENTRIES || bytes + entry.batch.payload.length > PROMISE_PART_BYTES)) {
      last = [];
      groups.push(last);
      bytes = 0;
    }
    last.push(entry);
    bytes += entry.batch.payload.length;
  }
  const replyId = { boot: state.durable.boot, counter: ++state.replyCounter };
  return groups.map((entries, part) => ({
    kind: "promise",
    ballot,
    replyId,
    decided: state.decided,
    trimmed: state.durable.trimmed,
    part,
    parts: groups.length,
    entries,
  }));
}

/** Phase 2b: accept, unless a higher ballot holds our promise. Accepting at a higher ballot also promises it. */
export function onPropose(state: ReplicaState, out: Outbox, peer: Peer, propose: Propose): void {
  const { ballot, slot } = propose;
  assert(ballot.replica === peer.replica, "a coordinator proposes in its own ballot");
  state.highestRound = Math.max(state.highestRound, ballot.round);
  if (isOverruled(state, propose)) {
    return;
  }
  const refusal = refusalOf(state, propose);
  if (refusal !== null) {
    nack(state, out, peer, { ballot, reason: refusal, slot });
    return;
  }
  stepDownIfBelow(state, out, ballot, "another coordinates a higher ballot");
  renewGrant(state, ballot);
  peer.decided = asSlot(Math.max(peer.decided, propose.inform.decided));
  accept(state, out, peer, propose);
  onInform(state, out, propose.inform);
  followInform(state, out);
}

/**
 * The slot was decided with another batch in a higher ballot that this acceptor learned of without promising it: the sender
 * is a deposed coordinator that does not know it yet. There is nothing to promise, accept or follow, and no refusal fits.
 */
function isOverruled(state: ReplicaState, { slot, batch }: Propose): boolean {
  const held = slot <= state.decided ? valueAt(state, slot) : undefined;
  return held !== undefined && held.digest !== batch.digest;
}

function refusalOf(state: ReplicaState, { ballot, slot }: Propose): NackReason | null {
  if (state.quarantined) {
    return "quarantine";
  }
  if (compareBallots(ballot, state.durable.promised) < 0) {
    return "ballot";
  }
  const isDiskFarBehind = slot > state.decided && state.unsyncedBytes > 2 * state.options.windowBytes;
  if (slot > state.decided + 2 * state.options.windowSlots || isDiskFarBehind) {
    return "behind";
  }
  return state.spaceLow && slot > state.decided ? "noSpace" : null;
}

function accept(state: ReplicaState, out: Outbox, peer: Peer, { ballot, slot, batch }: Propose): void {
  const { accepted, promised } = state.durable;
  const acknowledge = [{ to: [peer.address], message: { kind: "accepted", ballot, slots: [slot] } as const }];
  if (slot <= state.decided) {
    persist(state, out, compareBallots(ballot, promised) > 0 ? [{ kind: "promise", ballot }] : [], acknowledge);
    return;
  }
  const held = accepted.get(slot);
  const isRepeat = held !== undefined && equalBallots(held.ballot, ballot);
  assert(!isRepeat || held.batch.digest === batch.digest, "invariant 6: one ballot and slot never carry two batches");
  persist(state, out, isRepeat ? [] : [{ kind: "accept", ballot, slot, batch }], acknowledge);
  assert(compareBallots(state.durable.promised, ballot) >= 0, "invariant 5: accepting a ballot promises it");
}

function nack(state: ReplicaState, out: Outbox, peer: Peer, refusal: { ballot: Prepare["ballot"]; reason: NackReason; slot: Slot }): void {
  send(state, out, [peer.address], { kind: "nack", ...refusal, promised: state.durable.promised, decided: state.decided });
}
