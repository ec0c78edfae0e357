/**
 * What the disks that survived know together, for a forced recovery (PROTOCOL §4.7): for each slot the decided value, else the one
 * accepted at the highest ballot, up to the first slot of which nobody holds anything. Pure; it reads, decides, and tells what it
 * could not know. It must never mix clusters or lineages, and never choose between two values that are both said to be decided.
 */
import { present } from "../base/assert.js";
import { chainHash, type Hash64 } from "../base/hash64.js";
import { BALLOT_ZERO, type Ballot, compareBallots } from "./ballot.js";
import type { Batch } from "./batch.js";
import { type Configuration, isQuorum, type RosterEntry } from "./configuration.js";
import { type ReplicaId, SLOT_ZERO, type Slot, slotAfter, VIRGIN } from "./ids.js";
import { FOUNDING_EPOCH } from "./joining.js";
import { kinshipOf } from "./kinship.js";
import type { SnapshotMeta } from "./message.js";
import { type Durable, durableDecided } from "./record.js";

/** A disk that is left, and how to name it: the path of its directory. */
export type Survivor = { readonly name: string; readonly durable: Durable };

/** What one survivor knew. */
export type Knowledge = {
  readonly name: string;
  readonly replica: ReplicaId;
  /** As the newest configuration lists it; null where it lists it no more. */
  readonly address: string | null;
  /** Everything up to here it knew to be decided. */
  readonly decided: Slot;
  /** The highest slot of which it holds a value. */
  readonly highest: Slot;
};

export type Merged = {
  readonly kind: "merged";
  /** One of the survivors whose state counts: its cluster and lineage are those of all. */
  readonly survivor: Survivor;
  /** Whose snapshot the state begins with, and that snapshot; null where the log goes back to the first slot. */
  readonly base: { readonly survivor: Survivor; readonly snapshot: SnapshotMeta } | null;
  /** Governs the slot after the base. */
  readonly baseConfiguration: Configuration;
  /** The values of the slots after the base, without a gap. */
  readonly entries: readonly Batch[];
  readonly last: Slot;
  /** Up to here the values are known to be decided; those above it may have been. */
  readonly decided: Slot;
  /** Governs the slot after `last`. */
  readonly configuration: Configuration;
  /** The highest ballot that any of them promised or accepted at. */
  readonly promised: Ballot;
  readonly knowledge: readonly Knowledge[];
  /** Voters that are not among the survivors, of every configuration that may have been in force since `decided`. */
  readonly absent: readonly RosterEntry[];
  /** Whether those could have decided something among themselves: only then what was acknowledged can be lost. */
  readonly absentQuorum: boolean;
  /** Slots above the first gap of which values are held, which are given up; null where there are none. */
  readonly beyond: { readonly first: Slot; readonly last: Slot; readonly count: number } | null;
};

export type MergeResult = Merged | { readonly kind: "refused"; readonly text: string };

/** A survivor with the end of what it knows to be decided, found once. */
type Disk = Survivor & { readonly decided: Slot };

/** Merges what `survivors`, at least one, hold; or says why they cannot be. */
export function mergeSurvivors(given: readonly Survivor[]): MergeResult {
  const refusal = refuseStrangers(given) ?? refuseCopies(given);
  if (refusal !== null) {
    return refused(refusal);
  }
  const survivors = given.map((one): Disk => ({ ...one, decided: decidedOf(one.durable) }));
  const holders = survivors.filter(({ durable }) => holdsState(durable));
  const first = holders.reduce<Disk | null>((best, one) => (best === null || baseSlot(one) > baseSlot(best) ? one : best), null);
  if (first === null) {
    return refused("None of these directories holds a state: their servers had just joined and had not caught up.");
  }
  const contradiction = holders.find((one) => contradictsBase(one, first.durable));
  if (contradiction !== undefined) {
    return refused(`${contradiction.name} and ${first.name} say that different values were decided: they never belonged to one log.`);
  }
  return collect(survivors, first);
}

function refused(text: string): MergeResult {
  return { kind: "refused", text };
}

