/**
 * A data directory, read as it lies: locked, so that no server changes it meanwhile, and checked as a start would check it, but
 * without a start's boot count, copies and deletions. For the tools of last resort. Must never write to it (the lock's own socket apart).
 */
import type { SnapshotMeta } from "../paxos/message.js";
import { type Durable, durableDecided } from "../paxos/record.js";
import type { DirectoryLock, FileSystem } from "../ports/file.js";
import { FORMAT_FILE, pathIn, snapshotName, takeInventory } from "./layout.js";
import { recoverLog } from "./recovery.js";
import { chooseSnapshot } from "./snapshot-choice.js";
import { readContent, readPlace } from "./snapshot-file.js";
import { verifySnapshot } from "./snapshot-writing.js";
import { codeOf, failureOf, REMEDY_CORRUPT, StorageFailure } from "./storage-failure.js";

export type ReadDirectory = {
  readonly directory: string;
  /** What the disk holds; `snapshot` is one that is there. */
  readonly durable: Durable;
  /** What a person should know about it, in sentences. */
  readonly warnings: readonly string[];
  /** Reads the whole snapshot and checks it. */
  verify(snapshot: SnapshotMeta): Promise<void>;
  /** Its chunks in order, each checked. */
  chunks(snapshot: SnapshotMeta): AsyncIterable<Uint8Array>;
  /** Frees the lock. */
  release(): Promise<void>;
};

/** Reads the directory and keeps its lock. Rejects with a StorageFailure; then nothing is held. */
export async function readDirectory(fileSystem: FileSystem, directory: string): Promise<ReadDirectory> {
  const lock = await lockExisting(fileSystem, directory);
  try {
    const { durable, warnings } = await readState(fileSystem, directory);
    const pathOf = (snapshot: SnapshotMeta): string => pathIn(directory, snapshotName(snapshot.index));
    return {
      directory,
      durable,
      warnings,
      verify: (snapshot) =>
        verifySnapshot(fileSystem, pathOf(snapshot), snapshot).catch((error: unknown) => {
          throw damagedHere(failureOf(error, pathOf(snapshot), "read a snapshot"));
        }),
      chunks: (snapshot) => chunksOf(fileSystem, pathOf(snapshot)),
      release: () => lock.release(),
    };
  } catch (error) {
    await lock.release();
    throw damagedHere(failureOf(error, directory, "read the data directory"));
  }
}

/** The damage is what a start would find; the remedy is not, as no server is to run on it. */
function damagedHere(failure: StorageFailure): StorageFailure {
  const remedy = "Nothing of a damaged directory counts: leave it out. What it alone held is lost then.";
  return failure.kind === "corrupt"
    ? new StorageFailure("corrupt", failure.finding, { path: failure.path, remedy, cause: failure })
    : failure;
}

/** So too for what is no data directory, or one in the making. */
function leftOut(failure: StorageFailure): StorageFailure {
  const { kind, finding, path } = failure;
  return kind === "foreign" ? new StorageFailure(kind, finding, { path, remedy: "Leave it out.", cause: failure }) : failure;
}

async function lockExisting(fileSystem: FileSystem, directory: string): Promise<DirectoryLock> {
  try {
    await fileSystem.list(directory);
    return await fileSystem.lock(directory);
  } catch (error) {
    switch (codeOf(error)) {
      case "ENOENT":
      case "ENOTDIR":
        throw new StorageFailure("foreign", "there is no such directory", { path: directory, remedy: "Check its path.", cause: error });
      case "ELOCKED":
        throw new StorageFailure("locked", error instanceof Error ? error.message : "in use", {
          path: directory,
          remedy: "Stop the server that uses it first.",
          cause: error,
        });
      case "EACCES":
      case "EPERM":
      case "EROFS":
        throw new StorageFailure("foreign", `cannot be locked: ${error instanceof Error ? error.message : ""}`, {
          path: directory,
          remedy: "Run this as the user of the servers, or on a copy that can be written to: the lock is a file in the directory.",
          cause: error,
        });
      default:
        throw failureOf(error, directory, "lock the data directory");
    }
  }
}

/** `synod up` keeps the log of a server beside its data: whoever names the folder of both means the one inside. */
async function checkNotAbove(fileSystem: FileSystem, directory: string): Promise<void> {
  const names = await fileSystem.list(directory);
  const inner = pathIn(directory, "data");
  if (!names.includes(FORMAT_FILE) && names.includes("data") && (await fileSystem.list(inner)).includes(FORMAT_FILE)) {
    throw new StorageFailure("foreign", "no data directory of Synod, but it holds one", { path: directory, remedy: `Name ${inner}.` });
  }
}

async function readState(fileSystem: FileSystem, directory: string): Promise<Pick<ReadDirectory, "durable" | "warnings">> {
  await checkNotAbove(fileSystem, directory);
  const inventory = await takeInventory(fileSystem, directory).catch((error: unknown) => {
    throw leftOut(failureOf(error, directory, "read the data directory"));
  });
  if (inventory.kind === "virgin") {
    throw new StorageFailure("foreign", "empty: it is no data directory of Synod", { path: directory, remedy: "Leave it out." });
  }
  const log = await recoverLog(fileSystem, directory, inventory.segments);
  if (log === null) {
    throw new StorageFailure("corrupt", "the log is gone: no segment of it is left", { path: directory, remedy: REMEDY_CORRUPT });
  }
  const { chosen, warnings } = await chooseSnapshot(fileSystem, directory, log.durable, inventory.snapshots);
  // Where an older state is used in place of a damaged one, what that stood for is known to be decided all the same.
  return { durable: { ...log.durable, snapshot: chosen?.meta ?? null, hint: durableDecided(log.durable) }, warnings };
}

/** The chunks of the snapshot file at `path`, in order, each checked. */
export async function* chunksOf(fileSystem: FileSystem, path: string): AsyncIterable<Uint8Array> {
  const file = await fileSystem.open(path, { mode: "read", durable: false });
  try {
    for (const place of (await readContent(file, path)).chunks) {
      yield await readPlace(file, path, place);
    }
  } catch (error) {
    throw failureOf(error, path, "read a snapshot");
  } finally {
    await file.close();
  }
}
