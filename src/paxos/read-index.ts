/**
 * Linearizable reads without a slot and without a disk (PROTOCOL §3.1, §3.3): the coordinator notes its decided slot, then
 * one Ping round shows that no higher ballot was promised by a quorum when the round began; whoever has applied that slot may
 * answer. A read joins only a round that starts after it arrived. Other servers ask the coordinator for the slot.
 */
import { assert } from "../base/assert.js";
import { isQuorum } from "./configuration.js";
import { followedCoordinator } from "./grant.js";
import type { Slot } from "./ids.js";
import { currentConfiguration } from "./log.js";
import { lifeOf, otherVoters } from "./membership.js";
import type { Pong, ReadIndex, ReadIndexReply } from "./message.js";
import { type Outbox, send } from "./outbox.js";
import { sendPing } from "./ping.js";
import { micros, type Peer, type ReadRequest, type ReadRound, type ReplicaState } from "./state.js";

/** Rounds whose late Pongs may still answer their reads. */
const ROUNDS_MAX = 8;
/** Reads of other servers that may wait at the coordinator; beyond it they are asked again later. The server layer bounds its own. */
export const READS_MAX = 100_000;
/** A ReadIndex without an answer is asked again after this, ms. */
const ASK_AGAIN_MS = 100;
/** A round without its quorum stops holding up the next after max(this, 4 round trips), ms. */
const ROUND_MS_MIN = 20;

/** A read of this server. */
export function onRead(state: ReplicaState, out: Outbox, id: number): void {
  assert(!state.reads.local.has(id), "a read id is used once");
  state.reads.local.set(id, { index: null, askedAt: state.now });
  dispatch(state, out, id);
}

function dispatch(state: ReplicaState, out: Outbox, id: number): void {
  if (state.coordinator !== null) {
    enqueue(state, { life: lifeOf(state), id, from: null, done: false });
    pumpReads(state, out);
    return;
  }
  const coordinator = followedCoordinator(state);
  const read = state.reads.local.get(id);
  if (coordinator !== null && read !== undefined) {
    read.askedAt = state.now;
    send(state, out, [coordinator.address], { kind: "readIndex", life: lifeOf(state), id });
  }
}

function enqueue(state: ReplicaState, request: ReadRequest): void {
  if (request.from === null || state.reads.queue.length < READS_MAX) {
    state.reads.queue.push(request);
  }
}

/** A read of a peer that takes this replica for the coordinator; if it is not, the peer asks again when it knows better. */
export function onReadIndex(state: ReplicaState, out: Outbox, peer: Peer, { life, id }: ReadIndex): void {
  if (state.coordinator !== null) {
    enqueue(state, { life, id, from: peer.address, done: false });
    pumpReads(state, out);
  }
}

/** A reply to a read of a former life may bear the id of a present one, and would let that one miss what was decided in between. */
export function onReadIndexReply(state: ReplicaState, out: Outbox, { life, id, index }: ReadIndexReply): void {
  const read = state.reads.local.get(id);
  if (life === lifeOf(state) && read !== undefined && read.index === null) {
    read.index = index;
    releaseReads(state, out);
  }
}

/** Nobody waits for it any more. */
export function onReadCancel(state: ReplicaState, id: number): void {
  state.reads.local.delete(id);
}

/** Starts a round for what is queued, unless one is under way or phase 1's slots are still open (reads wait for D >= M). */
export function pumpReads(state: ReplicaState, out: Outbox): void {
  const { coordinator, reads } = state;
  if (coordinator === null || reads.current !== null || reads.queue.length === 0 || state.decided < coordinator.recovered) {
    return;
  }
  if (coordinator.handover !== null) {
    return;
  }
  const requests = reads.queue;
  reads.queue = [];
  const index = state.decided;
  // A voter that is a quorum by itself (alone, or the tie-break of two) needs to ask nobody.
  const isAlone = isQuorum(currentConfiguration(state), (replica) => replica === state.durable.replica);
  const seq = isAlone ? ++state.pingSeq : sendPing(state, out, false);
  const round: ReadRound = { seq, index, startedAt: state.now, requests, acks: new Set([state.durable.replica]) };
  reads.rounds.set(seq, round);
  reads.current = seq;
  const oldest = reads.rounds.keys().next().value;
  if (reads.rounds.size > ROUNDS_MAX && oldest !== undefined) {
    reads.rounds.delete(oldest);
  }
  concludeRound(state, out, round);
}

