/**
 * The real storage over a simulated disk, for tests: lives of processes, driven by virtual time, with a model of what the log
 * must give back. One scripted life uses every part of the storage.
 */
import assert from "node:assert/strict";
import { hashBytes } from "../../../base/hash64.js";
import { nextInt, type Prng, seedPrng, splitPrng } from "../../../base/prng.js";
import { ballot } from "../../../paxos/ballot.js";
import { commandsBatch } from "../../../paxos/batch.js";
import { slot } from "../../../paxos/ids.js";
import type { SnapshotMeta } from "../../../paxos/message.js";
import type { WalRecord } from "../../../paxos/record.js";
import type { Clock } from "../../../ports/clock.js";
import type { FileSystem } from "../../../ports/file.js";
import { openStorage, type Storage } from "../../../storage/storage.js";
import { StorageFailure } from "../../../storage/storage-failure.js";
import {
  accept,
  chunksAt,
  commit,
  DIRECTORY,
  IDENTITY,
  Model,
  payload,
  SMALL_SEGMENT,
  seededRandom,
  snapshotBase,
  takeSnapshot,
  textOf,
  trimTo,
} from "../../../storage/testing/storage-world.js";
import { Engine } from "../../engine/engine.js";
import { type CrashPlan, Host } from "../../engine/host.js";
import { Tally } from "../../engine/tally.js";
import { drain } from "../../testing/drain.js";
import { SimDisk, type SimDiskOptions } from "../sim-disk.js";

const FOREVER_MICROS = 3_600_000_000;

/** One process: its end, and what its storage said of the disk. */
export type Life = { readonly host: Host; readonly fileSystem: FileSystem; readonly clock: Clock; readonly failures: StorageFailure[] };

export type WorldOptions = Partial<Pick<SimDiskOptions, "speeds" | "capacity">> & { readonly segmentBytes?: number };

export class DiskWorld {
  readonly engine = new Engine(drain);
  readonly tally = new Tally();
  readonly disk: SimDisk;
  /** Commits asked for, as the model has them, and how many of them were acknowledged. */
  readonly model = new Model();
  readonly commits = { issued: 0, acknowledged: 0 };
  private readonly segmentBytes: number;
  private readonly prng: Prng;
  private readonly ended = new Set<Host>();
  private lives = 0;

  constructor(seed: number, options: WorldOptions = {}) {
    this.prng = seedPrng(seed);
    const { segmentBytes = SMALL_SEGMENT, ...others } = options;
    this.segmentBytes = segmentBytes;
    this.disk = new SimDisk({
      engine: this.engine,
      prng: splitPrng(this.prng),
      speeds: { diskMin: 50, diskMax: 400 },
      tally: this.tally,
      ...others,
    });
  }

  /** A process begins. `power`: a planned crash takes the power with it. */
  begin(plan: CrashPlan | null = null, power = false): Life {
    this.lives++;
    const host: Host = new Host(this.engine, { index: 0, life: this.lives }, () => this.end(host, power));
    const clock: Clock = {
      nowMicros: () => this.engine.now,
      wallMillis: () => Math.floor(this.engine.now / 1000),
      after: (millis, callback) =>
        host.after(millis * 1000, () => {
          callback();
          this.engine.stir();
        }),
      endOfTurn: (callback) => host.endOfTurn(callback),
    };
    if (plan !== null) {
      host.planCrash(plan);
    }
    return { host, clock, fileSystem: this.disk.fileSystemOf(host), failures: [] };
  }

  /** The process dies, if it has not; and the power goes, if so wished. */
  end(host: Host, power: boolean): void {
    if (!this.ended.has(host)) {
      this.ended.add(host);
      host.kill();
      this.clear(power);
    }
  }

  private clear(power: boolean): void {
    if (power) {
      this.disk.losePower();
    }
    this.disk.left();
  }

  open(life: Life): Promise<Storage> {
    return openStorage({
      fileSystem: life.fileSystem,
      clock: life.clock,
      random: seededRandom(life.host.life),
      directory: DIRECTORY,
      segmentBytes: this.segmentBytes,
      reserveBytes: 0,
      onFailure: (failure) => life.failures.push(failure),
    });
  }

  /** Runs until `work` is over or the process died; null in that case, as where the storage refused the disk. */
  async during<T>(life: Life, work: Promise<T>): Promise<T | StorageFailure | null> {
    let result: T | StorageFailure | null = null;
    let over = false;
    let failed: unknown = null;
    work.then(
      (value) => {
        over = true;
        result = value;
      },
      (error: unknown) => {
        over = true;
        if (error instanceof StorageFailure) {
          result = error;
        } else {
          failed = error;
        }
      },
    );
    this.engine.stir();
    await this.engine.run(this.engine.now + FOREVER_MICROS, () => over || !life.host.alive || life.failures.length > 0);
    if (failed !== null) {
      throw failed;
    }
    return result;
  }

