/**
 * A data directory, opened: locked, its format checked, the log and the newest snapshot recovered, the boot count raised and
 * what is still needed copied into a fresh segment and synced. Only then is anything returned: what a replica says of its
 * disk from then on stands on synced bytes (PROTOCOL §1.8). Must never repair or guess.
 */
import { assert } from "../base/assert.js";
import { toHex } from "../base/bytes.js";
import { diskId } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { applyRecord, type Durable, virginDurable, type WalRecord } from "../paxos/record.js";
import type { Clock } from "../ports/clock.js";
import type { DirectoryLock, FileSystem } from "../ports/file.js";
import type { Random } from "../ports/random.js";
import type { SnapshotStore } from "../ports/snapshot-store.js";
import type { Wal } from "../ports/wal.js";
import { BATCH_HEADER_BYTES } from "./batch-header.js";
import { DiskSnapshotStore } from "./disk-snapshot-store.js";
import { type Inventory, missingFormat, pathIn, snapshotName, takeInventory, writeAt, writeFormat } from "./layout.js";
import {
  BLOCK_BYTES,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SPACE_RESERVE_DEFAULT,
  TAIL_BATCH_BYTES,
} from "./limits.js";
import { copyDurable, inBatches, liveTail } from "./live-tail.js";
import { type RecoveredLog, recoverLog } from "./recovery.js";
import { SegmentPool } from "./segment-pool.js";
import { SegmentedWal } from "./segmented-wal.js";
import { chooseSnapshot } from "./snapshot-choice.js";
import { SpaceKeeper } from "./space.js";
import { codeOf, failureOf, failureOfPlace, isForbidden, REMEDY_CORRUPT, StorageFailure } from "./storage-failure.js";

export type StorageOptions = {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  /** Made where it is missing. An absolute path keeps messages clear. */
  readonly directory: string;
  /** Size of a segment of the log: 32 KiB to 1 GiB, default 16 MiB; rounded down to a multiple of 4,096. */
  readonly segmentBytes?: number;
  /** Bytes kept aside for a full disk; default one segment, 0 for none. */
  readonly ballastBytes?: number;
  /** Space is low below this many free bytes, default 64 MiB. */
  readonly reserveBytes?: number;
  /** Called once, when the disk failed after the opening: the process must send nothing more and end. */
  readonly onFailure: (failure: StorageFailure) => void;
};

export type Storage = {
  /** What the disk holds, boot raised; the caller's own from now on, to be changed by applyRecord with the records it commits. */
  readonly durable: Durable;
  /** The directory was empty: a new disk life began. */
  readonly isNew: boolean;
  /** What a person should know about the recovery, in sentences. */
  readonly warnings: readonly string[];
  readonly wal: Wal;
  readonly snapshots: SnapshotStore;
  /** Free bytes on the disk, as looked at in the last seconds. */
  freeBytes(): number;
  /** Whether new values must be refused. Promises still find their space. */
  spaceLow(): boolean;
  /** Everything in the directory, in bytes. */
  diskBytes(): number;
  /** Waits for what is under way, seals the log, frees the lock. The owner commits nothing more. */
  close(): Promise<void>;
};

type Settings = Required<Omit<StorageOptions, "onFailure">> & { readonly onFailure: (failure: StorageFailure) => void };

/** Opens the directory. Rejects with a StorageFailure of any kind; then nothing is held. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const wanted = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
  const segmentBytes = wanted - (wanted % BLOCK_BYTES);
  assert(segmentBytes >= SEGMENT_BYTES_MIN && segmentBytes <= SEGMENT_BYTES_MAX, "segmentBytes is within its bounds");
  const settings: Settings = {
    ...options,
    segmentBytes,
    ballastBytes: options.ballastBytes ?? segmentBytes,
    reserveBytes: options.reserveBytes ?? SPACE_RESERVE_DEFAULT,
  };
  const lock = await lockDirectory(settings);
  try {
    return await openLocked(settings, lock);
  } catch (error) {
    await lock.release();
    // A file that another user has written, and this one may not read, is no broken disk.
    const cause = error instanceof StorageFailure && isForbidden(error.cause) ? error.cause : error;
    throw isForbidden(cause)
      ? failureOfPlace(cause, settings.directory, "open the data directory")
      : failureOf(error, settings.directory, "open the data directory");
  }
}

async function lockDirectory({ fileSystem, directory }: Settings): Promise<DirectoryLock> {
  try {
    await fileSystem.makeDirectory(directory);
    return await fileSystem.lock(directory);
  } catch (error) {
    if (codeOf(error) === "ELOCKED" && error instanceof Error) {
      throw new StorageFailure("locked", error.message, {
        path: directory,
        remedy: "Stop the other server, or give this one a data_dir of its own.",
        cause: error,
      });
    }
    throw failureOfPlace(error, directory, "lock the data directory");
  }
}

/** The state to begin a life with, and where the log stands. */
type Beginning = {
  readonly state: Durable;
  readonly log: RecoveredLog | null;
  readonly snapshot: { readonly meta: SnapshotMeta; readonly bytes: number } | null;
  readonly warnings: readonly string[];
};

