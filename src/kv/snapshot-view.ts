/**
 * A read view of the whole state: the snapshot of the moment at which it was opened, streamed while writes go on. Versions are
 * never changed, so holding back reclamation keeps them; sessions are copied before they change. Never changes the state.
 */
import { assert } from "../base/assert.js";
import { ByteWriter } from "../base/bytes.js";
import type { Hash64 } from "../base/hash64.js";
import type { Budget } from "./budget.js";
import { IndexCursor } from "./index-cursor.js";
import type { ReadView } from "./kv-store.js";
import { SNAPSHOT_CHUNK_BYTES } from "./limits.js";
import { FIRST_KEY, OPEN_END, type Revision, revision } from "./model.js";
import type { Mvcc } from "./mvcc.js";
import { REPLY_STATE, type Session } from "./session.js";
import type { SessionImage, SessionTable } from "./session-table.js";
import {
  CHUNK_KIND,
  EVENTS_PER_RECORD,
  RECORD_TAG,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
  VERSION_FIELDS_BYTES,
  VERSION_FLAG,
} from "./snapshot-format.js";
import { NO_ROW, type Row } from "./versions.js";

/** What the view is of. */
export type ViewSource = {
  readonly mvcc: Mvcc;
  readonly sessions: SessionTable;
  readonly slot: number;
  readonly quotaBytes: number;
  readonly stateHash: Hash64;
};

/** A chunk that is ready, or undefined where the budget was used up. */
type Chunks = Generator<Uint8Array | undefined, undefined, undefined>;

/** The buffer of the first chunk grows from this: most chunks are full, but a small state is one small chunk. */
const FIRST_CHUNK_CAPACITY = 4096;
const ORDINAL_BITS = 12;
const ORDINAL_MASK = (1 << ORDINAL_BITS) - 1;

/** The number that each version got in the snapshot, by row; in chunks that are made as they are needed. */
class Ordinals {
  private readonly chunks: Uint32Array[] = [];
  private next = 0;

  give(row: Row): void {
    const chunk = row >>> ORDINAL_BITS;
    this.chunks[chunk] ??= new Uint32Array(ORDINAL_MASK + 1);
    (this.chunks[chunk] as Uint32Array)[row & ORDINAL_MASK] = this.next++;
  }

  of(row: Row): number {
    return (this.chunks[row >>> ORDINAL_BITS] as Uint32Array)[row & ORDINAL_MASK] as number;
  }
}

export class SnapshotView implements ReadView {
  readonly slot: number;
  readonly revision: Revision;
  readonly stateHash: Hash64;
  private readonly source: ViewSource;
  private readonly compactedRevision: number;
  private readonly eventFrom: number;
  private readonly eventEnd: number;
  private readonly image: SessionImage;
  private readonly budget: Budget = { left: 0 };
  private readonly chunks: Chunks;
  private readonly ordinals = new Ordinals();
  private writer = new ByteWriter(FIRST_CHUNK_CAPACITY);
  private finished = false;
  private closed = false;

  constructor(source: ViewSource) {
    const { mvcc, sessions } = source;
    this.source = source;
    this.slot = source.slot;
    this.stateHash = source.stateHash;
    this.revision = revision(mvcc.visibleRevision);
    this.compactedRevision = mvcc.compactedRevision;
    this.eventFrom = mvcc.log.after(mvcc.compactedRevision);
    this.eventEnd = mvcc.log.end;
    this.image = sessions.openImage();
    mvcc.holds++;
    this.writer.u8(CHUNK_KIND.records);
    this.writeHeader();
    this.chunks = this.run();
  }

  get done(): boolean {
    return this.finished;
  }

  next(units: number): Uint8Array | undefined {
    assert(!this.closed || this.finished, "a closed view is not read");
    if (this.finished) {
      return undefined;
    }
    this.budget.left = units;
    const turn = this.chunks.next();
    if (turn.done === true) {
      this.finished = true;
      this.close();
      return this.writer.finish();
    }
    return turn.value;
  }

