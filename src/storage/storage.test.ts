/**
 * Opening and using a data directory on a disk in memory: what is committed comes back, identity and boot count, segments
 * rolled and used again, commits larger than a segment, seals, failures reported once, and every directory that is refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seedPrng } from "../base/prng.js";
import { utf8Encode } from "../base/utf8.js";
import { ballot } from "../paxos/ballot.js";
import { commandsBatch, configurationBatch, NOOP_BATCH } from "../paxos/batch.js";
import { slot } from "../paxos/ids.js";
import type { WalRecord } from "../paxos/record.js";
import { segmentName, writeAt } from "./layout.js";
import { openStorage } from "./storage.js";
import { StorageFailure, type StorageFailureKind } from "./storage-failure.js";
import { drain } from "./testing/manual-clock.js";
import { MemoryDisk } from "./testing/memory-disk.js";
import { MemoryFileSystem } from "./testing/memory-file-system.js";
import {
  accept,
  CONFIGURATION,
  checkSnapshot,
  commit,
  DIRECTORY,
  IDENTITY,
  Model,
  openWorld,
  payload,
  SMALL_SEGMENT,
  takeSnapshot,
  textOf,
  trimTo,
  worldParts,
} from "./testing/storage-world.js";

const isFailure = (kind: StorageFailureKind, text?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StorageFailure, `expected a StorageFailure, got ${String(error)}`);
  assert.equal(error.kind, kind);
  assert.ok(error.remedy.length > 0);
  assert.match(error.message, text ?? /./);
  return true;
};

function names(disk: MemoryDisk): Promise<readonly string[]> {
  return new MemoryFileSystem(disk).list(DIRECTORY);
}

test("every kind of record comes back, the boot count rises, the disk keeps its name", async () => {
  const disk = new MemoryDisk();
  const prng = seedPrng(1);
  const model = new Model();
  const commits: WalRecord[][] = [
    [IDENTITY],
    [{ kind: "promise", ballot: ballot(3, 2) }],
    [accept(1, 3, payload(prng, 100)), accept(2, 3, payload(prng, 0))],
    [{ kind: "learn", slot: slot(3), batch: configurationBatch(CONFIGURATION) }],
    [
      { kind: "accept", ballot: ballot(4, 1), slot: slot(4), batch: NOOP_BATCH },
      { kind: "decided", slot: slot(3) },
    ],
    [trimTo(1)],
  ];
  const first = await openWorld(disk, 1);
  assert.equal(first.storage.isNew, true);
  assert.equal(first.storage.durable.boot, 1);
  assert.match(first.storage.durable.diskId, /^[0-9a-f]{32}$/);
  for (const records of commits) {
    await commit(first.storage, records);
    model.apply(records);
  }
  await first.storage.close();
  for (let life = 2; life < 5; life++) {
    const { storage } = await openWorld(disk, life);
    assert.equal(storage.isNew, false);
    assert.equal(storage.durable.boot, life);
    assert.equal(storage.durable.diskId, first.storage.durable.diskId);
    assert.equal(textOf(storage.durable), model.texts.at(-1));
    assert.deepEqual(storage.warnings, []);
    await storage.close();
  }
});

test("the callback comes later, in order, and may commit again", async () => {
  const { storage } = await openWorld(new MemoryDisk(), 1);
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    storage.wal.commit([{ kind: "promise", ballot: ballot(1, 1) }], () => {
      order.push("first");
      storage.wal.commit([{ kind: "promise", ballot: ballot(2, 1) }], () => {
        order.push("second");
        resolve();
      });
      order.push("asked");
    });
    order.push("returned");
  });
  assert.deepEqual(order, ["returned", "first", "asked", "second"]);
  assert.throws(() => {
    storage.wal.commit([trimTo(1)], () => {});
    storage.wal.commit([trimTo(1)], () => {});
  }, /one commit is in flight/);
});

test("trimmed segments are used again: the disk stops growing, and old batches in them are never data", async () => {
  const disk = new MemoryDisk();
  const { storage, clock } = await openWorld(disk, 1);
  const prng = seedPrng(2);
  const model = new Model();
  const run = async (records: WalRecord[]): Promise<void> => {
    await commit(storage, records);
    model.apply(records);
  };
  await run([IDENTITY]);
  let largest = 0;
  for (let at = 1; at <= 200; at++) {
    await run([accept(at, 1, payload(prng, 300 + (at % 7) * 400))]);
    if (at % 5 === 0) {
      await run([trimTo(at - 3)]);
      await clock.advance(20);
    }
    largest = Math.max(largest, storage.wal.diskBytes());
  }
  assert.ok(largest <= 8 * SMALL_SEGMENT, `the log took ${largest} bytes`);
  assert.ok((await names(disk)).length <= 10);
  disk.kill();
  const again = await openWorld(disk, 2);
  assert.equal(textOf(again.storage.durable), model.texts.at(-1));
});

test("deleting every file that the log calls dead changes nothing that recovery returns", async () => {
  const disk = new MemoryDisk();
  const { storage, clock } = await openWorld(disk, 1);
  await commit(storage, [IDENTITY]);
  for (let at = 1; at <= 40; at++) {
    await commit(storage, [accept(at, 1, payload(seedPrng(at), 2000))]);
    await commit(storage, [trimTo(Math.max(1, at - 2))]);
  }
  await clock.advance(20);
  disk.kill();
  const expected = textOf((await openWorld(disk.clone(), 2)).storage.durable);
  let removable = 0;
  for (const name of (await names(disk)).filter((one) => one.startsWith("wal-"))) {
    const copy = disk.clone();
    await new MemoryFileSystem(copy).remove(`${DIRECTORY}/${name}`);
    const parts = worldParts(copy, 3);
    const opened = await openStorage(parts.options).catch((error: unknown) => error);
    if (opened instanceof Error) {
      continue; // needed: its loss is noticed
    }
    removable += 1;
    assert.equal(textOf((opened as Awaited<ReturnType<typeof openStorage>>).durable), expected);
  }
  assert.ok(removable > 0);
});

test("a commit larger than a segment gets one of its own size, which is not kept as a spare", async () => {
  const disk = new MemoryDisk();
  const { storage, clock } = await openWorld(disk, 1);
  const model = new Model();
  const commits: WalRecord[][] = [
    [IDENTITY],
    [accept(1, 1, payload(seedPrng(1), 3 * SMALL_SEGMENT))],
    [accept(2, 1, payload(seedPrng(2), 10))],
    [accept(3, 1, payload(seedPrng(3), SMALL_SEGMENT - 4096))],
  ];
  for (const records of commits) {
    await commit(storage, records);
    model.apply(records);
  }
  disk.kill();
  const second = await openWorld(disk, 2);
  assert.equal(textOf(second.storage.durable), model.texts.at(-1));
  await commit(second.storage, [trimTo(3)]);
  await second.clock.advance(50);
  await clock.advance(0);
  await second.storage.close();
  const third = await openWorld(disk, 3);
  await third.clock.advance(50);
  assert.ok(third.storage.wal.diskBytes() <= 4 * SMALL_SEGMENT, `${third.storage.wal.diskBytes()}`);
});

test("after 10 ms of quiet the last batch is sealed; a commit that meets a seal waits for it", async () => {
  const disk = new MemoryDisk();
  let hold: Promise<void> | null = null;
  const parts = worldParts(disk, 1, ({ kind }) => (kind === "write" && hold !== null ? hold : "go"));
  const storage = await openStorage(parts.options);
  await commit(storage, [IDENTITY]);
  await parts.clock.advance(100);
  const prefilled = parts.fileSystem.steps;
  await parts.clock.advance(1000);
  assert.equal(parts.fileSystem.steps, prefilled, "what is sealed is not sealed again");
  const last = accept(1, 1, payload(seedPrng(3), 100));
  await commit(storage, [last]);
  assert.equal(await survivesRot(disk, last), true, "not sealed: it looks torn");
  await parts.clock.advance(10);
  assert.equal(await survivesRot(disk, last), false, "sealed: it is damage");
  await commit(storage, [{ kind: "promise", ballot: ballot(1, 1) }]);
  let release = (): void => {};
  hold = new Promise((resolve) => {
    release = resolve;
  });
  await parts.clock.advance(20);
  let done = false;
  storage.wal.commit([{ kind: "promise", ballot: ballot(2, 1) }], () => {
    done = true;
  });
  await drain();
  assert.equal(done, false);
  hold = null;
  release();
  await drain();
  await drain();
  assert.equal(done, true);
  await storage.close();
  assert.equal((await openWorld(disk, 2)).storage.durable.promised.round, 2);
});

/** Whether a copy of the disk still opens with a byte of the value of `record` rotten in the log. */
async function survivesRot(disk: MemoryDisk, record: WalRecord): Promise<boolean> {
  assert.ok(record.kind === "accept");
  const copy = disk.clone();
  for (const name of (await names(copy)).filter((one) => one.startsWith("wal-"))) {
    const inode = copy.inode(`${DIRECTORY}/${name}`);
    const at = Buffer.from(inode.data).indexOf(record.batch.payload);
    if (at >= 0) {
      inode.rot(at + 5, 1);
    }
  }
  return await openStorage(worldParts(copy, 9).options).then(
    () => true,
    () => false,
  );
}

