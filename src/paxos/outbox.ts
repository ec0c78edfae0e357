/**
 * Collects the effects of one step in the order in which they must run. The only place that hands out an lsn, fixes a
 * header, or applies a record: a pledge can be put nowhere but behind the records it speaks of.
 */
import type { Effect, PledgeSend } from "./effect.js";
import type { Address } from "./ids.js";
import type { Header, Notice, Pledge } from "./message.js";
import { applyRecord, type WalRecord } from "./record.js";
import type { ReplicaState } from "./state.js";

export type Outbox = Effect[];

/** The header of a message sent now. */
export function headerOf(state: ReplicaState): Header {
  const { clusterId, lineage, replica } = state.durable;
  return { clusterId, lineage, from: replica, epoch: state.configurations.at(-1)?.configuration.epoch ?? 0 };
}

/** Whether the identity that a message would leave under is on disk. */
export function isNamed({ founding, persistedLsn }: ReplicaState): boolean {
  return founding.identityLsn === null || founding.identityLsn <= persistedLsn;
}

/**
 * Sends a notice, unless the identity it would speak under is not synced yet: the first message under a ReplicaId comes after
 * its record (PROTOCOL §1.8), and every notice is said again or asked for again.
 */
export function send(state: ReplicaState, out: Outbox, to: readonly Address[], message: Notice): void {
  if (to.length > 0 && isNamed(state)) {
    out.push({ kind: "send", to, header: headerOf(state), message });
  }
}

/**
 * Applies `records` and hands them to the disk; `pledges` leave once they, and everything persisted before, are synced.
 * Returns the lsn that `persisted` will report. The decided slot rides along whenever the log grows, so that the durable
 * one never lags the volatile one by more than the window (PROTOCOL §1.4, step 2).
 */
export function persist(
  state: ReplicaState,
  out: Outbox,
  records: readonly WalRecord[],
  pledges: ReadonlyArray<{ readonly to: readonly Address[]; readonly message: Pledge }>,
): number {
  const isHintDue = records.length > 0 && state.decided > state.durable.hint && !records.some((record) => record.kind === "decided");
  const all: readonly WalRecord[] = isHintDue ? [...records, { kind: "decided", slot: state.decided }] : records;
  for (const record of all) {
    applyRecord(state.durable, record);
  }
  // The header is made after the records: a pledge behind an identity record speaks under that identity.
  const header = headerOf(state);
  const thenSend: PledgeSend[] = pledges.filter(({ to }) => to.length > 0).map(({ to, message }) => ({ to, header, message }));
  state.lsn++;
  const bytes = payloadBytes(records);
  state.unsynced.push({ lsn: state.lsn, at: state.now, bytes });
  state.unsyncedBytes += bytes;
  out.push({ kind: "persist", lsn: state.lsn, records: all, thenSend });
  return state.lsn;
}

function payloadBytes(records: readonly WalRecord[]): number {
  let bytes = 0;
  for (const record of records) {
    bytes += record.kind === "accept" || record.kind === "learn" ? record.batch.payload.length : 0;
  }
  return bytes;
}

/** Tells a person, once per code and subject. */
export function notice(state: ReplicaState, out: Outbox, level: "info" | "warn" | "error", code: string, text: string): void {
  const key = `${code} ${text}`;
  if (!state.noticed.has(key)) {
    if (state.noticed.size >= NOTICES_MAX) {
      state.noticed.clear();
    }
    state.noticed.add(key);
    out.push({ kind: "notice", level, code, text });
  }
}

/** How many distinct notices are remembered before repeats are let through. */
const NOTICES_MAX = 1000;
