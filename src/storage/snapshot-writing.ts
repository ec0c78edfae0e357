/**
 * Snapshot files in the making: one of our own state, written front to back, and one that is received in any order. Both end
 * the same way (PROTOCOL §1.7): synced, renamed, the directory synced, everything read back; only then do they exist.
 */
import { assert } from "../base/assert.js";
import { MalformedBytes } from "../base/bytes.js";
import type { Slot } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import type { File, FileSystem } from "../ports/file.js";
import type { SnapshotBase, SnapshotReceiver, SnapshotWriter } from "../ports/snapshot-store.js";
import { pathIn, removeIfThere, writeAt } from "./layout.js";
import { SNAPSHOT_CHUNK_MAX, SNAPSHOT_CHUNKS_MAX, SNAPSHOT_SYNC_BYTES } from "./limits.js";
import {
  type ChunkPlace,
  damaged,
  encodeEnd,
  encodeHead,
  hashChunk,
  hashChunks,
  isWhole,
  readContent,
  readPlace,
  SNAPSHOT_HEAD_BYTES,
} from "./snapshot-file.js";
import { failureOf } from "./storage-failure.js";

/** What a snapshot in the making needs of its store. */
export type SnapshotSite = {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** What the finished file is called; `snapshotName` in a data directory. */
  readonly nameOf: (index: Slot) => string;
  /** A verified snapshot is in place. */
  readonly onPlaced: (meta: SnapshotMeta, bytes: number) => void;
  /** Finished or given up: the temporary file is gone. */
  readonly onEnd: () => void;
};

/** The temporary file under a writer or receiver: it grows at its end, and becomes a snapshot or goes. */
class TemporarySnapshot {
  private readonly site: SnapshotSite;
  private readonly file: File;
  readonly path: string;
  private end = SNAPSHOT_HEAD_BYTES;
  private unsynced = SNAPSHOT_HEAD_BYTES;
  /** The operation under way: the next one waits for it, so that a file is never closed below a write. */
  private running: Promise<unknown> = Promise.resolve();
  private ended = false;

  private constructor(site: SnapshotSite, path: string, file: File) {
    this.site = site;
    this.path = path;
    this.file = file;
  }

  static async open(site: SnapshotSite, name: string): Promise<TemporarySnapshot> {
    const path = pathIn(site.directory, name);
    return await guard(path, "begin a snapshot", async () => {
      await removeIfThere(site.fileSystem, path);
      const file = await site.fileSystem.open(path, { mode: "create", durable: false });
      const temporary = new TemporarySnapshot(site, path, file);
      try {
        await writeAt(file, 0, encodeHead());
      } catch (error) {
        await temporary.discard();
        throw error;
      }
      return temporary;
    });
  }

  /** Appends a chunk; it is synced at the latest when `syncAfter` bytes are not. */
  append(chunk: Uint8Array, syncAfter: number): Promise<ChunkPlace> {
    return this.alone("write a snapshot", async () => {
      assert(!this.ended, "a snapshot takes chunks until it is finished or given up");
      const place = { offset: this.end, bytes: chunk.length, hash: hashChunk(chunk) };
      await writeAt(this.file, place.offset, chunk);
      this.end += chunk.length;
      this.unsynced += chunk.length;
      if (this.unsynced >= syncAfter) {
        await this.file.sync();
        this.unsynced = 0;
      }
      return place;
    });
  }

  /** Makes it the snapshot that `meta` describes, and reads it back whole. */
  async place(meta: SnapshotMeta, chunks: readonly ChunkPlace[]): Promise<void> {
    const { fileSystem, directory, nameOf } = this.site;
    const path = pathIn(directory, nameOf(meta.index));
    const end = encodeEnd({ meta, chunks }, this.end);
    await this.alone("finish a snapshot", async () => {
      assert(!this.ended, "a snapshot is finished once, or given up");
      await writeAt(this.file, this.end, end);
      await this.file.sync();
      await this.file.close();
      await fileSystem.rename(this.path, path);
      await fileSystem.syncDirectory(directory);
      this.ended = true;
    });
    await guard(path, "verify a snapshot", () => verifySnapshot(fileSystem, path, meta));
    this.site.onPlaced(meta, this.end + end.length);
    this.site.onEnd();
  }

  /** Nothing is left of it, unless it was placed before. */
  async discard(): Promise<void> {
    const discarded = await this.alone("remove a snapshot", async () => {
      if (this.ended) {
        return false;
      }
      this.ended = true;
      await this.file.close();
      await removeIfThere(this.site.fileSystem, this.path);
      return true;
    });
    if (discarded) {
      this.site.onEnd();
    }
  }