  /** Opens in a new life and checks that every acknowledged commit is there; the storage, and its life. */
  async reopen(what: string): Promise<{ readonly life: Life; readonly storage: Storage }> {
    const life = this.begin();
    const storage = await this.during(life, this.open(life));
    assert.ok(storage !== null && !(storage instanceof StorageFailure), `${what}: ${storage}`);
    this.check(storage, what);
    assert.equal(await this.during(life, checkSnapshotOf(storage)), true, what);
    return { life, storage };
  }

  /** The recovered state is the state after some number of commits, no fewer than were acknowledged; `older`: standing on an older snapshot, or none. */
  check(storage: Storage, what: string, older = false): void {
    const text = (whole: string): string => (older ? whole.replace(/"snapshot":.*?,"trimmed":/, "") : whole);
    const found = this.model.texts.map(text).lastIndexOf(text(textOf(storage.durable)));
    assert.notEqual(found, -1, `${what}: the recovered state never was\n${textOf(storage.durable)}`);
    assert.ok(found >= this.commits.acknowledged, `${what}: ${this.commits.acknowledged} acknowledged, ${found} left`);
    this.model.rewindTo(found, storage.durable);
    this.commits.issued = found;
    this.commits.acknowledged = found;
  }

  async commit(life: Life, storage: Storage, records: readonly WalRecord[]): Promise<void> {
    if (!life.host.alive) {
      await new Promise(() => {});
    }
    this.model.apply(records);
    this.commits.issued++;
    await commit(storage, records);
    this.commits.acknowledged = this.commits.issued;
  }

  /** A life that rolls, seals, snapshots, trims, recycles, installs and stops. */
  async script(life: Life): Promise<true> {
    const storage = await this.open(life);
    const prng = seedPrng(3);
    const go = (records: readonly WalRecord[]): Promise<void> => this.commit(life, storage, records);
    await go([IDENTITY]);
    await go([{ kind: "promise", ballot: ballot(1, 1) }]);
    for (let at = 1; at <= 6; at++) {
      await go([accept(at, 1, payload(prng, 1500)), { kind: "decided", slot: slot(at - 1) }]);
    }
    await pause(life, 12);
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
    await pause(life, 12);
    await storage.close();
    return true;
  }

  /** A short life of `count` commits of random kinds after what the model holds. */
  async scribble(life: Life, storage: Storage, count: number): Promise<true> {
    const prng = splitPrng(this.prng);
    const { durable } = this.model;
    if (durable.replica === 0) {
      await this.commit(life, storage, [IDENTITY]);
    }
    let top = Math.max(durable.trimmed, durable.snapshot?.index ?? 0, ...durable.accepted.keys(), ...durable.learned.keys());
    for (let i = 0; i < count; i++) {
      const { trimmed, promised } = this.model.durable;
      const index = storage.snapshots.latest()?.index ?? 0;
      switch (nextInt(prng, 0, 8)) {
        case 0:
          await pause(life, nextInt(prng, 1, 20));
          break;
        case 1:
          if (top > index) {
            await this.commit(life, storage, [{ kind: "snapshot", meta: await takeSnapshot(storage.snapshots, top) }]);
          }
          break;
        case 2:
          if (index > trimmed) {
            await this.commit(life, storage, [trimTo(nextInt(prng, trimmed + 1, index + 1))]);
          }
          break;
        default:
          top++;
          await this.commit(life, storage, [accept(top, promised.round + nextInt(prng, 0, 2), payload(prng, nextInt(prng, 0, 5000)))]);
      }
    }
    return true;
  }
}

export function pause(life: Life, millis: number): Promise<void> {
  return new Promise((resolve) => life.clock.after(millis, resolve));
}

/** Everything on a disk as one number. */
export function fingerprint(disk: SimDisk): string {
  const parts: string[] = [];
  for (const [path, names] of disk.copy()) {
    for (const [name, content] of names) {
      parts.push(`${path}/${name} ${content.length} ${hashBytes(content)}`);
    }
  }
  return parts.join("\n");
}

async function checkSnapshotOf(storage: Storage): Promise<true> {
  const meta = storage.snapshots.latest();
  assert.deepEqual(meta, storage.durable.snapshot);
  if (meta !== null) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of storage.snapshots.chunks(meta.index)) {
      chunks.push(chunk);
    }
    assert.deepEqual(chunks, chunksAt(meta.index));
  }
  return true;
}

async function install(storage: Storage, index: number): Promise<SnapshotMeta> {
  const writer = await storage.snapshots.create(snapshotBase(index));
  for (const chunk of chunksAt(index)) {
    await writer.push(chunk);
  }
  const meta = await writer.finish();
  const receiver = await storage.snapshots.receive(meta);
  for (const [i, chunk] of chunksAt(index).entries()) {
    await receiver.storeChunk(i, chunk);
  }
  assert.equal(await receiver.finish(), true);
  return meta;
}