async function openLocked(settings: Settings, lock: DirectoryLock): Promise<Storage> {
  const { fileSystem, directory } = settings;
  // A name that a killed process made and never synced is seen now, and must not vanish under what we build on it.
  await fileSystem.syncDirectory(directory);
  const inventory = await takeInventory(fileSystem, directory);
  const found = inventory.kind === "ours" ? await recover(settings, inventory) : await clearLeftovers(settings, inventory);
  applyRecord(found.state, { kind: "boot", diskId: found.state.diskId, boot: found.state.boot + 1 });
  const parts = await makeParts(settings, found, inventory);
  const { space, pool, snapshots } = parts;
  const wal = new SegmentedWal(
    {
      ...settings,
      pool,
      state: copyDurable(found.state),
      onFailure: parts.fail,
      onSnapshotNamed: (meta) => snapshots.onNamed(meta),
    },
    found.log ?? { generation: 0, lastLsn: 0, newest: null, oldestLive: 0, live: [] },
  );
  parts.stopWith(() => wal.stop());
  const { state } = found;
  const first: WalRecord = { kind: "boot", diskId: state.diskId, boot: state.boot };
  await wal.begin(inBatches([first, ...liveTail(state)], Math.min(TAIL_BATCH_BYTES, settings.segmentBytes / 4)));
  if (inventory.kind === "virgin") {
    await writeFormat(fileSystem, directory);
  }
  wal.ready();
  pool.start();
  space.start();
  return {
    durable: found.state,
    isNew: inventory.kind === "virgin",
    warnings: found.warnings,
    wal,
    snapshots,
    freeBytes: () => space.freeBytes,
    spaceLow: () => space.low,
    diskBytes: () => wal.diskBytes() + snapshots.diskBytes() + space.ballastBytes,
    close: async () => {
      await wal.close();
      await Promise.all([space.close(), pool.close(), snapshots.close()]);
      await lock.release();
    },
  };
}

/** An empty directory, or one whose creation was interrupted before the format file: nothing was ever said of it. */
async function clearLeftovers(settings: Settings, inventory: Extract<Inventory, { kind: "virgin" }>): Promise<Beginning> {
  const { fileSystem, directory, random } = settings;
  const log = await recoverLog(fileSystem, directory, inventory.segments);
  if (log !== null && log.lastLsn > 1) {
    throw missingFormat(directory);
  }
  for (const name of inventory.leftovers) {
    await fileSystem.remove(pathIn(directory, name));
  }
  return { state: virginDurable(diskId(toHex(random.bytes(16)))), log: null, snapshot: null, warnings: [] };
}

async function recover(settings: Settings, inventory: Extract<Inventory, { kind: "ours" }>): Promise<Beginning> {
  const { fileSystem, directory } = settings;
  for (const name of inventory.temporaries) {
    await fileSystem.remove(pathIn(directory, name));
  }
  const log = await recoverLog(fileSystem, directory, inventory.segments);
  if (log === null) {
    throw new StorageFailure("corrupt", "the log is gone: no segment of it is left", { path: directory, remedy: REMEDY_CORRUPT });
  }
  const { chosen, warnings } = await chooseSnapshot(fileSystem, directory, log.durable, inventory.snapshots);
  await confirmLastItem(fileSystem, log);
  for (const index of inventory.snapshots) {
    if (index !== chosen?.meta.index) {
      await fileSystem.remove(pathIn(directory, snapshotName(index)));
    }
  }
  return { state: { ...log.durable, snapshot: chosen?.meta ?? null }, log, snapshot: chosen, warnings };
}

/**
 * Writes the last item of the log again, byte for byte, so that it is on disk before a new segment says that it is: all
 * before it was synced in its life, and this may have been read from the system's cache.
 */
async function confirmLastItem(fileSystem: FileSystem, { lastItem }: RecoveredLog): Promise<void> {
  const file = await fileSystem.open(lastItem.path, { mode: "update", durable: true });
  try {
    const bytes = await file.read(lastItem.position, lastItem.bytes);
    assert(bytes.length >= BATCH_HEADER_BYTES, "the last item was read before");
    await writeAt(file, lastItem.position, bytes);
  } finally {
    await file.close();
  }
}

type Parts = {
  readonly space: SpaceKeeper;
  readonly pool: SegmentPool;
  readonly snapshots: DiskSnapshotStore;
  readonly fail: (failure: StorageFailure) => void;
  /** What to stop when any part fails. */
  readonly stopWith: (stop: () => void) => void;
};

async function makeParts(settings: Settings, { log, snapshot }: Beginning, inventory: Inventory): Promise<Parts> {
  const { fileSystem, directory } = settings;
  let failed = false;
  let stop: (() => void) | null = null;
  const fail = (failure: StorageFailure): void => {
    if (!failed) {
      failed = true;
      stop?.();
      settings.onFailure(failure);
    }
  };
  const hasBallast = inventory.kind === "ours" && inventory.ballast;
  const onSpace = (): void => pool.prepare();
  const space = new SpaceKeeper({ ...settings, onFailure: fail, onSpace }, await fileSystem.freeBytes(directory), hasBallast);
  // A creation that was interrupted has been cleared away: its numbers are free.
  const lastNumber = inventory.kind === "ours" ? Math.max(0, ...inventory.segments) : 0;
  const pool: SegmentPool = new SegmentPool({ ...settings, space, onFailure: fail }, lastNumber);
  for (const file of log?.dead ?? []) {
    pool.release(file);
  }
  return {
    space,
    pool,
    snapshots: new DiskSnapshotStore({ ...settings, onFailure: fail }, snapshot),
    fail,
    stopWith: (newStop) => {
      stop = newStop;
    },
  };
}