  private alone<T>(action: string, work: () => Promise<T>): Promise<T> {
    const result = this.running.then(() => guard(this.path, action, work));
    this.running = result.catch(() => {}); // whoever called gets the failure
    return result;
  }
}

/** Reads a snapshot in place from beginning to end. Throws a StorageFailure of kind corrupt unless it is what `meta` says. */
export async function verifySnapshot(fileSystem: FileSystem, path: string, meta: SnapshotMeta): Promise<void> {
  const file = await fileSystem.open(path, { mode: "read", durable: false });
  try {
    const content = await readContent(file, path);
    if (content.meta.index !== meta.index || content.meta.hash !== meta.hash || content.meta.chain !== meta.chain) {
      throw damaged(path, "holds another snapshot than its name and the log say");
    }
    for (const place of content.chunks) {
      await readPlace(file, path, place);
    }
  } finally {
    await file.close();
  }
}

export class DiskSnapshotWriter implements SnapshotWriter {
  private readonly temporary: TemporarySnapshot;
  private readonly base: SnapshotBase;
  private readonly chunks: ChunkPlace[] = [];
  private open = true;

  private constructor(temporary: TemporarySnapshot, base: SnapshotBase) {
    this.temporary = temporary;
    this.base = base;
  }

  static async begin(site: SnapshotSite, name: string, base: SnapshotBase): Promise<DiskSnapshotWriter> {
    return new DiskSnapshotWriter(await TemporarySnapshot.open(site, name), base);
  }

  async push(chunk: Uint8Array): Promise<void> {
    assert(this.open, "a snapshot takes chunks until it is finished");
    assert(chunk.length > 0 && chunk.length <= SNAPSHOT_CHUNK_MAX, "a chunk has 1 to SNAPSHOT_CHUNK_MAX bytes");
    assert(this.chunks.length < SNAPSHOT_CHUNKS_MAX, "a snapshot has at most SNAPSHOT_CHUNKS_MAX chunks");
    this.chunks.push(await this.temporary.append(chunk, SNAPSHOT_SYNC_BYTES));
  }

  async finish(): Promise<SnapshotMeta> {
    assert(this.open, "a snapshot is finished once");
    this.open = false;
    const meta: SnapshotMeta = {
      ...this.base,
      chunks: this.chunks.length,
      bytes: this.chunks.reduce((sum, place) => sum + place.bytes, 0),
      hash: hashChunks(this.chunks.map((place) => place.hash)),
    };
    await this.temporary.place(meta, this.chunks);
    return meta;
  }

  async abort(): Promise<void> {
    this.open = false;
    await this.temporary.discard();
  }
}

export class DiskSnapshotReceiver implements SnapshotReceiver {
  readonly meta: SnapshotMeta;
  private readonly temporary: TemporarySnapshot;
  private readonly chunks = new Map<number, ChunkPlace>();
  private bytes = 0;
  private open = true;

  private constructor(temporary: TemporarySnapshot, meta: SnapshotMeta) {
    this.temporary = temporary;
    this.meta = meta;
  }

  static async begin(site: SnapshotSite, name: string, meta: SnapshotMeta): Promise<DiskSnapshotReceiver> {
    return new DiskSnapshotReceiver(await TemporarySnapshot.open(site, name), meta);
  }

  async storeChunk(chunk: number, bytes: Uint8Array): Promise<void> {
    assert(this.open, "a snapshot takes chunks until it is finished");
    if (this.chunks.has(chunk)) {
      return;
    }
    const fits = bytes.length > 0 && bytes.length <= SNAPSHOT_CHUNK_MAX && this.bytes + bytes.length <= this.meta.bytes;
    if (!Number.isSafeInteger(chunk) || chunk < 0 || chunk >= this.meta.chunks || !fits) {
      throw new MalformedBytes(`chunk ${chunk} of ${bytes.length} bytes does not belong to the snapshot at slot ${this.meta.index}`);
    }
    this.chunks.set(chunk, await this.temporary.append(bytes, 0));
    this.bytes += bytes.length; // not before: a chunk that found no space comes again
  }

  async finish(): Promise<boolean> {
    assert(this.open, "a snapshot is finished once");
    this.open = false;
    const chunks = [...this.chunks].sort(([a], [b]) => a - b).map(([, place]) => place);
    if (!isWhole({ meta: this.meta, chunks })) {
      await this.temporary.discard();
      return false;
    }
    await this.temporary.place(this.meta, chunks);
    return true;
  }

  async abort(): Promise<void> {
    this.open = false;
    await this.temporary.discard();
  }
}

/** Runs `work`; what the disk says becomes a StorageFailure about `path`. */
export async function guard<T>(path: string, action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw failureOf(error, path, action);
  }
}
