/**
 * A backup as a file: a snapshot file as a data directory has them (docs/STORAGE.md §3), wherever a person wants it. Written under another
 * name and renamed when it is whole, synced and read back; read by making the whole state of it; and made the beginning of a new cluster.
 */
import { chainHash, type Hash64, ZERO_HASH } from "../base/hash64.js";
import type { KvStats, KvStore } from "../kv/kv-store.js";
import { SnapshotFailure } from "../kv/snapshot-format.js";
import { Store } from "../kv/store.js";
import { genesisConfiguration } from "../paxos/configuration.js";
import { type Address, type ClusterId, clusterId, replicaId, SLOT_ZERO } from "../paxos/ids.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { recordsOfNewLife } from "../paxos/new-life.js";
import type { FileSystem } from "../ports/file.js";
import type { SnapshotBase } from "../ports/snapshot-store.js";
import { removeIfThere } from "../storage/layout.js";
import { createDirectory, refuseOccupied } from "../storage/new-directory.js";
import { chunksOf } from "../storage/read-directory.js";
import { hashChunk, isMarked, readContent } from "../storage/snapshot-file.js";
import { DiskSnapshotWriter } from "../storage/snapshot-writing.js";
import { codeOf, failureOf, isForbidden, StorageFailure } from "../storage/storage-failure.js";
import { copySnapshot, draw64, skipRevisions, type Tools } from "./forced-recovery.js";

/** What a server sends of a backup, part by part. */
export type BackupParts =
  | { readonly kind: "head"; readonly base: SnapshotBase }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly chunks: number; readonly bytes: number; readonly hash: Hash64 };

/** What a backup holds. */
export type BackupContent = { readonly meta: SnapshotMeta; readonly stats: KvStats };

/** The stream of a backup was not whole; nothing is kept of it. */
export class BackupBroken extends Error {
  override readonly name = "BackupBroken";
}

const REMEDY_BACKUP = "Use another backup; of a damaged one nothing is taken.";
const REMEDY_PATH = "Check the path.";
const REMEDY_RIGHTS = "Check the path, and whether this user may use it.";

/** Codes of the File port that speak of a mistaken path and not of the disk, as findings about the file of a backup, and about its directory. */
const NO_FILE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "this is a directory, and no backup",
};
const NO_DIRECTORY: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  ENOTDIR: "this is a file, and no directory",
};

/** Writes the parts to the new file `path`. Rejects with a StorageFailure, BackupBroken, or what `parts` threw; then there is no file. */
export async function writeBackup(fileSystem: FileSystem, path: string, parts: AsyncIterable<BackupParts>): Promise<SnapshotMeta> {
  const { directory, name } = split(path);
  await refuseExisting(fileSystem, path);
  let writer: DiskSnapshotWriter | null = null;
  const sum = { chunks: 0, bytes: 0, hash: ZERO_HASH };
  try {
    for await (const part of parts) {
      if (part.kind === "head" && writer === null) {
        const site = { fileSystem, directory, nameOf: () => name, onPlaced: () => {}, onEnd: () => {} };
        writer = await DiskSnapshotWriter.begin(site, `${name}.tmp`, part.base).catch((error: unknown) => {
          throw aboutDirectory(error, directory);
        });
      } else if (part.kind === "chunk" && writer !== null) {
        await writer.push(part.bytes);
        sum.chunks++;
        sum.bytes += part.bytes.length;
        sum.hash = chainHash(sum.hash, hashChunk(part.bytes));
      } else if (part.kind === "end" && writer !== null) {
        if (part.chunks !== sum.chunks || part.bytes !== sum.bytes || part.hash !== sum.hash) {
          throw new BackupBroken("The backup arrived otherwise than it was sent: nothing is kept of it.");
        }
        return await finish(fileSystem, path, writer);
      } else {
        throw new BackupBroken(`The server sent a part that does not belong here (${part.kind}).`);
      }
    }
    throw new BackupBroken("The stream ended before the backup was whole: nothing is kept of it.");
  } catch (error) {
    await writer?.abort();
    throw error;
  }
}

/** Where the first file cannot even be made, the place is to blame, and no disk. */
function aboutDirectory(error: unknown, directory: string): unknown {
  const cause = error instanceof StorageFailure ? error.cause : error;
  const isPlace = isForbidden(cause) || codeOf(cause) === "EROFS" || codeOf(cause) === "ENOENT";
  return isPlace && cause instanceof Error
    ? new StorageFailure("foreign", `no file can be made here: ${cause.message}`, { path: directory, remedy: REMEDY_RIGHTS, cause })
    : error;
}

