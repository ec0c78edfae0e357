/**
 * The directory that a forced recovery makes (PROTOCOL §4.7), as a start would find it: the log that the tool said, then one entry that moves
 * the revisions and one that leaves the new replica as the only voter, above every promise and with every id of before. Written down from the
 * protocol, not from the code that makes it.
 */
import { formatBallot } from "../../paxos/ballot.js";
import type { Batch } from "../../paxos/batch.js";
import type { Configuration } from "../../paxos/configuration.js";
import type { Address } from "../../paxos/ids.js";
import { type History, historyAfterRecovery } from "../../paxos/invariants.js";
import type { Merged } from "../../paxos/merge.js";
import { type Durable, durableDecided } from "../../paxos/record.js";
import { Violation } from "../observer.js";
import { recoveredLog, type Told } from "./recovery-claims.js";

/** What the tool said, and what is on the disk that it made. */
export type NewLineage = { readonly merged: Merged; readonly durable: Readonly<Durable> };

/** The entries that follow what was kept: revisions, configuration. */
const APPENDED = 2;

/** The whole log of the new directory, from slot 1 on. Throws a Violation where it is not the one that the tool said. */
export function logOfNewLineage(history: History, { merged, durable }: NewLineage): readonly Batch[] {
  const log = [...recoveredLog(history, merged)];
  const learned: ReadonlyMap<number, Batch> = durable.learned;
  for (let batch = learned.get(log.length + 1); batch !== undefined; batch = learned.get(log.length + 1)) {
    log.push(batch);
  }
  for (const [slot, batch] of learned) {
    demand(log[slot - 1]?.digest === batch.digest, () => `holds another value for slot ${slot} than the tool said`);
  }
  return log;
}

/** The configuration that the recovery began from: in force behind what was kept. `log`: that of the new directory. */
export function configurationBefore(
  history: History,
  { merged }: Pick<NewLineage, "merged">,
  log: readonly Batch[],
): Configuration | undefined {
  return historyAfterRecovery(history, log.slice(0, merged.last)).configurations.at(-1)?.configuration;
}

/** Members that vote, or may as soon as they can. */
export function votersToBe({ roster, voters }: Configuration): Configuration["roster"] {
  return roster.filter((entry) => entry.electable || voters.includes(entry.replica));
}

/** Throws a Violation where the new directory is not what it must be. `address`: of the server that will run on it. */
export function checkNewLineage(
  history: History,
  made: NewLineage,
  { survivors, address }: { readonly survivors: readonly Told[]; readonly address: Address },
): void {
  const { merged, durable } = made;
  const log = logOfNewLineage(history, made);
  demand(log.length === merged.last + APPENDED, () => `holds ${log.length - merged.last} entries behind what was kept, not ${APPENDED}`);
  demand(durableDecided(durable) === log.length, () => `knows slots up to ${durableDecided(durable)} to be decided, of ${log.length}`);
  demand(log[merged.last]?.kind === "commands", () => "does not move the revisions first");
  const before = configurationBefore(history, made, log);
  const entry = log.at(-1);
  demand(before !== undefined && entry?.kind === "configuration", () => "does not end with a configuration");
  if (before !== undefined && entry?.kind === "configuration") {
    checkOnlyVoter(before, entry.configuration, durable, address);
  }
  for (const told of survivors) {
    const { round } = told.promised;
    demand(
      durable.promised.round > round,
      () => `promises ${formatBallot(durable.promised)}, and ${formatBallot(told.promised)} was promised before`,
    );
    demand(
      durable.clusterId === told.clusterId && durable.lineage.number === told.lineage.number + 1,
      () => `is of lineage ${durable.lineage.number}`,
    );
    demand(durable.diskId !== told.diskId, () => "has the id of another disk");
  }
}

/** `after` leaves the replica of the new disk as the only voter, under an id that nobody had, and forgets no other member and no vote. */
function checkOnlyVoter(before: Configuration, after: Configuration, { replica, diskId }: Readonly<Durable>, address: Address): void {
  demand(
    after.voters.length === 1 && after.voters[0] === replica && after.tieBreak === replica,
    () => `is not the only voter: ${after.voters.join(", ")} vote`,
  );
  demand(
    after.prevEpoch === before.epoch && after.epoch > before.epoch,
    () => `makes epoch ${after.epoch} from ${after.prevEpoch}, behind epoch ${before.epoch}`,
  );
  demand(replica >= before.nextReplicaId && after.nextReplicaId > replica, () => `has the id ${replica}, which somebody may have had`);
  const own = after.roster.filter((entry) => entry.address === address);
  demand(own.length === 1 && own[0]?.replica === replica && own[0].diskId === diskId, () => `is not the one member at ${address}`);
  const toVote = votersToBe(before);
  for (const entry of before.roster.filter((listed) => listed.address !== address)) {
    const kept = after.roster.find((listed) => listed.replica === entry.replica);
    demand(kept?.address === entry.address && kept.diskId === entry.diskId, () => `has forgotten replica ${entry.replica}`);
    demand(!toVote.includes(entry) || kept?.electable === true, () => `lets replica ${entry.replica} never vote again`);
  }
}

function demand(holds: boolean, what: () => string): void {
  if (!holds) {
    throw new Violation("recover", `the new directory ${what()}`);
  }
}
