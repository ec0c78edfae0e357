/**
 * The log: one commit at a time becomes one batch, written at once into blocks that exist, on disk when the write returns.
 * Segments follow one another; one whose slots were trimmed is used again. Must never write a batch before the one before is
 * on disk, never call back for a commit that is not, and after a failure never do anything again.
 */
import { assert, present } from "../base/assert.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { applyRecord, type Durable, type WalRecord } from "../paxos/record.js";
import type { Clock, TimerHandle } from "../ports/clock.js";
import type { File, FileSystem } from "../ports/file.js";
import type { Random } from "../ports/random.js";
import type { Wal } from "../ports/wal.js";
import { alignUp, viewOf } from "./block.js";
import { CommitBuffer } from "./commit-buffer.js";
import { writeAt } from "./layout.js";
import { BLOCK_BYTES, COMMIT_BYTES_MAX, SEAL_IDLE_MS } from "./limits.js";
import { liveTail } from "./live-tail.js";
import type { SegmentEnd, SegmentFile } from "./recovery.js";
import { encodeSegmentHeader } from "./segment-header.js";
import type { SegmentPool } from "./segment-pool.js";
import { failureOf, type StorageFailure } from "./storage-failure.js";

/** Behind every batch there is room for a seal and for the mark that the log goes on elsewhere. */
const RESERVED_BYTES = 2 * BLOCK_BYTES;

export type SegmentedWalOptions = {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly pool: SegmentPool;
  /** The state as of the last record on disk; the log's own from now on. */
  readonly state: Durable;
  readonly onFailure: (failure: StorageFailure) => void;
  /** The record that names this snapshot is on disk. Called before the commit's own callback. */
  readonly onSnapshotNamed: (meta: SnapshotMeta) => void;
};

/** Where a recovered log stands; of an empty one, zeros, null and no segments. */
export type WalPosition = {
  readonly generation: number;
  readonly lastLsn: number;
  readonly newest: SegmentEnd | null;
  readonly oldestLive: number;
  readonly live: ReadonlyArray<SegmentFile & { readonly generation: number }>;
};

/** A segment that recovery would need. `maxSlot`: the greatest slot accepted or learned in it. */
type LiveSegment = SegmentFile & { readonly generation: number; maxSlot: number };

/** The segment being written: the next batch begins at `position`, the item before it ended at `previousEnd`. */
type CurrentSegment = LiveSegment & { readonly file: File; readonly salt: number; position: number; previousEnd: number };

type Commit = { readonly records: readonly WalRecord[]; readonly done: () => void };

export class SegmentedWal implements Wal {
  private readonly options: SegmentedWalOptions;
  private readonly state: Durable;
  private readonly live: LiveSegment[];
  /** Needed no more, but the log on disk does not say so yet. */
  private readonly dying: LiveSegment[] = [];
  private readonly buffer = new CommitBuffer();
  private current: CurrentSegment | null = null;
  private generation: number;
  /** Of the next batch or seal. */
  private lsn: number;
  /** What the newest item on disk says is the oldest segment needed. */
  private statedOldest: number;
  private readonly recovered: SegmentEnd | null;
  private flying: Commit | null = null;
  /** A batch, a seal or a new segment is being written. */
  private writing = false;
  private sealed = true;
  private sealTimer: TimerHandle | null = null;
  private lsnAtSealTimer = 0;
  private failed = false;
  private closed = false;
  private onIdle: (() => void) | null = null;

  constructor(options: SegmentedWalOptions, position: WalPosition) {
    this.options = options;
    this.state = options.state;
    this.generation = position.generation;
    this.lsn = position.lastLsn + 1;
    this.recovered = position.newest;
    this.statedOldest = position.oldestLive;
    this.live = position.live.map((segment) => ({ ...segment, maxSlot: Number.POSITIVE_INFINITY }));
  }

  /**
   * Begins the first segment of this life and copies `batches` into it: everything that is still needed. Only the last of
   * them, once on disk, makes the earlier segments superfluous. Rejects with what the disk said.
   */
  async begin(batches: ReadonlyArray<readonly WalRecord[]>): Promise<void> {
    assert(batches.length > 0, "a life begins with its boot record");
    const before = this.live.length;
    await this.beginSegment({ ...this.state }, 0);
    for (const [i, records] of batches.entries()) {
      this.buffer.start(records);
      if (!this.fits()) {
        await this.beginSegment({ ...this.state }, this.buffer.paddedBytes);
      }
      if (i === batches.length - 1) {
        this.dying.push(...this.live.splice(0, before));
      }
      await new Promise<void>((resolve, reject) => this.write((error) => (error === null ? resolve() : reject(error))));
      this.apply(records);
    }
    this.reclaim();
  }

