/**
 * What a forced recovery claims (PROTOCOL §4.7), held against what the run knows and no operator can: that nothing which was acknowledged
 * is lost where it says so, that what the survivors knew to be decided is kept, and that what may have been decided is not given up for
 * something that was not.
 */
import { type Ballot, compareBallots } from "../../paxos/ballot.js";
import type { Batch } from "../../paxos/batch.js";
import type { ReplicaId, Slot } from "../../paxos/ids.js";
import { chosenVotes, type History } from "../../paxos/invariants.js";
import type { Merged } from "../../paxos/merge.js";
import { Violation } from "../observer.js";

/** The log that the new lineage begins with: what was decided up to the base, and what the merge made of the slots behind it. */
export function recoveredLog(history: History, merged: Merged): readonly Batch[] {
  return [...history.decided.slice(0, baseOf(merged)), ...merged.entries];
}

function baseOf({ base }: Merged): number {
  return base?.snapshot.index ?? 0;
}

/** Throws a Violation where the recovery lost, or kept, what it must not. `survivors`: the replicas whose disks it was given. */
export function checkRecoveryClaims(history: History, merged: Merged, survivors: ReadonlySet<ReplicaId>): void {
  const base = baseOf(merged);
  demand(
    history.chains[base] === (merged.base?.snapshot.chain ?? history.chains[0]),
    `its state after slot ${base} is another than was decided`,
  );
  demand(merged.decided <= history.decided.length, `it calls slot ${merged.decided} decided, and nobody decided it`);
  const log = recoveredLog(history, merged);
  const differs = (slot: number): boolean => log[slot - 1]?.digest !== history.decided[slot - 1]?.digest;
  for (let slot = base + 1; slot <= history.decided.length; slot++) {
    const isKnown = slot <= merged.decided;
    demand(!isKnown || !differs(slot), `slot ${slot} was known to be decided, and is lost`);
    demand(merged.absentQuorum || !differs(slot), `slot ${slot} was decided and is lost, although it says that nothing is`);
    demand(
      slot > merged.last || !differs(slot) || !mayKnow(history, slot as Slot, survivors),
      `slot ${slot} was decided, a survivor had accepted the value in that ballot or a later one, and another value is kept`,
    );
  }
}

function demand(holds: boolean, text: string): void {
  if (!holds) {
    throw new Violation("recover", text);
  }
}

/** Whether one of `survivors` ever synced an acceptance of a slot in the ballot that decided it, or in a higher one. */
function mayKnow(history: History, slot: Slot, survivors: ReadonlySet<ReplicaId>): boolean {
  const votes = [...(history.votes.get(slot)?.values() ?? [])];
  const decided = history.decided[slot - 1]?.digest;
  const deciding = chosenVotes(history, slot).filter(({ digest }) => digest === decided);
  const lowest = deciding.reduce<Ballot | null>(
    (least, { ballot }) => (least === null || compareBallots(ballot, least) < 0 ? ballot : least),
    null,
  );
  return (
    lowest !== null &&
    votes.some(({ ballot, acceptors }) => compareBallots(ballot, lowest) >= 0 && [...acceptors].some((acceptor) => survivors.has(acceptor)))
  );
}
