/**
 * A storage over a disk in memory for tests: opened, driven, cut and opened again, and compared with a model of what a log
 * must give back. Each world has its own clock and its own source of "random" bytes, so that a seed tells the whole story.
 */
import assert from "node:assert/strict";
import { toHex } from "../../base/bytes.js";
import { hashBytes } from "../../base/hash64.js";
import { nextInt, type Prng, seedPrng } from "../../base/prng.js";
import { ballot } from "../../paxos/ballot.js";
import { commandsBatch } from "../../paxos/batch.js";
import { type Configuration, genesisConfiguration } from "../../paxos/configuration.js";
import { address, clusterId, diskId, replicaId, slot } from "../../paxos/ids.js";
import type { SnapshotMeta } from "../../paxos/message.js";
import { applyRecord, type Durable, virginDurable, type WalRecord } from "../../paxos/record.js";
import type { SnapshotStore } from "../../ports/snapshot-store.js";
import { copyDurable } from "../live-tail.js";
import { openStorage, type Storage, type StorageOptions } from "../storage.js";
import type { StorageFailure } from "../storage-failure.js";
import { ManualClock } from "./manual-clock.js";
import type { MemoryDisk } from "./memory-disk.js";
import { type FaultPlan, MemoryFileSystem } from "./memory-file-system.js";

export const DIRECTORY = "/data";
export const SMALL_SEGMENT = 32 * 1024;

export type World = {
  readonly storage: Storage;
  readonly fileSystem: MemoryFileSystem;
  readonly clock: ManualClock;
  readonly failures: StorageFailure[];
};

/** The parts of a world before its storage is open. */
export type WorldParts = Omit<World, "storage"> & { readonly options: StorageOptions };

export function worldParts(disk: MemoryDisk, seed: number, plan?: FaultPlan, extra: Partial<StorageOptions> = {}): WorldParts {
  const clock = new ManualClock();
  const fileSystem = new MemoryFileSystem(disk, plan);
  const failures: StorageFailure[] = [];
  const options: StorageOptions = {
    fileSystem,
    clock,
    random: seededRandom(seed),
    directory: DIRECTORY,
    segmentBytes: SMALL_SEGMENT,
    ballastBytes: 0,
    reserveBytes: 0,
    onFailure: (failure) => failures.push(failure),
    ...extra,
  };
  return { clock, fileSystem, failures, options };
}

export async function openWorld(disk: MemoryDisk, seed: number, extra: Partial<StorageOptions> = {}): Promise<World> {
  const parts = worldParts(disk, seed, undefined, extra);
  return { ...parts, storage: await openStorage(parts.options) };
}

export function seededRandom(seed: number): { bytes(count: number): Uint8Array } {
  const prng = seedPrng(seed + 1);
  return { bytes: (count) => Uint8Array.from({ length: count }, () => nextInt(prng, 0, 256)) };
}

/** Resolves when the records are on disk. Never, when they will not be. */
export function commit(storage: Storage, records: readonly WalRecord[]): Promise<void> {
  return new Promise((resolve) => storage.wal.commit(records, resolve));
}

export const CONFIGURATION: Configuration = genesisConfiguration(
  [1, 2, 3].map((i) => ({ address: address(`127.0.0.1:900${i}`), diskId: diskId(`${i}`.padStart(32, "0")) })),
);

export const IDENTITY: WalRecord = {
  kind: "identity",
  clusterId: clusterId(0x1234_5678_9abc_def0n),
  lineage: { number: 1, random: 77n },
  replica: replicaId(2),
  configuration: CONFIGURATION,
};

export function payload(prng: Prng, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, () => nextInt(prng, 0, 256));
}

export function accept(at: number, round: number, bytes: Uint8Array): WalRecord {
  return { kind: "accept", ballot: ballot(round, 1), slot: slot(at), batch: commandsBatch(bytes) };
}

export function trimTo(at: number): WalRecord {
  return { kind: "trim", slot: slot(at), chain: hashBytes(Uint8Array.of(at % 256)), configuration: CONFIGURATION };
}

export function snapshotBase(index: number) {
  return {
    index: slot(index),
    chain: hashBytes(Uint8Array.of(1, index % 256)),
    stateHash: hashBytes(Uint8Array.of(2, index % 256)),
    configuration: CONFIGURATION,
  };
}

/** The chunks of the made-up snapshot at `index`: its own, so that one is never taken for another. */
export function chunksAt(index: number, count = 3): readonly Uint8Array[] {
  const prng = seedPrng(index);
  return Array.from({ length: count }, () => payload(prng, nextInt(prng, 1, 900)));
}

/** Writes the made-up snapshot at `index`; its record is the caller's to commit. */
export async function takeSnapshot(snapshots: SnapshotStore, index: number): Promise<SnapshotMeta> {
  const writer = await snapshots.create(snapshotBase(index));
  for (const chunk of chunksAt(index)) {
    await writer.push(chunk);
  }
  return await writer.finish();
}

/** Loads the newest snapshot and checks that it is the made-up one of its index. */
export async function checkSnapshot(storage: Storage): Promise<void> {
  const meta = storage.snapshots.latest();
  assert.deepEqual(meta, storage.durable.snapshot);
  if (meta === null) {
    return;
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of storage.snapshots.chunks(meta.index)) {
    chunks.push(chunk);
  }
  assert.deepEqual(chunks.map(toHex), chunksAt(meta.index).map(toHex));
}

/** A durable state as one string, the boot count and the disk left out: two are the same state iff their texts are. */
export function textOf(durable: Durable): string {
  const { accepted, learned, boot: _boot, diskId: _disk, ...scalars } = durable;
  const entries = [...accepted]
    .sort(([a], [b]) => a - b)
    .map(([at, { ballot: b, batch }]) => `${at}:${b.round}.${b.replica}:${batch.digest}`);
  const values = [...learned].sort(([a], [b]) => a - b).map(([at, batch]) => `${at}:${batch.digest}`);
  const plain = JSON.stringify(scalars, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  return [plain, entries.join(" "), values.join(" ")].join("\n");
}

/** The states a log goes through, one for each commit: what a recovery may return is one of them. */
export class Model {
  private state: Durable = virginDurable(diskId("0".repeat(32)));
  readonly texts: string[] = [textOf(this.state)];

  apply(records: readonly WalRecord[]): void {
    this.state = copyDurable(this.state);
    for (const record of records) {
      applyRecord(this.state, record);
    }
    this.texts.push(textOf(this.state));
  }

  get durable(): Durable {
    return this.state;
  }

  /** Goes back to the state after `commits` commits: a crash lost the later ones. */
  rewindTo(commits: number, recovered: Durable): void {
    this.texts.length = commits + 1;
    this.state = copyDurable(recovered);
  }
}
