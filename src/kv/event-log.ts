/**
 * The history as a queue of versions in the order in which they were written, from the oldest that compaction has not passed.
 * It is what a watch reads, and what compaction walks. Each chunk begins with the totals of what compacting up to it frees, so
 * that a compaction is accounted at once and reclaimed later, in slices.
 */
import { assert } from "../base/assert.js";
import { HashSum } from "./state-hash.js";
import type { Row, Versions } from "./versions.js";

const CHUNK_EVENTS = 1024;

type Chunk = { readonly rows: Uint32Array; readonly freedBefore: HashSum };

export class EventLog {
  private readonly versions: Versions;
  private chunks: Chunk[] = [];
  /** Position of the first event of chunks[0]. */
  private base = 0;
  private firstEvent = 0;
  private endEvent = 0;
  /** What compacting up to the first event frees in all. */
  private readonly freedBeforeFirst = new HashSum();

  constructor(versions: Versions) {
    this.versions = versions;
  }

  /** Positions of the events kept: [first, end). They grow for ever. */
  get first(): number {
    return this.firstEvent;
  }

  get end(): number {
    return this.endEvent;
  }

  get memoryBytes(): number {
    return this.chunks.length * CHUNK_EVENTS * 4;
  }

  /** `freed`: what compacting up to here, without this event, frees in all. */
  append(row: Row, freed: HashSum): void {
    const at = this.endEvent - this.base;
    if (at === this.chunks.length * CHUNK_EVENTS) {
      const freedBefore = new HashSum();
      freedBefore.copyFrom(freed);
      this.chunks.push({ rows: new Uint32Array(CHUNK_EVENTS), freedBefore });
    }
    this.chunkAt(at).rows[at % CHUNK_EVENTS] = row;
    this.endEvent++;
  }

  at(position: number): Row {
    assert(position >= this.firstEvent && position < this.endEvent, "the event is kept");
    const at = position - this.base;
    return this.chunkAt(at).rows[at % CHUNK_EVENTS] as Row;
  }

  /** Takes back the newest event. */
  pop(): Row {
    const row = this.at(this.endEvent - 1);
    this.endEvent--;
    if ((this.endEvent - this.base) % CHUNK_EVENTS === 0) {
      this.chunks.pop();
    }
    return row;
  }

  /** Forgets the oldest event; call it before what the event frees is freed. */
  shift(): void {
    addFreed(this.versions, this.at(this.firstEvent), this.freedBeforeFirst);
    this.firstEvent++;
    if (this.firstEvent - this.base >= CHUNK_EVENTS) {
      this.chunks.shift();
      this.base += CHUNK_EVENTS;
    }
  }

  /** The first position whose event is above `revision`. */
  after(revision: number): number {
    let low = this.firstEvent;
    let high = this.endEvent;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.versions.revisionOf(this.at(middle)) <= revision) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** What compacting to `revision` frees in all: the totals of a chunk and a walk over less than one. `freed` are the totals of now. */
  freedAt(revision: number, freed: HashSum): HashSum {
    const end = this.after(revision);
    const sum = new HashSum();
    if (end === this.endEvent) {
      sum.copyFrom(freed);
      return sum;
    }
    const at = end - this.base;
    const chunk = this.chunkAt(at);
    const chunkFrom = end - (at % CHUNK_EVENTS);
    const from = Math.max(chunkFrom, this.firstEvent);
    sum.copyFrom(from === chunkFrom ? chunk.freedBefore : this.freedBeforeFirst);
    for (let position = from; position < end; position++) {
      addFreed(this.versions, this.at(position), sum);
    }
    return sum;
  }

  private chunkAt(at: number): Chunk {
    return this.chunks[Math.floor(at / CHUNK_EVENTS)] as Chunk;
  }
}

/** Adds what compacting past the event of `row` frees: the version it replaced, and itself where it is a tombstone. */
export function addFreed(versions: Versions, row: Row, sum: HashSum): void {
  const previous = versions.previousOf(row);
  if (previous !== 0 && !versions.isTombstone(previous)) {
    sum.add(versions.hashHighOf(previous), versions.hashLowOf(previous), versions.weightOf(previous));
  }
  if (versions.isTombstone(row)) {
    sum.add(versions.hashHighOf(row), versions.hashLowOf(row), versions.weightOf(row));
  }
}

/** Takes back what `addFreed` added. */
export function subtractFreed(versions: Versions, row: Row, sum: HashSum): void {
  const previous = versions.previousOf(row);
  if (previous !== 0 && !versions.isTombstone(previous)) {
    sum.subtract(versions.hashHighOf(previous), versions.hashLowOf(previous), versions.weightOf(previous));
  }
  if (versions.isTombstone(row)) {
    sum.subtract(versions.hashHighOf(row), versions.hashLowOf(row), versions.weightOf(row));
  }
}
