/** The log of one replica. A commit is on disk when its callback runs, or the process ends: there is no third way. */
import type { WalRecord } from "../paxos/record.js";

export interface Wal {
  /**
   * Appends `records` (at least one) as one batch and syncs it; then calls `done`, never from inside the call. One commit is in flight at a time. A failure of the
   * disk goes to the `onFailure` given when the storage was opened and to nobody else: `done` is then never called, nothing is
   * tried again, and the caller must send nothing more. A `trim` record frees what lies at or below its slot.
   */
  commit(records: readonly WalRecord[], done: () => void): void;
  /** What the log takes on disk, spare segments included. Bytes. */
  diskBytes(): number;
}
