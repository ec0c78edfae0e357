/**
 * Range reads, in slices and at one revision. Order of work as in etcd: read at the revision, filter, sort, cut by the limit;
 * the count is of all keys in the range. Never changes anything; holds rows only while it sorts.
 */
import { compareBytes } from "../base/bytes.js";
import type { Budget, Sliced } from "./budget.js";
import { type KvError, kvError } from "./error.js";
import { IndexCursor } from "./index-cursor.js";
import type { RangeScan } from "./kv-store.js";
import { type Pair, type RangeRequest, type RangeResult, revision, type SortTarget } from "./model.js";
import type { Mvcc } from "./mvcc.js";
import { type RowOrder, SortedRows } from "./sorted-rows.js";
import { NO_ROW, type Row } from "./versions.js";

/** Why a request cannot be read while the newest revision is `now`; undefined when it can. */
export function checkRange(mvcc: Mvcc, request: RangeRequest, now: number): KvError | undefined {
  if (request.key.length === 0) {
    return kvError("key-not-provided");
  }
  const at = request.revision ?? 0;
  if (at > now) {
    return kvError("future-revision");
  }
  return at > 0 && at < mvcc.compactedRevision ? kvError("compacted") : undefined;
}

/** True where pairs must be gathered before the first can be given out. */
function sorts(request: RangeRequest): boolean {
  const target = request.sortTarget ?? "key";
  return target !== "key" || request.sortOrder === "descend";
}

function passes(mvcc: Mvcc, request: RangeRequest, row: Row): boolean {
  const { minModRevision = 0, maxModRevision = 0, minCreateRevision = 0, maxCreateRevision = 0 } = request;
  const mod = mvcc.versions.revisionOf(row);
  const create = mvcc.versions.createRevisionOf(row);
  return (
    (minModRevision === 0 || mod >= minModRevision) &&
    (maxModRevision === 0 || mod <= maxModRevision) &&
    (minCreateRevision === 0 || create >= minCreateRevision) &&
    (maxCreateRevision === 0 || create <= maxCreateRevision)
  );
}

function byTarget(mvcc: Mvcc, target: SortTarget): RowOrder {
  const { versions } = mvcc;
  switch (target) {
    case "key":
      return (a, b) => compareBytes(versions.keyOf(a), versions.keyOf(b));
    case "version":
      return (a, b) => versions.versionOf(a) - versions.versionOf(b);
    case "create":
      return (a, b) => versions.createRevisionOf(a) - versions.createRevisionOf(b);
    case "mod":
      return (a, b) => versions.revisionOf(a) - versions.revisionOf(b);
    case "value":
      return (a, b) => compareBytes(valueBytes(mvcc, a), valueBytes(mvcc, b));
  }
}

function valueBytes(mvcc: Mvcc, row: Row): Uint8Array {
  const { versions } = mvcc;
  versions.open(row);
  const from = versions.keyFrom + versions.keyLength;
  return versions.bytes.subarray(from, from + versions.valueLength);
}

/** Pairs that compare equal stay in the order of their keys, whichever way the target is sorted. */
function orderOf(mvcc: Mvcc, request: RangeRequest): RowOrder {
  const target = byTarget(mvcc, request.sortTarget ?? "key");
  const keys = byTarget(mvcc, "key");
  const sign = request.sortOrder === "descend" ? -1 : 1;
  return (a, b) => sign * target(a, b) || keys(a, b);
}

export class RangeWork implements RangeScan {
  private readonly mvcc: Mvcc;
  private readonly budget: Budget;
  private readonly request: RangeRequest;
  /** The newest revision as this read sees it. */
  private readonly now: number;
  private readonly at: number;
  private readonly work: Sliced<KvError | undefined>;
  private pairs: Pair[] = [];
  private count = 0;
  private matched = 0;
  private error: KvError | undefined;
  private finished = false;
  private holding = false;

  /** `now` is above the visible revision only inside a transaction that reads its own writes. */
  constructor(mvcc: Mvcc, request: RangeRequest, now: number, budget: Budget) {
    this.mvcc = mvcc;
    this.budget = budget;
    this.request = request;
    this.now = now;
    this.at = (request.revision ?? 0) > 0 ? (request.revision as number) : now;
    this.work = this.run();
  }

  step(units: number): boolean {
    if (!this.finished) {
      this.budget.left = units;
      this.turn();
    }
    return this.finished;
  }

  /** The same, driven by who holds the budget. */
  *drive(): Sliced<undefined> {
    while (!this.turn()) {
      yield;
    }
  }

  takePairs(): readonly Pair[] {
    const taken = this.pairs;
    this.pairs = [];
    return taken;
  }

  result(): RangeResult | KvError {
    if (this.error !== undefined) {
      return this.error;
    }
    const { limit = 0, countOnly } = this.request;
    const more = countOnly !== true && limit > 0 && this.matched > limit;
    return { revision: revision(this.now), pairs: this.pairs, more, count: this.count };
  }

  close(): void {
    if (this.holding) {
      this.holding = false;
      this.mvcc.holds--;
    }
    this.finished = true;
  }

  private turn(): boolean {
    const turn = this.work.next();
    if (turn.done === true) {
      this.error = turn.value;
      this.close();
    }
    return this.finished;
  }

  private *run(): Sliced<KvError | undefined> {
    const refused = checkRange(this.mvcc, this.request, this.now);
    if (refused !== undefined) {
      return refused;
    }
    const sorted = sorts(this.request) && this.request.countOnly !== true ? this.startSorting() : undefined;
    const { mvcc, budget, request } = this;
    const cursor = new IndexCursor(mvcc.index, request.key, request.rangeEnd);
    cursor.resume();
    for (let newest = cursor.next(); newest !== NO_ROW; newest = cursor.next()) {
      budget.left -= 0.2 + this.visit(newest, sorted);
      if (budget.left <= 0) {
        cursor.park(mvcc.versions.keyOf(newest));
        yield;
        if (this.at < mvcc.compactedRevision) {
          return kvError("compacted");
        }
        cursor.resume();
      }
    }
    if (sorted !== undefined) {
      yield* this.takeSorted(sorted);
    }
    return undefined;
  }

  private startSorting(): SortedRows {
    this.holding = true;
    this.mvcc.holds++;
    return new SortedRows(orderOf(this.mvcc, this.request));
  }

  /** Counts a key and keeps it where it is wanted; returns the work done. */
  private visit(newest: Row, sorted: SortedRows | undefined): number {
    const { mvcc, request } = this;
    const row = mvcc.existingAt(newest, this.at);
    if (row === NO_ROW) {
      return 0;
    }
    this.count++;
    if (request.countOnly === true || !passes(mvcc, request, row)) {
      return 0;
    }
    this.matched++;
    if (sorted !== undefined) {
      return sorted.add(row);
    }
    const { limit = 0 } = request;
    if (limit > 0 && this.matched > limit) {
      return 0;
    }
    return this.keep(row);
  }

  private keep(row: Row): number {
    this.pairs.push(this.mvcc.pairOf(row, this.request.keysOnly !== true));
    return 0.8 + this.mvcc.versions.valueLength / 4096;
  }

  private *takeSorted(sorted: SortedRows): Sliced<undefined> {
    const { limit = 0 } = this.request;
    yield; // ordering the runs among each other is a slice of its own
    for (let kept = 0; limit <= 0 || kept < limit; kept++) {
      const row = sorted.take();
      if (row === undefined) {
        return;
      }
      this.budget.left -= 1 + this.keep(row);
      if (this.budget.left <= 0) {
        yield;
      }
    }
  }
}
