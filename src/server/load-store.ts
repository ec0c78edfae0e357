/** The state machine from a snapshot, at the start of a server, when no request waits for slices yet. */
import type { KvStore, Restore } from "../kv/kv-store.js";
import type { SnapshotMeta } from "../paxos/message.js";
import type { SnapshotStore } from "../ports/snapshot-store.js";

/** Fills `restore` with all chunks of the snapshot. Throws what the storage or the state machine finds wrong. */
export async function loadStore(snapshots: SnapshotStore, meta: SnapshotMeta, restore: Restore): Promise<KvStore> {
  for await (const chunk of snapshots.chunks(meta.index)) {
    restore.write(chunk);
    let done = restore.step(Number.MAX_SAFE_INTEGER);
    while (!done) {
      done = restore.step(Number.MAX_SAFE_INTEGER);
    }
  }
  return restore.finish();
}
