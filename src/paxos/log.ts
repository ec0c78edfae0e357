/**
 * The log as this replica knows it: values, the contiguous decided prefix, the chain of hashes over it, the configuration
 * of each slot, and what may be dropped. Decides nothing itself: callers bring slots that are decided.
 */
import { assert, present } from "../base/assert.js";
import { chainHash, type Hash64 } from "../base/hash64.js";
import type { Batch } from "./batch.js";
import type { Configuration } from "./configuration.js";
import { type Slot, slotAfter } from "./ids.js";
import type { SnapshotMeta } from "./message.js";
import { type Outbox, persist } from "./outbox.js";
import { durableDecided } from "./record.js";
import type { ReplicaState } from "./state.js";

/** The value held for a slot: what was learned decided, else what was accepted. */
export function valueAt(state: ReplicaState, slot: Slot): Batch | undefined {
  return state.durable.learned.get(slot) ?? state.durable.accepted.get(slot)?.batch;
}

/** chain(slot), for trimmed <= slot <= decided. */
export function chainAt(state: ReplicaState, slot: Slot): Hash64 {
  return slot === state.durable.trimmed ? state.durable.trimmedChain : present(state.chains.get(slot), `chain(${slot}) is held`);
}

/** C(slot): what the decided prefix below `slot` says; for slots above decided + 1 it is a belief that may still change. */
export function configurationAt(state: ReplicaState, slot: Slot): Configuration {
  for (let i = state.configurations.length - 1; i >= 0; i--) {
    const entry = state.configurations[i];
    if (entry !== undefined && entry.from <= slot) {
      return entry.configuration;
    }
  }
  assert(false, `a configuration governs slot ${slot}`);
}

/** C(D + 1). */
export function currentConfiguration(state: ReplicaState): Configuration {
  return present(state.configurations.at(-1), "a replica with an identity has a configuration").configuration;
}

/** What a snapshot of the state after `slot` must say of the log. `slot` lies in trimmed..decided. */
export function snapshotBase(state: ReplicaState, slot: Slot): Pick<SnapshotMeta, "chain" | "configuration"> {
  return { chain: chainAt(state, slot), configuration: configurationAt(state, slotAfter(slot)) };
}

/** The next slot is decided with `batch`, which this log holds; hands it out for applying. */
export function advance(state: ReplicaState, out: Outbox, batch: Batch): void {
  const slot = extend(state, batch);
  out.push({ kind: "apply", slot, batch });
}

/** Moves D over one slot without handing it out: for what a snapshot covers at a restart. */
function extend(state: ReplicaState, batch: Batch): Slot {
  const slot = slotAfter(state.decided);
  assert(valueAt(state, slot)?.digest === batch.digest, "invariant 12: the decided value of a slot is held before D covers it");
  state.decided = slot;
  state.chain = chainHash(state.chain, batch.digest);
  state.chains.set(slot, state.chain);
  state.heldBytes += batch.payload.length;
  if (batch.kind === "configuration") {
    adoptConfiguration(state, slot, batch.configuration);
  }
  return slot;
}

/** A configuration entry takes effect at the next slot, unless it was made from another epoch than the current one (PROTOCOL §1.2). */
function adoptConfiguration(state: ReplicaState, slot: Slot, configuration: Configuration): void {
  const current = currentConfiguration(state);
  if (configuration.prevEpoch === current.epoch) {
    assert(configuration.epoch === current.epoch + 1, "invariant 13: epochs rise by exactly one");
    state.configurations.push({ from: slotAfter(slot), configuration });
  }
}

/** Rebuilds the volatile log from the durable one: D = max(hint, snapshot index), and on through learned slots (PROTOCOL §1.8). */
export function recoverLog(state: ReplicaState, out: Outbox): void {
  const { durable } = state;
  resetLog(state);
  const snapshotIndex = durable.snapshot?.index ?? durable.trimmed;
  const known = durableDecided(durable);
  for (let next = slotAfter(state.decided); next <= known || durable.learned.has(next); next = slotAfter(next)) {
    const batch = present(valueAt(state, next), `the log holds the decided slot ${next}`);
    if (next <= snapshotIndex) {
      extend(state, batch);
    } else {
      advance(state, out, batch);
    }
    if (next === durable.snapshot?.index) {
      assert(state.chain === durable.snapshot.chain, "the snapshot belongs to this log: its chain is ours");
    }
  }
}

/** The log is what lies above the trim point: after recovery began, or a snapshot from a peer replaced everything below. */
export function resetLog(state: ReplicaState): void {
  const { durable } = state;
  state.decided = durable.trimmed;
  state.chain = durable.trimmedChain;
  state.chains.clear();
  state.heldBytes = 0;
  state.configurations =
    durable.trimmedConfiguration === null ? [] : [{ from: slotAfter(durable.trimmed), configuration: durable.trimmedConfiguration }];
}

/**
 * Drops what a durable snapshot covers, keeping keepSlots or keepBytes, whichever is less, for replicas that lag. Never
 * waits for a dead voter: whoever falls further behind gets the snapshot.
 */
export function trimLog(state: ReplicaState, out: Outbox): void {
  const { durable, options } = state;
  const index = durable.snapshot?.index ?? durable.trimmed;
  let last = durable.trimmed;
  while (last < index && (state.decided - last > options.keepSlots || state.heldBytes > options.keepBytes)) {
    last = slotAfter(last);
    state.heldBytes -= present(valueAt(state, last), "a decided slot is held until it is trimmed").payload.length;
  }
  if (last === durable.trimmed) {
    return;
  }
  const base = snapshotBase(state, last);
  for (let dropped = slotAfter(durable.trimmed); dropped < last; dropped = slotAfter(dropped)) {
    state.chains.delete(dropped);
  }
  persist(state, out, [{ kind: "trim", slot: last, ...base }], []);
  state.chains.delete(last);
  const governing = state.configurations.findLastIndex((entry) => entry.from <= last + 1);
  state.configurations.splice(0, governing);
  out.push({ kind: "trim", slot: last });
}
