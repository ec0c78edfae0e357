/**
 * Snapshots on a disk in memory: written, named, loaded, served while superseded, received in any order, refused when wrong,
 * damaged at every byte; and which one a start stands on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import { MalformedBytes, toHex } from "../base/bytes.js";
import { slot } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { SNAPSHOT_CHUNK_MAX, SNAPSHOT_SERVED_KEEP_MS } from "./limits.js";
import { hashChunk, hashChunks } from "./snapshot-file.js";
import { openStorage } from "./storage.js";
import { StorageFailure } from "./storage-failure.js";
import { MemoryDisk } from "./testing/memory-disk.js";
import { MemoryFileSystem } from "./testing/memory-file-system.js";
import {
  accept,
  checkSnapshot,
  chunksAt,
  commit,
  DIRECTORY,
  IDENTITY,
  openWorld,
  snapshotBase,
  takeSnapshot,
  trimTo,
  worldParts,
} from "./testing/storage-world.js";

async function snapshotFiles(disk: MemoryDisk): Promise<readonly string[]> {
  return (await new MemoryFileSystem(disk).list(DIRECTORY)).filter((name) => name.startsWith("snapshot")).sort();
}

const fileOf = (index: number): string => `snapshot-${String(index).padStart(16, "0")}.snap`;

/** What a peer offers: the made-up snapshot at `index`. */
function offered(index: number): SnapshotMeta {
  const chunks = chunksAt(index);
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return { ...snapshotBase(index), chunks: chunks.length, bytes, hash: hashChunks(chunks.map(hashChunk)) };
}

test("a snapshot is written, named, loaded; the one before goes once the record is on disk", async () => {
  const disk = new MemoryDisk();
  const { storage, clock } = await openWorld(disk, 1);
  await commit(storage, [IDENTITY]);
  for (const index of [5, 9]) {
    const meta = await takeSnapshot(storage.snapshots, index);
    assert.notEqual(storage.snapshots.latest()?.index, index, "it counts only once the log names it");
    await commit(storage, [{ kind: "snapshot", meta }]);
    assert.deepEqual(storage.snapshots.latest(), meta);
  }
  await clock.advance(1);
  assert.deepEqual(await snapshotFiles(disk), [fileOf(9)]);
  assert.ok(storage.snapshots.diskBytes() > 0);
  await storage.close();
  const again = await openWorld(disk, 2);
  assert.equal(again.storage.durable.snapshot?.index, 9);
  await checkSnapshot(again.storage);
});

test("an empty state and chunks of the largest size", async () => {
  const { storage } = await openWorld(new MemoryDisk(), 1);
  const empty = await (await storage.snapshots.create(snapshotBase(1))).finish();
  assert.deepEqual([empty.chunks, empty.bytes], [0, 0]);
  const writer = await storage.snapshots.create(snapshotBase(2));
  const large = new Uint8Array(SNAPSHOT_CHUNK_MAX).fill(3);
  for (let i = 0; i < 6; i++) {
    await writer.push(large);
  }
  await assert.rejects(writer.push(new Uint8Array(SNAPSHOT_CHUNK_MAX + 1)), /a chunk has 1 to/);
  const meta = await writer.finish();
  assert.equal(meta.bytes, 6 * SNAPSHOT_CHUNK_MAX);
  assert.deepEqual(await storage.snapshots.readChunk(meta.index, 5), large);
  assert.equal(await storage.snapshots.readChunk(meta.index, 6), null);
  assert.equal(await storage.snapshots.readChunk(slot(77), 0), null);
});

test("given up, it leaves nothing; without a record, it is gone at the next start", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  const writer = await storage.snapshots.create(snapshotBase(3));
  await writer.push(Uint8Array.of(1));
  await assert.rejects(storage.snapshots.create(snapshotBase(4)), /one snapshot is written at a time/);
  await writer.abort();
  assert.deepEqual(await snapshotFiles(disk), []);
  await takeSnapshot(storage.snapshots, 5);
  const unfinished = await storage.snapshots.create(snapshotBase(6));
  await unfinished.push(Uint8Array.of(1));
  await storage.snapshots.receive(offered(7));
  assert.equal((await snapshotFiles(disk)).length, 3);
  disk.kill();
  const again = await openWorld(disk, 2);
  assert.equal(again.storage.snapshots.latest(), null);
  assert.deepEqual(await snapshotFiles(disk), []);
});

