/**
 * The power goes at every write, sync, rename, creation and removal of a scripted life (commits, rolls, a snapshot, a trim,
 * segments used again, an install), and again while the next life recovers; and random lives of many crashes against a model.
 * What comes back is the state after some number of commits, no fewer than were acknowledged; its snapshot loads whole.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextChance, nextInt, type Prng, seedPrng } from "../base/prng.js";
import { ballot } from "../paxos/ballot.js";
import { commandsBatch } from "../paxos/batch.js";
import { slot } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import type { WalRecord } from "../paxos/record.js";
import { openStorage, type Storage } from "./storage.js";
import { drain, type ManualClock } from "./testing/manual-clock.js";
import { MemoryDisk } from "./testing/memory-disk.js";
import type { FaultPlan } from "./testing/memory-file-system.js";
import {
  accept,
  checkSnapshot,
  chunksAt,
  commit,
  IDENTITY,
  Model,
  payload,
  SMALL_SEGMENT,
  snapshotBase,
  takeSnapshot,
  textOf,
  trimTo,
  type WorldParts,
  worldParts,
} from "./testing/storage-world.js";

/** What the lives of a disk have done: commits asked for and acknowledged, as the model counts them. */
type Progress = {
  readonly model: Model;
  readonly commits: { issued: number; acknowledged: number };
  /** Each life has its own: it never resolves once that life was cut off, which must not go on writing to the model. */
  readonly alive: () => Promise<void>;
};

const newProgress = (): Progress => ({ model: new Model(), commits: { issued: 0, acknowledged: 0 }, alive: async () => {} });

const cutAt =
  (step: number): FaultPlan =>
  ({ number }) =>
    number === step ? "cut" : "go";

async function run(storage: Storage, progress: Progress, records: readonly WalRecord[]): Promise<void> {
  await progress.alive();
  progress.model.apply(records);
  progress.commits.issued += 1;
  await commit(storage, records);
  progress.commits.acknowledged = progress.commits.issued;
}

async function install(storage: Storage, index: number): Promise<SnapshotMeta> {
  const writer = await storage.snapshots.create(snapshotBase(index));
  for (const chunk of chunksAt(index)) {
    await writer.push(chunk);
  }
  // The facts of the made-up snapshot; what is received is the same bytes.
  const meta = await writer.finish();
  const receiver = await storage.snapshots.receive(meta);
  for (const [i, chunk] of chunksAt(index).entries()) {
    await receiver.storeChunk(i, chunk);
  }
  assert.equal(await receiver.finish(), true);
  return meta;
}

/** The scripted life. Long enough to roll, recycle, snapshot, trim and install; short enough to be cut at every step. */
async function script(storage: Storage, clock: ManualClock, progress: Progress): Promise<void> {
  const prng = seedPrng(3);
  const go = (records: readonly WalRecord[]): Promise<void> => run(storage, progress, records);
  await go([IDENTITY]);
  await go([{ kind: "promise", ballot: ballot(1, 1) }]);
  for (let at = 1; at <= 6; at++) {
    await go([accept(at, 1, payload(prng, 1500)), { kind: "decided", slot: slot(at - 1) }]);
  }
  await clock.advance(12);
  await go([{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, 4) }]);
  await go([trimTo(4)]);
  await go([{ kind: "learn", slot: slot(7), batch: commandsBatch(payload(prng, 30)) }]);
  for (let at = 8; at <= 14; at++) {
    await go([accept(at, 2, payload(prng, 2500))]);
  }
  await go([accept(15, 2, payload(prng, SMALL_SEGMENT + 100))]);
  await go([{ kind: "snapshotInstalled", meta: await install(storage, 13) }]);
  for (let at = 16; at <= 18; at++) {
    await go([accept(at, 3, payload(prng, 2000))]);
  }
  await clock.advance(12);
  await storage.close();
}

/** Opens and runs the script until it ends or the power is gone. Whether it ended. */
async function live(parts: WorldParts, progress: Progress): Promise<boolean> {
  const life = openStorage(parts.options).then(async (storage) => {
    await script(storage, parts.clock, { ...progress, alive: () => parts.fileSystem.alive() });
    return true;
  });
  return await Promise.race([life, parts.fileSystem.whenCut.then(() => false)]);
}

/** Which commit the recovered state is the state after; asserts that it is allowed. */
function checkRecovered(storage: Storage, progress: Progress, what: string): number {
  const commits = progress.model.texts.lastIndexOf(textOf(storage.durable));
  assert.notEqual(commits, -1, `${what}: the recovered state never was\n${textOf(storage.durable)}`);
  assert.ok(
    commits >= progress.commits.acknowledged,
    `${what}: ${progress.commits.acknowledged} commits were acknowledged, ${commits} are left`,
  );
  return commits;
}