/** A voter answered okFor our ballot: it had promised nothing higher when it answered that Ping. */
export function onReadPong(state: ReplicaState, out: Outbox, peer: Peer, pong: Pong): void {
  const round = state.reads.rounds.get(pong.seq);
  if (round !== undefined) {
    round.acks.add(peer.replica);
    concludeRound(state, out, round);
  }
}

function concludeRound(state: ReplicaState, out: Outbox, round: ReadRound): void {
  const { reads, coordinator } = state;
  if (coordinator === null || !isQuorum(currentConfiguration(state), (replica) => round.acks.has(replica))) {
    return;
  }
  reads.rounds.delete(round.seq);
  if (reads.current === round.seq) {
    reads.current = null;
  }
  const ready: number[] = [];
  for (const request of round.requests) {
    if (request.done) {
      continue;
    }
    request.done = true;
    if (request.from !== null) {
      send(state, out, [request.from], {
        kind: "readIndexReply",
        life: request.life,
        id: request.id,
        ballot: coordinator.ballot,
        index: round.index,
      });
    } else if (reads.local.delete(request.id)) {
      ready.push(request.id);
    }
  }
  if (ready.length > 0) {
    out.push({ kind: "readReady", ids: ready, index: round.index });
  }
  pumpReads(state, out);
}

/** Reads of this server whose slot is decided here by now. */
export function releaseReads(state: ReplicaState, out: Outbox): void {
  const ready = new Map<Slot, number[]>();
  for (const [id, { index }] of state.reads.local) {
    if (index !== null && index <= state.decided) {
      ready.set(index, [...(ready.get(index) ?? []), id]);
      state.reads.local.delete(id);
    }
  }
  for (const [index, ids] of ready) {
    out.push({ kind: "readReady", ids, index });
  }
  pumpReads(state, out);
}

/** This replica stopped coordinating: rounds are void, its own reads look for the next coordinator, peers ask again by themselves. */
export function returnReads(state: ReplicaState): void {
  state.reads.queue = [];
  state.reads.rounds.clear();
  state.reads.current = null;
}

/** The coordinator changed: whatever has no slot yet is asked anew. */
export function redispatchReads(state: ReplicaState, out: Outbox): void {
  const queued = new Set(state.reads.queue.filter((request) => request.from === null).map((request) => request.id));
  for (const [id, { index }] of state.reads.local) {
    if (index === null && !queued.has(id)) {
      dispatch(state, out, id);
    }
  }
}

/** Overdue rounds let the next one start and hand it their reads; lost questions are asked again. */
export function tickReads(state: ReplicaState, out: Outbox): void {
  const { reads } = state;
  const current = reads.current === null ? undefined : reads.rounds.get(reads.current);
  const slowest = state.coordinator === null ? 0 : Math.max(0, ...otherVoters(state).map((peer) => peer.roundTrip));
  if (current !== undefined && state.now - current.startedAt > Math.max(micros(ROUND_MS_MIN), 4 * slowest)) {
    reads.current = null;
    reads.queue = [...current.requests.filter((request) => !request.done), ...reads.queue];
  }
  pumpReads(state, out);
  if (state.coordinator === null) {
    for (const [id, read] of reads.local) {
      if (read.index === null && state.now - read.askedAt > micros(ASK_AGAIN_MS)) {
        dispatch(state, out, id);
      }
    }
  }
}

/** The machine was suspended: rounds from before say nothing any more. */
export function voidRounds(state: ReplicaState): void {
  const { reads } = state;
  const open: ReadRequest[] = [...reads.rounds.values()].flatMap((round) => round.requests).filter((request) => !request.done);
  reads.queue = [...new Set([...open, ...reads.queue])];
  reads.rounds.clear();
  reads.current = null;
}
