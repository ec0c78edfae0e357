/**
 * What must hold of one configuration and the next (PROTOCOL §7.1, invariants 13 and 33), and who is a quorum, written down once more:
 * the check must not share the mistakes of configuration.ts. Pure.
 */
import { type Configuration, encodeConfiguration, type RosterEntry } from "./configuration.js";
import type { ReplicaId, Slot } from "./ids.js";

/** What is wrong, and the number of the invariant that says so. */
export type Fault = { readonly invariant: number; readonly text: string };

/** More than half of the voters, or exactly half with the one that breaks ties. */
export function isQuorumOf({ voters, tieBreak }: Configuration, isIn: (replica: ReplicaId) => boolean): boolean {
  const counted = voters.filter(isIn);
  return counted.length * 2 > voters.length || (counted.length * 2 === voters.length && counted.includes(tieBreak));
}

const texts = new WeakMap<Configuration, string>();

function textOf(configuration: Configuration): string {
  let text = texts.get(configuration);
  if (text === undefined) {
    text = encodeConfiguration(configuration).join(" ");
    texts.set(configuration, text);
  }
  return text;
}

export function isSameConfiguration(a: Configuration, b: Configuration): boolean {
  return a === b || textOf(a) === textOf(b);
}

/** What is wrong with `after` as the configuration next to `before`; null if nothing is. `disks`: the disk and address of every id ever given. */
export function configurationFault(before: Configuration, after: Configuration, disks: ReadonlyMap<ReplicaId, string>): Fault | null {
  const steps = [
    ...before.voters.filter((voter) => !after.voters.includes(voter)),
    ...after.voters.filter((voter) => !before.voters.includes(voter)),
  ];
  if (after.epoch !== before.epoch + 1) {
    return { invariant: 13, text: `epoch ${after.epoch} follows ${before.epoch}` };
  }
  if (steps.length > 1) {
    return { invariant: 13, text: `epoch ${after.epoch} changes ${steps.length} voters at once: ${steps.join(", ")}` };
  }
  return shapeFault(after) ?? rosterFault(before, after, disks);
}

function shapeFault({ epoch, voters, tieBreak, roster }: Configuration): Fault | null {
  const listed = new Set(roster.map(({ replica }) => replica));
  const isSound =
    voters.length > 0 && new Set(voters).size === voters.length && voters.every((voter) => listed.has(voter)) && voters.includes(tieBreak);
  return isSound ? null : { invariant: 13, text: `in epoch ${epoch} ${voters.join(", ")} vote, ties are broken by ${tieBreak}` };
}

/** An id is given once, to one disk at one address; who left does not come back. */
function rosterFault(before: Configuration, after: Configuration, disks: ReadonlyMap<ReplicaId, string>): Fault | null {
  const known = new Set(before.roster.map(({ replica }) => replica));
  for (const entry of after.roster) {
    const held = disks.get(entry.replica);
    if (held !== undefined && held !== diskOf(entry)) {
      return { invariant: 33, text: `replica ${entry.replica} was ${held}, and is now ${diskOf(entry)}` };
    }
    if (!known.has(entry.replica) && entry.replica < before.nextReplicaId) {
      return { invariant: 33, text: `replica ${entry.replica} was removed, and is listed again in epoch ${after.epoch}` };
    }
    if (entry.replica >= after.nextReplicaId) {
      return { invariant: 33, text: `replica ${entry.replica} is listed, and its id may be given again` };
    }
  }
  return after.nextReplicaId < before.nextReplicaId ? { invariant: 33, text: `ids are given again from ${after.nextReplicaId}` } : null;
}

/** The disk and the address of a member. */
export function diskOf({ diskId, address }: RosterEntry): string {
  return `disk ${diskId} at ${address}`;
}

/** Settled means that a quorum of the new voters has the entry in its durable decided prefix (29). `durable`: that slot, by replica. */
export function settledFault(configuration: Configuration, entry: Slot, durable: ReadonlyMap<ReplicaId, Slot>): Fault | null {
  const knows = (replica: ReplicaId): boolean => (durable.get(replica) ?? 0) >= entry;
  const text = `epoch ${configuration.epoch} is called settled, but only ${configuration.voters.filter(knows).join(", ") || "nobody"} of ${configuration.voters.join(", ")} has slot ${entry} durably decided`;
  return isQuorumOf(configuration, knows) ? null : { invariant: 29, text };
}
