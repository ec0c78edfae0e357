/**
 * The writes of one command: puts and delete ranges at one revision, which becomes visible only when all of them are done. A
 * refusal takes back what was written and leaves no trace. Long deletes run in slices. Quota and sessions are the caller's.
 */
import type { Budget, Sliced } from "./budget.js";
import { type KvError, kvError } from "./error.js";
import { IndexCursor } from "./index-cursor.js";
import { REPLY_BYTES_MAX, VERSION_OVERHEAD_BYTES } from "./limits.js";
import {
  type DeleteRangeRequest,
  type DeleteRangeResult,
  NO_LEASE,
  type Pair,
  type PutRequest,
  type PutResult,
  revision,
} from "./model.js";
import type { Mvcc } from "./mvcc.js";
import { NO_ROW } from "./versions.js";

export class WriteSet {
  readonly mvcc: Mvcc;
  readonly budget: Budget;
  /** The revision that the writes get. */
  readonly revision: number;
  private readonly firstEvent: number;
  private replyBytes = 0;

  constructor(mvcc: Mvcc, budget: Budget) {
    this.mvcc = mvcc;
    this.budget = budget;
    this.revision = mvcc.visibleRevision + 1;
    this.firstEvent = mvcc.log.end;
  }

  /** Whether anything was written: only then does the command take its revision. */
  get changed(): boolean {
    return this.mvcc.log.end > this.firstEvent;
  }

  /** The revision that a reply names now: the command's own once it wrote, else the newest. */
  get current(): number {
    return this.changed ? this.revision : this.mvcc.visibleRevision;
  }

  /** Makes the writes visible, all at once. */
  commit(): void {
    if (this.changed) {
      this.mvcc.visibleRevision = this.revision;
    }
  }

  /** Takes back all writes. */
  *rollBack(): Sliced<undefined> {
    while (this.changed) {
      this.mvcc.undo();
      this.budget.left -= 2;
      if (this.budget.left <= 0) {
        yield;
      }
    }
  }

  /** A put whose options were checked against the state (`checkExisting`). */
  put(put: PutRequest): PutResult | KvError {
    const { mvcc } = this;
    const { versions } = mvcc;
    this.budget.left -= 2 + put.value.length / 4096;
    mvcc.draftKey(put.key, 0, put.key.length);
    const found = mvcc.locateDraft();
    const before = found ? mvcc.existingAt(mvcc.index.row(), this.revision) : NO_ROW;
    const previous = put.prevKv === true && before !== NO_ROW ? mvcc.pairOf(before) : undefined;
    if (put.ignoreValue === true) {
      versions.open(before);
      mvcc.draftValue(versions.bytes, versions.keyFrom + versions.keyLength, versions.valueLength);
    } else {
      mvcc.draftValue(put.value, 0, put.value.length);
    }
    if (put.ignoreLease === true) {
      mvcc.draftLease(versions.leaseLowOf(before), versions.leaseHighOf(before));
    } else {
      const lease = put.lease ?? NO_LEASE;
      mvcc.draftLease(
        lease === NO_LEASE ? 0 : Number(BigInt.asUintN(32, lease)),
        lease === NO_LEASE ? 0 : Number(BigInt.asUintN(32, lease >> 32n)),
      );
    }
    mvcc.putDraft(found, this.revision);
    const refused = previous === undefined ? undefined : this.count(previous);
    if (refused !== undefined) {
      return refused;
    }
    const at = revision(this.revision);
    return previous === undefined ? { revision: at } : { revision: at, previous };
  }

  /** Deletes every key of the range that exists, earlier writes of this command included. */
  *deleteRange(request: DeleteRangeRequest): Sliced<DeleteRangeResult | KvError> {
    const { mvcc, budget } = this;
    const previous: Pair[] = [];
    let deleted = 0;
    const cursor = new IndexCursor(mvcc.index, request.key, request.rangeEnd);
    cursor.resume();
    for (let newest = cursor.next(); newest !== NO_ROW; newest = cursor.next()) {
      budget.left -= 0.2;
      let last = newest;
      if (!mvcc.versions.isTombstone(newest)) {
        if (request.prevKv === true) {
          const pair = mvcc.pairOf(newest);
          previous.push(pair);
          const refused = this.count(pair);
          if (refused !== undefined) {
            return refused;
          }
        }
        last = mvcc.addTombstone(newest, this.revision);
        mvcc.index.leaves.setRow(cursor.leaf, cursor.slot, last);
        deleted++;
        budget.left -= 1;
      }
      if (budget.left <= 0) {
        cursor.park(mvcc.versions.keyOf(last));
        yield;
        cursor.resume();
      }
    }
    return { revision: revision(this.current), deleted, previous };
  }

  /** Counts a pair of the reply; a refusal once the reply grows too large. */
  count(pair: Pair): KvError | undefined {
    this.replyBytes += pair.key.length + pair.value.length;
    return this.replyBytes > REPLY_BYTES_MAX ? kvError("reply-too-large", REPLY_BYTES_MAX, this.replyBytes) : undefined;
  }
}

/** Why the state does not allow a put: options that need a key to exist. */
export function checkExisting(mvcc: Mvcc, put: PutRequest): KvError | undefined {
  const needsKey = put.ignoreValue === true || put.ignoreLease === true;
  return needsKey && mvcc.readKey(put.key, mvcc.visibleRevision) === NO_ROW ? kvError("key-not-found") : undefined;
}

/** The replicated bytes that a put adds. */
export function putWeight(mvcc: Mvcc, put: PutRequest): number {
  let valueLength = put.value.length;
  if (put.ignoreValue === true) {
    const row = mvcc.readKey(put.key, mvcc.visibleRevision);
    if (row !== NO_ROW) {
      mvcc.versions.open(row);
      valueLength = mvcc.versions.valueLength;
    }
  }
  return put.key.length + valueLength + VERSION_OVERHEAD_BYTES;
}

/** Why the quota does not allow `weight` more bytes. Deletes are never asked: they are the way out. */
export function checkQuota(mvcc: Mvcc, quotaBytes: number, weight: number): KvError | undefined {
  const size = mvcc.retained.bytes + weight;
  return size > quotaBytes ? kvError("quota-exceeded", quotaBytes, size) : undefined;
}
