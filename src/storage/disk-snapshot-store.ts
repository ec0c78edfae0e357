/**
 * All snapshots of a data directory. Which one counts is the log's to say (onNamed, called when its record is on disk);
 * older ones go then, except one that a peer is reading. Must never delete what the newest record on disk names.
 */
import { assert } from "../base/assert.js";
import type { Slot } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import type { Clock, TimerHandle } from "../ports/clock.js";
import type { File, FileSystem } from "../ports/file.js";
import type { SnapshotBase, SnapshotReceiver, SnapshotStore, SnapshotWriter } from "../ports/snapshot-store.js";
import { pathIn, SNAPSHOT_RECEIVE_TEMP, SNAPSHOT_WRITE_TEMP, snapshotName } from "./layout.js";
import { SNAPSHOT_SERVED_KEEP_MS } from "./limits.js";
import { damaged, readContent, readPlace, type SnapshotContent } from "./snapshot-file.js";
import { DiskSnapshotReceiver, DiskSnapshotWriter, guard, type SnapshotSite } from "./snapshot-writing.js";
import { failureOf, type StorageFailure } from "./storage-failure.js";

const MICROS_A_MILLI = 1000;

export type DiskSnapshotStoreOptions = {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly directory: string;
  readonly onFailure: (failure: StorageFailure) => void;
};

/** A snapshot in place. Its file is opened at the first read. */
type Placed = {
  readonly index: Slot;
  readonly path: string;
  readonly bytes: number;
  opened: Promise<{ readonly file: File; readonly content: SnapshotContent }> | null;
  /** Reads under way: the file is not closed below them. */
  readers: number;
  lastServed: number;
};

export class DiskSnapshotStore implements SnapshotStore {
  private readonly options: DiskSnapshotStoreOptions;
  private readonly placed = new Map<number, Placed>();
  private named: SnapshotMeta | null = null;
  private writing = false;
  private writer: DiskSnapshotWriter | null = null;
  private receiver: DiskSnapshotReceiver | null = null;
  private removing: Promise<void> = Promise.resolve();
  private timer: TimerHandle | null = null;
  private closed = false;

  /** `named`: what recovery chose, with the size of its file. */
  constructor(options: DiskSnapshotStoreOptions, named: { readonly meta: SnapshotMeta; readonly bytes: number } | null) {
    this.options = options;
    if (named !== null) {
      this.named = named.meta;
      this.put(named.meta.index, named.bytes);
    }
  }

  latest(): SnapshotMeta | null {
    return this.named;
  }

  async create(base: SnapshotBase): Promise<SnapshotWriter> {
    assert(!this.writing, "one snapshot is written at a time");
    assert(base.index > (this.named?.index ?? 0), "a snapshot is newer than the one before");
    this.writing = true;
    const site = this.site(() => {
      this.writing = false;
      this.writer = null;
    });
    try {
      this.writer = await DiskSnapshotWriter.begin(site, SNAPSHOT_WRITE_TEMP, base);
      return this.writer;
    } catch (error) {
      this.writing = false;
      throw error;
    }
  }

  async receive(meta: SnapshotMeta): Promise<SnapshotReceiver> {
    assert(meta.index > (this.named?.index ?? 0), "a received snapshot is newer than our own");
    await this.receiver?.abort();
    const site = this.site(() => {
      this.receiver = null;
    });
    const receiver = await DiskSnapshotReceiver.begin(site, SNAPSHOT_RECEIVE_TEMP, meta);
    this.receiver = receiver;
    return receiver;
  }

  async *chunks(index: Slot): AsyncIterable<Uint8Array> {
    const placed = this.placed.get(index);
    const path = pathIn(this.options.directory, snapshotName(index));
    if (placed === undefined) {
      throw damaged(path, "there is no snapshot at this slot");
    }
    placed.readers += 1;
    try {
      const { file, content } = await guard(path, "read a snapshot", () => this.opened(placed));
      for (const place of content.chunks) {
        yield await guard(path, "read a snapshot", () => readPlace(file, path, place));
      }
    } finally {
      await this.endRead(placed);
    }
  }