function refuseStrangers(survivors: readonly Survivor[]): string | null {
  const own = present(survivors[0], "there is a survivor");
  for (const { name, durable } of survivors) {
    if (durable.replica === VIRGIN) {
      return `${name} holds nothing: its server never belonged to a cluster. Leave it out.`;
    }
    const kinship = kinshipOf(own.durable, durable);
    if (kinship === "otherCluster") {
      return `${own.name} belongs to cluster ${hex(own.durable.clusterId)}, ${name} to cluster ${hex(durable.clusterId)}: give only the directories of one cluster.`;
    }
    if (kinship !== "same") {
      return `${own.name} is of lineage ${lineageText(own.durable)}, ${name} of lineage ${lineageText(durable)}: a forced recovery lies between them. Give only the directories of the lineage that is to go on.`;
    }
  }
  return null;
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, "0");
}

function lineageText({ lineage }: Durable): string {
  return `${lineage.number} (${hex(lineage.random)})`;
}

/** Of two copies of one disk, one forgot what the other promised: nobody should have to guess which. */
function refuseCopies(survivors: readonly Survivor[]): string | null {
  for (const [i, { name, durable }] of survivors.entries()) {
    const other = survivors.slice(0, i).find((one) => one.durable.replica === durable.replica);
    if (other !== undefined) {
      return `${other.name} and ${name} are two copies of replica ${durable.replica}: give only the one that ran last (they were started ${other.durable.boot} and ${durable.boot} times).`;
    }
  }
  return null;
}

/** A server that joined has no log from the first slot on: until its first snapshot it holds no state. */
function holdsState({ snapshot, trimmed, trimmedConfiguration }: Durable): boolean {
  return snapshot !== null || (trimmed === SLOT_ZERO && trimmedConfiguration?.epoch === FOUNDING_EPOCH);
}

function baseSlot({ durable }: Survivor): Slot {
  return durable.snapshot?.index ?? SLOT_ZERO;
}

/** The end of what a disk knows to be decided: up to its durable decided slot, and on through what it learned. */
function decidedOf(durable: Durable): Slot {
  let decided = durableDecided(durable);
  while (durable.learned.has(slotAfter(decided))) {
    decided = slotAfter(decided);
  }
  return decided;
}

function decidedValue({ durable, decided }: Disk, slot: Slot): Batch | undefined {
  return durable.learned.get(slot) ?? (slot <= decided ? durable.accepted.get(slot)?.batch : undefined);
}

/** Whether the decided values of a log that reaches over the base add up to another chain than the base's. */
function contradictsBase(disk: Disk, { snapshot }: Durable): boolean {
  const { durable, decided } = disk;
  if (snapshot === null || durable.trimmed > snapshot.index || decided < snapshot.index) {
    return false;
  }
  let chain: Hash64 = durable.trimmedChain;
  for (let slot = slotAfter(durable.trimmed); slot <= snapshot.index; slot = slotAfter(slot)) {
    const value = decidedValue(disk, slot);
    if (value === undefined) {
      return false; // a log that began with a later snapshot
    }
    chain = chainHash(chain, value.digest);
  }
  return chain !== snapshot.chain;
}

type Choice = { readonly batch: Batch } | { readonly conflict: readonly [string, string] } | null;

/** The value of one slot: the decided one, else that of the highest ballot; null where nobody holds any. */
function choose(disks: readonly Disk[], slot: Slot): Choice {
  let decided: { readonly name: string; readonly batch: Batch } | null = null;
  let accepted: { readonly ballot: Ballot; readonly batch: Batch } | null = null;
  for (const disk of disks) {
    const { name, durable } = disk;
    const value = decidedValue(disk, slot);
    if (value !== undefined && decided !== null && decided.batch.digest !== value.digest) {
      return { conflict: [decided.name, name] };
    }
    decided ??= value === undefined ? null : { name, batch: value };
    const held = durable.accepted.get(slot);
    if (held !== undefined && (accepted === null || compareBallots(held.ballot, accepted.ballot) > 0)) {
      accepted = held;
    }
  }
  return decided ?? accepted;
}

