/**
 * Recovery returns everything that was synced (PROTOCOL §7.1, invariants 16, 24 and 35): what a life was told to be on disk is there in
 * the next, whatever crash lay between and however many segments were recycled. A damaged disk may be refused, and may have lost its newest
 * snapshot and what it knew to be decided; what is left must still be true to what was promised and accepted.
 */
import { compareBallots, formatBallot } from "../../paxos/ballot.js";
import { type Durable, durableDecided } from "../../paxos/record.js";
import { Violation } from "../observer.js";

/** What happened to a disk since it was made. */
export type DiskPast = {
  readonly wiped: boolean;
  readonly restored: boolean /** Something on it was damaged. */;
  readonly forgetful: boolean;
};

/** Compares what a disk was told to hold with what recovery found on it. */
export function checkRecovered(server: number, { told, found }: { readonly told: Durable; readonly found: Durable }, past: DiskPast): void {
  if (past.restored || (past.wiped && told.diskId !== found.diskId)) {
    return; // another disk, or the same one as it was before
  }
  const demand = (holds: boolean, what: () => string): void => {
    if (!holds) {
      throw new Violation("16", `the recovery of n${server + 1} has lost ${what()}`);
    }
  };
  demand(told.boot === 0 || told.diskId === found.diskId, () => "its disk id");
  demand(found.boot > told.boot, () => `its boot count: ${found.boot} after ${told.boot}`);
  demand(told.replica === 0 || told.replica === found.replica, () => `its identity: replica ${found.replica} after ${told.replica}`);
  demand(compareBallots(found.promised, told.promised) >= 0, () => `its promise ${formatBallot(told.promised)}`);
  demand(
    past.forgetful || durableDecided(found) >= durableDecided(told),
    () => `its decided slot ${durableDecided(told)}, it has ${durableDecided(found)}`,
  );
  demand(
    past.forgetful || (found.snapshot?.index ?? 0) >= (told.snapshot?.index ?? 0),
    () => `its snapshot of slot ${told.snapshot?.index}`,
  );
  const floor = found.trimmed;
  demand(floor <= (found.snapshot?.index ?? 0), () => `the slots up to ${floor}, which no snapshot holds`);
  for (const [slot, { ballot, batch }] of told.accepted) {
    const held = found.accepted.get(slot);
    const same = held !== undefined && (compareBallots(held.ballot, ballot) > 0 || held.batch.digest === batch.digest);
    demand(slot <= floor || same, () => `what it accepted in slot ${slot} at ${formatBallot(ballot)}`);
  }
  for (const [slot, batch] of told.learned) {
    demand(slot <= floor || found.learned.get(slot)?.digest === batch.digest, () => `the decided value it learned for slot ${slot}`);
  }
}