  async readChunk(index: Slot, chunk: number): Promise<Uint8Array | null> {
    const placed = this.placed.get(index);
    if (placed === undefined) {
      return null;
    }
    placed.lastServed = this.options.clock.nowMicros();
    placed.readers += 1;
    try {
      return await guard(placed.path, "read a snapshot", async () => {
        const { file, content } = await this.opened(placed);
        const place = content.chunks[chunk];
        return place === undefined ? null : await readPlace(file, placed.path, place);
      });
    } finally {
      await this.endRead(placed);
    }
  }

  diskBytes(): number {
    let bytes = 0;
    for (const placed of this.placed.values()) {
      bytes += placed.bytes;
    }
    return bytes;
  }

  /** The log names this snapshot, on disk: older ones are superfluous. */
  onNamed(meta: SnapshotMeta): void {
    assert(this.placed.has(meta.index), "the log names a snapshot that is in place");
    if (meta.index >= (this.named?.index ?? 0)) {
      this.named = meta;
    }
    this.removeSuperseded();
  }

  /** Gives up what is in the making, waits for removals and closes the files; one that is being read closes after its last read. */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    await this.writer?.abort();
    await this.receiver?.abort();
    await this.removing;
    for (const placed of this.placed.values()) {
      if (placed.readers === 0) {
        await (await placed.opened)?.file.close();
      }
    }
  }

  private async endRead(placed: Placed): Promise<void> {
    placed.readers -= 1;
    if (this.closed && placed.readers === 0) {
      await (await placed.opened)?.file.close();
    }
  }

  private site(onEnd: () => void): SnapshotSite {
    const { fileSystem, directory } = this.options;
    return { fileSystem, directory, nameOf: snapshotName, onPlaced: (meta, bytes) => this.put(meta.index, bytes), onEnd };
  }

  private put(index: Slot, bytes: number): void {
    const path = pathIn(this.options.directory, snapshotName(index));
    const served = this.placed.get(index)?.lastServed ?? Number.NEGATIVE_INFINITY;
    this.placed.set(index, { index, path, bytes, opened: null, readers: 0, lastServed: served });
  }

  private opened(placed: Placed): NonNullable<Placed["opened"]> {
    placed.opened ??= this.openPlaced(placed);
    return placed.opened;
  }

  private async openPlaced(placed: Placed): Promise<{ readonly file: File; readonly content: SnapshotContent }> {
    const file = await this.options.fileSystem.open(placed.path, { mode: "read", durable: false });
    return { file, content: await readContent(file, placed.path) };
  }

  /** One after another in the background; what is being read is looked at again later. */
  private removeSuperseded(): void {
    this.removing = this.removing
      .then(() => this.removeUnread())
      .catch((error: unknown) => {
        this.options.onFailure(failureOf(error, this.options.directory, "remove a snapshot"));
      });
  }

  private async removeUnread(): Promise<void> {
    let kept = false;
    for (const placed of [...this.placed.values()]) {
      if (this.closed || placed.index >= (this.named?.index ?? 0)) {
        continue;
      }
      const idle = this.options.clock.nowMicros() - placed.lastServed;
      if (placed.readers > 0 || idle < SNAPSHOT_SERVED_KEEP_MS * MICROS_A_MILLI) {
        kept = true;
        continue;
      }
      this.placed.delete(placed.index);
      await (await placed.opened)?.file.close();
      await this.options.fileSystem.remove(placed.path);
    }
    if (kept && this.timer === null && !this.closed) {
      this.timer = this.options.clock.after(SNAPSHOT_SERVED_KEEP_MS, () => {
        this.timer = null;
        this.removeSuperseded();
      });
    }
  }
}
