/** What a server says of itself and of the cluster, as a plain value: `synod status` shows it. Reads memory only, and answers also while nothing can be decided. */
import type { KvStats } from "../kv/kv-store.js";
import type { ReplicaStatus } from "../paxos/replica.js";

export type ServerStatus = {
  readonly version: string;
  readonly clientAddress: string;
  readonly paxosAddress: string;
  readonly dataDir: string;
  readonly failRate: number;
  readonly removeAfterMs: number;
  readonly replica: ReplicaStatus;
  readonly applied: number;
  readonly store: KvStats;
  /** Hash of the state at `applied`; null while a batch is half applied. */
  readonly stateHash: string | null;
  /** Bytes below the data directory, as last counted. */
  readonly diskBytes: number;
  readonly uptimeMs: number;
  /** Why nothing can be written now; null when all is well. */
  readonly blocked: string | null;
  readonly warnings: readonly string[];
};