test("the power cut at every step of a life, and at a step of the recovery after it", async () => {
  const whole = worldParts(new MemoryDisk(), 0);
  assert.equal(await live(whole, newProgress()), true);
  const { steps } = whole.fileSystem;
  assert.ok(steps > 80, `${steps} steps`);
  const lost = { commits: 0, recoveries: 0 };
  for (let step = 1; step <= steps; step++) {
    for (const [variant, survival] of [0, 0.5, 1, 0].entries()) {
      // The last variant: only the process dies at first, so that the next life reads what is not on disk yet.
      const isKill = variant === 3;
      const prng = seedPrng(step * 4 + variant);
      const what = `cut at step ${step}, variant ${variant}`;
      const disk = new MemoryDisk();
      const progress = newProgress();
      assert.equal(await live(worldParts(disk, 0, cutAt(step)), progress), false, what);
      if (isKill) {
        disk.kill();
      } else {
        disk.crash(prng, survival);
      }
      const second = worldParts(disk, 1, cutAt(nextInt(prng, 1, 12)));
      const opening = openStorage(second.options);
      const opened = await Promise.race([opening, second.fileSystem.whenCut.then(() => null)]);
      if (opened === null) {
        lost.recoveries += 1;
        disk.crash(prng, survival);
      } else {
        disk.kill();
      }
      const third = worldParts(disk, 2);
      const storage = await openStorage(third.options);
      lost.commits += progress.commits.issued - checkRecovered(storage, progress, what);
      await checkSnapshot(storage);
      await storage.close();
    }
  }
  assert.ok(lost.commits > 10 && lost.recoveries > 50, JSON.stringify(lost));
});

/** One random operation of a life. `next` is the slot after the greatest one used. */
async function randomOperation(storage: Storage, clock: ManualClock, progress: Progress, prng: Prng): Promise<void> {
  const { durable } = progress.model;
  const top = Math.max(durable.trimmed, durable.snapshot?.index ?? 0, ...durable.accepted.keys(), ...durable.learned.keys());
  const index = storage.snapshots.latest()?.index ?? 0;
  const go = (records: readonly WalRecord[]): Promise<void> => run(storage, progress, records);
  const round = durable.promised.round + nextInt(prng, 0, 2);
  switch (nextInt(prng, 0, 10)) {
    case 0:
      return await go([{ kind: "promise", ballot: ballot(round, 1) }]);
    case 1:
      return await go([
        { kind: "learn", slot: slot(nextInt(prng, durable.trimmed + 1, top + 3)), batch: commandsBatch(payload(prng, 50)) },
      ]);
    case 2:
      return await go([{ kind: "decided", slot: slot(nextInt(prng, 0, top + 1)) }]);
    case 3:
      return top > index ? await go([{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, top) }]) : undefined;
    case 4:
      return index > durable.trimmed ? await go([trimTo(nextInt(prng, durable.trimmed + 1, index + 1))]) : undefined;
    case 5:
      return nextChance(prng, 0.3) ? await go([{ kind: "snapshotInstalled", meta: await install(storage, top + 2) }]) : undefined;
    case 6:
      return await clock.advance(nextInt(prng, 1, 40));
    default: {
      const count = nextInt(prng, 1, 4);
      const bytes = nextChance(prng, 0.05) ? 20_000 : nextInt(prng, 0, 4000);
      return await go(Array.from({ length: count }, (_, i) => accept(top + 1 + i, round, payload(prng, bytes))));
    }
  }
}

async function randomLife(storage: Storage, clock: ManualClock, progress: Progress, prng: Prng): Promise<void> {
  if (progress.model.durable.replica === 0) {
    await run(storage, progress, [IDENTITY]);
  }
  for (let i = nextInt(prng, 0, 30); i > 0; i--) {
    await randomOperation(storage, clock, progress, prng);
  }
}

/** Several lives of one disk, each ended by a cut, a kill or a stop. */
async function randomDisk(seed: number): Promise<void> {
  const prng = seedPrng(seed);
  const disk = new MemoryDisk();
  const progress = newProgress();
  for (let life = 0; life < 6; life++) {
    const parts = worldParts(disk, seed * 100 + life, nextChance(prng, 0.6) ? cutAt(nextInt(prng, 1, 150)) : undefined);
    const cut = parts.fileSystem.whenCut.then(() => null);
    const mine = { ...progress, alive: () => parts.fileSystem.alive() };
    const storage = await Promise.race([openStorage(parts.options), cut]);
    if (storage !== null) {
      const commits = checkRecovered(storage, progress, `seed ${seed}, life ${life}`);
      await Promise.race([checkSnapshot(storage), cut]);
      progress.model.rewindTo(commits, storage.durable);
      progress.commits.issued = commits;
      progress.commits.acknowledged = commits;
      await Promise.race([randomLife(storage, parts.clock, mine, prng), cut]);
      await Promise.race([nextChance(prng, 0.3) ? storage.close() : drain(), cut]);
    }
    if (nextChance(prng, 0.5)) {
      disk.crash(prng, nextInt(prng, 0, 5) / 4);
    } else {
      disk.kill();
    }
    assert.deepEqual(parts.failures, []);
  }
}

test("random lives of one disk against the model", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    await randomDisk(seed);
  }
});
