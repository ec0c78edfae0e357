/**
 * The state machine in memory: applies decided batches, answers reads, streams snapshots. Pure and deterministic: equal batches
 * in equal order give equal replies, hashes and snapshots, on every machine; no clock, no randomness, no I/O, no promises.
 *
 * How it is built, from the bottom up:
 * - `slab.ts` holds keys and values in pages outside the V8 heap; `versions.ts` holds a row of 64 bytes per version (revisions,
 *   version, lease, place of the record, link to the version before, hash). No JavaScript object exists per key or value.
 * - `key-index.ts` orders the keys: a B+ tree (leaves in `index-leaves.ts`) from each key to its newest version. A read at a
 *   revision goes from there back along the links, in jumps.
 * - `event-log.ts` is the order of all writes since compaction: what watches read and compaction walks.
 * - `mvcc.ts` keeps those in step, with the totals that quota and state hash need. Compaction is accounted at once from these
 *   totals (so every replica agrees at the same slot) and reclaimed later, in slices, by `reclaim.ts`.
 * - `write.ts`, `txn.ts`, `compare.ts`, `range.ts` are the operations; `txn-check.ts` what is refused unseen. A command's writes
 *   carry the next revision and become visible together; reads between slices see the state before.
 * - `session-table.ts` and `session.ts` make a repeated request happen once.
 * - `snapshot-view.ts` and `snapshot-restore.ts` turn the state into chunks and back.
 * - `command.ts`, `operation-codec.ts`, `batch.ts`, `reply.ts` are the formats.
 */
import { assert } from "../base/assert.js";
import { MalformedBytes } from "../base/bytes.js";
import type { Hash64 } from "../base/hash64.js";
import { type ApplyContext, applyCommand, refusal } from "./apply.js";
import { BatchCursor } from "./batch.js";
import { type Budget, runToEnd, type Sliced } from "./budget.js";
import { COMMAND_TAG, decodeCommand } from "./command.js";
import { type KvError, kvError } from "./error.js";
import { readEvents } from "./history.js";
import { keptForm, replyFromKept } from "./kept-reply.js";
import type { KvStats, KvStore, RangeScan, ReadView, Restore } from "./kv-store.js";
import { KEY_BYTES_MAX, QUOTA_BYTES_DEFAULT, VALUE_BYTES_MAX, VERSION_OVERHEAD_BYTES } from "./limits.js";
import {
  type Found,
  type HistoryEvent,
  NO_SESSION,
  type Pair,
  type RangeRequest,
  type RangeResult,
  type Revision,
  revision,
  type SessionId,
  type TxnRequest,
  type TxnResult,
} from "./model.js";
import { Mvcc } from "./mvcc.js";
import { RangeWork } from "./range.js";
import { Reclaimer } from "./reclaim.js";
import type { Reply, ReplySink } from "./reply.js";
import { type KeptReply, REPLY_STATE, type Session } from "./session.js";
import { SESSION_LIMITS, type SessionLimits, SessionTable } from "./session-table.js";
import { type RestoredState, SnapshotRestore } from "./snapshot-restore.js";
import { SnapshotView } from "./snapshot-view.js";
import { HASH_SEED, hashText, ItemHasher } from "./state-hash.js";
import { mayWrite, readTxn } from "./txn.js";
import { checkTxn } from "./txn-check.js";
import { NO_ROW } from "./versions.js";

/** What a command costs at least, and what is reclaimed for each, in units of work. */
const COMMAND_UNITS = 2;
const RECLAIM_UNITS_PER_COMMAND = 4;

/** What a request is told that its session does not admit. */
const REFUSED_AS = { stale: "stale-sequence", "too-many": "too-many-outstanding", expired: "session-expired" } as const;

/** The batch being applied. */
type Batch = { readonly slot: number; readonly cursor: BatchCursor; readonly sink: ReplySink };