  /** The log is open for commits: what `begin` wrote is sealed as any commit is. */
  ready(): void {
    this.sealed = false;
    this.armSeal();
  }

  commit(records: readonly WalRecord[], done: () => void): void {
    assert(records.length > 0, "a commit holds at least one record");
    if (this.failed) {
      return;
    }
    assert(this.flying === null, "one commit is in flight at a time");
    assert(!this.closed, "a closed log takes no commits");
    this.flying = { records, done };
    if (!this.writing) {
      this.start();
    }
  }

  diskBytes(): number {
    const sum = (segments: readonly SegmentFile[]): number => segments.reduce((total, segment) => total + segment.bytes, 0);
    return sum(this.live) + sum(this.dying) + this.options.pool.bytes;
  }

  /** Waits for what is under way, seals the last batch and closes the file. */
  async close(): Promise<void> {
    this.closed = true;
    this.sealTimer?.cancel();
    await this.idle();
    if (!this.failed && !this.sealed) {
      this.seal();
      await this.idle();
    }
    if (!this.writing) {
      await this.current?.file.close();
    }
  }

  /** Another part of the storage failed: nothing more is written or called back. */
  stop(): void {
    this.failed = true;
    this.sealTimer?.cancel();
    this.onIdle?.();
  }

  private idle(): Promise<void> {
    if (this.failed || (!this.writing && this.flying === null)) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.onIdle = resolve;
    });
  }

  private start(): void {
    const { records } = present(this.flying, "there is a commit to start");
    this.writing = true;
    this.buffer.start(records);
    const installs = records.some((record) => record.kind === "snapshotInstalled");
    if (installs || !this.fits()) {
      this.rollAndWrite(records, installs).catch((error: unknown) => this.fail(error, "begin a segment"));
      return;
    }
    this.write((error) => this.onWritten(error, records));
    // The batch is encoded: while the disk works, the state follows.
    this.apply(records);
  }

  /** The commit goes to a new segment. An install takes the live tail along in one batch, after which no older segment counts. */
  private async rollAndWrite(records: readonly WalRecord[], installs: boolean): Promise<void> {
    const base = { ...this.state };
    this.apply(records);
    if (installs) {
      this.buffer.append(liveTail(this.state));
    }
    await this.beginSegment(base, this.buffer.paddedBytes);
    if (installs) {
      this.dying.push(...this.live.splice(0, this.live.length - 1));
    }
    if (!this.failed) {
      this.write((error) => this.onWritten(error, records));
    }
  }

  /** Begins a segment whose header tells `base`, with room for a batch of `batchBytes`, a seal and a mark. */
  private async beginSegment(base: Durable, batchBytes: number): Promise<void> {
    const fields = {
      generation: this.generation + 1,
      salt: viewOf(this.options.random.bytes(4)).getUint32(0, true),
      firstLsn: this.lsn,
      previousEnd: (this.current ?? this.recovered)?.position ?? 0,
      // Not what is needed now, but what the log on disk has said: the copies may not be complete.
      oldestLive: this.statedOldest === 0 ? this.generation + 1 : this.statedOldest,
      base,
    };
    const headerBytes = encodeSegmentHeader({ ...fields, segmentBytes: 0 }).length;
    const { file, ...taken } = await this.options.pool.take(headerBytes + batchBytes + RESERVED_BYTES);
    await writeAt(file, 0, encodeSegmentHeader({ ...fields, segmentBytes: taken.bytes }));
    await this.markContinued();
    this.generation = fields.generation;
    this.statedOldest = fields.oldestLive;
    const place = { generation: fields.generation, salt: fields.salt, position: headerBytes, previousEnd: headerBytes };
    this.current = { ...taken, ...place, file, maxSlot: 0 };
    this.live.push(this.current);
    this.options.pool.prepare();
  }

  /**
   * Says at the end of the segment before that there is another one, before anything is acknowledged there: if the newest
   * file is lost as a whole, nobody takes the one before for the newest.
   */
  private async markContinued(): Promise<void> {
    const before = this.current ?? this.recovered;
    if (before === null || before.position + BLOCK_BYTES > before.bytes) {
      return;
    }
    const { salt, generation, previousEnd } = before;
    const { promised, hardMs } = this.state;
    const mark = new CommitBuffer(BLOCK_BYTES);
    mark.start([]);
    const place = { salt, generation, lsn: this.lsn, previousEnd, promised, hardMs, oldestLive: this.statedOldest, continued: true };
    const file = this.current?.file ?? (await this.options.fileSystem.open(before.path, { mode: "update", durable: true }));
    await writeAt(file, before.position, mark.finish(place));
    await file.close();
  }

  /** Whether the batch in the buffer goes into the current segment, with a seal and a mark behind it. */
  private fits(): boolean {
    const { position, bytes } = this.segment();
    return position + this.buffer.paddedBytes + RESERVED_BYTES <= bytes;
  }

  private segment(): CurrentSegment {
    return present(this.current, "the log has begun");
  }

  /** Writes what is in the buffer; once that is on disk the log has moved on and `written` hears of it. */
  private write(written: (error: Error | null) => void): void {
    const segment = this.segment();
    const { buffer, lsn } = this;
    const { promised, hardMs } = this.state;
    const { salt, generation, previousEnd, position } = segment;
    const oldestLive = present(this.live[0], "the current segment is live").generation;
    assert(buffer.contentBytes <= COMMIT_BYTES_MAX, "a commit stays below COMMIT_BYTES_MAX");
    const end = position + buffer.contentBytes;
    const { lastSlot } = buffer;
    const bytes = buffer.finish({ salt, generation, lsn, previousEnd, promised, hardMs, oldestLive, continued: false });
    assert(position + bytes.length <= segment.bytes, "a batch ends inside its segment");
    segment.file.write(position, bytes, (error) => {
      if (error === null) {
        segment.previousEnd = end;
        segment.position = alignUp(end);
        segment.maxSlot = lastSlot > segment.maxSlot ? lastSlot : segment.maxSlot;
        this.statedOldest = oldestLive;
        this.lsn = lsn + 1;
      }
      written(error);
    });
  }

  private apply(records: readonly WalRecord[]): void {
    for (const record of records) {
      applyRecord(this.state, record);
    }
  }

  private onWritten(error: Error | null, records: readonly WalRecord[]): void {
    if (error !== null) {
      this.fail(error, "write the log");
    } else if (records.some((record) => record.kind === "identity")) {
      // Each identity begins a segment: the newest header alone tells who we are.
      this.beginSegment({ ...this.state }, 0).then(
        () => this.finish(records),
        (cause: unknown) => this.fail(cause, "begin a segment"),
      );
    } else {
      this.finish(records);
    }
  }

  private finish(records: readonly WalRecord[]): void {
    if (this.failed) {
      return;
    }
    const { done } = present(this.flying, "the commit that was written");
    for (const record of records) {
      if (record.kind === "snapshot" || record.kind === "snapshotInstalled") {
        this.options.onSnapshotNamed(record.meta);
      }
    }
    this.reclaim();
    this.flying = null;
    this.writing = false;
    this.sealed = false;
    this.armSeal();
    done();
    this.settle();
  }

  /** Gives back the segments that hold nothing needed, once the log on disk says so. Every record applied is on disk when this runs. */
  private reclaim(): void {
    for (
      let oldest = this.live[0];
      oldest !== undefined && this.live.length > 1 && oldest.maxSlot <= this.state.trimmed;
      oldest = this.live[0]
    ) {
      this.live.shift();
      this.dying.push(oldest);
    }
    for (let oldest = this.dying[0]; oldest !== undefined && oldest.generation < this.statedOldest; oldest = this.dying[0]) {
      this.dying.shift();
      this.options.pool.release(oldest);
    }
  }

  private armSeal(): void {
    if (this.sealTimer === null && !this.closed) {
      this.lsnAtSealTimer = this.lsn;
      this.sealTimer = this.options.clock.after(SEAL_IDLE_MS / 2, () => this.onSealTimer());
    }
  }

  /** One timer for many commits: it looks twice per SEAL_IDLE_MS whether anything was written since. */
  private onSealTimer(): void {
    this.sealTimer = null;
    if (this.closed || this.failed || this.sealed) {
      return;
    }
    if (this.writing || this.lsn !== this.lsnAtSealTimer) {
      this.armSeal();
      return;
    }
    this.seal();
  }

  /** A header without a body behind the last batch: damage to that batch can no longer look like a torn write. */
  private seal(): void {
    this.writing = true;
    this.buffer.start([]);
    this.write((error) => {
      if (error !== null) {
        this.fail(error, "seal the log");
      } else if (!this.failed) {
        this.sealed = true;
        this.writing = false;
        this.reclaim();
        this.settle();
      }
    });
  }

  /** After a write: the commit that waited for it begins, or whoever waits for quiet goes on. */
  private settle(): void {
    if (this.writing) {
      return;
    }
    if (this.flying !== null) {
      this.start();
    } else {
      this.onIdle?.();
    }
  }

  private fail(error: unknown, action: string): void {
    if (this.failed) {
      return;
    }
    const failure = failureOf(error, this.current?.path ?? "the log", action);
    this.stop();
    this.options.onFailure(failure);
  }
}
