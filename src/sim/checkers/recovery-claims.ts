/**
 * What a forced recovery claims (PROTOCOL §4.7), held against what the run knows and no operator can: that nothing which was acknowledged
 * is lost where it says so, that what the survivors knew to be decided is kept, that what may have been decided is not given up for
 * something that was not, that nothing which they hold is left out, and that it refuses only what it must. What the disks hold is counted here once
 * more, from what they were told.
 */
import { type Ballot, compareBallots } from "../../paxos/ballot.js";
import type { Batch } from "../../paxos/batch.js";
import type { ReplicaId, Slot } from "../../paxos/ids.js";
import { chosenVotes, type History } from "../../paxos/invariants.js";
import type { Merged } from "../../paxos/merge.js";
import { type Durable, durableDecided } from "../../paxos/record.js";
import { Violation } from "../observer.js";

/** What the disk of a survivor was told to hold, and had synced, when it stopped. */
export type Told = Readonly<Durable>;

/** What survivors hold together: whether any has a state to begin with, the end of what they know to be decided, and that of their values without a gap. */
type Held = { readonly hasState: boolean; readonly knows: number; readonly through: number };

function heldTogether(survivors: readonly Told[]): Held {
  // Who joined begins behind slots that it never had: only its first snapshot is a state.
  const hasState = survivors.some(({ snapshot, trimmed, trimmedConfiguration }) => {
    const isFounder = trimmed === 0 && trimmedConfiguration?.prevEpoch === 0;
    return snapshot !== null || isFounder;
  });
  let through = Math.max(0, ...survivors.map(({ snapshot }) => snapshot?.index ?? 0));
  const isHeld = (slot: number): boolean =>
    survivors.some(({ accepted, learned }) => accepted.has(slot as Slot) || learned.has(slot as Slot));
  while (isHeld(through + 1)) {
    through++;
  }
  return { hasState, knows: Math.max(0, ...survivors.map(durableDecided)), through };
}

/** Throws a Violation where the tool, which says `text`, refuses directories out of which a state can be made. */
export function checkRefusal(text: string, survivors: readonly Told[]): void {
  const { hasState, knows, through } = heldTogether(survivors);
  demand(!hasState || knows > through, `it refuses what can be recovered, up to slot ${through}: ${text}`);
}

/** The log that the new lineage begins with: what was decided up to the base, and what the merge made of the slots behind it. */
export function recoveredLog(history: History, merged: Merged): readonly Batch[] {
  return [...history.decided.slice(0, baseOf(merged)), ...merged.entries];
}

function baseOf({ base }: Merged): number {
  return base?.snapshot.index ?? 0;
}

/** Throws a Violation where the recovery lost, or kept, what it must not. `survivors`: the disks that it was given. */
export function checkRecoveryClaims(history: History, merged: Merged, survivors: readonly Told[]): void {
  const { knows, through } = heldTogether(survivors);
  demand(merged.last >= through, `it keeps slots up to ${merged.last}, and the survivors hold values up to slot ${through}`);
  demand(merged.decided >= knows, `it calls slots up to ${merged.decided} decided, and a survivor knows it up to slot ${knows}`);
  const replicas = new Set(survivors.map(({ replica }) => replica));
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
      slot > merged.last || !differs(slot) || !mayKnow(history, slot as Slot, replicas),
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
