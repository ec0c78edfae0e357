/**
 * Which snapshot a start stands on: the newest that its hash proves and from which the log goes on (PROTOCOL §6). It only
 * reads. A snapshot that the log does not name is a half-made one and never chosen.
 */
import { ByteWriter, equalBytes } from "../base/bytes.js";
import type { SnapshotMeta } from "../paxos/message.js";
import { writeSnapshotMeta } from "../paxos/message-fields.js";
import type { Durable } from "../paxos/record.js";
import type { FileSystem } from "../ports/file.js";
import { pathIn, snapshotName } from "./layout.js";
import { damaged, readContent } from "./snapshot-file.js";
import { verifySnapshot } from "./snapshot-writing.js";
import { codeOf, failureOf, type StorageFailure } from "./storage-failure.js";

export type SnapshotChoice = {
  /** Null: the log goes back to the first slot and needs none. */
  readonly chosen: { readonly meta: SnapshotMeta; readonly bytes: number } | null;
  readonly warnings: readonly string[];
};

/** `indexes`: of the snapshot files there are, descending. Throws the StorageFailure of the newest where nothing else will do. */
export async function chooseSnapshot(
  fileSystem: FileSystem,
  directory: string,
  durable: Durable,
  indexes: readonly number[],
): Promise<SnapshotChoice> {
  const named = durable.snapshot;
  if (named === null) {
    return { chosen: null, warnings: [] };
  }
  const older = indexes.filter((index) => index < named.index && index >= durable.trimmed);
  // Loading checks every byte. Reading it all twice is worth its time only where there is something else to choose.
  const whole = older.length > 0 || durable.trimmed === 0;
  const warnings: string[] = [];
  let first: StorageFailure | null = null;
  for (const index of [named.index, ...older]) {
    const path = pathIn(directory, snapshotName(index));
    try {
      const chosen = await examine(fileSystem, path, { expected: index === named.index ? named : null, whole });
      return { chosen, warnings };
    } catch (error) {
      const gone = codeOf(error) === "ENOENT";
      const failure = gone ? damaged(path, "is gone although the log names it") : failureOf(error, path, "read a snapshot");
      first ??= failure;
      if (failure.kind !== "corrupt") {
        throw failure;
      }
      warnings.push(`${failure.message} An older state and the log are used instead.`);
    }
  }
  if (first !== null && durable.trimmed > 0) {
    throw first;
  }
  return { chosen: null, warnings };
}

async function examine(
  fileSystem: FileSystem,
  path: string,
  { expected, whole }: { readonly expected: SnapshotMeta | null; readonly whole: boolean },
): Promise<{ readonly meta: SnapshotMeta; readonly bytes: number }> {
  const file = await fileSystem.open(path, { mode: "read", durable: false });
  try {
    const { meta } = await readContent(file, path);
    if (expected !== null && !equalBytes(encoded(meta), encoded(expected))) {
      throw damaged(path, "is another snapshot than the log names");
    }
    if (whole) {
      await verifySnapshot(fileSystem, path, meta);
    }
    return { meta, bytes: await file.size() };
  } finally {
    await file.close();
  }
}

function encoded(meta: SnapshotMeta): Uint8Array {
  const writer = new ByteWriter();
  writeSnapshotMeta(writer, meta);
  return writer.finish();
}
