/**
 * Backup files over a disk in memory: what is written is read back the same and begins a new cluster; every byte of damage, and every
 * stream that is not whole, is refused; a power cut leaves a whole file or none under its name.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chainHash, hashBytes, ZERO_HASH } from "../base/hash64.js";
import { seedPrng } from "../base/prng.js";
import { utf8Encode } from "../base/utf8.js";
import { BatchBuilder } from "../kv/batch.js";
import { encodeCommand } from "../kv/command.js";
import { NO_SESSION } from "../kv/model.js";
import { Store } from "../kv/store.js";
import { address, slot } from "../paxos/ids.js";
import { hashChunk } from "../storage/snapshot-file.js";
import { ManualClock } from "../storage/testing/manual-clock.js";
import { MemoryDisk } from "../storage/testing/memory-disk.js";
import { type FaultPlan, MemoryFileSystem } from "../storage/testing/memory-file-system.js";
import { CONFIGURATION, openWorld, SMALL_SEGMENT, seededRandom } from "../storage/testing/storage-world.js";
import { type BackupParts, readBackup, restoreBackup, writeBackup } from "./backup-file.js";
import { loadStore } from "./load-store.js";

const FILE = "/backups/b";
const ADDRESS = address("127.0.0.1:9007");

function store(keys: number): Store {
  const made = Store.empty();
  for (let i = 1; i <= keys; i++) {
    const builder = new BatchBuilder();
    builder.add(NO_SESSION, 0, 0, encodeCommand({ kind: "put", key: utf8Encode(`key ${i}`), value: new Uint8Array(40).fill(i) }));
    made.applyBatch(i, builder.finish(), { onReply: () => {} });
  }
  return made;
}

/** The parts that a server would send. */
function partsOf(of: Store): readonly BackupParts[] {
  const view = of.openReadView();
  const base = { index: slot(view.slot), chain: hashBytes(utf8Encode("chain")), stateHash: view.stateHash, configuration: CONFIGURATION };
  const chunks: Uint8Array[] = [];
  while (!view.done) {
    const chunk = view.next(100_000);
    if (chunk !== undefined) {
      chunks.push(chunk);
    }
  }
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const hash = chunks.reduce((sum, chunk) => chainHash(sum, hashChunk(chunk)), ZERO_HASH);
  return [
    { kind: "head", base },
    ...chunks.map((chunk): BackupParts => ({ kind: "chunk", bytes: chunk })),
    { kind: "end", chunks: chunks.length, bytes, hash },
  ];
}

async function* streamOf(parts: readonly BackupParts[], failure?: Error): AsyncGenerator<BackupParts> {
  yield* parts;
  if (failure !== undefined) {
    throw failure;
  }
}

function newDisk(): MemoryDisk {
  const disk = new MemoryDisk();
  disk.makeDirectory("/backups");
  return disk;
}

const tools = (disk: MemoryDisk, plan?: FaultPlan) => ({
  fileSystem: new MemoryFileSystem(disk, plan),
  clock: new ManualClock(),
  random: seededRandom(5),
  segmentBytes: SMALL_SEGMENT,
});

test("what was written is read back, and begins a cluster with the same state, further on", async () => {
  for (const keys of [0, 30]) {
    const disk = newDisk();
    const of = store(keys);
    const { fileSystem } = tools(disk);
    const written = await writeBackup(fileSystem, FILE, streamOf(partsOf(of)));
    assert.equal(written.index, keys);
    const { meta, stats } = await readBackup(fileSystem, FILE);
    assert.deepEqual([meta, stats.keys, stats.revision], [written, keys, keys + 1]);
    await assert.rejects(writeBackup(fileSystem, FILE, streamOf(partsOf(of))), /^StorageFailure: \/backups\/b: exists already/);

    const restored = await restoreBackup({ ...tools(disk), path: FILE, to: "/new", address: ADDRESS });
    const { storage } = await openWorld(disk, 1, { directory: "/new" });
    const { durable } = storage;
    assert.deepEqual([durable.clusterId, durable.lineage.number, durable.replica], [restored.clusterId, 1, 1]);
    assert.deepEqual([durable.hint, durable.promised.round], [keys + 1, 2]);
    const { voters, roster } = durable.trimmedConfiguration ?? assert.fail("there is a configuration");
    assert.deepEqual([voters, roster.map((one) => one.address)], [[1], [ADDRESS]]);
    assert.equal(roster[0]?.diskId, durable.diskId);
    const state = durable.snapshot === null ? Store.empty() : await loadStore(storage.snapshots, durable.snapshot, Store.restore());
    assert.equal(state.stateHash(), of.stateHash());
    const skip = durable.learned.get(slot(keys + 1));
    state.applyBatch(keys + 1, skip?.payload ?? new Uint8Array(0), { onReply: () => {} });
    assert.deepEqual([state.revision, state.stats().keys], [keys + 1 + 1_000_000_000, keys]);
    await storage.close();
    await assert.rejects(restoreBackup({ ...tools(disk), path: FILE, to: "/new", address: ADDRESS }), /\/new: not empty/);
  }
});

