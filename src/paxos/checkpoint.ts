/**
 * Comparison of states: every CHECKPOINT_SLOTS slots each replica notes chain and state hash, and Pings carry the newest.
 * Equal slots must show equal hashes (invariants 21 and 36); who disagrees with a majority serves and votes no more (PROTOCOL §6).
 */

import type { Hash64 } from "../base/hash64.js";
import { isQuorum } from "./configuration.js";
import { stepDown } from "./coordinator.js";
import type { Slot } from "./ids.js";
import { chainAt, currentConfiguration } from "./log.js";
import type { Ping } from "./message.js";
import { notice, type Outbox } from "./outbox.js";
import type { Peer, ReplicaState } from "./state.js";

/** Slots between two comparisons. */
export const CHECKPOINT_SLOTS = 4096;

/** The state machine's hash after `slot`. */
export function onCheckpoint(state: ReplicaState, slot: Slot, stateHash: Hash64): void {
  if (slot >= state.durable.trimmed && slot <= state.decided && slot > (state.checkpoint?.slot ?? 0)) {
    state.checkpoint = { slot, chain: chainAt(state, slot), stateHash };
    state.disagreeing.clear();
  }
}

/** A peer's checkpoint of the same slot must equal ours; at two voters both raise the alarm and neither is believed. */
export function compareCheckpoint(state: ReplicaState, out: Outbox, peer: Peer, theirs: NonNullable<Ping["checkpoint"]>): void {
  const ours = state.checkpoint;
  if (ours === null || ours.slot !== theirs.slot || (ours.chain === theirs.chain && ours.stateHash === theirs.stateHash)) {
    return;
  }
  state.disagreeing.add(peer.replica);
  notice(
    state,
    out,
    "error",
    "state-differs",
    `The state after slot ${ours.slot} differs between this server (${ours.stateHash}) and ${peer.address} (${theirs.stateHash}).`,
  );
  const configuration = currentConfiguration(state);
  if (configuration.voters.length > 2 && isQuorum(configuration, (replica) => state.disagreeing.has(replica)) && !state.quarantined) {
    state.quarantined = true;
    stepDown(state, out, "this replica's state differs from the majority's");
    out.push({
      kind: "halt",
      drains: false,
      text: `A majority holds another state after slot ${ours.slot} than this server: set its data directory aside; the others go on without it.`,
    });
  }
}