for (const kind of ["write", "sync"] as const) {
  test(`a failed ${kind} is reported once, and no commit is called back after it`, async () => {
    let broken = false;
    const parts = worldParts(new MemoryDisk(), 1, (step) => (broken && step.kind === kind ? "fail" : "go"));
    const storage = await openStorage(parts.options);
    await commit(storage, [IDENTITY]);
    await parts.clock.advance(100);
    broken = true;
    let called = 0;
    storage.wal.commit([accept(1, 1, payload(seedPrng(1), kind === "sync" ? 2 * SMALL_SEGMENT : 10))], () => {
      called += 1;
    });
    await parts.clock.advance(100);
    broken = false;
    storage.wal.commit([trimTo(1)], () => {
      called += 1;
    });
    await parts.clock.advance(3000);
    assert.equal(called, 0);
    assert.deepEqual(
      parts.failures.map((failure) => failure.kind),
      ["io"],
    );
    await storage.close();
  });
}

test("a full disk: space is low before it hurts, the ballast gives a segment, then the failure says full", async () => {
  const disk = new MemoryDisk();
  const parts = worldParts(disk, 1, undefined, { ballastBytes: SMALL_SEGMENT, reserveBytes: SMALL_SEGMENT });
  const storage = await openStorage(parts.options);
  await commit(storage, [IDENTITY]);
  await parts.clock.advance(5000);
  assert.equal(storage.spaceLow(), false);
  assert.ok((await names(disk)).includes("ballast"));
  disk.capacity = disk.used();
  await parts.clock.advance(5000);
  assert.equal(storage.spaceLow(), true);
  assert.equal(storage.freeBytes(), 0);
  let at = 0;
  for (; at < 100 && parts.failures.length === 0; at++) {
    storage.wal.commit([accept(at + 1, 1, payload(seedPrng(at), 3000))], () => {});
    await settle();
  }
  assert.equal(parts.failures[0]?.kind, "full");
  assert.ok(at >= 5, `${at} more accepts found their place`);
  assert.ok(!(await names(disk)).includes("ballast"));
  disk.kill();
  disk.capacity += 10 * SMALL_SEGMENT;
  const again = await openWorld(disk, 2);
  assert.ok(again.storage.durable.accepted.size >= at - 1);
});