export class Store implements KvStore {
  private readonly context: ApplyContext;
  private readonly mvcc: Mvcc;
  private readonly sessions: SessionTable;
  private readonly budget: Budget = { left: 0 };
  private readonly readBudget: Budget = { left: 0 };
  private readonly reclaimer: Reclaimer;
  private readonly hasher = new ItemHasher();
  private readonly kept: KeptReply = { state: 0, revision: 0, detail: 0, bytes: undefined };
  private applied: number;
  private batch: Batch | undefined;
  /** The session of the group under way; undefined where it is unknown, or none. */
  private session: Session | undefined;
  /** The command under way, where it does not end at once. */
  private work: Sliced<Reply> | undefined;

  private constructor(state: RestoredState) {
    const { mvcc, sessions, slot, quotaBytes } = state;
    this.mvcc = mvcc;
    this.sessions = sessions;
    this.applied = slot;
    this.context = { mvcc, sessions, budget: this.budget, quotaBytes, slot };
    this.reclaimer = new Reclaimer(mvcc);
  }

  /** An empty store, at revision 1. `limits` are smaller in tests only: they are part of what the log means. */
  static empty(limits: SessionLimits = SESSION_LIMITS): Store {
    return new Store({ mvcc: new Mvcc(), sessions: new SessionTable(limits), slot: 0, quotaBytes: QUOTA_BYTES_DEFAULT });
  }

  /** A store from the chunks of a read view. */
  static restore(limits: SessionLimits = SESSION_LIMITS): Restore {
    return new SnapshotRestore(limits, (state) => new Store(state));
  }

  get appliedSlot(): number {
    return this.applied;
  }

  get revision(): Revision {
    return revision(this.mvcc.visibleRevision);
  }

  get compactedRevision(): Revision {
    return revision(this.mvcc.compactedRevision);
  }

  get busy(): boolean {
    return this.batch !== undefined;
  }

  applyBatch(slot: number, payload: Uint8Array, sink: ReplySink): void {
    this.startBatch(slot, payload, sink);
    while (!this.continueBatch(Number.MAX_SAFE_INTEGER)) {
      // A slice of this size ends only with the batch.
    }
  }

  startBatch(slot: number, payload: Uint8Array, sink: ReplySink): void {
    assert(!this.busy, "one batch at a time");
    assert(slot > this.applied, "slots rise");
    this.batch = { slot, cursor: new BatchCursor(payload), sink };
    this.context.slot = slot;
  }

  continueBatch(units: number): boolean {
    const { batch, budget } = this;
    assert(batch !== undefined, "a batch was started");
    budget.left = units;
    let commands = 0;
    while (budget.left > 0) {
      if (this.work !== undefined) {
        if (!this.continueCommand(batch, this.work)) {
          break;
        }
      } else if (batch.cursor.nextCommand()) {
        commands++;
        budget.left -= COMMAND_UNITS;
        this.startCommand(batch);
      } else if (!this.nextGroup(batch)) {
        this.batch = undefined;
        this.applied = batch.slot;
        break;
      }
    }
    this.reclaimer.step(1 + commands * RECLAIM_UNITS_PER_COMMAND);
    return !this.busy;
  }

  skipSlot(slot: number): void {
    assert(!this.busy, "one batch at a time");
    assert(slot > this.applied, "slots rise");
    this.applied = slot;
  }

  get(key: Uint8Array): Pair | undefined {
    const row = this.mvcc.readKey(key, this.mvcc.visibleRevision);
    return row === NO_ROW ? undefined : this.mvcc.pairOf(row);
  }

  find(key: Uint8Array, out: Found): boolean {
    const row = this.mvcc.readKey(key, this.mvcc.visibleRevision);
    if (row === NO_ROW) {
      return false;
    }
    const { versions } = this.mvcc;
    versions.open(row);
    out.bytes = versions.bytes;
    out.valueFrom = versions.keyFrom + versions.keyLength;
    out.valueEnd = out.valueFrom + versions.valueLength;
    out.createRevision = versions.createRevisionOf(row);
    out.modRevision = versions.revisionOf(row);
    out.version = versions.versionOf(row);
    return true;
  }