  close(): void {
    if (!this.closed) {
      this.closed = true;
      this.source.mvcc.holds--;
      this.source.sessions.closeImage(this.image);
    }
  }

  private writeHeader(): void {
    const { mvcc, sessions, slot, quotaBytes, stateHash } = this.source;
    this.writer.u8(RECORD_TAG.header).text(SNAPSHOT_MAGIC).varint(SNAPSHOT_VERSION);
    this.writer.varint(slot).varint(mvcc.visibleRevision).varint(mvcc.compactedRevision);
    this.writer.varint(quotaBytes).varint(sessions.nextId);
    this.writer.varint(this.image.ids.length).varint(mvcc.retained.count).varint(mvcc.retained.bytes);
    this.writer.varint(this.eventEnd - this.eventFrom).text(stateHash);
  }

  private *run(): Chunks {
    for (const id of this.image.ids) {
      yield* this.writeSession(this.source.sessions.imageOf(this.image, id));
    }
    const { mvcc } = this.source;
    const cursor = new IndexCursor(mvcc.index, FIRST_KEY, OPEN_END);
    cursor.resume();
    for (let newest = cursor.next(); newest !== NO_ROW; newest = cursor.next()) {
      this.budget.left -= 0.1;
      const row = mvcc.versions.revisionOf(newest) <= this.revision ? newest : mvcc.versions.atRevision(newest, this.revision);
      if (row === NO_ROW) {
        continue;
      }
      // The cursor may be parked inside the loop: the key is remembered first.
      if (this.mustPause(row)) {
        cursor.park(mvcc.versions.keyOf(newest));
        yield* this.writeVersions(row);
        cursor.resume();
      } else {
        this.writeVersion(RECORD_TAG.newest, row);
      }
    }
    yield* this.writeEvents();
    yield* this.makeRoom(1);
    this.writer.u8(RECORD_TAG.end);
  }

  /** Whether writing all versions of a key, `row` being the newest, may yield. */
  private mustPause(row: Row): boolean {
    const { versions } = this.source.mvcc;
    const single = versions.revisionOf(row) <= this.compactedRevision || versions.previousOf(row) === NO_ROW;
    return !single || this.budget.left <= 2 || this.writer.length + this.sizeBound(row) > SNAPSHOT_CHUNK_BYTES || !this.isRetained(row);
  }

  /** The versions of a key, newest first, down to the newest at or below the compacted revision. */
  private *writeVersions(newest: Row): Chunks {
    const { versions } = this.source.mvcc;
    let tag: number = RECORD_TAG.newest;
    for (let row = newest; row !== NO_ROW && this.isRetained(row); row = versions.previousOf(row)) {
      const size = this.sizeBound(row);
      if (size >= SNAPSHOT_CHUNK_BYTES) {
        yield* this.writeLarge(size, () => this.writeVersion(tag, row));
      } else {
        yield* this.makeRoom(size);
        this.writeVersion(tag, row);
      }
      tag = RECORD_TAG.older;
      if (this.budget.left <= 0) {
        yield undefined;
      }
      if (versions.revisionOf(row) <= this.compactedRevision) {
        return;
      }
    }
  }

  /** False for a tombstone that compaction has passed. */
  private isRetained(row: Row): boolean {
    const { versions } = this.source.mvcc;
    return versions.revisionOf(row) > this.compactedRevision || !versions.isTombstone(row);
  }

  private sizeBound(row: Row): number {
    const { versions } = this.source.mvcc;
    versions.open(row);
    return versions.keyLength + versions.valueLength + VERSION_FIELDS_BYTES;
  }

