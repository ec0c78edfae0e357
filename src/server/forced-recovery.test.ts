/**
 * A forced recovery over disks in memory: what it makes of two directories, that it writes to neither, what it refuses before it
 * writes anything, and that a power cut at any of its steps leaves nothing that a server starts on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seedPrng } from "../base/prng.js";
import { BatchCursor } from "../kv/batch.js";
import { decodeCommand } from "../kv/command.js";
import { ballot } from "../paxos/ballot.js";
import { commandsBatch } from "../paxos/batch.js";
import { genesisConfiguration, MEMBERS_MAX } from "../paxos/configuration.js";
import { address, diskId, replicaId, slot } from "../paxos/ids.js";
import type { WalRecord } from "../paxos/record.js";
import { openStorage } from "../storage/storage.js";
import type { StorageFailure } from "../storage/storage-failure.js";
import { ManualClock } from "../storage/testing/manual-clock.js";
import { MemoryDisk } from "../storage/testing/memory-disk.js";
import { type FaultPlan, MemoryFileSystem } from "../storage/testing/memory-file-system.js";
import {
  accept,
  CONFIGURATION,
  chunksAt,
  commit,
  IDENTITY,
  openWorld,
  SMALL_SEGMENT,
  seededRandom,
  snapshotBase,
  takeSnapshot,
} from "../storage/testing/storage-world.js";
import { prepareRecovery, REVISIONS_SKIPPED, type RecoveryOptions } from "./forced-recovery.js";
import { recoveryReport } from "./recovery-report.js";

const SNAPSHOT_AT = 4;
const BYTES = 3000;

const bytesOf = (at: number): Uint8Array => new Uint8Array(BYTES).fill(at);
const identity = (replica: number): WalRecord => ({ ...IDENTITY, replica: replicaId(replica) }) as WalRecord;

/** Two of three servers: the first has a snapshot of slot 4 and knows up to 5, the other goes on to slot 30, of which 29 is missing. */
async function survivors(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const first = await openWorld(disk, 1, { directory: "/one" });
  await commit(first.storage, [identity(1)]);
  for (let at = 1; at <= 5; at++) {
    await commit(first.storage, [accept(at, 1, bytesOf(at)), { kind: "decided", slot: slot(at - 1) }]);
  }
  await commit(first.storage, [{ kind: "snapshot", meta: await takeSnapshot(first.storage.snapshots, SNAPSHOT_AT) }]);
  const { chain, configuration } = snapshotBase(SNAPSHOT_AT);
  await commit(first.storage, [{ kind: "trim", slot: slot(SNAPSHOT_AT), chain, configuration }]);
  await first.storage.close();
  const second = await openWorld(disk, 2, { directory: "/two" });
  await commit(second.storage, [identity(2)]);
  for (let at = 5; at <= 30; at++) {
    await commit(second.storage, at === 29 ? [{ kind: "promise", ballot: ballot(6, 2) }] : [accept(at, 2, bytesOf(at))]);
  }
  await second.storage.close();
  return disk;
}

function options(
  disk: MemoryDisk,
  changes: Partial<RecoveryOptions> = {},
  plan?: FaultPlan,
): RecoveryOptions & { fileSystem: MemoryFileSystem } {
  return {
    from: ["/one", "/two"],
    to: "/new",
    address: address("127.0.0.1:9002"),
    clock: new ManualClock(),
    random: seededRandom(3),
    segmentBytes: SMALL_SEGMENT,
    ...changes,
    fileSystem: new MemoryFileSystem(disk, plan),
  };
}

/** The content of every file of the directories that are only read. */
function contents(disk: MemoryDisk): string {
  return ["/one", "/two"]
    .flatMap((path) =>
      [...disk.directory(path).names].map(([name, inode]) => `${path}/${name} ${Buffer.from(inode.data).toString("base64")}`),
    )
    .join("\n");
}

const refusal = (prepared: Promise<unknown>): Promise<string> =>
  prepared.then(
    () => "prepared",
    (error: Error) => error.message,
  );

