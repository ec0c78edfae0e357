/**
 * A data directory made from a state, not from nothing: for a forced recovery, and for the restore of a backup. Until its last step,
 * the rename of the format file, it is no data directory: a server refuses to start on what a crash left of it.
 */
import { toHex } from "../base/bytes.js";
import { type DiskId, diskId } from "../paxos/ids.js";
import { virginDurable, type WalRecord } from "../paxos/record.js";
import type { Clock } from "../ports/clock.js";
import type { DirectoryLock, FileSystem } from "../ports/file.js";
import type { Random } from "../ports/random.js";
import type { SnapshotBase, SnapshotWriter } from "../ports/snapshot-store.js";
import { listContent, placeFormat, SNAPSHOT_WRITE_TEMP, snapshotName, UNFINISHED_FILE, writeFormatAs } from "./layout.js";
import { SEGMENT_BYTES_DEFAULT, TAIL_BATCH_BYTES } from "./limits.js";
import { inBatches } from "./live-tail.js";
import { SegmentPool } from "./segment-pool.js";
import { SegmentedWal } from "./segmented-wal.js";
import { DiskSnapshotWriter } from "./snapshot-writing.js";
import { SpaceKeeper } from "./space.js";
import { codeOf, failureOf, failureOfPlace, StorageFailure } from "./storage-failure.js";

export type NewDirectoryOptions = {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly directory: string;
  /** Size of a segment of its log; default 16 MiB. */
  readonly segmentBytes?: number;
};

/** The disk that is being made. */
export type NewDisk = {
  readonly diskId: DiskId;
  /** Begins the snapshot that the state begins with; at most one. */
  createSnapshot(base: SnapshotBase): Promise<SnapshotWriter>;
};

/**
 * Makes `directory`, which is missing or empty, hold what `fill` returns: the records that its log begins with, the boot record first.
 * Rejects with a StorageFailure; what is left then is refused by every server, and by this.
 */
export async function createDirectory(options: NewDirectoryOptions, fill: (disk: NewDisk) => Promise<readonly WalRecord[]>): Promise<void> {
  const { fileSystem, directory } = options;
  await refuseOccupied(fileSystem, directory);
  const lock = await takePlace(fileSystem, directory);
  try {
    try {
      await refuseOccupied(fileSystem, directory);
      await make(options, fill);
    } finally {
      await lock.release();
    }
  } catch (error) {
    throw failureOf(error, directory, "make the data directory");
  }
}

async function takePlace(fileSystem: FileSystem, directory: string): Promise<DirectoryLock> {
  try {
    await fileSystem.makeDirectory(directory);
    return await fileSystem.lock(directory);
  } catch (error) {
    throw failureOfPlace(error, directory, "make the data directory");
  }
}

/** Throws unless the directory is missing or empty. */
export async function refuseOccupied(fileSystem: FileSystem, directory: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await listContent(fileSystem, directory);
  } catch (error) {
    if (error instanceof StorageFailure && codeOf(error.cause) === "ENOENT") {
      return;
    }
    throw error instanceof StorageFailure ? failureOfPlace(error.cause, directory, "read the data directory") : error;
  }
  if (names.length > 0) {
    throw new StorageFailure("foreign", "not empty: a new data directory is made here only where nothing is", {
      path: directory,
      remedy: "Name a directory that does not exist yet.",
    });
  }
}

async function make(options: NewDirectoryOptions, fill: (disk: NewDisk) => Promise<readonly WalRecord[]>): Promise<void> {
  const { fileSystem, directory } = options;
  await writeFormatAs(fileSystem, directory, UNFINISHED_FILE);
  await fileSystem.syncDirectory(directory);
  const disk: NewDisk = {
    diskId: diskId(toHex(options.random.bytes(16))),
    createSnapshot: (base) =>
      DiskSnapshotWriter.begin(
        { fileSystem, directory, nameOf: snapshotName, onPlaced: () => {}, onEnd: () => {} },
        SNAPSHOT_WRITE_TEMP,
        base,
      ),
  };
  await writeLog(options, disk.diskId, await fill(disk));
  await placeFormat(fileSystem, directory, UNFINISHED_FILE);
}

async function writeLog(options: NewDirectoryOptions, id: DiskId, records: readonly WalRecord[]): Promise<void> {
  const failures: StorageFailure[] = [];
  const settings = {
    ...options,
    segmentBytes: options.segmentBytes ?? SEGMENT_BYTES_DEFAULT,
    onFailure: (failure: StorageFailure) => failures.push(failure),
  };
  const free = await options.fileSystem.freeBytes(options.directory);
  const space = new SpaceKeeper({ ...settings, ballastBytes: 0, reserveBytes: 0, onSpace: () => {} }, free, false);
  const pool = new SegmentPool({ ...settings, space }, 0);
  const wal = new SegmentedWal(
    { ...settings, pool, state: virginDurable(id), onSnapshotNamed: () => {} },
    { generation: 0, lastLsn: 0, newest: null, oldestLive: 0, live: [] },
  );
  try {
    await wal.begin(inBatches(records, Math.min(TAIL_BATCH_BYTES, settings.segmentBytes / 4)));
    wal.ready();
  } finally {
    // Sealed: a log that is whole at its end.
    await wal.close();
    await pool.close();
    await space.close();
  }
  const [failure] = failures;
  if (failure !== undefined) {
    throw failure;
  }
}