test("every bit of damage and every cut is refused, with the file and a remedy", async () => {
  const disk = newDisk();
  await writeBackup(tools(disk).fileSystem, FILE, streamOf(partsOf(store(3))));
  const { length } = disk.inode(FILE).data;
  for (let at = 0; at < length; at++) {
    const damaged = disk.clone();
    damaged.inode(FILE).rot(at, 1 << (at % 8));
    const read = await readBackup(tools(damaged).fileSystem, FILE).then(
      () => "read",
      (error: Error) => error.message,
    );
    // The head is for people who look at the file: nothing is read from it, and so nothing is lost with it.
    assert.match(read, at < 16 ? /^read$/ : /^\/backups\/b: .*\. (Use another backup|Start the version)/, `byte ${at}`);
    const cut = disk.clone();
    cut.inode(FILE).truncate(at);
    await assert.rejects(restoreBackup({ ...tools(cut), path: FILE, to: "/new", address: ADDRESS }), /^StorageFailure: \/backups\/b: /);
    assert.throws(() => cut.directory("/new"), "nothing is made of it");
  }
  await assert.rejects(readBackup(tools(disk).fileSystem, "/backups/none"), /there is no such file/);
  const closed = tools(disk).fileSystem;
  closed.open = () => Promise.reject(Object.assign(new Error("EACCES: permission denied"), { code: "EACCES" }));
  const isForbidden = { kind: "foreign", remedy: "Check the path, and whether this user may use it." };
  await assert.rejects(readBackup(closed, FILE), { ...isForbidden, finding: "this user may not read it: EACCES: permission denied" });
  await assert.rejects(writeBackup(closed, "/backups/new", streamOf(partsOf(store(1)))), {
    ...isForbidden,
    path: "/backups",
    finding: "no file can be made here: EACCES: permission denied",
  });
  for (const text of ["", "SY", "# Notes\n\nWhat a person wrote, longer than the tail of a backup.\n"]) {
    const other = disk.clone();
    other.inode(FILE).truncate(0);
    other.inode(FILE).write(0, utf8Encode(text));
    await assert.rejects(readBackup(tools(other).fileSystem, FILE), { kind: "foreign", finding: "this is no backup of Synod" });
  }
});

test("a stream that is not whole leaves no file", async () => {
  const parts = partsOf(store(3));
  const [head, chunk, end] = parts as [BackupParts, BackupParts, BackupParts];
  assert.ok(end.kind === "end");
  const broken: ReadonlyArray<readonly [AsyncIterable<BackupParts>, RegExp]> = [
    [streamOf([]), /ended before the backup was whole/],
    [streamOf([head, chunk]), /ended before the backup was whole/],
    [streamOf([head, chunk], new Error("connection lost")), /connection lost/],
    [streamOf([chunk, end]), /a part that does not belong here/],
    [streamOf([head, head]), /a part that does not belong here/],
    [streamOf([head, end]), /arrived otherwise than it was sent/],
    [streamOf([head, chunk, { ...end, hash: hashBytes(Uint8Array.of(1)) }]), /arrived otherwise than it was sent/],
  ];
  for (const [stream, expected] of broken) {
    const disk = newDisk();
    await assert.rejects(writeBackup(tools(disk).fileSystem, FILE, stream), expected);
    assert.deepEqual([...disk.directory("/backups").names.keys()], []);
  }
});

test("a power cut at any step leaves the whole backup under its name, or none", async () => {
  const parts = partsOf(store(30));
  const whole = tools(newDisk());
  await writeBackup(whole.fileSystem, FILE, streamOf(parts));
  const { steps } = whole.fileSystem;
  const ends = { none: 0, whole: 0 };
  for (let step = 1; step <= steps; step++) {
    for (const [variant, survival] of [0, 0.5, 1].entries()) {
      const disk = newDisk();
      const { fileSystem } = tools(disk, ({ number }) => (number === step ? "cut" : "go"));
      await Promise.race([writeBackup(fileSystem, FILE, streamOf(parts)), fileSystem.whenCut]);
      disk.crash(seedPrng(step * 3 + variant), survival);
      const isThere = disk.directory("/backups").names.has("b");
      ends[isThere ? "whole" : "none"]++;
      if (isThere) {
        await readBackup(tools(disk).fileSystem, FILE);
      } else {
        await writeBackup(tools(disk).fileSystem, FILE, streamOf(parts));
      }
    }
  }
  assert.ok(ends.none > 0 && ends.whole > 0, JSON.stringify(ends));
});
