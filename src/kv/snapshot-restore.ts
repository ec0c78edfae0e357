/**
 * Making a state from the chunks of a read view, in slices. What comes out is used only when all counts and the state hash,
 * computed anew from every byte, are those of the header; anything else throws SnapshotFailure and the caller drops the attempt.
 */
import { assert } from "../base/assert.js";
import { ByteReader, concatBytes, MalformedBytes } from "../base/bytes.js";
import { addFreed } from "./event-log.js";
import type { KvStore, Restore } from "./kv-store.js";
import { sessionId } from "./model.js";
import { Mvcc } from "./mvcc.js";
import { REPLY_STATE, Session } from "./session.js";
import { type SessionLimits, SessionTable } from "./session-table.js";
import {
  CHUNK_KIND,
  RECORD_TAG,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
  SnapshotFailure,
  VERSION_FLAG,
  VERSION_FLAGS_KNOWN,
} from "./snapshot-format.js";
import { NO_BYTES, NO_ROW, type Row } from "./versions.js";

type Header = {
  readonly slot: number;
  readonly revision: number;
  readonly compactedRevision: number;
  readonly quotaBytes: number;
  readonly nextSession: number;
  readonly sessions: number;
  readonly versions: number;
  readonly versionBytes: number;
  readonly events: number;
  readonly stateHash: string;
};

/** What a finished restore hands to the store it makes. */
export type RestoredState = {
  readonly mvcc: Mvcc;
  readonly sessions: SessionTable;
  readonly slot: number;
  readonly quotaBytes: number;
};

function readHeader(reader: ByteReader): Header {
  const magic = reader.text();
  if (magic !== SNAPSHOT_MAGIC) {
    throw new SnapshotFailure(`this is no snapshot of a store: it begins with ${JSON.stringify(magic)}`);
  }
  const version = reader.varint();
  if (version !== SNAPSHOT_VERSION) {
    throw new SnapshotFailure(
      `the snapshot has format ${version}, this program reads format ${SNAPSHOT_VERSION}; a newer program is needed`,
    );
  }
  return {
    slot: reader.varint(),
    revision: reader.varint(),
    compactedRevision: reader.varint(),
    quotaBytes: reader.varint(),
    nextSession: reader.varint(),
    sessions: reader.varint(),
    versions: reader.varint(),
    versionBytes: reader.varint(),
    events: reader.varint(),
    stateHash: reader.text(),
  };
}

function expectEqual(what: string, found: number | string, expected: number | string): void {
  if (found !== expected) {
    throw new SnapshotFailure(`the snapshot is damaged: ${what} ${found}, its header says ${expected}`);
  }
}

export class SnapshotRestore implements Restore {
  private readonly mvcc = new Mvcc();
  private readonly sessions: SessionTable;
  private readonly makeStore: (state: RestoredState) => KvStore;
  private header: Header | undefined;
  /** The records being read. */
  private chunk: Uint8Array = NO_BYTES;
  private reader = new ByteReader(NO_BYTES);
  private pieces: Uint8Array[] = [];
  private versions = 0;
  private ended = false;
  /** The versions of the key under way, newest first; those from `linkedFrom` on are linked. */
  private rows: Row[] = [];
  private linkedFrom = 0;
  private keySource: Uint8Array = NO_BYTES;

  constructor(limits: SessionLimits, makeStore: (state: RestoredState) => KvStore) {
    this.sessions = new SessionTable(limits);
    this.makeStore = makeStore;
  }

  write(chunk: Uint8Array): void {
    assert(this.reader.remaining === 0, "a chunk is consumed before the next is written");
    const body = chunk.subarray(1);
    switch (chunk[0]) {
      case CHUNK_KIND.records:
        this.read(body);
        return;
      case CHUNK_KIND.piece:
        this.pieces.push(body.slice());
        return;
      case CHUNK_KIND.lastPiece:
        this.read(concatBytes([...this.pieces, body]));
        this.pieces = [];
        return;
      default:
        throw new SnapshotFailure(`chunk of kind ${chunk[0]}`);
    }
  }

  private read(records: Uint8Array): void {
    this.chunk = records;
    this.reader = new ByteReader(records);
  }