  range(request: RangeRequest): RangeResult | KvError {
    const work = new RangeWork(this.mvcc, request, this.mvcc.visibleRevision, this.readBudget);
    while (!work.step(Number.MAX_SAFE_INTEGER)) {
      // A slice of this size ends only with the read.
    }
    return work.result();
  }

  openRange(request: RangeRequest): RangeScan {
    return new RangeWork(this.mvcc, request, this.mvcc.visibleRevision, { left: 0 });
  }

  readTxn(txn: TxnRequest): TxnResult | KvError {
    assert(!mayWrite(txn), "a transaction that may write goes through the log");
    return checkTxn(txn) ?? runToEnd(this.readBudget, readTxn(this.mvcc, txn, this.readBudget));
  }

  events(from: number, limit: number): readonly HistoryEvent[] | KvError {
    return readEvents(this.mvcc, from, limit);
  }

  maintain(units: number): boolean {
    return this.reclaimer.step(units);
  }

  stateHash(): Hash64 {
    assert(!this.busy, "the state between the slices of a batch has no hash");
    const { mvcc, sessions, hasher } = this;
    hasher.begin(HASH_SEED.state).number(mvcc.visibleRevision).number(mvcc.compactedRevision);
    hasher.number(this.context.quotaBytes).number(sessions.nextId).number(mvcc.keys);
    for (const sum of [mvcc.retained, sessions.sum]) {
      hasher.word(sum.high).word(sum.low).number(sum.count).number(sum.bytes);
    }
    hasher.end();
    return hashText(hasher.high, hasher.low);
  }

  stats(): KvStats {
    const { mvcc } = this;
    return {
      revision: this.revision,
      compactedRevision: this.compactedRevision,
      keys: mvcc.keys,
      dataBytes: mvcc.retained.bytes,
      historyBytes: mvcc.historyBytes,
      quotaBytes: this.context.quotaBytes,
      sessions: this.sessions.size,
      memoryBytes: mvcc.memoryBytes,
    };
  }

  openReadView(): ReadView {
    assert(!this.busy, "a view is of the state between batches");
    const { mvcc, sessions } = this;
    return new SnapshotView({ mvcc, sessions, slot: this.applied, quotaBytes: this.context.quotaBytes, stateHash: this.stateHash() });
  }

  private nextGroup(batch: Batch): boolean {
    const { cursor } = batch;
    if (!cursor.nextGroup()) {
      return false;
    }
    const id = cursor.session;
    this.session = id === NO_SESSION ? undefined : this.sessions.use(id as SessionId, cursor.firstUnacked, batch.slot);
    return true;
  }

  /** Admits the command at the cursor and runs it, to its end where it is a plain put. */
  private startCommand(batch: Batch): void {
    const { cursor } = batch;
    const { session } = this;
    if (session === undefined) {
      if (cursor.session !== NO_SESSION) {
        this.refuse(batch, kvError("session-expired"));
        return;
      }
    } else {
      const admission = this.sessions.admit(session, cursor.seq);
      if (admission === "repeat") {
        batch.sink.onReply(session.id, cursor.seq, replyFromKept(session.replyOf(cursor.seq)));
        return;
      }
      if (admission !== "execute") {
        this.refuse(batch, kvError(REFUSED_AS[admission]));
        return;
      }
    }
    const { payload, commandFrom, commandEnd } = cursor;
    if (payload[commandFrom] === COMMAND_TAG.plainPut) {
      this.plainPut(batch, commandFrom + 1);
    } else {
      this.work = applyCommand(this.context, decodeCommand(payload.subarray(commandFrom, commandEnd)));
      // Rows freed meanwhile could be reused at the revision of this very command, and its own links into them would seem alive.
      this.mvcc.holds++;
    }
  }