test("a share of the disk that is used up is a full disk: what is made ahead of need is not made, and nothing ends", async () => {
  for (const kind of ["create", "write", "sync"] as const) {
    let denied = true;
    const disk = new MemoryDisk();
    const parts = worldParts(disk, 1, (step) => (denied && step.kind === kind && /ballast|wal-0*[3-9]/.test(step.path) ? "quota" : "go"), {
      ballastBytes: SMALL_SEGMENT,
    });
    const storage = await openStorage(parts.options);
    await commit(storage, [IDENTITY]);
    await parts.clock.advance(5000);
    assert.deepEqual(parts.failures, [], kind);
    assert.equal(storage.spaceLow(), true, kind);
    assert.equal((await names(disk)).filter((name) => /ballast|wal/.test(name)).length, 2, kind);
    denied = false;
    await parts.clock.advance(5000);
    assert.equal(storage.spaceLow(), false, kind);
    assert.ok((await names(disk)).includes("ballast"), kind);
    await storage.close();
  }
});

test("on a full disk promises are kept for ever: segments that hold nothing else are used again", async () => {
  const disk = new MemoryDisk();
  const { storage, failures } = await openWorld(disk, 1, { ballastBytes: SMALL_SEGMENT });
  await commit(storage, [IDENTITY]);
  disk.capacity = disk.used();
  for (let round = 1; round < 100; round++) {
    await commit(storage, [{ kind: "promise", ballot: ballot(round, 1) }]);
  }
  assert.deepEqual(failures, []);
  disk.kill();
  assert.equal((await openWorld(disk, 2)).storage.durable.promised.round, 99);
});

test("space that comes back ends low, and the ballast is written again", async () => {
  const disk = new MemoryDisk();
  disk.capacity = 3 * SMALL_SEGMENT;
  const { storage, clock } = await openWorld(disk, 1, { ballastBytes: SMALL_SEGMENT, reserveBytes: SMALL_SEGMENT * 3 });
  assert.equal(storage.spaceLow(), true);
  disk.capacity = 100 * SMALL_SEGMENT;
  await clock.advance(2500);
  assert.equal(storage.spaceLow(), false);
  assert.ok((await names(disk)).includes("ballast"));
  assert.ok(storage.diskBytes() >= 2 * SMALL_SEGMENT);
});