test("two directories become one, and neither is written to", async () => {
  const disk = await survivors();
  const before = contents(disk);
  const given = options(disk);
  const recovery = await prepareRecovery(given);
  assert.equal(given.fileSystem.steps, 0, "nothing is written before it is carried out");
  assert.throws(() => disk.directory("/new"));
  const report = recoveryReport(recovery, "/new", "127.0.0.1:9002");
  assert.match(report.join("\n"), /\/two: replica 2 \(127\.0\.0\.1:9002\), knows slots up to 0 to be decided, holds values up to slot 30/);
  assert.match(report.join("\n"), /Kept: everything up to slot 28\.\n {2}Not known to be decided, and kept all the same: slots 5 to 28\./);
  assert.match(report.join("\n"), /Given up: the value of slot 30, because nobody holds the one of slot 29 before\./);
  assert.match(
    report.join("\n"),
    /Missing: replica 3 \(127\.0\.0\.1:9003\)\.\nThey are no quorum: nothing that was acknowledged is lost\./,
  );
  await recovery.carryOut();
  await recovery.release();
  assert.equal(contents(disk), before);

  const { storage } = await openWorld(disk, 4, { directory: "/new" });
  const { durable } = storage;
  assert.deepEqual([durable.replica, durable.boot, durable.trimmed, durable.hint], [4, 2, SNAPSHOT_AT, 30]);
  assert.deepEqual([durable.promised, durable.lineage.number], [ballot(7, 4), 2]);
  assert.notEqual(durable.lineage.random, 77n, "the random part is drawn anew");
  const chunks: Uint8Array[] = [];
  for await (const chunk of storage.snapshots.chunks(slot(SNAPSHOT_AT))) {
    chunks.push(chunk);
  }
  assert.deepEqual(chunks, chunksAt(SNAPSHOT_AT));
  for (let at = 5; at <= 28; at++) {
    assert.equal(durable.learned.get(slot(at))?.digest, commandsBatch(bytesOf(at)).digest, `slot ${at}`);
  }
  const cursor = new BatchCursor(durable.learned.get(slot(29))?.payload ?? new Uint8Array(0));
  assert.ok(cursor.nextGroup() && cursor.nextCommand());
  const command = decodeCommand(cursor.payload.subarray(cursor.commandFrom, cursor.commandEnd));
  assert.deepEqual(command, { kind: "skipRevisions", by: REVISIONS_SKIPPED });
  assert.equal(durable.learned.get(slot(30))?.kind, "configuration");
  await storage.close();
});

test("what is in use, damaged, missing, empty or foreign is refused, and nothing is made or kept locked", async () => {
  const disk = await survivors();
  const server = await openWorld(disk, 5, { directory: "/one" });
  assert.match(await refusal(prepareRecovery(options(disk))), /^\/one: .*locked.*Stop the server that uses it first\.$/);
  await server.storage.close();
  assert.match(await refusal(prepareRecovery(options(disk, { from: ["/one", "/three"] }))), /^\/three: there is no such directory/);
  const closed = options(disk);
  closed.fileSystem.lock = () => Promise.reject(Object.assign(new Error("listen EACCES: permission denied"), { code: "EACCES" }));
  assert.match(await refusal(prepareRecovery(closed)), /^\/one: cannot be locked: listen EACCES: .* Run this as the user of the servers/);
  disk.makeDirectory("/empty");
  assert.match(await refusal(prepareRecovery(options(disk, { from: ["/empty"] }))), /^\/empty: empty: it is no data directory of Synod/);
  assert.match(await refusal(prepareRecovery(options(disk, { to: "/two" }))), /^\/two: not empty/);

  const damaged = disk.clone();
  const [segment] = [...damaged.directory("/two").names.keys()].filter((name) => name.startsWith("wal")).sort();
  damaged.inode(`/two/${segment}`).rot(2 * 4096 + 200, 1);
  assert.match(
    await refusal(prepareRecovery(options(damaged))),
    /^\/two\/wal-\d+\.log: damaged at byte 8192.*: leave it out\. What it alone held is lost then\.$/,
  );
  const rotten = disk.clone();
  rotten.inode(`/one/snapshot-${String(SNAPSHOT_AT).padStart(16, "0")}.snap`).rot(20, 1);
  assert.match(await refusal(prepareRecovery(options(rotten))), /snapshot-0+4\.snap: the chunk at byte 16 is damaged.*: leave it out\. /);
  disk.makeDirectory("/other-files");
  await new MemoryFileSystem(disk).open("/other-files/photo", { mode: "create", durable: false });
  assert.match(
    await refusal(prepareRecovery(options(disk, { from: ["/one", "/other-files"] }))),
    /^\/other-files: not empty and not a data directory.*\. Leave it out\.$/,
  );

  const other = await openWorld(disk, 6, { directory: "/other" });
  await commit(other.storage, [{ ...IDENTITY, replica: replicaId(3), lineage: { number: 1, random: 78n } } as WalRecord]);
  await other.storage.close();
  assert.match(await refusal(prepareRecovery(options(disk, { from: ["/one", "/other"] }))), /a forced recovery lies between them/);
  assert.deepEqual([...disk.locks], []);
  assert.throws(() => disk.directory("/new"));
});

