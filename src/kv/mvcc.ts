/**
 * The pairs and their history: the only place that changes versions, index, event log and their totals, so that these always
 * agree. Single writes are atomic here; what makes a command of several writes atomic is that reads see nothing above
 * `visibleRevision`, and that `undo` takes back what was not made visible. Knows no commands, sessions or quotas.
 */
import { assert } from "../base/assert.js";
import { addFreed, EventLog, subtractFreed } from "./event-log.js";
import { KeyIndex } from "./key-index.js";
import { EMPTY_REVISION, leaseId, type Pair, revision } from "./model.js";
import { HashSum } from "./state-hash.js";
import { NO_BYTES, NO_ROW, type Row, Versions } from "./versions.js";

export class Mvcc {
  readonly versions = new Versions();
  readonly index = new KeyIndex(this.versions);
  readonly log = new EventLog(this.versions);
  /** All versions that compaction left, those of a command under way included. */
  readonly retained = new HashSum();
  /** What compacting to now frees in all, counted from the beginning of the store. */
  readonly freed = new HashSum();
  /** The part of it that was compacted. */
  readonly freedCompacted = new HashSum();
  /** Reads see nothing above it. */
  visibleRevision: number = EMPTY_REVISION;
  compactedRevision = 0;
  /** Keys that exist, the changes of a command under way included. */
  keys = 0;
  /** While above zero somebody holds row numbers, and no version may be freed. */
  holds = 0;

  /** Bytes of `retained` that compacting to now would free. */
  get historyBytes(): number {
    return this.freed.bytes - this.freedCompacted.bytes;
  }

  get memoryBytes(): number {
    return this.versions.memoryBytes + this.index.memoryBytes + this.log.memoryBytes;
  }

  /** Sets key and value of the next `putDraft`: both lie in `source`, the value ends it at `end`. No copy. */
  draftPair(source: Uint8Array, keyFrom: number, valueFrom: number, end: number): void {
    this.draftKey(source, keyFrom, valueFrom - keyFrom);
    this.draftValue(source, valueFrom, end - valueFrom);
    this.draftLease(0, 0);
  }

  draftKey(source: Uint8Array, from: number, length: number): void {
    const { draft } = this.versions;
    draft.keySource = source;
    draft.keyFrom = from;
    draft.keyLength = length;
  }

  draftValue(source: Uint8Array, from: number, length: number): void {
    const { draft } = this.versions;
    draft.valueSource = source;
    draft.valueFrom = from;
    draft.valueLength = length;
  }

  draftLease(low: number, high: number): void {
    this.versions.draft.leaseLow = low;
    this.versions.draft.leaseHigh = high;
  }

  /** Looks for the key of the draft; true when the index has it, be it deleted. The place is where `putDraft` writes. */
  locateDraft(): boolean {
    const { draft } = this.versions;
    this.index.setProbe(draft.keySource, draft.keyFrom, draft.keyFrom + draft.keyLength);
    return this.index.locate();
  }

  /** Writes the draft at `at` over what `locateDraft` just found (or did not). */
  putDraft(found: boolean, at: number): Row {
    const { draft } = this.versions;
    const before = found ? this.index.row() : NO_ROW;
    const exists = found && !this.versions.isTombstone(before);
    draft.previous = before;
    draft.revision = at;
    draft.createRevision = exists ? this.versions.createRevisionOf(before) : at;
    draft.version = exists ? this.versions.versionOf(before) + 1 : 1;
    const row = this.versions.add();
    if (found) {
      this.index.setRow(row);
    } else {
      this.index.insert(row);
    }
    this.keys += exists ? 0 : 1;
    this.record(row);
    return row;
  }

  /** Writes a tombstone over `before`, the newest version of a key, which exists. The caller puts the row into the index. */
  addTombstone(before: Row, at: number): Row {
    const { draft } = this.versions;
    this.versions.open(before);
    this.draftKey(this.versions.bytes, this.versions.keyFrom, this.versions.keyLength);
    this.draftValue(NO_BYTES, 0, 0);
    this.draftLease(0, 0);
    draft.previous = before;
    draft.revision = at;
    draft.createRevision = 0;
    draft.version = 0;
    const row = this.versions.add();
    this.keys--;
    this.record(row);
    return row;
  }

