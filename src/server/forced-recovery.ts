/**
 * Forced recovery, for when a majority of the voters is lost for good (PROTOCOL §4.7): reads the directories that are left, tells
 * what would come of it, and makes one new directory of them. It must never write to what it reads, and nothing before it was told to.
 */
import { BatchBuilder } from "../kv/batch.js";
import { encodeCommand } from "../kv/command.js";
import { NO_SESSION } from "../kv/model.js";
import { type Batch, commandsBatch, configurationBatch } from "../paxos/batch.js";
import { MEMBERS_MAX } from "../paxos/configuration.js";
import type { Address, Lineage, ReplicaId } from "../paxos/ids.js";
import { type Merged, mergeSurvivors } from "../paxos/merge.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { onlyVoter, recordsOfNewLife } from "../paxos/new-life.js";
import type { Clock } from "../ports/clock.js";
import type { FileSystem } from "../ports/file.js";
import type { Random } from "../ports/random.js";
import type { SnapshotBase } from "../ports/snapshot-store.js";
import { createDirectory, type NewDisk, refuseOccupied } from "../storage/new-directory.js";
import { type ReadDirectory, readDirectory } from "../storage/read-directory.js";

/** How far revisions move forward, so that watchers and caches see that they are not where they were: more than a store writes in a day. */
export const REVISIONS_SKIPPED = 1_000_000_000;

/** What such a directory is made with. */
export type Tools = { readonly fileSystem: FileSystem; readonly clock: Clock; readonly random: Random; readonly segmentBytes?: number };

export type RecoveryOptions = Tools & {
  /** Directories of the servers that are left, each once. */
  readonly from: readonly string[];
  /** The directory to make; missing or empty. */
  readonly to: string;
  /** The Paxos address of the server that will run on it. */
  readonly address: Address;
};

/** The directories cannot be merged; the message says why, for people. */
export class RecoveryRefused extends Error {
  override readonly name = "RecoveryRefused";
}

/** What a recovery would do. The directories are locked until `release`. */
export type Recovery = {
  readonly merged: Merged;
  readonly clusterId: bigint;
  readonly lineage: Lineage;
  /** Of the new lineage. */
  readonly replica: ReplicaId;
  /** What a person should know about the directories, in sentences. */
  readonly warnings: readonly string[];
  /** Makes the new directory; once. */
  carryOut(): Promise<void>;
  release(): Promise<void>;
};

/** Reads and checks everything, and writes nothing. Rejects with a StorageFailure or RecoveryRefused; then nothing is held. */
export async function prepareRecovery(options: RecoveryOptions): Promise<Recovery> {
  const read: ReadDirectory[] = [];
  const release = async (): Promise<void> => {
    await Promise.all(read.map((directory) => directory.release()));
  };
  try {
    await refuseOccupied(options.fileSystem, options.to);
    for (const directory of options.from) {
      read.push(await readDirectory(options.fileSystem, directory));
    }
    return { ...(await plan(options, read)), release };
  } catch (error) {
    await release();
    throw error;
  }
}

async function plan(options: RecoveryOptions, read: readonly ReadDirectory[]): Promise<Omit<Recovery, "release">> {
  const merged = mergeSurvivors(read.map(({ directory, durable }) => ({ name: directory, durable })));
  if (merged.kind === "refused") {
    throw new RecoveryRefused(merged.text);
  }
  refuseOneTooMany(merged, options.address);
  const source = read.find(({ directory }) => directory === merged.base?.survivor.name);
  if (merged.base !== null) {
    await source?.verify(merged.base.snapshot);
  }
  const own = merged.survivor.durable;
  return {
    merged,
    clusterId: own.clusterId,
    lineage: own.lineage,
    replica: merged.configuration.nextReplicaId,
    warnings: read.flatMap(({ warnings }) => warnings),
    carryOut: () => carryOut(options, merged, source),
  };
}

/** A member more than there may be would make a log that nobody can read. */
function refuseOneTooMany({ configuration: { roster } }: Merged, address: Address): void {
  if (roster.length >= MEMBERS_MAX && !roster.some((entry) => entry.address === address)) {
    throw new RecoveryRefused(
      `There are ${roster.length} members, the most there may be, and none at ${address}: give the address of one of them.`,
    );
  }
}

function carryOut(options: RecoveryOptions, merged: Merged, source: ReadDirectory | undefined): Promise<void> {
  const { clusterId, lineage } = merged.survivor.durable;
  return createDirectory({ ...options, directory: options.to }, async (disk) => {
    const base = merged.base?.snapshot ?? null;
    const configuration = onlyVoter(merged.configuration, options.address, disk.diskId);
    const snapshot = base === null || source === undefined ? null : await copySnapshot(disk, base, source.chunks(base));
    return recordsOfNewLife({
      clusterId,
      lineage: { number: lineage.number + 1, random: draw64(options.random) },
      diskId: disk.diskId,
      replica: configuration.tieBreak,
      snapshot,
      baseConfiguration: merged.baseConfiguration,
      entries: [...merged.entries, skipRevisions(), configurationBatch(configuration)],
      round: merged.promised.round,
    });
  });
}

/** Copies a snapshot, chunk by chunk, under the facts of `base`. */
export async function copySnapshot(disk: NewDisk, base: SnapshotBase, chunks: AsyncIterable<Uint8Array>): Promise<SnapshotMeta> {
  const { index, chain, stateHash, configuration } = base;
  const writer = await disk.createSnapshot({ index, chain, stateHash, configuration });
  for await (const chunk of chunks) {
    await writer.push(chunk);
  }
  return await writer.finish();
}

/** The log entry that moves revisions forward and compacts the history. */
export function skipRevisions(): Batch {
  const builder = new BatchBuilder();
  builder.add(NO_SESSION, 0, 0, encodeCommand({ kind: "skipRevisions", by: REVISIONS_SKIPPED }));
  return commandsBatch(builder.finish());
}

/** 64 unpredictable bits. */
export function draw64(random: Random): bigint {
  return random.bytes(8).reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
}