  step(units: number): boolean {
    try {
      let left = units;
      while (this.reader.remaining > 0) {
        if (left <= 0) {
          return false;
        }
        left -= this.needsLinks() ? this.linkSome(left) : this.readRecord();
      }
      return true;
    } catch (error) {
      if (error instanceof MalformedBytes) {
        throw new SnapshotFailure(`the snapshot is damaged: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }

  finish(): KvStore {
    const { header, mvcc, sessions } = this;
    if (header === undefined || !this.ended) {
      throw new SnapshotFailure("the snapshot is cut short");
    }
    expectEqual("sessions", sessions.size, header.sessions);
    expectEqual("versions", this.versions, header.versions);
    expectEqual("bytes of versions", mvcc.retained.bytes, header.versionBytes);
    expectEqual("events", mvcc.log.end, header.events);
    const store = this.makeStore({ mvcc, sessions, slot: header.slot, quotaBytes: header.quotaBytes });
    expectEqual("state hash", store.stateHash(), header.stateHash);
    return store;
  }

  /** Reads one record; returns the work done. */
  private readRecord(): number {
    const { reader } = this;
    const tag = reader.u8();
    if (this.ended || (tag === RECORD_TAG.header) !== (this.header === undefined)) {
      throw new MalformedBytes(`record of kind ${tag} out of order`);
    }
    switch (tag) {
      case RECORD_TAG.header:
        this.start(readHeader(reader));
        return 1;
      case RECORD_TAG.session:
        return this.readSession(reader);
      case RECORD_TAG.newest:
        this.keySource = reader.bytes();
        return this.readVersion(reader, true);
      case RECORD_TAG.older:
        return this.readVersion(reader, false);
      case RECORD_TAG.events:
        return this.readEvents(reader);
      case RECORD_TAG.end:
        this.ended = true;
        return 1;
      default:
        throw new MalformedBytes(`record of kind ${tag}`);
    }
  }

  private start(header: Header): void {
    this.header = header;
    this.mvcc.visibleRevision = header.revision;
    this.mvcc.compactedRevision = header.compactedRevision;
    this.sessions.nextId = header.nextSession;
  }

  private readSession(reader: ByteReader): number {
    const session = new Session(sessionId(reader.varint()));
    session.lastSlot = reader.varint();
    session.prunedTo = reader.varint();
    session.executedEnd = session.prunedTo;
    const kept = reader.varint();
    for (let i = 0; i < kept; i++) {
      const seq = session.prunedTo + reader.varint();
      const state = reader.u8();
      if (state === REPLY_STATE.none || state > REPLY_STATE.dropped || session.stateOf(seq) !== REPLY_STATE.none) {
        throw new MalformedBytes(`reply ${seq} of session ${session.id} kept as ${state}`);
      }
      const replyRevision = reader.varint();
      const detail = reader.varint();
      const bytes = state === REPLY_STATE.bytes ? reader.bytes().slice() : undefined;
      session.keep(seq, { state, revision: replyRevision, detail, bytes });
    }
    if (this.sessions.has(session.id)) {
      throw new MalformedBytes(`session ${session.id} twice`);
    }
    this.sessions.restore(session);
    return 1 + kept / 5;
  }

  private readVersion(reader: ByteReader, newest: boolean): number {
    const { mvcc } = this;
    const { draft } = mvcc.versions;
    const flags = reader.u8();
    if (flags > VERSION_FLAGS_KNOWN || (!newest && this.rows.length === 0)) {
      throw new MalformedBytes(`version with flags ${flags} out of order`);
    }
    const tombstone = (flags & VERSION_FLAG.tombstone) !== 0;
    draft.revision = reader.varint();
    draft.createRevision = tombstone ? 0 : reader.varint();
    draft.version = tombstone ? 0 : reader.varint();
    const lease = (flags & VERSION_FLAG.lease) !== 0 ? reader.big64() : 0n;
    mvcc.draftLease(Number(BigInt.asUintN(32, lease)), Number(BigInt.asUintN(32, lease >> 32n)));
    const value = tombstone ? NO_BYTES : reader.bytes();
    mvcc.draftKey(this.keySource, 0, this.keySource.length);
    mvcc.draftValue(value, 0, value.length);
    draft.previous = NO_ROW;
    this.addRow(newest, tombstone);
    return 1.5 + value.length / 2048;
  }

  private addRow(newest: boolean, tombstone: boolean): void {
    const { mvcc } = this;
    const { versions, index, retained } = mvcc;
    const at = versions.draft.revision;
    if (newest) {
      if (mvcc.locateDraft() || index.settle()) {
        throw new MalformedBytes("keys out of order");
      }
      mvcc.keys += tombstone ? 0 : 1;
      this.rows.length = 0;
    }
    const header = this.header as Header;
    const above = this.rows.length === 0 ? header.revision : versions.revisionOf(this.rows[this.rows.length - 1] as Row);
    if (at > above || at === 0 || this.keySource.length === 0) {
      throw new MalformedBytes(`version at revision ${at} above ${above}`);
    }
    const row = versions.add();
    if (row !== this.versions + 1) {
      throw new MalformedBytes("rows out of order");
    }
    if (newest) {
      index.insert(row);
    }
    retained.add(versions.hashHighOf(row), versions.hashLowOf(row), versions.weightOf(row));
    this.rows.push(row);
    this.linkedFrom = this.rows.length;
    this.versions++;
  }

  /** Whether the versions read last must be linked before the next record is read: when that one is not an older version. */
  private needsLinks(): boolean {
    if (this.linkedFrom <= 1 || this.rows.length <= 1) {
      return false;
    }
    return this.chunk[this.reader.position] !== RECORD_TAG.older;
  }

  /** Links versions from the oldest up; returns the work done. */
  private linkSome(units: number): number {
    const { versions } = this.mvcc;
    const most = Math.max(1, Math.floor(units * 10));
    let done = 0;
    for (; done < most && this.linkedFrom > 1; done++) {
      this.linkedFrom--;
      versions.link(this.rows[this.linkedFrom - 1] as Row, this.rows[this.linkedFrom] as Row);
    }
    return done / 10;
  }

  private readEvents(reader: ByteReader): number {
    const { mvcc } = this;
    const count = reader.varint();
    for (let i = 0; i < count; i++) {
      const row = reader.u32() + 1;
      if (row > this.versions) {
        throw new MalformedBytes(`event of version ${row}, there are ${this.versions}`);
      }
      mvcc.log.append(row, mvcc.freed);
      addFreed(mvcc.versions, row, mvcc.freed);
    }
    return count / 5;
  }
}