  /** Takes back the newest event. Its revision was never visible. */
  undo(): void {
    const row = this.log.pop();
    const { versions, index } = this;
    assert(versions.revisionOf(row) > this.visibleRevision, "what was visible is not taken back");
    const before = versions.previousOf(row);
    const existed = before !== NO_ROW && !versions.isTombstone(before);
    subtractFreed(versions, row, this.freed);
    this.retained.subtract(versions.hashHighOf(row), versions.hashLowOf(row), versions.weightOf(row));
    this.keys += (existed ? 1 : 0) - (versions.isTombstone(row) ? 0 : 1);
    this.locateRow(row);
    if (before === NO_ROW) {
      index.remove();
    } else {
      index.setRow(before);
    }
    versions.free(row);
  }

  /** The newest version of the probed key that exists at `at`, or NO_ROW. The probe of the index is set. */
  readProbe(at: number): Row {
    return this.index.locate() ? this.existingAt(this.index.row(), at) : NO_ROW;
  }

  readKey(key: Uint8Array, at: number): Row {
    this.index.setProbe(key, 0, key.length);
    return this.readProbe(at);
  }

  /** What a key whose newest version is `newest` was at `at`: a version that is no tombstone, or NO_ROW. */
  existingAt(newest: Row, at: number): Row {
    const { versions } = this;
    const row = versions.revisionOf(newest) <= at ? newest : versions.atRevision(newest, at);
    return row === NO_ROW || versions.isTombstone(row) ? NO_ROW : row;
  }

  /** A copy of a version; without its value where that is not wanted. */
  pairOf(row: Row, withValue = true): Pair {
    const { versions } = this;
    versions.open(row);
    const { bytes, keyFrom, keyLength, valueLength } = versions;
    const valueFrom = keyFrom + keyLength;
    return {
      key: bytes.slice(keyFrom, valueFrom),
      value: withValue ? bytes.slice(valueFrom, valueFrom + valueLength) : NO_BYTES,
      createRevision: revision(versions.createRevisionOf(row)),
      modRevision: revision(versions.revisionOf(row)),
      version: versions.versionOf(row),
      lease: leaseId(versions.leaseOf(row)),
    };
  }

  /** Accounts a compaction to `to` at once; the memory is reclaimed later. */
  compact(to: number): void {
    assert(to > this.compactedRevision && to <= this.visibleRevision, "compaction goes forward, to what is visible");
    const freed = this.log.freedAt(to, this.freed);
    const gone = freed.minus(this.freedCompacted);
    this.retained.high = (this.retained.high - gone.high) | 0;
    this.retained.low = (this.retained.low - gone.low) | 0;
    this.retained.count -= gone.count;
    this.retained.bytes -= gone.bytes;
    this.freedCompacted.copyFrom(freed);
    this.compactedRevision = to;
  }

  /** Whether compaction has accounted for events whose memory is still to be reclaimed. */
  get hasCompactedEvents(): boolean {
    return this.log.first < this.log.end && this.versions.revisionOf(this.log.at(this.log.first)) <= this.compactedRevision;
  }

  /** Reclaims the oldest compacted event: frees the version it replaced, and itself with its key where it is a tombstone. */
  reclaimEvent(): void {
    const { versions, index, log } = this;
    const row = log.at(log.first);
    const before = versions.previousOf(row);
    log.shift();
    if (before !== NO_ROW) {
      versions.free(before);
    }
    if (versions.isTombstone(row)) {
      assert(this.locateRow(row), "a retained version's key is in the index");
      if (index.row() === row) {
        index.remove();
      }
      versions.free(row);
    }
  }

  /** Finds the key of `row` in the index. */
  locateRow(row: Row): boolean {
    const { versions, index } = this;
    versions.open(row);
    index.setProbe(versions.bytes, versions.keyFrom, versions.keyFrom + versions.keyLength);
    return index.locate();
  }

  /** Adds a new version to log and totals. */
  private record(row: Row): void {
    const { versions } = this;
    this.log.append(row, this.freed);
    addFreed(versions, row, this.freed);
    this.retained.add(versions.hashHighOf(row), versions.hashLowOf(row), versions.weightOf(row));
  }
}