  private writeVersion(tag: number, row: Row): void {
    const { versions } = this.source.mvcc;
    const { writer } = this;
    const tombstone = versions.isTombstone(row);
    const lease = versions.leaseOf(row);
    versions.open(row);
    const { bytes, keyFrom, keyLength, valueLength } = versions;
    writer.u8(tag);
    if (tag === RECORD_TAG.newest) {
      writer.bytes(bytes.subarray(keyFrom, keyFrom + keyLength));
    }
    writer.u8((tombstone ? VERSION_FLAG.tombstone : 0) | (lease === 0n ? 0 : VERSION_FLAG.lease)).varint(versions.revisionOf(row));
    if (!tombstone) {
      writer.varint(versions.createRevisionOf(row)).varint(versions.versionOf(row));
      if (lease !== 0n) {
        writer.big64(lease);
      }
      writer.bytes(bytes.subarray(keyFrom + keyLength, keyFrom + keyLength + valueLength));
    }
    this.ordinals.give(row);
    this.budget.left -= 1 + valueLength / 4096;
  }

  private *writeEvents(): Chunks {
    const { log } = this.source.mvcc;
    for (let from = this.eventFrom; from < this.eventEnd; from += EVENTS_PER_RECORD) {
      const end = Math.min(from + EVENTS_PER_RECORD, this.eventEnd);
      yield* this.makeRoom(8 + 4 * (end - from));
      this.writer.u8(RECORD_TAG.events).varint(end - from);
      for (let position = from; position < end; position++) {
        this.writer.u32(this.ordinals.of(log.at(position)));
      }
      this.budget.left -= (end - from) / 20;
      if (this.budget.left <= 0) {
        yield undefined;
      }
    }
  }

  private *writeSession(session: Session): Chunks {
    let size = VERSION_FIELDS_BYTES + session.kept * 32;
    for (let seq = session.prunedTo; seq < session.executedEnd; seq++) {
      size += session.bytesKeptFor(seq);
    }
    this.budget.left -= 1 + (session.executedEnd - session.prunedTo) / 10;
    if (size >= SNAPSHOT_CHUNK_BYTES) {
      yield* this.writeLarge(size, () => this.writeSessionRecord(session));
    } else {
      yield* this.makeRoom(size);
      this.writeSessionRecord(session);
    }
    if (this.budget.left <= 0) {
      yield undefined;
    }
  }

  private writeSessionRecord(session: Session): void {
    const { writer } = this;
    writer.u8(RECORD_TAG.session).varint(session.id).varint(session.lastSlot).varint(session.prunedTo).varint(session.kept);
    for (let seq = session.prunedTo; seq < session.executedEnd; seq++) {
      const reply = session.replyOf(seq);
      if (reply.state === REPLY_STATE.none) {
        continue;
      }
      writer
        .varint(seq - session.prunedTo)
        .u8(reply.state)
        .varint(reply.revision)
        .varint(reply.detail);
      if (reply.bytes !== undefined) {
        writer.bytes(reply.bytes);
      }
    }
  }

  /** Hands out the chunk under way where `size` more bytes do not fit. */
  private *makeRoom(size: number): Chunks {
    if (this.writer.length + size > SNAPSHOT_CHUNK_BYTES) {
      yield* this.flush();
    }
  }

  private *flush(): Chunks {
    const chunk = this.writer.finish();
    this.writer = new ByteWriter(SNAPSHOT_CHUNK_BYTES);
    this.writer.u8(CHUNK_KIND.records);
    yield chunk;
  }

  /** Writes a record that no chunk holds, in pieces. */
  private *writeLarge(size: number, write: () => void): Chunks {
    if (this.writer.length > 1) {
      yield* this.flush();
    }
    this.writer = new ByteWriter(size);
    write();
    const record = this.writer.finish();
    const room = SNAPSHOT_CHUNK_BYTES - 1;
    for (let from = 0; from < record.length; from += room) {
      const end = Math.min(from + room, record.length);
      const piece = new Uint8Array(end - from + 1);
      piece[0] = end === record.length ? CHUNK_KIND.lastPiece : CHUNK_KIND.piece;
      piece.set(record.subarray(from, end), 1);
      yield piece;
    }
    this.writer = new ByteWriter(SNAPSHOT_CHUNK_BYTES);
    this.writer.u8(CHUNK_KIND.records);
  }
}