test("an address that no member has: told, and refused where it would be a member more than there may be", async () => {
  const disk = await survivors();
  const to = address("127.0.0.1:9999");
  const reportOf = async (at: string): Promise<string> => {
    const recovery = await prepareRecovery(options(disk, { address: address(at) }));
    await recovery.release();
    return recoveryReport(recovery, "/new", at).join("\n");
  };
  assert.match(
    await reportOf(to),
    /No member was at 127\.0\.0\.1:9999: servers with the old list do not find it\. .* take one of 127\.0\.0\.1:9001, /,
  );
  assert.doesNotMatch(await reportOf("127.0.0.1:9002"), /No member was/);

  const full = new MemoryDisk();
  const members = Array.from({ length: MEMBERS_MAX }, (_, i) => ({
    address: address(`127.0.0.1:${9001 + i}`),
    diskId: diskId(`${i}`.padStart(32, "0")),
  }));
  const one = await openWorld(full, 1, { directory: "/one" });
  await commit(one.storage, [{ ...IDENTITY, replica: replicaId(1), configuration: genesisConfiguration(members) } as WalRecord]);
  await one.storage.close();
  assert.match(
    await refusal(prepareRecovery(options(full, { from: ["/one"], address: to }))),
    /^There are 64 members, the most there may be, and none at 127\.0\.0\.1:9999: give the address of one of them\.$/,
  );
  assert.equal(await refusal(prepareRecovery(options(full, { from: ["/one"] }))), "prepared");
});

test("a power cut at any step leaves nothing that a server starts on, until the last one", async () => {
  const original = await survivors();
  const whole = options(original.clone());
  const recovery = await prepareRecovery(whole);
  await recovery.carryOut();
  const { steps } = whole.fileSystem;
  assert.ok(steps > 30, `${steps} steps`);
  const ends = { unmade: 0, empty: 0, made: 0 };
  for (let step = 1; step <= steps; step++) {
    for (const [variant, survival] of [0, 0.5, 1].entries()) {
      const disk = original.clone();
      const cut = options(disk, {}, ({ number }) => (number === step ? "cut" : "go"));
      const prepared = await prepareRecovery(cut);
      await Promise.race([prepared.carryOut(), cut.fileSystem.whenCut]);
      disk.crash(seedPrng(step * 3 + variant), survival);
      ends[await start(disk)]++;
    }
  }
  assert.ok(ends.unmade > 50 && ends.empty > 0 && ends.made > 0, JSON.stringify(ends));
});

/** How a server finds the directory that a cut-off recovery was making. */
async function start(disk: MemoryDisk): Promise<"unmade" | "empty" | "made"> {
  const opened = await openStorage({
    fileSystem: new MemoryFileSystem(disk),
    clock: new ManualClock(),
    random: seededRandom(9),
    directory: "/new",
    segmentBytes: SMALL_SEGMENT,
    ballastBytes: 0,
    reserveBytes: 0,
    onFailure: (failure) => assert.fail(failure),
  }).catch((error: StorageFailure) => error);
  if (opened instanceof Error) {
    assert.match(opened.message, /a recovery or a restore into this directory was interrupted.*Remove the directory/);
    await assert.rejects(prepareRecovery(options(disk)), /not empty/);
    return "unmade";
  }
  if (opened.isNew) {
    return "empty";
  }
  assert.deepEqual([opened.durable.hint, opened.durable.snapshot?.index], [30, SNAPSHOT_AT]);
  assert.deepEqual(opened.durable.snapshot?.configuration, CONFIGURATION);
  assert.equal(opened.durable.snapshot?.chain, snapshotBase(SNAPSHOT_AT).chain);
  return "made";
}