/** The file gets its name before it is read back: one that does not read well goes again. */
async function finish(fileSystem: FileSystem, path: string, writer: DiskSnapshotWriter): Promise<SnapshotMeta> {
  try {
    return await writer.finish();
  } catch (error) {
    await removeIfThere(fileSystem, path);
    throw error;
  }
}

async function refuseExisting(fileSystem: FileSystem, path: string): Promise<void> {
  const { directory, name } = split(path);
  let names: readonly string[];
  try {
    names = await fileSystem.list(directory);
  } catch (error) {
    const finding = NO_DIRECTORY[codeOf(error)];
    throw finding === undefined
      ? failureOf(error, directory, "read the directory of the backup")
      : new StorageFailure("foreign", finding, { path: directory, remedy: REMEDY_PATH, cause: error });
  }
  if (names.includes(name)) {
    throw new StorageFailure("foreign", "exists already: a backup overwrites nothing", { path, remedy: "Name another file." });
  }
}

function split(path: string): { readonly directory: string; readonly name: string } {
  const at = path.lastIndexOf("/");
  return { directory: at === 0 ? "/" : path.slice(0, at), name: path.slice(at + 1) };
}

/** Reads and checks every byte of a backup, by making the state of it in memory. Rejects with a StorageFailure that names file and byte. */
export async function readBackup(fileSystem: FileSystem, path: string): Promise<BackupContent> {
  return await aboutBackup(path, async () => {
    const meta = await readMeta(fileSystem, path);
    const store = await stateOf(fileSystem, path);
    if (store.stateHash() !== meta.stateHash || store.appliedSlot !== meta.index) {
      throw new SnapshotFailure("the state is not the one that the footer describes");
    }
    return { meta, stats: store.stats() };
  });
}

async function readMeta(fileSystem: FileSystem, path: string): Promise<SnapshotMeta> {
  const file = await fileSystem.open(path, { mode: "read", durable: false });
  try {
    return (await readContent(file, path)).meta;
  } catch (error) {
    throw error instanceof StorageFailure && !(await isMarked(file))
      ? new StorageFailure("foreign", "this is no backup of Synod", { path, remedy: REMEDY_PATH, cause: error })
      : error;
  } finally {
    await file.close();
  }
}

async function stateOf(fileSystem: FileSystem, path: string): Promise<KvStore> {
  const restore = Store.restore();
  for await (const chunk of chunksOf(fileSystem, path)) {
    restore.write(chunk);
    while (!restore.step(Number.MAX_SAFE_INTEGER)) {
      // A slice of this size ends only with the chunk.
    }
  }
  return restore.finish();
}

/** What is wrong with a backup, with the remedy of one: it is no data directory that others could make up for. */
async function aboutBackup<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SnapshotFailure) {
      throw new StorageFailure("corrupt", error.message, { path, remedy: REMEDY_BACKUP, cause: error });
    }
    if (isForbidden(error) && error instanceof Error) {
      throw new StorageFailure("foreign", `this user may not read it: ${error.message}`, { path, remedy: REMEDY_RIGHTS, cause: error });
    }
    const finding = NO_FILE[codeOf(error)];
    if (finding !== undefined) {
      throw new StorageFailure("foreign", finding, { path, remedy: REMEDY_PATH, cause: error });
    }
    if (error instanceof StorageFailure && error.kind === "corrupt") {
      throw new StorageFailure("corrupt", error.finding, { path, remedy: REMEDY_BACKUP, cause: error });
    }
    throw failureOf(error, path, "read the backup");
  }
}

export type RestoreOptions = Tools & { readonly path: string; readonly to: string; readonly address: Address };

/** Makes the directory `to`, of the only voter of a new cluster that begins with the state of the backup. Rejects with a StorageFailure. */
export async function restoreBackup(options: RestoreOptions): Promise<BackupContent & { readonly clusterId: ClusterId }> {
  const { fileSystem, path, to, address, random } = options;
  await refuseOccupied(fileSystem, to);
  const content = await readBackup(fileSystem, path);
  const { meta } = content;
  const id = clusterId(draw64(random) | 1n);
  await createDirectory({ ...options, directory: to }, async (disk) => {
    const configuration = genesisConfiguration([{ address, diskId: disk.diskId }]);
    const isEmpty = meta.index === SLOT_ZERO; // the state of a store before its first write: an empty log begins with it as well
    return recordsOfNewLife({
      clusterId: id,
      lineage: { number: 1, random: draw64(random) },
      diskId: disk.diskId,
      replica: replicaId(1),
      snapshot: isEmpty ? null : await copySnapshot(disk, { ...meta, configuration }, chunksOf(fileSystem, path)),
      baseConfiguration: configuration,
      entries: [skipRevisions()],
      round: 1,
    });
  });
  return { ...content, clusterId: id };
}