  /** True when the command ended. */
  private continueCommand(batch: Batch, work: Sliced<Reply>): boolean {
    const turn = work.next();
    if (turn.done !== true) {
      return false;
    }
    this.work = undefined;
    this.mvcc.holds--;
    const reply = turn.value;
    const { session } = this;
    if (session !== undefined && this.sessions.holds(session)) {
      keptForm(reply, this.kept);
      this.sessions.keep(session, batch.cursor.seq, this.kept);
    }
    batch.sink.onReply(batch.cursor.session as SessionId, batch.cursor.seq, reply);
    return true;
  }

  /** The hot path: reads key and value in place and copies them once, into the slab. */
  private plainPut(batch: Batch, at: number): void {
    const { cursor } = batch;
    const { mvcc, session } = this;
    const keyFrom = this.readKeyLength(cursor, at);
    const valueFrom = keyFrom + this.keyLength;
    const valueLength = cursor.commandEnd - valueFrom;
    const error = this.checkPlainPut(this.keyLength, valueLength);
    if (error !== undefined) {
      this.finishRefused(batch, error);
      return;
    }
    mvcc.draftPair(cursor.payload, keyFrom, valueFrom, cursor.commandEnd);
    const next = mvcc.visibleRevision + 1;
    mvcc.putDraft(mvcc.locateDraft(), next);
    mvcc.visibleRevision = next;
    if (session !== undefined) {
      const { kept } = this;
      kept.state = REPLY_STATE.put;
      kept.revision = next;
      kept.detail = 0;
      kept.bytes = undefined;
      this.sessions.keep(session, cursor.seq, kept);
    }
    batch.sink.onReply(cursor.session as SessionId, cursor.seq, { kind: "put", revision: next as Revision });
  }

  private keyLength = 0;

  /** Reads the key's length at `at` into `keyLength`; returns where the key begins. */
  private readKeyLength(cursor: BatchCursor, at: number): number {
    const { payload, commandEnd } = cursor;
    let length = 0;
    let from = at;
    for (let shift = 0; shift < 28 && from < commandEnd; shift += 7) {
      const byte = payload[from++] as number;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (length > commandEnd - from) {
          break;
        }
        this.keyLength = length;
        return from;
      }
    }
    throw new MalformedBytes(`put with a key that does not fit, at byte ${at}`);
  }

  private checkPlainPut(keyLength: number, valueLength: number): KvError | undefined {
    if (keyLength === 0) {
      return kvError("key-not-provided");
    }
    if (keyLength > KEY_BYTES_MAX) {
      return kvError("key-too-large", KEY_BYTES_MAX, keyLength);
    }
    if (valueLength > VALUE_BYTES_MAX) {
      return kvError("value-too-large", VALUE_BYTES_MAX, valueLength);
    }
    const size = this.mvcc.retained.bytes + keyLength + valueLength + VERSION_OVERHEAD_BYTES;
    return size > this.context.quotaBytes ? kvError("quota-exceeded", this.context.quotaBytes, size) : undefined;
  }

  /** A refusal that belongs to the request and is kept for its repeats. */
  private finishRefused(batch: Batch, error: KvError): void {
    const reply = refusal(this.mvcc, error);
    const { session } = this;
    if (session !== undefined) {
      keptForm(reply, this.kept);
      this.sessions.keep(session, batch.cursor.seq, this.kept);
    }
    batch.sink.onReply(batch.cursor.session as SessionId, batch.cursor.seq, reply);
  }

  /** A refusal of the session's rules: nothing was executed and nothing is kept. */
  private refuse(batch: Batch, error: KvError): void {
    batch.sink.onReply(batch.cursor.session as SessionId, batch.cursor.seq, refusal(this.mvcc, error));
  }
}