test("the bounds of the size of a segment; another size than last time", async () => {
  const disk = new MemoryDisk();
  for (const segmentBytes of [0, 32 * 1024 - 1, 2 ** 30 + 4096]) {
    await assert.rejects(openStorage(worldParts(disk, 1, undefined, { segmentBytes }).options), /within its bounds/);
  }
  for (const segmentBytes of [2 * SMALL_SEGMENT + 1, SMALL_SEGMENT, 3 * SMALL_SEGMENT]) {
    const { storage, clock } = await openWorld(disk, 1, { segmentBytes });
    await commit(storage, [accept(storage.durable.boot, 1, payload(seedPrng(1), 40_000))]);
    assert.equal(storage.durable.accepted.size, storage.durable.boot - 1);
    await clock.advance(50);
    await storage.close();
  }
});

test("a locked directory is refused until the other lets go", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  await assert.rejects(openStorage(worldParts(disk, 2).options), isFailure("locked"));
  await storage.close();
  await openWorld(disk, 3);
});

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await drain();
  }
}

async function put(disk: MemoryDisk, name: string, text: string): Promise<void> {
  const fileSystem = new MemoryFileSystem(disk);
  await fileSystem.makeDirectory(DIRECTORY);
  await fileSystem.remove(`${DIRECTORY}/${name}`).catch(() => {});
  const file = await fileSystem.open(`${DIRECTORY}/${name}`, { mode: "create", durable: false });
  await writeAt(file, 0, utf8Encode(text));
}

test("a directory with other files is refused and left as it is", async () => {
  const disk = new MemoryDisk();
  await put(disk, "photo.jpg", "x");
  await put(disk, "lost+found", "");
  await assert.rejects(openStorage(worldParts(disk, 1).options), isFailure("foreign", /photo\.jpg/));
  assert.deepEqual([...(await names(disk))].sort(), ["lost+found", "photo.jpg"]);
  const empty = new MemoryDisk();
  await put(empty, "lost+found", "");
  assert.equal((await openWorld(empty, 1)).storage.isNew, true);
});

test("a later format is refused by name", async () => {
  const disk = new MemoryDisk();
  await (await openWorld(disk, 1)).storage.close();
  await put(disk, "synod-format", "synod data directory\nformat 2\n");
  await assert.rejects(openStorage(worldParts(disk, 2).options), isFailure("newer-format", /format 2/));
  await put(disk, "synod-format", "synod data directory\nformat x\n");
  await assert.rejects(openStorage(worldParts(disk, 2).options), isFailure("corrupt"));
});

test("missing parts are noticed: the format file, the log, a segment, the snapshot", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  await commit(storage, [IDENTITY]);
  for (let at = 1; at <= 9; at++) {
    await commit(storage, [accept(at, 1, payload(seedPrng(at), 5000))]);
  }
  await commit(storage, [{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, 4) }]);
  await commit(storage, [trimTo(2)]);
  await storage.close();
  const without = async (pattern: RegExp): Promise<MemoryDisk> => {
    const copy = disk.clone();
    for (const name of (await names(copy)).filter((one) => pattern.test(one))) {
      await new MemoryFileSystem(copy).remove(`${DIRECTORY}/${name}`);
    }
    return copy;
  };
  await assert.rejects(openStorage(worldParts(await without(/format/), 2).options), isFailure("corrupt", /synod-format is missing/));
  await assert.rejects(openStorage(worldParts(await without(/wal/), 2).options), isFailure("corrupt", /the log is gone/));
  await assert.rejects(openStorage(worldParts(await without(/snap$/), 2).options), isFailure("corrupt", /is gone although/));
  const again = await openWorld(disk.clone(), 2);
  await checkSnapshot(again.storage);
});

test("an interrupted creation is begun anew, but a lone log that lived is not taken for one", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  await storage.close();
  const fileSystem = new MemoryFileSystem(disk);
  await fileSystem.remove(`${DIRECTORY}/synod-format`);
  await assert.rejects(openStorage(worldParts(disk.clone(), 2).options), isFailure("corrupt"), "it was sealed: it lived");
  const fresh = new MemoryDisk();
  await put(fresh, segmentName(1), "half a header");
  await put(fresh, "synod-format.tmp", "synod");
  assert.equal((await openWorld(fresh, 3)).storage.isNew, true);
});

test("large batches of commands share no memory with what was read", async () => {
  const disk = new MemoryDisk();
  const { storage } = await openWorld(disk, 1);
  const bytes = payload(seedPrng(5), 500);
  await commit(storage, [{ kind: "learn", slot: slot(1), batch: commandsBatch(bytes) }]);
  await storage.close();
  const again = await openWorld(disk, 2);
  assert.deepEqual(again.storage.durable.learned.get(slot(1))?.payload, bytes);
  assert.ok((again.storage.durable.learned.get(slot(1))?.payload.buffer.byteLength ?? 0) < 1000);
});
