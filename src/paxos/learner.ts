/**
 * Learning what is decided from the coordinator's word: an inform binds only to what this acceptor accepted at the very
 * ballot it names, and only if the chain of hashes agrees; everything else comes by catch-up (PROTOCOL §1.5).
 */
import { chainHash } from "../base/hash64.js";
import { compareBallots, equalBallots } from "./ballot.js";
import type { Batch } from "./batch.js";
import { type Slot, slotAfter } from "./ids.js";
import { advance } from "./log.js";
import type { InformPart } from "./message.js";
import type { Outbox } from "./outbox.js";
import { afterAdvance } from "./progress.js";
import type { ReplicaState } from "./state.js";

/** The coordinator of `inform.ballot` says that everything up to `inform.decided` is decided. */
export function onInform(state: ReplicaState, out: Outbox, inform: InformPart): void {
  if (inform.decided <= state.decided) {
    return;
  }
  const { remembered } = state;
  const order = remembered === null ? 1 : compareBallots(inform.ballot, remembered.ballot);
  if (remembered === null || order > 0 || (order === 0 && inform.decided > remembered.decided)) {
    state.remembered = inform;
  }
  followInform(state, out);
}

/** Tries the remembered inform again: after an accept, or after D moved. */
export function followInform(state: ReplicaState, out: Outbox): void {
  const inform = state.remembered;
  if (inform === null || isLoading(state)) {
    return;
  }
  if (inform.decided <= state.decided) {
    state.remembered = null;
    return;
  }
  const batches = acceptedThrough(state, inform);
  if (batches === null) {
    return;
  }
  state.remembered = null;
  for (const batch of batches) {
    advance(state, out, batch);
  }
  afterAdvance(state, out);
}

/** A snapshot is being loaded into the state machine: D stands still until that is done. */
export function isLoading(state: ReplicaState): boolean {
  return state.catchUp.receiving?.loading === true;
}

/** The batches of D + 1..decided, if all were accepted at the inform's ballot and their chain is the one it names; else null. */
function acceptedThrough(state: ReplicaState, { ballot, decided, chain }: InformPart): Batch[] | null {
  const batches: Batch[] = [];
  let computed = state.chain;
  for (let next: Slot = slotAfter(state.decided); next <= decided; next = slotAfter(next)) {
    const held = state.durable.accepted.get(next);
    if (held === undefined || !equalBallots(held.ballot, ballot)) {
      return null;
    }
    computed = chainHash(computed, held.batch.digest);
    batches.push(held.batch);
  }
  return computed === chain ? batches : null;
}
