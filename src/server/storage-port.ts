/** The disk of one server, opened: what the server layer is given of it. */
import type { SnapshotStore } from "../ports/snapshot-store.js";
import type { Wal } from "../ports/wal.js";

export interface ServerStorage {
  readonly wal: Wal;
  readonly snapshots: SnapshotStore;
  /** Releases the data directory. Nothing may be written after it. */
  close(): Promise<void>;
}
