/**
 * The port of the state machine: what `server/` may ask of it, whatever engine is behind. `store.ts` has the one in memory.
 * Everything is synchronous and deterministic in the log; only where memory lies depends on when `maintain` is called.
 */
import type { Hash64 } from "../base/hash64.js";
import type { KvError } from "./error.js";
import type { Found, HistoryEvent, Pair, RangeRequest, RangeResult, Revision, TxnRequest, TxnResult } from "./model.js";
import type { ReplySink } from "./reply.js";

/**
 * A range read in slices, all of it at one revision. `step` until `done`, then `result` once; a caller that streams calls
 * `takePairs` between steps. A read whose revision is compacted meanwhile ends with that error.
 */
export interface RangeScan {
  /** Works for about `units` microseconds; true when the result is ready. */
  step(units: number): boolean;
  /** The pairs found since the last call; they are then missing from what follows. Empty until the end where the request sorts. */
  takePairs(): readonly Pair[];
  /** After `step` returned true. */
  result(): RangeResult | KvError;
  /** Gives up early. Not needed after the end. */
  close(): void;
}

/** The state as it was when the view was opened, as a stream of bytes. While one is open, history is not reclaimed: close it. */
export interface ReadView {
  /** The last slot that was applied. */
  readonly slot: number;
  readonly revision: Revision;
  readonly stateHash: Hash64;
  /** Works for about `units` microseconds; a chunk of at most SNAPSHOT_CHUNK_BYTES when one is full, else undefined. */
  next(units: number): Uint8Array | undefined;
  /** The last chunk was handed out. */
  readonly done: boolean;
  close(): void;
}

/** A store being made from the chunks of a read view, given in order. Throws SnapshotFailure on bytes that are not a whole, intact snapshot. */
export interface Restore {
  /** Hands over the next chunk, which must not change until `step` returned true. */
  write(chunk: Uint8Array): void;
  /** Works for about `units` microseconds; true when the chunk was consumed. */
  step(units: number): boolean;
  /** After the last chunk: verifies counts and state hash and hands out the store. */
  finish(): KvStore;
}

export type KvStats = {
  /** The newest revision that is visible; 1 when empty. */
  readonly revision: Revision;
  /** Reads below it are refused; 0 before the first compaction. */
  readonly compactedRevision: Revision;
  /** Keys that exist now. */
  readonly keys: number;
  /** Replicated bytes: every retained version's key, value and overhead. What the quota bounds; the same on every replica. */
  readonly dataBytes: number;
  /** The part of `dataBytes` that compacting to the newest revision would free. */
  readonly historyBytes: number;
  readonly quotaBytes: number;
  readonly sessions: number;
  /** Bytes this process allocated for all of it; differs between replicas. */
  readonly memoryBytes: number;
};

export interface KvStore {
  /** The last slot that was applied in full; 0 before the first. */
  readonly appliedSlot: number;
  /** The newest visible revision. */
  readonly revision: Revision;
  readonly compactedRevision: Revision;

  /** Applies a batch of commands to its end, however long that takes. Slots rise. Throws MalformedBytes on a corrupt payload. */
  applyBatch(slot: number, payload: Uint8Array, sink: ReplySink): void;
  /**
   * The same in slices: after `startBatch`, call `continueBatch` until it returns true. Between slices reads are allowed and see
   * the state before the command that is under way; other batches and `openReadView` are not.
   */
  startBatch(slot: number, payload: Uint8Array, sink: ReplySink): void;
  continueBatch(units: number): boolean;
  /** Whether a batch is under way. */
  readonly busy: boolean;
  /** A slot without commands (a no-op or a configuration) was applied. */
  skipSlot(slot: number): void;

  /** The newest version of a key as a copy. */
  get(key: Uint8Array): Pair | undefined;
  /** The newest version of a key without a copy: fills `out` and returns true when the key exists. */
  find(key: Uint8Array, out: Found): boolean;
  /** A range read at one go: for small ranges, or where nobody waits. */
  range(
    request: RangeRequest,
  ): { readonly revision: Revision; readonly pairs: readonly Pair[]; readonly more: boolean; readonly count: number } | KvError;
  openRange(request: RangeRequest): RangeScan;
  /** A transaction that cannot write (txn.ts: `mayWrite`), answered from the visible state without a slot. */
  readTxn(txn: TxnRequest): TxnResult | KvError;
  /** Events from revision `from` on, whole revisions, at least `limit` of them where there are as many. Below the compacted revision: an error. */
  events(from: number, limit: number): readonly HistoryEvent[] | KvError;

  /** Reclaims history that was compacted and memory that lies idle, for about `units` microseconds; true when nothing is left to do. */
  maintain(units: number): boolean;
  /** The hash of the whole replicated state; equal states have equal hashes. Not while a batch is under way. */
  stateHash(): Hash64;
  stats(): KvStats;
  /** A consistent view of the applied state that streams while writes go on. Not while a batch is under way. */
  openReadView(): ReadView;
}