test("a superseded snapshot stays while a peer reads it", async () => {
  const disk = new MemoryDisk();
  const { storage, clock } = await openWorld(disk, 1);
  await commit(storage, [{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, 5) }]);
  assert.deepEqual(await storage.snapshots.readChunk(slot(5), 0), chunksAt(5)[0]);
  await commit(storage, [{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, 9) }]);
  await clock.advance(SNAPSHOT_SERVED_KEEP_MS / 2);
  assert.deepEqual(await storage.snapshots.readChunk(slot(5), 1), chunksAt(5)[1]);
  await clock.advance(SNAPSHOT_SERVED_KEEP_MS);
  assert.deepEqual(await snapshotFiles(disk), [fileOf(5), fileOf(9)]);
  await clock.advance(SNAPSHOT_SERVED_KEEP_MS * 2);
  assert.deepEqual(await snapshotFiles(disk), [fileOf(9)]);
  assert.equal(await storage.snapshots.readChunk(slot(5), 0), null);
});

test("received in any order, installed with the live tail in one new segment", async () => {
  const disk = new MemoryDisk();
  const { storage, clock } = await openWorld(disk, 1);
  await commit(storage, [IDENTITY]);
  for (let at = 1; at <= 12; at++) {
    await commit(storage, [accept(at, 1, Uint8Array.of(at))]);
  }
  const meta = offered(10);
  const receiver = await storage.snapshots.receive(meta);
  for (const i of [2, 0, 2, 1]) {
    await receiver.storeChunk(i, chunksAt(10)[i] ?? new Uint8Array(0));
  }
  assert.equal(await receiver.finish(), true);
  const loaded: string[] = [];
  for await (const chunk of storage.snapshots.chunks(meta.index)) {
    loaded.push(toHex(chunk));
  }
  assert.deepEqual(loaded, chunksAt(10).map(toHex), "it can be loaded before the log names it");
  await commit(storage, [{ kind: "snapshotInstalled", meta }]);
  await clock.advance(30);
  disk.kill();
  const again = await openWorld(disk, 2);
  const { durable } = again.storage;
  assert.deepEqual([durable.snapshot?.index, durable.trimmed, [...durable.accepted.keys()]], [10, 10, [11, 12]]);
  await checkSnapshot(again.storage);
});

test("what does not make up the offered snapshot is refused", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  const meta = offered(10);
  const receiver = await storage.snapshots.receive(meta);
  await assert.rejects(receiver.storeChunk(3, Uint8Array.of(1)), MalformedBytes);
  await assert.rejects(receiver.storeChunk(0, new Uint8Array(0)), MalformedBytes);
  await assert.rejects(receiver.storeChunk(0, new Uint8Array(meta.bytes + 1)), MalformedBytes);
  await receiver.storeChunk(0, chunksAt(10)[0] ?? new Uint8Array(0));
  assert.equal(await receiver.finish(), false, "chunks are missing");
  const second = await storage.snapshots.receive(meta);
  for (const [i, chunk] of chunksAt(10).entries()) {
    await second.storeChunk(
      i,
      chunk.map((byte, at) => (i === 1 && at === 0 ? byte ^ 1 : byte)),
    );
  }
  assert.equal(await second.finish(), false, "one bit differs");
  assert.deepEqual(await snapshotFiles(disk), []);
});

test("giving up waits for the write under way, and after the end changes nothing", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  const first = await storage.snapshots.create(snapshotBase(3));
  const pushed = first.push(Uint8Array.of(1));
  const aborted = first.abort();
  await Promise.all([pushed, aborted]);
  await assert.rejects(first.push(Uint8Array.of(1)), /takes chunks until/);
  const second = await storage.snapshots.create(snapshotBase(3));
  await first.abort();
  await second.push(Uint8Array.of(2));
  const meta = await second.finish();
  await second.abort();
  assert.deepEqual(await storage.snapshots.readChunk(meta.index, 0), Uint8Array.of(2));
  const third = await storage.snapshots.create(snapshotBase(4));
  await storage.close();
  await assert.rejects(third.push(Uint8Array.of(1)), /takes chunks until/);
  assert.deepEqual(await snapshotFiles(disk), [fileOf(3)]);
});

test("a new reception replaces the one before", async () => {
  const { storage } = await openWorld(new MemoryDisk(), 1);
  const first = await storage.snapshots.receive(offered(10));
  const second = await storage.snapshots.receive(offered(11));
  await assert.rejects(first.storeChunk(0, Uint8Array.of(1)), /takes chunks until/);
  for (const [i, chunk] of chunksAt(11).entries()) {
    await second.storeChunk(i, chunk);
  }
  assert.equal(await second.finish(), true);
});

