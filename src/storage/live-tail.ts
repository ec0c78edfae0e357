/** The entries that a log still needs, as records: what a start and an install copy into a new segment before the old ones go. */
import { BALLOT_ZERO, type Ballot, compareBallots } from "../paxos/ballot.js";
import { SLOT_ZERO, type Slot } from "../paxos/ids.js";
import type { Durable, WalRecord } from "../paxos/record.js";

/** Every accepted and learned entry of `durable`, in the order of the slots. */
export function liveTail(durable: Durable): readonly WalRecord[] {
  const records: (WalRecord & { readonly slot: Slot })[] = [];
  for (const [slot, { ballot, batch }] of durable.accepted) {
    records.push({ kind: "accept", ballot, slot, batch });
  }
  for (const [slot, batch] of durable.learned) {
    records.push({ kind: "learn", slot, batch });
  }
  return records.sort((a, b) => a.slot - b.slot);
}

/** What a log begins with, in batches of about `batchBytes`; the first record opens the first. */
export function inBatches(records: readonly WalRecord[], batchBytes: number): ReadonlyArray<readonly WalRecord[]> {
  let batch: WalRecord[] = [];
  const batches = [batch];
  let bytes = 0;
  for (const record of records) {
    const size = record.kind === "accept" || record.kind === "learn" ? record.batch.payload.length : 0;
    if (batch.length > 0 && bytes + size > batchBytes) {
      batch = [];
      batches.push(batch);
      bytes = 0;
    }
    batch.push(record);
    bytes += size;
  }
  return batches;
}

/** A state of its own with the same entries; batches are shared, which nobody writes to. */
export function copyDurable(durable: Durable): Durable {
  return { ...durable, accepted: new Map(durable.accepted), learned: new Map(durable.learned) };
}

/** What a batch header says of the records in the batch. */
export type BatchSummary = { promised: Ballot; first: Slot; last: Slot; holdsState: boolean };

export function emptySummary(): BatchSummary {
  return { promised: BALLOT_ZERO, first: SLOT_ZERO, last: SLOT_ZERO, holdsState: false };
}

/** Adds one record to the summary of its batch. */
export function summarize(summary: BatchSummary, record: WalRecord): void {
  if ((record.kind === "promise" || record.kind === "accept") && compareBallots(record.ballot, summary.promised) > 0) {
    summary.promised = record.ballot;
  }
  if (record.kind === "accept" || record.kind === "learn") {
    summary.first = summary.first === 0 || record.slot < summary.first ? record.slot : summary.first;
    summary.last = record.slot > summary.last ? record.slot : summary.last;
  } else if (record.kind !== "promise" && record.kind !== "decided") {
    summary.holdsState = true;
  }
}