/** The log from the base on. `possible`: the configurations that may have been in force since the last slot known to be decided. */
type Line = { readonly entries: Batch[]; last: Slot; possible: Configuration[] };

function collect(disks: readonly Disk[], first: Disk): MergeResult {
  const { snapshot, trimmedConfiguration } = first.durable;
  const baseConfiguration = present(snapshot?.configuration ?? trimmedConfiguration, "an identity has a configuration");
  const decided = disks.reduce<Slot>((most, disk) => (disk.decided > most ? disk.decided : most), SLOT_ZERO);
  const line: Line = { entries: [], last: baseSlot(first), possible: [baseConfiguration] };
  for (let choice = choose(disks, slotAfter(line.last)); choice !== null; choice = choose(disks, slotAfter(line.last))) {
    if ("conflict" in choice) {
      return refused(
        `${choice.conflict[0]} and ${choice.conflict[1]} hold different decided values for slot ${line.last + 1}: one of them lies.`,
      );
    }
    append(line, choice.batch, decided);
  }
  if (decided > line.last) {
    return refused(`Slot ${line.last + 1} was decided, as slot ${decided} is known to be, but none of the directories holds its value.`);
  }
  const { entries, last, possible } = line;
  const configuration = present(possible.at(-1), "a configuration is in force");
  const isAbsent = (replica: ReplicaId): boolean => !disks.some(({ durable }) => durable.replica === replica);
  return {
    kind: "merged",
    survivor: first,
    base: snapshot === null ? null : { survivor: first, snapshot },
    baseConfiguration,
    entries,
    last,
    decided,
    configuration,
    promised: disks.reduce<Ballot>((most, { durable }) => higher(most, durable.promised), BALLOT_ZERO),
    knowledge: disks.map((disk) => knowledgeOf(disk, configuration)),
    absent: votersOf(possible).filter(({ replica }) => isAbsent(replica)),
    absentQuorum: possible.some((one) => isQuorum(one, isAbsent)),
    beyond: beyondGap(disks, last),
  };
}

/** An entry that was made from another epoch changes nothing, as in a running log. */
function append(line: Line, batch: Batch, decided: Slot): void {
  line.last = slotAfter(line.last);
  line.entries.push(batch);
  if (batch.kind === "configuration" && batch.configuration.prevEpoch === line.possible.at(-1)?.epoch) {
    line.possible = line.last <= decided ? [batch.configuration] : [...line.possible, batch.configuration];
  }
}

function votersOf(configurations: readonly Configuration[]): readonly RosterEntry[] {
  const voters = new Map<ReplicaId, RosterEntry>();
  for (const { roster, voters: ids } of configurations) {
    for (const entry of roster.filter(({ replica }) => ids.includes(replica))) {
      voters.set(entry.replica, entry);
    }
  }
  return [...voters.values()].sort((a, b) => a.replica - b.replica);
}

function higher(a: Ballot, b: Ballot): Ballot {
  return compareBallots(a, b) >= 0 ? a : b;
}

function knowledgeOf({ name, durable, decided }: Disk, configuration: Configuration): Knowledge {
  const highest = [...heldSlots(durable)].reduce<Slot>((most, slot) => (slot > most ? slot : most), decided);
  const address = configuration.roster.find(({ replica }) => replica === durable.replica)?.address ?? null;
  return { name, replica: durable.replica, address, decided, highest };
}

function* heldSlots(durable: Durable): Iterable<Slot> {
  yield* durable.accepted.keys();
  yield* durable.learned.keys();
}

function beyondGap(survivors: readonly Survivor[], last: Slot): Merged["beyond"] {
  const slots = new Set(survivors.flatMap(({ durable }) => [...heldSlots(durable)].filter((slot) => slot > last)));
  const [first] = [...slots].sort((a, b) => a - b);
  if (first === undefined) {
    return null;
  }
  return { first, last: [...slots].reduce((most, slot) => (slot > most ? slot : most), first), count: slots.size };
}