test("every byte of a snapshot flipped: loaded as written or refused", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  await commit(storage, [IDENTITY]);
  await commit(storage, [{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, 5) }, trimTo(5)]);
  await storage.close();
  const { length } = disk.inode(`${DIRECTORY}/${fileOf(5)}`).data;
  let refused = 0;
  for (let at = 0; at < length; at += at < 40 || at > length - 200 ? 1 : 7) {
    const copy = disk.clone();
    copy.inode(`${DIRECTORY}/${fileOf(5)}`).rot(at, 1 << (at % 8));
    try {
      await checkSnapshot((await openWorld(copy, 2)).storage);
    } catch (error) {
      assert.ok(error instanceof StorageFailure && error.kind === "corrupt", String(error));
      refused += 1;
    }
  }
  assert.ok(refused > 100);
});

test("a rotten snapshot: an older one from which the log goes on, else the whole log, else a refusal", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  await commit(storage, [IDENTITY, accept(1, 1, Uint8Array.of(1))]);
  await commit(storage, [{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, 5) }]);
  await storage.snapshots.readChunk(slot(5), 0);
  await commit(storage, [{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, 9) }]);
  const rotten = async (trimmed: number | null, names: readonly string[]) => {
    const copy = disk.clone();
    if (trimmed !== null) {
      const between = await openWorld(copy, 2);
      // The start deletes the older snapshot unless it is put back, as a crash before its removal would leave it.
      await commit(between.storage, [trimTo(trimmed)]);
      await between.storage.close();
      const file = await new MemoryFileSystem(disk).open(`${DIRECTORY}/${fileOf(5)}`, { mode: "read", durable: false });
      const target = await new MemoryFileSystem(copy).open(`${DIRECTORY}/${fileOf(5)}`, { mode: "create", durable: false });
      const bytes = await file.read(0, 1e6);
      await new Promise<void>((resolve) => target.write(0, bytes, () => resolve()));
    }
    for (const name of names) {
      copy.inode(`${DIRECTORY}/${name}`).rot(40, 1);
    }
    return await openStorage(worldParts(copy, 3).options);
  };
  const fallback = await rotten(3, [fileOf(9)]);
  assert.equal(fallback.durable.snapshot?.index, 5);
  assert.match(fallback.warnings.join(), /An older state/);
  await checkSnapshot(fallback);
  const none = await rotten(null, [fileOf(9), fileOf(5)]);
  assert.equal(none.durable.snapshot, null);
  assert.equal(none.durable.accepted.size, 1);
  await assert.rejects(rotten(3, [fileOf(9), fileOf(5)]), StorageFailure);
  const unreachable = await rotten(6, [fileOf(9)]).then(
    async (opened) =>
      await checkSnapshot(opened).then(
        () => "loaded",
        () => "refused",
      ),
    () => "refused",
  );
  assert.equal(unreachable, "refused", "the log does not go on from the older one");
});

const isFull = (error: unknown): boolean => error instanceof StorageFailure && error.kind === "full";

test("a snapshot that finds no space for its first bytes leaves nothing behind, and the next may begin", async () => {
  const disk = new MemoryDisk();
  const { storage, clock, failures } = await openWorld(disk, 1);
  await clock.advance(100);
  const { snapshots } = storage;
  disk.capacity = disk.used();
  await assert.rejects(snapshots.create(snapshotBase(3)), isFull);
  await assert.rejects(snapshots.receive(offered(3)), isFull);
  assert.deepEqual(await snapshotFiles(disk), []);
  disk.capacity = Number.POSITIVE_INFINITY;
  await takeSnapshot(snapshots, 3);
  assert.deepEqual(await snapshotFiles(disk), [fileOf(3)]);
  assert.deepEqual(failures, []);
});

test("a chunk that found no space is taken when it comes again", async () => {
  const disk = new MemoryDisk();
  const { storage, clock } = await openWorld(disk, 1);
  await clock.advance(100);
  const receiver = await storage.snapshots.receive(offered(3));
  disk.capacity = disk.used();
  const [first, ...others] = chunksAt(3);
  const head = present(first, "it has chunks");
  await assert.rejects(receiver.storeChunk(0, head), isFull);
  disk.capacity = Number.POSITIVE_INFINITY;
  for (const [chunk, bytes] of [head, ...others].entries()) {
    await receiver.storeChunk(chunk, bytes);
  }
  assert.equal(await receiver.finish(), true);
});

test("a full disk is survivable: the snapshot is given up, the log goes on", async () => {
  const disk = new MemoryDisk();
  const { storage, failures, clock } = await openWorld(disk, 1);
  await clock.advance(100);
  const writer = await storage.snapshots.create(snapshotBase(3));
  disk.capacity = disk.used() + 10;
  await assert.rejects(writer.push(new Uint8Array(1000)), (error: unknown) => error instanceof StorageFailure && error.kind === "full");
  await writer.abort();
  await commit(storage, [IDENTITY]);
  assert.deepEqual(failures, []);
});
