/** What a forced recovery keeps and may lose, in lines for people who must decide. It must say nothing that it does not know. */
import type { Merged } from "../paxos/merge.js";
import { REVISIONS_SKIPPED, type Recovery } from "./forced-recovery.js";

/** The lines, without ends. */
export function recoveryReport(
  { merged, clusterId, lineage, replica, warnings }: Recovery,
  to: string,
  address: string,
): readonly string[] {
  const { knowledge, last, decided } = merged;
  return [
    `Cluster ${clusterId.toString(16).padStart(16, "0")}, lineage ${lineage.number}. Found:`,
    ...knowledge.map(
      (one) =>
        `  ${one.name}: replica ${one.replica} (${one.address ?? "a member no more"}), knows slots up to ${one.decided} to be decided, holds values up to slot ${one.highest}`,
    ),
    ...warnings.map((text) => `  ${text}`),
    `Kept: everything up to slot ${last}.`,
    ...(last > decided
      ? [`  Not known to be decided, and kept all the same: ${slots(decided + 1, last)}. Clients may not have been told of them.`]
      : []),
    ...beyondLines(merged),
    ...absentLines(merged),
    `To be made: ${to}, replica ${replica} at ${address}, the only voter of lineage ${lineage.number + 1}. Revisions move forward by ${REVISIONS_SKIPPED}, and the history is compacted.`,
    ...addressLines(merged, address),
    "After that the servers of the old lineage are turned away for ever. The directories read are not changed.",
  ];
}

/** Where the new server is looked for by those that are started with an empty disk. */
function addressLines({ configuration: { roster } }: Merged, address: string): readonly string[] {
  return roster.some((entry) => entry.address === address)
    ? []
    : [
        `  No member was at ${address}: servers with the old list do not find it. Add it to their lists, or take one of ${roster.map((entry) => entry.address).join(", ")}.`,
      ];
}

function slots(first: number, last: number): string {
  return first === last ? `slot ${first}` : `slots ${first} to ${last}`;
}

function beyondLines({ last, beyond }: Merged): readonly string[] {
  if (beyond === null) {
    return [];
  }
  const { first, last: highest, count } = beyond;
  return [
    `Given up: ${count === 1 ? `the value of slot ${first}` : `${count} values of ${slots(first, highest)}`}, because nobody holds the one of slot ${last + 1} before.`,
  ];
}

function absentLines({ absent, absentQuorum, last }: Merged): readonly string[] {
  if (absent.length === 0) {
    return ["No voter is missing among the directories: nothing that was acknowledged is lost.", STARTING];
  }
  const names = absent.map((entry) => `replica ${entry.replica} (${entry.address})`).join(", ");
  const head = `Missing: ${names}.`;
  return absentQuorum
    ? [
        head,
        `MAY BE LOST: every write that was acknowledged behind slot ${last} and is on disks of those alone. Nobody can tell whether there are any.`,
      ]
    : [head, "They are no quorum: nothing that was acknowledged is lost.", STARTING];
}

const STARTING = "A recovery may not be needed: these servers are a quorum and can simply be started, with their directories as they are.";
